"""The tables of single units in a run folder: what the explorer of the page is made from.

`exemplars.parquet` (the most and least activating images of each direction), `directions.parquet`
(its responses to all images), `unit_trials.parquet` (images of its trials), `unit_evidence.parquet`
(what the observer saw in them under each metric), `images.parquet`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from iibench.contract.evaluations import UnitTrials
    from iibench.contract.reports import Exemplars, ResponseFacts

#: Labels of a finder's directions: dataset, model, layer, finder.
Stem = tuple[str, str, str, str]
STEM = ("dataset", "model", "layer", "finder")


@dataclass(frozen=True)
class UnitTables:
    """What is known about single units, by the labels of their finder.

    `trials`: (stem, evaluation label) -> the trials' images, the same for every metric. `evidence`:
    case id -> (K, T, 2). `images`: (dataset label, index) -> PNG or JPEG.
    """

    exemplars: Sequence[Exemplars] = ()
    responses: Mapping[Stem, ResponseFacts] = field(default_factory=dict)
    trials: Mapping[tuple[Stem, str], UnitTrials] = field(default_factory=dict)
    evidence: Mapping[str, Any] = field(default_factory=dict)
    images: Mapping[tuple[str, int], bytes] = field(default_factory=dict)


def write_unit_tables(folder: Path, tables: UnitTables) -> None:
    """Writes all of them into an existing folder."""
    frames = {
        "exemplars": exemplars_frame(tables.exemplars),
        "directions": directions_frame(tables.responses),
        "unit_trials": unit_trials_frame(tables.trials),
        "unit_evidence": unit_evidence_frame(tables.evidence),
        "images": images_frame(tables.images),
    }
    for name, frame in frames.items():
        frame.to_parquet(folder / f"{name}.parquet", index=False)


def read_unit_table(folder: Path, name: str) -> pd.DataFrame:
    """One of the tables; empty, with its columns, where an older run has none."""
    import pandas as pd

    file = folder / f"{name}.parquet"
    if file.is_file():
        frame = pd.read_parquet(file)
        if name == "exemplars" and "side" not in frame:  # schema version 1
            frame.insert(list(frame.columns).index("unit"), "side", "top")
        return frame
    empty = {
        "exemplars": lambda: exemplars_frame(()),
        "directions": lambda: directions_frame({}),
        "unit_trials": lambda: unit_trials_frame({}),
        "unit_evidence": lambda: unit_evidence_frame({}),
        "images": lambda: images_frame({}),
    }
    return empty[name]()


def exemplars_frame(exemplars: Sequence[Exemplars]) -> pd.DataFrame:
    """dataset, model, layer, finder, side ("top", "bottom"), unit, rank, image, response."""
    columns: dict[str, list[Any]] = {
        name: [] for name in (*STEM, "side", "unit", "rank", "image", "response")
    }
    for item in exemplars:
        for side, images, responses in (
            ("top", item.images, item.responses),
            ("bottom", item.bottom, item.bottom_responses),
        ):
            k, m = images.shape
            for name in STEM:
                columns[name].append(np.full(k * m, getattr(item, name), object))
            columns["side"].append(np.full(k * m, side, object))
            columns["unit"].append(np.repeat(np.arange(k, dtype=np.int32), m))
            columns["rank"].append(np.tile(np.arange(m, dtype=np.int32), k))
            columns["image"].append(images.ravel())
            columns["response"].append(np.asarray(responses, np.float32).ravel())
    return _frame(columns)


def directions_frame(facts: Mapping[Stem, ResponseFacts]) -> pd.DataFrame:
    """dataset, model, layer, finder, unit, low, high, counts (list), sparseness, positive."""
    columns: dict[str, list[Any]] = {
        name: [] for name in (*STEM, "unit", "low", "high", "counts", "sparseness", "positive")
    }
    for stem, item in facts.items():
        k = len(item.low)
        for name, text in zip(STEM, stem, strict=True):
            columns[name].append(np.full(k, text, object))
        columns["unit"].append(np.arange(k, dtype=np.int32))
        columns["counts"].append(_rows(item.counts))
        for name in ("low", "high", "sparseness", "positive"):
            columns[name].append(getattr(item, name))
    return _frame(columns)


def unit_trials_frame(trials: Mapping[tuple[Stem, str], UnitTrials]) -> pd.DataFrame:
    """dataset, model, layer, finder, evaluation, unit, trial, strong, weak, strong_references (list),
    weak_references (list, empty where the observer does not look at them)."""
    columns: dict[str, list[Any]] = {
        name: []
        for name in (
            *(*STEM, "evaluation", "unit", "trial", "strong", "weak"),
            *("strong_references", "weak_references"),
        )
    }
    for (stem, evaluation), item in trials.items():
        k, t = item.strong.shape
        for name, text in zip((*STEM, "evaluation"), (*stem, evaluation), strict=True):
            columns[name].append(np.full(k * t, text, object))
        columns["unit"].append(np.repeat(np.arange(k, dtype=np.int32), t))
        columns["trial"].append(np.tile(np.arange(t, dtype=np.int32), k))
        columns["strong"].append(item.strong.ravel().astype(np.int32))
        columns["weak"].append(item.weak.ravel().astype(np.int32))
        for name in ("strong_references", "weak_references"):
            columns[name].append(_rows(getattr(item, name).reshape(k * t, -1).astype(np.int32)))
    return _frame(columns)


def unit_evidence_frame(evidence: Mapping[str, Any]) -> pd.DataFrame:
    """case, unit, trial, strong, weak: the observer's evidence for either query, of scored units."""
    columns: dict[str, list[Any]] = {
        name: [] for name in ("case", "unit", "trial", "strong", "weak")
    }
    for case, values in evidence.items():
        k, t = values.shape[:2]
        kept = ~np.isnan(values).any(axis=2).ravel()
        columns["case"].append(np.full(kept.sum(), case, object))
        columns["unit"].append(np.repeat(np.arange(k, dtype=np.int32), t)[kept])
        columns["trial"].append(np.tile(np.arange(t, dtype=np.int32), k)[kept])
        for side, name in enumerate(("strong", "weak")):
            columns[name].append(np.asarray(values[..., side], np.float64).ravel()[kept])
    return _frame(columns)


def images_frame(images: Mapping[tuple[str, int], bytes]) -> pd.DataFrame:
    """dataset, image (index), png (bytes of a PNG or JPEG file)."""
    import pandas as pd

    keys = sorted(images)
    return pd.DataFrame(
        {
            "dataset": [dataset for dataset, _ in keys],
            "image": [image for _, image in keys],
            "png": [images[key] for key in keys],
        }
    )


def _rows(values: Any) -> Any:
    """The rows of a matrix as objects of one column."""
    found = np.empty(len(values), object)
    found[:] = list(values)
    return found


def _frame(columns: Mapping[str, Sequence[Any]]) -> pd.DataFrame:
    """Columns from their parts; names that repeat are kept as categories."""
    import pandas as pd

    frame = pd.DataFrame(
        {name: np.concatenate(parts) if parts else [] for name, parts in columns.items()}
    )
    for name in {*STEM, "side", "evaluation", "case"} & set(frame.columns):
        frame[name] = frame[name].astype("category")
    return frame
