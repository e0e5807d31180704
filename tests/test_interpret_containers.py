"""What lists, dicts and containers of layers hold after they were filled, cut and gone through."""

import pytest
from term_text import shown_raw


def of(code: str) -> list[str]:
    """What is looked at in the body of a function of p, q and n."""
    body = "".join(f"    {line}\n" for line in code.split("\n"))
    return shown_raw(f"from collections import OrderedDict\ndef f(p, q, n):\n{body}")


LISTS = {
    "append": ("x = []\nx.append(p)\nx.append(q)\nlook(x)", "[p, q]"),
    "append in a loop": (
        "x = []\nfor y in p:\n    x.append(y)\nlook(x)",
        "[] | [p[EACH] | p[EACH]*] | [p[EACH]*]",
    ),
    "append to one of two": ("x = [p] if n else [q]\nx.append(1)\nlook(x)", "[p, 1] | [q, 1]"),
    "extend": ("x = [p]\nx.extend((q, 1))\nx += [2]\nlook(x)", "[p, q, 1, 2]"),
    "extend by something": ("x = [p]\nx.extend(q)\nlook(x)", "[? | p*]"),
    "insert": ("x = [p, q]\nx.insert(0, 1)\nx.insert(-1, 2)\nlook(x)", "[1, p, 2, q]"),
    "insert somewhere": ("x = [p]\nx.insert(n, q)\nlook(x)", "[p | q*]"),
    "pop": ("x = [p, q]\nlook(x.pop(), x)", "q", "[p]"),
    "pop the first": ("x = [p, q]\nlook(x.pop(0))\nlook(x)", "p", "[q]"),
    "pop somewhere": ("x = [p, q]\nx.pop(n)\nlook(x)", "[p | q*]"),
    "pop in a loop": ("x = [p, q]\nfor y in n:\n    x.pop()\nlook(x[0])", "p | q"),
    "pop from one of two": ("x = [p, 1] if n else [q, 2]\nx.pop()\nlook(x)", "[p] | [q]"),
    "del": ("x = [p, q]\ndel x[-1]\nlook(x)", "[p]"),
    "clear": ("x = [p]\nx.clear()\nlook(x)", "[]"),
    "reverse": ("x = [p, q]\nx.reverse()\nlook(x)", "[q, p]"),
    "sort": ("x = [p, q]\nx.sort()\nlook(x)", "[p | q*]"),
    "remove": ("x = [p, q]\nx.remove(p)\nlook(x)", "[p | q*]"),
    "store": ("x = [p, q]\nx[0] = 1\nlook(x[0])", "1 | p | q"),
    "of itself": ("x = [p]\nx = x + x\nx = x * 2\nlook(x)", "[p, p, p, p]"),
    "attribute": ("p.x = []\np.x.append(q)\nlook(p.x)", "[q]"),
    "nested": ("x = [[p], [q]]\nlook(x[1][0])", "q"),
    "unpacked": ("x = [p, q]\na, b = x\nlook(*x)\nlook(b)", "[p, q]", "q"),
    "set": ("x = set()\nx.add(p)\nlook(x)", "{p}"),
    "dict updated": (
        "d = {'a': p}\nd.update({'b': q}, c=r)\nlook(d['a'], d['b'], d['c'])\nd.update(e)\nlook(d['a'])",
        "p",
        "q",
        "?r",
        "? | p",
    ),
    "dict set by key": ("x = {}\nx['a'] = p\nx[n] = q\nlook(x['a'])", "p"),
    "dict made with keywords": (
        "x = dict(a=p)\nlook(x['a'], x.get('a'), x.get('b'))",
        "p",
        "p",
        "{'a': p}['b']",
    ),
    "dict gone through": (
        "x = {'a': p, 'b': q}\nlook(x.values(), x.keys(), x.items())",
        "[p, q]",
        "['a', 'b']",
        "[('a', p), ('b', q)]",
    ),
    "open dict gone through": ("x = {'a': p, **n}\nlook(x.values())", "[p*]"),
    "dict comprehension": ("x = {k: v.log() for k, v in p}\nlook(x)", "{p[EACH][0]: log(p[EACH][1]), ...}"),
}


@pytest.mark.parametrize(
    ("code", "expected"), [(code, expected) for code, *expected in LISTS.values()], ids=LISTS
)
def test_lists_and_dicts(code: str, expected: list[str]) -> None:
    assert of(code) == expected


