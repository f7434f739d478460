"""The unit explorer and the pages of units: images in sprite sheets, data files, and a small index.

`explorer` writes what the scripts named in `SCRIPTS` show; macros of explorer.html and gallery.html
stand for the parts of the page that they fill.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from iibench.report.directions.explorer.sprites import COLUMNS, TILES, Key, Sheets, pack
from iibench.report.directions.explorer.unit_data import (
    CHUNK,
    Side,
    TrialColumns,
    UnitFrames,
    column,
    trial_files,
    unit_file,
)
from iibench.report.directions.gallery import gallery_entries, once
from iibench.report.shared.numbers import decimals_for
from iibench.results.unit_tables import Stem

if TYPE_CHECKING:
    from iibench.contract.arrays import IntArray
    from iibench.contract.reports import CaseReport
    from iibench.report.directions.tables import Place
    from iibench.report.shared.output import Output
    from iibench.results.run import Run


@dataclass(frozen=True)
class Measure:
    """A score that units have at a place: an evaluation under a metric.

    `main`: of a whole metric, at the lowest value of the parameter that the evaluation runs over.
    """

    evaluation: str
    metric: str
    #: the evaluation without that parameter
    column: str
    unit: str
    chance: float | None
    decimals: int
    main: bool
    cases: dict[str, CaseReport]


@dataclass(frozen=True)
class Finder:
    """A finder with scored units at a place: its K units, images and trials."""

    label: str
    stem: Stem
    k: int
    #: units by falling main score, unscored ones last
    order: IntArray
    top: Side | None
    bottom: Side | None
    trials: list[TrialColumns]


def explorer(
    run: Run, places: Sequence[Place], output: Output, others: Sequence[Key] = ()
) -> dict[str, Any]:
    """Writes the explorer's files to `output`; returns its index, {} where no unit is scored
    and there are no `others`: further images that the page shows.

    Files: `units-P-F` and `trials-P-F-C` (unit_data.py), `gallery-P`, `sprites` (which image is which
    tile) and the sheets. Where the output is full, the least important are missing and the index says so.
    """
    frames = UnitFrames.of(run)
    found = {
        p: (measures(place), finders(place, frames))
        for p, place in enumerate(places)
        if any(case.scores for family in place.families for case in family.cases)
    }
    if not found and not others:
        return {}
    index: dict[str, Any] = {"chunk": CHUNK, "columns": COLUMNS, "places": {}}
    galleries: dict[int, list[dict[str, Any]]] = {}
    for p, (scores, methods) in found.items():
        place = places[p]
        tops = {f.label: f.top.images for f in methods if f.top is not None}
        galleries[p] = gallery_entries(place, tops, run.meta.get("evaluations", {}))
        index["places"][str(p)] = {
            "dataset": place.dataset,
            "model": place.model,
            "layer": place.layer,
            "measures": [_measure(measure) for measure in scores],
            "compared": _compared(place, methods),
            "gallery": bool(galleries[p]) and output.data(f"gallery-{p}", galleries[p]),
            "finders": [
                _write_units(frames, scores, finder, f"units-{p}-{f}", output)
                for f, finder in enumerate(methods)
            ],
        }
    by_place = {p: methods for p, (_, methods) in found.items()}
    order = list(_order(places, by_place, galleries, others))
    images = run.images()
    packed = pack(images, order, output)
    index |= _write_sheets(packed, images.keys(), order, output)
    for p, (scores, methods) in found.items():
        for f, finder in enumerate(methods):
            entry = index["places"][str(p)]["finders"][f]
            entry["trials"] = _write_trials(frames, scores, finder, f"trials-{p}-{f}", output)
    return index


def measures(place: Place) -> list[Measure]:
    """Every evaluation and metric with a case at the place, in the order of its tables."""
    found: dict[tuple[str, str], Measure] = {}
    for family in place.families:
        whole = [view.metric for view in family.whole]
        known = whole + [view.metric for view in family.parts]
        grouped: dict[tuple[str, str], dict[str, CaseReport]] = {}
        for case in family.cases:
            metric = case.metric.label if case.metric else "no metric"
            grouped.setdefault((case.evaluation.label, metric), {})[case.finder.label] = case
        places = {label: i for i, label in enumerate(family.labels)}
        ranks = {metric: i for i, metric in enumerate(known)}
        chance = family.record.get("chance")
        for evaluation, metric in sorted(
            grouped, key=lambda key: (places[key[0]], ranks.get(key[1], len(ranks)))
        ):
            cases = grouped[evaluation, metric]
            means = [c.summary.mean for c in cases.values() if c.summary is not None]
            found[evaluation, metric] = Measure(
                evaluation,
                metric,
                family.title,
                str(family.record.get("unit") or ""),
                chance,
                decimals_for(means, chance),
                metric in whole and evaluation == family.labels[0],
                cases,
            )
    return list(found.values())


def finders(place: Place, frames: UnitFrames) -> list[Finder]:
    """The finders with scores, the best on the place's main table first."""
    cases = [case for family in place.families for case in family.cases]
    main = [row.case for family in place.families for view in family.whole for row in view.rows]
    best: dict[str, CaseReport] = {}
    for case in (*main, *cases):
        if case.scores:
            best.setdefault(case.finder.label, case)
    found = []
    for label, case in best.items():
        stem, k = (*place.key, label), len(case.scores)
        scores = np.array(case.scores, np.float64)
        found.append(
            Finder(
                label,
                stem,
                k,
                np.argsort(-scores, kind="stable"),
                frames.side(stem, "top", k),
                frames.side(stem, "bottom", k),
                frames.trials_of(stem, k),
            )
        )
    return found


