"""What the scores of `human` cost at the size of the published study, on made-up similarities.

    python -m tests.benchmarks.human_scores

21 experiments of 84 units and 11 batches, 52,920 answers, groups by model, layers, condition, difficulty
and confidence. The first case finds the ceilings of every group; further metrics and observers share them.
"""

from __future__ import annotations

import resource
import time

import numpy as np

from iibench.contract.trials import Answers, Stimuli, TrialInputs, TrialSimilarities
from iibench_plugins.evaluations import human

EXPERIMENTS, UNITS, BATCHES, MODELS, ANSWERS = 21, 84, 11, 9, 52_920


def made_up(seed: int = 0) -> tuple[Stimuli, TrialSimilarities]:
    """Stimuli and similarities of that size; people follow the similarities a little."""
    rng = np.random.default_rng(seed)
    s = EXPERIMENTS * UNITS * BATCHES
    experiment = np.repeat(np.arange(EXPERIMENTS), UNITS * BATCHES)
    unit = np.tile(np.repeat(np.arange(UNITS), BATCHES), EXPERIMENTS)
    p = rng.beta(4, 1, s)
    stimulus = np.sort(np.concatenate([np.arange(s), rng.integers(0, s, ANSWERS - s)]))
    answers = Answers(
        stimulus,
        rng.random(ANSWERS) < p[stimulus],
        np.ones(ANSWERS, np.int64),
        rng.integers(1, 4, ANSWERS),
        rng.integers(0, EXPERIMENTS * 63, ANSWERS),
    )
    model = experiment % MODELS
    trials = Stimuli(
        names=np.arange(s).astype(str),
        queries=np.zeros((s, 2), np.int64),
        references=np.zeros((s, 9), np.int64),
        opposite=np.zeros((s, 9), np.int64),
        unit=model * UNITS + unit,
        units=tuple(map(str, range(MODELS * UNITS))),
        answers=answers,
        columns={
            "model": np.char.add("model", model.astype(str)),
            "layers": np.char.add("layer", (unit % 4).astype(str)),
            "condition": np.where(experiment % 2, "natural", "optimized"),
            "difficulty": np.where(experiment > 17, "hard95", "easy"),
        },
    )
    near = rng.normal(size=(s, 2, 9))
    near[:, 0] += p[:, None]
    return trials, TrialSimilarities(near, rng.normal(size=(s, 2, 9)), rng.normal(size=s))


def main() -> None:
    trials, found = made_up()
    for observer in ("two_sided", "eq2"):
        start = time.perf_counter()
        scores = human.judge(human.Params(observer=observer), TrialInputs(trials, found, 0))
        groups = {tuple(m.group.items()) for m in scores.measures}
        print(
            f"{observer}: {time.perf_counter() - start:.1f} s for {len(scores.measures):,} measures "
            f"of {len(groups)} groups ({len(trials):,} stimuli, {ANSWERS:,} answers)"
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"peak memory {peak:.2f} GiB")


if __name__ == "__main__":
    main()
