"""What GitHub's runner takes for a command in a line of a log, after actions/runner's ActionCommand."""

from __future__ import annotations

COMMANDS = {
    "add-mask", "add-matcher", "add-path", "debug", "echo", "endgroup", "error", "group", "notice",
    "remove-matcher", "save-state", "set-env", "set-output", "stop-commands", "warning",
}  # fmt: skip


def commands(log: str) -> list[tuple[str, dict[str, str], str]]:
    """Return name, properties and data of each command in a log."""
    lines = log.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return [found for line in lines for found in [_modern(line) or _old(line)] if found is not None]


def _modern(line: str) -> tuple[str, dict[str, str], str] | None:
    """Read `::name key=value,key=value::data`, white space before it allowed."""
    line = line.lstrip()
    if not line.startswith("::"):
        return None
    info, separator, data = line[2:].partition("::")
    name, _, told = info.partition(" ")
    if not separator or name not in COMMANDS:
        return None
    properties = {}
    for pair in told.strip().split(","):
        key, _, value = pair.partition("=")
        if key and value:
            properties[key.lower()] = _plain(
                value, {"%0D": "\r", "%0A": "\n", "%3A": ":", "%2C": ",", "%25": "%"}
            )
    return name, properties, _plain(data, {"%0D": "\r", "%0A": "\n", "%25": "%"})


def _old(line: str) -> tuple[str, dict[str, str], str] | None:
    """Read `##[name key=value;...]data`, which may stand anywhere in a line."""
    _, found, rest = line.partition("##[")
    info, closed, data = rest.partition("]")
    name, _, _ = info.partition(" ")
    return (name, {}, data) if found and closed and name in COMMANDS else None


def _plain(text: str, escapes: dict[str, str]) -> str:
    for escape, char in escapes.items():
        text = text.replace(escape, char)
    return text
