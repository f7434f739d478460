"""Which files a value's key covers: what must change a module's hash, and what must not."""

from __future__ import annotations

import codecs
import importlib
import importlib.machinery
import os
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from iibench.cache import source
from iibench.cache.imports import imports_of
from iibench.cache.source import core_sha256, source_sha256

#: file -> text, of a package with a plugin in it, and of what lies beside the package
PACKAGE = {
    "pkg/__init__.py": "",
    "pkg/plugin.py": "",
    "pkg/helper.py": "",
    "pkg/deep.py": "",
    "pkg/sub/__init__.py": "",
    "pkg/sub/inner.py": "",
    "pkg/bare/inner.py": "",  # a folder without __init__.py
    "beside.py": "",
    "around/__init__.py": "",
    "around/inner.py": "",
    "loose/inner.py": "",
}


def write(folder: Path, files: dict[str, str | bytes]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())


@pytest.fixture
def covers(tmp_path: Path) -> Callable[..., bool]:
    """Whether an edit of `edited` changes the hash of pkg.plugin (or another `module`)."""

    def covered(files: dict[str, str | bytes], edited: str, module: str = "pkg.plugin") -> bool:
        write(tmp_path, PACKAGE | files)
        inside = tmp_path.joinpath(*module.split("."))
        file = inside / "__init__.py" if inside.is_dir() else inside.with_suffix(".py")
        before = source_sha256(file, module)
        with (tmp_path / edited).open("ab") as text:
            text.write(b"\nedited = 1\n")
        return source_sha256(file, module) != before

    return covered


@pytest.mark.parametrize(
    ("text", "edited"),
    [
        ("", "pkg/plugin.py"),
        ("", "pkg/__init__.py"),  # which runs before it
        ("import pkg.helper", "pkg/helper.py"),
        ("import pkg.helper as h, os", "pkg/helper.py"),
        ("from pkg.helper import thing", "pkg/helper.py"),
        ("from . import helper", "pkg/helper.py"),
        ("from . import helper as h", "pkg/helper.py"),
        ("from .helper import *", "pkg/helper.py"),
        ("from .sub import inner", "pkg/sub/inner.py"),
        ("from .sub.inner import thing", "pkg/sub/__init__.py"),
        ("from .bare import inner", "pkg/bare/inner.py"),
        ("import pkg.bare.inner", "pkg/bare/inner.py"),
        ("def f():\n    from . import helper", "pkg/helper.py"),
        ("try:\n    import fast\nexcept ImportError:\n    from . import helper", "pkg/helper.py"),
        ("try:\n    pass\nfinally:\n    from . import helper", "pkg/helper.py"),
        ("match 1:\n    case 1:\n        from . import helper", "pkg/helper.py"),
        ("class A:\n    async def f(self):\n        import pkg.helper", "pkg/helper.py"),
        ("if TYPE_CHECKING:\n    pass\nelse:\n    from . import helper", "pkg/helper.py"),
        ("if not TYPE_CHECKING:\n    from . import helper", "pkg/helper.py"),
        ("if t.TYPE_CHECKING:\n    pass\nelif x:\n    from . import helper", "pkg/helper.py"),
        ("if TYPE_CHECKING or x:\n    from . import helper", "pkg/helper.py"),
        ("import beside", "beside.py"),
        ("from around import inner", "around/inner.py"),
        ("import loose.inner", "loose/inner.py"),
        # chosen while it runs
        ("import importlib\nimportlib.import_module('pkg.helper')", "pkg/helper.py"),
        ("from importlib import import_module as load\nload('.helper', 'pkg')", "pkg/helper.py"),
        ("__import__('pkg.helper')", "pkg/helper.py"),
        ("import_module(f'pkg.{name}')", "pkg/helper.py"),
        ("import_module('pkg.sub.' + name)", "pkg/sub/inner.py"),
        ("import_module('pkg.sub.{}'.format(name))", "pkg/sub/inner.py"),
        ("import_module('pkg.sub.%s' % name)", "pkg/sub/inner.py"),
        ("import_module(f'.{name}', __package__)", "pkg/helper.py"),
        ("import_module(f'{__package__}.sub.{name}')", "pkg/sub/inner.py"),
        ("for n in ('pkg.deep', 'pkg.helper'):\n    import_module(n)", "pkg/helper.py"),
        ("for info in pkgutil.iter_modules(p):\n    load(info)", "pkg/helper.py"),
        ("spec_from_file_location('h', Path(__file__).parent / 'helper.py')", "pkg/helper.py"),
        ("exec(open(here + '/helper.py').read())", "pkg/helper.py"),
    ],
)
def test_what_a_plugin_imports_counts(covers, text: str, edited: str) -> None:
    assert covers({"pkg/plugin.py": text}, edited)


