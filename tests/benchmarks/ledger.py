"""Findings and judgements, joined and counted."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from judgements import VERDICTS, Judgement, Place
from reading import Found, Reading

LEVELS = ("error", "warning", "note")
UNJUDGED = "unjudged"


@dataclass(frozen=True, slots=True)
class Ledger:
    """The findings of a run, each with its verdict, and the judgements of what is no longer found."""

    files: Mapping[str, int]
    found: Sequence[tuple[Found, str]]
    of_the_run: Sequence[Found]
    gone: Sequence[Judgement]
    reasons: Mapping[Place, str]

    @property
    def unjudged(self) -> list[Found]:
        """The findings that nobody has read yet."""
        return [found for found, verdict in self.found if verdict == UNJUDGED]


def ledger_of(reading: Reading, judgements: Mapping[Place, Judgement]) -> Ledger:
    """Join a run with the judgements; of repositories that were not read, nothing is gone."""
    findings = [found for found in reading.found if not found.is_of_the_run]
    judged = [
        (found, judgements[found.place].verdict if found.place in judgements else UNJUDGED)
        for found in findings
    ]
    there = {found.place for found in findings}
    gone = [one for place, one in judgements.items() if place not in there and place.repo in reading.files]
    return Ledger(
        reading.files,
        judged,
        [found for found in reading.found if found.is_of_the_run],
        gone,
        {place: one.reason for place, one in judgements.items()},
    )


def report(ledger: Ledger, title: str, repositories: Iterable[str]) -> str:
    """Return the whole ledger in Markdown."""
    missing = sorted(set(repositories) - set(ledger.files))
    parts = [
        f"{title}, {date.today()}",
        *([f"Not read, because they are not there: {', '.join(missing)}."] if missing else []),
        "## How many are true",
        *(_share(ledger, level) for level in LEVELS[:2]),
        _by_rule(ledger),
        "## Where they were found",
        _by_repository(ledger),
        _own_words(ledger),
        *_listed("## False or debatable, and still reported", _remaining(ledger)),
        *_listed("## False, and no longer reported", _gone(ledger, ("false", "debatable"))),
        *_listed("## True, and no longer reported", _gone(ledger, ("true",))),
    ]
    return "".join(f"{part}\n\n" for part in parts).removesuffix("\n")


def _share(ledger: Ledger, level: str) -> str:
    verdicts = [(found.place.rule, verdict) for found, verdict in ledger.found if found.severity == level]
    unread = sum(verdict == UNJUDGED for _, verdict in verdicts)
    most = Counter(rule for rule, _ in verdicts).most_common(1)[0][0] if verdicts else "any rule"
    others = [verdict for rule, verdict in verdicts if rule != most]
    return (
        f"Of the findings of level {level}, {_true([verdict for _, verdict in verdicts])}, "
        f"and without {most}, which has the most, {_true(others)}; {unread} were not read."
    )


def _true(verdicts: Sequence[str]) -> str:
    true, judged = verdicts.count("true"), len(verdicts) - verdicts.count(UNJUDGED)
    return f"{true} of {judged} are true" + (f" ({true / judged:.1%})" if judged else "")


def _by_rule(ledger: Ledger) -> str:
    counts = Counter(
        (found.code, found.place.rule, found.severity, verdict) for found, verdict in ledger.found
    )
    rows = sorted({key[:3] for key in counts}, key=lambda row: (row[0], LEVELS.index(row[2])))
    verdicts = (*VERDICTS, UNJUDGED)
    header = ("rule", "level", "findings", *verdicts)
    return _table(
        header,
        (
            (f"{code} {rule}", level, sum(numbers), *numbers)
            for code, rule, level in rows
            for numbers in [[counts[code, rule, level, verdict] for verdict in verdicts]]
        ),
    )


def _by_repository(ledger: Ledger) -> str:
    counts = Counter((found.place.repo, found.severity) for found, _ in ledger.found)
    rows = [
        (repo, files, *(counts[repo, level] for level in LEVELS))
        for repo, files in sorted(ledger.files.items(), key=lambda item: item[0].lower())
    ]
    totals = [sum(row[column] for row in rows) for column in range(1, 2 + len(LEVELS))]  # type: ignore[misc]
    return _table(("repository", "files", *(f"{level}s" for level in LEVELS)), [*rows, ("together", *totals)])


def _table(header: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    rule = [
        "---" if isinstance(cell, str) and cell in ("rule", "level", "repository") else "---:"
        for cell in header
    ]
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in (header, rule, *rows))


def _own_words(ledger: Ledger) -> str:
    told = [f"{found.place.rule} in {_where(found.place, found.line)}" for found in ledger.of_the_run]
    return f"What the run says of files rather than of training: {', '.join(told) or 'nothing'}."


def _remaining(ledger: Ledger) -> Iterator[str]:
    for found, verdict in ledger.found:
        if verdict in ("false", "debatable"):
            reason = ledger.reasons[found.place]
            yield f"- {found.place.rule} ({found.severity}, {verdict}), {_where(found.place, found.line)}: {reason}"


def _gone(ledger: Ledger, verdicts: Sequence[str]) -> Iterator[str]:
    for one in sorted(ledger.gone, key=lambda one: (one.place.rule, one.place)):
        if one.verdict in verdicts:
            where = _where(one.place, one.line)
            yield f"- {one.place.rule} ({one.severity}, {one.verdict}), {where}: {one.reason}"


def _where(place: Place, line: str) -> str:
    return f"{place.repo} `{place.path}:{line}`"


def _listed(title: str, lines: Iterable[str]) -> list[str]:
    listed = list(lines)
    return [title, "\n".join(listed)] if listed else []
