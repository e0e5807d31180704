"""Kill workers at random, many times, while they check a folder, and compare with a run left in peace.

    python tests/campaigns/kill_workers.py FOLDER 200

Every file must have a result, in order; each kill may cost at most one file, and the other results are the
same.  No worker may be left behind.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from stablint.finding import Finding
from stablint.registry import load_rules
from stablint.static import check
from stablint.static.plan import Plan
from stablint.static.workers import process
from stablint.static.workers.process import Worker

Findings = list[tuple[Finding, ...]]


def checked(files: Sequence[str], plan: Plan, jobs: int) -> Findings:
    """Check the files and return their findings, in order."""
    results = list(check.check_files(files, plan, jobs=jobs))
    assert [result.path for result in results] == list(files)
    return [result.findings for result in results]


def kill_some(workers: list[Worker], kills: int, chance: random.Random, over: threading.Event) -> None:
    """Kill a running worker every now and then; not while it imports, or none would ever come up."""
    while kills and not over.wait(chance.expovariate(2)):
        alive = [worker for worker in workers if worker.process.returncode is None]
        running = [worker.process for worker in alive if not worker.loading]
        if running:
            os.kill(chance.choice(running).pid, signal.SIGKILL)
            kills -= 1


def disturbed(files: Sequence[str], plan: Plan, kills: int, seed: int) -> tuple[Findings, list[Worker]]:
    """Check the files while workers are killed; return the findings and all workers that there were."""
    workers: list[Worker] = []
    start = process.start
    over = threading.Event()
    killer = threading.Thread(target=kill_some, args=(workers, kills, random.Random(seed), over))
    process.start = lambda plan: workers.append(start(plan)) or workers[-1]  # type: ignore[func-returns-value]
    killer.start()
    try:
        return checked(files, plan, jobs=2), workers
    finally:
        process.start = start
        over.set()
        killer.join()


def campaign(folder: str, kills: int) -> str:
    """Repeat the run until there were enough kills; say what came of it."""
    plan = Plan(tuple(rule.code for rule in load_rules()), time_limit=120.0)
    files = sorted(str(path) for path in Path(folder).rglob("*.py"))
    peace = checked(files, plan, jobs=2)
    killed = lost = runs = 0
    while killed < kills:
        runs += 1
        findings, workers = disturbed(files, plan, kills - killed, seed=runs)
        assert all(worker.process.returncode is not None for worker in workers)
        differing = [now for before, now in zip(peace, findings, strict=True) if now != before]
        assert all([finding.code for finding in now] == ["STB900"] for now in differing), differing
        deaths = len(workers) - min(len(workers), 2)
        assert len(differing) <= deaths + 2
        killed, lost = killed + deaths, lost + len(differing)
    return f"{runs} runs over {len(files)} files, {killed} workers replaced, {lost} files not checked"


if __name__ == "__main__":
    began = time.monotonic()
    print(campaign(sys.argv[1], int(sys.argv[2])), f"({time.monotonic() - began:.0f} s)")
