"""Why a file cannot be looked at, and whose fault that is."""

from __future__ import annotations

import ast
import sys
import warnings

from stablint.diagnostics.file_not_checked import FileNotChecked
from stablint.diagnostics.syntax_error import SyntaxError_
from stablint.finding import Position
from stablint.rule import Rule

_START = Position(1, 1)


class UnreadableError(Exception):
    """A file that cannot be checked: the diagnostic to report, what is wrong, and where."""

    def __init__(self, diagnostic: type[Rule], message: str, position: Position = _START) -> None:
        super().__init__(message)
        self.diagnostic = diagnostic
        self.message = message
        self.position = position


def not_checked(message: str, position: Position = _START) -> UnreadableError:
    """Say that stablint cannot check the file, though Python may well run it."""
    return UnreadableError(FileNotChecked, f"not checked: {message}", position)


def whose_fault(source: bytes | str, otherwise: str) -> UnreadableError:
    """Let CPython decide: a syntax error where it does not compile `source`, else file-not-checked."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(source)
    except SyntaxError as error:
        return syntax_error(error.msg, error.lineno, error.offset)
    except ValueError as error:  # NUL bytes, up to Python 3.11.3; lone surrogates
        return syntax_error(str(error), None, None)
    except (RecursionError, MemoryError):
        return not_checked(f"{otherwise}, and it is nested too deeply for Python itself")
    return not_checked(otherwise)


def syntax_error(message: str, line: int | None, column: int | None) -> UnreadableError:
    """Word a syntax error by what the running Python knows; a newer Python may know more."""
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    position = Position(max(line or 1, 1), max(column or 1, 1))
    text = f"not valid Python as far as {running}, the Python that runs stablint, knows: {message}"
    return UnreadableError(SyntaxError_, text, position)
