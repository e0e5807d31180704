"""Models called past their hooks."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from mutants.bindings import constructor
from mutants.operator import Mutant, operator, replaced
from mutants.text import Text


@operator(b"torch", "direct-forward-call")
def call_forward(text: Text) -> Iterator[Mutant]:
    """Hooks and wrappers are skipped, where an attribute that holds a layer of torch.nn is called by its forward."""
    for call in text.calls:
        if isinstance(call.func, ast.Attribute) and text.code(call.func).startswith("self."):
            made = constructor(text, call.func)
            if made is not None and text.name(made.func).startswith("torch.nn."):
                yield Mutant((replaced(text, call.func, f"{text.code(call.func)}.forward"),), call.lineno)
