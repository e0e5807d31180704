"""STB153 ineffective-freeze: what was meant to be frozen goes on training."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from stablint.finding import Applicability, Confidence, Severity
from stablint.rule import ProposedFix, Replace, Report, StaticRule
from stablint.static import facts

if TYPE_CHECKING:
    import libcst as cst

    from stablint.static.facts.terms import Term
    from stablint.static.source import SourceFile


class IneffectiveFreeze(StaticRule):
    """`requires_grad` is set on a module, or misspelt, so that nothing is frozen or unfrozen.

    ## What it does

    Reports an assignment to `requires_grad` of a module (a layer, a model of torchvision, timm or
    transformers, a member of `children()`, what the file calls or asks for its parameters), to a
    misspelt attribute such as `require_grad`, and to a plain name `requires_grad` in a loop over
    parameters. Setting it to True on a module is a note where the file freezes nothing.

    ## Why it is bad

    Python makes a new attribute, and nothing else happens. After `layer.requires_grad = False` every
    parameter of the layer still has `requires_grad=True` (torch 2.13): the "frozen" backbone is trained,
    or the new head behind a frozen one is not. There is no error and no warning.

    ## Example

    ```python
    for p in model.parameters():
        p.requires_grad = False
    model.classifier[3].requires_grad = True
    ```

    ## Use instead

    ```python
    model.requires_grad_(False)
    model.classifier[3].requires_grad_(True)
    ```

    ## When to ignore it

    When a class of your own gives the attribute a meaning. One that the class reads is not reported, nor
    an attribute of `self` that gets anything but True or False.

    ## Fix safety

    Unsafe: other parameters are trained than before, those that were meant. The method
    `requires_grad_` is called, or the name is put right; a plain name in a loop is left to you.

    ## References

    - [torch.nn.Module.requires_grad_](https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html#torch.nn.Module.requires_grad_)
    - [Autograd mechanics: setting requires_grad](https://docs.pytorch.org/docs/stable/notes/autograd.html#setting-requires-grad)
    """

    code = "STB153"
    severity = Severity.ERROR
    confidence = Confidence.HIGH
    since = "0.1.0"

    bad = [
        # the page's example
        """\
from torchvision.models import mobilenet_v3_large

model = mobilenet_v3_large(weights="DEFAULT")
for p in model.parameters():
    p.requires_grad = False
model.classifier[3].requires_grad = True  # flagged
""",
        # layers of one's own
        """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(8, 8), nn.ReLU())
        self.head = nn.Linear(8, 2)
        self.backbone.requires_grad = False  # flagged

    def freeze(self, frozen):
        self.head.requires_grad = not frozen  # flagged
        self.backbone[0].requires_grad = False  # flagged

    def forward(self, x):
        return self.head(self.backbone(x))
""",
        # the elements of children
        """\
import torchvision

resnet = torchvision.models.resnet18(pretrained=True)
for child in resnet.children():
    child.requires_grad = False  # flagged
for name, child in resnet.named_children():
    if name != "fc":
        child.requires_grad = False  # flagged
for child in list(resnet.children())[:6]:
    child.requires_grad = False  # flagged
""",
        # a whole model
        """\
import torch
from torch import nn
from transformers import AutoModel

class Encoder(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.proj = nn.Linear(width, width)

    def forward(self, x):
        return self.proj(x)

def build():
    teacher = Encoder(64)
    teacher.requires_grad = False  # flagged
    bert = AutoModel.from_pretrained("bert-base-uncased")
    bert.requires_grad = False  # flagged
    return teacher, bert
""",
        # misspelt
        """\
import torch
from torch import nn

net = nn.Linear(4, 4)
for p in net.parameters():
    p.require_grad = False  # flagged
net.weight.requires_grads = False  # flagged
net.bias.required_grad = False  # flagged
""",
        # the plain name
        """\
import torch
from torch import nn

def freeze(model: nn.Module):
    for p in model.parameters():
        requires_grad = False  # flagged
    for name, p in model.named_parameters():
        if "bn" in name:
            requires_grad = False  # flagged
""",
        # annotated as a module
        """\
import torch.nn as nn

def freeze(module: nn.Module) -> None:
    module.requires_grad = False  # flagged
""",
        # a head that was replaced, behind a frozen body
        """\
import timm
from torch import nn

def transfer(classes):
    model = timm.create_model("resnet50", pretrained=True)
    for p in model.parameters():
        p.requires_grad = False
    model.layer4.requires_grad = True  # flagged
    model.fc = nn.Linear(2048, classes)
    return model
""",
        # models of which nothing is known but what is done with them
        """\
import torch
from builders import build

class Guided(torch.nn.Module):
    def __init__(self, config):
        super().__init__()
        teacher = build(config)
        self.teacher = teacher.eval()
        self.teacher.requires_grad = False  # flagged
        self.critic = build(config.critic)
        self.critic.requires_grad = False  # flagged

    def forward(self, x):
        return self.teacher(x) - self.critic(x)

def freeze(net):
    print(sum(p.numel() for p in net.parameters()))
    if net is not None:
        net.requires_grad = False  # flagged
""",
        # what a function is given: once it certainly is a module
        """\
from torch import nn
from parts import make_positions, make_tokens

class Encoder(nn.Module):
    def __init__(self, freeze):
        super().__init__()
        self.tokens = make_tokens()
        self.positions = make_positions() if freeze else None
        self.norm = nn.LayerNorm(8)

        def fix(part):
            if part is not None:
                part.requires_grad = False  # flagged

        fix(self.tokens)
        fix(self.positions)
        fix(self.norm)
""",
        # all of itself
        """\
import torch
from torch import nn

class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def freeze(self):
        self.eval()
        self.requires_grad = False  # flagged

    def forward(self, x):
        return self.fc(x)
""",
        # nothing was frozen: a note
        """\
from torch import nn

net = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 1))
net.requires_grad = True  # flagged
""",
        # the two halves are in two files
        """\
