"""A rule pack whose subjects occur in no file: what many rules cost where they have nothing to say."""

from pathlib import Path

RULE = '''
from stablint.finding import Severity
from stablint.rule import Report, StaticRule
from stablint.static import facts


class Absent{number}(StaticRule):
    """Something that nobody writes."""

    code = "ABS{number:03}"
    severity = Severity.NOTE
    since = "1.0"
    bad = ["import torch\\ntorch.absent_{number}(1)  # flagged"]
    good = ["import torch"]

    def check(self, source):
        for site, _ in source.ask(facts.operations).named("absent_{number}"):
            yield Report(site.node, "nobody writes this")
'''
METADATA = "Metadata-Version: 2.1\nName: absent-rules\nVersion: 1.0\n"
ENTRY_POINT = "[stablint.rules]\nabsent = absent_rules\n"


def write_pack(count: int, into: Path) -> None:
    """Write `count` rules, one file each, as a distribution that is installed by being on the import path."""
    pack = into / "absent_rules"
    pack.mkdir(parents=True)
    pack.joinpath("__init__.py").write_text("")
    for number in range(count):
        pack.joinpath(f"absent_{number}.py").write_text(RULE.format(number=number))
    info = into / "absent_rules-1.0.dist-info"
    info.mkdir()
    info.joinpath("METADATA").write_text(METADATA)
    info.joinpath("entry_points.txt").write_text(ENTRY_POINT)
