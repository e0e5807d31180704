"""STB207 kl-div-input-not-log: the divergence of something that is no logarithm."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from stablint.finding import Applicability, Confidence, Severity
from stablint.rule import Mark, ProposedFix, Replace, Report, StaticRule
from stablint.static import facts

if TYPE_CHECKING:
    from stablint.static.facts.terms import Operation, Term
    from stablint.static.source import SourceFile


class KlDivInputNotLog(StaticRule):
    """`KLDivLoss` is fed probabilities where it wants log-probabilities, or the other way round.

    ## What it does

    Follows both arguments of `KLDivLoss`, `F.kl_div` and `torch.kl_div` back to where they were made.
    Reports

    - an input that is never negative: a softmax, a sigmoid, a mixture or an exponential of such;
    - an input that is the raw output of linear or convolutional layers (a warning);
    - a target that is a logarithm, without `log_target=True`;
    - a target that is a softmax, with `log_target=True`;
    - both the wrong way round: the arguments are swapped.

    ## Why it is bad

    `kl_div(input, target)` computes `target * (log(target) - input)`: `input` must already be a
    logarithm, `target` must not. Measured with torch 2.13, fitting four logits to the distribution (0.4,
    0.3, 0.2, 0.1) with 2,000 steps of Adam:

    | input | target | loss | softmax of the logits |
    |---|---|---|---|
    | log_softmax | probabilities | 0 | 0.40, 0.30, 0.20, 0.10 |
    | softmax | probabilities | -1.68 | 1.00, 0.00, 0.00, 0.00 |
    | raw | probabilities | -101, falling | 0.25, 0.25, 0.25, 0.25 |
    | log_softmax | probabilities, `log_target=True` | 8.49 | 0.29, 0.26, 0.24, 0.21 |
    | log_softmax | log-probabilities | NaN | |

    The student learns to be certain of the teacher's first choice, or nothing at all. A divergence is
    never negative: a negative loss is the sign.

    ## Example

    ```python
    loss = F.kl_div(F.softmax(student, dim=1), F.softmax(teacher, dim=1), reduction="batchmean")
    ```

    ## Use instead

    ```python
    loss = F.kl_div(F.log_softmax(student, dim=1), F.softmax(teacher, dim=1), reduction="batchmean")
    ```

    The default `reduction="mean"` also divides by the number of classes. That is a constant factor, and
    PyTorch warns of it when it runs, so it is not reported.

    ## When to ignore it

    Hardly ever.

    ## Fix safety

    Unsafe: the loss changes, to the one that was meant. A softmax written inside the call becomes the
    `log_softmax` of the same module; swapped arguments change places. Elsewhere no fix is offered.

    ## References

    - [torch.nn.KLDivLoss](https://docs.pytorch.org/docs/stable/generated/torch.nn.KLDivLoss.html)
    - [torch.nn.functional.kl_div](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.kl_div.html)
    """

    code = "STB207"
    severity = Severity.ERROR
    confidence = Confidence.HIGH
    since = "0.1.0"

    bad = [
        # inside the call, in many spellings
        """\
import torch
import torch.nn.functional as F
from torch import nn

def losses(student, teacher):
    p = teacher.softmax(dim=1)
    a = F.kl_div(F.softmax(student, dim=1), p, reduction="batchmean")  # flagged
    b = nn.KLDivLoss(reduction="batchmean")(torch.softmax(student, 1), p)  # flagged
    c = torch.nn.functional.kl_div(input=student.softmax(-1), target=p, reduction="sum")  # flagged
    d = nn.KLDivLoss()(nn.Softmax(dim=1)(student), p)  # flagged
    e = torch.kl_div(student.softmax(-1), p)  # flagged
    return a + b + c + d + e
""",
        # through names and views
        """\
import torch.nn as nn
import torch.nn.functional as F

kl = nn.KLDivLoss(reduction="batchmean")

def distil(student, teacher, x, temperature):
    soft = F.softmax(student(x) / temperature, dim=-1)
    soft_targets = F.softmax(teacher(x) / temperature, dim=-1).detach()
    soft = soft.view(-1, soft.size(-1))
    return kl(soft, soft_targets.view(-1, soft_targets.size(-1))) * temperature**2  # flagged
""",
        # the student's forward ends in a softmax
        """\
import torch
import torch.nn.functional as F
from torch import nn

class Student(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(784, 10)

    def forward(self, x):
        return torch.softmax(self.fc(x), dim=1)

class Distiller:
    def __init__(self, teacher):
        self.student = Student()
        self.teacher = teacher
        self.criterion = nn.KLDivLoss(reduction="batchmean")

    def step(self, x):
        with torch.no_grad():
            wanted = F.softmax(self.teacher(x), dim=1)
        return self.criterion(self.student(x), wanted)  # flagged
""",
        # through a helper function
        """\
import torch.nn.functional as F

def probabilities(logits):
    return F.softmax(logits, dim=-1)

def divergence(p, q):
    return F.kl_div(p, q, reduction="batchmean")  # flagged

def loss(a, b):
    return divergence(probabilities(a), probabilities(b))
""",
        # the log of the target is taken, but not said
        """\
import torch
import torch.nn.functional as F
from torch import nn

def losses(student, teacher, p):
    q = F.log_softmax(student, dim=-1)
    a = F.kl_div(q, F.log_softmax(teacher, dim=-1), reduction="batchmean")  # flagged
    b = nn.KLDivLoss(reduction="batchmean")(q, torch.log(teacher.softmax(-1)))  # flagged
    c = F.kl_div(q, (teacher.softmax(-1) + 1e-8).log().detach(), reduction="sum")  # flagged
    return a + b + c
""",
        # the log of the target is said, but not taken
        """\
import torch.nn.functional as F
from torch import nn

class Distil(nn.Module):
    def __init__(self):
        super().__init__()
        self.kl = nn.KLDivLoss(reduction="batchmean", log_target=True)

    def forward(self, student, teacher):
        a = self.kl(F.log_softmax(student, dim=1), F.softmax(teacher, dim=1))  # flagged
        b = F.kl_div(student.log_softmax(1), teacher.softmax(1), log_target=True)  # flagged
        return a + b
""",
        # swapped
        """\
import torch.nn.functional as F

def loss(student, teacher):
    p = F.softmax(teacher, dim=1)
    q = F.log_softmax(student, dim=1)
    return F.kl_div(p, q, reduction="batchmean")  # flagged
""",
        # raw outputs: a warning
        """\
import torch
import torch.nn.functional as F
from torch import nn

class Student(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(784, 64)
        self.fc2 = nn.Linear(64, 10)

    def forward(self, x):
        return self.fc2(torch.relu(self.fc1(x)))

def loss(net: Student, x, teacher):
    logits = net(x)
    return F.kl_div(logits, F.softmax(teacher(x), dim=1), reduction="batchmean")  # flagged
""",
        # a mixture of probabilities is none of logarithms
        """\
import torch
import torch.nn.functional as F

def jensen_shannon(a, b):
    p, q = torch.softmax(a, -1), torch.softmax(b, -1)
    m = 0.5 * (p + q)
    return 0.5 * F.kl_div(m, p, reduction="sum") + 0.5 * F.kl_div(m, q, reduction="sum")  # flagged
""",
        # exponentials of log-probabilities, and probabilities kept away from zero
        """\
import torch.nn.functional as F

def losses(logits, target):
    logp = F.log_softmax(logits, dim=-1)
    a = F.kl_div(logp.exp(), target, reduction="batchmean")  # flagged
    b = F.kl_div(logits.softmax(-1).clamp(min=1e-8), target, reduction="batchmean")  # flagged
    return a + b
""",
        # the two halves are in two files
        """\
# file: models/net.py
import torch
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(16, 10)

    def forward(self, x):
        return F.softmax(self.fc(x), dim=1)

# file: train.py
import torch.nn.functional as F
from models.net import Net

model = Net()

def step(x, y):
    return F.kl_div(model(x), y, reduction="batchmean")  # flagged
""",
    ]

    fixed = [
        """\
import torch
import torch.nn.functional as F
from torch import nn

def losses(student, teacher):
    p = teacher.softmax(dim=1)
    a = F.kl_div(F.log_softmax(student, dim=1), p, reduction="batchmean")
    b = nn.KLDivLoss(reduction="batchmean")(torch.log_softmax(student, 1), p)
    c = torch.nn.functional.kl_div(input=student.log_softmax(-1), target=p, reduction="sum")
    d = nn.KLDivLoss()(nn.LogSoftmax(dim=1)(student), p)
    e = torch.kl_div(student.log_softmax(-1), p)
    return a + b + c + d + e
""",
        None,
        None,
        None,
        None,
        None,
        """\
import torch.nn.functional as F

def loss(student, teacher):
    p = F.softmax(teacher, dim=1)
    q = F.log_softmax(student, dim=1)
    return F.kl_div(q, p, reduction="batchmean")
""",
        None,
        None,
        None,
    ]

    good = [
        # the right pair, in many spellings
        """\
import torch
import torch.nn.functional as F
from torch import nn

def losses(student, teacher):
    p = torch.softmax(teacher, dim=1)
    q = F.log_softmax(student, dim=1)
    a = F.kl_div(q, p, reduction="batchmean")
    b = nn.KLDivLoss(reduction="batchmean")(nn.LogSoftmax(dim=1)(student), p)
    c = F.kl_div(student.softmax(1).log(), p, reduction="batchmean")
    d = F.kl_div(torch.log(student.softmax(1) + 1e-8), p.detach(), reduction="sum")
    return a + b + c + d
""",
        # both are logarithms, and it is said
        """\
import torch
import torch.nn.functional as F
from torch import nn

def losses(student, teacher):
    p, q = F.log_softmax(teacher, dim=-1), F.log_softmax(student, dim=-1)
    a = F.kl_div(q, p, reduction="batchmean", log_target=True)
    b = nn.KLDivLoss(reduction="batchmean", log_target=True)(q, p)
    c = F.kl_div(q, p, None, None, "batchmean", True)
    m = torch.logsumexp(torch.stack([p, q]), dim=0) - 0.6931
    return a + b + c + F.kl_div(m, p, reduction="none", log_target=True).sum(-1)
""",
        # whether the target is a logarithm is the caller's affair
        """\
import torch.nn.functional as F
from torch import nn

def divergence(q, p, log_target=False, **options):
    a = F.kl_div(q, F.log_softmax(p, dim=-1), log_target=log_target)
    return a + F.kl_div(q, F.log_softmax(p, dim=-1), **options)

class Loss(nn.Module):
    def __init__(self, log_target):
        super().__init__()
        self.kl = nn.KLDivLoss(log_target=log_target)

    def forward(self, q, p):
        return self.kl(q, p.log_softmax(-1)) + self.kl(q, p.softmax(-1))
""",
        # the model returns log-probabilities
        """\
import torch.nn.functional as F
from torch import nn

class Generator(nn.Module):
    def __init__(self, width, vocabulary):
        super().__init__()
        self.proj = nn.Linear(width, vocabulary)

    def forward(self, x):
        return F.log_softmax(self.proj(x), dim=-1)

class LabelSmoothing(nn.Module):
    def __init__(self, size, smoothing):
        super().__init__()
        self.criterion = nn.KLDivLoss(reduction="sum")
        self.size, self.smoothing = size, smoothing

    def forward(self, x, target):
        wanted = x.detach().clone()
        wanted.fill_(self.smoothing / (self.size - 2))
        wanted.scatter_(1, target.unsqueeze(1), 1 - self.smoothing)
        return self.criterion(x, wanted)

def loss(h, y):
    return LabelSmoothing(100, 0.1)(Generator(8, 100)(h), y)
""",
        # what comes in is not known
        """\
import torch.nn.functional as F
from torch import nn
from models import Student, teacher_targets

def distil(student: Student, x, p):
    criterion = nn.KLDivLoss(reduction="batchmean")
    return criterion(student(x), teacher_targets(x)) + F.kl_div(p, student(x))
""",
        # the right logarithm on one path
        """\
import torch.nn.functional as F

def loss(logits, target, log):
    q = F.log_softmax(logits, dim=-1) if log else F.softmax(logits, dim=-1)
    if not log:
        q = q.log()
    return F.kl_div(q, target, reduction="batchmean")
""",
        # divergences of another kind
        """\
import torch
from torch.distributions import Categorical, kl_divergence

def kl_div(p, q):
    return (p * (p.log() - q.log())).sum(-1).mean()

def losses(a, b):
    p, q = torch.softmax(a, -1), torch.softmax(b, -1)
    return kl_div(p, q) + kl_divergence(Categorical(probs=p), Categorical(probs=q)).mean()
""",
        # binary log-probabilities, and ones by hand
        """\
import torch
import torch.nn.functional as F

def losses(score, z, p):
    both = torch.stack([F.logsigmoid(score), F.logsigmoid(-score)], dim=-1)
    logp = z - z.logsumexp(dim=-1, keepdim=True)
    return F.kl_div(both, p, reduction="batchmean") + F.kl_div(logp, p, reduction="batchmean")
""",
        # a constant target, and one that reaches zero
        """\
import torch
import torch.nn.functional as F

def uniform(logits):
    even = torch.full_like(logits, 1 / logits.size(-1))
    none = torch.zeros_like(logits)
    q = F.log_softmax(logits, dim=-1)
    return F.kl_div(q, even, reduction="batchmean") + F.kl_div(q, none, reduction="batchmean")
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report the divergences whose input is certainly no logarithm, or whose target is the wrong one."""
        for _, loss in source.ask(facts.operations).named("kl_div"):
            if len(loss.operands) < 2:
                continue
            given, target = loss.operands[:2]
            input_is_wrong, target_is_log = _is_never_negative(given), _is_logarithm(target)
            takes_log = _takes_log_target(loss)
            if input_is_wrong and target_is_log and takes_log is False:
                message = "the arguments of kl_div are swapped: log-probabilities first, the target second"
                yield Report(loss.node, message, related=_marks(given, target), fix=_swap(source, loss))
            elif input_is_wrong:
                what = f"the {made.name}" if (made := _made(given)) is not None else "numbers above 0"
                message = f"kl_div takes {what} for log-probabilities: its loss is negative at its best"
                yield Report(loss.node, message, related=_marks(given), fix=_logarithm(source, given, loss))
            elif target_is_log and takes_log is False:
                message = (
                    "kl_div takes the logarithm of a target that is one already: NaN without log_target=True"
                )
                yield Report(loss.node, message, related=_marks(target))
            elif takes_log and _made(target) is not None:
                message = "log_target=True, but the target of kl_div is a softmax, not its logarithm"
                yield Report(loss.node, message, related=_marks(target))
            elif (raw := facts.outputs.output(given, "raw")) is not None:
                yield Report(
                    loss.node,
                    f"kl_div of the raw output of {raw.name} has no lower bound: it needs log-probabilities",
                    severity=Severity.WARNING,
                    confidence=Confidence.MEDIUM,
                    related=(Mark(raw.node, f"the {raw.name}"),),
                )


def _made(term: Term) -> Operation | None:
    return facts.outputs.output(term, "softmax", "sigmoid")


def _marks(*terms: Term) -> tuple[Mark, ...]:
    found = (facts.outputs.output(term, "softmax", "sigmoid", "log-softmax") for term in terms)
    return tuple(Mark(made.node, f"the {made.name}") for made in found if made is not None)


def _is_never_negative(term: Term) -> bool:
    """Whether a tensor holds numbers from 0 up and others than 0: no logarithm of a probability does."""
    held = facts.intervals.interval(term)
    return held.is_non_negative and held.high > 0 and _is_computed(term)


def _is_logarithm(term: Term) -> bool:
    """Whether a tensor is certainly a logarithm: it is written as one, or its elements are never above 0."""
    held = facts.intervals.interval(term)
    is_written = facts.provenance.made_by(term, "log", "log_softmax", "logsigmoid") is not None
    return (is_written or (held.high <= 0 and held.low < 0)) and _is_computed(term)


def _is_computed(term: Term) -> bool:
    """Whether a tensor is made of probabilities or logarithms here, so that its interval is one."""
    return any(getattr(part, "name", "") in _SOURCES for part in facts.terms.within(term))


_SOURCES = {"softmax", "softmin", "gumbel_softmax", "sigmoid", "log_softmax", "logsigmoid"}


def _takes_log_target(loss: Operation) -> bool | None:
    """Whether a divergence is told that its target is a logarithm; None where that is not known."""
    terms = facts.terms
    if loss.module is not None:
        at = loss.module.positional
        told = loss.module.keywords.get("log_target") or (at[3] if len(at) > 3 else None)
        is_open = loss.module.open_arguments
    else:
        told, is_open = loss.argument("log_target", 3), loss.open_arguments
    if told is None:
        return None if is_open else False
    return told.value if isinstance(told, terms.Constant) and isinstance(told.value, bool) else None


def _logarithm(source: SourceFile, given: Term, loss: Operation) -> ProposedFix | None:
    """Make log_softmax of the softmax that is written inside the call of the loss."""
    made = _made(given)
    if made is None or facts.outputs.written_inside(source, loss, made) is None:
        return None
    renamed = facts.spelling.renamed(made.node, {"softmax": "log_softmax", "Softmax": "LogSoftmax"})
    if renamed is None:
        return None
    change = Replace(made.node, source.code(renamed))
    return ProposedFix("use log_softmax", Applicability.UNSAFE, (change,))


def _swap(source: SourceFile, loss: Operation) -> ProposedFix | None:
    """Let the two arguments change places, where both are written first in the call, without names."""
    written = getattr(loss.node, "args", ())[:2]
    if len(written) < 2 or any(argument.keyword is not None or argument.star for argument in written):
        return None
    first, second = (argument.value for argument in written)
    changes = (Replace(first, source.code(second)), Replace(second, source.code(first)))
    return ProposedFix("swap the arguments", Applicability.UNSAFE, changes)
