"""The ledger of findings in real code: rows that survive edits, and tables that say what was found."""

import csv
import json
import re
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from benchmarks.judgements import HEADER, VERDICTS, Judgement, place_of, read_judgements, write_judgements
from hostile_site import install_hostile_pack
from subprocesses import python

from stablint.registry import load_rules

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "tests" / "benchmarks" / "accuracy.py"
PAGE = ROOT / "docs" / "accuracy.md"
TABLES = ROOT / "docs" / "accuracy"

FAULT = "    torch.log(torch.softmax(x, 1)).mean().backward()\n"
TRAIN = f"import torch\n\ndef first(x):\n{FAULT}\ndef second(x):\n{FAULT}"
CELLS = [
    {"cell_type": "markdown", "metadata": {}, "source": "# Lab"},
    {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None, "source": TRAIN},
]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Two repositories, in which the same fault stands four times."""
    for name, text in (("train.py", TRAIN), ("lab.ipynb", _notebook())):
        file = tmp_path / "corpus" / f"acme+{name.partition('.')[0]}" / "src" / name
        file.parent.mkdir(parents=True)
        file.write_text(text)
    return tmp_path / "corpus"


def _notebook() -> str:
    language = {"kernelspec": {"language": "python", "name": "python3", "display_name": "Python 3"}}
    return json.dumps({"cells": CELLS, "metadata": language, "nbformat": 4, "nbformat_minor": 5})


def ledger(corpus: Path, *arguments: str | Path, site: Path | None = None) -> CompletedProcess[bytes]:
    judgements = corpus.parent / "judgements.tsv"
    if not judgements.exists():
        write_judgements(judgements, [])
    words = (SCRIPT, corpus, "--judgements", judgements, *arguments)
    return python(*map(str, words), cwd=corpus.parent, path=site)


def judge(file: Path, *verdicts: str) -> None:
    """Fill in the rows of a template, in their order."""
    header, *rows = file.read_text().splitlines()
    judged = [
        f"{row.rstrip()}\t{verdict}\tread by a test" for row, verdict in zip(rows, verdicts, strict=True)
    ]
    file.write_text("\n".join((header, *judged)) + "\n")


def test_findings_are_joined_with_what_was_said_of_them(corpus: Path) -> None:
    table, page = corpus.parent / "judgements.tsv", corpus.parent / "page.md"
    first = ledger(corpus, "--write-unjudged", table)
    assert first.returncode == 0, first.stderr.decode()
    assert first.stdout.decode().count("unjudged: acme/") == 4
    assert "unjudged: acme/lab src/lab.ipynb:2:4 error log-of-softmax" in first.stdout.decode()

    judge(table, "true", "false", "debatable", "true")  # of acme/lab and acme/train two each
    train, lab = corpus / "acme+train/src/train.py", corpus / "acme+lab/src/lab.ipynb"
    train.write_text("# a comment that moves every line\n" + train.read_text())
    lab.write_text(lab.read_text().replace("torch.log(torch.softmax(x, 1))", "x.log_softmax(1)"))
    page.write_text(PAGE.read_text())
    second = ledger(corpus, "--update", page).stdout.decode()

    assert "unjudged: " not in second
    assert (
        "Of the findings of level error, 1 of 2 are true (50.0%), and without log-of-softmax, which has the most, "
        "0 of 0 are true; 0 were not read."
    ) in second
    assert "| STB301 log-of-softmax | error | 2 | 1 | 0 | 1 | 0 |" in second
    assert "| acme/train | 1 | 2 | 0 | 0 |" in second
    assert "| together | 2 | 2 | 0 | 0 |" in second
    parts = dict(re.findall(r"^## (.*?)\n\n(.*?)\n\n?(?=##|\Z)", second, re.DOTALL | re.MULTILINE))
    place = "log-of-softmax (error, {}), acme/{}: read by a test"
    assert (
        place.format("debatable", "train `src/train.py:5`") in parts["False or debatable, and still reported"]
    )
    assert place.format("false", "lab `src/lab.ipynb:2:7`") in parts["False, and no longer reported"]
    assert place.format("true", "lab `src/lab.ipynb:2:4`") in parts["True, and no longer reported"]

    before, rest = PAGE.read_text().split("<!-- ledger", 1)
    assert page.read_text().startswith(before)
    assert page.read_text().endswith(rest.split("<!-- end of the ledger -->")[1])
    assert second.strip() in page.read_text()


def test_of_a_repository_that_is_not_there_nothing_is_gone(corpus: Path) -> None:
    table, page = corpus.parent / "judgements.tsv", corpus.parent / "page.md"
    ledger(corpus, "--write-unjudged", table)
    judge(table, "true", "true", "true", "true")
    (corpus / "acme+train").rename(corpus.parent / "elsewhere")
    page.write_text("no markers")
    run = ledger(corpus, "--update", page)
    assert b"no longer reported" not in run.stdout
    assert run.returncode == 1
    assert b"the page has no lines" in run.stderr
    assert page.read_text() == "no markers"


def test_nothing_is_published_of_a_run_that_failed(corpus: Path) -> None:
    site, page = corpus.parent / "site", corpus.parent / "page.md"
    install_hostile_pack(site)
    page.write_text(PAGE.read_text())
    with (corpus / "acme+train/src/train.py").open("a") as file:
        file.write("# do: raise\n")
    run = ledger(corpus, "--update", page, site=site)
    assert run.returncode == 1
    assert b"stablint itself fails, which is to be mended first, on acme+train/src/train.py" in run.stderr
    assert page.read_text() == PAGE.read_text()


def test_a_line_is_known_by_its_text_and_by_how_many_of_it_came_before() -> None:
    lines = ["a = 1", "  loss.backward()", "b = 2", "loss.backward()  "]
    place = place_of("acme/lab", "train.py", "missing-zero-grad", lines, 4)
    assert place.occurrence == 2
    assert place == place_of("acme/lab", "train.py", "missing-zero-grad", ["# new", *lines], 5)
    assert place != place_of("acme/lab", "train.py", "missing-zero-grad", lines, 2)
    assert place != place_of("acme/lab", "train.py", "discarded-result", lines, 4)
    assert "backward" not in repr(place)


def test_the_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    place = place_of("acme/lab", "a b/train.py", "missing-zero-grad", ['x = "1"'], 1)
    judgement = Judgement(place, "0123456789ab", "3:1", "error", "true", 'says "never"')
    write_judgements(tmp_path / "table.tsv", [judgement])
    assert read_judgements(tmp_path / "table.tsv") == {place: judgement}


@pytest.mark.parametrize(
    ("cells", "mistake"),
    [
        ("maybe\tbecause", "not one of true, false, debatable"),
        ("true\t ", "a verdict needs a reason"),
        ("true", "'NoneType'"),
        ("true\tbecause\nacme/lab\tc\tt.py\t9\tr\terror\tabc\t1\tfalse\tno", "judged twice, first on line 1"),
    ],
)
def test_a_row_with_a_mistake_is_named(tmp_path: Path, cells: str, mistake: str) -> None:
    table = tmp_path / "table.tsv"
    table.write_text("\t".join(HEADER) + f"\nacme/lab\tc\tt.py\t1\tr\terror\tabc\t1\t{cells}\n")
    with pytest.raises(SystemExit, match=r"table\.tsv:\d: ") as told:
        read_judgements(table)
    assert mistake in str(told.value)


def test_the_published_table_is_about_the_published_repositories_and_our_rules() -> None:
    with (TABLES / "corpus.tsv").open(encoding="utf-8", newline="") as text:
        commits = {row["repo"]: row["commit"] for row in csv.DictReader(text, delimiter="\t")}
    assert all(re.fullmatch(r"[0-9a-f]{40}", commit) for commit in commits.values())
    judgements = read_judgements(TABLES / "judgements.tsv")
    names = {rule.name() for rule in load_rules()}
    assert {one.verdict for one in judgements.values()} <= set(VERDICTS)
    for place, one in judgements.items():
        assert commits[place.repo].startswith(one.commit)
        assert len(one.commit) == 12
        assert place.rule in names
        assert re.fullmatch(r"[0-9a-f]{12}", place.hash)
