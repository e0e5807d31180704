"""What a trial comes to, for people and for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from mutants.trial import FAR, FOUND, MISSED, NOTED, Outcome, Tally

HEADER = (
    "operator",
    "rules",
    "mutants",
    "found",
    "note",
    "far",
    "missed",
    "share",
    "unsure",
    "found",
    "silent",
)


def table(tallies: Sequence[Tally]) -> str:
    """Return the table by operator, in Markdown."""
    head = "| " + " | ".join(HEADER) + " |\n|---|---|" + "---:|" * (len(HEADER) - 2)
    return "\n".join([head, *(line([tally]) for tally in tallies), line(tallies)])


def line(tallies: Sequence[Tally]) -> str:
    """Return the row of an operator, or of several together."""
    one = tallies[0].operator if len(tallies) == 1 else None
    named = [one.name, ", ".join(one.rules)] if one else ["together", ""]
    return f"| {' | '.join(map(str, [*named, *_numbers(tallies)]))} |"


def _numbers(tallies: Sequence[Tally]) -> list[object]:
    sure = [one for tally in tallies for one in tally.outcomes if not one.candidate.mutant.doubt]
    unsure = [one for tally in tallies for one in tally.outcomes if one.candidate.mutant.doubt]
    counts = Counter(one.verdict for one in sure)
    silent = sum(not said for tally in tallies for said in tally.originals.values())
    originals = sum(len(tally.originals) for tally in tallies)
    return [
        *(len(sure), counts[FOUND], counts[NOTED], counts[FAR], counts[MISSED], share(sure)),
        *(len(unsure), sum(one.verdict != MISSED for one in unsure), f"{silent} of {originals}"),
    ]


def share(outcomes: Sequence[Outcome]) -> str:
    """Return how many of some mutants were found, near the fault."""
    found = sum(one.verdict in (FOUND, NOTED) for one in outcomes)
    return f"{found / len(outcomes):.0%}" if outcomes else ""


def reasons(tallies: Sequence[Tally]) -> Iterator[str]:
    """Yield why mutants were left out of the count."""
    for tally in tallies:
        doubts = Counter(one.candidate.mutant.doubt for one in tally.outcomes if one.candidate.mutant.doubt)
        yield from (f"- {tally.operator.name}, {count}: {doubt}" for doubt, count in sorted(doubts.items()))


def misses(tallies: Sequence[Tally]) -> Iterator[str]:
    """Yield what was not found near the fault, or at all, and what was said of originals."""
    for tally in tallies:
        for path, said in sorted(tally.originals.items()):
            yield from (f"original: {path}: {each}" for each in said)
        for one in sorted(tally.outcomes, key=lambda one: (one.verdict, one.candidate.path)):
            if one.verdict in (MISSED, FAR):
                doubt = f" ({one.candidate.mutant.doubt})" if one.candidate.mutant.doubt else ""
                where = f"{one.candidate.path}:{one.candidate.mutant.line}"
                yield f"{one.verdict}: {tally.operator.name}: {where}{doubt}{''.join(f' | {m}' for m in one.messages)}"


def plain(tallies: Sequence[Tally]) -> list[dict[str, Any]]:
    """Return all outcomes as plain data."""
    return [
        {
            "operator": tally.operator.name,
            "path": one.candidate.path,
            "line": one.candidate.mutant.line,
            "doubt": one.candidate.mutant.doubt,
            "verdict": one.verdict,
            "messages": list(one.messages),
        }
        for tally in tallies
        for one in tally.outcomes
    ]
