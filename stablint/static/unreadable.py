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


def whose_fault(source: bytes | str, otherwise: str, position: Position = _START) -> UnreadableError:
    """Let CPython decide: a syntax error where it does not compile `source`, else file-not-checked."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(source)
    except SyntaxError as error:
        place = Position(error.lineno, max(error.offset or 1, 1)) if error.lineno else position
        return syntax_error(error.msg, place)
    except ValueError as error:  # NUL bytes, up to Python 3.11.3; lone surrogates
        return syntax_error(str(error), position)
    except (RecursionError, MemoryError):
        return not_checked("it is nested too deeply, even for Python itself", position)
    return not_checked(otherwise, position)


def syntax_error(message: str, position: Position) -> UnreadableError:
    """Word a syntax error by what the running Python knows; a newer Python may know more."""
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    text = f"not valid Python as far as {running}, the Python that runs stablint, knows: {message}"
    return UnreadableError(SyntaxError_, text, position)