# file: models/net.py
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Linear(16, 16)
        self.head = nn.Linear(16, 10)

    def forward(self, x):
        return self.head(self.body(x).relu())

# file: train.py
import torch
from models.net import Net

model = Net()
model.body.requires_grad = False  # flagged
""",
    ]

    fixed = [
        """\
from torchvision.models import mobilenet_v3_large

model = mobilenet_v3_large(weights="DEFAULT")
for p in model.parameters():
    p.requires_grad = False
model.classifier[3].requires_grad_(True)
""",
        """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(8, 8), nn.ReLU())
        self.head = nn.Linear(8, 2)
        self.backbone.requires_grad_(False)

    def freeze(self, frozen):
        self.head.requires_grad_(not frozen)
        self.backbone[0].requires_grad_(False)

    def forward(self, x):
        return self.head(self.backbone(x))
""",
        """\
import torchvision

resnet = torchvision.models.resnet18(pretrained=True)
for child in resnet.children():
    child.requires_grad_(False)
for name, child in resnet.named_children():
    if name != "fc":
        child.requires_grad_(False)
for child in list(resnet.children())[:6]:
    child.requires_grad_(False)
""",
        """\
import torch
from torch import nn
from transformers import AutoModel

class Encoder(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.proj = nn.Linear(width, width)

    def forward(self, x):
        return self.proj(x)

def build():
    teacher = Encoder(64)
    teacher.requires_grad_(False)
    bert = AutoModel.from_pretrained("bert-base-uncased")
    bert.requires_grad_(False)
    return teacher, bert
""",
        """\
import torch
from torch import nn

net = nn.Linear(4, 4)
for p in net.parameters():
    p.requires_grad = False
net.weight.requires_grad = False
net.bias.requires_grad = False
""",
        None,
        """\
import torch.nn as nn

def freeze(module: nn.Module) -> None:
    module.requires_grad_(False)
""",
        """\
import timm
from torch import nn

def transfer(classes):
    model = timm.create_model("resnet50", pretrained=True)
    for p in model.parameters():
        p.requires_grad = False
    model.layer4.requires_grad_(True)
    model.fc = nn.Linear(2048, classes)
    return model
""",
        """\
import torch
from builders import build

class Guided(torch.nn.Module):
    def __init__(self, config):
        super().__init__()
        teacher = build(config)
        self.teacher = teacher.eval()
        self.teacher.requires_grad_(False)
        self.critic = build(config.critic)
        self.critic.requires_grad_(False)

    def forward(self, x):
        return self.teacher(x) - self.critic(x)

def freeze(net):
    print(sum(p.numel() for p in net.parameters()))
    if net is not None:
        net.requires_grad_(False)
""",
        """\
from torch import nn
from parts import make_positions, make_tokens

class Encoder(nn.Module):
    def __init__(self, freeze):
        super().__init__()
        self.tokens = make_tokens()
        self.positions = make_positions() if freeze else None
        self.norm = nn.LayerNorm(8)

        def fix(part):
            if part is not None:
                part.requires_grad_(False)

        fix(self.tokens)
        fix(self.positions)
        fix(self.norm)
""",
        """\
import torch
from torch import nn

class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def freeze(self):
        self.eval()
        self.requires_grad_(False)

    def forward(self, x):
        return self.fc(x)
""",
        """\
from torch import nn

net = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 1))
net.requires_grad_(True)
""",
        """\