@pytest.mark.parametrize(
    ("text", "edited"),
    [
        ("", "pkg/helper.py"),
        ("", "beside.py"),
        ("from . import helper", "pkg/deep.py"),
        ("from .sub import inner", "pkg/helper.py"),
        ("if TYPE_CHECKING:\n    from . import helper", "pkg/helper.py"),
        ("if typing.TYPE_CHECKING:\n    from . import helper", "pkg/helper.py"),
        ("if TYPE_CHECKING and x:\n    from . import helper", "pkg/helper.py"),
        ("if not TYPE_CHECKING:\n    pass\nelse:\n    from . import helper", "pkg/helper.py"),
        ("'import pkg.helper'  # import pkg.helper", "pkg/helper.py"),
        ("import_module(f'torch.{name}')", "pkg/helper.py"),
        ("import_module(name)\nraise ValueError(f'{type(e).__name__}: {e}. {e}')", "pkg/helper.py"),
        ("import_module(f'pkg.sub.{name}')", "pkg/helper.py"),
        ("import helper", "pkg/helper.py"),  # another one
        ("def f(:", "pkg/helper.py"),
    ],
)
def test_what_it_does_not_import_does_not(covers, text: str, edited: str) -> None:
    assert not covers({"pkg/plugin.py": text}, edited)


@pytest.mark.parametrize("last", ["helper", "deep"])
def test_imports_are_followed_to_the_end_and_may_be_circles(covers, last: str) -> None:
    files = {
        "pkg/plugin.py": "from . import helper",
        "pkg/helper.py": "import pkg.deep",
        "pkg/deep.py": "from .plugin import thing",
    }
    assert covers(files, f"pkg/{last}.py")


@pytest.mark.parametrize(
    "text",
    [
        "from .inner import thing",
        "__all__ = ['inner']",
        "__all__ = [*more]\n__all__ += ['inner']",
        "def __getattr__(name):\n    return import_module(f'.{name}', __name__)",
    ],
)
def test_what_a_package_hands_on_counts(covers, text: str) -> None:
    files = {"pkg/plugin.py": "from .sub import *", "pkg/sub/__init__.py": text}
    assert covers(files, "pkg/sub/inner.py")


def test_a_folder_that_is_a_plugin_counts_with_what_its_init_imports(covers) -> None:
    files = {"pkg/sub/__init__.py": "from .inner import thing\nfrom ..helper import other"}
    assert covers(files, "pkg/sub/inner.py", "pkg.sub")
    assert covers(files, "pkg/helper.py", "pkg.sub")
    assert not covers(files, "pkg/deep.py", "pkg.sub")


@pytest.mark.parametrize(
    "text",
    [
        codecs.BOM_UTF8 + b"from . import helper",
        "# -*- coding: latin-1 -*-\nname = 'Å'\nfrom . import helper".encode("latin-1"),
        b"x = '\\d'\r\nfrom . import helper\r\n",
    ],
)
@pytest.mark.filterwarnings("error")
def test_files_are_read_as_python_reads_them(covers, text: bytes) -> None:
    assert covers({"pkg/plugin.py": text}, "pkg/helper.py")


@pytest.mark.parametrize(
    "text", [b"\xff\xfe", b"x = 1\0", b"# coding: no-such-code\n", b"(" * 3000]
)
def test_a_file_that_is_no_python_imports_nothing(text: bytes) -> None:
    assert imports_of(text, "") == frozenset()


def test_a_deep_expression_does_not_end_it() -> None:
    text = f"from . import helper\nx = import_module({' + '.join(['a'] * 500)})".encode()
    assert "pkg.helper" in imports_of(text, "pkg")


# ------------------------------------------------------------------------------------------ places


