"""What a Python file imports when it runs, read from its text; nothing is imported for it."""

from __future__ import annotations

import ast
import functools
import re
import warnings
from collections.abc import Iterator

#: Functions whose use means that a file chooses while it runs what it imports.
CHOOSING = {
    *("import_module", "__import__", "spec_from_file_location", "SourceFileLoader"),
    *("run_module", "run_path", "exec"),
}
#: Functions that list the modules of a package.
LISTING = {"iter_modules", "walk_packages"}
#: The package that a file stands in, as the file itself may call it.
OWN_PACKAGE = {"__package__", "__name__"}


@functools.cache
def imports_of(source: bytes, package: str) -> frozenset[str]:
    """Dotted names that a file in `package` ("" where it is in none) imports; `a.b.*`: any module below.

    Imports inside functions and conditions count, those under `TYPE_CHECKING` do not, since they never
    run. `from a import b` gives `a.b`, whether `b` is a module or stands in one. Where a file chooses
    while it runs, every text in it that may name a module counts, and of a text that is put together
    all that begins as it does.

    >>> sorted(imports_of(b"import a.b as c\\nfrom . import d", "pkg"))
    ['a.b', 'pkg.d']
    >>> sorted(imports_of(b"import_module(f'pkg.nets.{name}')", ""))
    ['pkg.nets.*']
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the text: importing it shows them
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # importing it will tell
        return frozenset()
    statements = list(_running(tree))
    names = {name for node in statements for name in _stated(node, package)}
    if any(word.encode() in source for word in CHOOSING | LISTING):
        nodes = [inner for node in statements for inner in _expressions(node)]
        used = {_name(node) for node in nodes}
        used |= {n.name for s in statements if isinstance(s, ast.ImportFrom) for n in s.names}
        if used & CHOOSING:
            names |= {name for node in nodes for name in _texts(node, package)}
        if used & LISTING:
            names.add(f"{package}.*".lstrip("."))
    return frozenset(names)


def _running(tree: ast.AST) -> Iterator[ast.AST]:
    """Every statement that may run, and what holds statements."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.If) and (ever := _type_checking(node.test)) is not None:
            waiting += node.body if ever else node.orelse
            continue
        for part in ("body", "orelse", "handlers", "finalbody", "cases"):
            waiting += getattr(node, part, ())


def _expressions(statement: ast.AST) -> Iterator[ast.AST]:
    """All nodes of a statement but for the statements inside it."""
    for child in ast.iter_child_nodes(statement):
        if not isinstance(child, ast.stmt | ast.excepthandler | ast.match_case):
            yield from ast.walk(child)


def _type_checking(test: ast.expr) -> bool | None:
    """What a condition on `TYPE_CHECKING` is when the file runs; None where it is about other things."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        inner = _type_checking(test.operand)
        return None if inner is None else not inner
    if isinstance(test, ast.BoolOp):
        decides = isinstance(test.op, ast.Or)  # what one true (or, one false: and) part makes of it
        return decides if decides in map(_type_checking, test.values) else None
    return False if _name(test) == "TYPE_CHECKING" else None


def _name(node: ast.AST) -> str:
    """The last name of `a.b.name`, or "" of anything else."""
    return getattr(node, "attr", "") or getattr(node, "id", "")


def _stated(node: ast.AST, package: str) -> Iterator[str]:
    """What an import statement names; a name in `__all__` may be a module, which `*` imports."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = absolute("." * node.level + (node.module or ""), package)
        yield from (base if a.name == "*" else f"{base}.{a.name}".lstrip(".") for a in node.names)
    elif isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign) and node.value is not None:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if "__all__" in map(_name, targets):
            texts = (getattr(inner, "value", None) for inner in ast.walk(node.value))
            yield from (f"{package}.{t}".lstrip(".") for t in texts if isinstance(t, str))


def absolute(name: str, package: str) -> str:
    """A name that may begin with dots, as seen from `package`.

    >>> absolute("..a", "pkg.sub")
    'pkg.a'
    """
    inside = name.lstrip(".")
    if inside == name:
        return name
    parts = package.split(".")
    around = parts[: max(0, len(parts) + 1 - (len(name) - len(inside)))]
    return ".".join([*filter(None, around), *([inside] if inside else [])])


def _texts(node: ast.AST, package: str) -> Iterator[str]:
    """The modules that a text may name: `a.b`, `.b`, `b.py`, or `a.*` of one that is put together."""
    text = _text(node, package)
    if text.endswith(".py"):
        file = text.replace("\\", "/").rpartition("/")[2]
        yield absolute(f".{file.removesuffix('.py')}", package)
        return
    head, *rest = re.split(r"[{%]", text, maxsplit=1)
    base = head.rpartition(".")[0] or "." * head.count(".") if rest else head
    if re.fullmatch(r"[.\w]*", head) and re.fullmatch(r"\.*\w+(\.\w+)*|\.+", base):
        yield f"{absolute(base, package)}{'.*' if rest else ''}".lstrip(".")


def _text(node: ast.AST, package: str) -> str:
    """A text as it is written, `{}` for what is only known when it runs."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else "{}"
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part, package) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return _text(node.value, package)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _text(node.left, package) + _text(node.right, package)
    return package if isinstance(node, ast.Name) and node.id in OWN_PACKAGE else "{}"
