"""The architecture's rules, checked on the source: what may import what, what is a plugin, who is named."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from iibench.hooks.loading import load_plugins

ROOT = Path(__file__).resolve().parents[1]
CORE = ROOT / "iibench"

#: package of iibench -> the packages that it may import, besides itself
MAY_IMPORT = {
    "contract": set(),
    "assets": {"contract"},
    "cache": {"contract"},
    "statistics": {"contract"},
    "suite": {"contract"},
    "compute": {"contract", "cache"},
    "results": {"contract", "statistics", "suite"},
    "stages": {*("contract", "assets", "cache", "statistics", "suite", "compute", "results")},
    "report": {"contract", "statistics", "suite", "results"},
    "hooks": {"contract", "cache", "suite", "results"},
}
BELOW = set(MAY_IMPORT)
MAY_IMPORT["runner"] = BELOW
MAY_IMPORT["testing"] = BELOW | {"runner"}
MAY_IMPORT["cli"] = BELOW | {"runner", "testing"}

#: what a plugin may import of iibench
FOR_PLUGINS = {"compute", "statistics"}

FILES = sorted(CORE.rglob("*.py"))
PLUGIN_FILES = sorted((ROOT / "plugins").rglob("*.py"))


def name_of(path: Path) -> str:
    """The module's dotted name."""
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in FILES}


@cache
def imports(path: Path) -> tuple[tuple[int, str], ...]:
    """(line, module) of every import, those under TYPE_CHECKING and inside functions included."""
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[tuple[int, str]]:
    package = name_of(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                inner = f"{module}.{alias.name}"
                yield node.lineno, inner if inner in MODULES else module


def package_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_packages_import_only_what_the_table_names(path: Path) -> None:
    own = package_of(name_of(path))
    if own in {"", "__main__"}:  # the public face hands on what all of them have
        return
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for line, module in imports(path)
        if (module.split(".")[0] == "iibench" and package_of(module) not in MAY_IMPORT[own] | {own})
        or module.split(".")[0] == "iibench_plugins"
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("package", sorted(MAY_IMPORT))
def test_there_is_no_circle_inside_a_package(package: str) -> None:
    inside = {n: p for n, p in MODULES.items() if package_of(n) == package}
    # a package stands for its __init__ alone: importing a module runs it, but needs nothing of it
    edges = {
        name: {(line, m) for line, m in imports(path) if m in inside and m != name}
        for name, path in inside.items()
    }
    done: set[str] = set()

    def visit(name: str, way: list[str]) -> None:
        assert name not in way, "a circle: " + " -> ".join([*way[way.index(name) :], name])
        if name in done:
            return
        for _, other in sorted(edges[name]):
            visit(other, [*way, name])
        done.add(name)

    for name in sorted(inside):
        visit(name, [])


def test_iibench_holds_packages_alone_each_with_a_purpose() -> None:
    names = {path.name for path in CORE.iterdir() if path.name != "__pycache__"}
    assert names - {"__init__.py", "__main__.py", "py.typed"} == set(MAY_IMPORT)
    assert len(names - {"py.typed", "__init__.py", "__main__.py"}) <= 14
    for path in FILES:
        if path.name == "__init__.py":
            text = ast.get_docstring(ast.parse(path.read_text()))
            assert text, f"{path.relative_to(ROOT)} does not say what it is for"


def test_first_party_plugins_use_what_third_parties_may_use() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path in PLUGIN_FILES
        for line, module in imports(path)
        if module.startswith("iibench.") and package_of(module) not in FOR_PLUGINS
    ]
    assert not wrong, "\n".join(wrong)


def hooks_in(path: Path) -> bool:
    """Whether a module has functions marked with `hookimpl`."""
    return path.is_file() and any(
        isinstance(node, ast.FunctionDef)
        and any("hookimpl" in ast.unparse(mark) for mark in node.decorator_list)
        for node in ast.parse(path.read_text()).body
    )


