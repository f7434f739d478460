"""Scores of directions: what an evaluation makes of responses and similarities."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from iibench.cache.budget import are_mapped, in_gib
from iibench.compute.border import real_array
from iibench.compute.handed import handed, own_mapping, read_only
from iibench.compute.images import names_of
from iibench.contract.base import Work
from iibench.contract.checks import is_count
from iibench.contract.errors import CaseError, PluginError, Skip
from iibench.contract.evaluations import (
    EvaluationInputs,
    EvaluationSpec,
    SimilarityLookup,
    UnitScores,
    UnitTrials,
)
from iibench.contract.reports import CaseReport
from iibench.results.details_io import checked, packed, unpacked
from iibench.stages.activations import ActivationStage
from iibench.stages.analysis_context import CaseContext
from iibench.stages.context import StageContext
from iibench.stages.demand import Demand, NeededImages
from iibench.stages.directions import DirectionStage
from iibench.stages.index_checks import check_unit_trials
from iibench.stages.kept import Kept
from iibench.stages.keys import Key, evaluation_seed, finder_seed
from iibench.stages.responses import ResponseStage
from iibench.stages.similarities import SimilarityStage
from iibench.suite.choices import choice_of, named

if TYPE_CHECKING:
    from iibench.contract.arrays import DoubleArray, IntArray
    from iibench.stages.account import Account, Source
    from iibench.suite.cases import Case

#: Seconds of a case of an analysis that declares no work.
ANALYSIS_GUESS = 10.0


@dataclass(frozen=True)
class Scores:
    """A case's scores, whether they came from the cache, and the notes of its directions."""

    scores: UnitScores
    cached: bool
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ScoreStage:
    """Evaluates directions and keeps their scores."""

    context: StageContext
    activations: ActivationStage
    directions: DirectionStage
    responses: ResponseStage
    similarities: SimilarityStage
    demand: Demand
    form: Literal["scores"] = "scores"

    def of(self, case: Case) -> Scores:
        """The case's score per direction. Raises `Skip`, `CaseError` or what a plugin raises."""
        spec = self._spec(case)
        self._check_metric(case)
        key = self.key(case)
        blob = self.context.cache.load(self.form, key.hash)
        if blob is not None:
            arrays = dict(blob.arrays)
            values, plain = arrays.pop("values"), blob.meta["details"]
            details = None if plain is None else unpacked(arrays, plain)
            reasons = tuple(blob.meta["reasons"])
            scores = UnitScores(values, reasons, blob.meta["trials"], details=details)
            return Scores(scores, True, tuple(blob.meta["notes"]))
        scores = self._evaluate(case, spec)
        notes = self.directions.of(case).notes
        arrays, plain = ({}, None) if scores.details is None else packed(scores.details)
        meta = {
            "reasons": list(scores.reasons),
            "trials": scores.trials,
            "notes": list(notes),
            "details": plain,
        }
        arrays = {"values": scores.values, **arrays}
        self.context.cache.store(self.form, key.hash, key.description, arrays, meta)
        return Scores(scores, False, notes)

    def key(self, case: Case) -> Key:
        """Of the case's scores."""
        return self.context.keys.scores(case)

    def is_cached(self, case: Case) -> bool:
        """Whether the scores are in the cache; loads what their key needs, computes nothing."""
        return self.context.cache.has(self.form, self.key(case).hash)

    def report(self, case: Case, **common: Any) -> CaseReport:
        """A report of the case without scores; `common`: what reports of all cases have."""
        return CaseReport(
            **common,
            model=named(case.model),
            layer=case.layer.label,
            finder=named(case.finder),
            is_analysis=self.context.inputs.registry.evaluations[
                case.evaluation.name
            ].spec.is_analysis,
            seeds={"finder": finder_seed(case), "draws": evaluation_seed(case)},
        )

    def unit_trials(self, case: Case) -> UnitTrials | None:
        """The trials behind the scores of a case of `Demand.shown_trials`; None where it has none."""
        blob = self.context.cache.load("unit_trials", self.key(case).hash)
        if blob is not None:
            return UnitTrials(**blob.arrays) if blob.arrays else None
        return self._evaluate(case, self._spec(case)).unit_trials

    # ------------------------------------------------------------------------------ evaluating

    def _spec(self, case: Case) -> EvaluationSpec:
        spec = self.context.inputs.registry.evaluations[case.evaluation.name].spec
        if not isinstance(spec, EvaluationSpec):
            raise PluginError(f"{case.evaluation.label} is no evaluation of directions")
        return spec

    def _check_metric(self, case: Case) -> None:
        """Raises `Skip` where the dataset has not what the metric looks at."""
        if case.metric is None:
            return
        asks = self.context.inputs.registry.metrics[case.metric.name].spec.input
        evaluated = self.context.inputs.evaluated(case)
        if asks == "labels" and evaluated.labels is None:
            raise Skip(f"{case.metric.label} needs labels and {case.dataset.label} has none")
        if asks == "names":
            names_of(evaluated)

    def _evaluate(self, case: Case, spec: EvaluationSpec) -> UnitScores:
        """Asks the evaluation; what it can show of its trials is kept where the case is to be shown."""
        lookup = _NoSimilarity() if case.metric is None else self.similarities.of(case)
        inputs = self._inputs(case, lookup)
        n, k = inputs.responses.shape
        with self.context.clock.stage(f"evaluation {case.evaluation.name}", rate=_rate(case, n, k)):
            scores = _checked(self._asked(case, spec, inputs), n, k, case.evaluation.label)
        if (scores.details is not None) != spec.is_analysis:
            raise PluginError(
                f"evaluation {case.evaluation.label}: details belong to analyses (plot 'none'), and "
                "each of them has some"
            )
        if scores.details is not None:
            details = checked(scores.details, case.evaluation.label, n)
            scores = dataclasses.replace(scores, details=details)
        if case.id in self.demand.shown_trials:
            self._keep_trials(case, scores.unit_trials)
        return scores

    def _keep_trials(self, case: Case, shown: UnitTrials | None) -> None:
        names = () if shown is None else UnitTrials.__dataclass_fields__
        types = {"evidence": np.float64}
        arrays = {
            name: np.asarray(getattr(shown, name), types.get(name, np.int32)) for name in names
        }
        key = self.key(case)
        self.context.cache.store("unit_trials", key.hash, key.description, arrays, {})

    def _asked(self, case: Case, spec: EvaluationSpec, inputs: EvaluationInputs) -> Any:
        """What the evaluation gives; a write to what it is handed is its error, and what it changed goes."""
        who = f"evaluation {case.evaluation.label}"
        held = self.responses.in_memory(case)
        responses, order = (x if held else None for x in (inputs.responses, inputs.order))
        try:
            with (
                handed(who, "responses", responses),
                handed(who, "order", order),
                handed(who, "labels", inputs.labels),
            ):
                return spec.evaluate(case.evaluation.params, inputs)
        except PluginError:
            self.responses.forget(case)
            raise

    def _inputs(self, case: Case, lookup: SimilarityLookup) -> EvaluationInputs:
        if not self.responses.in_memory(case):
            self.check_blockwise(case)
        labels = self.context.inputs.evaluated(case).labels
        return EvaluationInputs(
            read_only(own_mapping(self.responses.of(case))),
            read_only(own_mapping(self.responses.order(case))),
            lookup,
            None if labels is None else read_only(np.array(labels)),
            evaluation_seed(case),
            CaseContext(self.context, self.activations, self.directions, case),
        )

    def check_blockwise(self, case: Case) -> None:
        """Raises `CaseError` where the case's evaluation cannot take responses that are mapped files."""
        spec = self.context.inputs.registry.evaluations[case.evaluation.name].spec
        if not getattr(spec, "blockwise", False):
            memory = in_gib(self.context.settings.memory)
            raise CaseError(
                f"evaluation {case.evaluation.label} holds the responses of all images to all directions in "
                f"memory, and they need more than a quarter of --memory {memory}; give it more, "
                "or take fewer images (--limit)"
            )

    # ------------------------------------------------------------------------------ what it starts from

    def needed_images(self, case: Case) -> IntArray:
        """Sorted indices of the images that the case will ask its metric to embed.

        Found by evaluating it on a stand-in that calls all images equally alike and remembers what it
        was asked: an evaluation that asks on in the light of an answer may need others besides. Empty
        where the metric embeds no images.
        """
        if not self.similarities.embeds_images(case):
            return np.zeros(0, np.int64)
        needed = NeededImages(len(self.context.inputs.evaluated(case)))
        self._asked(case, self._spec(case), self._inputs(case, needed))
        return needed.indices()

    def needed_key(self, case: Case) -> dict[str, Any]:
        """What decides which images a case asks its metric to embed: all that decides its scores but the
        metric."""
        scores = self.key(case).description
        return {**scores, "stage": "needed images", "embeddings": None, "part": None}

    def tapped_splits(self, case: Case) -> tuple[str, ...]:
        """The splits whose activations are still needed for the case."""
        spec = self.context.inputs.registry.evaluations[case.evaluation.name].spec
        splits = []
        if not self.directions.is_fitted(case):
            splits.append(self.context.keys.fit_split(case))
        if spec.is_analysis or not self.responses.is_cached(case):
            splits.append(case.dataset.evaluate)
        if isinstance(spec, EvaluationSpec) and spec.finders(case.evaluation.params):
            splits.append(case.dataset.fit)
        return tuple(dict.fromkeys(splits))

    def first_of_many(self, case: Case) -> str:
        """What the case computes that others start from and no task of its own does: nothing."""
        return ""

    def results(self, case: Case) -> tuple[Kept, ...]:
        """What the cache keeps of the case itself."""
        key = self.key(case).hash
        return Kept(self.form, key), Kept("unit_trials", key)

    def starts_from(self, case: Case) -> Iterator[Kept]:
        """What the cache keeps of what the case starts from."""
        yield self.directions.kept(case)
        yield from self.responses.kept(case)
        for split in self.tapped_splits(case):
            yield self.activations.kept(case.tap, split)
        if self.similarities.embeds_images(case):
            yield self.similarities.kept(case)

    # ------------------------------------------------------------------------------ cost

    def cost(self, case: Case, account: Account) -> None:
        """Adds what the case takes, with all that it starts from and no earlier case had.

        Raises as the run will.
        """
        stage = f"evaluation {case.evaluation.name}"
        if self.is_cached(case):
            account.add(stage, "cases", 0, 1)
            return
        spec, params = self._spec(case), case.evaluation.params
        n = len(self.context.inputs.evaluated(case))
        k = self.responses.cost(case, account)
        if are_mapped(n, k, self.context.settings.memory):
            self.check_blockwise(case)
        if spec.is_analysis:
            width = self.activations.rows_like(case.tap, account).shape[1]
            self.activations.cost(case.tap, case.dataset.evaluate, account)
            self.activations.hold(case.tap, case.dataset.evaluate, width, account)
        others = [self._fitted_besides(case, label, account) for label in spec.finders(params)]
        images = float(spec.images(params, n)) * k
        seconds, source, pairs = self._own_cost(case, spec, n, k, images, account)
        if case.metric is not None:
            seconds += self.similarities.cost(case, images, pairs, account)
        rate = account.rates.get(_rate(case, n, k))
        if rate is not None:
            seconds, source = rate, "measured"
        account.add(stage, "cases", 1, 0, seconds + (sum(others) if rate is None else 0.0), source)

    def _fitted_besides(self, case: Case, label: str, account: Account) -> float:
        """Seconds of a finder that the evaluation fits itself, to a part of the neurons each time."""
        self.activations.cost(case.tap, case.dataset.fit, account)
        finder = choice_of(label, self.context.inputs.registry.finders)
        return self.directions.fit_cost(dataclasses.replace(case, finder=finder), account).fit

    def _own_cost(
        self, case: Case, spec: EvaluationSpec, n: int, k: int, images: float, account: Account
    ) -> tuple[float, Source, float]:
        """(seconds without similarities, their source, similarities that are asked for)."""
        source: Source = "counted"
        if spec.work is not None:
            work = spec.work(case.evaluation.params, n, k)
        elif spec.is_analysis:
            return ANALYSIS_GUESS, "guess", 0.0
        else:
            work, source = Work(values=10.0 * n * k, steps=20.0 * k, pairs=5 * images), "guess"
        account.need(int(work.memory))
        seconds = account.speed(work) + account.imports(work)
        if work.passes:
            seconds += work.passes * self.activations.timed(case.tap, account).seconds
        return seconds, source, work.pairs


