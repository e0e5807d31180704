"""Which file an import means, and what a name imported from it holds; where that is not certain, nothing."""

from __future__ import annotations

import pytest
from projects import shown

ONE = "def f():\n    return 1\n"
TWO = "def f():\n    return 2\n"

LAYOUTS = {
    "beside": "# file: net.py\n{ONE}# file: train.py\nimport net\nlook(net.f())\n",
    "from beside": "# file: net.py\n{ONE}# file: train.py\nfrom net import f\nlook(f())\n",
    "renamed": "# file: net.py\n{ONE}# file: train.py\nfrom net import f as g\nlook(g())\n",
    "module renamed": "# file: net.py\n{ONE}# file: train.py\nimport net as n\nlook(n.f())\n",
    "package": "# file: a/__init__.py\n# file: a/b.py\n{ONE}# file: train.py\nfrom a.b import f\nlook(f())\n",
    "folder without __init__": "# file: a/b.py\n{ONE}# file: train.py\nfrom a.b import f\nlook(f())\n",
    "folders without __init__": "# file: a/b/c.py\n{ONE}# file: train.py\nfrom a.b.c import f\nlook(f())\n",
    "dotted": "# file: a/__init__.py\n# file: a/b.py\n{ONE}# file: train.py\nimport a.b\nlook(a.b.f())\n",
    "dotted, renamed": "# file: a/__init__.py\n# file: a/b.py\n{ONE}# file: train.py\nimport a.b as c\nlook(c.f())\n",
    "dotted, three": "# file: a/b/c.py\n{ONE}# file: train.py\nimport a.b.c\nlook(a.b.c.f())\n",
    "two dotted of one package": """\
# file: a/__init__.py
# file: a/b.py
{ONE}# file: a/c.py
{TWO}# file: train.py
import a.b
import a.c
look(a.b.f())
""",
    "module from package": (
        "# file: a/__init__.py\n# file: a/b.py\n{ONE}# file: train.py\nfrom a import b\nlook(b.f())\n"
    ),
    "module from package, renamed": (
        "# file: a/__init__.py\n# file: a/b.py\n{ONE}# file: train.py\nfrom a import b as c\nlook(c.f())\n"
    ),
    "one dot": "# file: a/__init__.py\n# file: a/b.py\n{ONE}# file: a/train.py\nfrom .b import f\nlook(f())\n",
    "one dot, module": "# file: a/__init__.py\n# file: a/b.py\n{ONE}# file: a/train.py\nfrom . import b\nlook(b.f())\n",
    "one dot, own package": "# file: a/__init__.py\n{ONE}# file: a/train.py\nfrom . import f\nlook(f())\n",
    "one dot without __init__": "# file: a/b.py\n{ONE}# file: a/train.py\nfrom .b import f\nlook(f())\n",
    "one dot in __init__": "# file: a/b.py\n{ONE}# file: a/__init__.py\nfrom .b import f\nlook(f())\n",
    "two dots": (
        "# file: a/__init__.py\n# file: a/b.py\n{ONE}# file: a/c/__init__.py\n# file: a/c/train.py\n"
        "from ..b import f\nlook(f())\n"
    ),
    "two dots, module": (
        "# file: a/__init__.py\n# file: a/b.py\n{ONE}# file: a/c/__init__.py\n# file: a/c/train.py\n"
        "from .. import b\nlook(b.f())\n"
    ),
    "two dots, other package": (
        "# file: a/__init__.py\n# file: a/d/__init__.py\n# file: a/d/b.py\n{ONE}# file: a/c/__init__.py\n"
        "# file: a/c/train.py\nfrom ..d.b import f\nlook(f())\n"
    ),
    "three dots": "# file: a/b.py\n{ONE}# file: a/c/d/train.py\nfrom ...b import f\nlook(f())\n",
    "four dots": "# file: a/b.py\n{ONE}# file: a/c/d/e/train.py\nfrom ....b import f\nlook(f())\n",
    "absolute inside a package": (
        "# file: a/__init__.py\n# file: a/b.py\n{ONE}# file: a/c/__init__.py\n# file: a/c/train.py\n"
        "from a.b import f\nlook(f())\n"
    ),
    "script in a folder below the top": (
        "# file: pyproject.toml\n# file: a/__init__.py\n# file: a/b.py\n{ONE}# file: tools/train.py\n"
        "from a.b import f\nlook(f())\n"
    ),
    "src": (
        "# file: pyproject.toml\n# file: src/a/__init__.py\n# file: src/a/b.py\n{ONE}# file: tests/train.py\n"
        "from a.b import f\nlook(f())\n"
    ),
    "within src": (
        "# file: src/a/__init__.py\n# file: src/a/b.py\n{ONE}# file: src/a/c/__init__.py\n"
        "# file: src/a/c/train.py\nfrom a.b import f\nlook(f())\n"
    ),
    "function has the name of a file": (
        "# file: a/__init__.py\nfrom .b import b\n# file: a/b.py\ndef b():\n    return 1\n"
        "# file: train.py\nfrom a import b\nlook(b())\n"
    ),
    "package and file of one name": (
        "# file: a/__init__.py\n{ONE}# file: a.py\n{TWO}# file: train.py\nfrom a import f\nlook(f())\n"
    ),
    "beside before above": (
        "# file: setup.py\n# file: net.py\n{TWO}# file: sub/net.py\n{ONE}# file: sub/train.py\n"
        "from net import f\nlook(f())\n"
    ),
    "file beside before folder above": (
        "# file: setup.py\n# file: sub/net/x.py\n# file: net.py\n{ONE}# file: sub/__init__.py\n# file: sub/train.py\n"
        "from net import f\nlook(f())\n"
    ),
    "data folder beside, package above": (
        "# file: setup.py\n# file: a/__init__.py\n{ONE}# file: sub/a/data.json\n# file: sub/train.py\n"
        "from a import f\nlook(f())\n"
    ),
    "name of the standard library, beside": (
        "# file: types.py\n{ONE}# file: train.py\nfrom types import f\nlook(f())\n"
    ),
    "in a function": "# file: net.py\n{ONE}# file: train.py\ndef main():\n    from net import f\n    look(f())\n",
    "in a function, module": "# file: net.py\n{ONE}# file: train.py\ndef main():\n    import net\n    look(net.f())\n",
    "in a branch": "# file: net.py\n{ONE}# file: train.py\nif True:\n    from net import f\nlook(f())\n",
    "in a class": "# file: net.py\n{ONE}# file: train.py\nclass A:\n    from net import f\n    look(f())\n",
    "only under TYPE_CHECKING": (
        "# file: net.py\n{ONE}# file: train.py\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n"
        "    from net import f\nlook(f())\n"
    ),
    "unicode": "# file: nätz.py\n{ONE}# file: train.py\nfrom nätz import f\nlook(f())\n",
}