def plugin_of(path: Path) -> str:
    """The plugin that a file belongs to; "" for what plugins share."""
    parts = path.relative_to(ROOT / "plugins").with_suffix("").parts
    for end in range(1, len(parts) + 1):
        place = (ROOT / "plugins").joinpath(*parts[:end])
        if parts[end - 1].startswith("_"):
            return ""
        if hooks_in(place / "__init__.py") or hooks_in(place.with_suffix(".py")):
            return ".".join(parts[:end])
    return ""


def test_no_plugin_imports_another() -> None:
    wrong = []
    for path in PLUGIN_FILES:
        package = path.relative_to(ROOT / "plugins").parent.parts
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.ImportFrom) or not node.level:
                continue
            base = [*package[: len(package) - node.level + 1], *(node.module or "").split(".")]
            for alias in node.names:
                place = (ROOT / "plugins").joinpath(*filter(None, base))
                inner = place / alias.name
                file = next(
                    (
                        f
                        for f in (
                            inner / "__init__.py",
                            inner.with_name(f"{inner.name}.py"),
                            place / "__init__.py",
                            place.with_suffix(".py"),
                        )
                        if f.is_file()
                    ),
                    None,
                )
                other = plugin_of(file) if file else ""
                if other and other != plugin_of(path):
                    wrong.append(f"{path.relative_to(ROOT)}:{node.lineno} imports {other}")
    assert not wrong, "\n".join(wrong)


#: Where a string that is also a plugin's name may stand (a file, a folder, or all of iibench), and what it
#: means there.
MEANS_SOMETHING_ELSE = {
    (
        "iibench/results/earlier.py",
        None,
    ): "a table of what runs lack that were written before API 1.4",
    ("iibench/report/", "color"): "a property of plotly's figures",
    ("iibench/", "label"): "a key of labels in figures and JSON",
    ("iibench/cache/shared_store.py", "file"): "fsspec's protocol of local files",
    (
        "iibench/",
        "local",
    ): "the default of --executor: cases run in this process, without a plugin's help",
    ("iibench/testing/state.py", "random"): "a module of Python",
    ("iibench/runner/provenance.py", "torchvision"): "a library whose version is recorded",
    ("iibench/runner/provenance.py", "lpips"): "a library whose version is recorded",
    ("iibench/report/export/software.py", "torchvision"): "a library to cite",
    ("iibench/report/export/software.py", "lpips"): "a library to cite",
}


def test_iibench_names_no_plugin() -> None:
    registry = load_plugins(environ="", entry_points=False).registry
    names = {entry.spec.name for entry in (*registry.all(), *registry.executors)}
    assert {"ii", "lpips", "neurons", "kmeans", "insilico"} <= names
    wrong, used = [], set()
    for path in FILES:
        file = str(path.relative_to(ROOT))
        for line, text in strings(path):
            if text not in names:
                continue
            known = [
                (place, word)
                for place, word in MEANS_SOMETHING_ELSE
                if file.startswith(place) and word in {None, text}
            ]
            used.update(known)
            if not known:
                wrong.append(f"{file}:{line} names {text!r}")
    assert not wrong, "\n".join(wrong)
    assert used == set(MEANS_SOMETHING_ELSE), "exceptions that nothing needs"


def test_templates_of_pages_name_no_plugin() -> None:
    registry = load_plugins(environ="", entry_points=False).registry
    names = {entry.spec.name for entry in registry.all()} - {"color", "label", "file"}
    quoted = re.compile(f"""["']({"|".join(map(re.escape, sorted(names)))})["']""")
    wrong = [
        f"{path.relative_to(ROOT)}:{number} names {found[1]!r}"
        for path in sorted((CORE / "report" / "templates").rglob("*"))
        if path.suffix in {".html", ".js"}
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if (found := quoted.search(line))
    ]
    assert not wrong, "\n".join(wrong)


def strings(path: Path) -> Iterator[tuple[int, str]]:
    """(line, text) of every string of a module, docstrings left out."""
    tree = ast.parse(path.read_text())
    bare = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in bare:
            yield node.lineno, node.value
