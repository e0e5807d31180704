"""One file, some rules: places, severities, fixes, order, and what happens when a rule fails."""

from collections.abc import Iterator

import libcst as cst
import pytest
from notebooks import notebook
from probe_rules import CallsAlpha, CallsBeta, CallsRule

from stablint.finding import Applicability, Confidence, Edit, Fix, Location, Position, Related, Severity
from stablint.rule import InsertBefore, Mark, ProposedFix, Replace, Report, StaticRule
from stablint.static.examine import examine
from stablint.static.source import SourceFile


def file(text: str, path: str = "x.py") -> SourceFile:
    return SourceFile(path, text.encode())


def test_a_report_becomes_a_finding() -> None:
    alpha, beta = examine(file("x = 1\nif x:\n    alpha(1)\nbeta()\n"), [CallsBeta(), CallsAlpha()])
    assert alpha.location == Location("x.py", Position(3, 5), Position(3, 13))
    assert (alpha.code, alpha.name, alpha.message) == ("STB101", "calls-alpha", "alpha is called")
    assert (alpha.severity, alpha.confidence) == (Severity.WARNING, Confidence.HIGH)
    assert alpha.fix is None
    assert (beta.severity, beta.confidence) == (Severity.ERROR, Confidence.LOW)
    place = Location("x.py", Position(4, 1), Position(4, 7))
    assert beta.fix == Fix("Call gamma", Applicability.SAFE, (Edit(place, "gamma()"),))


def test_findings_are_in_order_whatever_the_rules_are() -> None:
    source = "beta(alpha())\nalpha()\nbeta()\n"
    first = examine(file(source), [CallsAlpha(), CallsBeta()])
    assert [(found.location.start.line, found.code) for found in first] == [
        (1, "STB101"),
        (1, "STB102"),
        (2, "STB101"),
        (3, "STB102"),
    ]
    assert examine(file(source), [CallsBeta(), CallsAlpha()]) == first


def test_what_is_said_twice_is_said_once() -> None:
    class Twice(CallsAlpha):
        def check(self, source: SourceFile) -> Iterator[Report]:
            yield from super().check(source)
            yield from super().check(source)

    assert len(examine(file("alpha()\nalpha()\n"), [Twice()])) == 2


def test_a_report_may_say_how_bad_it_is_and_the_configuration_has_the_last_word() -> None:
    class Graded(CallsAlpha):
        def report(self, node: cst.CSTNode) -> Report:
            return Report(node, "bad", severity=Severity.ERROR, confidence=Confidence.MEDIUM)

    (found,) = examine(file("alpha()\n"), [Graded()])
    assert (found.severity, found.confidence) == (Severity.ERROR, Confidence.MEDIUM)
    configured = Graded()
    configured.severity = Severity.NOTE  # type: ignore[misc]
    assert examine(file("alpha()\n"), [configured])[0].severity is Severity.NOTE


def test_related_places_may_be_in_other_files() -> None:
    other = file("\n\nclass Net:\n    pass\n", "net.py")

    class WithRelated(CallsAlpha):
        def report(self, node: cst.CSTNode) -> Report:
            marks = (Mark(other.tree.body[0], "the model", source=other), Mark(node, "the call"))
            return Report(node, "bad", related=marks)

    (found,) = examine(file("alpha()\n"), [WithRelated()])
    assert found.related == (
        Related(Location("net.py", Position(3, 1), Position(3, 11)), "the model"),
        Related(Location("x.py", Position(1, 1), Position(1, 8)), "the call"),
    )


def test_the_header_of_a_compound_statement_is_shown() -> None:
    (found,) = examine(file("while (alpha(1) and\n       x):\n    pass\n"), [CallsAlpha()])
    assert (found.location.start, found.location.end) == (Position(1, 1), Position(2, 11))


def test_one_pass_places_all_findings_and_fixes(monkeypatch: pytest.MonkeyPatch) -> None:
    class Inserts(CallsAlpha):
        def report(self, node: cst.CSTNode) -> Report:
            return Report(node, "m", fix=ProposedFix("f", Applicability.SAFE, (InsertBefore(node, "x()"),)))

    passes: list[int] = []
    original = cst.Module._codegen_impl
    monkeypatch.setattr(
        cst.Module, "_codegen_impl", lambda self, state: (passes.append(1), original(self, state))[1]
    )
    found = examine(file("a(); alpha(); b()\nalpha()\nbeta()\n"), [Inserts(), CallsBeta()])
    assert all(each.fix for each in found)
    assert passes == [1]
    examine(file("nothing()\n"), [Inserts(), CallsBeta()])
    assert passes == [1]


