"""Settings: files, layers, what wins, and what is refused."""

import os
from pathlib import Path
from typing import Any

import pytest

from stablint.errors import UsageError
from stablint.settings.configuration import Configuration, Sources, configuration_for
from stablint.settings.layer import layer
from stablint.settings.settings import ADDED, Settings


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: str, text: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)


def load(folder: str = ".", **sources: Any) -> Configuration:
    return configuration_for(Sources(**sources), folder)


def test_without_a_file_everything_is_default() -> None:
    configuration = load()
    assert configuration.settings == Settings()
    assert [each.origin for each in configuration.layers] == ["default"]


@pytest.mark.parametrize(
    ("name", "header"),
    [(".stablint.toml", ""), ("stablint.toml", ""), ("pyproject.toml", "[tool.stablint]\n")],
)
def test_each_kind_of_file_is_read(name: str, header: str) -> None:
    write(name, header + 'fail-on = "error"\ntime-limit = 5\n')
    configuration = load()
    assert configuration.settings.fail_on == "error"
    assert configuration.settings.time_limit == 5.0
    assert [each.origin for each in configuration.origins("fail_on")] == [name]
    assert [each.origin for each in configuration.origins("size_limit")] == ["default"]


def test_dotted_file_wins_over_plain_over_pyproject() -> None:
    write("pyproject.toml", "[tool.stablint]\nsize-limit = 3\n")
    assert load().settings.size_limit == 3
    write("stablint.toml", "size-limit = 2\n")
    assert load().settings.size_limit == 2
    write(".stablint.toml", "size-limit = 1\n")
    assert load().settings.size_limit == 1


def test_closest_file_wins_as_a_whole() -> None:
    write("stablint.toml", "size-limit = 1\ntime-limit = 1\n")
    write("sub/pyproject.toml", "[tool.stablint]\nsize-limit = 2\n")
    assert load("sub/deeper").settings.size_limit == 2
    assert load("sub/deeper").settings.time_limit == 20.0
    assert load("other").settings.size_limit == 1


def test_pyproject_of_others_has_no_say_whatever_is_in_it() -> None:
    write("stablint.toml", "size-limit = 1\n")
    write("sub/pyproject.toml", "[tool.ruff\nthis is not TOML")
    write("sub2/pyproject.toml", '[project]\nname = "no-stablint-table"\n')
    assert load("sub").settings.size_limit == 1
    assert load("sub2").settings.size_limit == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names")
def test_pipe_that_is_called_like_a_file_is_not_opened() -> None:
    os.mkfifo("pyproject.toml")
    os.mkfifo(".stablint.toml")
    assert load().settings == Settings()


def test_extend_is_read_first() -> None:
    write("base/shared.toml", 'size-limit = 1\ntime-limit = 1\nignore = ["A"]\nexclude = ["x/y"]\n')
    write("stablint.toml", 'extend = "base/shared.toml"\nsize-limit = 2\nignore = ["B"]\n')
    configuration = load()
    assert (configuration.settings.size_limit, configuration.settings.time_limit) == (2, 1.0)
    assert configuration.settings.ignore == ("A", "B")
    assert configuration.settings.exclude == (f"{os.getcwd()}/base/x/y",)
    assert [each.origin for each in configuration.origins("ignore")] == ["base/shared.toml", "stablint.toml"]


def test_circle_of_extends_is_refused() -> None:
    write("stablint.toml", 'extend = "other.toml"\n')
    write("other.toml", 'extend = "stablint.toml"\n')
    with pytest.raises(UsageError, match=r"^other\.toml: extend: the files extend each other in a circle$"):
        load()


def test_command_line_wins_over_files() -> None:
    write("stablint.toml", 'size-limit = 1\nselect = ["A"]\nignore = ["B"]\n')
    given = layer({"size-limit": 2, "ignore": ["C"]}, "command line", os.getcwd())
    settings = load(overrides=(given,)).settings
    assert settings.size_limit == 2
    assert settings.select == ("A",)
    assert settings.ignore == ("B", "C")


def test_given_file_is_used_everywhere_and_isolated_uses_none() -> None:
    write("stablint.toml", "size-limit = 1\n")
    write("given.toml", "size-limit = 2\n")
    assert load("sub", file="given.toml").settings.size_limit == 2
    assert load("sub", isolated=True).settings.size_limit == Settings().size_limit


def test_tables_add_up_key_by_key() -> None:
    write("base.toml", '[rules.a]\nx = 1\ny = 1\n[per-file-ignores]\n"*.py" = ["A"]\n')
    write("stablint.toml", 'extend = "base.toml"\n[rules.a]\nx = 2\n[rules.b]\nz = 3\n')
    settings = load().settings
    assert settings.rules == {"a": {"x": 2, "y": 1}, "b": {"z": 3}}
    assert settings.per_file_ignores == {"*.py": ("A",)}


def test_fields_that_add_up_are_fields() -> None:
    assert set(Settings.__struct_fields__) >= ADDED


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("selct = []", r'stablint\.toml: unknown key "selct"; did you mean "select"\?'),
        ("zzzz = 1", r'stablint\.toml: unknown key "zzzz"'),
        ("fail_on = 1", r'stablint\.toml: unknown key "fail_on"; did you mean "fail-on"\?'),
        ('select = "A"', r"stablint\.toml: select: expected array, got str"),
        ("select = [1]", r"stablint\.toml: select\[0\]: expected str, got int"),
        ('fail-on = "note"', r"stablint\.toml: fail-on: invalid enum value 'note'"),
        ("time-limit = 0", r"stablint\.toml: time-limit: expected float > 0\.0"),
        ("size-limit = true", r"stablint\.toml: size-limit: expected int, got bool"),
        ("rules.a = 1", r"stablint\.toml: rules\[\.\.\.\]: expected object, got int"),
        ("select = ", r"stablint\.toml: not valid TOML: Invalid value \(at end of document\)"),
        ("x = " + "[" * 5000, r"stablint\.toml: not valid TOML: nested too deeply"),
        ('extend = "gone.toml"', r"gone\.toml: no such configuration file"),
    ],
)
def test_mistake_names_file_key_and_reason(text: str, message: str) -> None:
    write("stablint.toml", text)
    with pytest.raises(UsageError, match=f"^{message}$"):
        load()


def test_mistake_in_pyproject_names_the_whole_key() -> None:
    write("pyproject.toml", "[tool.stablint]\nselct = []\n")
    with pytest.raises(UsageError, match=r'^pyproject\.toml: unknown key "tool\.stablint\.selct"'):
        load()
    write("pyproject.toml", "[tool.stablint]\nselect = 1\n")
    with pytest.raises(
        UsageError, match=r"^pyproject\.toml: tool\.stablint\.select: expected array, got int$"
    ):
        load()
    write("pyproject.toml", "[tool]\nstablint = 1\n")
    with pytest.raises(UsageError, match=r"^pyproject\.toml: stablint is not a table$"):
        load()


def test_file_that_is_not_text_is_refused() -> None:
    Path("stablint.toml").write_bytes(b'select = ["\xff"]')
    with pytest.raises(UsageError, match=r"^stablint\.toml: not valid TOML: 'utf-8' codec"):
        load()
