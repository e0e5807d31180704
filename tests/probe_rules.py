"""Rules to examine files with: each flags the statements that call a function of its name."""

from collections.abc import Iterator

import libcst as cst

from stablint.finding import Applicability, Confidence, Severity
from stablint.rule import ProposedFix, Replace, Report, StaticRule
from stablint.static.source import SourceFile


class CallsRule(StaticRule):
    """Flags every statement that calls `function`."""

    severity = Severity.WARNING
    since = "0.1.0"
    bad = ()
    good = ()
    function = ""

    def check(self, source: SourceFile) -> Iterator[Report]:
        for node in statements(source):
            if f"{self.function}(" in source.code(node.test if isinstance(node, cst.While) else node):
                yield self.report(node)

    def report(self, node: cst.CSTNode) -> Report:
        return Report(node, f"{self.function} is called")


class CallsAlpha(CallsRule):
    """Flags alpha."""

    code = "STB101"
    function = "alpha"


class CallsBeta(CallsRule):
    """Flags beta, as an error that can be mended."""

    code = "STB102"
    severity = Severity.ERROR
    confidence = Confidence.LOW
    function = "beta"

    def report(self, node: cst.CSTNode) -> Report:
        return Report(
            node,
            "beta is called",
            fix=ProposedFix("Call gamma", Applicability.SAFE, (Replace(node, "gamma()"),)),
        )


def statements(source: SourceFile) -> list[cst.BaseSmallStatement | cst.While]:
    """Return the small statements and while loops of a file."""
    found: list[cst.BaseSmallStatement | cst.While] = []

    class Finder(cst.CSTVisitor):
        def on_visit(self, node: cst.CSTNode) -> bool:
            if isinstance(node, cst.BaseSmallStatement | cst.While):
                found.append(node)
            return True

    source.tree.visit(Finder())
    return found
