"""Whatever is edited in a project, in whatever order: a run that remembers finds what one does that does not."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from cached_projects import Checked, python_files
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

MODULES = {
    "a": "a.py",
    "b": "b.py",
    "train": "train.py",
    "p": "p/__init__.py",
    "p.a": "p/a.py",
    "p.b": "p/b.py",
    "p.q": "p/q/__init__.py",
    "p.q.c": "p/q/c.py",
}
OTHERS = ("setup.py", "p/tox.ini", "src/a.py", "src/p/a.py", "a/__init__.py", "a/b/x.txt", "p/b/__init__.py")
NAMES = ("f", "g")

modules = st.sampled_from(sorted(MODULES))
names = st.sampled_from(NAMES)


@st.composite
def imports(draw: st.DrawFn) -> str:
    """One import, and what it binds under one of the names."""
    module, name, other = draw(modules), draw(names), draw(names)
    package, _, last = module.rpartition(".")
    around = draw(st.sampled_from([".", "..", f".{last}", f"..{last}", package or "p", module]))
    return draw(
        st.sampled_from(
            [
                f"from {module} import {name} as {other}",
                f"from {around} import {name} as {other}",
                f"from {around} import {last}\n{other} = {last}.{name}",
                f"from {module} import *",
                f"from {around} import *",
                f"import {module} as m\ndef {other}(x):\n    return m.{name}(x)",
                f"def {other}(x):\n    from {module} import {name} as h\n    return h(x)",
                f"try:\n    from {module} import {name}\nexcept ImportError:\n    from {around} import {name}",
                f"from {module} import N",
                f"if x:\n    from {around} import {last} as {other}",
            ]
        )
    )


own = st.sampled_from(
    [
        "def f(x):\n    return x",
        "def g(x):\n    return torch.softmax(x, dim=1)",
        "def f(x):\n    return g(x)",
        "def g(x):\n    return f(x)",
        "N = 1",
        "N = torch.softmax(torch.randn(3, 4), dim=N)",
        "__all__ = ['f', 'N']",
        "class C:\n    f = f\n    def h(self, x):\n        return g(x)",
        "def g(x):\n    return C().h(x)",
        "(",
    ]
)
uses = st.sampled_from(
    ["torch.log(f(x))", "torch.log(g(x))", "torch.log(N)", "def k(x):\n    return torch.log(f(x))"]
)
texts = st.builds(
    lambda head, parts: "\n".join([*head, *parts, ""]),
    st.sampled_from([["import torch"], ["import torch"], []]),
    st.lists(st.one_of(imports(), own, uses), max_size=5),
)
places = st.sampled_from([*MODULES.values(), *MODULES.values(), *OTHERS])
edits = st.tuples(places, st.one_of(texts, texts, texts, st.none()))


def edit(path: str, text: str | None) -> None:
    place = Path(path)
    if any(parent.is_file() for parent in place.parents) or place.is_dir():
        return
    if text is not None:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    elif place.exists():
        place.unlink()


@settings(
    max_examples=40,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],  # making a history shorter takes minutes
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(
    st.fixed_dictionaries(dict.fromkeys(MODULES.values(), texts)),
    st.lists(st.tuples(st.lists(edits, min_size=1, max_size=3), st.booleans()), min_size=1, max_size=6),
)
def test_histories(
    monkeypatch: pytest.MonkeyPatch,
    start: dict[str, str],
    history: list[tuple[list[tuple[str, str | None]], bool]],
) -> None:
    with tempfile.TemporaryDirectory() as folder, monkeypatch.context() as patch:
        patch.chdir(folder)
        checked = Checked(patch)
        for path in start:
            edit(path, start[path])
        checked()
        for changes, only_some in history:
            for path, text in changes:
                edit(path, text)
            names = python_files()
            checked(names=names[:: 2 if only_some else 1])
        checked()
        assert checked() == []
        os.chdir("/")
