"""Which units and images the page shows: the MEIs of units at quantiles of their score (Fig. 4).

Notation: K units, M exemplars (MEIs) of each, `images` (K, M) indices into the evaluated split.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from iibench.records import CaseReport
    from iibench.results import Run
    from iibench.specs import IntArray

QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)
#: MEIs shown of each unit.
SHOWN = 5
#: Base64 bytes of images that a page may hold; what does not fit is left out and said.
BUDGET = 3_400_000
#: Images up to this side are shown as they are; larger ones are scaled down to `THUMBNAIL`.
SMALL, THUMBNAIL = 64, 96

Place = tuple[str, str, str]


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
    cases: Sequence[CaseReport], evaluations: Mapping[str, Mapping[str, Any]] | None
) -> list[CaseReport]:
    """The cases with a gallery: scored, of a `box` evaluation, on a whole metric.

    `evaluations`: label -> record with `plot`; without it only the evaluation `ii` counts as `box`.
    """

    def is_box(case: CaseReport) -> bool:
        if evaluations is None:
            return case.evaluation.name == "ii"
        return bool(evaluations.get(case.evaluation.label, {}).get("plot") == "box")

    return [
        case
        for case in cases
        if case.scored
        and any(score is not None for score in case.scores)
        and (case.metric is None or case.metric.part is None)
        and is_box(case)
    ]


def images_needed(
    cases: Sequence[CaseReport],
    exemplars: Mapping[tuple[str, str, str, str], IntArray],
    evaluations: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, list[int]]:
    """Dataset label -> sorted indices of the images that the page of these cases shows.

    `exemplars`: (dataset, model, layer, finder) labels -> (K, M) image indices, strongest first.
    `evaluations`: as for `shown_cases`.
    """
    needed: dict[str, set[int]] = {}
    for case in shown_cases(cases, evaluations):
        images = exemplars.get((case.dataset, case.model.label, case.layer, case.finder.label))
        if images is None:
            continue
        units = units_at_quantiles(case.scores, QUANTILES)
        shown = np.asarray(images)[units, :SHOWN].ravel()
        needed.setdefault(case.dataset, set()).update(int(i) for i in shown)
    return {dataset: sorted(indices) for dataset, indices in needed.items()}


@dataclass
class Album:
    """Images of the page, each once, within a budget of bytes."""

    images: Mapping[tuple[str, int], bytes]
    left: int
    uris: list[str] = field(default_factory=list)
    _index: dict[tuple[str, int], int] = field(default_factory=dict)

    def add(self, keys: Sequence[tuple[str, int]]) -> list[int] | None:
        """Positions of these images in `uris`; None where they do not fit."""
        new = [key for key in dict.fromkeys(keys) if key not in self._index]
        made = [data_uri(self.images[key]) for key in new]
        size = sum(len(uri) + 3 for uri in made)
        if size > self.left:
            return None
        self.left -= size
        for key, uri in zip(new, made, strict=True):
            self._index[key] = len(self.uris)
            self.uris.append(uri)
        return [self._index[key] for key in keys]


def data_uri(png: bytes, side: int = THUMBNAIL) -> str:
    """The image as a data: URI, photographs scaled down to at most `side` pixels a side (JPEG)."""
    width, height = int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")
    if max(width, height) <= SMALL:
        return "data:image/png;base64," + base64.b64encode(png).decode()
    from PIL import Image

    image = Image.open(io.BytesIO(png)).convert("RGB")
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def exemplar_arrays(frame: pd.DataFrame) -> dict[tuple[str, str, str, str], IntArray]:
    """`Run.exemplars()` as (dataset, model, layer, finder) -> (K, M) image indices."""
    found = {}
    names = ["dataset", "model", "layer", "finder"]
    for key, rows in frame.groupby(names, observed=True, sort=False):
        units = int(rows["unit"].max()) + 1
        ordered = rows.sort_values(["unit", "rank"])["image"].to_numpy(np.int64)
        found[tuple(map(str, key))] = ordered.reshape(units, -1)
    return found  # type: ignore[return-value]


def galleries(
    run: Run, ordered: Sequence[tuple[CaseReport, str]], budget: int = BUDGET
) -> tuple[dict[Place, list[dict[str, Any]]], list[str], int]:
    """(place -> its gallery's entries, data URIs they point to, cases that did not fit).

    `ordered`: cases with the name of what they measure, the most important first: where the images are
    more than `budget` bytes as data URIs, the last are left out. An entry: `finder`, `measure`, and
    `units`, one per quantile: `q`, `unit`, `score`, `images` (positions among the URIs).
    """
    if not ordered:
        return {}, [], 0
    album = Album(run.images(), left=budget)
    arrays = exemplar_arrays(run.exemplars())
    found: dict[Place, list[dict[str, Any]]] = {}
    left_out = 0
    for case, measure in ordered:
        place = (case.dataset, case.model.label, case.layer)
        images = arrays.get((*place, case.finder.label))
        if images is None:
            continue
        units = units_at_quantiles(case.scores, QUANTILES)
        shown = images[units, :SHOWN]
        keys = [(case.dataset, int(i)) for i in shown.ravel()]
        if any(key not in album.images for key in keys):
            continue
        positions = album.add(keys)
        if positions is None:
            left_out += 1
            continue
        m = shown.shape[1]
        entry = {
            "finder": case.finder.label,
            "measure": measure,
            "units": [
                {
                    "q": q,
                    "unit": unit,
                    "score": case.scores[unit],
                    "images": positions[row * m : (row + 1) * m],
                }
                for row, (q, unit) in enumerate(zip(QUANTILES, units, strict=True))
            ],
        }
        found.setdefault(place, []).append(entry)
    return found, album.uris, left_out