def test_a_module_alone_counts_with_what_lies_beside_it(covers) -> None:
    files = {
        "mine.py": "import beside\nfrom around.inner import thing",
        "beside.py": "import loose.inner",
    }
    for edited in (
        "mine.py",
        "beside.py",
        "around/__init__.py",
        "around/inner.py",
        "loose/inner.py",
    ):
        assert covers(files, edited, "mine"), edited
    assert not covers(files, "pkg/helper.py", "mine")


def test_where_it_lies_does_not_count(tmp_path: Path) -> None:
    files = {"pkg/plugin.py": "from . import helper\nimport beside"}
    write(tmp_path / "one", PACKAGE | files)
    shutil.copytree(tmp_path / "one", tmp_path / "other" / "place")
    one, other = (
        source_sha256(folder / "pkg" / "plugin.py", "pkg.plugin")
        for folder in (tmp_path / "one", tmp_path / "other" / "place")
    )
    assert one == other


def test_an_installed_package_counts_with_what_it_imports_of_itself_alone(tmp_path: Path) -> None:
    folder = tmp_path / "site-packages"
    write(folder, PACKAGE | {"pkg/plugin.py": "from . import helper\nimport beside, around.inner"})
    file = folder / "pkg" / "plugin.py"
    before, whole = (source_sha256(file, "pkg.plugin", follow_installed=f) for f in (True, False))
    write(folder, {"beside.py": "x = 1", "around/inner.py": "x = 1", "pkg/deep.py": "x = 1"})
    assert source_sha256(file, "pkg.plugin") == before
    assert source_sha256(file, "pkg.plugin", follow_installed=False) != whole
    write(folder, {"pkg/helper.py": "x = 1"})
    assert source_sha256(file, "pkg.plugin") != before


def test_a_link_is_followed_where_python_follows_it(tmp_path: Path) -> None:
    """A module that is a link imports what lies beside the link."""
    write(tmp_path / "elsewhere", PACKAGE | {"mine.py": "import beside"})
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "mine.py").symlink_to(tmp_path / "elsewhere" / "mine.py")
    (tmp_path / "here" / "pkg").symlink_to(tmp_path / "elsewhere" / "pkg")
    write(tmp_path / "here", {"beside.py": "x = 1", "pkg/plugin.py": "from .sub import inner"})
    file, module = tmp_path / "here" / "mine.py", tmp_path / "here" / "pkg" / "plugin.py"
    alone, inside = source_sha256(file, "mine"), source_sha256(module, "pkg.plugin")
    write(tmp_path / "elsewhere", {"beside.py": "x = 2"})
    assert source_sha256(file, "mine") == alone
    write(tmp_path / "here", {"beside.py": "x = 2"})
    assert source_sha256(file, "mine") != alone
    write(tmp_path / "elsewhere", {"pkg/sub/inner.py": "x = 2"})
    assert source_sha256(module, "pkg.plugin") != inside


