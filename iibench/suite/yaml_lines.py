"""YAML text as plain values that remember their lines.

A path is a tuple of keys and indices from the top of the document, such as ("finders", 2, "k").
Only mappings, lists, text, numbers, true / false and null are read. Scalars follow YAML 1.2's core
schema, not PyYAML's YAML 1.1: `on`, `yes` and dates are text, and 1e-3 is a number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from iibench.contract.errors import SuiteError

Path = tuple[str | int, ...]

#: Values that a document may unfold to; aliases of aliases could make a small file endless.
MAX_VALUES = 100_000
_MERGE = "tag:yaml.org,2002:merge"
_SCALARS = tuple(f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null"))
_STRUCTURES = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")


class Loader(yaml.SafeLoader):
    """`yaml.SafeLoader` with the scalars of YAML 1.2's core schema."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own protocol


for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?(?:0|[1-9][0-9_]*)", "-+0123456789"),
    (
        "float",
        r"[-+]?(?:(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?"
        r"|[0-9][0-9_]*[eE][-+]?[0-9]+|\.(?:inf|Inf|INF))|\.(?:nan|NaN|NAN)",
        "-+.0123456789",
    ),
    ("merge", r"<<", "<"),
):
    Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first)
    )


def path_text(path: Path) -> str:
    """("finders", 2, "k") as `finders[2].k`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


@dataclass
class Document:
    """A parsed file, where each of its values stands, and what has been found wrong in it.

    `file` is shown in messages. `lines` maps a path to the line of its key (of the item, in lists),
    `overridden` a path to the `--set` argument that put its value there.
    """

    file: str
    value: Any = None
    lines: dict[Path, int] = field(default_factory=dict)
    overridden: dict[Path, str] = field(default_factory=dict)
    problems: list[tuple[int, str]] = field(default_factory=list)

    def line(self, path: Path) -> int:
        """The line of the path, or of the nearest thing around it that has one."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def problem(self, path: Path, message: str, line: int | None = None) -> None:
        """Notes one problem; `raise_problems` raises them all."""
        argument = next((self.overridden[p] for p in _outwards(path) if p in self.overridden), None)
        number = self.line(path) if line is None else line
        where = f"{self.file}:{number}" if argument is None else argument
        key = f"{path_text(path)}: " if path else ""
        problem = (0 if argument else number, f"{where}: {key}{message}")
        if problem not in self.problems:
            self.problems.append(problem)

    def raise_problems(self) -> None:
        """Raises one `SuiteError` with a line per problem, in the order of the file, if there are any."""
        if self.problems:
            ordered = sorted(self.problems, key=lambda problem: problem[0])
            raise SuiteError("\n".join(text for _, text in ordered))


def _outwards(path: Path) -> Iterator[Path]:
    """The path itself, then everything around it."""
    return (path[:end] for end in range(len(path), -1, -1))


def parse(text: str, file: str) -> Document:
    """Reads one YAML document; duplicate keys are noted as problems, the first value is kept.

    Raises `SuiteError` with line and column where the text is not YAML.
    """
    document = Document(file)
    try:
        loader = Loader(text)
        node = loader.get_single_node()
        if node is not None:
            document.value = _Builder(loader, document).build(node, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = f"{file}:{mark.line + 1}:{mark.column + 1}" if mark else file
        what = ", ".join(part for part in (error.context, error.problem) if part)
        hint = _quotes_hint(text, mark) if mark and "but got '['" in what else ""
        raise SuiteError(f"{at}: not valid YAML: {what}{hint}") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise SuiteError(f"{file}:{line}: not valid YAML: {error.reason}") from error
    except RecursionError as error:
        raise SuiteError(f"{file}: not valid YAML: brackets or indents nest too deep") from error
    return document


def _quotes_hint(text: str, mark: yaml.Mark) -> str:
    """Where a label such as `kmeans[k=4]` stands in a list in brackets: how to write it."""
    line = (text.splitlines()[mark.line :] or [""])[0]
    name = re.search(r"[^\s,\[\]{}]+$", line[: mark.column])
    depth, end = 0, mark.column
    while end < len(line) and (depth or line[end] == "["):
        depth += {"[": 1, "]": -1}.get(line[end], 0)
        end += 1
    if name is None or depth:
        return ""
    label = name[0] + line[mark.column : end]
    return f"; within brackets, a name with brackets is written in quotes: '{label}'"


def parse_scalar(text: str) -> Any:
    """The value of a piece of YAML, as in `--set key=VALUE`.

    Raises `SuiteError` whose message says what is wrong with it.
    """
    document = parse(text, "value")
    document.raise_problems()
    return document.value


@dataclass
class _Builder:
    """Turns nodes into values, counting them and noting their lines."""

    loader: Loader
    document: Document
    count: int = 0
    inside: list[int] = field(default_factory=list)

    def build(self, node: yaml.Node, path: Path) -> Any:
        """The value of a node whose place in the document is `path`."""
        self.document.lines.setdefault(path, node.start_mark.line + 1)
        self.count += 1
        if self.count > MAX_VALUES:
            raise self._error(node, f"aliases unfold to more than {MAX_VALUES} values")
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        if node.tag not in _STRUCTURES:
            raise self._error(node, f"the tag {node.tag} is not allowed")
        if id(node) in self.inside:
            raise self._error(node, "an alias stands inside what it names")
        self.inside.append(id(node))
        if isinstance(node, yaml.MappingNode):
            value: Any = self._mapping(node, path)
        else:
            value = [self.build(item, (*path, i)) for i, item in enumerate(node.value)]
        self.inside.pop()
        return value

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        if node.tag not in _SCALARS:
            raise self._error(node, f"the tag {node.tag} is not allowed")
        try:
            return self.loader.construct_object(node)
        except (KeyError, ValueError) as error:
            raise self._error(node, f"{node.value[:40]!r} is no {node.tag[18:]}") from error

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        merged: list[yaml.Node] = []
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                several = isinstance(value_node, yaml.SequenceNode)
                merged += value_node.value if several else [value_node]
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                raise self._error(key_node, "a key must be text")
            key, line = key_node.value, key_node.start_mark.line + 1
            here = (*path, key)
            if key in found:
                first = self.document.lines[here]
                self.document.problem(
                    here, f"duplicate key; it stands on line {first} already", line
                )
                continue
            self.document.lines[here] = line
            found[key] = self.build(value_node, here)
        for source in merged:
            if not isinstance(source, yaml.MappingNode):
                raise self._error(source, "<< must name a mapping")
            self._merge(source, path, found)
        return found

    def _merge(self, source: yaml.MappingNode, path: Path, found: dict[str, Any]) -> None:
        """Adds what `<<` brings in and the mapping does not say itself."""
        other = _Builder(self.loader, Document(self.document.file), self.count, self.inside)
        values = other.build(source, path)
        self.count = other.count
        for key, value in values.items():
            if key not in found:
                found[key] = value
                inner = (*path, key)
                for place, line in other.document.lines.items():
                    if place[: len(inner)] == inner:
                        self.document.lines[place] = line

    @staticmethod
    def _error(node: yaml.Node, problem: str) -> yaml.MarkedYAMLError:
        return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
