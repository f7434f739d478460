"""Do the intervals of areas and ceilings cover what was put in? Bias and coverage on simulated answers.

    python -m tests.benchmarks.agreement_coverage [--datasets N] [--scenario NAME] [--seed N]

The design is that of a published experiment: 63 people judge 40 of 80 units each, one of 11 stimuli of a
unit in turn, which gives 2,520 answers, two to four to most stimuli. Units and stimuli are random;
the truth is the value for infinitely many of them. `tests/test_ceilings.py` runs a few of these data sets.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from iibench.contract.trials import Answers
from iibench.statistics.agreement import auc, auc_resampled
from iibench.statistics.ceilings import fitted_ceiling, ideal_auc, leave_one_out_auc
from iibench.statistics.reliability import split_half
from iibench.statistics.resampling import interval, resample_units

UNITS, STIMULI, PEOPLE, EACH = 80, 11, 63, 40
#: units of the one large data set that stands for infinitely many
LARGE = 100_000

Truth = Callable[[np.random.Generator, int], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Simulated:
    """Probabilities, margins and units of S stimuli with the answers given to them."""

    p: np.ndarray
    margins: np.ndarray
    unit: np.ndarray
    first: np.ndarray
    second: np.ndarray
    answers: Answers


def beta(rng: np.random.Generator, units: int) -> tuple[np.ndarray, np.ndarray]:
    """p ~ Beta(4.1, 0.9), alike within and between units; margins see logit(p) in noise."""
    p = rng.beta(4.1, 0.9, (units, STIMULI)).clip(1e-9, 1 - 1e-9)
    return p, logit(p) + rng.normal(0, 3, p.shape)


def logistic(rng: np.random.Generator, units: int) -> tuple[np.ndarray, np.ndarray]:
    """p = sigmoid(2 + 1.3 z), alike within and between units; margins see z in noise."""
    z = rng.normal(size=(units, STIMULI))
    return expit(2 + 1.3 * z), z + rng.normal(0, 1.5, z.shape)


def clustered(rng: np.random.Generator, units: int) -> tuple[np.ndarray, np.ndarray]:
    """The same variance, half of it between units; half of the margins' noise is the unit's, too."""
    z = (rng.normal(size=(units, 1)) + rng.normal(size=(units, STIMULI))) / np.sqrt(2)
    noise = (rng.normal(size=(units, 1)) + rng.normal(size=(units, STIMULI))) / np.sqrt(2)
    return expit(2 + 1.3 * z), z + 1.5 * noise


def no_variation(rng: np.random.Generator, units: int) -> tuple[np.ndarray, np.ndarray]:
    """p = 0.83 throughout: nothing to be predicted."""
    return np.full((units, STIMULI), 0.83), rng.normal(size=(units, STIMULI))


SCENARIOS: dict[str, Truth] = {
    "beta": beta,
    "logistic": logistic,
    "clustered": clustered,
    "no_variation": no_variation,
}


def simulate(truth: Truth, rng: np.random.Generator, blocks: int = 1) -> Simulated:
    """`blocks` experiments of the design, with units and people of their own."""
    p, margins = truth(rng, UNITS * blocks)
    # (blocks, people, units): who judges what, and which stimulus of the unit is next in turn
    order = rng.random((blocks, PEOPLE, UNITS)).argsort(axis=2).argsort(axis=2)
    judged = order < EACH
    turn = judged.cumsum(axis=1) + rng.integers(0, STIMULI, (blocks, 1, UNITS))
    block, person, unit = np.nonzero(judged)
    shown = (block * UNITS + unit) * STIMULI + turn[judged] % STIMULI
    chose_first = rng.random(len(shown)) < p.ravel()[shown]
    answers = Answers(
        stimulus=shown,
        first=chose_first,
        count=np.ones(len(shown), np.int64),
        confidence=np.zeros(len(shown), np.int64),
        participant=block * PEOPLE + person,
    )
    n = np.bincount(shown, minlength=p.size)
    first = np.bincount(shown[chose_first], minlength=p.size)
    unit_of = np.repeat(np.arange(UNITS * blocks), STIMULI)
    return Simulated(p.ravel(), margins.ravel(), unit_of, first, n - first, answers)


def by_answer(answers: Answers) -> Answers:
    """The same answers, participants unknown."""
    nobody = np.full(len(answers.stimulus), -1)
    return Answers(answers.stimulus, answers.first, answers.count, answers.confidence, nobody)


def unit_correlation(data: Simulated) -> float:
    """Pearson's r of units' observed accuracy with its expectation, given the stimuli shown."""
    n = data.first + data.second
    total = np.bincount(data.unit, n)
    expected = np.bincount(data.unit, n * data.p) / total
    if np.ptp(expected) < 1e-9:
        return 0.0
    return float(np.corrcoef(expected, np.bincount(data.unit, data.first) / total)[0, 1])


def population(truth: Truth, seed: int) -> dict[str, float]:
    """What each estimate is about, from one very large data set."""
    rng = np.random.default_rng([seed, 1])
    data = simulate(truth, rng, LARGE // UNITS)
    once = np.ones((1, LARGE), np.int32)
    ideal = ideal_auc(data.p, np.ones(len(data.p)))
    r = unit_correlation(data)
    return {
        "auc of the margin": auc(data.margins, data.p, 1 - data.p),
        "leave-one-out": leave_one_out_auc(data.first, data.second, data.unit, once).value or 0.0,
        "ceiling, beta": ideal,
        "ceiling, logit-normal": ideal,
        "split half, participants": r,
        "split half, answers": r,
        "split half, fixed stimuli": r,
    }


Estimate = tuple[float | None, float | None, float | None]


def estimates(data: Simulated, seed: int, resamples: int, refits: int) -> dict[str, Estimate]:
    """Each estimate of one data set with its interval."""
    counts = resample_units(data.unit, resamples, seed)
    first, second, unit = data.first, data.second, data.unit
    resampled = auc_resampled(data.margins, first, second, unit, counts)
    loo = leave_one_out_auc(first, second, unit, counts)
    fits = [
        fitted_ceiling(first, second, unit, counts, family, refits)
        for family in ("beta", "logit_normal")
    ]
    halves = {
        "participants": split_half(data.answers, unit, counts),
        "answers": split_half(by_answer(data.answers), unit, counts),
        "fixed stimuli": split_half(data.answers, unit, counts, fixed_stimuli=True),
    }
    found: dict[str, Estimate] = {
        "auc of the margin": (auc(data.margins, first, second), *interval(resampled, UNITS)),
        "leave-one-out": (loo.value, loo.low, loo.high),
        "ceiling, beta": (fits[0].value, fits[0].low, fits[0].high),
        "ceiling, logit-normal": (fits[1].value, fits[1].low, fits[1].high),
    }
    for name, half in halves.items():
        found[f"split half, {name}"] = half.ceiling, half.ceiling_low, half.ceiling_high
    return found


def main() -> None:
    """Prints a table per scenario."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--datasets", type=int, default=200)
    parser.add_argument("--scenario", choices=list(SCENARIOS), action="append")
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--refits", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for name in options.scenario or SCENARIOS:
        started = time.perf_counter()
        truth = population(SCENARIOS[name], options.seed)
        found: dict[str, list[Estimate]] = defaultdict(list)
        for i in range(options.datasets):
            data = simulate(SCENARIOS[name], np.random.default_rng([options.seed, 2, i]))
            for what, values in estimates(data, i, options.resamples, options.refits).items():
                found[what].append(values)
        print(f"\n{name}: {options.datasets} data sets, {time.perf_counter() - started:.0f} s")
        print(f"{'':26}{'truth':>8}{'mean':>8}{'bias':>8}{'sd':>8}{'covered':>9}{'intervals':>11}")
        for what, rows in found.items():
            table = np.array(rows, np.float64)
            has = ~np.isnan(table[:, 1])
            inside = (table[has, 1] <= truth[what]) & (truth[what] <= table[has, 2])
            mean, sd = np.nanmean(table[:, 0]), np.nanstd(table[:, 0], ddof=1)
            print(
                f"{what:26}{truth[what]:8.4f}{mean:8.4f}{mean - truth[what]:8.4f}{sd:8.4f}"
                f"{inside.mean() if has.any() else float('nan'):9.3f}{has.sum():11d}",
                flush=True,
            )


if __name__ == "__main__":
    main()
