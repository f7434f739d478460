"""A metric under test: loaded twice, tried on inputs of its kind, its similarities as a run has them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from iibench.contract.errors import Skip
from iibench.contract.specs import Harness, MetricSpec
from iibench.testing.pictures import name_counts, photos
from iibench.testing.state import Watched, watch

if TYPE_CHECKING:
    import torch

    from iibench.contract.arrays import DoubleArray

#: Side of the pictures where the metric does not say which size it wants.
SIDE = 64
#: Largest difference, as a share of the spread of similarities, that rounding explains when the same
#: images are computed in another batch or precision, and in one and the same call made twice.
ROUNDING, REPEATED = 1e-3, 1e-5


@dataclass
class MetricUnderTest:
    """A metric with its parameters.

    `size`: pixels a side that it is given images at; None where it takes them as they are.
    `loads`: what `load` gave and did, twice, with the global generators at other states.
    """

    spec: MetricSpec
    params: Any
    harness: Harness
    size: int | None
    loads: tuple[Watched[Any], Watched[Any]]
    #: False once the check `shape` failed: what is no table cannot be looked at any further
    tabular: bool = True

    @property
    def metric(self) -> Any:
        """The metric as first loaded."""
        return self.loads[0].value

    @property
    def device(self) -> str:
        """Where it computes."""
        return self.harness.device

    @property
    def sees_images(self) -> bool:
        """Whether it is given images, and not labels or names."""
        return self.spec.input == "images"

    @property
    def side(self) -> int:
        """Pixels a side of the pictures that it is tried on."""
        return SIDE if self.size is None else self.size

    def inputs(self, n: int, seed: int = 0) -> torch.Tensor:
        """n different inputs of the kind that the metric wants."""
        import torch

        if self.spec.input == "labels":
            return torch.arange(n) + 10 * seed
        if self.spec.input == "names":
            return torch.from_numpy(name_counts(n, seed))
        return photos(n, self.side, seed, self.device)

    @cached_property
    def eight(self) -> torch.Tensor:
        """The eight inputs that most checks look at."""
        return self.inputs(8)

    @cached_property
    def baseline(self) -> DoubleArray:
        """(8, 8) similarities of the eight inputs."""
        return self.similarities(self.eight, self.eight)

    @cached_property
    def spread(self) -> float:
        """How far apart the similarities of different inputs lie: the unit of deviations."""
        others = self.baseline[~np.eye(len(self.baseline), dtype=bool)]
        spread = float(others.max() - others.min())
        return spread if spread > 0 else max(float(np.abs(self.baseline).max()), 1e-12)

    def deviation(self, a: DoubleArray, b: DoubleArray) -> float:
        """Largest difference, as a share of `spread`; infinite where one is NaN and the other is not."""
        if np.array_equal(a, b, equal_nan=True):
            return 0.0
        if not (np.isfinite(a).all() and np.isfinite(b).all()):
            return float("inf")
        return float(np.abs(a - b).max() / self.spread)

    @cached_property
    def uses(self) -> tuple[Watched[DoubleArray], Watched[DoubleArray]]:
        """The same similarities twice, with the global generators at other states."""
        x = self.eight
        call: Callable[[], DoubleArray] = lambda: self.similarities(x, x)  # noqa: E731
        return watch(call, 3), watch(call, 4)

    @property
    def watched(self) -> tuple[Watched[Any], ...]:
        """Every call that is watched; without those that failed, which their own checks report."""
        try:
            return (*self.loads, *self.uses)
        except Exception:
            return self.loads

    # ------------------------------------------------------------------------ similarities

    def similarities(
        self, a: torch.Tensor, b: torch.Tensor, metric: Any = None, part: slice | None = None
    ) -> DoubleArray:
        """(n, m) similarities of inputs a to inputs b, in float64.

        `metric`: instead of the one first loaded. `part`: columns of the embedding. Raises `Skip` where
        the metric gives no such table, which the check `shape` reports.
        """
        import torch

        if not self.tabular:
            raise Skip("the metric gives no table of n x m similarities, see the check shape")
        loaded = self.metric if metric is None else metric
        n, m = len(a), len(b)
        with torch.inference_mode():
            if self.spec.distance is None:
                found = loaded.pairwise(a, b)
            else:
                left, right = self.rows(a, loaded), self.rows(b, loaded)
                chosen = slice(None) if part is None else part
                left, right = left[:, chosen], right[:, chosen]
                if self.spec.distance != "own":
                    return compared(left, right, self.spec.distance)
                found = loaded.compare(left, right)
        if not isinstance(found, torch.Tensor) or tuple(found.shape) != (n, m):
            raise Skip("the metric gives no table of n x m similarities, see the check shape")
        return np.asarray(found.double().cpu().numpy())

    def rows(self, x: torch.Tensor, metric: Any = None) -> torch.Tensor:
        """(n, d) embeddings; raises `Skip` where `embed` gives something else."""
        import torch

        rows = (self.metric if metric is None else metric).embed(x)
        if not isinstance(rows, torch.Tensor) or rows.ndim != 2 or len(rows) != len(x):
            raise Skip("embed gives no (n, d) rows, see the check shape")
        return rows.float()


def compared(left: torch.Tensor, right: torch.Tensor, distance: str) -> DoubleArray:
    """(n, d) and (m, d) -> (n, m) similarity, from differences in float64, row by row."""
    import torch

    out = np.empty((len(left), len(right)))
    for i, row in enumerate(left.double()):
        others = right.double()
        if distance == "equal":
            values = (others == row).all(dim=1).double()
        elif distance == "cosine":
            values = torch.nn.functional.cosine_similarity(row[None], others, dim=1)
        else:
            squared = (others - row).square().sum(dim=1)
            values = -squared if distance == "squared_euclidean" else -squared.sqrt()
        out[i] = values.cpu().numpy()
    return out


def load_twice(
    spec: MetricSpec, params: Any, harness: Harness
) -> tuple[Watched[Any], Watched[Any]]:
    """Loads with the global generators at two states; raises what `load` raises."""
    first, second = (watch(lambda: spec.load(params, harness), seed) for seed in (1, 2))
    return first, second
