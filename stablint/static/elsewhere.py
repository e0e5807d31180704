"""Findings across files: one half of a fault stands in the file that is checked, the other in one that it imports."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import libcst as cst

from stablint.rule import Mark, Report
from stablint.static.edits import anchors
from stablint.static.source import SourceFile


def settled(source: SourceFile, reports: Iterable[Report]) -> list[Report]:
    """Return the reports so that each stands in the file that is checked, and each mark says in which file it is.

    A report of a node elsewhere moves to the first of its marks that is here: a softmax in the model's file is
    reported at the loss that is given it.  Where no half is here, it is for the check of the other file.
    """
    reports = list(reports)
    wanted = [node for report in reports for node in _nodes(source, report)]
    here = source.spans(wanted)
    missing = [node for node in wanted if id(node) not in here]
    if not missing or source.project is None:
        return reports
    files: dict[int, SourceFile] = {}
    for other in source.project.behind(source).values():
        left = [node for node in missing if id(node) not in files]
        if left and other is not None and other.original is not source.original:
            files.update(dict.fromkeys(other.spans(left), other))
    if not files:
        return reports
    return [one for report in reports if (one := _settled(source, report, files)) is not None]


def _nodes(source: SourceFile, report: Report) -> list[cst.CSTNode]:
    marked = [mark.node for mark in report.related if mark.source is None]
    return [report.node, *marked, *(anchors(source, report.fix) if report.fix else ())]


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
