"""STB704 half-model-training."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stablint.finding import Confidence, Severity
from stablint.rule import Mark, Report, StaticRule
from stablint.static import facts

if TYPE_CHECKING:
    import libcst as cst

    from stablint.static.facts.scopes import Block, Scope
    from stablint.static.facts.sites import Site
    from stablint.static.facts.terms import Instance, Term
    from stablint.static.source import SourceFile


class HalfModelTraining(StaticRule):
    """The parameters that an optimizer trains are in float16.

    ## What it does
    Reports models that are converted with `model.half()` or `model.to(torch.float16)`, or loaded with
    `torch_dtype=torch.float16`, and whose parameters an optimizer of `torch.optim` is given.

    ## Why it is bad
    float16 has 11 bits and nothing between 0 and 6e-8. Adam's `eps` of 1e-8 is 0 there: a weight whose gradient is 0
    becomes NaN in the first step, and one whose gradient is 1e-4 becomes `-inf`, since the square of 1e-4 is 0, too.
    AdamW, NAdam, RMSprop and Adagrad do the same. With SGD, Adadelta or a larger `eps` the weights stay finite, but
    what is less than 1/4096 of a weight is lost in each step: 1 - 1e-4 is 1, and a weight of 1 with gradients of 0.1
    at `lr=1e-3` does not move at all (measured with torch 2.13). `GradScaler` refuses such gradients.

    ## Example
    ```python
    model = Net().cuda().half()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    ```

    ## Use instead
    ```python
    model = Net().cuda()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    scaler = torch.amp.GradScaler("cuda")
    ...
    with torch.autocast("cuda", dtype=torch.float16):
        loss = criterion(model(x), y)
    ```
    With `torch.bfloat16` the range is that of float32 (but only 8 bits: small updates are lost all the more).

    ## When to ignore it
    When a library that the rule does not know keeps float32 weights beside. A model that is only halved for
    evaluation or export, that is turned back by `.float()`, whose optimizer is given on to something that may hold
    float32 weights (apex, DeepSpeed, a wrapper), and frozen float16 models with adapters are not reported.

    ## Fix safety
    There is no fix: mixed precision needs autocast and a scaler in the training loop.

    ## References
    - [Automatic mixed precision](https://docs.pytorch.org/docs/stable/amp.html): "you should not call half() ..."
    - [torch.optim.Adam](https://docs.pytorch.org/docs/stable/generated/torch.optim.Adam.html)
    - [Mixed precision training, section 3.1](https://arxiv.org/abs/1710.03740)
    """

    code = "STB704"
    severity = Severity.ERROR
    confidence = Confidence.HIGH
    since = "0.1.0"

    bad = [
        # the page's example
        """\
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 8)

    def forward(self, x):
        return self.fc(x)


model = Net().cuda().half()  # flagged
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
""",
        # a trainer, by `to`, in groups
        """\
import torch
from torch import nn


class Trainer:
    def __init__(self, device):
        self.body, self.head = nn.Linear(8, 8), nn.Linear(8, 2)
        self.body.to(device, torch.float16)  # flagged
        self.head.to(device)
        groups = [{"params": self.body.parameters(), "lr": 1e-4}, {"params": self.head.parameters()}]
        self.optimizer = torch.optim.AdamW(groups, lr=1e-3)
""",
        # loaded in float16
        """\
import torch
from transformers import AutoModelForCausalLM


def finetune(loader):
    model = AutoModelForCausalLM.from_pretrained("gpt2", torch_dtype=torch.float16).cuda()  # flagged
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
    for batch in loader:
        optimizer.zero_grad()
        model(**batch).loss.backward()
        optimizer.step()
""",
        # a function builds the model, and a setting halves it
        """\
import torch
from torchvision.models import resnet18


def build(args):
    model = resnet18(num_classes=10)
    if args.fp16:
        model = model.half()  # flagged
    return model.cuda()


def main(args):
    model = build(args)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    return model, optimizer
""",
        # halved after the optimizer was made: it holds the same parameters
        """\
import torch
import torch.nn.functional as F
from torch import nn


def train(loader):
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2)).cuda()
    optimizer = torch.optim.RMSprop(list(model.parameters()), lr=1e-3)
    model.half()  # flagged
    for x, y in loader:
        optimizer.zero_grad()
        F.cross_entropy(model(x.half()).float(), y).backward()
        optimizer.step()
""",
        # an epsilon that float16 has keeps it finite, no more
        """\
import torch
from torch import nn

from engine import train_one_epoch

model = nn.Linear(8, 8).half()  # flagged
optimizer = torch.optim.Adam([p for p in model.parameters()], lr=1e-3, eps=1e-4)
train_one_epoch(model, optimizer)
""",
    ]

    good = [
        # mixed precision
        """\
import torch
from torch import nn

model = nn.Linear(8, 8).cuda()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
scaler = torch.amp.GradScaler("cuda")
""",
        # bfloat16, float64
        """\
import torch
from torch import nn

model, other = nn.Linear(8, 8).to(torch.bfloat16), nn.Linear(8, 8).double()
optimizer = torch.optim.Adam([*model.parameters(), *other.parameters()], lr=1e-3)
""",
        # halved when training is over, or to evaluate
        """\