def _measure(measure: Measure) -> dict[str, Any]:
    names = ("evaluation", "metric", "column", "unit", "chance", "decimals", "main")
    return {name: getattr(measure, name) for name in names}


def _compared(place: Place, methods: Sequence[Finder]) -> list[str]:
    """The two methods that the gallery first shows: the baseline, and the best other one."""
    roles = {c.finder.label: c.role for family in place.families for c in family.cases}
    baseline = [f.label for f in methods if roles[f.label] == "baseline"]
    others = [f.label for f in methods if roles[f.label] != "baseline"]
    return (baseline[:1] + others[:2] + baseline[1:2])[:2]


def _write_units(
    frames: UnitFrames, scores: Sequence[Measure], finder: Finder, name: str, output: Output
) -> dict[str, Any]:
    """The finder's entry in the index; its data file is written."""
    cases = [measure.cases.get(finder.label) for measure in scores]
    lost = {
        i: (case.reason or "the case has no scores") if case else "no such case in this run"
        for i, case in enumerate(cases)
        if case is None or not case.scores
    }
    written = output.data(name, unit_file(frames, finder.stem, finder.k, cases))
    return {"label": finder.label, "k": finder.k, "written": written, "lost": lost}


def _order(
    places: Sequence[Place],
    methods: dict[int, list[Finder]],
    galleries: dict[int, list[dict[str, Any]]],
    others: Sequence[Key],
) -> Iterator[Key]:
    """Images in the order in which they are needed: galleries, others, units best first, their trials."""
    for p, entries in galleries.items():
        shown = [np.array(u["images"], np.int64) for e in entries for u in e["units"]]
        yield from _keys(places[p].dataset, shown)
    yield from others
    for p, found in methods.items():
        for finder in found:
            sides = [side.images for side in (finder.top, finder.bottom) if side is not None]
            if sides:
                yield from _keys(places[p].dataset, [np.hstack(sides)[finder.order]])
    for p, found in methods.items():
        for finder in found:
            for t in finder.trials:
                parts = (t.strong, t.weak, t.strong_references, t.weak_references)
                flat = [part.reshape(len(part), -1) for part in parts]
                yield from _keys(places[p].dataset, [np.hstack(flat)[finder.order]])


def _keys(dataset: str, images: Sequence[IntArray]) -> Iterator[Key]:
    return ((dataset, int(image)) for image in once(images) if image >= 0)


def _write_sheets(
    packed: Sheets, stored: Collection[Key], order: Sequence[Key], output: Output
) -> dict[str, Any]:
    """The part of the index about images; the file that says which image is which tile is written."""
    by_dataset: dict[str, list[tuple[int, int]]] = {}
    for (dataset, image), tile in packed.tiles.items():
        by_dataset.setdefault(dataset, []).append((image, tile))
    written = output.data(
        "sprites",
        [
            {
                "dataset": dataset,
                "images": column([image for image, _ in pairs], "i4"),
                "tiles": column([tile for _, tile in pairs], "i4"),
            }
            for dataset, pairs in by_dataset.items()
        ],
    )
    sheets = [
        {"url": s.url, "width": s.width, "height": s.height, "exact": s.exact}
        for s in packed.sheets
    ]
    return {
        "tiles": TILES,
        "sheets": sheets if written else [],
        "pictures": written,
        "not_stored": sum(key not in stored for key in set(order)),
        "no_room": packed.left_out if written else len(packed.tiles) + packed.left_out,
    }


def _write_trials(
    frames: UnitFrames, scores: Sequence[Measure], finder: Finder, name: str, output: Output
) -> dict[str, Any]:
    """What the index says about the finder's trials; their files are written while there is room."""
    evidence = {}
    for trials in finder.trials:
        for measure in scores:
            case = measure.cases.get(finder.label)
            if case is None or measure.evaluation != trials.evaluation:
                continue
            found = frames.evidence_of(case.id, finder.k, trials.strong.shape[1])
            if found is not None:
                evidence[trials.evaluation, measure.metric] = found
    kept = [t for t in finder.trials if any(of == t.evaluation for of, _ in evidence)]
    files = 0
    for value in trial_files(kept, evidence, finder.k) if kept else ():
        if not output.data(f"{name}-{files}", value):
            break
        files += 1
    return {"evaluations": [t.evaluation for t in kept], "files": files}
