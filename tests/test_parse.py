"""libcst first, CPython as the judge, a large stack, and nothing left behind."""

import ast
import gc
import subprocess
import sys
import threading

import libcst as cst
import pytest

from stablint.finding import Position
from stablint.static import deep
from stablint.static.deep import deeply
from stablint.static.parse import parse
from stablint.static.source import SourceFile
from stablint.static.unreadable import UnreadableError


def unreadable(text: str) -> UnreadableError:
    with pytest.raises(UnreadableError) as caught:
        parse(text)
    return caught.value


def test_valid_python_is_parsed() -> None:
    assert parse("x = 1\n").code == "x = 1\n"


def test_what_both_reject_is_a_syntax_error_in_cpythons_words() -> None:
    error = unreadable("x = 1\nfor y in z\n    pass\n")
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert error.diagnostic.code == "STB901"
    assert error.message == (
        f"not valid Python as far as {running}, the Python that runs stablint, knows: expected ':'"
    )
    assert error.position == Position(2, 11)


def test_columns_of_syntax_errors_count_code_points() -> None:
    assert unreadable('x = "😀é" 1\n').position.column in (5, 10)  # the string or the number, never bytes
    assert unreadable('"😀é"; 1x = y\n').position == Position(1, 7)


def test_what_only_libcst_rejects_is_not_checked() -> None:
    text = "x = 1\n\n(x): int = 2\n"
    assert ast.parse(text)
    error = unreadable(text)
    assert error.diagnostic.code == "STB900"
    assert error.position == Position(3, 1)
    assert "libcst" in error.message


def test_what_only_libcst_understands_is_checked() -> None:
    assert parse('type X = int\nx = f"{d["a"]}"\n').body


def test_cpython_warns_of_nothing(recwarn: pytest.WarningsRecorder) -> None:
    assert unreadable('x = "\\q" is 1\n(y): int = 1\n').diagnostic.code == "STB900"
    assert not recwarn.list


def test_a_panic_of_the_native_parser_is_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    class PanicException(BaseException):
        pass

    def panics(text: str) -> cst.Module:
        raise PanicException("index out of bounds\nand more")

    monkeypatch.setattr(cst, "parse_module", panics)
    error = unreadable("x = 1\n")
    assert error.diagnostic.code == "STB900"
    assert error.message.endswith("failed with PanicException: index out of bounds")


@pytest.mark.parametrize("collecting", [True, False])
def test_the_garbage_collector_is_as_before(collecting: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []
    original = cst.parse_module
    monkeypatch.setattr(cst, "parse_module", lambda text: (seen.append(gc.isenabled()), original(text))[1])
    before = gc.isenabled()
    try:
        (gc.enable if collecting else gc.disable)()
        parse("x = 1\n")
        unreadable("x = \n")
        assert gc.isenabled() is collecting
    finally:
        (gc.enable if before else gc.disable)()
    assert seen == [False, False]


def test_deep_things_run_on_one_deep_thread() -> None:
    here = threading.current_thread()
    threads = {deeply(threading.current_thread) for _ in range(3)}
    assert len(threads) == 1
    assert here not in threads
    assert deeply(lambda: deeply(threading.current_thread)) in threads


def test_stack_size_and_recursion_limit_are_as_before() -> None:
    size, limit = threading.stack_size(), sys.getrecursionlimit()
    assert deeply(sys.getrecursionlimit) >= 50_000
    assert (threading.stack_size(), sys.getrecursionlimit()) == (size, limit)


def test_a_smaller_stack_is_taken_where_memory_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    start = threading.Thread.start

    def limited(thread: threading.Thread) -> None:
        sizes.append(threading.stack_size())
        if sizes[-1] > 200 << 20:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)
    monkeypatch.setattr(deep, "_deep", None)
    assert deeply(lambda: 1 + 1) == 2
    assert sizes == [512 << 20, 128 << 20]


def test_errors_come_back_and_the_thread_lives() -> None:
    def fails() -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        deeply(fails)
    assert deeply(lambda: "alive") == "alive"


def test_trees_as_deep_as_the_prescan_allows_can_be_walked() -> None:
    text = "x = " + " + ".join(["a"] * 1_500) + "\ny = a" + ".b()" * 700 + "\n"
    source = SourceFile("x.py", text.encode())
    assert deeply(lambda: source.code(source.tree)) == text

    class Names(cst.CSTVisitor):
        count = 0

        def visit_Name(self, node: cst.Name) -> None:
            self.count += 1

    visitor = Names()
    deeply(lambda: source.tree.visit(visitor))
    assert visitor.count == 1 + 1_500 + 2 + 700


def test_a_rule_that_recurses_for_ever_ends_in_an_error_not_in_a_crash() -> None:
    code = """
from stablint.static.deep import deeply
class Node:
    def __getattr__(self, name):
        return getattr(self, name + "x"[:0])
def down(n):
    return max([n], key=lambda m: down(m + 1))
for job in (lambda: down(0), lambda: Node().child):
    try:
        deeply(job)
    except RecursionError:
        print("caught")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["caught", "caught"]
    assert done.returncode == 0


def test_another_process_gets_its_own_thread() -> None:
    code = """
import os, warnings
warnings.simplefilter("ignore")
from stablint.static.deep import deeply
deeply(lambda: 1)
child = os.fork()
if child == 0:
    os._exit(deeply(lambda: 7))
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    if not hasattr(__import__("os"), "fork"):
        pytest.skip("no fork here")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "7"
