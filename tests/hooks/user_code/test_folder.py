"""The modules of a user's folder: what other processes find, what is kept of earlier runs, what is whose."""

from __future__ import annotations

import gc
import pickle
import subprocess
import sys
import weakref
from pathlib import Path

import pytest

from iibench.hooks.user_code.folder import Folder
from iibench.hooks.user_code.names import folder_of, package_name


@pytest.mark.parametrize("path", ["/a/b", "/a_b/c-d/e.f", "/a__/_20_/x y", "/été/日本", "C:\\x\\y"])
def test_a_folder_stands_in_the_names_of_its_modules(path: str) -> None:
    name = package_name(path)
    assert folder_of(name) == path
    assert name != package_name(path)
    assert all(part.isidentifier() for part in name.split("."))


def test_another_process_reads_a_pickle_of_what_a_file_defines(tmp_path: Path) -> None:
    (tmp_path / "shape.py").write_text(
        "class Shape:\n    def __init__(self, n):\n        self.n = n\n"
    )
    (tmp_path / "mine.py").write_text("from shape import Shape\nshape = Shape(6)\n")
    text = pickle.dumps(Folder(tmp_path).load_file("mine.py").shape)
    code = "import pickle, sys\nprint(pickle.load(sys.stdin.buffer).n)"
    done = subprocess.run([sys.executable, "-c", code], input=text, capture_output=True, check=True)
    assert done.stdout.strip() == b"6"


def test_what_an_earlier_run_loaded_goes_when_nobody_uses_it(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def late():\n    import other\n    return other\n")
    (tmp_path / "other.py").write_text("class Kept:\n    pass\n")
    module = Folder(tmp_path).load_file("mine.py")
    kept = module.late().Kept()
    later = Folder(tmp_path).load_file("mine.py")
    assert later is not module
    assert later.late() is not module.late()
    assert type(pickle.loads(pickle.dumps(kept))) is type(kept)
    gone = weakref.ref(module)
    Folder(tmp_path)
    del module, kept
    gc.collect()
    assert gone() is None


def test_a_bare_folder_gives_way_to_a_library_and_a_package_does_not(tmp_path: Path) -> None:
    (tmp_path / "json").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "one.py").write_text("x = 1")
    (tmp_path / "numpy").mkdir()
    (tmp_path / "numpy" / "__init__.py").write_text("from numpy import inner\nx = inner.x")
    (tmp_path / "numpy" / "inner.py").write_text("x = 2")
    (tmp_path / "mine.py").write_text(
        "import json, data.one, numpy\nfound = json.dumps, data.one.x, numpy.x"
    )
    module = Folder(tmp_path).load_file("mine.py")
    assert module.found[1:] == (1, 2)


def test_a_module_of_a_package_by_its_name(tmp_path: Path) -> None:
    package = tmp_path / "pkg" / "sub"
    package.mkdir(parents=True)
    (tmp_path / "pkg" / "__init__.py").write_text("")
    (tmp_path / "pkg" / "base.py").write_text("x = 1")
    (package / "mine.py").write_text("from ..base import x\nimport pkg.base\ny = pkg.base.x")
    folder = Folder(tmp_path)
    module = folder.load("pkg.sub.mine")
    assert (module.x, module.y) == (1, 1)
    before = folder.sha256("pkg.sub.mine")
    (tmp_path / "pkg" / "base.py").write_text("x = 2")
    other = Folder(tmp_path)
    assert other.load("pkg.sub.mine").x == 2
    assert other.sha256("pkg.sub.mine") != before
    with pytest.raises(ModuleNotFoundError, match="^No module named 'pkg.nowhere'$") as error:
        other.load("pkg.nowhere")
    assert error.value.name == "pkg.nowhere"
