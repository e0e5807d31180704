"""STB152 discarded-result: an operation whose result nobody takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from stablint.finding import Applicability, Confidence, Severity
from stablint.rule import ProposedFix, Replace, Report, StaticRule
from stablint.static import facts
from stablint.static.torch_api.groups import CREATIONS, words
from stablint.static.torch_api.kinds import kind
from stablint.static.torch_api.purity import is_pure
from stablint.static.torch_api.signatures import signature

if TYPE_CHECKING:
    from stablint.static.facts.sites import Site
    from stablint.static.facts.terms import Operation, Term
    from stablint.static.source import SourceFile


class DiscardedResult(StaticRule):
    """The result of a tensor operation that does not work in place is thrown away.

    ## What it does

    Reports statements that are nothing but a call of a pure function of `torch` or
    `torch.nn.functional`, or of a pure method of something known to be a tensor, or of a method that only
    tensors have (`softmax`, `masked_fill`), without `out=` and `inplace=True`.

    ## Why it is bad

    Only methods whose name ends in an underscore, and functions with `inplace=True` or `out=`, change
    their argument; all others return a new tensor. `F.dropout(x, 0.5)` as a statement leaves ten ones at
    a sum of 10.0: there is no dropout. `p.data.clamp(-0.01, 0.01)` clips no weight,
    `scores.masked_fill(mask, -inf)` hides nothing, `mask.to(device)` moves nothing. Modules mislead
    here, because `Module.to`, `.half()` and `.cuda()` do work in place; tensors do not. Nothing warns.

    ## Example

    ```python
    x = F.relu(self.linear_1(x))
    F.dropout(x, p=self.p, training=self.training)
    return self.linear_2(x)
    ```

    ## Use instead

    ```python
    x = F.relu(self.linear_1(x))
    x = F.dropout(x, p=self.p, training=self.training)
    return self.linear_2(x)
    ```

    ## When to ignore it

    When the call is made for its time or its error. In a loop that measures, in `try` and in `with
    pytest.raises(...)` the rule expects that, and is silent; elsewhere write `_ = torch.matmul(a, b)`.

    ## Fix safety

    Unsafe: the operation begins to act, so the model changes. The result is assigned to the first
    argument or to the receiver, where that is a plain name.

    ## References

    - [torch.nn.functional.dropout](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.dropout.html)
    - [torch.Tensor.to](https://docs.pytorch.org/docs/stable/generated/torch.Tensor.to.html)
    - [In-place semantics of torch.Tensor](https://docs.pytorch.org/docs/stable/tensors.html)
    """

    code = "STB152"
    severity = Severity.WARNING
    confidence = Confidence.HIGH
    since = "0.1.0"

    bad = [
        # no dropout
        """\
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear_1 = nn.Linear(8, 16)
        self.linear_2 = nn.Linear(16, 2)

    def forward(self, x):
        x = F.relu(self.linear_1(x))
        F.dropout(x, p=0.5, training=self.training)  # flagged
        return self.linear_2(x)
""",
        # no mask
        """\
import math
import torch

def attention(q, k, v, mask):
    scores = torch.matmul(q, k.transpose(-2, -1)) / math.sqrt(q.size(-1))
    scores.masked_fill(mask == 0, float("-inf"))  # flagged
    return torch.matmul(torch.softmax(scores, dim=-1), v)
""",
        # not clamped, not moved
        """\
import torch

def noisy(x, device):
    noise = torch.randn(x.shape)
    noise.to(device)  # flagged
    image = torch.add(x, noise, alpha=0.1)
    torch.clamp(image, 0.0, 1.0)  # flagged
    return image
""",
        # weights and gradients that are not clipped
        """\
import torch

def critic_step(critic, loss, optimizer: torch.optim.Optimizer):
    optimizer.zero_grad()
    loss.backward()
    for p in critic.parameters():
        p.grad.data.clamp(-1, 1)  # flagged
    optimizer.step()
    for p in critic.parameters():
        p.data.clamp(-0.01, 0.01)  # flagged
""",
        # still part of the graph
        """\
import torch
import torch.nn.functional as F

def train(model, target_net, loader):
    optimizer = torch.optim.Adam(model.parameters())
    for x in loader:
        target = F.normalize(target_net(x), dim=1)
        target.detach()  # flagged
        loss = F.mse_loss(F.normalize(model(x), dim=1), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
""",
        # the shape is what it was
        """\
import torch
from torch import nn

class Classifier(nn.Module):
    def __init__(self, features: nn.Module):
        super().__init__()
        self.features = features
        self.head = nn.Linear(512, 10)

    def forward(self, x):
        h = torch.relu(self.features(x))
        h.flatten(1)  # flagged
        logits = self.head(h)
        logits.squeeze(-1)  # flagged
        return logits
""",
        # an activation around a layer
        """\
import torch
import torch.nn as nn
from torch.nn.functional import relu

class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)
        self.bn = nn.BatchNorm2d(width)

    def forward(self, x):
        out = self.conv(x)
        relu(self.bn(out))  # flagged
        torch.sigmoid(out)  # flagged
        return out + x
""",
        # a buffer that is never updated
        """\
import torch
from torch import nn

class Ema(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))
        self.register_buffer("mean", torch.zeros(width))

    @torch.no_grad()
    def update(self, x):
        self.mean.mul(0.9).add(x.mean(0), alpha=0.1)  # flagged
        self.scale.clamp(min=1e-3)  # flagged
""",
        # on a branch
        """\
import torch

def prepare(values, use_half: bool):
    batch = torch.stack(values)
    if use_half:
        batch.half()  # flagged
    else:
        batch.float()  # flagged
    batch = batch.contiguous()
    batch.cuda(non_blocking=True)  # flagged
    return batch
""",
        # nothing is known of the receiver, but only tensors have such a method
        """\
import torch
from einops import rearrange

def attend(x, mask, weights, predict):
    q, k, v = rearrange(x, "(t b) n -> t b n", t=3)
    k.softmax(dim=-1)  # flagged
    weights.masked_fill(mask, 0.0)  # flagged
    start = predict(x)
    start.clamp(-2, 2)  # flagged
    return torch.einsum("bn,bm->nm", k, v) @ q * weights + start
""",
    ]

    fixed = [
        """\
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear_1 = nn.Linear(8, 16)
        self.linear_2 = nn.Linear(16, 2)

    def forward(self, x):
        x = F.relu(self.linear_1(x))
        x = F.dropout(x, p=0.5, training=self.training)  # flagged
        return self.linear_2(x)
""",
        """\
import math
import torch

def attention(q, k, v, mask):
    scores = torch.matmul(q, k.transpose(-2, -1)) / math.sqrt(q.size(-1))
    scores = scores.masked_fill(mask == 0, float("-inf"))  # flagged
    return torch.matmul(torch.softmax(scores, dim=-1), v)
""",
        """\
import torch

def noisy(x, device):
    noise = torch.randn(x.shape)
    noise = noise.to(device)  # flagged
    image = torch.add(x, noise, alpha=0.1)
    image = torch.clamp(image, 0.0, 1.0)  # flagged
    return image
""",
        None,
        """\
import torch
import torch.nn.functional as F

def train(model, target_net, loader):
    optimizer = torch.optim.Adam(model.parameters())
    for x in loader:
        target = F.normalize(target_net(x), dim=1)
        target = target.detach()  # flagged
        loss = F.mse_loss(F.normalize(model(x), dim=1), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
""",
        """\
import torch
from torch import nn

class Classifier(nn.Module):
    def __init__(self, features: nn.Module):
        super().__init__()
        self.features = features
        self.head = nn.Linear(512, 10)

    def forward(self, x):
        h = torch.relu(self.features(x))
        h = h.flatten(1)  # flagged
        logits = self.head(h)
        logits = logits.squeeze(-1)  # flagged
        return logits
""",
        """\
import torch
import torch.nn as nn
from torch.nn.functional import relu

class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)
        self.bn = nn.BatchNorm2d(width)

    def forward(self, x):
        out = self.conv(x)
        relu(self.bn(out))  # flagged
        out = torch.sigmoid(out)  # flagged
        return out + x
""",
        None,
        """\
import torch

def prepare(values, use_half: bool):
    batch = torch.stack(values)
    if use_half:
        batch = batch.half()  # flagged
    else:
        batch = batch.float()  # flagged
    batch = batch.contiguous()
    batch = batch.cuda(non_blocking=True)  # flagged
    return batch
""",
        """\
import torch
from einops import rearrange

def attend(x, mask, weights, predict):
    q, k, v = rearrange(x, "(t b) n -> t b n", t=3)
    k = k.softmax(dim=-1)  # flagged
    weights = weights.masked_fill(mask, 0.0)  # flagged
    start = predict(x)
    start = start.clamp(-2, 2)  # flagged
    return torch.einsum("bn,bm->nm", k, v) @ q * weights + start
""",
    ]

    good = [
        # taken
        """\
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 16)

    def forward(self, x):
        x = F.relu(self.fc(x))
        return F.dropout(x, p=0.5, training=self.training)
