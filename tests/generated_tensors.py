"""Random lines of tensor arithmetic, the same every time, that torch can run one after the other."""

import random
from collections.abc import Iterator

ARITHMETIC = """
{x} + {y}
{x} - {y}
{x} * {y}
{x} * {x}
{x} / ({y}.abs() + {c})
{x}.abs() / {y}.abs()
-{x}
{x} + {c}
{c} - {x}
{x} - {c}
{x} * {c}
{x} / {c}
{c} / {x}.exp()
{x} ** 2
{x} ** 3
{x} ** 4
{x} ** 0.5
{x} ** -1
{c} ** {x}
torch.add({x}, {y}, alpha={c})
torch.sub({x}, {y}, alpha=2)
{x}.add({y}, alpha=-1)
torch.div({x}, {y}, rounding_mode="floor")
torch.div({x}, {c}, rounding_mode="trunc")
{x} // {c}
{x} % {c}
torch.pow({x}, {y})
torch.square({x})
{x}.pow(2)
""".strip().splitlines()

POINTWISE = """
torch.exp({x})
{x}.exp()
torch.exp2({x})
torch.expm1({x})
torch.log({x})
torch.log2({x})
{x}.log1p()
torch.sqrt({x})
{x}.abs().sqrt()
torch.rsqrt({x})
{x}.abs()
abs({x})
torch.sign({x})
{x}.round()
torch.floor({x})
{x}.ceil()
{x}.trunc()
torch.frac({x})
torch.relu({x})
F.relu6({x})
F.leaky_relu({x})
F.elu({x})
F.gelu({x})
F.softplus({x})
torch.sigmoid({x})
nn.Sigmoid()({x})
F.logsigmoid({x})
torch.tanh({x})
F.hardtanh({x})
F.hardtanh({x}, 0.0, 6.0)
nn.Hardtanh(-2.0, 2.0)({x})
F.hardsigmoid({x})
F.softsign({x})
torch.sin({x})
torch.cos({x})
torch.cosh({x})
torch.erf({x})
torch.clamp({x}, 0, 1)
torch.clamp({x}, min={c})
torch.clamp({x}, max={c})
{x}.clamp(min={c}, max=None)
{x}.clamp(None, {c})
{x}.clamp_min({c})
{x}.clamp_max({c})
torch.clamp({x}, {y}, None)
torch.clip({x}, {c}, {c})
torch.maximum({x}, {y})
torch.minimum({x}, {y})
torch.max({x}, {y})
torch.min({x}, {y})
torch.max({x}, torch.tensor({c}))
{x}.max({y})
torch.fmax({x}, {y})
torch.nan_to_num({x})
torch.where({x} > {y}.abs(), {x}, {y})
torch.where({x} > 0, {x}, {y})
torch.where({x} != 0, {x}, torch.ones_like({x}))
torch.where({x} <= 0, {c}, {x})
{x}.masked_fill({x} < {c}, {c})
{x}.masked_fill({x} == 0, 1.0)
{x}.float()
{x}.double()
torch.nan_to_num({x}).clamp(-1000, 1000).int()
torch.nan_to_num({x}).clamp(-1000, 1000).long()
torch.nan_to_num({x}).clamp(-1000, 1000).to(torch.int64)
{x}.type(torch.float32)
({x} > {y}).float()
{x} == {y}
{x}.gt({c})
torch.logical_not({x})
F.dropout({x}, 0.5)
nn.Dropout(0.3)({x})
torch.softmax({x}, -1)
{x}.softmax(dim=0)
F.log_softmax({x}, dim=-1)
F.normalize({x}, dim=-1)
torch.lerp({x}, {y}, 0.5)
torch.bernoulli(torch.sigmoid({x}.detach()))
""".strip().splitlines()

