"""The thread with the large stack, and the recursion limit that it shares with the whole process."""

import sys
import threading

import pytest

from stablint.static.deep import RECURSION_LIMIT, deeply, forsake


def depth(levels: int) -> int:
    return 0 if levels == 0 else 1 + depth(levels - 1)


def test_what_is_too_deep_for_an_ordinary_stack_is_not_here() -> None:
    before = sys.getrecursionlimit()
    assert deeply(lambda: depth(20_000)) == 20_000
    assert sys.getrecursionlimit() == before
    with pytest.raises(RecursionError):
        depth(20_000)


def test_an_error_comes_through() -> None:
    with pytest.raises(ZeroDivisionError):
        deeply(lambda: 1 / 0)
    assert deeply(lambda: deeply(lambda: 3)) == 3


def test_a_forsaken_job_takes_no_depth_from_another_and_leaves_none_behind() -> None:
    before = sys.getrecursionlimit()
    started, ended = threading.Event(), threading.Event()

    def hang() -> None:
        started.set()
        ended.wait(60)

    hanging = threading.Thread(target=lambda: deeply(hang))
    hanging.start()
    assert started.wait(60)
    forsake()

    def run() -> int:
        ended.set()
        hanging.join(60)
        assert not hanging.is_alive()
        assert sys.getrecursionlimit() == RECURSION_LIMIT
        return depth(20_000)

    assert deeply(run) == 20_000
    assert sys.getrecursionlimit() == before
