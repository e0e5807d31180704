"""Backward, clipping, step and schedule in the wrong order."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from mutants.bindings import constructor
from mutants.operator import Mutant, moved, moved_before, operator, removed, replaced
from mutants.text import LOOPS, Text, calls_in, expression, method, spelled

CLIPS = ("clip_grad_norm_", "clip_grad_norm", "clip_grad_value_")


@operator(b"backward", "zero-grad-before-step", "step-without-backward", "missing-zero-grad")
def swap_step_and_backward(text: Text) -> Iterator[Mutant]:
    """Every step works with what zero_grad has left, where one block has zero_grad, the last backward and the step.

    A GradScaler's step is left alone: it refuses to run before backward.
    """
    for block in _blocks(text):
        for step in block:
            optimizer = _stepped(step)
            if optimizer is None or _is_scheduler(text, optimizer):
                continue
            before = block[: block.index(step)]
            backward = [one for one in before if method(expression(one), "backward") is not None]
            clears = any(
                (cleared := method(expression(one), "zero_grad")) is not None
                and spelled(cleared) == spelled(optimizer)
                for one in block
            )
            if backward and clears and not any(_stepped(one) for one in before[before.index(backward[-1]) :]):
                edits = (
                    replaced(text, backward[-1], text.code(step)),
                    replaced(text, step, text.code(backward[-1])),
                )
                yield Mutant(edits, step.lineno)


@operator(b"clip_grad", "clip-grad-misordered")
def clip_after_step(text: Text) -> Iterator[Mutant]:
    """Clipping changes no update, where a statement that only clips stands in a block before the step."""
    for block in _blocks(text):
        for clip in block:
            if not _only_clips(clip):
                continue
            behind = block[block.index(clip) + 1 :]
            step = next((one for one in behind if _is_step(text, one)), None)
            if step is None or _uses(behind[: behind.index(step) + 1], clip):
                continue
            if edits := moved(text, clip, step):
                yield Mutant(edits, clip.lineno)


def _only_clips(statement: ast.stmt) -> bool:
    calls = [call for call in calls_in(statement) if _last(call) in CLIPS]
    if isinstance(statement, ast.If):
        return len(statement.body) == 1 and not statement.orelse and _only_clips(statement.body[0])
    return len(calls) == 1 and calls[0] is getattr(statement, "value", None)


def _is_step(text: Text, statement: ast.stmt) -> bool:
    receiver = _stepped(statement)
    return receiver is not None and not _is_scheduler(text, receiver)


def _uses(statements: list[ast.stmt], clip: ast.stmt) -> bool:
    bound = {
        each.id for each in ast.walk(clip) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)
    }
    return any(
        isinstance(each, ast.Name) and each.id in bound for one in statements for each in ast.walk(one)
    )


@operator(b"scheduler", "scheduler-step-misordered")
def scheduler_before_optimizer(text: Text) -> Iterator[Mutant]:
    """The first learning rate of the schedule is skipped, where one block steps the optimizer, then a scheduler that
    the file takes from torch.optim.lr_scheduler, without an argument.
    """
    for block in _blocks(text):
        for scheduler in block:
            receiver = _stepped(scheduler)
            if receiver is None or not _is_scheduler(text, receiver) or _has_arguments(scheduler):
                continue
            step = next((one for one in block[: block.index(scheduler)] if _is_step(text, one)), None)
            if step is not None and (edits := moved_before(text, scheduler, step)):
                yield Mutant(edits, scheduler.lineno, _origin(text, receiver))


@operator(b"scheduler", "scheduler-step-misordered")
def scheduler_before_epoch(text: Text) -> Iterator[Mutant]:
    """The first learning rate is skipped, where a loop over epochs holds, in its body, a loop that steps an
    optimizer (or calls a function of the file that does), then the scheduler's argumentless step.
    """
    steppers = _functions_that_step(text)
    for block in _blocks(text):
        for scheduler in block:
            receiver = _stepped(scheduler)
            if receiver is None or not _is_scheduler(text, receiver) or _has_arguments(scheduler):
                continue
            before = block[: block.index(scheduler)]
            trains = next((one for one in before if _trains(text, one, steppers)), None)
            if trains is None or not isinstance(text.parents[scheduler], LOOPS):
                continue
            if edits := moved_before(text, scheduler, trains):
                yield Mutant(edits, scheduler.lineno, _origin(text, receiver))


def _trains(text: Text, statement: ast.stmt, steppers: set[str]) -> bool:
    if isinstance(statement, LOOPS):
        return any(
            (receiver := method(call, "step")) and not _is_scheduler(text, receiver) and not call.args
            for call in calls_in(statement)
        ) and any(_last(call) == "backward" for call in calls_in(statement))
    return not isinstance(statement, (ast.FunctionDef, ast.ClassDef)) and any(
        isinstance(call.func, ast.Name) and call.func.id in steppers for call in calls_in(statement)
    )


def _functions_that_step(text: Text) -> set[str]:
    return {
        node.name
        for node in text.tree.body
        if isinstance(node, ast.FunctionDef)
        and {"step", "backward"} <= {_last(call) for call in calls_in(node)}
    }


def _origin(text: Text, receiver: ast.expr) -> str:
    made = constructor(text, receiver)
    known = made is not None and text.name(made.func).startswith("torch.optim.lr_scheduler.")
    return "" if known else "the file does not show which scheduler it is"


def _has_arguments(statement: ast.stmt) -> bool:
    call = expression(statement)
    return isinstance(call, ast.Call) and bool(call.args or call.keywords)


@operator(b"unscale_", "clip-grad-without-unscale")
def remove_unscale(text: Text) -> Iterator[Mutant]:
    """The threshold meets gradients that are still multiplied, where a function unscales once and then clips."""
    for call in text.calls:
        statement = text.statement(call)
        if method(call, "unscale_") is None or expression(statement) is not call:
            continue
        function = text.function(call)
        calls = list(calls_in(function))
        clips = [each for each in calls if _last(each) in CLIPS and each.lineno > call.lineno]
        if clips and sum(_last(each) == "unscale_" for each in calls) == 1:
            yield Mutant(removed(text, statement), call.lineno, also=(clips[0].lineno,))


def _blocks(text: Text) -> Iterator[list[ast.stmt]]:
    for node in ast.walk(text.tree):
        for field in ("body", "orelse", "finalbody"):
            block = getattr(node, field, None)
            if isinstance(block, list):
                yield block


def _stepped(statement: ast.stmt) -> ast.expr | None:
    return method(expression(statement), "step")


def _is_scheduler(text: Text, receiver: ast.expr) -> bool:
    name = spelled(receiver).lower()
    if "sched" in name or "lr" in name.rpartition(".")[2].split("_"):
        return True
    made = constructor(text, receiver)
    return made is not None and "lr_scheduler" in text.name(made.func)


def _last(call: ast.Call) -> str:
    return str(getattr(call.func, "attr", getattr(call.func, "id", "")))
