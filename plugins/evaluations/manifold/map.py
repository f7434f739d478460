"""From similarities to a map: distances of all pairs of images, and their layout in the plane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from iibench import CaseError, Skip

if TYPE_CHECKING:
    from collections.abc import Callable

    from iibench import DoubleArray, FloatArray, IntArray, SimilarityLookup

#: Images on each side of one question to the metric.
BLOCK = 128
#: Above this many images the matrix of distances (4 P^2 bytes) would pass 1.6 GB.
LIMIT = 20_000
NO_UMAP = "the layout umap needs the package umap-learn: pip install 'iibench[umap]'"


@dataclass(frozen=True)
class Distances:
    """`matrix` (P, P) float32, symmetric, zero on the diagonal, none negative.

    `raised`: pairs that the metric calls more alike than the images are with themselves; they got 0.
    """

    matrix: FloatArray
    raised: int


def distances(
    similarity: SimilarityLookup,
    images: IntArray,
    told: Callable[[int, int], None] = lambda done, total: None,
) -> Distances:
    """Distances of `images` (P,), all different: d(x, y) = (s(x, x) + s(y, y)) / 2 - s(x, y).

    So minus the similarity where that is minus a distance, and 1 - s of a cosine, of SSIM or of equal
    labels. A similarity that depends on the order of the two images is averaged over both orders.
    Raises `CaseError` where all images are alike or where there are more than 20,000.
    """
    import numpy as np

    p = len(images)
    if p > LIMIT:
        raise CaseError(f"{p:,} images are too many for a map of at most {LIMIT:,}; lower m")
    matrix = np.empty((p, p), np.float32)
    parts = [slice(start, min(start + BLOCK, p)) for start in range(0, p, BLOCK)]
    own = np.empty(p)
    total = len(parts) * (len(parts) + 1) // 2
    done = raised = 0

    def asked(a: slice, b: slice) -> DoubleArray:
        found: DoubleArray = similarity.cross(images[None, a], images[None, b])[0]
        return found

    def keep(a: slice, b: slice, s: DoubleArray) -> int:
        away = (own[a, None] + own[None, b]) / 2 - s
        scale = np.abs(own[a, None]) + np.abs(own[None, b]) + np.abs(s)
        below = int((away < -1e-5 * scale).sum())
        matrix[a, b] = np.maximum(away, 0)
        matrix[b, a] = matrix[a, b].T
        return below

    for part in parts:
        s = asked(part, part)
        own[part] = s.diagonal()
        raised += keep(part, part, (s + s.T) / 2) // 2
        done += 1
        told(done, total)
    for i, a in enumerate(parts):
        for b in parts[i + 1 :]:
            raised += keep(a, b, (asked(a, b) + asked(b, a).T) / 2)
            done += 1
            told(done, total)
    np.fill_diagonal(matrix, 0)
    if not np.isfinite(matrix).all():
        raise CaseError("the metric gave a similarity that is not a finite number")
    if not matrix.any():
        raise CaseError("the metric calls all MEIs alike: there is nothing to lay out")
    return Distances(matrix, raised)


def layout(
    matrix: FloatArray,
    method: Literal["tsne", "umap"],
    perplexity: float,
    neighbours: int,
    seed: int,
) -> tuple[DoubleArray, float | None]:
    """((P, 2) places, the KL divergence that t-SNE ended at or None) of distances (P, P).

    On one thread, so that the same distances and seed give the same map whatever the machine has.
    Raises `CaseError` where there are too few images and `Skip` where umap-learn is not installed.
    """
    import numpy as np

    p, needed = len(matrix), perplexity if method == "tsne" else neighbours
    if p <= needed:
        name = "perplexity" if method == "tsne" else "neighbours"
        raise CaseError(
            f"{method} with {name} {needed:g} needs more than {needed:g} different MEIs and there "
            f"are {p}"
        )
    if method == "umap":
        return _umap(matrix, neighbours, seed), None
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        made = TSNE(metric="precomputed", init="random", perplexity=perplexity, random_state=seed)
        places = made.fit_transform(matrix)
    return np.asarray(places, np.float64), float(made.kl_divergence_)


def _umap(matrix: FloatArray, neighbours: int, seed: int) -> DoubleArray:
    import warnings

    import numpy as np

    try:
        from umap import UMAP
    except ImportError as error:
        raise Skip(NO_UMAP) from error
    with warnings.catch_warnings():
        # it warns that a seed means one thread and precomputed distances no inverse: both are meant
        warnings.simplefilter("ignore", UserWarning)
        made = UMAP(metric="precomputed", n_neighbors=neighbours, random_state=seed, n_jobs=1)
        return np.asarray(made.fit_transform(matrix), np.float64)
