"""The stages of a run's cases, made whole in one place, and the questions that all cases answer alike."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol

from iibench.stages.directions import DirectionStage
from iibench.stages.responses import ResponseStage
from iibench.stages.scores import ScoreStage
from iibench.stages.similarities import SimilarityStage
from iibench.stages.trials import TrialStage
from iibench.suite.cases import TrialCase

if TYPE_CHECKING:
    from iibench.contract.reports import Report
    from iibench.stages.account import Account
    from iibench.stages.demand import Demand
    from iibench.stages.harness import LocalHarness
    from iibench.stages.kept import Kept
    from iibench.stages.keys import Key
    from iibench.suite.cases import AnyCase


class CaseResult(Protocol):
    """What a case found, and whether it came from the cache."""

    @property
    def cached(self) -> bool: ...


class CaseStage(Protocol):
    """The last stage of a case, on directions or on trials: what a run asks of every case."""

    @property
    def form(self) -> str:
        """The kind of the scores in the cache."""

    def of(self, case: Any) -> CaseResult:
        """What the case found. Raises `Skip`, `CaseError` or what a plugin raises."""

    def key(self, case: Any) -> Key:
        """Of what the case found."""

    def is_cached(self, case: Any) -> bool:
        """Whether that is in the cache; loads what its key needs, computes nothing."""

    def report(self, case: Any, **common: Any) -> Report:
        """A report of the case without scores; `common`: what reports of all cases have."""

    def first_of_many(self, case: Any) -> str:
        """Names what the case computes that others start from and no task of its own does, or ""."""

    def results(self, case: Any) -> Iterable[Kept]:
        """What the cache keeps of the case itself."""

    def starts_from(self, case: Any) -> Iterable[Kept]:
        """What the cache keeps of what the case starts from."""

    def cost(self, case: Any, account: Account) -> None:
        """Adds what the case takes, with all that it starts from and no earlier case had."""


class CaseStages:
    """Computes and keeps the stages of a run's cases.

    Values are kept in memory within a run and in the cache between runs, under the keys of keys.py. A
    stage that failed fails again with the same error for every case that needs it.
    """

    def __init__(self, harness: LocalHarness, demand: Demand) -> None:
        self.context = context = harness.context
        self.demand = demand
        self.activations = harness.activation_stage
        self.directions = DirectionStage(context, self.activations)
        self.responses = ResponseStage(context, self.activations, self.directions)
        self.similarities = SimilarityStage(context, demand)
        self.scores = ScoreStage(
            context,
            self.activations,
            self.directions,
            self.responses,
            self.similarities,
            demand,
        )
        self.trials = TrialStage(context, self.similarities)

    def of(self, case: AnyCase) -> CaseStage:
        """The last stage of the case."""
        return self.trials if isinstance(case, TrialCase) else self.scores
