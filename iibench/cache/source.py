"""Source that decides a value: a module and what it imports, followed to the end.

Imports are read from the source, those inside functions included; those under `TYPE_CHECKING` are not,
since they never run. A plugin's source is what it imports of its own, and what that imports of the
packages of iibench that compute (`FOLLOWED`). Its own is its top-level package, and, where that lies in no
folder of installed packages, the modules and packages beside it. Other packages count by their version,
which is not looked at here.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

#: Never one of a plugin's own modules, even where it lies beside them.
CORE = "iibench"
#: The packages of iibench whose code decides numbers.
FOLLOWED = ("compute", "contract", "results", "statistics")


def source_sha256(path: str | Path, module: str) -> str:
    """SHA-256 (hex) of the source of `module`, which stands in the file `path`, and of what it imports.

    Names and contents count, places do not: a copy elsewhere has the same hash.
    """
    own = source_files(path, module)
    core = {name for file, of in own.items() for name in _imported_of_core(file, of)}
    return _hash_of({**own, **_core_files(core)})


@functools.cache
def core_sha256(*modules: str) -> str:
    """SHA-256 (hex) of modules of iibench, by name, and of what they import of `FOLLOWED`.

    >>> len(core_sha256("iibench.compute.encoding"))
    64
    """
    return _hash_of(_core_files(modules))


def source_files(path: str | Path, module: str) -> dict[Path, str]:
    """The files of a module and of what it imports of its own -> their module names."""
    path = Path(path).resolve()
    own = _Own.of(path, module)
    found: dict[Path, str] = {}
    waiting = [(path, module)]
    while waiting:
        file, name = waiting.pop()
        if file not in found:
            found[file] = name
            waiting += own.imported(file, name)
    return found


def _core_files(modules: Iterable[str]) -> dict[Path, str]:
    found: dict[Path, str] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        inside = Path(__file__).parents[1].joinpath(*name.split(".")[1:])
        file = inside / "__init__.py" if inside.is_dir() else inside.with_suffix(".py")
        if file.is_file() and file not in found:
            found[file] = name
            waiting += _imported_of_core(file, name)
        elif not file.is_file():  # a name inside a module
            waiting.append(name.rpartition(".")[0])
    return found


def _imported_of_core(file: Path, module: str) -> list[str]:
    """Names of what a file imports of `FOLLOWED`; what iibench itself hands on is the contract's."""
    names = _imports(file, file.stat().st_mtime_ns, _package(file, module))
    return [n for n in names if n and n.startswith(tuple(f"{CORE}.{p}." for p in FOLLOWED))]


def _package(file: Path, module: str) -> str:
    return module if file.name == "__init__.py" else module.rpartition(".")[0]


def _hash_of(files: dict[Path, str]) -> str:
    digest = hashlib.sha256()
    for path, name in sorted(files.items(), key=lambda item: item[1]):
        digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


@dataclass(frozen=True)
class _Own:
    """Where a module's own modules stand.

    `top`: the name of its top-level package or module. `folder`: that package's folder; of a module
    without a package, None. `beside`: the folder whose modules count too, where there is one.
    """

    top: str
    folder: Path | None
    beside: Path | None

    @classmethod
    def of(cls, path: Path, module: str) -> _Own:
        parts = module.split(".")
        depth = len(parts) if path.name == "__init__.py" else len(parts) - 1
        around = path.parents[depth]
        folder = path.parents[depth - 1] if depth else None
        return cls(parts[0], folder, None if _is_installed(around) else around)

    def imported(self, file: Path, module: str) -> Iterator[tuple[Path, str]]:
        """(file, name) of each own module that one of these files imports, packages around it first."""
        for name in _imports(file, file.stat().st_mtime_ns, _package(file, module)):
            if name is None:  # chosen while it runs: any of the package's own
                yield from self._everything()
                continue
            parts = name.split(".")
            if parts[0] == CORE:
                continue
            for end in range(1, len(parts) + 1):
                place = self._place(parts[:end])
                if place is None:
                    break
                yield place, ".".join(parts[:end])

    def _everything(self) -> Iterator[tuple[Path, str]]:
        if self.folder is None:
            return
        for path in sorted(self.folder.rglob("*.py")):
            inside = path.relative_to(self.folder).with_suffix("").parts
            parts = inside[:-1] if inside[-1] == "__init__" else inside
            yield path, ".".join((self.top, *parts))

    def _place(self, parts: list[str]) -> Path | None:
        """The file of an own module; None where it is none, or a name inside a module."""
        if parts[0] == self.top and self.folder is not None:
            inside = self.folder.joinpath(*parts[1:])
        elif self.beside is not None:
            inside = self.beside.joinpath(*parts)
        else:
            return None
        for file in (inside / "__init__.py", inside.with_name(f"{inside.name}.py")):
            if file.is_file():
                return file
        return None


@functools.cache
def _imports(file: Path, changed: int, package: str) -> tuple[str | None, ...]:
    """Dotted names that a file imports when it runs; None for one that is chosen only then.

    `changed`: when the file was written last, so that an edited one is read anew.
    """
    try:
        tree = ast.parse(file.read_bytes())
    except SyntaxError:  # importing it will tell
        return ()
    return tuple(dict.fromkeys(_walk(tree.body, package)))


def _walk(nodes: Iterable[ast.AST], package: str) -> Iterator[str | None]:
    for node in nodes:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from _walk(node.orelse, package)
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _base(node, package)
            # a name may be a module of its own; one that is none is found to be in its module
            yield from (f"{base}.{alias.name}".lstrip(".") for alias in node.names)
        elif isinstance(node, ast.Call):
            yield from _called(node, package)
        yield from _walk(ast.iter_child_nodes(node), package)


def _base(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    around = package.split(".")[: len(package.split(".")) - node.level + 1]
    return ".".join([*around, *([node.module] if node.module else [])])


def _called(node: ast.Call, package: str) -> Iterator[str | None]:
    """What `import_module` is called with."""
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name not in {"import_module", "__import__"} or not node.args:
        return
    asked = node.args[0]
    if not isinstance(asked, ast.Constant) or not isinstance(asked.value, str):
        yield None
        return
    dots = len(asked.value) - len(asked.value.lstrip("."))
    inside = ast.ImportFrom(asked.value.lstrip("."), [], dots)
    yield _base(inside, package)


@functools.cache
def _is_installed(folder: Path) -> bool:
    """Whether a folder holds packages of many authors, so that what lies beside one is not its own."""
    paths = sysconfig.get_paths()
    places = {
        Path(paths[name]).resolve() for name in ("stdlib", "platstdlib", "purelib", "platlib")
    }
    return folder in places or folder.name in {"site-packages", "dist-packages"}