@pytest.mark.parametrize("code", LAYOUTS.values(), ids=LAYOUTS)
def test_the_file_that_an_import_means(code: str) -> None:
    assert shown(code.replace("{ONE}", ONE).replace("{TWO}", TWO)) == ["1"]


NAMES = {
    "re-export": (
        "# file: a/__init__.py\nfrom .b import f\n# file: a/b.py\n{ONE}# file: train.py\nfrom a import f\nlook(f())\n",
        ["1"],
    ),
    "re-export under another name": (
        "# file: a/__init__.py\nfrom .b import f as g\n# file: a/b.py\n{ONE}# file: train.py\nfrom a import g\n"
        "look(g())\n",
        ["1"],
    ),
    "re-export of a module": (
        "# file: a/__init__.py\nfrom . import b\n# file: a/b.py\n{ONE}# file: train.py\nimport a\nlook(a.b.f())\n",
        ["1"],
    ),
    "re-export through three": (
        "# file: a/__init__.py\nfrom .b import f\n# file: a/b/__init__.py\nfrom .c import f\n# file: a/b/c.py\n{ONE}"
        "# file: train.py\nimport a\nlook(a.f())\n",
        ["1"],
    ),
    "re-export with the whole name": (
        "# file: a/__init__.py\nfrom a.b import f\n# file: a/b.py\n{ONE}# file: train.py\nfrom a import f\nlook(f())\n",
        ["1"],
    ),
    "re-export by assignment": (
        "# file: a/__init__.py\nfrom . import b\nf = b.f\n# file: a/b.py\n{ONE}# file: train.py\nfrom a import f\n"
        "look(f())\n",
        ["1"],
    ),
    "star": ("# file: net.py\n{ONE}# file: train.py\nfrom net import *\nlook(f())\n", ["1"]),
    "star, in a function below": (
        "# file: net.py\n{ONE}# file: train.py\nfrom net import *\ndef main():\n    look(f())\n",
        ["1"],
    ),
    "star in __init__": (
        "# file: a/__init__.py\nfrom .b import *\n# file: a/b.py\n{ONE}# file: train.py\nfrom a import f\nlook(f())\n",
        ["1"],
    ),
    "star of a star": (
        "# file: a/__init__.py\nfrom .b import *\n# file: a/b.py\nfrom .c import *\n# file: a/c.py\n{ONE}"
        "# file: train.py\nfrom a import *\nlook(f())\n",
        ["1"],
    ),
    "star brings what is imported": (
        "# file: net.py\nimport math\nfrom sub import f\n# file: sub.py\n{ONE}# file: train.py\nfrom net import *\n"
        "look(f(), math.pi)\n",
        ["1", "math.pi"],
    ),
    "star brings torch": (
        "# file: common.py\nimport torch\nimport torch.nn as nn\n# file: train.py\nfrom common import *\n"
        "look(torch.log(x), nn.Linear(2, 3))\n",
        ["log(?x)", "Linear(2, 3)"],
    ),
    "star brings no private name": (
        "# file: net.py\ndef _f():\n    return 1\n# file: train.py\nfrom net import *\nlook(_f())\n",
        ["?_f()"],
    ),
    "star with __all__": (
        "# file: net.py\n__all__ = ['f']\n{ONE}def g():\n    return 2\n# file: train.py\nfrom net import *\n"
        "look(f(), g())\n",
        ["1", "?g()"],
    ),
    "star with a tuple __all__": (
        "# file: net.py\n__all__ = ('f',)\n{ONE}def g():\n    return 2\n# file: train.py\nfrom net import *\n"
        "look(f(), g())\n",
        ["1", "?g()"],
    ),
    "star with a private name in __all__": (
        "# file: net.py\n__all__ = ['_f']\ndef _f():\n    return 1\n# file: train.py\nfrom net import *\nlook(_f())\n",
        ["1"],
    ),
    "star with an __all__ that grows": (
        "# file: net.py\n__all__ = ['g']\n__all__ += ['f']\n{ONE}# file: train.py\nfrom net import *\nlook(f())\n",
        ["1"],
    ),
    "private name by its name": (
        "# file: net.py\ndef _f():\n    return 1\n# file: train.py\nfrom net import _f\nlook(_f())\n",
        ["1"],
    ),
    "two stars that bring one name": (
        "# file: one.py\n{ONE}# file: two.py\n{TWO}# file: train.py\nfrom one import *\nfrom two import *\n"
        "look(f())\n",
        ["2"],
    ),
    "own name before a star": (
        "# file: net.py\n{ONE}# file: train.py\nfrom net import *\ndef f():\n    return 3\nlook(f())\n",
        ["3"],
    ),
    "star, one module of two is missing": (
        "# file: net.py\n{ONE}# file: train.py\nfrom net import *\nfrom missing import *\nlook(f())\n",
        ["?f()"],
    ),
    "star, a missing one before": (
        "# file: net.py\n{ONE}# file: train.py\nfrom missing import *\nfrom net import *\nlook(f())\n",
        ["1"],
    ),
    "star of a module with a star of something missing": (
        "# file: net.py\n{ONE}from missing import *\n# file: train.py\nfrom net import *\nlook(f())\n",
        ["1"],
    ),
    "star inside a star may bring another": (
        "# file: net.py\nfrom one import *\nfrom missing import *\n# file: one.py\n{ONE}"
        "# file: train.py\nfrom net import f\nlook(f())\n",
        ["net.f()"],
    ),
    "constant": (
        "# file: c.py\nN = 3\n# file: train.py\nfrom c import N\nimport c\nlook(N, c.N)\n",
        ["3", "3"],
    ),
    "constant that is computed": (
        "# file: c.py\nimport math\nA = 2\nN = 3 * A\nE = math.e\n# file: train.py\nfrom c import N, E\n"
        "look(N, E)\n",
        ["6", "math.e"],
    ),
    "constant of another file": (
        "# file: c.py\nfrom d import A\nN = A + 1\n# file: d.py\nA = 1\n# file: train.py\nfrom c import N\nlook(N)\n",
        ["2"],
    ),
    "constant that is one of two": (
        "# file: c.py\nimport sys\nif sys.argv:\n    N = 1\nelse:\n    N = 2\n# file: train.py\nfrom c import N\n"
        "look(N)\n",
        ["1 | 2"],
    ),
    "constant that a function changes": (
        "# file: c.py\nN = 1\ndef grow():\n    global N\n    N = 2\n# file: train.py\nfrom c import N\nlook(N)\n",
        ["1 | 2"],
    ),
    "dict of constants": (
        "# file: c.py\nCFG = {'n': 3, 'deep': {'m': 4}}\n# file: train.py\nfrom c import CFG\n"
        "look(CFG['n'], CFG['deep']['m'])\n",
        ["3", "4"],
    ),
    "layer": (
        "# file: c.py\nimport torch.nn as nn\nlayer = nn.Linear(2, 3)\n# file: train.py\nfrom c import layer\n"
        "look(layer, layer(x))\n",
        ["Linear(2, 3)", "linear(?x)"],
    ),
    "object of a class": (
        "# file: c.py\nclass A:\n    def f(self):\n        return 1\na = A()\n# file: train.py\nfrom c import a\n"
        "look(a.f())\n",
        ["1"],
    ),
    "function in a dict": (
        "# file: c.py\n{ONE}TABLE = {'f': f}\n# file: train.py\nfrom c import TABLE\nlook(TABLE['f']())\n",
        ["1"],
    ),
    "one function of two": (
        "# file: c.py\nimport sys\nif sys.argv:\n    {ONE1}else:\n    {TWO1}# file: train.py\nfrom c import f\n"
        "look(f())\n",
        ["1 | 2"],
    ),
    "function or fallback": (
        "# file: fast.py\n{ONE}# file: train.py\ntry:\n    from fast import f\nexcept ImportError:\n"
        "    def f():\n        return 2\nlook(f())\n",
        ["1 | 2"],
    ),
    "two modules to choose from": (
        "# file: fast.py\n{ONE}# file: slow.py\n{TWO}# file: train.py\ntry:\n    from fast import f\n"
        "except ImportError:\n    from slow import f\nlook(f())\n",
        ["1 | 2"],
    ),
    "missing module, fallback here": (
        "# file: slow.py\n{TWO}# file: train.py\ntry:\n    from fast import f\n"
        "except ImportError:\n    from slow import f\nlook(f())\n",
        ["2 | fast.f()"],
    ),
    "fallback to None": (
        "# file: fast.py\n{ONE}# file: train.py\ntry:\n    from fast import f\nexcept ImportError:\n    f = None\n"
        "look(f)\n",
        ["None | def f"],
    ),
    "name that is not there": (
        "# file: net.py\n{ONE}# file: train.py\nfrom net import g\nimport net\nlook(g(), net.g())\n",
        ["net.g()", "net.g()"],
    ),
    "module that is not there": ("# file: train.py\nfrom net import g\nlook(g())\n", ["net.g()"]),
    "class": (
        "# file: net.py\nclass A:\n    n = 3\n    def f(self):\n        return 1\n# file: train.py\nfrom net import A\n"
        "import net\nlook(A().f(), net.A().f(), A.n)\n",
        ["1", "1", "3"],
    ),
    "import that the name replaces": (
        "# file: net.py\n{ONE}# file: train.py\nfrom net import f\nf = 3\nlook(f)\n",
        ["3"],
    ),
    "attribute of a module is set from outside": (
        "# file: c.py\nN = 1\n# file: train.py\nimport c\nc.N = 2\nlook(c.N)\n",
        ["2"],
    ),
    "attribute of a module is set in a function": (
        "# file: c.py\nN = 1\nM = 2\n# file: train.py\nimport c\ndef main(args):\n    c.N = args.n\n    run()\n"
        "def run():\n    look(c.N, c.M)\n",
        ["?N", "2"],
    ),
    "item of an imported dict is set": (
        "# file: c.py\nD = {'n': 1, 'm': 2}\n# file: train.py\nfrom c import D\nD['n'] = 3\nlook(D['n'], D['m'])\n",
        ["3", "2"],
    ),
    "item of a module's dict is set": (
        "# file: c.py\nD = {'n': 1, 'm': 2}\n# file: train.py\nimport c\nc.D['n'] = 3\nlook(c.D['n'], c.D['m'])\n",
        ["3", "2"],
    ),
    "imported list grows": (
        "# file: c.py\nL = [1]\n# file: train.py\nfrom c import L\nL.append(2)\nlook(L)\n",
        ["[1, 2]"],
    ),
    "imported dict is updated": (
        "# file: c.py\nD = {'n': 1}\n# file: train.py\nfrom c import D\nD.update(n=2)\nlook(D['n'])\n",
        ["2"],
    ),
    "imported dict is updated with something unknown": (
        "# file: c.py\nD = {'n': 1}\n# file: train.py\nfrom c import D\nD.update(args)\nlook(D['n'])\n",
        ["1 | ?"],
    ),
    "package's module through its star": (
        "# file: a/__init__.py\nfrom .b import *\n# file: a/c.py\n{ONE}# file: a/b.py\nfrom . import c\nlook(c.f())\n",
        ["1"],
    ),
    "value in __init__ of the name of a file": (
        "# file: a/__init__.py\nb = make()\n# file: a/b.py\n{ONE}# file: train.py\nfrom a import b\nlook(b.f())\n",
        ["?make().f()"],
    ),
    "one star of two, by a condition": (
        "# file: one.py\n{ONE}# file: two.py\n{TWO}# file: train.py\ntry:\n    from one import *\n"
        "except ImportError:\n    from two import *\nlook(f())\n",
        ["?f()"],
    ),
    "star of the standard library after it": (
        "# file: net.py\n{ONE}# file: train.py\nfrom net import *\nfrom math import *\nfrom torch.nn import *\n"
        "look(f(), Linear(2, 3))\n",
        ["1", "Linear(2, 3)"],
    ),
    "__getattr__ of a module": (
        "# file: c.py\ndef __getattr__(name):\n    return 3\n# file: train.py\nimport c\nlook(c.N)\n",
        ["c.N"],
    ),
    "deleted name": (
        "# file: c.py\nN = 1\ndel N\n# file: train.py\nfrom c import N\nlook(N)\n",
        ["c.N"],
    ),
}


def written(code: str) -> str:
    """The code with its functions written out."""
    inner = {"{ONE1}": ONE.replace("\n    ", "\n        "), "{TWO1}": TWO.replace("\n    ", "\n        ")}
    for name, body in {"{ONE}": ONE, "{TWO}": TWO, **inner}.items():
        code = code.replace(name, body)
    return code


@pytest.mark.parametrize(("code", "expected"), NAMES.values(), ids=NAMES)
def test_what_an_imported_name_holds(code: str, expected: list[str]) -> None:
    assert shown(written(code)) == expected
