"""The names and signatures that stablint knows, compared with those of the torch that is installed."""

import inspect
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from torch_installed import found, spellings, torch

from stablint.static.torch_api import bind, groups, kind, signature
from stablint.static.torch_api.data import operation_names, torch_api
from stablint.static.torch_api.names import RENAMED, canonical

GENERATOR = Path(__file__).parent / "tools/torch_api"
DATA = Path(__file__).parents[1] / "stablint/static/torch_api/torch_api.json"

# Much of what is looked at here is deprecated; it is known because people still write it.
pytestmark = pytest.mark.filterwarnings("ignore")


def test_the_data_is_what_the_generator_writes(tmp_path: Path) -> None:
    # In a process of its own: what it finds depends on which parts of torch are imported.
    subprocess.run([sys.executable, str(GENERATOR), str(tmp_path / "new.json")], check=True, timeout=120)
    assert (tmp_path / "new.json").read_text(encoding="utf-8") == DATA.read_text(encoding="utf-8")


def test_names_lead_to_the_same_object() -> None:
    for dotted, public in torch_api()["aliases"].items():
        module, _, name = dotted.rpartition(".")
        assert getattr(import_module(module), name) is found(public), dotted
    seen = 0
    for module in torch_api()["modules"]:
        for name, thing in vars(import_module(module)).items():
            public = canonical(f"{module}.{name}")
            if public != f"{module}.{name}" and public not in RENAMED.values():
                assert found(public) is thing, f"{module}.{name}"
                seen += 1
    assert seen > 200


def test_deprecated_names_lead_to_something_that_exists() -> None:
    assert [public for public in RENAMED.values() if found(public) is None] == []


def test_kinds_are_those_of_the_classes() -> None:
    bases = {
        "module": torch.nn.Module,
        "loss": torch.nn.Module,
        "optimizer": torch.optim.Optimizer,
        "scheduler": torch.optim.lr_scheduler.LRScheduler,
    }
    for namespace in ("torch.nn", "torch.optim", "torch.optim.lr_scheduler", "torch.optim.swa_utils"):
        for name, thing in vars(found(namespace)).items():
            if inspect.isclass(thing) and not name.startswith("_"):
                word = kind(f"{namespace}.{name}")
                is_one = [key for key, base in bases.items() if issubclass(thing, base)]
                assert word in is_one or not (is_one or word in bases), f"{namespace}.{name}"


def test_every_layer_has_an_operation_or_is_a_block() -> None:
    blocks = groups.CONTAINERS | groups.MODE_DEPENDENT_BLOCKS
    known = {f"torch.nn.{name}" for name in operation_names()["modules"] if not name.startswith("_")}
    assert {dotted for dotted in known if kind(dotted) not in ("module", "loss")} == set()
    layers = {
        f"torch.nn.{name}"
        for word in ("module", "loss")
        for name in torch_api()["kinds"]["torch.nn"][word]  # type: ignore[index]
    }
    others = "Module Container DataParallel RNNBase RNNCellBase ParameterList ParameterDict NLLLoss2d"
    assert layers - known - blocks == {f"torch.nn.{name}" for name in others.split()}


def test_the_operation_of_a_layer_is_a_function_where_there_is_one() -> None:
    without = {
        "identity",
        "multi_head_attention",
        "adaptive_log_softmax_with_loss",
        "im2col",
        "col2im",
        "unflatten",
    }
    shorts = set(operation_names()["modules"].values())
    assert {short for short in shorts if short not in spellings()} <= without


def test_groups_hold_only_what_there_is() -> None:
    known = {*spellings(), *operation_names()["modules"].values(), *operation_names()["functions"].values()}
    for name, group in vars(groups).items():
        if name.isupper() and name != "SHAPE_ATTRIBUTES":
            plain = {one for one in group if "." not in one}
            assert plain - known == set(), name
            assert {one for one in group if "." in one and found(one) is None} == set(), name
    assert all(hasattr(torch.Tensor, one) for one in groups.SHAPE_ATTRIBUTES)


def test_python_binds_the_same() -> None:
    seen = 0
    for namespace, known in torch_api()["signatures"].items():
        for name in known:
            thing = found(f"{namespace}.{name}")
            ours = signature(f"{namespace}.{name}")
            assert ours is not None
            overloads = (ours, *ours.alternatives)
            if not inspect.isfunction(thing) or any(one.star or one.stars for one in overloads):
                continue
            if str(inspect.signature(thing)).startswith("(*args"):
                continue
            is_method = inspect.isclass(found(namespace)) or "." in name
            theirs = inspect.signature(thing)
            for count in range(len(theirs.parameters) + 2):
                values = list(range(count))
                try:
                    expected = dict(theirs.bind(*([None] if is_method else []), *values).arguments)
                except TypeError:
                    expected = None
                if expected is not None and {"args", "kwargs"} & expected.keys():
                    continue
                if expected is not None and is_method:
                    expected.pop(next(iter(theirs.parameters)))
                assert bind(ours, values, {}) == expected, f"{namespace}.{name} with {count}"
                seen += 1
    assert seen > 1000


CALLS = {
    "torch.softmax": (1,),
    "torch.log_softmax": (1,),
    "torch.sum": (1, True),
    "torch.mean": (1, True),
    "torch.std": (1, True, True),
    "torch.var": (1, False),
    "torch.norm": (2, 1, True),
    "torch.linalg.norm": (2, 1, True),
    "torch.linalg.vector_norm": (2, 1, True),
    "torch.special.softmax": (1,),
    "torch.special.logsumexp": (1, True),
    "torch.clamp": (0.2, 0.4),
    "torch.clamp_min": (0.3,),
    "torch.pow": (2,),
    "torch.div": (3,),
    "torch.cumsum": (1,),
    "torch.transpose": (0, 1),
    "torch.flatten": (0, 1),
    "torch.unsqueeze": (1,),
    "torch.narrow": (1, 0, 2),
    "torch.roll": (1, 0),
    "torch.masked_fill": (torch.tensor([True, False, True]), 0.5),
    "torch.lerp": (torch.ones(3), 0.3),
    "torch.addcmul": (torch.ones(3), torch.ones(3)),
    "torch.nn.functional.softplus": (2, 10),
    "torch.nn.functional.leaky_relu": (0.2,),
    "torch.nn.functional.elu": (0.7,),
    "torch.nn.functional.gelu": (),
    "torch.nn.functional.hardtanh": (0.1, 0.3),
    "torch.nn.functional.linear": (torch.eye(3), torch.ones(3)),
    "torch.nn.functional.softshrink": (0.1,),
    "torch.nn.functional.layer_norm": ((3,), torch.full((3,), 2.0), torch.ones(3), 1e-3),
    "torch.nn.functional.normalize": (1.0, 1, 1e-3),
    "torch.nn.functional.pad": ((1, 1), "constant", 2.0),
    "torch.nn.functional.mse_loss": (torch.ones(2, 3),),
    "torch.nn.functional.scaled_dot_product_attention": (torch.ones(2, 3), torch.ones(2, 3), None, 0.0, True),
}


@pytest.mark.parametrize("dotted", CALLS)
def test_torch_takes_by_name_what_it_takes_by_position(dotted: str) -> None:
    x = torch.tensor([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]])
    known = signature(dotted)
    assert known is not None
    bound = bind(known, (x, *CALLS[dotted]), {})
    assert bound is not None
    assert len(bound) == 1 + len(CALLS[dotted])
    assert torch.equal(found(dotted)(x, *CALLS[dotted]), found(dotted)(**bound))
