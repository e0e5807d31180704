"""What is remembered of earlier runs: results of files, and the files that they rest on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from stablint.finding import Finding
from stablint.static.result import Link


class Node(msgspec.Struct, array_like=True):
    """A file as some result rests on it: its content, where its imports led, and what was asked to find that."""

    digest: str
    leads: tuple[str, ...]
    asked: dict[str, bool]


class Entry(msgspec.Struct, array_like=True):
    """What was found in a file of this content."""

    path: str
    digest: str
    codes: tuple[str, ...]
    """The rules that ran, where they are not those of the plan."""
    findings: tuple[Finding, ...]


class Memory(msgspec.Struct):
    """Everything that is remembered."""

    nodes: dict[str, Node] = {}
    entries: dict[str, Entry] = {}
    """By the name that the file was given on the command line."""


def learn(memory: Memory, links: Iterable[Link]) -> None:
    """Add what a run has told; what two processes tell of the same content is put together."""
    for link in links:
        known = memory.nodes.get(link.path)
        if known is None or known.digest != link.digest:
            memory.nodes[link.path] = Node(link.digest, link.leads, dict(link.asked))
        else:
            leads = tuple(sorted({*known.leads, *link.leads}))
            memory.nodes[link.path] = Node(link.digest, leads, {**known.asked, **link.asked})


def affected(memory: Memory, changed: Iterable[str]) -> set[str]:
    """Return the files that lead to one of those that changed, and these themselves."""
    importers: dict[str, list[str]] = {}
    for path, node in memory.nodes.items():
        for lead in node.leads:
            importers.setdefault(lead, []).append(path)
    found: set[str] = set()
    ahead = list(changed)
    while ahead:
        path = ahead.pop()
        if path not in found:
            found.add(path)
            ahead.extend(importers.get(path, ()))
    return found


def behind(memory: Memory, path: str) -> Mapping[str, Node | None]:
    """Return the files that a file leads to, itself included; None for those of which nothing is known."""
    found: dict[str, Node | None] = {}
    ahead = [path]
    while ahead:
        current = ahead.pop()
        if current not in found:
            node = found[current] = memory.nodes.get(current)
            ahead.extend(node.leads if node is not None else ())
    return found
