"""BibTeX of everything that a run used: sources of datasets, networks, finders, metrics and evaluations, the
paper whose definitions these are, and the software."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from iibench.report.export.escape import latex
from iibench.report.export.software import PAPER, software

if TYPE_CHECKING:
    from iibench.results.run import Run

#: sections of a run's record whose sources are listed
SECTIONS = ("datasets", "models", "finders", "metrics", "evaluations")


@dataclass(frozen=True)
class Entry:
    """One entry: its key, and its text from `@` to the closing brace."""

    key: str
    text: str

    @property
    def content(self) -> str:
        """What it says, whatever its key and white space."""
        return " ".join(self.text.replace(self.key, "", 1).split())

    def renamed(self, key: str) -> Entry:
        """The same entry under another key."""
        return Entry(key, self.text.replace(self.key, key, 1))


def write(run: Run) -> bytes:
    """All entries, once each, as UTF-8."""
    meta = run.meta
    found: dict[str, Entry] = {}
    _add(found, *parse(PAPER))
    for section in SECTIONS:
        for label, record in (meta.get(section) or {}).items():
            _add(found, *_sources(section, str(label), record))
    versions = {str(name): str(version) for name, version in (meta.get("versions") or {}).items()}
    for text in software(versions):
        _add(found, *parse(text))
    head = f"% Everything that the run {latex(str(meta.get('name', '')))} used."
    return "\n\n".join([head, *(entry.text for entry in found.values())]).encode("utf-8") + b"\n"


def _sources(section: str, label: str, record: Mapping[str, Any]) -> Iterator[Entry]:
    """The record's own entries; or one of kind misc with the citation in words."""
    entries = parse(str(record.get("bibtex") or ""))
    citation = str(record.get("citation") or "")
    if entries or not citation:
        yield from entries
        return
    name = str(record.get("name") or label)
    key = re.sub(r"[^A-Za-z0-9]+", "-", f"iibench-{section.removesuffix('s')}-{name}").strip("-")
    title, note = latex(name), latex(citation)
    yield Entry(key, f"@misc{{{key},\n  title = {{{{{title}}}}},\n  note = {{{note}}}\n}}")


def _add(found: dict[str, Entry], *entries: Entry) -> None:
    """Adds what is not there yet; another entry under a key that is taken gets a key of its own."""
    for entry in entries:
        if any(entry.content == other.content for other in found.values()):
            continue
        key, n = entry.key, 2
        while key.lower() in {other.lower() for other in found}:
            key, n = f"{entry.key}-{n}", n + 1
        found[key] = entry if key == entry.key else entry.renamed(key)


def parse(text: str) -> list[Entry]:
    """The entries in a piece of BibTeX; what is no whole entry (unbalanced braces, no key) is left out."""
    found = []
    at = 0
    while match := _START.search(text, at):
        end = _closing(text, match.end())
        if end is None:
            at = match.end()
            continue
        found.append(Entry(match["key"], text[match.start() : end]))
        at = end
    return found


_START = re.compile(r"@[A-Za-z]+\s*\{\s*(?P<key>[^\s,{}\"#%'()=\\~]+)\s*,")


def _closing(text: str, at: int) -> int | None:
    """Position after the brace that closes the entry whose inside `at` is in."""
    depth = 1
    for i in range(at, len(text)):
        depth += (text[i] == "{") - (text[i] == "}")
        if depth == 0:
            return i + 1
    return None
