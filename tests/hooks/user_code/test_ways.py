"""What holds for a user's code however it comes in: a network's factory, a `-p` module, a one-file plugin."""

from __future__ import annotations

import os
import re
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from iibench.assets.local import LocalResources
from iibench.contract.errors import UsageError
from iibench.hooks.loading import load_plugins
from iibench_plugins.models.checkpoint import Params, load

#: A file whose `value()` is computed when the network or the metric is called.
FACTORY = """
{code}
from torch import nn

class Net(nn.Module):
    def forward(self, x):
        return x + value()

def build():
    {inside}
    return Net()
"""
METRIC = """
{code}
from iibench import MetricSpec, hookimpl

class Metric:
    fingerprint = ""
    def embed(self, images):
        return value()

def load(params, harness):
    {inside}
    return Metric()

@hookimpl
def iibench_register_metrics():
    yield MetricSpec(name="measured", summary="a toy", load=load, distance="euclidean")
"""


class Way:
    """How a file `mine.py` comes in; `kind`: factory, module or folder."""

    def __init__(self, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.kind, self.monkeypatch = kind, monkeypatch

    def write(self, folder: Path, code: str, inside: str = "", **helpers: str) -> None:
        """Writes `mine.py`: `code` has a function `value`; `inside` runs when it is loaded to be used."""
        folder.mkdir(exist_ok=True, parents=True)
        text = FACTORY if self.kind == "factory" else METRIC
        code = textwrap.dedent(code)
        (folder / "mine.py").write_text(text.format(code=code, inside=inside or "pass"))
        for name, helper in helpers.items():
            (folder / f"{name}.py").write_text(textwrap.dedent(helper))

    def __call__(self, folder: Path) -> SimpleNamespace:
        """What came in: `value()` calls it, `key` is what its results are kept under."""
        if self.kind == "factory":
            where = LocalResources(folder / "data", folder / "cache", base_dir=folder)
            model = load(Params("mine.py:build"), "", where)
            return SimpleNamespace(
                value=lambda: float(model.module(torch.zeros(()))), key=model.fingerprint
            )
        self.monkeypatch.chdir(folder)
        asked: dict[str, Any] = {"names": ["mine"]} if self.kind == "module" else {"folders": ["."]}
        plugins = load_plugins(**asked, environ="", entry_points=False)
        record = plugins.records[-1]
        if record.status != "ok":
            raise UsageError(f"{record.name} is {record.status}: {record.reason}")
        assert [r.name for r in plugins.records if r.source != "first-party"] == ["mine"]
        entry = plugins.registry.metrics["measured"]
        metric: Any = entry.spec.load(None, None)
        return SimpleNamespace(value=lambda: metric.embed(None), key=entry.source_sha256)


@pytest.fixture(params=["factory", "module", "folder"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Way:
    return Way(request.param, monkeypatch)


#: Ways to import `helper.number`, at once or when it is needed.
IMPORTS = {
    "sibling import": "from helper import number\ndef value():\n    return number()",
    "lazy import": "def value():\n    from helper import number\n    return number()",
    "lazy module": "def value():\n    import helper\n    return helper.number()",
    "importlib": """
        from importlib import import_module
        number = import_module("helper").number
        def value():
            return number()
    """,
    "lazy importlib": """
        import importlib
        def value():
            return importlib.import_module("helper").number()
    """,
    "through a package": "def value():\n    from parts.deep import number\n    return number()",
    "relative": "def value():\n    from .helper import number\n    return number()",
}
PACKAGE = {"parts/__init__": "from . import deep", "parts/deep": "from helper import number"}


def number(value: int) -> str:
    return f"def number():\n    return {value}\n"


def helper_of(way: Way, folder: Path, code: str, value: int, **more: str) -> None:
    (folder / "parts").mkdir(parents=True, exist_ok=True)
    way.write(folder, code, helper=number(value), **PACKAGE, **more)


@pytest.mark.parametrize("code", IMPORTS.values(), ids=IMPORTS)
def test_a_file_imports_what_lies_beside_it(way: Way, tmp_path: Path, code: str) -> None:
    helper_of(way, tmp_path, code, 3)
    path, names = list(sys.path), set(sys.modules)
    assert way(tmp_path).value() == 3
    assert sys.path == path or way.kind == "module"
    assert not {"helper", "mine", "parts", "parts.deep"} & (set(sys.modules) - names)


@pytest.mark.slow
@pytest.mark.parametrize("code", IMPORTS.values(), ids=IMPORTS)
def test_same_name_twice_is_two_modules(way: Way, tmp_path: Path, code: str) -> None:
    """Also where both are there before either is called, and an unrelated module has the name."""
    helper_of(way, tmp_path / "a", code, 3)
    helper_of(way, tmp_path / "b", code, 4)
    way.monkeypatch.setitem(sys.modules, "helper", sys)
    one, other = way(tmp_path / "a"), way(tmp_path / "b")
    assert (one.value(), other.value(), one.value()) == (3, 4, 3)
    assert one.key != other.key
    assert sys.modules["helper"] is sys


@pytest.mark.slow
@pytest.mark.parametrize("code", IMPORTS.values(), ids=IMPORTS)
def test_helper_edited_counts_in_a_new_run_of_the_process(
    way: Way, tmp_path: Path, code: str
) -> None:
    """Even where neither its size nor its time tells; what runs already stays as it was."""
    helper_of(way, tmp_path, code, 3)
    helper = tmp_path / "helper.py"
    stamp = helper.stat()
    before = way(tmp_path)
    helper.write_text(number(4))
    os.utime(helper, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    after = way(tmp_path)
    assert (before.value(), after.value()) == (3, 4)
    assert before.key != after.key
    helper.write_text(number(3))
    assert way(tmp_path).key == before.key


def test_a_helper_that_was_removed_is_not_there_in_a_new_run(way: Way, tmp_path: Path) -> None:
    helper_of(way, tmp_path, IMPORTS["sibling import"], 3)
    assert way(tmp_path).value() == 3
    (tmp_path / "helper.py").unlink()
    with pytest.raises(UsageError, match="ModuleNotFoundError: No module named 'helper'"):
        way(tmp_path)


def test_a_helper_whose_name_is_only_known_when_it_runs_counts(way: Way, tmp_path: Path) -> None:
    way.write(
        tmp_path,
        """
        import importlib, pathlib
        chosen = pathlib.Path(__file__).with_name("chosen.txt").read_text()
        value = importlib.import_module(chosen).number
        """,
        one=number(3),
        two=number(5),
    )
    (tmp_path / "chosen.txt").write_text("one")
    before = way(tmp_path)
    (tmp_path / "two.py").write_text(number(6))
    assert way(tmp_path).key == before.key
    (tmp_path / "one.py").write_text(number(4))
    after = way(tmp_path)
    assert (before.value(), after.value()) == (3, 4)
    assert before.key != after.key


def test_what_a_file_adds_to_the_path_is_its_own(way: Way, tmp_path: Path) -> None:
    code = """
        import os, sys
        sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
        from far import number
        def value():
            import farther
            return number() + farther.number()
    """
    for name, far in (("a", 3), ("b", 4)):
        (tmp_path / name / "lib").mkdir(parents=True)
        way.write(tmp_path / name, code, **{"lib/far": number(far), "lib/farther": number(10)})
    path = list(sys.path)
    one, other = way(tmp_path / "a"), way(tmp_path / "b")
    assert (one.value(), other.value()) == (13, 14)
    assert set(sys.path) <= {*path, str(tmp_path / "a"), str(tmp_path / "b")}
    (tmp_path / "a" / "lib" / "farther.py").write_text(number(20))
    assert way(tmp_path / "a").key != one.key
    assert way(tmp_path / "a").value() == 23


@pytest.mark.parametrize("name", ["token", "model", "utils", "statistics", "requests", "colorsys"])
def test_a_helper_may_be_called_as_a_library_is(way: Way, tmp_path: Path, name: str) -> None:
    """Others go on finding the library."""
    code = f"import {name}, json\njson.dumps(1)\ndef value():\n    return {name}.number()"
    way.write(tmp_path, code, **{name: number(7)})
    before = sys.modules.get(name)
    assert way(tmp_path).value() == 7
    assert sys.modules.get(name) is before


def test_others_find_the_files_modules_while_it_is_loaded(way: Way, tmp_path: Path) -> None:
    """A pickle, or a configuration, that names a class of a helper."""
    way.write(
        tmp_path,
        "import pickle\nfrom kept import Kept\nmade = []\ndef value():\n    return made[0]",
        inside="made.append(pickle.loads(b'ckept\\nKept\\n.')().n)",
        kept="class Kept:\n    n = 9\n",
    )
    assert way(tmp_path).value() == 9


def test_helpers_that_import_each_other(way: Way, tmp_path: Path) -> None:
    way.write(
        tmp_path,
        "import here\ndef value():\n    return here.number()",
        here="import there\ndef number():\n    return there.n\n",
        there="import here\nn = 8\n",
    )
    assert way(tmp_path).value() == 8


def test_dataclasses_types_and_pickles_find_their_module(way: Way, tmp_path: Path) -> None:
    way.write(
        tmp_path,
        """
        from __future__ import annotations
        import dataclasses, inspect, pickle, typing
        from shape import Shape

        @dataclasses.dataclass
        class Own:
            shape: Shape
            kind: typing.ClassVar[int] = 2

        def value():
            assert typing.get_type_hints(Own)["shape"] is Shape
            assert "ClassVar" in inspect.getsource(Own)
            assert [f.name for f in dataclasses.fields(Own)] == ["shape"]
            return pickle.loads(pickle.dumps(Own(Shape(6)))).shape.side
        """,
        shape="import dataclasses\n@dataclasses.dataclass\nclass Shape:\n    side: int\n",
    )
    assert way(tmp_path).value() == 6


# ------------------------------------------------------------------------------- what ends programs

EXITS = {
    "sys.exit": ("import sys\nsys.exit(0)", "SystemExit: 0 .*mine.py:4"),
    "sys.exit with a text": ("raise SystemExit('no data')", "SystemExit: no data .*mine.py"),
    "argparse": (
        "import argparse\np = argparse.ArgumentParser()\np.add_argument('--weights', required=True)\n"
        "p.parse_args()",
        "SystemExit: 2 .*mine.py",
    ),
    "KeyboardInterrupt": ("raise KeyboardInterrupt", "KeyboardInterrupt: no message .*mine.py"),
    "GeneratorExit": ("raise GeneratorExit", "GeneratorExit"),
    "own": ("class Mine(BaseException): pass\nraise Mine('so')", "Mine: so"),
    "recursion": ("def f(): f()\nf()", "RecursionError"),
}


@pytest.mark.parametrize(("text", "message"), EXITS.values(), ids=EXITS)
def test_a_file_that_ends_the_program_is_an_error_that_names_it(
    way: Way, tmp_path: Path, text: str, message: str
) -> None:
    way.write(tmp_path, f"\n{text}\ndef value():\n    return 1")
    with pytest.raises(UsageError, match=message) as error:
        way(tmp_path)
    assert "mine" in str(error.value)


@pytest.mark.slow
@pytest.mark.parametrize(("text", "message"), EXITS.values(), ids=EXITS)
def test_so_is_a_function_that_does(way: Way, tmp_path: Path, text: str, message: str) -> None:
    inside = textwrap.indent(text, "    ").strip()
    way.write(tmp_path, "def value():\n    return 1", inside=inside)
    raised = RecursionError if "Recursion" in message and way.kind != "factory" else UsageError
    with pytest.raises(raised) as error:
        way(tmp_path)
    if raised is UsageError:
        assert re.search(f"mine.*{message.split(' ')[0]}", str(error.value))


def test_a_script_that_reads_arguments_finds_none(way: Way, tmp_path: Path) -> None:
    way.monkeypatch.setattr(sys, "argv", ["iibench", "run", "suite.yaml", "--device", "cpu"])
    way.write(
        tmp_path,
        """
        import argparse
        parser = argparse.ArgumentParser()
        parser.add_argument("--lr", type=float, default=0.5)
        lr = parser.parse_args().lr
        if __name__ == "__main__":
            raise SystemExit("this is the training")
        def value():
            return lr
        """,
    )
    assert way(tmp_path).value() == 0.5
    assert sys.argv[1:] == ["run", "suite.yaml", "--device", "cpu"]


def test_a_module_is_looked_for_while_threads_call(way: Way, tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    loaded: list[Callable[[], float]] = []
    for k in (1, 2):
        helper_of(way, tmp_path / str(k), IMPORTS["lazy import"], k)
        loaded.append(way(tmp_path / str(k)).value)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda k: loaded[k % 2](), range(40)))
    assert found == [1, 2] * 20
