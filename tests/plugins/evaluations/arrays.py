"""A context of arrays for tests of analyses."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from iibench.compute.ranking import order_by_response
from iibench.compute.similarity.lookups import EmbeddingSimilarity
from iibench.contract.evaluations import EvaluationInputs
from iibench.contract.specs import Directions


@dataclass
class ArrayLab:
    """`AnalysisContext` over arrays that are given; `told` keeps what is reported."""

    A: np.ndarray
    vectors: np.ndarray
    pixels: np.ndarray
    class_names: tuple[str, ...] = ()
    device: str = "cpu"
    told: list[tuple[int, int, str]] = field(default_factory=list)

    @property
    def image_size(self) -> tuple[int, int]:
        return self.pixels.shape[1], self.pixels.shape[2]

    def activations(self) -> np.ndarray:
        return self.A

    def directions(self) -> Directions:
        return Directions(self.vectors)

    def images(self, indices: np.ndarray) -> np.ndarray:
        return self.pixels[np.asarray(indices)]

    def progress(self, done: int, total: int, note: str) -> None:
        self.told.append((done, total, note))


def array_inputs(
    A: np.ndarray,
    rows: np.ndarray,
    *,
    vectors: np.ndarray | None = None,
    distance: str = "squared_euclidean",
    labels: np.ndarray | None = None,
    class_names: tuple[str, ...] = (),
    seed: int = 3,
) -> EvaluationInputs:
    """Inputs of neurons, or of the directions `vectors` with projections as responses."""
    neurons = vectors is None
    chosen = np.eye(A.shape[1], dtype=np.float32) if neurons else vectors.astype(np.float32)
    responses = A.astype(np.float32) if neurons else (A @ chosen.T).astype(np.float32)
    pixels = np.random.default_rng(9).integers(0, 256, (len(A), 4, 5, 3), dtype=np.uint8)
    lookup = EmbeddingSimilarity(lambda indices: rows, len(rows), distance)
    return EvaluationInputs(
        responses,
        order_by_response(responses),
        lookup,
        labels,
        seed,
        ArrayLab(A.astype(np.float32), chosen, pixels, class_names),
    )
