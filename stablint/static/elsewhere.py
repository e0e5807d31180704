"""Findings across files: one half of a fault stands in the file that is checked, the other in one that it imports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import libcst as cst

from stablint.rule import Mark, Report
from stablint.static.edits import anchors
from stablint.static.source import SourceFile


def nodes_of(source: SourceFile, report: Report) -> list[cst.CSTNode]:
    """Return the nodes of a report whose places are needed, but for those that are said to be elsewhere."""
    marked = [mark.node for mark in report.related if mark.source is None]
    return [report.node, *marked, *(anchors(source, report.fix) if report.fix else ())]


def found_elsewhere(source: SourceFile, wanted: Sequence[cst.CSTNode]) -> dict[int, SourceFile]:
    """Look for nodes, in one pass over each file; return the file of each that is not in the one that is checked."""
    here = source.spans(wanted)
    missing = [node for node in wanted if id(node) not in here]
    found: dict[int, SourceFile] = {}
    for other in source.project.behind(source).values() if source.project is not None and missing else ():
        left = [node for node in missing if id(node) not in found]
        if left and other is not None and other.original is not source.original:
            found.update(dict.fromkeys(other.spans(left), other))
    return found


def settled(source: SourceFile, reports: Sequence[Report], elsewhere: dict[int, SourceFile]) -> list[Report]:
    """Return the reports so that each stands in the file that is checked, and each mark says in which file it is.

    A report of a node elsewhere moves to the first of its marks that is here: a softmax in the model's file is
    reported at the loss that is given it.  Where no half is here, it is for the check of the other file.
    """
    if not elsewhere:
        return list(reports)
    return [one for report in reports if (one := _settled(source, report, elsewhere)) is not None]


def _settled(source: SourceFile, report: Report, files: dict[int, SourceFile]) -> Report | None:
    marks = [replace(mark, source=mark.source or files.get(id(mark.node))) for mark in report.related]
    if report.fix is not None and any(id(node) in files for node in anchors(source, report.fix)):
        report = replace(report, fix=None)
    elsewhere = files.get(id(report.node))
    if elsewhere is None:
        return replace(report, related=tuple(marks))
    here = next((mark for mark in marks if mark.source is None), None)
    if here is None:
        return None
    made = Mark(report.node, "it is computed here", elsewhere)
    others = [mark for mark in marks if mark is not here]
    return replace(report, node=here.node, related=(made, *others), fix=None)
