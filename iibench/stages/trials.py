"""The stages of trial cases: images -> similarities within stimuli -> what an evaluation makes of them.

Similarities are kept in the cache stimulus by stimulus as they are computed, for all parts of a metric
at once; every observer and evaluation starts from them.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from iibench.cache.budget import share
from iibench.compute.border import real_array
from iibench.compute.handed import frozen, handed
from iibench.compute.similarity.within_trials import TrialMetric, iter_rows, row_width, split_rows
from iibench.contract.base import Work
from iibench.contract.errors import PluginError, Skip
from iibench.contract.measures import Curve, Measure
from iibench.contract.reports import TrialReport
from iibench.contract.trials import TrialEvaluationSpec, TrialInputs, TrialScores, TrialSimilarities
from iibench.results.details_check import curve_problems, measure_problems
from iibench.stages.context import Progress, StageContext
from iibench.stages.kept import Kept
from iibench.stages.keys import Key, metric_of, trial_seed
from iibench.stages.reading import reading_cost
from iibench.stages.similarities import SimilarityStage
from iibench.suite.cases import Choice, TrialCase

if TYPE_CHECKING:
    from iibench.cache.entries import Blob
    from iibench.contract.arrays import DoubleArray, FloatArray
    from iibench.contract.trials import Stimuli, TrialDataset
    from iibench.stages.account import Account, Source


#: Seconds of a case that declares no work.
GUESSED_SECONDS = 1.0
#: Passes over the embeddings of the images of a stimulus that comparing them takes.
ROW_PASSES = 1.0


@dataclass(frozen=True)
class TrialResult:
    """What a case found, and whether it came from the cache."""

    scores: TrialScores
    cached: bool


@dataclass(frozen=True)
class TrialStage:
    """Computes similarities within stimuli, evaluates trials and keeps both.

    `similarities`: what the cost of embeddings and comparisons is asked of.
    """

    context: StageContext
    similarities: SimilarityStage
    form: Literal["trial_scores"] = "trial_scores"

    def of(self, case: TrialCase) -> TrialResult:
        """What the case's evaluation finds. Raises `Skip`, `CaseError` or what a plugin raises."""
        spec = self.context.inputs.registry.evaluations[case.evaluation.name].spec
        if not isinstance(spec, TrialEvaluationSpec):
            raise PluginError(f"{case.evaluation.label} is no evaluation of trials")
        dataset = self.context.inputs.trials(case)
        if case.metric is not None and not dataset.trials.shown.any():
            raise Skip(
                f"{case.dataset.label} has no stimulus whose images are to be had, so a metric has "
                "nothing to look at"
            )
        key = self.context.keys.trial_scores(case)
        blob = self.context.cache.load(self.form, key.hash)
        if blob is not None:
            return TrialResult(_from_blob(blob), True)
        similarities, notes = (None, ()) if case.metric is None else self.within(case)
        size = len(dataset.trials), len(dataset.trials.units)
        with self.context.clock.stage(
            f"evaluation {case.evaluation.name}", rate=_rate(case, *size)
        ):
            found = self._judged(case, spec, dataset.trials, similarities)
        found = _checked(found, dataset, case.evaluation.label)
        found = dataclasses.replace(found, notes=(*found.notes, *notes))
        arrays, meta = _to_blob(found)
        self.context.cache.store(self.form, key.hash, key.description, arrays, meta)
        return TrialResult(found, False)

    def _judged(
        self,
        case: TrialCase,
        spec: TrialEvaluationSpec,
        trials: Stimuli,
        similarities: TrialSimilarities | None,
    ) -> Any:
        """What the evaluation gives; a write to what it is handed is its error, and what it changed goes."""
        who = f"evaluation {case.evaluation.label}"
        inputs = TrialInputs(frozen(trials), frozen(similarities), trial_seed(case))
        try:
            with (
                handed(who, "trials", inputs.trials),
                handed(who, "similarities", inputs.similarities),
            ):
                return spec.judge(case.evaluation.params, inputs)
        except PluginError:
            self.context.inputs.forget_dataset(case)
            if case.metric is not None:
                self.context.inputs.memo.forget(f"value/{self.context.keys.trial_rows(case).hash}")
            raise

    def key(self, case: TrialCase) -> Key:
        """Of what the case found."""
        return self.context.keys.trial_scores(case)

    def is_cached(self, case: TrialCase) -> bool:
        """Whether the scores are in the cache; loads what their key needs, computes nothing."""
        return self.context.cache.has(self.form, self.key(case).hash)

    def report(self, case: TrialCase, **common: Any) -> TrialReport:
        """A report of the case without scores; `common`: what reports of all cases have."""
        spec = self.context.inputs.registry.evaluations[case.evaluation.name].spec
        headline = str(getattr(spec, "headline_measure", ""))
        return TrialReport(**common, headline=headline, seeds={"draws": trial_seed(case)})

    def first_of_many(self, case: TrialCase) -> str:
        """What the case computes that others start from and no task of its own does: the similarities of
        its metric; "" where it has none."""
        return "" if case.metric is None else self.context.keys.trial_rows(case).hash

    def results(self, case: TrialCase) -> tuple[Kept, ...]:
        """What the cache keeps of the case itself."""
        return (Kept(self.form, self.key(case).hash),)

    def starts_from(self, case: TrialCase) -> Iterator[Kept]:
        """What the cache keeps of what the case starts from."""
        if case.metric is not None:
            yield Kept("trial_similarities", self.context.keys.trial_rows(case).hash, "rows")

    def within(self, case: TrialCase) -> tuple[TrialSimilarities, tuple[str, ...]]:
        """Similarities under the case's metric (its part), and a note on how they were computed."""
        choice = metric_of(case)
        spec = self.context.inputs.registry.metrics[choice.name].spec
        parts = ("", *spec.parts(choice.params))
        trials = self.context.inputs.trials(case).trials
        key = self.context.keys.trial_rows(case).hash
        rows, notes = self.context.inputs.memo.once(
            f"value/{key}", lambda: self._computed(case, choice, parts)
        )
        found = split_rows(rows, trials, parts)[parts.index(choice.part or "")]
        return found, notes

    def _computed(
        self, case: TrialCase, choice: Choice, parts: tuple[str, ...]
    ) -> tuple[FloatArray, tuple[str, ...]]:
        """(S, width) rows, NaN where a stimulus has no images; what is missing is computed and kept."""
        dataset = self.context.inputs.trials(case)
        trials, shown = dataset.trials, np.flatnonzero(dataset.trials.shown)
        key = self.context.keys.trial_rows(case)
        width = row_width(trials, parts)
        store = self.context.cache.rows(
            "trial_similarities", key.hash, key.description, len(trials), width
        )
        stage = f"similarities {choice.name} on {case.dataset.label}"
        notes: list[str] = []
        with store.filling():
            missing = store.missing(shown)
            if not missing.size:
                self.context.tell(Progress(stage, 0, 0, "images"))
            else:
                spec = self.context.inputs.registry.metrics[choice.name].spec
                metric = TrialMetric(
                    spec, self.context.inputs.metric(choice), spec.size(choice.params), parts
                )
                with self.context.clock.stage(stage, len(missing), stage):
                    for stimuli, values in iter_rows(
                        metric,
                        dataset,
                        missing,
                        self.context.device,
                        memory=share(self.context.settings.memory, "embeddings"),
                        precision=self.context.settings.precision,
                        progress=lambda done, total: self.context.tell(
                            Progress(stage, done, total, "images")
                        ),
                        passes=lambda forward, distinct: notes.append(
                            f"{choice.name}: {distinct:,} distinct images, {forward:,} forward passes"
                        ),
                    ):
                        store.put(stimuli, values)
        rows = np.full((len(trials), width), np.nan, np.float32)
        rows[shown] = store.array()[shown]
        return rows, tuple(notes)

    # ------------------------------------------------------------------------------ cost

    def cost(self, case: TrialCase, account: Account) -> None:
        """Adds what the case takes, with all that it starts from and no earlier case had."""
        spec = self.context.inputs.registry.evaluations[case.evaluation.name].spec
        trials, stage = (
            self.context.inputs.trials(case).trials,
            f"evaluation {case.evaluation.name}",
        )
        if case.metric is not None and account.new(self.context.keys.trial_rows(case).hash):
            self._within_cost(case, account)
        rate = account.rates.get(_rate(case, len(trials), len(trials.units)))
        if self.is_cached(case):
            account.add(stage, "cases", 0, 1)
        elif rate is not None:
            account.add(stage, "cases", 1, 0, rate, "measured")
        elif isinstance(spec, TrialEvaluationSpec) and spec.work is not None:
            seconds = account.speed(spec.work(case.evaluation.params, trials))
            account.add(stage, "cases", 1, 0, seconds, "counted")
        else:
            account.add(stage, "cases", 1, 0, GUESSED_SECONDS, "guess")

    def _within_cost(self, case: TrialCase, account: Account) -> None:
        """Similarities within stimuli: each image embedded once, then pairs within each stimulus."""
        choice, dataset = metric_of(case), self.context.inputs.trials(case)
        (kept,) = self.starts_from(case)
        store = self.context.cache.existing_rows(kept.kind, kept.key)
        trials, shown = dataset.trials, int(dataset.trials.shown.sum())
        present = 0 if store is None else store.count()
        stage, to_do = f"similarities {choice.name} on {case.dataset.label}", shown - present
        rate = account.rates.get(stage)
        source: Source = "measured"
        seconds = 0.0 if rate is None else rate * to_do
        if rate is None and to_do:
            source = "timed"
            spec = self.context.inputs.registry.metrics[choice.name].spec
            f, g = trials.references.shape[1], trials.opposite.shape[1]
            pairs = float(to_do) * (2 + f) * (f + g)
            if spec.distance in {None, "own"}:
                seconds = pairs * self.similarities.pair_seconds(case, account)
            if self.similarities.embeds_images(case):
                timed = self.similarities.timed(case, account)
                images = [
                    x[trials.shown].ravel()
                    for x in (trials.queries, trials.references, trials.opposite)
                ]
                distinct = len(np.unique(np.concatenate(images))) * to_do / max(1, shown)
                each = timed.seconds + reading_cost(dataset, case.dataset.label, account)
                rows = float(to_do) * (2 + f + g) * timed.width
                seconds += distinct * each + account.speed(Work(values=ROW_PASSES * rows))
                held = int(distinct * timed.width * 4)
                account.need(min(held, share(self.context.settings.memory, "embeddings")))
        account.add(stage, "stimuli", to_do, present, seconds, source)