import torch
import torch.nn.functional as F
from torch import nn


def train(args, loader):
    model = nn.Linear(8, 8)
    if args.eval_only:
        model.half()
        return model(next(iter(loader)))
    optimizer = torch.optim.Adam(model.parameters())
    for x, y in loader:
        optimizer.zero_grad()
        F.mse_loss(model(x), y).backward()
        optimizer.step()
    torch.save(model.half().state_dict(), "half.pt")


def export(path):
    model = nn.Linear(8, 8)
    model.load_state_dict(torch.load(path))
    return model.half().eval()
""",
        # one branch trains, the other one is in float16
        """\
import torch
from torch import nn


def prepare(args):
    model, optimizer = nn.Linear(8, 8), None
    if args.train:
        optimizer = torch.optim.Adam(model.parameters())
    else:
        model = model.half().eval()
    return model, optimizer
""",
        # a teacher, a frozen backbone: the optimizer has other parameters
        """\
import torch
from torch import nn


def distil(args):
    teacher, student = nn.Linear(8, 8).half(), nn.Linear(8, 8)
    backbone, adapter = nn.Linear(8, 8).half().requires_grad_(False), nn.Linear(8, 8)
    return torch.optim.Adam([*student.parameters(), *adapter.parameters()])
""",
        # adapters in float32 inside a frozen float16 model
        """\
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

base = AutoModelForCausalLM.from_pretrained("gpt2", torch_dtype=torch.float16)
model = get_peft_model(base, LoraConfig())
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
trained = torch.optim.AdamW(filter(lambda p: p.requires_grad, base.parameters()), lr=1e-4)
""",
        # libraries that keep float32 weights beside
        """\
import torch
from torch import nn

from precision import MasterWeights


def wrapped(args):
    model = nn.Linear(8, 8).cuda().half()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    optimizer = MasterWeights(optimizer, dynamic_loss_scale=True)
    return model, optimizer
""",
        """\
import torch
from apex import amp
from torch import nn

model = nn.Linear(8, 8).cuda().half()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
""",
        # turned back, by the model or by its weights
        """\
import torch
from torch import nn

model = nn.Linear(8, 8).half()
calibrate(model)
model.float()
optimizer = torch.optim.Adam(model.parameters())
""",
        # only the data is in float16; the type is not known
        """\
import torch
from torch import nn