""",
        # in place
        """\
import torch
import torch.nn.functional as F

def forward(x, training):
    h = torch.relu(x)
    h.clamp_(max=6.0)
    F.relu(h, inplace=True)
    F.relu(h, True)
    F.dropout(h, 0.5, training, True)
    F.relu_(h)
    torch.relu_(h)
    return h
""",
        # into a buffer that is there already
        """\
import torch
import torch.nn.functional as F

def normalise(weight, a, b, result):
    F.normalize(weight.data, p=2, dim=-1, out=weight.data)
    torch.matmul(a, b, out=result)
""",
        # a list sorts in place, and an array has methods of its own
        """\
import torch

def in_order(batches, device):
    result = torch.cat([batch.to(device) for batch in batches]).tolist()
    result.sort()
    rows = torch.stack(batches).cpu().numpy()
    rows.sort()
    return result, rows
""",
        # modules move in place
        """\
import torch
from torch import nn

def build(device):
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
    model.to(device)
    model.half()
    model.float()
    model.cuda()
    criterion = nn.CrossEntropyLoss()
    criterion.to(device)
    return model, criterion

class Wrapper(nn.Module):
    def __init__(self, backbone: nn.Module):
        super().__init__()
        self.backbone = backbone
        self.backbone.half()
        self.to(torch.device("cpu"))

