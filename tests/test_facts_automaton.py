"""Running a rule's states along the paths of a program."""

import pytest
from term_text import read

from stablint.static import facts
from stablint.static.facts.automaton import Automaton, Flow
from stablint.static.facts.events import Event, Kind

SETUP = "opt = torch.optim.SGD(model.parameters(), 0.1)\n"

LETTERS = {Kind.ZERO_GRAD: "z", Kind.BACKWARD: "b", Kind.STEP: "s"}


def spell(states: frozenset[str], event: Event) -> frozenset[str]:
    """Write down every event; what is longer than six letters goes no further."""
    letter = LETTERS.get(event.kind, "")
    return frozenset((state + letter)[:6] for state in states)


def flow(body: str, before: str = "", automaton: Automaton[str] | None = None) -> Flow[str]:
    lines = "".join(f"    {line}\n" for line in body.split("\n"))
    source = read(f"{SETUP}{before}def f(loss, n, loader):\n{lines}\ndef other(l):\n    l.backward()")
    paths = {root.scope.name: root.path for root in source.ask(facts.training_paths)}
    return (automaton or Automaton(spell)).run(paths["f"], frozenset({""}))


ENDS = {
    "a line": ("opt.zero_grad()\nloss.backward()\nopt.step()", {"zbs"}),
    "a branch": ("loss.backward()\nif n:\n    opt.step()", {"b", "bs"}),
    "two ways": ("if n:\n    loss.backward()\nelse:\n    opt.step()", {"b", "s"}),
    "a loop": ("for x in loader:\n    loss.backward()", {"", "b", "bb"}),
    "nested loops": (
        "for x in loader:\n    for y in x:\n        loss.backward()\n    opt.step()",
        {
            "",
            "s",
            "bs",
            "bbs",
            "ss",
            "sbs",
            "sbbs",
            "bss",
            "bsbs",
            "bsbbs",
            "bbss",
            "bbsbs",
            "bbsbbs",
        },
    ),
    "break": (
        "for x in loader:\n    loss.backward()\n    if n:\n        break\n    opt.step()",
        {"", "b", "bs", "bsb", "bsbs"},
    ),
    "continue": (
        "for x in loader:\n    loss.backward()\n    if n:\n        continue\n    opt.step()",
        {"", "b", "bs", "bb", "bbs", "bsb", "bsbs"},
    ),
    "always breaks": ("for x in loader:\n    loss.backward()\n    break", {"", "b"}),
    "else of a loop": ("for x in loader:\n    loss.backward()\nelse:\n    opt.step()", {"s", "bs", "bbs"}),
    "a return": ("loss.backward()\nif n:\n    return\nopt.step()", {"bs"}),
    "a return in a loop": (
        "for x in loader:\n    loss.backward()\n    if n:\n        return\n    opt.step()",
        {"", "bs", "bsbs"},
    ),
    "both ways return": ("if n:\n    return\nelse:\n    return\nloss.backward()\nopt.step()", set()),
    "finally": (
        "try:\n    loss.backward()\n    if n:\n        return\nfinally:\n    opt.zero_grad()\nopt.step()",
        {"bzs"},
    ),
}


@pytest.mark.parametrize(("body", "expected"), ENDS.values(), ids=ENDS)
def test_states_at_the_end(body: str, expected: set[str]) -> None:
    assert flow(body).on == expected


RETURNS = {
    "a return": ("loss.backward()\nif n:\n    return\nopt.step()", {"b"}),
    "a return in a loop": (
        "for x in loader:\n    loss.backward()\n    if n:\n        return\n    opt.step()",
        {"b", "bsb"},
    ),
    "finally": (
        "try:\n    loss.backward()\n    if n:\n        return\nfinally:\n    opt.zero_grad()\nopt.step()",
        {"bz"},
    ),
    "an exception": ("loss.backward()\nif n:\n    raise ValueError(n)\nopt.step()", {"b"}),
    "none": ("loss.backward()", set()),
}


@pytest.mark.parametrize(("body", "expected"), RETURNS.values(), ids=RETURNS)
def test_states_that_return(body: str, expected: set[str]) -> None:
    assert flow(body).returns == expected


def test_a_helper_returns_to_where_it_is_called() -> None:
    before = "def g(opt, n):\n    if n:\n        return\n    opt.step()\n\n"
    found = flow("loss.backward()\ng(opt, n)\nopt.zero_grad()", before)
    assert found.on == {"bz", "bsz"}
    assert found.returns == frozenset()


def test_a_break_inside_a_helper_leaves_no_loop_of_the_caller() -> None:
    before = "def g(opt, n):\n    for x in n:\n        opt.step()\n        break\n\n"
    assert flow("for x in loader:\n    g(opt, n)\n    loss.backward()", before).on >= {"", "b", "sb", "sbsb"}


def test_a_transfer_sees_all_states_at_once() -> None:
    seen: list[frozenset[str]] = []

    def watch(states: frozenset[str], event: Event) -> frozenset[str]:
        seen.append(states)
        return spell(states, event)

    flow("if n:\n    opt.zero_grad()\nloss.backward()", automaton=Automaton(watch))
    assert seen == [frozenset({""}), frozenset({"", "z"})]


def test_entering_a_loop_may_change_a_state() -> None:
    automaton = Automaton(spell, lambda state, body: state + "|")
    found = flow("loss.backward()\nfor x in loader:\n    opt.step()", automaton=automaton)
    assert found.on == {"b|", "b|s", "b|ss"}


def test_nothing_comes_out_where_nothing_goes_in() -> None:
    source = read(f"{SETUP}def f(loss):\n    for x in loss:\n        loss.backward()\n")
    (root,) = source.ask(facts.training_paths)
    assert Automaton(spell).run(root.path, frozenset()) == Flow(frozenset())