def run(x, dtype):
    model, other = nn.Linear(8, 8), nn.Linear(8, 8).to(dtype)
    optimizer = torch.optim.Adam([*model.parameters(), *other.parameters()])
    return model(x.half().float()), optimizer
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report the places where models become float16 whose parameters are trained."""
        shape = source.ask(facts.syntax)
        if not shape.identifiers & {"half", "float16"} or shape.packages & _KEEP_MASTERS:
            return
        optimizers = list(_optimizers(source))
        for half in _half_models(source) if optimizers else ():
            found = next((one for one in optimizers if _trains(source, one, half)), None)
            if found is not None and not _is_undone(source, half):
                underflows = _underflows(found)
                yield Report(
                    half.node,
                    "the parameters are trained in float16, "
                    + (
                        "in which the optimizer's eps is 0: NaN"
                        if underflows
                        else "which loses small updates"
                    ),
                    severity=None if underflows else Severity.WARNING,
                    related=(Mark(found.made.node, f"the parameters are given to {found.name}"),),
                )


_KEEP_MASTERS = {"apex", "deepspeed", "peft", "bitsandbytes", "colossalai", "fairscale"}
"""Who imports one of these may hold float32 weights beside, or train float32 adapters only."""


@dataclass(frozen=True, slots=True)
class _Half:
    """A place where a model becomes float16, or is made in it."""

    node: cst.CSTNode
    scope: Scope
    block: Block | None
    models: tuple[Instance, ...]


@dataclass(frozen=True, slots=True)
class _Optimizer:
    site: Site
    made: Instance
    models: tuple[Instance, ...]

    @property
    def name(self) -> str:
        return self.made.dotted.rsplit(".", 1)[-1]


def _half_models(source: SourceFile) -> Iterator[_Half]:
    terms, shape = facts.terms, source.ask(facts.syntax)
    sites = source.ask(facts.values).interpreter.sites
    for halved in source.ask(facts.halves).converted:
        models = tuple(one for one in terms.options(halved.model) if isinstance(one, terms.Instance))
        statement = sites[id(halved.node)][2] if id(halved.node) in sites else None
        stands = shape.blocks.get(statement) if statement is not None else None
        yield _Half(halved.node, halved.scope, stands[1] if stands is not None else None, models)
    loaded = [dotted for dotted in source.ask(facts.operations).made if dotted.endswith(".from_pretrained")]
    for site, model in source.ask(facts.operations).instances(*loaded):
        dtype = model.keywords.get("torch_dtype") or model.keywords.get("dtype")
        if dtype is not None and getattr(dtype, "dotted", "") in facts.autocasting.HALVES:
            yield _Half(site.node, site.scope, site.block, (model,))


def _optimizers(source: SourceFile) -> Iterator[_Optimizer]:
    operations = source.ask(facts.operations)
    for dotted in [name for name in operations.made if name.startswith("torch.optim.")]:
        for site, made in operations.instances(dotted):
            if facts.roles.made_as(made) == "optimizer" and not _is_wrapped(source, site):
                yield _Optimizer(site, made, tuple(_models_of(made)))


def _models_of(optimizer: Instance) -> Iterator[Instance]:
    """Yield the models all of whose parameters an optimizer is given."""
    terms = facts.terms
    named = optimizer.keywords.get("params")
    given = [*optimizer.positional[:1], *([named] if named is not None else [])]
    for part in (inner for one in given for inner in terms.within(one, 200)):
        if isinstance(part, terms.Operation) and part.name == "filter":
            return
        callee = part.callee if isinstance(part, terms.Call) else None
        if isinstance(callee, terms.Attribute) and callee.name in ("parameters", "named_parameters"):
            yield from (one for one in terms.options(callee.base) if isinstance(one, terms.Instance))


def _is_wrapped(source: SourceFile, site: Site) -> bool:
    """Whether something is made of an optimizer of which it is not known what it keeps beside."""
    uses = source.ask(facts.uses)
    return any(
        _wraps(source, user, option) for option in facts.terms.options(site.raw) for user in uses.of(option)
    )


def _wraps(source: SourceFile, user: Term, optimizer: Term) -> bool:
    terms = facts.terms
    if not isinstance(user, terms.Instance | terms.Call):
        return False
    if isinstance(user, terms.Instance) and "lr_scheduler" in user.dotted:
        return False
    site = source.ask(facts.values).interpreter.sites.get(id(user.node))
    is_statement = site is not None and getattr(site[2], "value", None) is user.node and _is_bare(site[2])
    return not is_statement and optimizer in (*user.positional, *user.keywords.values())


def _is_bare(statement: cst.CSTNode | None) -> bool:
    """Whether the result of a statement is thrown away: `train_one_epoch(model, optimizer)`."""
    return type(statement).__name__ == "Expr"


def _trains(source: SourceFile, optimizer: _Optimizer, half: _Half) -> bool:
    """Whether an optimizer trains a model that is float16 by then."""
    shared = [model for model in half.models if any(model.node is other.node for other in optimizer.models)]
    if not shared or _are_exclusive(half.block, optimizer.site.block) or _leaves(half.block):
        return False
    here, there = half.scope.function, optimizer.site.scope.function
    if here is not there:  # elsewhere: only where the model is made
        sites = source.ask(facts.values).interpreter.sites
        made = [sites[id(model.node)][1].function for model in shared if id(model.node) in sites]
        return bool(made) and all(function is here for function in made)
    later = [
        call.node
        for call in source.ask(facts.syntax).calls.get("backward", ())
        if call.scope.function is here
    ]
    spans = source.spans([half.node, optimizer.made.node, *later])
    start = spans[id(half.node)].start
    return any(spans[id(node)].start >= start for node in (optimizer.made.node, *later) if id(node) in spans)


def _are_exclusive(one: Block | None, other: Block | None) -> bool:
    """Whether two places stand in different branches of one `if`."""
    ways = {block.node: block.kind for block in (one.outward() if one is not None else ())}
    return any(
        ways.get(block.node, block.kind) != block.kind
        for block in (other.outward() if other is not None else ())
    )


def _leaves(block: Block | None) -> bool:
    """Whether a branch ends the function: a model that is halved there goes no further."""
    if block is None or block.kind not in ("if", "else"):
        return False
    suite = getattr(block.node, "body", None) if block.kind == "if" else None
    last = suite.body[-1] if suite is not None and suite.body else None
    small = (
        last.body[-1] if last is not None and isinstance(getattr(last, "body", None), tuple | list) else last
    )
    return type(small).__name__ in ("Return", "Raise")


def _is_undone(source: SourceFile, half: _Half) -> bool:
    """Whether a model is turned back into float32 anywhere, or weights are written by hand."""
    shape, values, terms = source.ask(facts.syntax), source.ask(facts.values), facts.terms
    for call in shape.calls.get("float", ()):
        base = getattr(call.node.func, "value", None)
        turned = terms.options(values.of(base)) if base is not None else ()
        if any(getattr(one, "node", None) is model.node for one in turned for model in half.models):
            return True
    return any(getattr(getattr(store.target, "attr", None), "value", "") == "data" for store in shape.stores)


_EPSILONS = {"Adam": 1e-8, "AdamW": 1e-8, "NAdam": 1e-8, "RMSprop": 1e-8, "Adagrad": 1e-10, "Adamax": 1e-8}


def _underflows(optimizer: _Optimizer) -> bool:
    """Whether an optimizer divides by an epsilon that is 0 in float16."""
    if optimizer.name not in _EPSILONS or optimizer.made.open_arguments:
        return False
    given: Term | None = optimizer.made.keywords.get("eps")
    value = facts.terms.number(given) if given is not None else _EPSILONS[optimizer.name]
    return value is not None and value <= facts.half_precision.VANISHING
