"""The promises about fixes, kept for every fix of every installed rule."""

from __future__ import annotations

import pytest
from campaigns.fix_every_file import faults

from stablint.fixes import fix_source
from stablint.registry import load_rules
from stablint.rule import StaticRule
from stablint.testing import Case, cases

RULES = [rule() for rule in load_rules() if issubclass(rule, StaticRule)]
FIXED = [
    case
    for case in cases([type(rule) for rule in RULES])
    if case.kind == "bad" and case.rule.fixed[case.index : case.index + 1] not in ((), [], (None,), [None])
]


@pytest.mark.parametrize("case", FIXED, ids=str)
def test_a_rules_fix_keeps_the_promises(case: Case) -> None:
    data = case.source().data
    alone = fix_source(case.source(), [rule for rule in RULES if type(rule) is case.rule], unsafe=True)
    assert alone.refused is None
    assert {finding.code for finding in alone.applied} == {case.rule.code}
    for unsafe in (False, True):
        outcomes = dict(faults("case.py", data, RULES, unsafe=unsafe))
        assert not {"BROKEN", "refused"} & outcomes.keys(), outcomes
