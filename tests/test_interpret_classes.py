"""What attributes and methods of the file's classes give."""

import pytest
from term_text import looked_at, shown, shown_raw

from stablint.static.facts.terms import Instance

MEMBERS = {
    "set in __init__": """
class A:
    def __init__(self, p):
        self.x = p.log()
    def f(self):
        look(self.x)
""",
    "in terms of what the object was made with": """
class A:
    def __init__(self, p):
        self.x = p.log()
a = A(1.0)
look(a.x, A(2.0).x)
""",
    "default of __init__": """
class A:
    def __init__(self, p=1.0):
        self.x = p
look(A().x, A(p=2.0).x)
""",
    "set in another method": """
class A:
    def setup(self):
        self.x = 1
    def f(self):
        look(self.x)
""",
    "set in two methods": """
class A:
    def __init__(self):
        self.x = None
    def setup(self):
        self.x = 1
    def f(self):
        look(self.x)
""",
    "set before it is read": """
class A:
    def __init__(self):
        self.x = 1
    def f(self):
        self.x = 2
        look(self.x)
""",
    "of the class body": """
class A:
    x = 1
    def f(self):
        look(self.x, self.y)
""",
    "inherited": """
class A:
    def __init__(self):
        self.x = 1
class B(A):
    y = 2
class C(B):
    def f(self):
        look(self.x, self.y)
""",
    "of the nearest class": """
class A:
    x = 1
class B(A):
    x = 2
look(B().x)
""",
    "set by a method that is called": """
class A:
    def __init__(self):
        self.build(3)
        look(self.x)
    def build(self, n):
        self.x = n
""",
    "set by a method called in a nested function": """
class A:
    def build(self):
        self.x = 1
    def f(self, other):
        def inner(scale):
            self.build()
            look(self.x)
        inner(2)
""",
    "fields of a dataclass": """
from dataclasses import dataclass, field
@dataclass
class A:
    eps: float = 0.0
    width: int = 10
    names: list = field(default_factory=list)
    def f(self):
        look(self.eps)
look(A(eps=1e-6).eps, A(1e-3, 5).eps, A(1e-3, 5).width, A().eps, A(**known).eps, A().names)
""",
    "fields of a dataclass, those of its base first, and one that a method sets": """
from dataclasses import dataclass
@dataclass
class A:
    x: int
@dataclass
class B(A):
    y: int = 2
    z: int = 3
    def __post_init__(self):
        self.z = self.y
look(B(1, 4).x, B(1, 4).y, B(1).z)
""",
    "fields of a named tuple": """
from typing import NamedTuple
class P(NamedTuple):
    a: float
    b: float = 2.0
look(P(1.0).a, P(1.0).b, P(1.0)[0], P(1.0, 3.0)[1])
""",
    "set by name": """
class A:
    def __init__(self):
        setattr(self, "x", 1)
        look(getattr(self, "x"))
""",
    "set in a loop": """
class A:
    def __init__(self):
        self.x = []
        for i in range(2):
            self.x.append(i)
    def f(self):
        look(self.x)
""",
    "set on one way": """
class A:
    def __init__(self, n):
        if n:
            self.x = 1
        else:
            self.x = 2
    def f(self):
        look(self.x)
""",
    "registered": """
class A(nn.Module):
    def __init__(self):
        super().__init__()
        self.add_module("x", nn.ReLU())
    def forward(self, p):
        look(self.x(p))
""",
    "of somebody's class": """
class A(base.Model):
    def f(self):
        look(self.x, self.y.z)
""",
    "given by a setter too": """
class A:
    def __init__(self, p):
        self.p = p
    @property
    def x(self):
        return self.p
    @x.setter
    def x(self, value):
        self.p = value
    def f(self):
        look(self.x)
""",
    "in a class method": """
class A:
    x = 1
    @classmethod
    def make(cls, p):
        look(cls, cls.x, cls(p))
""",
    "set by a base that is called by its name": """
class A:
    def __init__(self, n):
        self.x = n
class B(A):
    def __init__(self):
        A.__init__(self, 3)
        look(self.x)
""",
    "of itself": """
class A:
    def f(self):
        self.x = self.x.log()
        look(self.x)
""",
}

EXPECTED_MEMBERS = {
    "set in __init__": ["log(p)"],
    "in terms of what the object was made with": ["log(1.0)", "log(2.0)"],
    "default of __init__": ["1.0", "2.0"],
    "set in another method": ["1"],
    "set in two methods": ["1 | None"],
    "set before it is read": ["2"],
    "of the class body": ["1", "self.y"],
    "inherited": ["1", "2"],
    "of the nearest class": ["2"],
    "set by a method that is called": ["3"],
    "set by a method called in a nested function": ["1"],
    "fields of a dataclass": ["self.eps", "1e-06", "0.001", "5", "0.0", "A().eps", "A().names"],
    "fields of a dataclass, those of its base first, and one that a method sets": ["1", "4", "B(1).z"],
    "fields of a named tuple": ["1.0", "2.0", "1.0", "3.0"],
    "set by name": ["1"],
    "set in a loop": ["[0, 1]"],
    "set on one way": ["1 | 2"],
    "registered": ["relu(p)"],
    "of somebody's class": ["self.x", "self.y.z"],
    "given by a setter too": ["p | value"],
    "in a class method": ["class A", "1", "A(p)"],
    "set by a base that is called by its name": ["3"],
    "of itself": ["log(self.x)"],
}


