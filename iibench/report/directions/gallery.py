"""Which units and images the page shows: the MEIs of units at quantiles of their score (Fig. 4).

Notation: K units, M exemplars (MEIs) of each, `images` (K, M) indices into the evaluated split.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from iibench.contract.details import images_shown

if TYPE_CHECKING:
    from iibench.contract.arrays import IntArray
    from iibench.contract.evaluations import UnitTrials
    from iibench.contract.reports import CaseReport, Exemplars
    from iibench.report.directions.tables import Place
    from iibench.results.unit_tables import Stem

QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)
#: MEIs shown of each unit.
SHOWN = 5


def units_at_quantiles(scores: Sequence[float | None], q: Sequence[float]) -> list[int]:
    """The unit at each quantile of the scored units: position round(q (n - 1)) by ascending score.

    Ties go to the lower unit. Empty where no unit is scored; None and NaN are unscored.
    """
    values = np.array([np.nan if s is None else s for s in scores], np.float64)
    scored = np.flatnonzero(~np.isnan(values))
    if not len(scored):
        return []
    order = scored[np.argsort(values[scored], kind="stable")]
    return [int(order[int(np.floor(share * (len(order) - 1) + 0.5))]) for share in q]


def shown_cases(
    cases: Sequence[CaseReport], evaluations: Mapping[str, Mapping[str, Any]]
) -> list[CaseReport]:
    """The cases with a gallery: scored, of a `box` evaluation, on a whole metric.

    `evaluations`: label -> record with `plot`.
    """
    return [
        case
        for case in cases
        if case.scored
        and any(score is not None for score in case.scores)
        and (case.metric is None or case.metric.part is None)
        and evaluations.get(case.evaluation.label, {}).get("plot") == "box"
    ]


def images_by_importance(
    reports: Sequence[CaseReport],
    exemplars: Sequence[Exemplars],
    trials: Mapping[tuple[Stem, str], UnitTrials],
    evaluations: Mapping[str, Mapping[str, Any]],
) -> dict[str, list[int]]:
    """Dataset label -> indices of the images that pages about these cases show, each once.

    The most important first: the MEIs of the units in the gallery, what analyses show, the MEIs of all
    units, their least activating images, then the queries of trials, then the references.
    `evaluations`: as for `shown_cases`.
    """
    by_stem = {(e.dataset, e.model, e.layer, e.finder): e.images for e in exemplars}
    found: dict[str, list[IntArray]] = {}

    def add(dataset: str, images: IntArray) -> None:
        found.setdefault(dataset, []).append(np.asarray(images, np.int64).ravel())

    for case in shown_cases(reports, evaluations):
        images = by_stem.get(case.stem)
        if images is not None:
            units = units_at_quantiles(case.scores, QUANTILES)
            add(case.dataset, np.asarray(images)[units, :SHOWN])
    for case in reports:
        if case.details is not None:
            add(case.dataset, np.fromiter(images_shown(case.details), np.int64))
    for side in ("images", "bottom"):
        for item in exemplars:
            add(item.dataset, getattr(item, side))
    for names in (("strong", "weak"), ("strong_references", "weak_references")):
        for (stem, _), shown in trials.items():
            for name in names:
                add(stem[0], getattr(shown, name))
    return {dataset: once(parts).tolist() for dataset, parts in found.items()}


def once(parts: Sequence[IntArray]) -> IntArray:
    """The numbers of all parts, each once, in the order in which they first come."""
    import pandas as pd

    flat = [np.asarray(part, np.int64).ravel() for part in parts]
    joined = np.concatenate(flat) if flat else np.zeros(0, np.int64)
    first: IntArray = pd.unique(joined)
    return first


def gallery_entries(
    place: Place, images: Mapping[str, IntArray], evaluations: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """What the gallery of a place shows: an entry per finder and measure, the main measure first.

    `images`: finder label -> (K, M) image indices, strongest first. `evaluations`: as for `shown_cases`.
    An entry: `finder`, `measure`, `decimals`, and `units`, one per quantile: `q`, `unit`, `score`,
    `images`.
    """
    rows = [
        (row.case, view) for family in place.families for view in family.whole for row in view.rows
    ]
    shown = {case.id for case in shown_cases([case for case, _ in rows], evaluations)}
    entries = []
    for case, view in rows:
        if case.id not in shown or case.finder.label not in images:
            continue
        units = units_at_quantiles(case.scores, QUANTILES)
        entries.append(
            {
                "finder": case.finder.label,
                "measure": f"{view.evaluation} · {view.metric}",
                "decimals": view.decimals,
                "units": [
                    {
                        "q": q,
                        "unit": unit,
                        "score": case.scores[unit],
                        "images": [
                            int(i) for i in images[case.finder.label][unit, :SHOWN] if i >= 0
                        ],
                    }
                    for q, unit in zip(QUANTILES, units, strict=True)
                ],
            }
        )
    return entries
