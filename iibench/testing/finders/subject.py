"""A finder under test: fitted twice on activations in which directions are planted."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from iibench.contract.specs import Directions, FinderSpec, FitContext
from iibench.testing.state import Watched, watch

if TYPE_CHECKING:
    from iibench.contract.arrays import DoubleArray, FloatArray

#: Images of the fit split, of the evaluated one, and directions planted in both.
FIT, EVALUATED, PLANTED = 1200, 300, 8
#: Neurons; the second where the first are too few for the directions that are asked for.
NEURONS = (32, 128)
#: Images of the fit in which planted directions must be found.
MANY = 20_000
#: Largest relative difference of a computation that is repeated.
REPEATED = 1e-6
#: The seed of a fit, as an experiment's are: large.
SEED = 2**62 + 5


def planted_directions(width: int = NEURONS[0]) -> FloatArray:
    """(8, width) unit directions, non-negative, each of an eighth of the neurons, all of its own."""
    rng = np.random.default_rng(11)
    out, each = np.zeros((PLANTED, width)), width // PLANTED
    for k in range(PLANTED):
        out[k, each * k : each * (k + 1)] = rng.uniform(0.4, 1.0, each)
    return np.asarray(out / np.linalg.norm(out, axis=1, keepdims=True), np.float32)


def activations(n: int, seed: int, width: int = NEURONS[0]) -> FloatArray:
    """(n, width) float32, non-negative: each image has one planted direction strongly, few have others.

    The directions differ in strength, so that methods that go by variance can tell them apart.
    """
    rng = np.random.default_rng([17, seed])
    strengths = np.where(rng.random((n, PLANTED)) < 0.12, rng.uniform(0.5, 1.5, (n, PLANTED)), 0.0)
    strengths[np.arange(n), rng.integers(0, PLANTED, n)] += rng.uniform(1.0, 3.0, n)
    strengths *= 1.25 ** np.arange(PLANTED)
    noise = np.abs(rng.normal(0, 0.02, (n, width)))
    return np.asarray(strengths @ planted_directions(width) + noise, np.float32)


@dataclass
class FinderUnderTest:
    """A finder with its parameters. `fits`: two fits of one seed, the global generators at other states.

    `width`: neurons. `A`, `B`: activations of the fit split and of the evaluated one.
    """

    spec: FinderSpec
    params: Any
    context: FitContext
    width: int = NEURONS[0]

    @cached_property
    def A(self) -> FloatArray:  # noqa: N802 - the paper's name
        """(1200, width)."""
        return activations(FIT, 0, self.width)

    @cached_property
    def B(self) -> FloatArray:  # noqa: N802
        """(300, width)."""
        return activations(EVALUATED, 1, self.width)

    #: what the two fits were handed, and what the first told of its progress: (done, total)
    handed: list[FloatArray] = field(default_factory=list)
    told: list[tuple[int, int]] = field(default_factory=list)

    @cached_property
    def fits(self) -> tuple[Watched[Directions], Watched[Directions]]:
        """Each fit gets a copy of its own of A, so that a change in place is seen by its check only."""
        self.handed = [self.A.copy(), self.A.copy()]
        first = watch(lambda: self.fit(self.handed[0], told=self.told), 1)
        second = watch(lambda: self.fit(self.handed[1]), 2)
        return first, second

    @property
    def found(self) -> Directions:
        """The directions of the first fit."""
        return self.fits[0].value

    @cached_property
    def codes(self) -> tuple[Watched[FloatArray], Watched[FloatArray]]:
        """Responses of B, computed twice."""
        first, second = (watch(lambda: self.encode(self.B.copy()), seed) for seed in (3, 4))
        return first, second

    @property
    def responses(self) -> FloatArray:
        """(n, K) responses of B."""
        return self.codes[0].value

    def fit(
        self, A: FloatArray, seed: int = SEED, told: list[tuple[int, int]] | None = None
    ) -> Directions:
        """Directions from A with the given seed; `told` gets what `progress` is told."""
        calls = [] if told is None else told
        context = replace(
            self.context, seed=seed, progress=lambda done, total, note: calls.append((done, total))
        )
        return self.spec.fit(self.params, A, context)

    def encode(self, A: FloatArray, directions: Directions | None = None) -> FloatArray:
        """Responses of A to `directions`, or to those of the first fit."""
        chosen = self.found if directions is None else directions
        return self.spec.encode(self.params, chosen, A)


def off(a: Any, b: Any) -> float:
    """Largest difference as a share of the largest value; infinite for other shapes or one-sided NaN."""
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if x.shape != y.shape:
        return float("inf")
    if x.size == 0 or np.array_equal(x, y, equal_nan=True):
        return 0.0
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return float("inf")
    return float(np.abs(x - y).max() / max(np.abs(x).max(), np.abs(y).max(), 1e-30))


def apart(first: Directions, second: Directions) -> float:
    """How far two sets of directions and their state are apart, as `off`."""
    if first.state.keys() != second.state.keys():
        return float("inf")
    worst = off(first.vectors, second.vectors)
    return max([worst, *(off(first.state[name], second.state[name]) for name in first.state)])


def best_cosines(planted: FloatArray, found: FloatArray) -> DoubleArray:
    """(8,) for each planted direction the largest |cosine| with a found one."""
    norms = np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
    cosines = np.abs(planted.astype(np.float64) @ (found / norms).T)
    best: DoubleArray = cosines.max(axis=1)
    return best
