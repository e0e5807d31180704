"""Finding rules through entry points, and refusing those that are flawed."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stablint.errors import UsageError
from stablint.registry import RuleFlaw, find_rule, load_rules

RULE = '''
from stablint.finding import Severity
from stablint.rule import StaticRule


class {name}(StaticRule):
    """The page."""

    code = "{code}"
    severity = Severity.ERROR
    since = "1.0"
    bad = ["x  # flagged"]
    good = ["y"]
'''

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Give a function that installs a pack: its modules' texts by name, and its name."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)

    def write(modules: dict[str, str], pack: str = "somepack") -> None:
        folder = tmp_path / pack
        folder.mkdir()
        for name, text in {"__init__": "", **modules}.items():
            folder.joinpath(f"{name}.py").write_text(text)
        info = tmp_path / f"{pack}-2.0.dist-info"
        info.mkdir()
        info.joinpath("METADATA").write_text(f"Metadata-Version: 2.1\nName: {pack}\nVersion: 2.0\n")
        info.joinpath("entry_points.txt").write_text(f"[stablint.rules]\nmine = {pack}\n")
        load_rules.cache_clear()

    yield write
    load_rules.cache_clear()
    for name in set(sys.modules) - before:
        if name.split(".")[0] in ("somepack", "otherpack"):
            del sys.modules[name]


def test_rules_of_all_modules_are_found_in_the_order_of_codes(install: Install) -> None:
    install(
        {
            "b": RULE.format(name="FirstFault", code="ZZZ101"),
            "a": RULE.format(name="SecondFault", code="ZZZ102"),
        }
    )
    rules = [rule for rule in load_rules() if rule.code.startswith("ZZZ")]
    assert [(rule.code, rule.name()) for rule in rules] == [
        ("ZZZ101", "first-fault"),
        ("ZZZ102", "second-fault"),
    ]
    assert [rule.code for rule in load_rules()] == sorted(rule.code for rule in load_rules())


def test_rule_that_is_imported_elsewhere_is_one_rule(install: Install) -> None:
    text = RULE.format(name="FirstFault", code="ZZZ101")
    install(
        {
            "a": text,
            "b": "from somepack.a import FirstFault\n",
            "__init__": "from somepack.a import FirstFault\n",
        }
    )
    assert [rule.code for rule in load_rules() if rule.code.startswith("ZZZ")] == ["ZZZ101"]


def test_class_without_a_code_is_a_base_and_no_rule(install: Install) -> None:
    base = "from stablint.rule import StaticRule\n\nclass Base(StaticRule):\n    pass\n"
    install({"a": base, "b": RULE.format(name="FirstFault", code="ZZZ101")})
    assert [rule.name() for rule in load_rules() if rule.__module__.startswith("somepack")] == ["first-fault"]


GOOD = RULE.format(name="FirstFault", code="ZZZ101")


@pytest.mark.parametrize(
    ("text", "flaw"),
    [
        (GOOD.replace('"ZZZ101"', '"ZZ-1"'), "code 'ZZ-1' is not letters and three digits"),
        (GOOD.replace('"ZZZ101"', "101"), "code 101 is not letters and three digits"),
        (GOOD.replace("ZZZ101", "STB905"), "code STB905 is the engine's own (STB900 to STB909)"),
        (GOOD.replace('    """The page."""\n', ""), "it has no page (its docstring)"),
        (GOOD.replace("    since = ", "    sense = "), "it has no since"),
        (
            GOOD.replace("    bad = ", "    dab = ").replace("    good = ", "    doog = "),
            "it has no bad, good",
        ),
        (
            GOOD.replace("Severity.ERROR", '"error"'),
            "its severity or confidence is none of those in stablint.finding",
        ),
        (GOOD.replace('["y"]', "[]"), "it needs at least one bad and one good case"),
        (GOOD.replace('["x  # flagged"]', '"x  # flagged"'), "its cases are one string, not a list of them"),
        (
            GOOD.replace('["x  # flagged"]', '["x  # flagged", "z"]'),
            "bad case 1 marks no line with `# flagged`",
        ),
        (GOOD + '    fixed = ["a", "b"]\n', "it has more fixed cases than bad ones"),
        (GOOD + "    class Options:\n        pass\n", "its Options is not a msgspec.Struct"),
        (
            GOOD + "    import msgspec\n\n    class Options(msgspec.Struct):\n        x: int\n",
            "its Options has a field without a default",
        ),
    ],
)
def test_flaw_names_pack_class_and_reason(text: str, flaw: str, install: Install) -> None:
    install({"a": text})
    with pytest.raises(RuleFlaw) as caught:
        load_rules()
    assert str(caught.value) == f"rule pack mine of somepack 2.0: somepack.a.FirstFault: {flaw}"


def test_pack_that_cannot_be_imported_is_named(install: Install) -> None:
    install({"a": "import no_such_module_anywhere\n"})
    expected = "rule pack mine of somepack 2.0 cannot be imported: ModuleNotFoundError: No module named "
    with pytest.raises(RuleFlaw, match=expected):
        load_rules()


@pytest.mark.parametrize(
    ("name", "code", "taken"), [("FirstFault", "ZZZ102", "first-fault"), ("OtherFault", "ZZZ101", "ZZZ101")]
)
def test_name_and_code_are_taken_once(name: str, code: str, taken: str, install: Install) -> None:
    install({"a": GOOD})
    install({"a": RULE.format(name=name, code=code)}, pack="otherpack")
    with pytest.raises(RuleFlaw, match=rf"a\.\w+Fault: {taken} is already taken by \w+\.a\.\w+Fault$"):
        load_rules()


def test_finding_a_rule_by_name_or_code(install: Install) -> None:
    install({"a": GOOD})
    assert find_rule("ZZZ101", load_rules()) is find_rule("first-fault", load_rules())
    with pytest.raises(UsageError, match=r'^no rule is called "frst-fault"; did you mean "first-fault"\?$'):
        find_rule("frst-fault", load_rules())
    with pytest.raises(UsageError, match=r'^no rule is called "zzz101"; did you mean "ZZZ101"\?$'):
        find_rule("zzz101", load_rules())
    with pytest.raises(UsageError, match=r'^no rule is called "qqqqqqqq"$'):
        find_rule("qqqqqqqq", load_rules())
