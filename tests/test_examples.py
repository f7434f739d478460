"""The `>>>` examples of the public face, run, and that everything public has one.

An example sees its module, `np`, `torch` and what `iibench` hands on, as if they had been imported.
"""

from __future__ import annotations

import doctest
import inspect
import pkgutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import iibench
import iibench.compute
import iibench.statistics
import iibench.testing

ROOT = Path(__file__).resolve().parents[1]
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
#: Packages whose modules are public as a whole: what authors of evaluations use.
OPEN = (iibench.compute, iibench.statistics)


def public() -> Iterator[tuple[str, Any]]:
    """(name as it is imported, object) of every public class and function."""
    for face in (iibench, iibench.testing):
        for name in face.__all__:
            thing = getattr(face, name)
            if is_ours(thing):
                yield f"{face.__name__}.{name}", thing
    for module in modules_of_open_packages():
        for name, thing in vars(import_module(module)).items():
            if not name.startswith("_") and is_ours(thing) and thing.__module__ == module:
                yield f"{module}.{name}", thing


def is_ours(thing: Any) -> bool:
    """A class or function of iibench; constants and names of types have no docstring."""
    return (inspect.isclass(thing) or inspect.isfunction(thing)) and thing.__module__.startswith(
        "iibench"
    )


def modules_of_open_packages() -> list[str]:
    return [
        info.name
        for package in OPEN
        for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    ]


PUBLIC = dict(public())
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted((ROOT / "iibench").rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize(
    "name",
    [
        # the conformance kit tries whole plugins
        pytest.param(name, marks=[pytest.mark.slow] * name.startswith("iibench.testing"))
        for name in MODULES
    ],
)
def test_the_examples_of_a_module_run(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if name == iibench.Run.__module__ and not (ROOT / "reports" / "sample").is_dir():
        pytest.skip("the sample of a run folder is not here")
    monkeypatch.chdir(ROOT)
    module = import_module(name)
    handed_on = {name: getattr(iibench, name) for name in iibench.__all__}
    names = {"np": np, "torch": torch, **handed_on, **vars(module)}
    found = doctest.testmod(module, globs=names, optionflags=OPTIONS, verbose=False)
    assert not found.failed, f"{found.failed} of {found.attempted} lines of {name} differ"


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_everything_public_has_an_example(name: str) -> None:
    assert ">>> " in (PUBLIC[name].__doc__ or ""), f"{name} has no example"
