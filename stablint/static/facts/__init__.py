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
| the sizes of a tensor's dimensions, as far as they are known | `shapes` (functions of terms) | `shapes` |
| what made a tensor, looking through views and casts | `provenance` (functions of terms) | `provenance` |
| what a tensor is as the input of a loss | `outputs` (functions of terms) | `outputs` |
| what logarithms are taken of | `logarithms` (functions) | `logarithms` |
| formulas around a bare exponential | `exponentials` (functions) | `exponentials` |
| what becomes of a value: is it only shown? | `uses` (fact) | `consumers` |
| what is read and written through `.data` | `data_fields` (functions) | `data_fields` |
| whether what is computed at a place is trained through | `differentiation` (functions) | `differentiation` |
| whether a zero is to be expected, or was tested for | `zeros` (functions) | `zeros` |
| every comparison by an operator | `comparisons` (fact) | `comparing` |
| counts that can be 0 | `counts` (functions of terms) | `counts` |
| whether a condition leaves out zero | `conditions` (function of terms) | `conditions` |
| whether code asks for `self.training` before a place | `modes` (functions) | `modes` |
| whether a model computes something else in train mode | `modality` (function) | `modality` |
| the nn.Module classes, and what their attributes hold | `models` (fact) | `classes` |
| which layers and parameters a model knows it has | `registration` (functions) | `registration` |
| layers in a row; those of torch with nothing between that restores the signal | `rows`, `chains` (facts) | `layers` |
| tensors made without values | `allocation` (functions) | `allocation` |
| where tensors get values, and which layers and parameters that reaches | `reaches` (fact) | `reaching` |
| what was tested on the way to a place | `guards` (functions) | `guards` |
| where code runs under autocast to float16 | `autocasts` (fact) | `autocasting` |
| which tensors and models are in float16 | `halves` (fact) | `half_precision` |
| how the file can spell a name of torch | `spelling` (function) | `spelling` |
| averages of parameters that are computed with a graph | `parameter_averages` (fact) | `averages` |
| what training loops hand from one round to the next | `carried_states` (fact) | `carried` |
| what happens in training when a function runs, in order | `training_paths` (fact) | `paths` |
| the same of functions that do not train | `running_paths` (fact) | `paths` |
| running a rule's states along such a path | `automaton.Automaton` | `automaton` |
| what a training event is | `events` | `events` |
| what an object is to training, whether two are one, how it is written | functions | `roles`, `identity`, `writing` |
| iterators over parameters that can be gone through once, and who does | `consumptions` (fact) | `iterators` |
| whether a loss is a mean or a sum over samples | `reductions` (function of terms) | `reductions` |
| the optimizers of a file, and whose parameters they take | `optimizers` (fact), functions | `optimised` |
| the loaders whose batches reach a `backward()` | `feedings` (fact) | `loaders` |
| whether a statement runs after another one | functions | `order` |
| where a statement stands, and how a fix may move it | `statements` (functions) | `statements` |

A fact never has the name of a module here: importing a submodule binds its name in this package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stablint.static.facts import accumulation as accumulation
    from stablint.static.facts import allocation as allocation
    from stablint.static.facts import autocasting as autocasting
    from stablint.static.facts import automaton as automaton
    from stablint.static.facts import classes as classes
    from stablint.static.facts import conditions as conditions
    from stablint.static.facts import counts as counts
    from stablint.static.facts import data_fields as data_fields
    from stablint.static.facts import differentiation as differentiation
    from stablint.static.facts import events as events
    from stablint.static.facts import exponentials as exponentials
    from stablint.static.facts import gradient_fields as gradient_fields
    from stablint.static.facts import gradients as gradients
    from stablint.static.facts import guards as guards
    from stablint.static.facts import half_precision as half_precision
    from stablint.static.facts import identity as identity
    from stablint.static.facts import intervals as intervals
    from stablint.static.facts import iterators as iterators
    from stablint.static.facts import loaders as loaders
    from stablint.static.facts import logarithms as logarithms
    from stablint.static.facts import logs as logs
    from stablint.static.facts import modality as modality
    from stablint.static.facts import modes as modes
    from stablint.static.facts import narrowing as narrowing
    from stablint.static.facts import optimised as optimised
    from stablint.static.facts import order as order
    from stablint.static.facts import outputs as outputs
    from stablint.static.facts import paths as paths
    from stablint.static.facts import programs as programs
    from stablint.static.facts import provenance as provenance
    from stablint.static.facts import reaching as reaching
    from stablint.static.facts import reductions as reductions
    from stablint.static.facts import registration as registration
    from stablint.static.facts import roles as roles
    from stablint.static.facts import shapes as shapes
    from stablint.static.facts import spelling as spelling
    from stablint.static.facts import statements as statements
    from stablint.static.facts import terms as terms
    from stablint.static.facts import writing as writing
    from stablint.static.facts import zeros as zeros
    from stablint.static.facts.accumulation import accumulations as accumulations
    from stablint.static.facts.autocasting import autocasts as autocasts
    from stablint.static.facts.averages import parameter_averages as parameter_averages
    from stablint.static.facts.carried import carried_states as carried_states
    from stablint.static.facts.classes import models as models
    from stablint.static.facts.comparing import comparisons as comparisons
    from stablint.static.facts.consumers import uses as uses
    from stablint.static.facts.evaluation import values as values
    from stablint.static.facts.half_precision import halves as halves
    from stablint.static.facts.iterators import consumptions as consumptions
    from stablint.static.facts.layers import chains as chains
    from stablint.static.facts.layers import rows as rows
    from stablint.static.facts.loaders import feedings as feedings
    from stablint.static.facts.logs import log_entries as log_entries
    from stablint.static.facts.optimised import optimizers as optimizers
    from stablint.static.facts.paths import running_paths as running_paths
    from stablint.static.facts.paths import training_paths as training_paths
    from stablint.static.facts.reaching import reaches as reaches
    from stablint.static.facts.scopes import syntax as syntax
    from stablint.static.facts.sites import operations as operations

_HOMES = {
    "autocasts": "autocasting",
    "halves": "half_precision",
    "accumulations": "accumulation",
    "parameter_averages": "averages",
    "carried_states": "carried",
    "chains": "layers",
    "comparisons": "comparing",
    "consumptions": "iterators",
    "optimizers": "optimised",
    "rows": "layers",
    "feedings": "loaders",
    "log_entries": "logs",
    "models": "classes",
    "reaches": "reaching",
    "running_paths": "paths",
    "training_paths": "paths",
    "values": "evaluation",
    "syntax": "scopes",
    "operations": "sites",
    "uses": "consumers",
}


def __getattr__(name: str) -> Any:
    import importlib

    home = f"{__name__}.{_HOMES.get(name, name)}"
    try:
        module = importlib.import_module(home)
    except ModuleNotFoundError as error:
        if error.name != home:
            raise
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    if name in _HOMES:
        return globals().setdefault(name, getattr(module, name))
    return module
