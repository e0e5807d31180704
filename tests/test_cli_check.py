"""`stablint check`: what its options change in what is checked and said."""

import json
from pathlib import Path

import pytest

from stablint.cli.app import run

BOTH = "from torch import *\nbreakpoint()\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, acme: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    tmp_path.joinpath("both.py").write_text(BOTH)
    return tmp_path


def write(path: str, text: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)


class Said:
    """What a run printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self, *arguments: str) -> str:
        run(["check", *arguments])
        return self.capsys.readouterr().out

    def found(self, *arguments: str) -> list[str]:
        """Return place and code of every finding."""
        objects = json.loads(self(*arguments, "--output-format", "json"))
        return [f"{each['filename']}:{each['location']['row']} {each['code']}" for each in objects]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    return Said(capsys)


def test_current_folder_is_the_default(said: Said) -> None:
    write("sub/other.py", "import torch\nbreakpoint()\n")
    expected = ["both.py:1 ACM101", "both.py:2 ACM102", "sub/other.py:2 ACM102"]
    assert said.found("--select", "ACM") == expected
    assert said.found("--select", "ACM", ".", "sub") == expected
    assert said.found("--select", "ACM", "sub") == expected[2:]


def test_selection_by_option(said: Said) -> None:
    assert said.found("--select", "ACM101,ACM102") == ["both.py:1 ACM101", "both.py:2 ACM102"]
    assert said.found("--select", "ACM101", "--select", "ACM102") == ["both.py:1 ACM101", "both.py:2 ACM102"]
    assert said.found("--select", "ACM", "--ignore", "star-import") == ["both.py:2 ACM102"]
    assert said.found("--select", "ACM", "--per-file-ignores", "b*.py:ACM102") == ["both.py:1 ACM101"]
    assert said.found("--select", "ACM", "--per-file-ignores", "x/*:ACM102,*.py:ACM101") == [
        "both.py:2 ACM102"
    ]


def test_rule_that_is_off_by_default_runs_only_if_selected(said: Said) -> None:
    write("both.py", BOTH + "x = 1\ny = 2\n")
    assert "both.py:1 ACM201" not in said.found()
    assert "both.py:1 ACM201" in said.found("--extend-select", "long-file")
    write("stablint.toml", '[rules.long-file]\nmost-lines = 9\nseverity = "error"\n')
    assert "both.py:1 ACM201" not in said.found("--extend-select", "long-file")
    listed = json.loads(
        said("--select", "long-file", "--config", "rules.ACM201.most-lines = 1", "--output-format", "json")
    )
    assert [each["severity"] for each in listed] == ["error"]


def test_each_file_goes_by_the_closest_configuration(said: Said) -> None:
    write("stablint.toml", 'select = ["ACM101"]\n')
    write("sub/stablint.toml", 'select = ["ACM102"]\n')
    write("sub/deeper/both.py", BOTH)
    write("off/pyproject.toml", '[tool.stablint]\nselect = ["ACM"]\nexclude = ["both.py"]\n')
    write("off/both.py", BOTH)
    assert said.found() == ["both.py:1 ACM101", "sub/deeper/both.py:2 ACM102"]
    assert said.found("--isolated", "--select", "ACM102", "both.py") == ["both.py:2 ACM102"]
    assert said.found("--config", "sub/stablint.toml", "both.py") == ["both.py:2 ACM102"]


def test_run_goes_by_the_configuration_of_the_first_path(said: Said) -> None:
    write("stablint.toml", 'select = ["ACM"]\noutput-format = "concise"\nfail-on = "error"\n')
    write("warning.py", "import torch\nbreakpoint()\n")
    assert said("warning.py").startswith("warning.py:2:1: warning ACM102")
    assert run(["check", "warning.py"]) == 0


def test_exclude_options(said: Said) -> None:
    write("sub/both.py", BOTH)
    assert said.found("--select", "ACM101", "--exclude", "sub") == ["both.py:1 ACM101"]
    assert said.found("--select", "ACM101", "--extend-exclude", "sub", "sub/both.py") == [
        "sub/both.py:1 ACM101"
    ]
    assert said.found("--select", "ACM101", "--extend-exclude", "sub", "--force-exclude", "sub/both.py") == []


def test_show_files(said: Said) -> None:
    write("sub/a.ipynb", "")
    assert said("--show-files") == "both.py\nsub/a.ipynb\n"
    assert run(["check", "--show-files", "gone"]) == 2


def test_show_settings_names_the_source_of_every_value(said: Said) -> None:
    write("base.toml", 'select = ["ACM"]\nignore = ["ACM102"]\n')
    write("pyproject.toml", '[tool.stablint]\nextend = "base.toml"\nignore = ["ACM201"]\n')
    lines = said(
        "--show-settings", "--config", "rules.long-file.most-lines = 5", "--fail-on", "error"
    ).splitlines()
    shown = {tuple(part.strip() for part in line.split("  # ")) for line in lines if "  # " in line}
    assert shown >= {
        ('select = ["ACM"]', "base.toml"),
        ('ignore = ["ACM102"]', "base.toml"),
        ('ignore = ["ACM201"]', "pyproject.toml"),
        ("rules.long-file.most-lines = 5", "--config 'rules.long-file.most-lines = 5'"),
        ('fail-on = "error"', "command line"),
        ("time-limit = 20.0", "default"),
        ("respect-gitignore = true", "default"),
    }
    listed = lines[lines.index("") + 2 :]
    assert [line.split()[1] for line in listed] == ["ACM101", "STB900", "STB901", "STB909"]


def test_statistics(said: Said) -> None:
    write("other.py", BOTH)
    write("third.py", "from torch import *\n")
    assert said("--select", "ACM", "--statistics").splitlines() == [
        "     3  ACM101  error    star-import",
        "     2  ACM102  warning  forgotten-breakpoint",
    ]
    assert json.loads(said("--select", "ACM101", "--statistics", "--output-format", "json")) == [
        {"code": "ACM101", "name": "star-import", "severity": "error", "count": 3}
    ]


def test_output_file_gets_the_report_without_colour(said: Said) -> None:
    assert (
        said("--select", "ACM", "--output-format", "concise", "--color", "always", "-o", "report.txt") == ""
    )
    assert Path("report.txt").read_text().startswith("both.py:1:1: error ACM101")


@pytest.mark.parametrize(
    ("option", "environment", "coloured"),
    [
        ([], {}, False),
        (["--color", "always"], {}, True),
        (["--color", "always"], {"NO_COLOR": "1"}, True),
        ([], {"FORCE_COLOR": "1"}, True),
        ([], {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        (["--color", "never"], {"FORCE_COLOR": "1"}, False),
    ],
)
def test_colour(
    option: list[str],
    environment: dict[str, str],
    coloured: bool,
    said: Said,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert ("\x1b[" in said("--select", "ACM", *option)) is coloured


def test_quiet_says_findings_only(said: Said, capsys: pytest.CaptureFixture[str]) -> None:
    write(".gitignore", "!\n")
    write("clean.py", "import torch\n")
    assert said("-q", "clean.py", "--select", "ACM") == ""
    assert "ACM101" in said("-q", "--select", "ACM")
    assert json.loads(said("-q", "clean.py", "--select", "ACM", "--output-format", "json")) == []


def test_verbose_says_which_configuration_was_used(capsys: pytest.CaptureFixture[str]) -> None:
    write("stablint.toml", 'select = ["ACM"]\n')
    run(["check", "-v"])
    assert (
        capsys.readouterr().err == "note: 1 file with the settings of: default, stablint.toml, command line\n"
    )


def test_timings_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    run(["check", "--timings", "--select", "ACM", "--output-format", "json"])
    output = capsys.readouterr()
    json.loads(output.out)
    files, first, rules, *slowest = output.err.splitlines()
    assert files.endswith(" s in 1 file, the slowest:")
    assert first.endswith(" s  both.py")
    assert rules.endswith(" s in 3 rules, the slowest:")
    assert sorted(line.split()[-1] for line in slowest) == [
        "forgotten-breakpoint",
        "long-file",
        "star-import",
    ]


def test_warning_about_a_gitignore(capsys: pytest.CaptureFixture[str]) -> None:
    Path(".git").mkdir()
    write(".gitignore", "!\n")
    run(["check", "--select", "ACM"])
    assert capsys.readouterr().err == "warning: .gitignore:1: this pattern is not understood\n"


def test_files_that_do_not_concern_torch_are_passed_over_unless_told(said: Said) -> None:
    write("other.py", "breakpoint()\n")
    assert said.found("other.py", "--select", "ACM") == []
    assert said.found("other.py", "--select", "ACM", "--no-prefilter") == ["other.py:1 ACM102"]


def test_limits(said: Said) -> None:
    assert said.found("--size-limit", "10") == ["both.py:1 STB900"]
    assert run(["check", "--size-limit", "0"]) == 2
    assert run(["check", "--time-limit", "0"]) == 2


def test_same_output_whatever_the_number_of_processes(said: Said) -> None:
    for number in range(12):
        write(f"sub{number % 3}/file{number}.py", BOTH + f"x = {number}\n")
    outputs = {said("--select", "ACM", "-j", jobs) for jobs in ("1", "2", "3")}
    assert len(outputs) == 1
    assert outputs.pop().count("ACM101") == 13


def test_run_s_own_codes_are_selected_like_rules(said: Said) -> None:
    write("x.py", "import torch\nx = 1  # stablint: ignore[no-such-rule]\ny = 1  # stablint: ignore\n")
    assert said.found("x.py", "--select", "STB90") == ["x.py:2 STB902", "x.py:3 STB903"]
    assert said.found("x.py", "--select", "STB90", "--ignore", "unused-suppression") == ["x.py:3 STB903"]
    assert said.found("x.py", "--select", "STB90", "--per-file-ignores", "x.py:STB90") == []
    write("broken.py", "import torch\nx = (\n")
    assert said.found("broken.py", "--select", "ACM") == ["broken.py:2 STB901"]
    assert said.found("broken.py", "--per-file-ignores", "*:ALL") == ["broken.py:2 STB901"]
