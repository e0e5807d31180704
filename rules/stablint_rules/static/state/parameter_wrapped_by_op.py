"""STB606 parameter-wrapped-by-op: what is kept is no parameter, but a tensor computed from one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from stablint.finding import Applicability, Confidence, Severity
from stablint.rule import ProposedFix, Replace, Report, StaticRule
from stablint.static import facts
from stablint.static.torch_api.groups import words

if TYPE_CHECKING:
    from stablint.static.facts.classes import Held
    from stablint.static.facts.terms import Operation, Term
    from stablint.static.source import SourceFile


class ParameterWrappedByOp(StaticRule):
    """An attribute holds what an operation makes of an `nn.Parameter`, and so is no parameter itself.

    ## What it does

    In an `nn.Module`, reports an attribute that is set to an `nn.Parameter` moved, converted, reshaped or
    multiplied (`nn.Parameter(t).cuda()`, `nn.Parameter(t) * 0.02`), if the parameter itself is not
    registered under another name. `.float()`, `.contiguous()` and methods that work in place are left
    alone: they return the parameter itself, or usually do.

    ## Why it is bad

    `nn.Module` registers what is an `nn.Parameter`. The result of an operation is a plain tensor that is
    computed from one: a module with `self.a = nn.Parameter(torch.randn(4)).double()`, `self.b =
    nn.Parameter(torch.randn(4)) * 0.02` and `self.c = nn.Parameter(torch.randn(4)).unsqueeze(0)` has no
    parameters and an empty `state_dict()` (torch 2.13). The optimizer never gets it, so it keeps its
    first random values; no checkpoint holds it, and `.to(device)` leaves it where it is.

    `.cuda()` and `.to(device)` return the parameter itself where nothing has to be moved. Such code
    trains on one machine and does not on another.

    ## Example

    ```python
    self.w = nn.Parameter(torch.randn(8)).cuda()
    ```

    ## Use instead

    ```python
    self.w = nn.Parameter(torch.randn(8, device="cuda"))
    ```

    ## When to ignore it

    When fixed random values are wanted. Then a buffer says so: `self.register_buffer("w", torch.randn(8))`.

    ## Fix safety

    Unsafe: the attribute becomes a parameter, which is trained and saved. The operation is moved inside:
    `nn.Parameter(torch.randn(8).cuda())`.

    ## References

    - [torch.nn.Parameter](https://docs.pytorch.org/docs/stable/generated/torch.nn.parameter.Parameter.html)
    - [torch.Tensor.is_leaf](https://docs.pytorch.org/docs/stable/generated/torch.Tensor.is_leaf.html)
    - [torch.Tensor.to](https://docs.pytorch.org/docs/stable/generated/torch.Tensor.to.html)
    """

    code = "STB606"
    severity = Severity.ERROR
    confidence = Confidence.HIGH
    since = "0.1.0"

    bad = [
        # moved to the GPU
        """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, n, device):
        super().__init__()
        self.w = nn.Parameter(torch.randn(n)).cuda()  # flagged

    def forward(self, x):
        return x * self.w
""",
        # moved to a device, and reshaped
        """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, n, device):
        super().__init__()
        self.w = nn.Parameter(torch.randn(n)).to(device).unsqueeze(0)  # flagged

    def forward(self, x):
        return x * self.w
""",
        # scaled
        """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, n, device):
        super().__init__()
        self.w = nn.Parameter(torch.randn(n)) * 0.02  # flagged

    def forward(self, x):
        return x * self.w
""",
        # in another precision, under another name
        """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, n, device):
        super().__init__()
        self.w = torch.nn.parameter.Parameter(data=torch.zeros(n)).double()  # flagged

    def forward(self, x):
        return x * self.w
""",
        # in two steps
        """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, n):
        super().__init__()
        weight = nn.Parameter(torch.empty(n, n))
        nn.init.xavier_uniform_(weight)
        self.w = weight.t()  # flagged

    def forward(self, x):
        return x @ self.w
""",
        # made by a helper, frozen; a sum
        """\
import torch
from torch import nn

def learned(n):
    return nn.Parameter(torch.randn(n, n))

class Net(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.w = learned(n).half()  # flagged
        self.bias = 1 + nn.Parameter(torch.zeros(n))  # flagged
        self.gain = nn.Parameter(torch.zeros(n)) + 1  # flagged

    def forward(self, x):
        return x @ self.w * self.gain + self.bias
""",
    ]

    fixed = [
        """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, n, device):
        super().__init__()
        self.w = nn.Parameter(torch.randn(n).cuda())  # flagged

    def forward(self, x):
        return x * self.w
