"""Comments that switch rules off: what they hide, and what is said of those that hide nothing."""

from collections.abc import Mapping

import pytest
from notebooks import notebook
from probe_rules import CallsAlpha, CallsBeta

from stablint.finding import Finding, Severity
from stablint.static.edits import apply_fixes
from stablint.static.examine import examine
from stablint.static.source import SourceFile

KNOWN = {"calls-alpha": "STB101", "calls-beta": "STB102", "not-run": "STB301", "foreign-pack": "ACM101"}


def findings(text: str | SourceFile, known: Mapping[str, str] | None = KNOWN) -> list[Finding]:
    source = SourceFile("x.py", text.encode()) if isinstance(text, str) else text
    return examine(source, [CallsAlpha(), CallsBeta()], known)


def said(text: str, known: Mapping[str, str] | None = KNOWN) -> list[str]:
    return [f"{found.location.start.line} {found.code}" for found in findings(text, known)]


@pytest.mark.parametrize(
    "text",
    [
        "alpha()  # stablint: ignore[STB101]\n",
        "alpha()  # stablint: ignore[calls-alpha]\n",
        "alpha()  # stablint: ignore[stb101] because it is #1 of all\n",
        "alpha()  #stablint:ignore[ STB101 ]\n",
        "alpha()  # STABLINT: Ignore[Calls-Alpha]\n",
        "alpha(beta())  # stablint: ignore[STB101, calls-beta]\n",
        "alpha(beta())  # stablint: ignore[STB101] first  # stablint: ignore[STB102] second\n",
        "alpha()  # type: ignore # stablint: ignore[STB101]  # noqa: E501\n",
        "alpha()  # noqa: STB101\n",
        "alpha()  # NOQA:STB101,E501 long\n",
        "alpha()  # noqa: E501 STB101\n",
        "alpha()  # noqa\n",
        "alpha()  # noqa because\n",
        "alpha()  # noqa : stb101\n",
        "# stablint: ignore[STB101]\nalpha()\n",
        "# stablint: ignore[STB101]\n\n# about it\nalpha()\n",
        "if x:\n    # stablint: ignore[STB101]\n    alpha()\n",
        "# stablint: ignore[STB101]\nx = alpha(\n    1)\n",
        # any line of the statement
        "x = alpha(  # stablint: ignore[STB101]\n    1,\n)\n",
        "x = alpha(\n    1,  # stablint: ignore[STB101]\n)\n",
        "x = alpha(\n    # stablint: ignore[STB101]\n    1,\n)\n",
        "x = alpha(\n    1,\n)  # stablint: ignore[STB101]\n",
        "x = alpha() + \\\n    1  # stablint: ignore[STB101]\n",
        'x = alpha("""\n""")  # noqa: STB101\n',
        "while (\n    alpha()\n):  # stablint: ignore[STB101]\n    pass\n",
        "x = f\"{d[\"#\"]}\" + alpha()  # stablint: ignore[STB101]\n",
        "alpha()  # stablint: ignore[STB101]\r\nx = 1\r\n",
        "alpha()  # stablint: ignore[STB101]",
        # ranges
        "# stablint: disable[STB101]\nalpha()\nx = alpha()\n# stablint: enable[STB101]\n",
        "# stablint: disable[STB101]\nalpha()\n",
        "# stablint: disable[STB101, STB102]\nalpha()\n# stablint: enable[calls-alpha]\nbeta()\n",
        "# stablint: disable[STB101]\nalpha()\n# stablint: enable\n",
        "alpha()  # stablint: disable[STB101]\nalpha()\n",
        # files
        "alpha()\n# stablint: file-ignore[STB101]\n",
        "alpha()\nbeta()\n# stablint: file-ignore[STB101, calls-beta] generated\n",
        # other people's comments
        "x = 1  # noqa: E501\n",
        "x = 1  # noqa: F401,E501 imported for its effect\n",
        "x = 1  # noqa\n",
        "x = 1  # stablint: see below\n",
        "x = '# stablint: ignore[nonsense]'\n",
        'x = """\n# stablint: file-ignore\n"""\n',
        "x = 1  # about stablint: the linter\n",
    ],
)  # fmt: skip
def test_nothing_is_said(text: str) -> None:
    assert said(text) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # what is not hidden
        ("alpha()  # stablint: ignore[STB102]\n", ["1 STB101", "1 STB902"]),
        ("alpha()\nalpha()  # stablint: ignore[STB101]\n", ["1 STB101"]),
        ("# stablint: ignore[STB101]\nalpha()\nalpha()\n", ["3 STB101"]),
        ("alpha()\n# stablint: ignore[STB101]\n", ["1 STB101", "2 STB902"]),
        ("# noqa: STB101\nalpha()\n", ["1 STB902", "2 STB101"]),
        ("# noqa\nalpha()\n", ["2 STB101"]),
        ("alpha()  # noqa: E501\n", ["1 STB101"]),
        ("alpha()\n# stablint: disable[STB101]\nx\n", ["1 STB101", "2 STB902"]),
        (
            "# stablint: disable[STB101]\nalpha()\n# stablint: enable[STB101]\nalpha()\n",
            ["4 STB101"],
        ),
        (
            "# stablint: disable[STB101]\nalpha()\nalpha()  # stablint: enable[STB101]\n",
            ["3 STB101"],
        ),
        (
            "# stablint: disable[STB101,STB102]\nalpha(beta())\n# stablint: enable[STB101]\nalpha(beta())\n",
            ["4 STB101"],
        ),
        ("x = 'alpha'; alpha('# stablint: ignore')\n", ["1 STB101"]),
        # what names no rule
        ("alpha()  # stablint: ignore\n", ["1 STB903"]),
        ("x = 1  # stablint: ignore because\n", ["1 STB903"]),
        ("# stablint: disable\nalpha(beta())\n# stablint: enable\nalpha()\n", ["1 STB903", "4 STB101"]),
        ("# stablint: file-ignore\nalpha()\nbeta()\n", ["1 STB903"]),
        ("alpha()  # stablint: ignore[]\n", ["1 STB101", "1 STB902"]),
        # what is not needed
        ("x = 1  # stablint: ignore[STB101]\n", ["1 STB902"]),
        ("x = 1  # stablint: ignore[calls-alpha, STB102]\n", ["1 STB902"]),
        ("x = 1  # noqa: STB101\n", ["1 STB902"]),
        ("x = 1  # noqa: E501, STB101\n", ["1 STB902"]),
        ("x = 1\n# stablint: file-ignore[STB101]\n", ["2 STB902"]),
        ("# stablint: enable[STB101]\n", ["1 STB902"]),
        ("# stablint: enable\n", ["1 STB902"]),
        ("# stablint: disable[STB101]\nx\n# stablint: enable[STB101]\n", ["1 STB902", "3 STB902"]),
        # of a rule that did not run there is no telling
        ("x = 1  # stablint: ignore[STB301]\n", []),
        ("x = 1  # noqa: STB301, ACM101\n", []),
        ("# stablint: disable[not-run]\nx\n# stablint: enable[not-run]\n", []),
        # what no rule is called
        ("x = 1  # stablint: ignore[no-such-rule]\n", ["1 STB902"]),
        ("x = 1  # noqa: STB999\n", ["1 STB902"]),
        ("alpha()  # stablint: ignore[STB101, STB999]\n", ["1 STB902"]),
        # what cannot be ignored
        ("x = 1  # stablint: ignore[STB901]\n", ["1 STB902"]),
        ("x = 1  # stablint: ignore[internal-error]\n", ["1 STB902"]),
        # what is misspelt
        ("alpha()  # stablint: ingore[STB101]\n", ["1 STB101", "1 STB902"]),
        ("alpha()  # stablint: disabel\n", ["1 STB101", "1 STB902"]),
        # what is said of comments can be ignored too, but not by a comment that names nothing
        ("x = 1  # stablint: ignore[STB101, STB902]\n", []),
        ("x = 1  # stablint: ignore[STB101] # stablint: ignore[unused-suppression]\n", []),
        ("x = 1  # stablint: ignore  # stablint: ignore[blanket-suppression]\n", []),
        ("# stablint: file-ignore[STB902]\nx = 1  # noqa: STB101\n", []),
        ("x = 1  # stablint: ignore[STB902]\n", []),
        ("x = 1  # stablint: ignore[STB903]\n", ["1 STB902"]),
    ],
)  # fmt: skip
def test_said(text: str, expected: list[str]) -> None:
    assert said(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x  # stablint: ignore[STB101]\n", "no finding here needs `STB101`"),
        ("x  # stablint: ignore[calls-alpho]\n", "no rule is called `calls-alpho`; did you mean \"calls-alpha\""),
        ("x  # noqa: STB999, STB101\n", "no rule is called `STB999`; no finding here needs `STB101`"),
        ("x  # stablint: ignore[syntax-error]\n", "`syntax-error` cannot be ignored"),
        ("x  # stablint: ignore[ , ]\n", "it names no rule"),
        ("x  # stablint: ingore[STB101]\n", "`ingore` says nothing to stablint; did you mean \"ignore\"?"),
        ("# stablint: enable[STB101]\n", "nothing that needs `STB101` is disabled here"),
        ("# stablint: enable\n", "nothing is disabled here"),
    ],
)  # fmt: skip
def test_messages(text: str, message: str) -> None:
    (finding,) = findings(text)
    assert finding.message.startswith(message)
    assert finding.name == "unused-suppression"
    assert finding.severity is Severity.WARNING


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("x = 1  # stablint: ignore[STB101]\ny\n", "x = 1\ny\n"),
        ("x = 1  # stablint: ignore[STB101] for #1\ny\n", "x = 1\ny\n"),
        ("x = 1\t# noqa: STB101", "x = 1"),
        ("x = 1  # noqa: STB101 as it is\r\ny\r\n", "x = 1\r\ny\r\n"),
        ("x = 1  # noqa: E501, STB101, F401 why\n", "x = 1  # noqa: E501, F401 why\n"),
        ("alpha()  # stablint: ignore[STB102,STB101] why\n", "alpha()  # stablint: ignore[STB101] why\n"),
        ("x  # type: ignore  # stablint: ignore[STB101]\n", "x  # type: ignore\n"),
        ("x  # stablint: ignore[STB101]  # type: ignore\n", "x  # type: ignore\n"),
        ("x  # noqa: STB101  # stablint: ignore[STB101]  # note\n", "x  # note\n"),
        ("if x:\n    # stablint: ignore[STB101]\n    y\n", "if x:\n    y\n"),
        ("x\n# stablint: file-ignore[STB101]", "x\n"),
        ("# stablint: disable[STB101]\nx\n# stablint: enable[STB101]\ny\n", "x\ny\n"),
        ("# stablint: disable[STB101]\nx\n# stablint: enable\ny\n", "x\ny\n"),
        (
            "# stablint: disable[STB101,STB102]\nalpha()\n# stablint: enable\n",
            "# stablint: disable[STB101]\nalpha()\n# stablint: enable\n",
        ),
        ("x  # stablint: ignore[nonsense]\n", "x\n"),
        ("x  # stablint: ignore[]\n", "x\n"),
        ("f(\n    # stablint: ignore[STB101]\n    1,  # noqa: STB102\n)\n", "f(\n    1,\n)\n"),
    ],
)  # fmt: skip
def test_the_fix_takes_out_what_is_not_needed(text: str, after: str) -> None:
    source = SourceFile("x.py", text.encode())
    fixes = [finding.fix for finding in findings(source) if finding.fix is not None]
    assert apply_fixes(source, fixes) == after
    assert findings(after) == []