@pytest.mark.parametrize("name", MEMBERS)
def test_members(name: str) -> None:
    assert shown_raw(MEMBERS[name]) == EXPECTED_MEMBERS[name]


METHODS = """
class A:
    scale = 2
    def __init__(self, p):
        self.p = p
    def f(self, x):
        return x * self.scale
    def chained(self):
        return self
    @property
    def double(self):
        return self.p * 2.5
    @staticmethod
    def plain(x):
        return x.log()
    @classmethod
    def make(cls, x):
        return cls(x)
    @functools.cached_property
    def root(self):
        return torch.sqrt(self.p)
    def __call__(self, x):
        return self.f(x)

class B(A):
    scale = 3
    def f(self, x):
        return super().f(x) + 1
    @classmethod
    def make(cls, x):
        return super().make(x)

a, b = A(0.5), B(1.5)
"""

CALLED = {
    "a.f(1.0)": "mul(1.0, 2)",
    "a(1.0)": "mul(1.0, 2)",
    "a.chained().f(1.0)": "mul(1.0, 2)",
    "A.f(a, 1.0)": "mul(1.0, 2)",
    "a.double": "mul(0.5, 2.5)",
    "a.plain(1.0)": "log(1.0)",
    "A.plain(1.0)": "log(1.0)",
    "a.root": "sqrt(0.5)",
    "b.f(1.0)": "add(mul(1.0, 2), 1)",
    "b.p": "1.5",
    "A.make(0.25).double": "mul(0.25, 2.5)",
    "B.make(0.25)": "?",
    "A.scale": "2",
    "B.scale": "3",
    "a.missing(1.0)": "A(0.5).missing(1.0)",
    "a.to('cuda').f(1.0)": "mul(1.0, 2)",
}


@pytest.mark.parametrize(("code", "expected"), CALLED.items(), ids=CALLED)
def test_methods(code: str, expected: str) -> None:
    assert shown(f"{METHODS}look({code})") == [expected]


MODELS = """
class Block(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.fc = nn.Linear(n, n)
        self.act = nn.ReLU() if n else nn.Tanh()
    def forward(self, x):
        return self.act(self.fc(x))

class Net(nn.Module):
    def __init__(self, blocks):
        super().__init__()
        self.blocks = nn.ModuleList([Block(8) for _ in range(blocks)])
        self.head, self.softmax = nn.Linear(8, 2), nn.Softmax(dim=1)
    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return self.softmax(self.head(x)), x

class Row(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(8, 8), nn.Sigmoid())
"""

RUN = {
    "Block(8)(p)": "relu(linear(p)) | tanh(linear(p))",
    "Block(8).forward(p)": "relu(linear(p)) | tanh(linear(p))",
    "Net(1)(p)[0]": "softmax(linear(relu(linear(p)) | tanh(linear(p))))",
    "Net(2)(p)[1]": "relu(linear(relu(linear(p)) | tanh(linear(p)))) | tanh(linear(relu(linear(p)) | tanh(linear(p))))",
    "Row()(p)": "sigmoid(linear(p))",
    "nn.DataParallel(Row())(p)": "sigmoid(linear(p))",
    "nn.Sequential(Row(), nn.ReLU())(p)": "relu(sigmoid(linear(p)))",
    "Net(1).head": "Linear(8, 2)",
    "Net(1).cuda().eval().head": "Linear(8, 2)",
    "torch.compile(Row())(p)": "sigmoid(linear(p))",
}


@pytest.mark.parametrize(("code", "expected"), RUN.items(), ids=RUN)
def test_models(code: str, expected: str) -> None:
    assert shown(f"{MODELS}\ndef f(p):\n    look({code})") == [expected]


def test_an_annotation_says_what_a_parameter_is() -> None:
    code = f"{MODELS}\ndef f(model: Row, layer: nn.Softmax, other: Unknown, p):\n    look(model(p), layer(p), other(p))"
    assert shown(code) == ["sigmoid(linear(p))", "softmax(p)", "other(p)"]


def test_an_object_knows_its_class_and_arguments() -> None:
    made, outside = looked_at(
        "class A:\n    def __init__(self, *a, **k): pass\nlook(A(1, n=2), nn.Linear(8, *n))"
    )
    assert isinstance(made, Instance)
    assert isinstance(outside, Instance)
    assert made.scope is not None
    assert (made.dotted, outside.dotted) == ("A", "torch.nn.Linear")
    assert (made.open_arguments, outside.open_arguments) == (False, True)


def test_a_method_that_calls_itself_is_not_followed_for_ever() -> None:
    code = """
class Tree:
    def depth(self, x):
        return self.depth(self.child(x)) if x else x
class Holder:
    def __init__(self):
        self.tree = Tree()
    def run(self, x):
        return self.tree.depth(x)
look(Holder().run(1))
"""
    assert "depth" in "".join(shown(code))
