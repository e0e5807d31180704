"""What is remembered of earlier runs: results of files, and the files that they rest on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import msgspec

from stablint.finding import Finding
from stablint.static.result import Link


class Node(msgspec.Struct, array_like=True):
    """A file as some result rests on it: its content, where its imports led, and what was asked to find that."""

    digest: str
    leads: tuple[str, ...]
    asked: dict[str, bool]

    def contradicts(self, other: Node) -> bool:
        """Say whether the file or a folder was another when the other was told."""
        if self.digest != other.digest:
            return True
        return any(self.asked.get(question, answer) is not answer for question, answer in other.asked.items())

    def joined(self, other: Node) -> Node:
        """Return what both tell: how far a file is looked into depends on who imports it."""
        leads = tuple(sorted({*self.leads, *other.leads}))
        return Node(self.digest, leads, {**self.asked, **other.asked})


class Entry(msgspec.Struct, array_like=True):
    """What was found in a file."""

    codes: tuple[str, ...] | None
    """The rules that ran, where they are not those of the plan."""
    findings: tuple[Finding, ...]
    own: Node
    """The file itself as it was checked, which asks more than those that import it."""


class Memory(msgspec.Struct):
    """Everything that is remembered."""

    entries: dict[str, Entry] = {}
    """By the name that the file was given on the command line."""
    nodes: dict[str, Node] = {}
    """Imported files, by path; those that an entry leads to are all here."""

    def behind(self, entries: Iterable[Entry]) -> set[str]:
        """Return the paths of the files that entries lead to."""
        found: set[str] = set()
        ahead = [lead for entry in entries for lead in entry.own.leads]
        while ahead:
            path = ahead.pop()
            if path not in found:
                found.add(path)
                node = self.nodes.get(path)
                ahead.extend(node.leads if node is not None else ())
        return found

    def forget(self, changed: Iterable[str]) -> None:
        """Forget imported files and all that rests on them: the imports of those may lead elsewhere now."""
        importers: dict[str, list[str]] = {}
        for path, node in self.nodes.items():
            for lead in node.leads:
                importers.setdefault(lead, []).append(path)
        found: set[str] = set()
        ahead = list(changed)
        while ahead:
            path = ahead.pop()
            if path not in found:
                found.add(path)
                ahead.extend(importers.get(path, ()))
        if found:
            self.nodes = {path: node for path, node in self.nodes.items() if path not in found}
            self.entries = {
                name: entry for name, entry in self.entries.items() if found.isdisjoint(entry.own.leads)
            }

    def learn(self, told: Told) -> None:
        """Add what a run has told."""
        self.forget(told.doubtful)
        self.forget([path for path, node in told.nodes.items() if self._differs(path, node)])
        for path, node in told.nodes.items():
            known = self.nodes.get(path)
            self.nodes[path] = node if known is None else known.joined(node)
        for name, entry in told.entries.items():
            if self.nodes.keys() >= self.behind([entry]):
                self.entries[name] = entry

    def _differs(self, path: str, node: Node) -> bool:
        known = self.nodes.get(path)
        return known is not None and known.contradicts(node)

    def tidy(self, is_there: Callable[[str], bool]) -> None:
        """Forget the results of files that are not there any more, and the files that no result rests on."""
        self.entries = {name: entry for name, entry in self.entries.items() if is_there(name)}
        needed = self.behind(self.entries.values())
        self.nodes = {path: node for path, node in self.nodes.items() if path in needed}


@dataclass(slots=True)
class Told:
    """What a run has told so far."""

    nodes: dict[str, Node] = field(default_factory=dict)
    entries: dict[str, Entry] = field(default_factory=dict)
    doubtful: set[str] = field(default_factory=set)
    """Files that changed while others were checked: nobody knows which of their contents a finding rests on."""

    def add(self, links: Iterable[Link]) -> None:
        """Add what one result has told."""
        for link in links:
            node = Node(link.digest, link.leads, link.asked)
            known = self.nodes.get(link.path)
            if link.path in self.doubtful or (known is not None and known.contradicts(node)):
                self.doubtful.add(link.path)
                self.nodes.pop(link.path, None)
            else:
                self.nodes[link.path] = node if known is None else known.joined(node)