class _NoSimilarity:
    """Stands in for evaluations that use no metric; being asked is the plugin's mistake."""

    def within(self, groups: IntArray) -> DoubleArray:
        raise PluginError("this evaluation declares needs_metric=False and asks for similarities")

    def cross(self, left: IntArray, right: IntArray) -> DoubleArray:
        return self.within(left)


def _rate(case: Case, n: int, k: int) -> str:
    metric = "" if case.metric is None else f"/{case.metric.label}"
    return f"evaluation {case.evaluation.label}{metric} {n}x{k}"


def _checked(scores: Any, n: int, k: int, label: str) -> UnitScores:
    """What an evaluation of k directions on n images gave, its values as float64."""
    who = f"evaluation {label}"
    if not isinstance(scores, UnitScores):
        raise PluginError(f"{who} gave {type(scores).__name__}, expected UnitScores")
    if np.shape(scores.values) != (k,) or len(scores.reasons) != k:
        raise PluginError(f"{who}: {np.shape(scores.values)} scores for {k} directions")
    try:
        values = real_array(scores.values, who, "scores", (k,), nan=True).astype(np.float64)
    except CaseError:  # an infinite one
        values = np.asarray(scores.values, np.float64)
    for value, reason in zip(values, scores.reasons, strict=True):
        said = isinstance(reason, str)
        if np.isnan(value) != said or np.isinf(value) or not (said or reason is None):
            raise PluginError(
                f"{who}: a score must be finite, or NaN with a reason "
                f"(got {value} with reason {reason!r})"
            )
    if not is_count(scores.trials):
        raise PluginError(f"{who} gave trials={scores.trials!r}; expected a whole number from 0")
    if scores.unit_trials is not None:
        check_unit_trials(scores.unit_trials, n, k, who)
    return dataclasses.replace(scores, values=values, trials=int(scores.trials))
