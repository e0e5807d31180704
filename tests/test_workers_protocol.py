"""Frames: what goes in comes out, and what is no message is refused."""

import io
import json

import pytest

from stablint.finding import (
    Applicability,
    Confidence,
    Edit,
    Finding,
    Fix,
    Location,
    Position,
    Related,
    Severity,
)
from stablint.static.plan import Plan
from stablint.static.result import FileResult
from stablint.static.workers.protocol import (
    FRAME_LIMIT,
    HEADER,
    Answer,
    Batch,
    BrokenFrameError,
    Done,
    Loading,
    Ready,
    pack,
    read_answer,
    read_batch,
    read_plan,
)

PLACE = Location("a.py", Position(1, 2), Position(3, 4), cell=2)
FINDING = Finding(
    location=PLACE,
    code="STB101",
    name="log-of-softmax",
    message="schlecht: \udcff 🔥",
    severity=Severity.WARNING,
    confidence=Confidence.LOW,
    related=(Related(PLACE, "here"),),
    fix=Fix("mend", Applicability.UNSAFE, (Edit(PLACE, "x\n"),)),
)


def frame(value: object) -> bytes:
    body = json.dumps(value).encode()
    return HEADER.pack(len(body)) + body


@pytest.mark.parametrize(
    "answer",
    [
        Loading(),
        Ready(),
        Done(FileResult("a.py")),
        Done(FileResult("odd\udcff\n.py", (FINDING,), 0.25, {"log-of-softmax": 0.125})),
    ],
)
def test_an_answer_arrives_as_it_was_sent(answer: Answer) -> None:
    assert read_answer(io.BytesIO(pack(answer)).read) == answer


def test_a_plan_arrives_as_it_was_sent() -> None:
    plan = Plan(("STB101",), {"log-of-softmax": {"limit": 3}}, {"odd\udcff.py": ()}, time_limit=2.5)
    assert read_plan(io.BytesIO(pack(plan)).read) == plan


def test_messages_follow_each_other_and_the_end_is_none() -> None:
    stream = io.BytesIO(pack(Batch(("a",))) + pack(Batch(("b", "c"))))
    assert read_batch(stream.read) == Batch(("a",))
    assert read_batch(stream.read) == Batch(("b", "c"))
    assert read_batch(stream.read) is None


@pytest.mark.parametrize(
    "data",
    [
        b"\0\0",
        HEADER.pack(FRAME_LIMIT + 1),
        HEADER.pack(9) + b"{}",
        HEADER.pack(3) + b"\xff\xfe\xfd",
        HEADER.pack(3) + b"{1:",
        frame([]),
        frame({"type": "Oops"}),
        frame({"type": "Done"}),
        frame({"type": "Done", "result": {"path": 3}}),
        frame({"type": "Done", "result": {"path": "a.py", "findings": [{"code": "STB101"}]}}),
        HEADER.pack(200_000) + b"[" * 200_000,
    ],
)
def test_what_is_no_answer_is_refused(data: bytes) -> None:
    with pytest.raises(BrokenFrameError):
        read_answer(io.BytesIO(data).read)
