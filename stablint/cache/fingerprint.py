"""What results depend on besides the files: the settings, and the code of stablint and of the rule packs."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from hashlib import blake2b
from importlib.metadata import version
from importlib.util import find_spec

import msgspec

import stablint
from stablint.registry import load_rules
from stablint.static.plan import Plan


def fingerprint(plan: Plan) -> str:
    """Return a key that changes when the same file might get other findings."""
    parts = [
        stablint.__version__,
        version("libcst"),
        sys.version,
        os.getcwd(),  # names are shown from there
        json.dumps(msgspec.to_builtins(replace(plan, file_codes={})), sort_keys=True),
        *_code(),
    ]
    return blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def _code() -> list[str]:
    """Return names, sizes and times of the modules that do the work: whoever writes a rule changes them often."""
    found: list[str] = []
    for folder in sorted({os.path.dirname(os.path.abspath(stablint.__file__)), *_places_of_rules()}):
        for place, inner, names in os.walk(folder):
            inner[:] = [name for name in inner if name != "__pycache__"]
            found.extend(_state(os.path.join(place, name)) for name in names)
        if not os.path.isdir(folder):
            found.append(_state(folder))
    return sorted(found)


def _places_of_rules() -> set[str]:
    """Return the folders of the packages that rules come from; of a single module, its file."""
    found: set[str] = set()
    for package in {rule.__module__.split(".")[0] for rule in load_rules()}:
        spec = find_spec(package)
        if spec is not None and spec.submodule_search_locations is not None:
            found.update(spec.submodule_search_locations)
        elif spec is not None and spec.origin is not None:
            found.add(spec.origin)
    return found


def _state(path: str) -> str:
    found = os.lstat(path)  # an editor's lock file is a link to nothing
    return f"{path} {found.st_size} {found.st_mtime_ns}"
