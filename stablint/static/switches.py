"""What the comments of a text switch off, rule by rule, and where."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from stablint.diagnostics import DIAGNOSTICS, NEVER_IGNORED, BlanketSuppression
from stablint.rule import Rule
from stablint.static.directives import Directive, directives
from stablint.typo import did_you_mean

VERBS = ("ignore", "disable", "enable", "file-ignore")
_END = 1 << 62
"""An offset behind the end of every text."""


@dataclass(frozen=True, slots=True)
class Names:
    """What rules can be called.

    `ran` holds the codes that can be said not to have been needed, `codes` the code for every name and code;
    where the caller did not say which rules there are, `complete` is false and no name can be called unknown.
    """

    ran: Collection[str]
    codes: Mapping[str, str]
    complete: bool

    def code(self, item: str) -> str | None:
        """Return the code that an item means, or None."""
        return self.codes.get(item.upper()) or self.codes.get(item.lower())

    def guess(self, item: str) -> str:
        """Say what an unknown name was meant to be, if that can be guessed."""
        return did_you_mean(item, (name for name, code in self.codes.items() if name != code))


def names(ran: Iterable[Rule], known: Mapping[str, str] | None) -> Names:
    """Collect the rules that ran, the run's own, and all there are (`known`: name -> code)."""
    ran = list(ran)
    called = {rule.name(): rule.code for rule in ran} | {rule.name(): rule.code for rule in DIAGNOSTICS}
    called |= known or {}
    codes = called | {code: code for code in called.values()}
    return Names({rule.code for rule in ran} | {BlanketSuppression.code}, codes, known is not None)


@dataclass(slots=True)
class Switch:
    """A rule, or all of them (`code` None), off from `first` to before `last`.

    That of an `enable` switches nothing off; it is known by what it `ends`.
    """

    item: str
    code: str | None
    first: int = 0
    last: int = 0
    used: bool = False
    ends: list[Switch] | None = None

    def covers(self, code: str, offset: int) -> bool:
        """Say whether it switches off a finding."""
        return self.code in (None, code) and self.first <= offset < self.last


@dataclass(slots=True)
class Comment:
    """A directive, its switches, and what in it switches nothing for sure, with the reason."""

    directive: Directive
    switches: list[Switch] = field(default_factory=list)
    idle: dict[str, str] = field(default_factory=dict)


def read_comments(text: str, names: Names) -> list[Comment]:
    """Find out what each comment of a text switches."""
    comments = [_read(directive, names) for directive in directives(text)]
    for index, comment in enumerate(comments):
        if comment.directive.verb == "enable":
            _end(comment, comments[:index])
    return comments


def _read(directive: Directive, names: Names) -> Comment:
    comment = Comment(directive)
    if directive.verb not in (*VERBS, "noqa"):
        _misspelt(comment)
    elif directive.items is None:
        comment.switches.append(Switch("", None, *_range(directive)))
    elif not directive.items:
        comment.idle[""] = "it names no rule"
    for item in directive.items or ():
        code = names.code(item)
        if comment.idle.get(directive.verb):
            break
        if code in NEVER_IGNORED:
            comment.idle[item] = f"`{item}` cannot be ignored"
        elif code is not None:
            comment.switches.append(Switch(item, code, *_range(directive)))
        elif names.complete and (directive.verb != "noqa" or item.upper().startswith("STB")):
            comment.idle[item] = f"no rule is called `{item}`{names.guess(item)}"
    return comment


def _misspelt(comment: Comment) -> None:
    """Take `stablint: ingore` for a mistake, and `stablint: see below` for prose."""
    meant = did_you_mean(comment.directive.verb, VERBS)
    if meant or comment.directive.items is not None:
        comment.idle[comment.directive.verb] = f"`{comment.directive.verb}` says nothing to stablint{meant}"


def _range(directive: Directive) -> tuple[int, int]:
    """Return the offsets from and before which a directive switches something off."""
    if directive.verb == "file-ignore":
        return 0, _END
    if directive.verb == "disable":
        return directive.begins, _END
    if directive.verb == "ignore" or (directive.verb == "noqa" and not directive.alone):
        return directive.line_start, directive.line_end
    return 0, 0


def _end(enable: Comment, before: list[Comment]) -> None:
    """Let an `enable` end what it names of the `disable`s before it; one that names nothing ends all."""
    running = [
        switch
        for comment in before
        if comment.directive.verb == "disable"
        for switch in comment.switches
        if switch.last > enable.directive.begins
    ]
    for switch in enable.switches:
        switch.ends = [off for off in running if switch.code in (None, off.code)]
        for off in switch.ends:
            off.last = enable.directive.begins
