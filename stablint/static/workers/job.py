"""The work on a row of files, the same in a worker process and in a thread of this one."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Iterable
from functools import cache

from stablint.registry import load_rules
from stablint.static.plan import Plan, rules_for
from stablint.static.prefilter import may_concern_torch
from stablint.static.project.project import Project
from stablint.static.result import FileResult, Link, digest, failed, not_checked
from stablint.static.workers.protocol import Answer, Done, Loading, Ready
from stablint.static.workers.reading import RefusedError, read_file


def check_each(
    files: Iterable[str],
    plan: Plan,
    answer: Callable[[Answer], None],
    read: Callable[[str], bytes] = read_file,
) -> None:
    """Check one file after the other and answer each; say when importing holds the first one up."""
    project = Project(read, roots=plan.src)
    loaded = False
    for path in files:
        began = time.perf_counter()
        try:
            data = read(path)
        except RefusedError as refused:
            answer(Done(not_checked(path, str(refused))))
            continue
        if plan.prefilter and not may_concern_torch(data):
            own = Link(os.path.abspath(path), digest(data), (), {})
            answer(Done(FileResult(path, seconds=time.perf_counter() - began, own=own)))
            continue
        if not loaded:
            answer(Loading())
            _load(plan, path)
            answer(Ready())
            loaded = True
        answer(Done(_check(path, data, plan, project)))


def _load(plan: Plan, path: str) -> None:
    # Late, so that a run over files that do not concern torch imports neither libcst nor a rule.
    import stablint.static.examine  # noqa: F401

    rules_for(plan, path)


def _check(path: str, data: bytes, plan: Plan, project: Project) -> FileResult:
    from stablint.static.examine import examine
    from stablint.static.source import SourceFile

    # Most of a notebook is pictures; how much code it holds shows later, and the time limit bounds it.
    if len(data) > plan.size_limit and not path.endswith(".ipynb"):
        reason = f"it has {len(data):,} bytes, more than the size limit of {plan.size_limit:,}"
        return not_checked(path, reason)
    began = time.perf_counter()
    # A tree is a million objects and no garbage: collecting while it stands looks at all of them for nothing.
    collecting = gc.isenabled()
    gc.disable()
    rule_seconds: dict[str, float] = {}
    source = SourceFile(path, data)
    project.adopt(source)
    try:
        findings = examine(source, rules_for(plan, path), _known_rules(), rule_seconds)
    except MemoryError:
        return not_checked(path, "it takes more memory than there is", time.perf_counter() - began)
    except BaseException as error:  # a rule may call sys.exit; an interrupt arrives in the main thread only
        return failed(path, error, time.perf_counter() - began)
    finally:
        if collecting:
            gc.enable()
    seconds = time.perf_counter() - began
    return FileResult(
        path, tuple(findings), seconds, rule_seconds, project.own_link(source), project.links(source)
    )


@cache
def _known_rules() -> dict[str, str]:
    return {rule.name(): rule.code for rule in load_rules()}