REDUCTIONS = """
{x}.sum()
{x}.sum(-1, keepdim=True)
torch.sum({x}, dim=0, keepdim=True)
{x}.mean()
{x}.mean(-1, keepdim=True)
{x}.prod()
torch.prod({x}, -1, keepdim=True)
{x}.max()
{x}.max(-1, keepdim=True)[0]
{x}.max(-1, keepdim=True)[1]
torch.max({x}, dim=-1, keepdim=True).values
{x}.min()
{x}.min(dim=-1, keepdim=True)[0]
{x}.amax(-1, keepdim=True)
{x}.amin(0, keepdim=True)
{x}.median()
{x}.var()
{x}.std(-1, keepdim=True)
{x}.norm()
torch.norm({x}, dim=-1, keepdim=True)
{x}.cumsum(0)
{x}.cumprod(-1)
torch.cummax({x}, 0)[0]
torch.cummax({x}, 0)[1]
{x}.sort(-1)[0]
{x}.sort(-1)[1]
torch.topk({x}, 1, -1)[0]
torch.topk({x}, 1, -1).indices
{x}.argmax(-1, keepdim=True)
torch.logsumexp({x}, -1, keepdim=True)
torch.quantile({x}.float(), 0.5)
torch.nansum({x})
F.mse_loss({x}, {y})
F.l1_loss({x}, {y})
F.smooth_l1_loss({x}, {y}, reduction="none")
F.cosine_similarity({x}, {y}, dim=-1)
F.cross_entropy({x}, torch.softmax({y}, -1))
{x}.numel()
len({x})
{x}.size(0)
{x}.shape[0]
{x}.sum().item()
float({x}.mean())
int({x}.sum())
round({x}.mean().item())
max({x}.mean(), {y}.mean())
min({x}.sum().item(), {c})
max({x}.sum().item(), {c}, 1)
sum([{x}, {y}])
{x} and {y}
""".strip().splitlines()

SHAPES = """
{x}.view(-1)[:1]
{x}.reshape({x}.shape)
{x}.unsqueeze(0).squeeze(0)
{x}.t().t()
{x}.T.T
{x}.expand(4, 3)
{x}.flip(0)
{x}.clone()
{x}.detach()
{x}.data
{x}.contiguous()
torch.cat([{x}, {x}], 0)[:4]
torch.cat([{x}, {y}], -1)[..., :3]
torch.stack([{x}, {y}])[0]
torch.stack(({x}, {y})).mean(0)
{x}.chunk(2, 0)[0][:1]
{x}[0]
{x}[:, :1]
{x}[{x} > 0][:1]
{x}[{x} != 0][:1]
torch.masked_select({x}, {x} > {c})[:1]
torch.gather({x}, 0, torch.zeros(1, 3, dtype=torch.long))
{x}.index_select(0, torch.tensor([0]))
torch.roll({x}, 1)
torch.tril({x})
F.pad({x}, (0, 1), value={c})[..., :3]
F.one_hot(torch.tensor([0, 1, 2, 0]), 3)
{x} @ {y}.T @ torch.ones(4, 3)
torch.matmul({x}, torch.ones(3, 3))
torch.einsum("ij,ij->ij", {x}, {y})
torch.abs({x}) @ torch.abs({y}).t() @ torch.ones(4, 3)
torch.addmm(torch.zeros(4, 3), {x}, torch.ones(3, 3))
F.linear({x}, torch.ones(3, 3))
nn.Linear(3, 3)({x})
nn.LayerNorm(3)({x})
nn.Identity()({x})
nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Softmax(-1))({x})
""".strip().splitlines()

