"""The documents say what is so: every block can be read, every link leads somewhere, generated parts are current."""

import ast
import importlib.util
import re
import shlex
import subprocess
import tomllib
from importlib.metadata import distribution
from pathlib import Path
from types import ModuleType

import pytest
from documents import DOCUMENTS, ROOT, Block, blocks

from stablint.registry import load_rules
from stablint.settings.layer import layer
from stablint.settings.settings import Settings, key


def refresh() -> ModuleType:
    spec = importlib.util.spec_from_file_location("refresh", ROOT / "docs" / "refresh.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("block", blocks(), ids=str)
def test_block_can_be_read(block: Block) -> None:
    if block.language == "python":
        ast.parse(block.text)
    elif block.language == "toml":
        assert tomllib.loads(block.text)
    elif block.language == "sh":
        run = subprocess.run(["bash", "-n"], input=block.text, text=True, capture_output=True, check=False)
        assert run.returncode == 0, run.stderr
    else:
        assert block.language == "text", f"what is {block.language!r}?"


def test_commands_of_stablint_exist() -> None:
    options = set(re.findall(r"--[a-z-]+", ROOT.joinpath("stablint/cli/options.py").read_text()))
    for block in blocks():
        for line in block.text.splitlines() if block.language == "sh" else ():
            for _, command in re.findall(r"(^|&& )stablint ([^&#]*)", line):
                verb, *arguments = shlex.split(command)
                assert verb in ("check", "rule")
                named = {each.partition("=")[0] for each in arguments if each.startswith("--")}
                assert named <= options | {"--all"}, line


def test_settings_in_the_documents_are_accepted() -> None:
    tables = [tomllib.loads(block.text) for block in blocks() if block.language == "toml"]
    ours = [table["tool"]["stablint"] for table in tables if "stablint" in table.get("tool", {})]
    assert ours
    for table in ours:
        assert layer(table, "document", str(ROOT)).values


def test_every_setting_is_documented_with_its_default() -> None:
    rows = re.findall(
        r"^\| `([\w-]+)` \|([^|]*)\|", ROOT.joinpath("docs/configuration.md").read_text(), re.MULTILINE
    )
    assert [name for name, _ in rows] == [key(field) for field in Settings.__struct_fields__]
    defaults = Settings()
    for name, told in rows:
        value = getattr(defaults, name.replace("-", "_"))
        literal = re.fullmatch(r"`(.*)`", told.strip())
        if literal:
            said = tomllib.loads(f"said = {literal[1]}")["said"]
            assert said == (list(value) if isinstance(value, tuple) else value), name


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text("utf-8")):
        if not target.startswith(("https://", "#")):
            assert (document.parent / target.partition("#")[0]).exists(), target


def test_what_the_tool_says_is_current() -> None:
    for document, text in refresh().refreshed().items():
        assert document.read_text("utf-8") == text, f"python docs/refresh.py would change {document.name}"


def test_every_rule_is_in_the_index_once() -> None:
    index = ROOT.joinpath("docs/rules.md").read_text("utf-8")
    for rule in load_rules():
        assert index.count(f"[{rule.name()}](") == 1


def test_every_runtime_dependency_has_its_reason_and_there_are_at_most_ten() -> None:
    document = ROOT.joinpath("docs/dependencies.md").read_text()
    told = set(re.findall(r"^\| ([a-z][a-z-]+) \|", document, re.MULTILINE)) - {"distribution"}
    declared = tomllib.loads(ROOT.joinpath("pyproject.toml").read_text())["project"]["dependencies"]
    needed = {re.match(r"[\w-]+", each)[0].lower() for each in declared}  # type: ignore[index]
    assert needed <= told
    assert told == closure(needed)
    assert len(told) <= 10


def closure(names: set[str]) -> set[str]:
    """Return distributions with all that they require here: extras and other platforms left out."""
    packaging = pytest.importorskip("packaging.requirements")
    found: set[str] = set()
    waiting = set(names)
    while waiting:
        name = waiting.pop()
        found.add(name)
        for line in distribution(name).requires or ():
            requirement = packaging.Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting |= {requirement.name.lower().replace("_", "-")} - found
    return found
