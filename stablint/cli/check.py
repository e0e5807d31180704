"""`stablint check`: read code, say what is wrong with it, mend it if asked to."""

from __future__ import annotations

from typing import Any

import rich_click as click
from rich_click.rich_click import OPTION_GROUPS

from stablint.cli.options import PANELS
from stablint.cli.request import Request

PATHS = click.Argument(["paths"], nargs=-1, type=click.Path(), metavar="[PATHS]...")
OPTION_GROUPS["stablint check"] = [
    {"name": title, "options": [option.opts[-1] for option in panel]} for title, panel in PANELS.items()
]


@click.command(params=[PATHS, *(option for panel in PANELS.values() for option in panel)])
def check(**given: Any) -> int:
    """Check files and folders (the current one if none is named; - is standard input).

    Exit status: 0 nothing found, 1 findings, 2 a mistake in the command or the configuration,
    3 a fault of stablint.
    """
    # Late: none of this is needed to show help.
    from stablint.cli.run import run_check

    given["paths"] = given["paths"] or (".",)
    return run_check(Request(**given))