import torch
from models.net import Net

model = Net()
model.body.requires_grad_(False)
""",
    ]

    good = [
        # parameters
        """\
import torchvision

model = torchvision.models.resnet18()
for p in model.parameters():
    p.requires_grad = False
for name, p in model.named_parameters():
    p.requires_grad = "fc" in name
for p in list(model.parameters())[:10]:
    p.requires_grad = False
""",
        # the method
        """\
from torch import nn

net = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
net.requires_grad_(False)
net[0].requires_grad_(True)
""",
        # parameters of layers
        """\
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)
        self.scale = nn.Parameter(nn.Linear(1, 1).weight)
        self.fc.weight.requires_grad = False
        self.fc.bias.requires_grad = False
        self.scale.requires_grad = False
""",
        # an attribute of one's own
        """\
import torch
from torch import nn

class Attention(nn.Module):
    def __init__(self, requires_grad=True):
        super().__init__()
        self.requires_grad = requires_grad
        if requires_grad:
            self.beta = nn.Parameter(torch.ones(1))

    def forward(self, x):
        return x * self.beta if self.requires_grad else x

def build():
    layer = Attention()
    layer.requires_grad = False
    return layer
""",
        # a parameter among modules
        """\
from torch import nn

def freeze(model):
    for m in model.modules_and_parameters():
        if isinstance(m, nn.Parameter):
            m.requires_grad = False
        else:
            m.requires_grad_(False)

def lock(module: nn.Module):
    if isinstance(module, nn.Parameter):
        module.requires_grad = False
""",
        # tensors
        """\
import torch

x = torch.randn(3)
x.requires_grad = True
y = torch.zeros(3, requires_grad=True)
y.requires_grad = False
""",
        # nobody knows what it is
        """\
import torch

def freeze(thing, things):
    thing.requires_grad = False
    thing.head.requires_grad = False
    for one in things:
        one.requires_grad = False
""",
        # a module or a tensor
        """\
import torch
from torch import nn

def freeze(thing):
    if isinstance(thing, torch.Tensor):
        thing.requires_grad = False
    else:
        for p in thing.parameters():
            p.requires_grad = False

class Node(nn.Module):
    requires_grad: bool

    def freeze(self):
        self.requires_grad = False

    def forward(self, x):
        return x.requires_grad_(self.requires_grad)
""",
        # a parameter list
        """\
import torch
from torch import nn

class Scales(nn.Module):
    def __init__(self):
        super().__init__()
        self.scales = nn.ParameterList([nn.Parameter(torch.ones(1)) for _ in range(3)])
        for scale in self.scales:
            scale.requires_grad = False
        self.scales[0].requires_grad = True
""",
        # a name that is read
        """\
import torch
from torch import nn

def freeze(model: nn.Module, depth):
    for name, p in model.named_parameters():
        requires_grad = False
        if name.startswith(f"layer{depth}"):
            requires_grad = True
        p.requires_grad = requires_grad
""",
        # an own attribute that is spelt so
        """\
import torch

class Node:
    def __init__(self, require_grad):
        self.require_grad = require_grad

    def backward(self):
        return self.require_grad

node = Node(True)
node.require_grad = False
""",
        # the modules' parameters
        """\
from torch import nn

def freeze_norms(model: nn.Module):
    for m in model.modules():
        if isinstance(m, nn.BatchNorm2d):
            m.weight.requires_grad = False
            m.bias.requires_grad = False
            for p in m.parameters():
                p.requires_grad = False
""",
        # an input
        """\
import torch
from torch import nn

def saliency(model: nn.Module, image):
    image.requires_grad = True
    model(image).max().backward()
    return image.grad.abs()
""",
        # a class that hands it on
        """\
import torch
from torch import nn

class Frozen(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)

    @property
    def requires_grad(self):
        return self.fc.weight.requires_grad

    @requires_grad.setter
    def requires_grad(self, value):
        self.fc.requires_grad_(value)

