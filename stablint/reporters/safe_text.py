"""Making text that is not ours harmless to whatever will show it."""

import re

DRIVING = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # C0, DEL and C1: they move the cursor, start escape sequences, ring bells
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # bidirectional controls: they reorder what is seen
    "\u2028\u2029"  # line and paragraph separator: some viewers break the line there
    "\u200b\u2060-\u2065\u206a-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"  # invisible, of no use
    "\ud800-\udfff"  # lone surrogates: no encoding takes them
    "]"
)
LOG_COMMAND = re.compile(r"##(?=[\w.-]*\[)")
"""CI runners look for `##[command]`, `##vso[command]` and the like anywhere in a line."""
SHORT = {"\t": "\\t", "\n": "\\n", "\r": "\\r"}


def safe_text(text: str) -> str:
    r"""Return `text` on one line with all that could drive a terminal or a log written out: `\x1b`."""
    text = DRIVING.sub(_written_out, text)
    return LOG_COMMAND.sub(r"#\\x23", text)


def safe_line(line: str) -> str:
    r"""Return a printed line that no CI runner takes for a command: `::` at its start becomes `\x3a:`."""
    if line.lstrip().startswith("::"):
        line = line.replace("::", "\\x3a:", 1)
    return LOG_COMMAND.sub(r"#\\x23", line)  # pieces that are harmless apart may not be so together


def _written_out(match: re.Match[str]) -> str:
    char = match[0]
    if char in SHORT:
        return SHORT[char]
    point = ord(char)
    if point <= 0xFF:
        return f"\\x{point:02x}"
    return f"\\u{point:04x}" if point <= 0xFFFF else f"\\U{point:08x}"
