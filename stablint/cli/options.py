"""The options of `stablint check`, in the groups in which the help shows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import click

from stablint.settings.settings import Format, Gate


def option(*names: str, help: str, **facts: object) -> click.Option:
    """Return an option; its help is not optional."""
    return click.Option(names, help=help, **facts)  # type: ignore[arg-type]


def flag(*names: str, help: str) -> click.Option:
    """Return an option that is given or not."""
    return option(*names, is_flag=True, help=help)


def several(name: str, metavar: str, help: str) -> click.Option:
    """Return an option that takes words, separated by commas or by repeating it."""
    return option(name, multiple=True, callback=_words, metavar=f"{metavar},...", help=help)


def _words(
    _context: click.Context, _option: click.Parameter, values: Sequence[str]
) -> tuple[str, ...] | None:
    words = tuple(word.strip() for value in values for word in value.split(",") if word.strip())
    return words if values else None


FIXING = (
    flag("--fix", help="Apply the fixes that are safe, and report the rest."),
    flag("--unsafe-fixes", help="With --fix or --diff: also those that change what is trained."),
    flag("--fix-only", help="Apply fixes and report nothing."),
    flag("--diff", help="Write nothing, show what --fix would change, exit 1 if it would."),
    flag("--show-fixes", help="List what was fixed."),
    several("--fixable", "RULE", help="Rules whose fixes may be applied."),
    several("--unfixable", "RULE", help="Rules whose fixes may not be applied."),
)
RULES = (
    several("--select", "RULE", help="Rules to run: names, codes, beginnings of codes, DEFAULT, ALL."),
    several("--ignore", "RULE", help="Rules not to run."),
    several("--extend-select", "RULE", help="Rules to run in addition."),
    several("--per-file-ignores", "GLOB:RULE", help="Rules not to run on some files."),
)
FILES = (
    several("--exclude", "GLOB", help="Files and folders not to check, instead of the usual ones."),
    several("--extend-exclude", "GLOB", help="Files and folders not to check in addition."),
    flag("--force-exclude", help="Leave out what is excluded even where the command line names it."),
    option(
        "--respect-gitignore/--no-respect-gitignore",
        default=None,
        help="Leave out what .gitignore files name (the default).",
    ),
    option("--stdin-filename", type=click.Path(), help="With -: what standard input is called."),
)
OUTPUT = (
    option("--output-format", type=click.Choice(get_args(Format)), help="How findings are written."),
    option("-o", "--output-file", type=click.Path(), help="Write to a file instead of standard output."),
    flag("--statistics", help="Count findings by rule instead of showing them."),
    flag("--timings", help="Show which files and rules took longest."),
    option(
        "--color",
        type=click.Choice(["auto", "always", "never"]),
        default="auto",
        help="Whether to colour; auto heeds NO_COLOR and FORCE_COLOR.",
    ),
    flag("-q", "--quiet", help="Show findings and errors only."),
    flag("-v", "--verbose", help="Show which configuration was used, and tracebacks."),
)
STATUS = (
    option(
        "--fail-on", type=click.Choice(get_args(Gate)), help="The least severity that makes the status 1."
    ),
    option(
        "--max-warnings",
        type=click.IntRange(min=0),
        default=0,
        metavar="N",
        help="So many warnings are let pass.",
    ),
    flag("--exit-zero", help="Exit with 0 even if there are findings."),
    flag("--exit-non-zero-on-fix", help="Exit with 1 if anything was fixed."),
)
CONFIGURATION = (
    option(
        "--config", multiple=True, metavar="PATH|KEY=VALUE", help="A file to use, or one setting in TOML."
    ),
    flag("--isolated", help="Use no configuration file."),
    flag("--show-settings", help="Show every setting and where it comes from."),
    flag("--show-files", help="Show which files would be checked."),
)
WORK = (
    option("-j", "--jobs", type=click.IntRange(min=1), metavar="N", help="Processes at work, at most."),
    option(
        "--cache/--no-cache",
        default=True,
        help="Remember results, and check only what may have new ones (the default).",
    ),
    option("--cache-dir", type=click.Path(), help="The folder in which results are remembered."),
    option(
        "--prefilter/--no-prefilter",
        default=True,
        help="Pass over files that do not mention torch (the default).",
    ),
    option("--time-limit", type=float, metavar="SECONDS", help="Seconds that a file may take."),
    option("--size-limit", type=int, metavar="BYTES", help="Bytes that a file may have."),
)

PANELS: dict[str, tuple[click.Option, ...]] = {
    "Fixes": FIXING,
    "Rules": RULES,
    "Files": FILES,
    "Output": OUTPUT,
    "Exit status": STATUS,
    "Configuration": CONFIGURATION,
    "Work": WORK,
}