COMPREHENSIONS = {
    "[y.log() for y in p]": "[log(p[EACH])*]",
    "[y for y in (p, q)]": "[p, q]",
    "[y for y in (p, q) if y]": "[p | q*]",
    "[i * 2 for i in range(3)]": "[0, 2, 4]",
    "[(i, j) for i in range(2) for j in range(i + 1)]": "[(0, 0), (1, 0), (1, 1)]",
    "[[i for i in range(2)] for y in p]": "[[0, 1]*]",
    "[a + b for a, b in zip([1, 2], [3, 4])]": "[4, 6]",
    "[i for i in range(300)]": "[?index*]",
    "[0 for i in range(60) for j in range(60)]": "[0*]",
    "(y for y in p)": "[p[EACH]*]",
    "{y for y in [1, 2]}": "[1, 2]",
    "[y for y in []]": "[[][EACH]*]",
    "list(y for y in [1, 2])": "[1, 2]",
    "sum(y for y in [p, q])": "builtin_sum([p, q])",
    "next(y for y in p)": "p[EACH]",
}


@pytest.mark.parametrize(("code", "expected"), COMPREHENSIONS.items(), ids=COMPREHENSIONS)
def test_comprehensions(code: str, expected: str) -> None:
    assert of(f"look({code})") == [expected]


LAYERS = {
    "Sequential": (
        "m = nn.Sequential(nn.ReLU(), nn.Tanh())\nlook(m(p), m[0], m[-1](p))",
        "tanh(relu(p))",
        "ReLU()",
        "tanh(p)",
    ),
    "Sequential of a list": (
        "x = [nn.ReLU()]\nx.append(nn.Tanh())\nlook(nn.Sequential(*x)(p))",
        "tanh(relu(p))",
    ),
    "Sequential of a dict": (
        "look(nn.Sequential(OrderedDict([('a', nn.ReLU()), ('b', nn.Tanh())]))(p))",
        "tanh(relu(p))",
    ),
    "Sequential of a display": ("look(nn.Sequential(OrderedDict({'a': nn.ReLU()}))(p))", "relu(p)"),
    "Sequential cut": (
        "m = nn.Sequential(nn.ReLU(), nn.Tanh(), nn.ELU())\nlook(m[1:](p), m[:-2](p))",
        "elu(tanh(p))",
        "relu(p)",
    ),
    "Sequential added to": (
        "m = nn.Sequential()\nm.add_module('a', nn.ReLU())\nm.append(nn.Tanh())\nlook(m(p))",
        "tanh(relu(p))",
    ),
    "Sequential of anything": ("look(nn.Sequential(*n)(p))", "Sequential()(p)"),
    "nested": ("m = nn.Sequential(nn.Sequential(nn.ReLU()), nn.Tanh())\nlook(m(p))", "tanh(relu(p))"),
    "ModuleList": (
        "m = nn.ModuleList([nn.ReLU() for _ in range(2)])\nfor l in m:\n    p = l(p)\nlook(p)",
        "relu(relu(p))",
    ),
    "ModuleList appended to": (
        "m = nn.ModuleList()\nfor i in range(2):\n    m.append(nn.Linear(8, i))\nlook(m[1])",
        "Linear(8, 1)",
    ),
    "ModuleList inserted into": (
        "m = nn.ModuleList([nn.ReLU()])\nm.insert(0, nn.Tanh())\nlook(m[0])",
        "Tanh()",
    ),
    "ModuleList of unknown length": (
        "m = nn.ModuleList([nn.ReLU() for _ in range(n)])\nlook(m[0], m[n](p))",
        "ReLU()",
        "relu(p)",
    ),
    "ModuleDict": ("m = nn.ModuleDict({'a': nn.ReLU(), 'b': nn.Tanh()})\nlook(m['b'](p))", "tanh(p)"),
    "last layer popped": (
        "x = [nn.Linear(8, 8), nn.Softmax(1)]\nx.pop()\nlook(nn.Sequential(*x)(p))",
        "linear(p)",
    ),
}


@pytest.mark.parametrize(
    ("code", "expected"), [(code, expected) for code, *expected in LAYERS.values()], ids=LAYERS
)
def test_containers_of_layers(code: str, expected: list[str]) -> None:
    assert of(code) == expected