""",
        """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, n, device):
        super().__init__()
        self.w = nn.Parameter(torch.randn(n).to(device).unsqueeze(0))  # flagged

    def forward(self, x):
        return x * self.w
""",
        """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, n, device):
        super().__init__()
        self.w = nn.Parameter(torch.randn(n) * 0.02)  # flagged

    def forward(self, x):
        return x * self.w
""",
        None,
        None,
        """\
import torch
from torch import nn

def learned(n):
    return nn.Parameter(torch.randn(n, n))

class Net(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.w = learned(n).half()  # flagged
        self.bias = 1 + nn.Parameter(torch.zeros(n))  # flagged
        self.gain = nn.Parameter(torch.zeros(n) + 1)  # flagged

    def forward(self, x):
        return x @ self.w * self.gain + self.bias
""",
    ]

    good = [
        # made of the moved tensor
        """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, n, device):
        super().__init__()
        self.w = nn.Parameter(torch.randn(n).to(device) * 0.02)

    def forward(self, x):
        return x * self.w
""",
        # a parameter after all
        """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, n, device):
        super().__init__()
        self.w = nn.Parameter(nn.Parameter(torch.randn(n)).cuda())

    def forward(self, x):
        return x * self.w
""",
        # the parameter itself comes back
        """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, n, device):
        super().__init__()
        self.w = nn.Parameter(torch.randn(n)).float().requires_grad_(False)

    def forward(self, x):
        return x * self.w
""",
        # the parameter is registered under another name
        """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.raw = nn.Parameter(torch.randn(n))
        self.w = self.raw.view(1, n)
        scale = nn.Parameter(torch.ones(n))
        self.register_parameter("scale", scale)
        self.double_scale = scale * 2

    def forward(self, x):
        self.last = self.raw * 2
        return x * self.last
""",
        # no module
        """\
import torch
from torch import nn

class Optimised:
    def __init__(self, n):
        self.w = nn.Parameter(torch.randn(n)).cuda()
""",
        # not kept
        """\
import torch
from torch import nn

class Net(nn.Module):
    def forward(self, x):
        w = nn.Parameter(torch.ones(8)).to(x.device)
        return x * w
""",
        # a list of parameters makes parameters of them
        """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.ws = nn.ParameterList([nn.Parameter(torch.randn(n)).cuda() for _ in range(3)])
""",
        # a tensor, a layer
        """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.fc = nn.Linear(n, n).cuda()
        self.register_buffer("w", torch.randn(n).cuda())
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report each attribute that is computed from a parameter that nothing registers."""
        if "Parameter" not in source.ask(facts.syntax).identifiers:
            return
        for model in source.ask(facts.models).by_class.values():
            for held in model.held:
                for option in facts.terms.options(held.term):
                    inner = _parameter_in(option)
                    if inner is None or inner.node in facts.registration.registered(source, model):
                        continue
                    yield from _report(source, held, option, inner)


_WRAPPING = words(
    "cuda to double half bfloat16 type view reshape unsqueeze squeeze expand repeat t transpose permute flatten "
    "clone mul div add sub neg pow matmul"
)
"""Operations whose result is a new tensor; `float` and `contiguous` mostly return what they are given."""


def _parameter_in(term: Term) -> Operation | None:
    """Return the parameter that a value is computed from by such operations; None where it is one itself."""
    if not isinstance(term, facts.terms.Operation) or term.name not in _WRAPPING:
        return None
    for operand in term.operands:
        if isinstance(operand, facts.terms.Operation):
            inner = operand if operand.name == "parameter" else _parameter_in(operand)
            if inner is not None:
                return inner
    return None


def _report(source: SourceFile, held: Held, done: Term, inner: Operation) -> Iterator[Report]:
    lines = [line for line in held.lines if line.value is not None]
    known = source.ask(facts.values)
    line = next((one for one in lines if done in facts.terms.options(known.raw(one.value))), None)  # type: ignore[arg-type]
    if line is None or line.value is None or not isinstance(done, facts.terms.Operation):
        return
    yield Report(
        line.value,
        f"`{held.name}` is no parameter: `{done.name}` makes a new tensor of one, which nothing trains or saves",
        fix=_fix(source, line.value),
    )


def _fix(source: SourceFile, node: object) -> ProposedFix | None:
    text = facts.writing.moved_inside(source, node, "Parameter")  # type: ignore[arg-type]
    if text is None or ".expand(" in text:
        return None
    return ProposedFix("Make the parameter last", Applicability.UNSAFE, (Replace(node, text),))  # type: ignore[arg-type]
