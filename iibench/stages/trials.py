"""The stages of trial cases: images -> similarities within stimuli -> what an evaluation makes of them.

Similarities are kept in the cache stimulus by stimulus as they are computed, for all parts of a metric
at once; every observer and evaluation starts from them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from iibench.cache.entries import Cache
from iibench.compute.similarity.within_trials import TrialMetric, iter_rows, row_width, split_rows
from iibench.contract.errors import PluginError, Skip
from iibench.contract.measures import Curve, Measure
from iibench.contract.trials import TrialEvaluationSpec, TrialInputs, TrialScores, TrialSimilarities
from iibench.stages.inputs import Inputs
from iibench.stages.keys import Keys, metric_of, trial_seed
from iibench.suite.cases import Choice, TrialCase

if TYPE_CHECKING:
    from iibench.cache.entries import Blob
    from iibench.contract.arrays import FloatArray
    from iibench.contract.trials import TrialDataset


@dataclass(frozen=True)
class TrialResult:
    """What a case found, and whether it came from the cache."""

    scores: TrialScores
    cached: bool


@dataclass
class TrialBench:
    """Computes and keeps the stages of trial cases.

    `progress(stage, done, total, unit)`: total 0 says that the stage came from the cache.
    """

    inputs: Inputs
    cache: Cache
    keys: Keys
    progress: Callable[[str, int, int, str], None]
    #: bytes of embeddings held at a time
    memory: int
    #: of metrics; see precision.py
    precision: str = "float32"

    def scores(self, case: TrialCase) -> TrialResult:
        """What the case's evaluation finds. Raises `Skip`, `CaseError` or what a plugin raises."""
        spec = self.inputs.registry.evaluations[case.evaluation.name].spec
        if not isinstance(spec, TrialEvaluationSpec):
            raise PluginError(f"{case.evaluation.label} is no evaluation of trials")
        dataset = self.inputs.trials(case)
        if case.metric is not None and not dataset.trials.shown.any():
            raise Skip(
                f"{case.dataset.label} has no stimulus whose images are to be had, so a metric has "
                "nothing to look at"
            )
        key = self.keys.trial_scores(case)
        blob = self.cache.load("trial_scores", key.hash)
        if blob is not None:
            return TrialResult(_from_blob(blob), True)
        similarities, notes = (None, ()) if case.metric is None else self.similarities(case)
        with self.inputs.clock.stage(f"evaluation {case.evaluation.name}"):
            found = spec.judge(
                case.evaluation.params, TrialInputs(dataset.trials, similarities, trial_seed(case))
            )
        _check(found, dataset, case.evaluation.label)
        found = dataclasses.replace(found, notes=(*found.notes, *notes))
        arrays, meta = _to_blob(found)
        self.cache.store("trial_scores", key.hash, key.description, arrays, meta)
        return TrialResult(found, False)

    def is_cached(self, case: TrialCase) -> bool:
        """Whether the case's scores are in the cache; loads what its key needs, computes nothing."""
        return self.cache.has("trial_scores", self.keys.trial_scores(case).hash)

    def rows_present(self, case: TrialCase) -> tuple[int, int]:
        """(stimuli whose similarities are in the cache, stimuli whose images are to be had)."""
        store = self.cache.existing_rows("trial_similarities", self.keys.trial_rows(case).hash)
        shown = int(self.inputs.trials(case).trials.shown.sum())
        return (0 if store is None else store.count()), shown

    def similarities(self, case: TrialCase) -> tuple[TrialSimilarities, tuple[str, ...]]:
        """Similarities under the case's metric (its part), and a note on how they were computed."""
        choice = metric_of(case)
        spec = self.inputs.registry.metrics[choice.name].spec
        parts = ("", *spec.parts(choice.params))
        trials = self.inputs.trials(case).trials
        key = self.keys.trial_rows(case).hash
        rows, notes = self.inputs.memo.once(
            f"value/{key}", lambda: self._computed(case, choice, parts)
        )
        found = split_rows(rows, trials, parts)[parts.index(choice.part or "")]
        return found, notes

    def _computed(
        self, case: TrialCase, choice: Choice, parts: tuple[str, ...]
    ) -> tuple[FloatArray, tuple[str, ...]]:
        """(S, width) rows, NaN where a stimulus has no images; what is missing is computed and kept."""
        dataset = self.inputs.trials(case)
        trials, shown = dataset.trials, np.flatnonzero(dataset.trials.shown)
        key = self.keys.trial_rows(case)
        width = row_width(trials, parts)
        store = self.cache.rows("trial_similarities", key.hash, key.description, len(trials), width)
        stage = f"similarities {choice.name} on {case.dataset.label}"
        notes: list[str] = []
        with store.filling():
            missing = store.missing(shown)
            if not missing.size:
                self.progress(stage, 0, 0, "images")
            else:
                spec = self.inputs.registry.metrics[choice.name].spec
                metric = TrialMetric(
                    spec, self.inputs.metric(choice), spec.size(choice.params), parts
                )
                with self.inputs.clock.stage(stage, len(missing)):
                    for stimuli, values in iter_rows(
                        metric,
                        dataset,
                        missing,
                        self.inputs.resources.device,
                        memory=self.memory,
                        precision=self.precision,
                        progress=lambda done, total: self.progress(stage, done, total, "images"),
                        passes=lambda forward, distinct: notes.append(
                            f"{choice.name}: {distinct:,} distinct images, {forward:,} forward passes"
                        ),
                    ):
                        store.put(stimuli, values)
        rows = np.full((len(trials), width), np.nan, np.float32)
        rows[shown] = store.array()[shown]
        return rows, tuple(notes)


def _check(found: TrialScores, dataset: TrialDataset, label: str) -> None:
    trials = dataset.trials
    if found.margins is not None and found.margins.shape != (len(trials),):
        raise PluginError(
            f"evaluation {label}: {found.margins.shape} margins for {len(trials)} stimuli"
        )
    for name, values in found.per_unit.items():
        if values.shape != (len(trials.units),):
            raise PluginError(
                f"evaluation {label}: {values.shape} values of {name} for {len(trials.units)} units"
            )
    for measure in found.measures:
        if (measure.value is None) != (measure.reason is not None):
            raise PluginError(
                f"evaluation {label}: the measure {measure.name} must have a value or else a reason"
            )


# ------------------------------------------------------------------------------------ the cache


def _to_blob(found: TrialScores) -> tuple[dict[str, Any], dict[str, Any]]:
    arrays: dict[str, Any] = {f"unit/{name}": values for name, values in found.per_unit.items()}
    if found.margins is not None:
        arrays["margins"] = found.margins
    if found.resampled is not None:
        arrays["resampled"] = found.resampled
    meta = {
        "measures": [dataclasses.asdict(measure) for measure in found.measures],
        "curves": [dataclasses.asdict(curve) for curve in found.curves],
        "notes": list(found.notes),
    }
    return arrays, meta


def _from_blob(blob: Blob) -> TrialScores:
    arrays = dict(blob.arrays)
    margins, resampled = arrays.pop("margins", None), arrays.pop("resampled", None)
    return TrialScores(
        measures=tuple(Measure(**plain) for plain in blob.meta["measures"]),
        margins=margins,
        curves=tuple(
            Curve(plain["name"], tuple(plain["x"]), tuple(plain["y"]), plain["group"])
            for plain in blob.meta["curves"]
        ),
        per_unit={name.removeprefix("unit/"): values for name, values in arrays.items()},
        resampled=resampled,
        notes=tuple(blob.meta["notes"]),
    )
