"""Does the harness find what was put into the stand-in?

    python -m tests.benchmarks.standin_truth --observers color,lpips,lpips[3] --datasets 200

For each simulated observer the suite `human_agreement` is run: which metric wins, and whether the ceilings
that were computed agree with those that were put in. Then answers are drawn anew many times: from a pool
of units, as many units as a study has are drawn with their stimuli, people answer with the stimuli's true
probabilities, and the interval of an AUC and of its ceiling should hold the pool's true value in 95 %.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

import iibench
from iibench.assets.local import default_cache_dir, default_data_dir
from iibench.contract.config import RunConfig
from iibench.contract.measures import Measure
from iibench.contract.reports import TrialReport
from iibench.hooks.loading import load_plugins
from iibench.results.run import Run
from iibench.runner.session import prepare
from iibench.statistics.agreement import auc, auc_resampled
from iibench.statistics.ceilings import Family, fitted_ceiling, ideal_auc
from iibench.statistics.resampling import interval, resample_units
from iibench_plugins.datasets.imi.standin import release_folder
from iibench_plugins.datasets.imi.standin.files import truth

FAMILIES: tuple[Family, ...] = ("beta", "logit_normal")


def measure(report: TrialReport, name: str) -> Measure:
    return next(m for m in report.measures if m.name == name and not m.group)


def shown(m: Measure) -> str:
    bounds = "" if m.low is None else f" [{m.low:.3f}, {m.high:.3f}]"
    return f"{m.value:.3f}{bounds}" if m.value is not None else f"undefined ({m.reason})"


def probabilities(run: Run, overrides: list[str]) -> np.ndarray:
    """(S,) the true probability of each stimulus of a run."""
    config = RunConfig(
        "human_agreement", default_data_dir(), default_cache_dir(), overrides=tuple(overrides)
    )
    session = prepare(config, load_plugins())
    case = session.cases[0]
    folder = release_folder(case.dataset.params, session.inputs.harness)
    known = truth(folder)
    return np.array([known[name] for name in run.trials()["name"]])


def correlation_put_in(run: Run, p: np.ndarray) -> float:
    """The correlation with observed unit accuracy that a predictor of the true one can expect."""
    trials = run.trials()
    easy = ((trials["condition"] == "natural") & (trials["difficulty"] == "easy")).to_numpy()
    n = (trials["first"] + trials["second"]).to_numpy()
    unit = trials["unit"].to_numpy()
    true, noise = [], []
    for name in np.unique(unit[easy]):
        rows = easy & (unit == name)
        true.append(np.average(p[rows], weights=n[rows]))
        noise.append((n[rows] * p[rows] * (1 - p[rows])).sum() / n[rows].sum() ** 2)
    return float(np.sqrt(np.var(true) / (np.var(true) + np.mean(noise))))


def winners(observers: list[str]) -> None:
    """Which metric wins against which simulated observer, and the ceilings."""
    heads = (
        "simulated observer",
        "AUC of that metric",
        "best other metric",
        "AUC ceiling",
        "put in",
    )
    print(f"| {' | '.join((*heads, 'correlation ceiling', 'put in'))} |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for observer in observers:
        overrides = [f'dataset.observer="{observer}"']
        run = iibench.run("human_agreement", overrides=overrides, output=f"standin-{observer}")
        reports = {
            r.metric.label: r
            for r in run.trial_cases
            if r.metric is not None and r.evaluation.label == "human[observer=two_sided]"
        }
        p = probabilities(run, overrides)
        trials = run.trials()
        answers = (trials["first"] + trials["second"]).to_numpy()
        own = reports[observer]
        others = {m: r for m, r in reports.items() if m != observer}
        best = max(others, key=lambda m: measure(others[m], "auc").value or 0)
        print(
            f"| {observer} | {shown(measure(own, 'auc'))} | {best} "
            f"{shown(measure(others[best], 'auc'))} | {shown(measure(own, 'auc_ceiling'))} "
            f"| {ideal_auc(p, answers):.3f} | {shown(measure(own, 'correlation_ceiling'))} "
            f"| {correlation_put_in(run, p):.3f} |",
            flush=True,
        )


def coverage(datasets: int, study: int, pool: int, seed: int = 0) -> None:
    """Share of data sets whose intervals hold the true value of the pool of units."""
    overrides = [
        f"dataset.units={pool}",
        "dataset.conditions=[natural]",
        "dataset.difficulties=[easy]",
        "evaluations=[{name: human, observer: two_sided, by: [], calibrate: false, resamples: 2}]",
        "metrics=[color, lpips]",
        "expect=[{on: human/color, at_least: 0}]",
    ]
    run = iibench.run("human_agreement", overrides=overrides, output="standin-pool")
    trials = run.trials()
    p = probabilities(run, overrides)
    n = (trials["first"] + trials["second"]).to_numpy()
    unit = trials["unit"].astype("category").cat.codes.to_numpy().astype(np.int64)
    units = int(unit.max()) + 1
    rng = np.random.default_rng(seed)
    rows = [np.flatnonzero(unit == u) for u in range(units)]
    margins = {
        r.metric.label: np.array([np.nan if m is None else m for m in r.margins])
        for r in run.trial_cases
        if r.metric is not None
    }
    true = {name: auc(m, n * p, n * (1 - p)) for name, m in margins.items()}
    true |= {f"ceiling, {family}": ideal_auc(p, n) for family in FAMILIES}
    held: dict[str, list[bool]] = {name: [] for name in true}
    found: dict[str, list[float]] = {name: [] for name in true}
    for number in range(datasets):
        drawn = rng.integers(0, units, study)
        chosen = np.concatenate([rows[u] for u in drawn])
        of = np.concatenate([np.full(len(rows[u]), i) for i, u in enumerate(drawn)])
        first = rng.binomial(n[chosen], p[chosen])
        second = n[chosen] - first
        counts = resample_units(of, 1000, number)
        for name, m in margins.items():
            found[name].append(auc(m[chosen], first, second))
            low, high = interval(auc_resampled(m[chosen], first, second, of, counts), study)
            held[name].append(low is not None and low <= true[name] <= (high or 0))
        for family in FAMILIES:
            ceiling = fitted_ceiling(first, second, of, counts, family, refits=300)
            name = f"ceiling, {family}"
            found[name].append(ceiling.value or np.nan)
            held[name].append(
                ceiling.low is not None and ceiling.low <= true[name] <= (ceiling.high or 0)
            )
    print(
        f"\n{datasets} data sets of {study} units out of {units}, {int(n.sum())} answers in the pool"
    )
    print("| number | true | mean found | 95 % intervals that hold it |")
    print("| --- | --- | --- | --- |")
    for name, value in true.items():
        mean = float(np.mean(found[name]))
        print(f"| {name} | {value:.4f} | {mean:.4f} | {np.mean(held[name]):.3f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--observers", default="color,lpips,lpips[0],lpips[3]")
    parser.add_argument("--datasets", type=int, default=200)
    parser.add_argument("--study", type=int, default=80, help="units of a data set")
    parser.add_argument("--pool", type=int, default=120, help="units per model in the pool")
    options = parser.parse_args()
    start = time.perf_counter()
    if options.observers:
        winners(options.observers.split(","))
    if options.datasets:
        coverage(options.datasets, options.study, options.pool)
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