def test_a_package_in_several_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is imported under its name is looked for where Python looks for it."""
    write(tmp_path / "a", {"iibench_test_ns/plugin.py": "from . import helper"})
    write(tmp_path / "b", {"iibench_test_ns/helper.py": "x = 1"})
    monkeypatch.syspath_prepend(tmp_path / "a")
    monkeypatch.syspath_prepend(tmp_path / "b")
    module = importlib.import_module("iibench_test_ns.plugin")
    assert module.__file__ is not None
    before = source_sha256(module.__file__, module.__name__)
    write(tmp_path / "b", {"iibench_test_ns/helper.py": "x = 2"})
    assert source_sha256(module.__file__, module.__name__) != before
    copy = tmp_path / "c" / "iibench_test_ns" / "plugin.py"  # not the one that is imported
    write(tmp_path / "c", {"iibench_test_ns/plugin.py": "from . import helper"})
    alone = source_sha256(copy, "iibench_test_ns.plugin")
    write(tmp_path / "b", {"iibench_test_ns/helper.py": "x = 3"})
    assert source_sha256(copy, "iibench_test_ns.plugin") == alone


def test_a_compiled_helper_counts_by_its_bytes(covers) -> None:
    suffix = importlib.machinery.EXTENSION_SUFFIXES[0]
    files: dict[str, str | bytes] = {
        "pkg/plugin.py": "from . import fast",
        f"pkg/fast{suffix}": b"\x7fELF",
    }
    assert covers(files, f"pkg/fast{suffix}")


def test_an_archive_counts_as_a_whole(tmp_path: Path) -> None:
    def written(text: str) -> str:
        with zipfile.ZipFile(tmp_path / "plugins.zip", "w") as archive:
            archive.writestr("pkg/plugin.py", "from . import helper")
            archive.writestr("pkg/helper.py", text)
        return source_sha256(tmp_path / "plugins.zip" / "pkg" / "plugin.py", "pkg.plugin")

    assert written("x = 1") != written("x = 2")
    with pytest.raises(OSError, match="nowhere"):
        source_sha256(tmp_path / "nowhere.py", "nowhere")


def test_an_edit_within_a_clock_tick_counts(tmp_path: Path) -> None:
    """Neither size nor time of a file tells that it has changed."""
    write(tmp_path, {"mine.py": "import one_x", "one_x.py": "", "two_x.py": ""})
    before = source_sha256(tmp_path / "mine.py", "mine")
    stamp = (tmp_path / "mine.py").stat()
    write(tmp_path, {"mine.py": "import two_x"})
    os.utime(tmp_path / "mine.py", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    after = source_sha256(tmp_path / "mine.py", "mine")
    assert after != before
    write(tmp_path, {"two_x.py": "x = 1"})
    assert source_sha256(tmp_path / "mine.py", "mine") != after


# ----------------------------------------------------------------------------------------- iibench's


def read_anew() -> None:
    """iibench's own files are read once in a process."""
    source._core_modules.cache_clear()
    core_sha256.cache_clear()


@pytest.fixture
def core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of iibench whose files are the ones that count."""
    copy = tmp_path / "core" / "iibench"
    shutil.copytree(Path(source.__file__).parents[1], copy)
    monkeypatch.setattr(source, "__file__", str(copy / "cache" / "source.py"))
    read_anew()
    yield copy
    read_anew()


@pytest.mark.parametrize(
    ("text", "edited", "counts"),
    [
        ("from iibench.statistics.bootstrap import thing", "statistics/bootstrap.py", True),
        ("from iibench.compute import encoding", "compute/encoding.py", True),
        ("from iibench import statistics", "statistics/bootstrap.py", True),
        ("def f():\n    import iibench.compute.encoding", "compute/encoding.py", True),
        ("from . import helper", "compute/encoding.py", True),
        ("import iibench.compute.encoding", "statistics/bootstrap.py", False),
        ("if TYPE_CHECKING:\n    import iibench.compute.encoding", "compute/encoding.py", False),
        ("from iibench import MetricSpec, run", "runner/run.py", False),
        ("import iibench.compute.encoding", "report/shared/output.py", False),
    ],
)
def test_what_a_plugin_imports_of_iibench_counts_where_it_computes(
    tmp_path: Path, core: Path, text: str, edited: str, counts: bool
) -> None:
    helper = "from iibench.compute.encoding import thing"
    write(tmp_path, PACKAGE | {"pkg/plugin.py": text, "pkg/helper.py": helper})
    before = source_sha256(tmp_path / "pkg" / "plugin.py", "pkg.plugin")
    write(core, {edited: "x = 1"})
    read_anew()
    assert (source_sha256(tmp_path / "pkg" / "plugin.py", "pkg.plugin") != before) == counts


@pytest.mark.parametrize(
    ("edited", "counts"), [("contract/errors.py", True), ("cli/main.py", False)]
)
def test_a_module_of_iibench_counts_with_what_it_imports(
    core: Path, edited: str, counts: bool
) -> None:
    before = core_sha256("iibench.compute.encoding")
    write(core, {edited: "x = 1"})
    read_anew()
    assert (core_sha256("iibench.compute.encoding") != before) == counts


def test_iibench_is_never_a_plugins_own(tmp_path: Path) -> None:
    write(tmp_path, {"mine.py": "import iibench.compute.encoding", "iibench/__init__.py": "x = 1"})
    before = source_sha256(tmp_path / "mine.py", "mine")
    write(tmp_path, {"iibench/__init__.py": "x = 2"})
    assert source_sha256(tmp_path / "mine.py", "mine") == before
    assert "mine" not in sys.modules  # nothing is imported to know it
