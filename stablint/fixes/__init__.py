"""Mending what was found: edits of byte ranges of the original, checked before they are written."""

from stablint.fixes.diff import unified_diff
from stablint.fixes.fixed import Fixed, fix_source
from stablint.fixes.write import ChangedError, write_atomically

__all__ = ["ChangedError", "Fixed", "fix_source", "unified_diff", "write_atomically"]