def observe(weight):
    observer = torch.ao.quantization.MinMaxObserver()
    observer.to(weight.device)
    observer(weight)
    return observer.calculate_qparams()
""",
        # called for what they do
        """\
import random
import torch
import torch.distributed as dist
from torch import nn

def main(model: nn.Module, path, x):
    torch.manual_seed(0)
    torch.set_grad_enabled(True)
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    torch.cuda.empty_cache()
    torch.save(model.state_dict(), path)
    nn.init.xavier_uniform_(model.head.weight)
    dist.all_reduce(x)
    dist.barrier()
    random.seed(0)
    torch._assert(x.size(0) > 0, "empty batch")
""",
        # methods that act on the tensor itself
        """\
import torch
import torch.nn.functional as F

def saliency(model, shape):
    x = torch.randn(shape)
    x.requires_grad_()
    h = F.relu(x)
    h.retain_grad()
    h.register_hook(print)
    F.mse_loss(model(h), x).backward()
    x.grad.zero_()
    x.share_memory_()
    x.data.copy_(h.detach())
    x.numpy(force=True).tofile("x.bin")
    return x
""",
        # the receiver may be anything: a batch of a library moves in place
        """\
import torch
from transformers import AutoTokenizer

def run(model, loader, device):
    tokenizer = AutoTokenizer.from_pretrained("bert-base-uncased")
    encoded = tokenizer(["text"], return_tensors="pt")
    encoded.to(device)
    with torch.no_grad():
        for batch in loader:
            batch.to(device)
            model(**batch)
""",
        # an error is what is asked for
        """\
import pytest
import torch
import unittest

def test_shapes():
    a, b = torch.zeros(2, 3), torch.zeros(2, 3)
    with pytest.raises(RuntimeError):
        torch.matmul(a, b)

class Shapes(unittest.TestCase):
    def test_view(self):
        a = torch.zeros(2, 3)
        with self.assertRaises(RuntimeError):
            a.view(4)

def is_positive_definite(matrix):
    try:
        torch.linalg.cholesky(matrix)
    except torch.linalg.LinAlgError:
        return False
    return True

def has_gpu():
    try:
        torch.zeros(1).cuda()
    except RuntimeError:
        return False
    return True
