"""Counts of what the evaluations do, for the estimate of `--collect-only` (`specs.Work`).

n images, K directions; `pairs` are similarities of two images that the metric is asked for.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from iibench.contract.base import Work

if TYPE_CHECKING:
    from iibench.contract.trials import Trials

#: Small operations that a t-SNE map takes for each of its points.
TSNE_STEPS = 1000.0
#: Images of each of two directions whose sums are looked at in `synergy`.
DEPTH = 128


def ii(params: Any, n: int, k: int) -> Work:
    """Every pair of M exemplars; whether a direction is constant."""
    return Work(values=4.0 * n * k, steps=500, pairs=float(k) * params.m**2)


def insilico(params: Any, n: int, k: int) -> Work:
    """Random order within ties, then each query with each reference."""
    sides = 1 if params.observer == "eq2" else 2
    pairs = float(k) * params.trials * 2 * params.references * sides
    return Work(values=8.0 * n * k + 10 * pairs, steps=40.0 * k + 2000, pairs=pairs)


def mis(params: Any, n: int, k: int) -> Work:
    """As `insilico` with both sides of references, drawn for each direction."""
    pairs = float(k) * params.tasks * 4 * params.references
    return Work(values=8.0 * n * k + 10 * pairs, steps=60.0 * k + 2000, pairs=pairs)


def privileged_basis(params: Any, n: int, k: int) -> Work:
    """Correlations of all pairs of directions."""
    return Work(flops64=4.0 * n * k**2, values=8.0 * n * k, pairs=float(k) * params.m**2)


def manifold(params: Any, n: int, k: int) -> Work:
    """Similarities of all different exemplars, and a map of them."""
    points = _different(n, k * params.m)
    return Work(
        values=20.0 * points**2,
        steps=TSNE_STEPS * points,
        pairs=points**2,
        memory=24.0 * points**2,
        imports=("sklearn.manifold",),
    )


def sensitivity(params: Any, n: int, k: int) -> Work:
    """Nearest images along paths between directions; gradients there: a pass and part of one back."""
    paths = k / 2 if params.pairs is None else min(params.pairs, k / 2)
    gradients = params.m * (k + paths * len(params.alphas))
    points = k * len(params.alphas) / 2
    return Work(
        flops=2.0 * n * k * points,
        values=8.0 * n * points,
        pairs=points * params.m**2,
        passes=1.5 * gradients,
    )


def spectrum(params: Any, n: int, k: int) -> Work:
    """Eigenvalues of a covariance for every resample; K stands for the number of neurons."""
    times = params.resamples + 1
    return Work(flops64=times * (1.0 * n * k**2 + 3.0 * k**3), values=times * n * k)


def split_half(params: Any, n: int, k: int) -> Work:
    """Exemplars of three sets of directions, besides two fits."""
    return Work(values=60.0 * n * k, steps=500, pairs=3.0 * k * params.m**2)


def synergy(params: Any, n: int, k: int) -> Work:
    """The largest sums of all pairs of directions, and the similarities of their images."""
    pairs = k * (k - 1) / 2
    return Work(
        flops64=2.0 * n * k**2,
        values=pairs * 2 * DEPTH * 20.0,
        pairs=pairs * params.m**2,
        memory=16.0 * n * k,
    )


def judged(params: Any, trials: Trials) -> Work:
    """Resampled shares and areas for every group of answers."""
    groups = 1 + sum(_groups(trials, entry) for entry in getattr(params, "by", ()))
    size = float(len(trials) + len(trials.units))
    resamples = params.resamples
    return Work(values=4.0 * resamples * size * min(groups, 12), steps=20_000.0 * groups)


def _groups(trials: Trials, entry: str) -> int:
    """How many groups an entry of `by` makes at most; 0 where the trials have no such attribute."""
    names = [name for name in entry.split("+") if name != "confidence"]
    known = {**trials.columns, **trials.answers.columns}
    if any(name not in known for name in names):
        return 0
    return math.prod(len(set(known[name].tolist())) for name in names)


def _different(n: int, draws: float) -> float:
    """Different ones of n images in so many draws."""
    return n * -math.expm1(-draws / max(1, n))