net = Frozen()
net.requires_grad = False
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report assignments that only make a new attribute or name."""
        assigned = facts.statements.attribute_assignments
        freezes = "requires_grad_" in source.ask(facts.syntax).identifiers or any(
            source.code(statement.value) != "True" for statement, _ in assigned(source, "requires_grad")
        )
        for statement, target in assigned(source, "requires_grad"):
            if not _may_be_parameter(source, statement) and (
                _is_module(source, target.value) or _is_own_freeze(source, statement, target)
            ):
                is_redundant = not freezes and source.code(statement.value) == "True"
                yield Report(
                    target,
                    "requires_grad of a module is only a new attribute: its parameters are left as they are",
                    severity=Severity.NOTE if is_redundant else None,
                    fix=_fix(source, statement, target, is_module=True),
                )
        yield from _misspelt(source)
        yield from _plain_names(source)


_MISSPELT = (
    "require_grad",
    "require_grads",
    "requires_grads",
    "required_grad",
    "requires_gradient",
    "requires_gradients",
    "requiers_grad",
    "requires_gard",
)
_MEMBERS = re.compile(
    r"(features|classifier|fc|head|heads|encoder|decoder|backbone|layers?\d*|blocks|stages|embeddings)$"
)
"""What the submodules of known models are called; a parameter is not."""
_ITERATED = ("children", "modules", "named_children", "named_modules")
_CONTAINERS = ("torch.nn.Sequential", "torch.nn.ModuleList", "torch.nn.ModuleDict")


def _is_module(source: SourceFile, node: cst.BaseExpression) -> bool:
    found = [
        option
        for term in _given(source, node)
        for option in facts.terms.options(facts.evaluation.without_none(term))
        if not (isinstance(option, facts.terms.Constant) and option.value is None)
    ]
    modules = [
        term for term in found if _is_module_term(source, term) or _is_treated_as_module(source, node, term)
    ]
    return bool(modules) and all(term in modules or isinstance(term, _unknown()) for term in found)


def _given(source: SourceFile, node: cst.BaseExpression) -> list[Term]:
    """Return what an expression holds; of a parameter, what each call gives, however many these are."""
    known = source.ask(facts.values)
    raw = known.raw(node)
    calls = known.interpreter.actuals.get(raw.function, ()) if isinstance(raw, facts.terms.Parameter) else ()
    if not calls or not isinstance(raw, facts.terms.Parameter):
        return [known.of(node)]
    return [known.resolve(actual.get(raw.name, raw)) for actual in calls]


def _unknown() -> tuple[type[Term], ...]:
    """Return the kinds of terms that may be anything, a module too: what one of several callers gives."""
    terms = facts.terms
    return (terms.Unknown, terms.Call, terms.Attribute, terms.Item)


_OF_MODULES = (
    "eval",
    "parameters",
    "named_parameters",
    "children",
    "modules",
    "state_dict",
    "load_state_dict",
)


def _is_treated_as_module(source: SourceFile, node: cst.BaseExpression, term: Term) -> bool:
    """Whether the file calls something, or a method that modules have: no tensor can be called."""
    terms, known = facts.terms, source.ask(facts.values)
    if not isinstance(term, terms.Call | terms.Attribute | terms.Item | terms.Parameter | terms.Unknown):
        return False
    match term:
        case terms.Call(callee=terms.Attribute(name="eval"), positional=()):
            return True
        case terms.Parameter(annotation=annotation, kind=kind) if annotation or kind:
            return False
    calls = source.ask(facts.syntax).calls
    methods = [call.node.func for name in _OF_MODULES for call in calls.get(name, ())]
    used = [value for value in (getattr(method, "value", None) for method in methods) if value is not None]
    used += [call.node.func for call in calls.get(facts.roles.called(term, node), ())]
    return any(terms.same(option, term) for one in used for option in terms.options(known.of(one)))


def _is_own_freeze(source: SourceFile, statement: cst.Assign, target: cst.Attribute) -> bool:
    """Whether a module sets the attribute of itself, and nothing in the file reads it: `self.requires_grad = False`."""
    term = source.ask(facts.values).of(target.value)
    if not isinstance(term, facts.terms.Receiver) or source.code(statement.value) not in ("True", "False"):
        return False
    model = source.ask(facts.models).of(term.scope)
    reads = re.search(r"def requires_grad\b|\bself\.requires_grad\b(?!\s*=[^=])", source.text)
    return model is not None and model.is_certain and reads is None


def _is_module_term(source: SourceFile, term: Term) -> bool:
    terms, models = facts.terms, source.ask(facts.models)
    match term:
        case terms.Operation(name="requires_grad", operands=(inner, *_)):
            return _is_module_term(source, inner)
        case terms.Instance(dotted=dotted, scope=None):
            is_pretrained = dotted.startswith("transformers.") and dotted.endswith(".from_pretrained")
            is_model = re.search(r"Model|For[A-Z]", dotted) is not None
            return (is_pretrained and is_model) or facts.registration.is_made(models, term)
        case terms.Instance(scope=scope):
            is_own = re.search(r"def requires_grad\b|\bself\.requires_grad\b", source.text) is not None
            return models.of(scope) is not None and not is_own
        case terms.Parameter(kind=kind):
            return models.of(kind) is not None or facts.roles.made_as(term) == "module"
        case terms.Attribute(base=base, name=name):
            return _MEMBERS.match(name) is not None and _is_from_outside(source, base)
        case terms.Item():
            return _is_element(source, term.base)
        case _:
            return False


def _is_from_outside(source: SourceFile, term: Term) -> bool:
    """Whether a term is a model from outside the file, or a member of one."""
    if isinstance(term, facts.terms.Item | facts.terms.Attribute):
        return _is_from_outside(source, term.base)
    return isinstance(term, facts.terms.Instance) and term.scope is None and _is_module_term(source, term)


def _is_element(source: SourceFile, base: Term) -> bool:
    """Whether the elements of a term are modules."""
    terms = facts.terms
    match base:
        case terms.Call(callee=terms.Attribute(name=name)):
            return name in _ITERATED[:2]
        case terms.Item(base=terms.Call(callee=terms.Attribute(name=name))):
            return name in _ITERATED[2:]
        case terms.Operation(name="list" | "index" | "enumerate", operands=(inner, *_)):
            return _is_element(source, inner)
        case terms.Instance(dotted=dotted):
            return dotted in _CONTAINERS
        case terms.Attribute():
            return _is_module_term(source, base)
        case _:
            return False


def _may_be_parameter(source: SourceFile, statement: cst.CSTNode) -> bool:
    """Whether a test around a statement asks for parameters."""
    block = facts.statements.block_of(source, statement)
    tests = [getattr(one.node, "test", None) for one in (block.outward() if block is not None else ())]
    return any(re.search(r"Parameter|Tensor", source.code(test)) for test in tests if test is not None)


def _misspelt(source: SourceFile) -> Iterator[Report]:
    for statement, target in facts.statements.attribute_assignments(source, *_MISSPELT):
        name = target.attr.value
        mentions = len(re.findall(rf"\.{name}\b", source.text))
        written = len(list(facts.statements.attribute_assignments(source, name)))
        is_own = (
            isinstance(source.ask(facts.values).of(target.value), facts.terms.Receiver) or mentions > written
        )
        if is_own or source.code(statement.value) not in ("True", "False"):
            continue
        yield Report(
            target,
            f"{name} is only a new attribute: the one that autograd reads is requires_grad",
            fix=_fix(source, statement, target, is_module=_is_module(source, target.value)),
        )


def _plain_names(source: SourceFile) -> Iterator[Report]:
    """Yield `requires_grad = False` in a loop over parameters where nothing reads the name."""
    shape = source.ask(facts.syntax)
    for scope in (shape.module, *shape.functions):
        for binding in scope.bindings.get("requires_grad", ()):
            loop = facts.statements.innermost_loop(source, binding.node)
            if binding.kind != "assign" or loop is None or loop.kind != "for":
                continue
            over = source.code(getattr(loop.node, "iter", loop.node))
            if re.search(r"parameters\(\)", over) and not re.search(_READ, source.text):
                message = "requires_grad is a plain name here: the parameter of this round is left as it is"
                yield Report(binding.node, message)


_READ = r"(?<![.\w'\"])requires_grad\b(?!\s*=[^=])"


def _fix(
    source: SourceFile, statement: cst.Assign, target: cst.Attribute, *, is_module: bool
) -> ProposedFix | None:
    if not is_module:
        return ProposedFix(
            "write requires_grad", Applicability.UNSAFE, (Replace(target.attr, "requires_grad"),)
        )
    if len(statement.targets) != 1:
        return None
    text = f"{source.code(target.value)}.requires_grad_({source.code(statement.value)})"
    return ProposedFix(f"call requires_grad_: `{text}`", Applicability.UNSAFE, (Replace(statement, text),))
