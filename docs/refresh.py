"""Rewrite what the tool itself says in the documentation: `python docs/refresh.py`, from an installed checkout."""

import re
import subprocess
import sys
from pathlib import Path

from stablint import page
from stablint.diagnostics import DIAGNOSTICS
from stablint.registry import load_rules
from stablint.rule import Rule

ROOT = Path(__file__).parents[1]
EXAMPLE = "docs/examples/train_digits.py"

FAMILIES = {
    "static/training_loop": "The training loop",
    "static/gradients": "Gradients",
    "static/losses": "Losses",
    "static/numerics": "Numerics",
    "static/initialisation": "Initialisation",
    "static/architecture": "Architecture",
    "static/state": "State and modes",
    "static/precision": "Precision",
    "static/data": "Data",
    "diagnostics": "The run itself",
}
"""The folders of rule files, in the order of the codes."""

RULES_HEAD = """\
# Rules

Written by `docs/refresh.py` from the rules themselves. A name leads to the rule's file, whose docstring is its
page; `stablint rule NAME` shows it in the terminal.

**error**: the run is wrong, dead or NaN. **warning**: a defect with bounded damage, or one that depends on data.
**note**: advice, which never makes a run fail. A fix is *safe* where it changes no result but rounding, or what had
overflowed, and *unsafe* where it changes what is trained: the page of each rule says which.
"""


def refreshed() -> dict[Path, str]:
    """Return the documents as they should be."""
    readme = ROOT / "README.md"
    return {readme: _with_output(readme.read_text("utf-8")), ROOT / "docs" / "rules.md": _rules()}


def output() -> str:
    """Return what checking the example prints, as a reader sees it."""
    command = [sys.executable, "-m", "stablint", "check", "--isolated", EXAMPLE]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", check=False)
    if run.returncode != 1:
        raise SystemExit(f"{EXAMPLE}: exit status {run.returncode}\n{run.stdout}{run.stderr}")
    return run.stdout


def _with_output(readme: str) -> str:
    start, end = (
        re.escape("<!-- output: written by docs/refresh.py -->\n"),
        re.escape("<!-- end of output -->"),
    )
    block = f"```text\n{output()}```\n"
    return re.sub(f"({start}).*?({end})", lambda found: found[1] + block + found[2], readme, flags=re.DOTALL)


def _rules() -> str:
    rules = (*load_rules(), *DIAGNOSTICS)
    parts = [RULES_HEAD]
    for folder, title in FAMILIES.items():
        family = [rule for rule in rules if _file(rule).parent.as_posix().endswith(folder)]
        parts += [f"\n## {title}\n\n", "| code | name | severity | default | fix | what it finds |\n"]
        parts += ["|---|---|---|---|---|---|\n", *map(_row, family)]
    return "".join(parts)


def _row(rule: type[Rule]) -> str:
    link = f"[{rule.name()}](../{_file(rule).as_posix()})"
    default = "on" if rule.default else "off"
    return (
        f"| {rule.code} | {link} | {rule.severity} | {default} | {page.fix(rule)} | {page.summary(rule)} |\n"
    )


def _file(rule: type[Rule]) -> Path:
    """Return where a rule stands in this repository."""
    path = Path(*rule.__module__.split(".")).with_suffix(".py")
    return path if path.parts[0] == "stablint" else "rules" / path


if __name__ == "__main__":
    for document, text in refreshed().items():
        document.write_text(text, "utf-8")
