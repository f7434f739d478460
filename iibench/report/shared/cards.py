"""Cards: what is known about each metric, finder, evaluation, model and dataset of a run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from iibench.results.run import Run

#: Kinds of cards in the order of the page: key in links, key in run.json, heading.
KINDS = (
    ("evaluation", "evaluations", "Evaluations"),
    ("metric", "metrics", "Metrics"),
    ("finder", "finders", "Finders"),
    ("model", "models", "Models"),
    ("dataset", "datasets", "Datasets"),
)
UNKNOWN = "not recorded"
LEVELS = {
    "low": "low: colours and pixels",
    "mid": "mid: texture and structure",
    "high": "high: categories and meaning",
    "control": "control: measures nothing of interest, what a metric must exceed",
}


@dataclass(frozen=True)
class Parameter:
    """A parameter with its value in this run, as text."""

    name: str
    value: str
    default: str
    type: str
    help: str


@dataclass(frozen=True)
class Asset:
    """A file that something was made from."""

    name: str
    filename: str
    sha256: str


@dataclass(frozen=True)
class Card:
    """One metric, finder, evaluation, model or dataset as it was used.

    `labels`: the labels under which the run has it, the first one its own; further ones are parts, or
    values of the parameter that an evaluation runs over. `facts`: (what, text).
    """

    kind: str
    labels: tuple[str, ...]
    summary: str
    definition: str
    facts: tuple[tuple[str, str], ...]
    parameters: tuple[Parameter, ...]
    citation: str
    bibtex: str
    assets: tuple[Asset, ...]

    @property
    def label(self) -> str:
        return self.labels[0]

    @property
    def anchors(self) -> tuple[str, ...]:
        """Ids of the card in the page, one per label."""
        return tuple(f"card/{self.kind}/{label}" for label in self.labels)


def card_href(kind: str, label: str) -> str:
    """The link to a card within its page."""
    return f"#card/{kind}/{quote(label, safe='')}"


def cards(run: Run) -> list[tuple[str, list[Card]]]:
    """(heading, cards) of every kind that the run has."""
    found = []
    for kind, key, heading in KINDS:
        records = run.meta.get(key) or {}
        groups = _groups(kind, records)
        made = [_card(run, kind, labels, records[labels[0]]) for labels in groups]
        if made:
            found.append((heading, made))
    return found


def anchors(run: Run) -> frozenset[str]:
    """The ids of all cards of the run."""
    return frozenset(a for _, found in cards(run) for card in found for a in card.anchors)


def _groups(kind: str, records: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Labels that share a card: parts of a metric, and an evaluation at several difficulties."""
    found: dict[str, list[str]] = {}
    for label, record in records.items():
        params = dict(record.get("params") or {})
        if kind == "evaluation":
            params.pop(record.get("plot_over"), None)
        own = label if kind in ("model", "dataset") else ""
        key = json.dumps([record.get("name", label), params, own], sort_keys=True, default=str)
        found.setdefault(key, []).append(label)
    # the whole of a metric stands for its parts
    return [
        tuple(sorted(labels, key=lambda label: records[label].get("part") is not None))
        for labels in found.values()
    ]


def _card(run: Run, kind: str, labels: Sequence[str], record: Mapping[str, Any]) -> Card:
    known = run.meta.get("assets") or {}
    return Card(
        kind=kind,
        labels=tuple(labels),
        summary=str(record.get("summary") or ""),
        definition=str(record.get("definition") or ""),
        facts=tuple(_facts(run, kind, record)),
        parameters=tuple(_parameters(run, kind, labels, record)),
        citation=str(record.get("citation") or ""),
        bibtex=str(record.get("bibtex") or "").strip(),
        assets=tuple(
            Asset(
                str(name),
                str((known.get(name) or {}).get("filename") or UNKNOWN),
                str((known.get(name) or {}).get("sha256") or f"{UNKNOWN}: this run did not use it"),
            )
            for name in record.get("assets") or ()
        ),
    )


def _facts(run: Run, kind: str, record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "Version", _text(record.get("version"))
    yield "Plugin", _plugin(run, record.get("plugin"))
    if kind == "metric":
        yield "Level", LEVELS.get(str(record.get("level")), _text(record.get("level")))
        yield "Similarity", _text(record.get("range"))
        yield "Distance", _text(record.get("distance")).replace("_", " ")
        yield (
            "Size of its input",
            f"{record['size']} px" if record.get("size") else "as the images are",
        )
        yield "Fingerprint", _text(record.get("fingerprint"))
    elif kind == "evaluation":
        yield "Unit of its score", _text(record.get("unit"))
        chance = record.get("chance")
        yield "Chance level", "none" if chance is None else f"{chance:g}"
    elif kind == "model":
        yield "Weights", _text(record.get("provenance"))
        layers = record.get("weights") or {}
        if not layers:
            yield "SHA-256 of its weights", _text(record.get("weights_sha256"))
        for layer, weights in layers.items():
            yield f"SHA-256 of its weights up to {layer}", _text(weights.get("sha256"))
    elif kind == "dataset":
        for role, split in (record.get("splits") or {}).items():
            n = split.get("n")
            images = f"{n:,} images" if isinstance(n, int) else f"size {UNKNOWN}"
            size = split.get("image_size")
            pixels = f", {size[0]} × {size[1]} px" if size else ""
            yield f"Split to {role}", f"{_text(split.get('split'))}, {images}{pixels}"
            yield f"SHA-256 to {role}", _text(split.get("fingerprint"))
    yield "Licence", _text(record.get("licence"))


def _plugin(run: Run, name: Any) -> str:
    if not name:
        return UNKNOWN
    plugin: Mapping[str, Any] = next(
        (p for p in run.meta.get("plugins") or () if p.get("name") == name), {}
    )
    version = plugin.get("version") or ""
    source = plugin.get("distribution") or plugin.get("source") or ""
    sha256 = plugin.get("sha256")
    origin = f" ({source} {version})".replace(" )", ")") if source else ""
    return f"{name}{origin}, SHA-256 of its source {sha256 or UNKNOWN}"


def _parameters(
    run: Run, kind: str, labels: Sequence[str], record: Mapping[str, Any]
) -> Iterator[Parameter]:
    """Declared parameters, then values that are on record without a declaration."""
    values = {
        name: [value_of(other, name) for other in _records(run, kind, labels)]
        for name in record.get("params") or {}
    }
    declared = {str(item.get("name")): item for item in record.get("parameters") or ()}
    for name in dict.fromkeys([*declared, *values]):
        item = declared.get(name, {})
        found = dict.fromkeys(values.get(name, [UNKNOWN]))
        yield Parameter(
            name,
            ", ".join(found),
            _json(item["default"]) if "default" in item else UNKNOWN,
            str(item.get("type") or ""),
            str(item.get("help") or ""),
        )


def value_of(record: Mapping[str, Any], name: str) -> str:
    """The value of a parameter as text."""
    params = record.get("params") or {}
    return _json(params[name]) if name in params else UNKNOWN


def _records(run: Run, kind: str, labels: Sequence[str]) -> list[Mapping[str, Any]]:
    key = next(key for name, key, _ in KINDS if name == kind)
    return [run.meta[key][label] for label in labels]


def _json(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return "none"
    return json.dumps(value, ensure_ascii=False, default=str)


def _text(value: Any) -> str:
    return UNKNOWN if value is None or value == "" else str(value)