SOURCES = """
torch.zeros(4, 3)
torch.ones(4, 3)
torch.rand(4, 3)
torch.randn(4, 3)
torch.full((4, 3), {c})
torch.full_like({x}.float(), {c})
torch.tensor({c})
torch.tensor([{c}, {c}, {c}])
torch.zeros_like({x})
torch.ones_like({x})
torch.rand_like({x})
torch.arange(3.0)
torch.arange(1, 4)
torch.arange(3, 0, -1)
torch.arange(start=1, end=4)
torch.linspace(-1, 2, 3)
torch.linspace(start=1, end=5, steps=3)
torch.eye(3)[:1]
torch.empty(4, 3).fill_({c})
torch.zeros(4, 3).uniform_(-1, 1)
torch.zeros(4, 3).normal_()
torch.as_tensor({x})
torch.tensor({c}, requires_grad=True)
torch.randn(4, 3, requires_grad=True)
nn.Parameter(torch.rand(4, 3))
nn.Parameter(torch.zeros(4, 3), requires_grad=False)
torch.autograd.Variable(torch.ones(4, 3), requires_grad=True)
{x}.detach().requires_grad_()
{x}.detach().requires_grad_(False)
F.embedding(torch.tensor([0, 1, 0, 2]), torch.ones(3, 3, requires_grad=True))
{c}
math.pi
""".strip().splitlines()

STATEMENTS = r"""
{n} = {x}.clone().clamp_(0, 1)
{n} = {x}.clone(); {n}.clamp_(min={c})
{n} = {x}.clone(); {n} += {y}
{n} = {x}.clone(); {n} *= 2
{n} = {x}.clone(); {n}.mul_({c}).add_(1)
{n} = {x}.clone(); {n}[0] = {c}
{n} = {x}.clone(); {n}[0].fill_({c})
{n} = {x}.clone(); {n}[{n} < 0] = {c}
{n}, _ = {x}.max(-1, keepdim=True)
_, {n} = torch.min({x}, -1, keepdim=True)
*_, {n} = {x}, {y}
({n}, _), _ = ({x}, {y}), 1
{n} = {x} if {c} > 0.5 else {y}
{n} = {x}\nfor _ in range(3): {n} = {n} * 0.5
{n} = {x}\nfor k in range(3): {n} = {n} + k
{n} = {x}\nfor k in {y}: {n} = {n} + 1
{n} = {x}\nfor k in range(200): {n} = {n} - 0.5
{n} = {x}\nk = 0\nwhile k < 5: {n} = {n} * 0.5 - 1; k += 1
with torch.no_grad(): {n} = {x} * {y}
with torch.no_grad(): {n} = sum([{x}, {y}])
with torch.set_grad_enabled(False): {n} = {x} * {y}
with torch.inference_mode(False): {n} = {x} * {y}
with torch.no_grad(): {n} = torch.zeros(4, 3, requires_grad=True)
with torch.no_grad():\n    with torch.enable_grad(): {n} = {x} + 1
with torch.no_grad(): {n} = helper({x})
{n} = helper({x})
{n} = frozen({x})
{n} = pick({x}, {y})
{n} = (lambda z: z.exp())({x})
{n} = [q * 2 for q in ({x}, {y})][1]
{n} = {{"a": {x}, "b": {y}}}["a"]
""".strip().splitlines()

HELPERS = """\
def helper(z):
    return torch.sigmoid(z) + 1

@torch.no_grad()
def frozen(z):
    return z.exp()

def pick(z, other):
    if z.sum() > 0:
        return z.abs()
    return other
"""
"""Functions that the programs call."""

CONSTANTS = ("0", "1", "0.5", "-1", "2", "3.0", "-0.25", "1e-8", "1e-6", "100.0", "1e4", "1e-30")


def lines(seed: int, names: tuple[str, ...], count: int) -> Iterator[tuple[str, str]]:
    """Yield a new name and the statement that binds it, out of names bound before; some statements torch refuses."""
    chance = random.Random(seed)
    known = list(names)
    kinds = [ARITHMETIC, POINTWISE, POINTWISE, REDUCTIONS, SHAPES, SOURCES]
    for number in range(count):
        name = f"t{number}"
        given = {"x": chance.choice(known), "y": chance.choice(known), "n": name}
        if chance.random() < 0.25:
            statement = chance.choice(STATEMENTS).replace("\\n", "\n")
        else:
            statement = "{n} = " + chance.choice(chance.choice(kinds))
        while "{c}" in statement:
            statement = statement.replace("{c}", chance.choice(CONSTANTS), 1)
        yield name, statement.format(**given)
        known.append(name)
