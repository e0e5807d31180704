"""Globs: what `exclude` and `per-file-ignores` match."""

import pytest

from stablint.settings.glob import anchor, compile_globs


@pytest.mark.parametrize(
    ("glob", "path", "matches"),
    [
        ("build", "/p/build", True),
        ("build", "/p/sub/build", True),
        ("build", "/p/rebuild", False),
        ("build/", "/p/sub/build", True),
        ("*_pb2.py", "/p/sub/x_pb2.py", True),
        ("*_pb2.py", "/p/sub/x_pb3.py", False),
        ("sub/x.py", "/p/sub/x.py", True),
        ("./sub/x.py", "/p/sub/x.py", True),
        ("sub/x.py", "/p/other/sub/x.py", False),
        ("sub/*", "/p/sub/deep/x.py", True),
        ("**/x.py", "/p/x.py", True),
        ("**/x.py", "/p/a/b/x.py", True),
        ("**/x.py", "/q/x.py", False),
        ("a/**/x.py", "/p/a/x.py", True),
        ("a/**/x.py", "/p/a/b/c/x.py", True),
        ("/q/x.py", "/q/x.py", True),
        ("[ab].py", "/p/a.py", True),
        ("[!ab].py", "/p/a.py", False),
        (".", "/p", True),
        (".", "/q", False),
    ],
)
def test_glob_meant_from_a_root(glob: str, path: str, matches: bool) -> None:
    assert compile_globs((anchor(glob, "/p"),)).match(path) is matches


def test_several_globs_match_if_one_does() -> None:
    globs = compile_globs(("a.py", "/p/b/*", "c*"))
    assert [globs.match(path) for path in ("/x/a.py", "/p/b/y", "/c", "/p/d")] == [True, True, True, False]


def test_no_glob_matches_nothing() -> None:
    assert not compile_globs(()).match("/p/a.py")
    assert not compile_globs(()).match("")


def test_root_with_odd_letters_is_taken_to_the_letter() -> None:
    glob = anchor("sub/*.py", "/p[1]*")
    assert compile_globs((glob,)).match("/p[1]*/sub/x.py")
    assert not compile_globs((glob,)).match("/p1x/sub/x.py")


def test_negation_stays_in_front() -> None:
    assert anchor("!sub/x.py", "/p") == "!/p/sub/x.py"
    assert anchor("!x.py", "/p") == "!x.py"