""",
        # the time is what is asked for
        """\
import time
import torch

def benchmark(n, repeats):
    a, b = torch.randn(n, n, device="cuda"), torch.randn(n, n, device="cuda")
    for _ in range(10):
        torch.matmul(a, b)
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(repeats):
        torch.matmul(a, b)
    torch.cuda.synchronize()
    return (time.perf_counter() - start) / repeats

def profile(x):
    h = torch.relu(x)
    with torch.profiler.profile() as prof:
        torch.softmax(h, dim=-1)
    return prof
""",
        # warming up
        """\
import torch

def build(model, shape):
    torch.zeros(1).cuda()
    with torch.no_grad():
        model(torch.zeros(1, *shape))
    return torch.compile(model)
""",
        # a sheet of exercises, where a line shows its value
        """\
import torch

x = torch.arange(12, dtype=torch.float32)
x
x.shape
x.reshape(3, 4)
torch.zeros((2, 3, 4))
torch.exp(x)
X = x.reshape(3, 4)
X
X.sum()
""",
        # named like a tensor's method, on something else
        """\
import numpy as np
import pandas as pd

def clean(path):
    frame = pd.read_csv(path)
    frame.clip(lower=0)
    values = frame.to_numpy()
    np.clip(values, 0, 1, out=values)
    values.view()
    return values
""",
        # a class of our own
        """\
import torch

class State:
    def __init__(self, x):
        self.x = torch.as_tensor(x)

    def to(self, device):
        self.x = self.x.to(device)
        return self

    def detach(self):
        self.x = self.x.detach()

def run(values, device):
    state = State(values)
    state.to(device)
    state.detach()
    return state.x
""",
        # optimizers, schedulers, loaders and losses
        """\
import torch
import torch.nn.functional as F

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    model.eval()
    model.requires_grad_(False)
""",
        # thrown away and said so
        """\
import torch

def warm_up(a, b):
    _ = torch.matmul(a, b)
    product = torch.matmul(a, b)
    print(product.clamp(min=0).sum())
    assert torch.relu(product).min() >= 0
""",
        # a builder of another library has methods of these names, too
        """\
import torch

def export(builder, x):
    builder.relu(x)
    builder.softmax(builder.last)
    return builder
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report each statement that computes a tensor and throws it away."""
        for site, operation in source.ask(facts.operations).statements():
            if _is_useless(source, operation) and not _is_wanted(source, site):
                yield Report(
                    site.statement or site.node,
                    f"`{_callee(source, site)}` returns a new tensor, which is thrown away",
                    fix=_fix(source, site, operation),
                )


def _is_useless(source: SourceFile, operation: Operation) -> bool:
    """Whether a call does nothing but return: it is pure, not in place, and what it works on is a tensor."""
    if operation.module is not None or not is_pure(operation.dotted):
        return False
    if "out" in operation.keywords or operation.open_arguments or _is_in_place(operation):
        return False
    if not operation.dotted.startswith("torch.Tensor."):
        return True
    return bool(operation.operands) and (_is_tensor(operation.operands[0]) or _only_tensors_can(operation))


_OF_ONE = words("softmax log_softmax sigmoid relu rsqrt")
_TENSORS_ALONE = _OF_ONE | words(
    "masked_fill masked_scatter index_fill clamp clamp_min clamp_max unsqueeze type_as expand_as view_as triu tril"
)
"""Methods that nothing but tensors has, and no library's batch, frame or array; none moves, as `to` does."""


def _only_tensors_can(operation: Operation) -> bool:
    """Whether the name says it where nothing is known of the receiver; `builder.relu(x)` works on something else."""
    terms = facts.terms
    receiver, name = (
        operation.operands[0],
        operation.dotted.rpartition(".")[2],
    )  # a frame has `clip`, no `clamp`
    is_unknown = isinstance(
        receiver,
        terms.Unknown | terms.Parameter | terms.Item | terms.Call | terms.Operation | terms.Attribute,
    )
    given = (*operation.operands[1:], *operation.positional)
    is_builder = name in _OF_ONE and any(terms.number(one) is None for one in given)
    return is_unknown and name in _TENSORS_ALONE and not is_builder


