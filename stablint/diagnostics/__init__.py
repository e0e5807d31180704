"""The run's own codes: what stablint says about a run instead of about a model.

They are rules with a page like any other, but the engine itself raises them; three of them cannot be ignored.
"""

from stablint.diagnostics.blanket_suppression import BlanketSuppression
from stablint.diagnostics.file_not_checked import FileNotChecked
from stablint.diagnostics.internal_error import InternalError
from stablint.diagnostics.syntax_error import SyntaxError_
from stablint.diagnostics.unused_suppression import UnusedSuppression
from stablint.rule import Rule

DIAGNOSTICS: tuple[type[Rule], ...] = (
    FileNotChecked,
    SyntaxError_,
    UnusedSuppression,
    BlanketSuppression,
    InternalError,
)

__all__ = [
    "DIAGNOSTICS",
    "NEVER_IGNORED",
    "BlanketSuppression",
    "FileNotChecked",
    "InternalError",
    "SyntaxError_",
    "UnusedSuppression",
]

NEVER_IGNORED = frozenset({FileNotChecked.code, SyntaxError_.code, InternalError.code})
"""Codes that no comment can switch off: a run that skipped something must not look clean."""