def test_a_misspelt_comment_is_not_taken_out() -> None:
    assert findings("x  # stablint: ingore[STB101]\n")[0].fix is None


def test_without_the_names_of_all_rules_none_is_unknown() -> None:
    assert said("x  # stablint: ignore[log-of-softmax]\n", known=None) == []
    assert said("x  # stablint: ignore[STB101]\n", known=None) == ["1 STB902"]


def test_the_place_is_the_comment() -> None:
    (finding,) = findings("x = '😀'  # type: ignore  # stablint: ignore[STB101] why  \n")
    assert (finding.location.start.column, finding.location.end.column) == (26, 56)


def test_findings_that_cannot_be_ignored_are_not() -> None:
    text = "# stablint: file-ignore\n# stablint: file-ignore[syntax-error]\nx = (  # noqa\n"
    assert said(text) == ["3 STB901"]


def test_in_a_notebook() -> None:
    source = notebook(
        "# stablint: disable[STB102]\nx", "%cd\nalpha()  # stablint: ignore[STB101]\nalpha()", "beta()"
    )
    (finding,) = findings(source)
    assert (finding.code, finding.location.cell, finding.location.start.line) == ("STB101", 2, 3)


def test_decorators_belong_to_what_they_decorate() -> None:
    # A finding at `def` is hidden by a comment above its decorators, which is where there is room for one.
    from stablint.static.directives import directives

    text = "# stablint: ignore[a]\n@d  # stablint: ignore[b]\n# stablint: ignore[c]\n@e(\n)\ndef f():\n    pass\n"
    at = text.index("def")
    assert [each.line_start <= at < each.line_end for each in directives(text)] == [True, True, True]