def test_a_fix_that_cannot_be_made_for_sure_is_left_out() -> None:
    class Overlapping(CallsAlpha):
        def report(self, node: cst.CSTNode) -> Report:
            changes = (Replace(node, "a()"), Replace(node, "b()"))
            return Report(node, "m", fix=ProposedFix("f", Applicability.SAFE, changes))

    (found,) = examine(file("alpha()\n"), [Overlapping()])
    assert found.fix is None


class Fails(CallsRule):
    """Fails in one of many ways, after it has found something."""

    code = "STB103"
    function = "alpha"

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def check(self, source: SourceFile) -> Iterator[Report]:
        yield from super().check(source)
        raise self.error


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (KeyError("dim"), "fails failed: KeyError: 'dim'"),
        (ValueError("first\nsecond"), "fails failed: ValueError: first"),
        (AssertionError(), "fails failed: AssertionError"),
        (RecursionError("too deep"), "fails failed: RecursionError: too deep"),
        (MemoryError(), "fails failed: MemoryError"),
        (SystemExit(1), "fails failed: SystemExit: 1"),
        (KeyboardInterrupt(), "fails failed: KeyboardInterrupt"),
        (GeneratorExit(), "fails failed: GeneratorExit"),
    ],
)
def test_a_rule_that_raises_is_one_finding(error: BaseException, message: str) -> None:
    failure, other = examine(file("alpha()\nbeta()\n"), [Fails(error), CallsBeta()])
    assert (failure.code, failure.name, failure.severity) == ("STB909", "internal-error", Severity.ERROR)
    assert failure.message == message
    assert other.code == "STB102"


def test_a_rule_that_recurses_too_deep_is_one_finding() -> None:
    class Recurses(CallsAlpha):
        def check(self, source: SourceFile) -> Iterator[Report]:
            yield from self.check(source)

    (failure,) = examine(file("alpha()\n"), [Recurses()])
    assert failure.message.startswith("recurses failed: RecursionError")


@pytest.mark.parametrize(
    "report",
    [
        Report(cst.Name("elsewhere"), "m"),
        Report(None, "m"),  # type: ignore[arg-type]
        Report(cst.Name("x"), "m", related=(Mark(cst.Name("y"), "m"),)),
        Report(cst.Name("x"), "m", fix=3),  # type: ignore[arg-type]
        None,
    ],
)
def test_a_report_that_makes_no_sense_is_one_finding(report: Report) -> None:
    class Nonsense(CallsAlpha):
        def check(self, source: SourceFile) -> Iterator[Report]:
            yield report

    failure, other = examine(file("alpha()\nbeta()\n"), [Nonsense(), CallsBeta()])
    assert failure.code == "STB909"
    assert failure.message.startswith("nonsense failed: ")
    assert other.code == "STB102"


def test_no_comment_hides_that_a_rule_failed_nor_is_it_called_unused() -> None:
    text = "# stablint: file-ignore[STB103, internal-error]\nalpha()  # noqa\n"
    found = examine(file(text), [Fails(ValueError())])
    assert [(each.code, each.message) for each in found] == [
        ("STB902", "`internal-error` cannot be ignored"),
        ("STB909", "fails failed: ValueError"),
    ]


def test_a_fact_is_asked_once_and_may_fail() -> None:
    asked: list[str] = []

    def fact(source: SourceFile) -> int:
        asked.append(source.path)
        return len(source.tree.body)

    class Asks(StaticRule):
        code, severity, since, bad, good = "STB104", Severity.NOTE, "0.1.0", (), ()

        def check(self, source: SourceFile) -> Iterator[Report]:
            yield Report(source.tree.body[source.ask(fact) - 1], "last")

    class AsksToo(Asks):
        code = "STB105"

    found = examine(file("a\nb\n"), [Asks(), AsksToo()])
    assert [(each.code, each.location.start.line) for each in found] == [("STB104", 2), ("STB105", 2)]
    assert asked == ["x.py"]


def test_seconds_are_told_by_rule() -> None:
    seconds: dict[str, float] = {}
    examine(file("alpha()\n"), [CallsAlpha(), CallsBeta()], seconds=seconds)
    assert set(seconds) == {"calls-alpha", "calls-beta"}
    assert all(value >= 0 for value in seconds.values())


def test_in_a_notebook_findings_stand_in_cells() -> None:
    found = examine(notebook(("markdown", "alpha()"), "%cd\nalpha()", "beta()"), [CallsAlpha(), CallsBeta()])
    assert [(each.location.cell, each.location.start.line, each.code) for each in found] == [
        (2, 2, "STB101"),
        (3, 1, "STB102"),
    ]
    assert found[1].fix is not None
    assert found[1].fix.edits[0].location.cell == 3


def test_columns_count_code_points() -> None:
    (found,) = examine(file("x = '😀é'; alpha()\n"), [CallsAlpha()])
    assert found.location.start == Position(1, 11)
