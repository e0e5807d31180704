"""Places in SARIF's words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import quote

from stablint.finding import Location, Position
from stablint.reporters.place import address, source_line
from stablint.reporters.report import RunReport
from stablint.reporters.safe_text import safe_text

_FIRST = Position(1, 1)
BASE = "SRCROOT"
LONGEST = 1000


def location_object(location: Location, report: RunReport) -> dict[str, Any]:
    """Return a physical location; for a notebook its beginning, and the cell as a logical location.

    A cell's lines are not the lines of the file, and services refuse a location without a region.
    """
    physical: dict[str, Any] = {"artifactLocation": artifact(location.path, report)}
    if location.cell is not None:
        physical["region"] = region(replace(location, start=_FIRST, end=_FIRST))
        logical = {"name": f"cell {location.cell}", "fullyQualifiedName": address(location, report)}
        return {"physicalLocation": physical, "logicalLocations": [logical]}
    line = source_line(location, report)
    snippet = {} if line is None else {"snippet": {"text": safe_text(line[:LONGEST])}}
    physical["region"] = {**region(location), **snippet}
    return {"physicalLocation": physical}


def artifact(path: str, report: RunReport) -> dict[str, str]:
    """Return a relative, percent-encoded URI; the bytes of a name that is no text stay what they are."""
    relative = report.relative(path)
    try:
        name = relative.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        name = relative.encode("utf-8", "surrogatepass")
    return {"uri": quote(name), "uriBaseId": BASE}


def region(location: Location) -> dict[str, int]:
    """Return a range: lines and columns from 1, in code points, the end exclusive."""
    return {
        "startLine": location.start.line,
        "startColumn": location.start.column,
        "endLine": location.end.line,
        "endColumn": location.end.column,
    }