def _is_in_place(operation: Operation) -> bool:
    flag = operation.keywords.get("inplace")
    if flag is None:
        known = signature(operation.dotted)
        names = [parameter.name for parameter in known.parameters] if known is not None else []
        place = names.index("inplace") - len(operation.operands) if "inplace" in names else -1
        flag = operation.positional[place] if 0 <= place < len(operation.positional) else None
    return flag is not None and not (isinstance(flag, facts.terms.Constant) and flag.value is False)


def _is_tensor(term: Term) -> bool:
    """Whether a receiver is certainly a tensor: `batch.to(device)` moves a BatchEncoding in place."""
    match term:
        case facts.terms.Operation(dotted=dotted, name=name, operands=operands):
            if name in _NO_TENSORS or dotted.startswith("builtins."):
                return False
            if name == "data":
                return bool(operands) and _is_parameter(operands[0])
            if dotted.startswith("torch.Tensor."):
                # A method that torch has and nothing is known of the receiver: `df.clip(0).round(2)`.
                return bool(operands) and _is_tensor(operands[0])
            if term.module is None and _is_class(dotted):  # of an observer or a profiler, `to` works in place
                return kind(dotted) in ("tensor", "parameter", "buffer")
            return dotted.startswith("torch.") or any(_is_tensor(operand) for operand in operands)
        case facts.terms.Either(options=parts):
            return all(_is_tensor(part) for part in parts)
        case _:
            return False


_NO_TENSORS = {"deepcopy", "partial", "append", "tolist", "numpy", "item", "size", "stride", "storage"}
"""Operations whose result is something else: a list has a `sort` and a `clear` of its own, which work in place."""


def _is_class(dotted: str) -> bool:
    return dotted.startswith("torch.") and dotted.rpartition(".")[2][:1].isupper()


def _is_parameter(term: Term) -> bool:
    """Whether `term.data` is that of a tensor: of a gradient, a parameter of a module, or something computed."""
    match term:
        case facts.terms.Attribute(name="grad"):
            return True
        case facts.terms.Item(base=facts.terms.Call(callee=facts.terms.Attribute(name=name))):
            return name in ("parameters", "named_parameters")
        case _:
            return _is_tensor(term)


_TIMED = {
    "perf_counter",
    "synchronize",
    "profile",
    "Timer",
    "timeit",
    "time",
    "monotonic",
    "Event",
    "benchmark",
}
_SHEET = 3
"""A file with this many bare expressions at its top is a sheet of exercises."""


def _is_wanted(source: SourceFile, site: Site) -> bool:
    """Whether the call is made for something else than its result: its error, its time, its display."""
    shape = source.ask(facts.syntax)
    blocks = list(site.block.outward()) if site.block is not None else []
    if any(block.kind == "try" for block in blocks):
        return True
    for block in blocks:
        if block.kind == "with" and any(
            name in source.code(block.node).split(":")[0] for name in ("aises", "profil")
        ):
            return True
    if shape.identifiers & _TIMED and site.scope.function.kind == "function" and _is_timed(source, site):
        return True
    if site.scope.function.kind == "module":
        shown = facts.statements.bare_expressions(shape)
        return source.kind == "notebook" or shown >= _SHEET
    return _is_fresh(site)


def _is_timed(source: SourceFile, site: Site) -> bool:
    return bool(facts.statements.names_in(source.code(site.scope.function.node)) & _TIMED)


def _is_fresh(site: Site) -> bool:
    """Whether the receiver is made on the spot: `torch.zeros(1).cuda()` starts the device."""
    operation = site.term
    if isinstance(operation, facts.terms.Operation) and operation.operands:
        inner = operation.operands[0]
        return (
            isinstance(inner, facts.terms.Operation)
            and inner.name in CREATIONS
            and any(facts.statements.contains(site.node, node) for node in (inner.node,))
        )
    return False


def _callee(source: SourceFile, site: Site) -> str:
    return source.code(getattr(site.node, "func", site.node))


def _fix(source: SourceFile, site: Site, operation: Operation) -> ProposedFix | None:
    name = facts.statements.worked_on(site.node)
    if name is None:
        return None
    text = f"{name} = {source.code(site.node)}"
    return ProposedFix(f"Keep the result: `{name} = ...`", Applicability.UNSAFE, (Replace(site.node, text),))
