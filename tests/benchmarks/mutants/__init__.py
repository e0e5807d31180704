"""Ways of breaking files that train."""

from __future__ import annotations

from mutants import (
    clearing,
    data,
    epsilons,
    forward,
    history,
    logarithms,
    losses,
    models,
    modes,
    projects,
    registration,
    scaling,
    stepping,
    weights,
)
from mutants.operator import Operator

_FAMILIES = (
    *(clearing, stepping, scaling, history, losses, models, projects, logarithms),
    *(epsilons, weights, registration, modes, forward, data),
)
OPERATORS: tuple[Operator, ...] = tuple(
    each for family in _FAMILIES for each in vars(family).values() if isinstance(each, Operator)
)
