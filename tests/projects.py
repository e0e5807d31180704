"""Small projects in memory, written as one text: a line `# file: models/net.py` begins a file, the last is checked."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from textwrap import dedent

from term_text import looks, text

from stablint.finding import Location
from stablint.registry import load_rules
from stablint.rule import StaticRule
from stablint.static import facts
from stablint.static.deep import deeply
from stablint.static.examine import examine
from stablint.static.project.folders import Entries
from stablint.static.project.project import Project
from stablint.static.source import SourceFile

_FILE = re.compile(r"^# file: ?(\S*)\n", re.MULTILINE)
IMPORTS = "import torch\nimport torch.nn as nn\nimport torch.nn.functional as F\n"


def files(code: str) -> dict[str, str]:
    """The files of a project by path."""
    first, *others = _FILE.split(dedent(code))
    assert not first.strip(), "a project begins with the line of its first file"
    return dict(zip(others[::2], others[1::2], strict=True))


class Memory:
    """A project whose files are only in memory; folders end in a slash."""

    def __init__(self, code: str | Mapping[str, str | bytes], roots: tuple[str, ...] = ()) -> None:
        held = files(code) if isinstance(code, str) else code
        self.data = {
            os.path.abspath(path): data if isinstance(data, bytes) else data.encode()
            for path, data in held.items()
            if not path.endswith("/")
        }
        self.folders = [os.path.abspath(path) for path in held if path.endswith("/")]
        self.last = list(held)[-1]
        self.opened: list[str] = []
        self.project = Project(self.read, self.entries, roots)

    def read(self, path: str) -> bytes:
        """What is in a file."""
        self.opened.append(os.path.relpath(path))
        return self.data[path]

    def entries(self, folder: str) -> Entries:
        """What is in a folder."""
        found = {}
        for path, is_folder in [(one, False) for one in self.data] + [(one, True) for one in self.folders]:
            if path.startswith(folder + os.sep):
                name, *inside = path[len(folder) + 1 :].split(os.sep)
                found[name] = is_folder or bool(inside)
        return found

    def source(self, path: str | None = None) -> SourceFile:
        """A file to be checked, the last one where none is named."""
        path = path or self.last
        source = SourceFile(path, self.data[os.path.abspath(path)])
        self.project.adopt(source)
        return source


def shown(code: str | Mapping[str, str | bytes], roots: tuple[str, ...] = ()) -> list[str]:
    """What the arguments of every `look(...)` in the last file hold, as texts."""
    return looked(Memory(code, roots))


def looked(memory: Memory, path: str | None = None) -> list[str]:
    """The same of any of the files."""
    return deeply(lambda: _looked(memory.source(path)))


def _looked(source: SourceFile) -> list[str]:
    values = source.ask(facts.values)
    return [text(values.of(argument.value)) for site in looks(source) for argument in site.node.args]


def findings(memory: Memory, path: str | None = None, codes: str = "") -> list[str]:
    """What the rules that are on say of a file, each as one line, with all that is related."""
    rules = [
        rule()
        for rule in load_rules()
        if issubclass(rule, StaticRule) and rule.default and (not codes or rule.code in codes)
    ]
    found = examine(memory.source(path), rules)
    return [
        f"{_place(one.location)} {one.code} {one.message}"
        + "".join(f"; {_place(other.location)} {other.message}" for other in one.related)
        for one in found
    ]


def _place(location: Location) -> str:
    return f"{location.path}:{location.start.line}"
