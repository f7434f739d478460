"""Runs of random numbers with everything that the unit explorer shows: trials and evidence, too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from iibench.compute.response_facts import BINS
from iibench.contract.evaluations import UnitTrials
from iibench.contract.reports import CaseReport, Exemplars, ResponseFacts
from iibench.results.unit_tables import (
    Stem,
    directions_frame,
    exemplars_frame,
    unit_evidence_frame,
    unit_trials_frame,
)
from iibench.statistics.observers import correct
from tests.report.conftest import SyntheticRun, make_case, make_images, make_meta


@dataclass(frozen=True)
class UnitRun(SyntheticRun):
    """A run whose tables of trials are in memory as well."""

    shown: pd.DataFrame = field(default_factory=lambda: unit_trials_frame({}))
    seen: pd.DataFrame = field(default_factory=lambda: unit_evidence_frame({}))

    def unit_trials(self) -> pd.DataFrame:
        return self.shown

    def unit_evidence(self) -> pd.DataFrame:
        return self.seen


def unit_run(
    finders: Sequence[str] = ("neurons", "pca"),
    metrics: Sequence[str] = ("lpips", "color"),
    k: int = 70,
    n: int = 300,
    trials: int = 6,
    size: int = 32,
    observers: Sequence[str] = ("", ",observer=two_sided"),
    dead: Sequence[int] = (3,),
) -> UnitRun:
    """K units per finder, scored by II and in-silico trials; units of `dead` have no score.

    Some margins are exactly zero. Trials of `eq2` show no weakly activating references.
    """
    rng = np.random.default_rng(0)
    cases: list[CaseReport] = []
    sides: list[Exemplars] = []
    facts: dict[Stem, ResponseFacts] = {}
    shown: dict[tuple[Stem, str], UnitTrials] = {}
    evidence: dict[str, np.ndarray] = {}
    for f, finder in enumerate(finders):
        stem = ("toy", "net", "layer1", finder)
        images = rng.integers(0, n, (2, k, 5))
        responses = -np.sort(-rng.normal(3, 1, (2, k, 5)), axis=2).astype(np.float32)
        sides.append(Exemplars(*stem, images[0], responses[0], images[1], -responses[1]))
        low, high = -rng.random(k), 1 + rng.random(k) * 4
        counts = rng.multinomial(
            n, np.exp(-np.arange(BINS) / 6) / np.exp(-np.arange(BINS) / 6).sum(), k
        )
        facts[stem] = ResponseFacts(low, high, counts, rng.random(k), rng.random(k))
        for metric in metrics:
            scores = -np.abs(rng.normal(0.35 - 0.05 * f, 0.06, k))
            scores[list(dead)] = np.nan
            cases.append(make_case(finder, metric, scores.tolist()))
        for observer in observers:
            label = f"insilico[difficulty=0{observer}]"
            both = 9 if observer else 0
            draw = [rng.integers(0, n, (k, trials, *more)) for more in ((), (), (9,), (both,))]
            shown[stem, label] = UnitTrials(*draw, np.zeros((k, trials, 2)))
            for metric in metrics:
                found = -rng.random((k, trials, 2))
                found[..., 0] += 0.2
                found[::7, 0, 1] = found[::7, 0, 0]  # ties
                found[list(dead)] = np.nan
                margins = (found[..., 0] - found[..., 1]).reshape(-1)
                accuracy = correct(margins).reshape(k, trials).mean(axis=1)
                case = make_case(finder, metric, accuracy.tolist(), label)
                cases.append(case)
                evidence[case.id] = found
    return UnitRun(
        Path("unused"),
        make_meta(cases),
        tuple(cases),
        tops=exemplars_frame(sides),
        facts=directions_frame(facts),
        pngs=make_images("toy", range(n), size),
        shown=unit_trials_frame(shown),
        seen=unit_evidence_frame(evidence),
    )