def _rate(case: TrialCase, stimuli: int, units: int) -> str:
    metric = "" if case.metric is None else f"/{case.metric.label}"
    return f"evaluation {case.evaluation.label}{metric} {stimuli}x{units}"


def _checked(found: Any, dataset: TrialDataset, label: str) -> TrialScores:
    """What an evaluation gave, its arrays as float64 of their own."""
    trials, who = dataset.trials, f"evaluation {label}"
    if not isinstance(found, TrialScores):
        raise PluginError(f"{who} gave {type(found).__name__}, expected TrialScores")
    margins, resampled = found.margins, found.resampled
    if margins is not None and np.shape(margins) != (len(trials),):
        raise PluginError(f"{who}: {np.shape(margins)} margins for {len(trials)} stimuli")
    for name, values in found.per_unit.items():
        if np.shape(values) != (len(trials.units),):
            raise PluginError(
                f"{who}: {np.shape(values)} values of {name} for {len(trials.units)} units"
            )

    def doubles(what: str, values: Any) -> DoubleArray:
        doubles: DoubleArray = real_array(values, who, what, (None,), nan=True).astype(np.float64)
        return doubles

    of_measures, of_curves = (
        map(measure_problems, found.measures),
        map(curve_problems, found.curves),
    )
    for problem in itertools.chain(*of_measures, *of_curves):
        raise PluginError(f"{who}: {problem}")
    for measure in found.measures:
        if (measure.value is None) != (measure.reason is not None):
            raise PluginError(
                f"{who}: the measure {measure.name} must have a value or else a reason"
            )
    for note in found.notes:
        if not isinstance(note, str):
            raise PluginError(f"{who} gave the note {note!r}; expected a sentence")
    return dataclasses.replace(
        found,
        margins=None if margins is None else doubles("margins", margins),
        per_unit={name: doubles(name, values) for name, values in found.per_unit.items()},
        resampled=None if resampled is None else doubles("resampled values", resampled),
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
