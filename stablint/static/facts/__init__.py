"""What rules share: one fact a file, asked for with `source.ask(facts.NAME)`, imported when first asked for.

A rule file imports this package and so no libcst: `from stablint.static import facts`, then inside `check`
`source.ask(facts.operations)`, `facts.intervals.interval(term)`.

| to ask | name | home |
|---|---|---|
| scopes, classes, functions, calls by last name, blocks around a statement | `syntax` (fact) | `scopes` |
| what an expression holds, as a symbolic term (`terms`) | `values` (fact) | `evaluation` |
| every tensor operation by its one short name, objects made by class | `operations` (fact) | `sites` |
| the interval of a tensor's elements | `intervals` (functions of terms) | `intervals` |
| whether a gradient flows through a tensor | `gradients` (functions of terms) | `gradients` |
| what made a tensor, looking through views and casts | `provenance` (functions of terms) | `provenance` |
| what happens in training when a function runs: events in order, with branches, loops, calls | `training_paths` (fact) | `paths` |
| running a rule's states along such a path | `paths.Automaton` | `paths` |
| what a training event is about | `events` (functions) | `events` |

A fact never has the name of a module here: importing a submodule binds its name in this package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stablint.static.facts import events as events
    from stablint.static.facts import gradients as gradients
    from stablint.static.facts import intervals as intervals
    from stablint.static.facts import paths as paths
    from stablint.static.facts import provenance as provenance
    from stablint.static.facts import terms as terms
    from stablint.static.facts.evaluation import values as values
    from stablint.static.facts.paths import training_paths as training_paths
    from stablint.static.facts.scopes import syntax as syntax
    from stablint.static.facts.sites import operations as operations

_HOMES = {"training_paths": "paths", "values": "evaluation", "syntax": "scopes", "operations": "sites"}
_MODULES = {"events", "gradients", "paths", "intervals", "provenance", "terms"}


def __getattr__(name: str) -> Any:
    import importlib

    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    return found
