"""Lines of styled pieces -> text, with colours only if they were asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from stablint.finding import Severity
from stablint.reporters.safe_text import safe_line

Piece = tuple[str, str]
"""A style of rich's (empty for none) and the text that has it."""

STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "bold yellow", Severity.NOTE: "bold cyan"}
FRAME = "bold blue"
HELP = "bold cyan"
STRONG = "bold"


def paint(lines: Iterable[Sequence[Piece]], *, color: bool) -> str:
    """Join lines of pieces; no line is one that a CI runner would take for a command."""
    return "".join(_line(pieces, color) + "\n" for pieces in lines)


def _line(pieces: Sequence[Piece], color: bool) -> str:
    plain = "".join(text for _, text in pieces).rstrip()
    if not color or plain != safe_line(plain):
        return safe_line(plain)
    return "".join(_styled(*piece) for piece in pieces)


def _styled(style: str, text: str) -> str:
    if not style or not text:
        return text
    from rich.color import ColorSystem  # late: most output goes to files and pipes
    from rich.style import Style

    return Style.parse(style).render(text, color_system=ColorSystem.STANDARD)
