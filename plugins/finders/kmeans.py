"""K-Means with cosine similarity (Sec. 3.2): Lloyd's algorithm on activations of unit norm.

A (n, N) activations, X (n, N) = A with each row scaled to unit norm (a row of zeros stays zero),
mu (K, N) centroids. A centroid is the mean of unit vectors and is kept as that, so its norm is at most
1 and tells how tight the cluster is. All arithmetic goes through blocked matrix products:
||x - mu||^2 = |x|^2 + |mu|^2 - 2 x . mu. (The authors' released code runs scikit-learn's
MiniBatchKMeans on the same unit-norm activations.)
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge

from iibench import CaseError, Directions, FinderSpec, FinderWork, Work, hookimpl

from .._shared.bibliography import KLINDT2023
from ._counts import projection

if TYPE_CHECKING:
    import torch

    from iibench import FitContext, FloatArray

#: Entries of a (rows, K) matrix of distances that is held at once: 4 MiB of float32.
BLOCK = 2**20

#: Squared distances below this are rounding errors of float32 unit vectors: the two are the same.
SAME = 4e-6
#: Iterations of Lloyd's algorithm for K well below n, as seen on layers of a ResNet50.
LLOYD = 40


@dataclass(frozen=True)
class Params:
    """Parameters of K-Means."""

    k: Annotated[int, Ge(1)] = field(default=256, metadata={"help": "number of clusters, K"})
    response: Literal["cosine", "projection", "neg_distance"] = field(
        default="cosine",
        metadata={
            "help": "cosine: of activation and centroid; projection: of the activation, unscaled, on "
            "the centroid; neg_distance: minus the distance of the unit-norm activation to the centroid"
        },
    )
    n_init: Annotated[int, Ge(1)] = field(
        default=1, metadata={"help": "k-means++ starts; the one with the lowest inertia is kept"}
    )
    max_iter: Annotated[int, Ge(1)] = field(
        default=300,
        metadata={"help": "Lloyd iterations at most; a note says so where they run out"},
    )
    tol: Annotated[float, Ge(0)] = field(
        default=1e-4,
        metadata={
            "help": "the fit ends where the centroids' summed squared shift is at most tol times the "
            "mean variance of the unit-norm activations' entries (scikit-learn's rule)"
        },
    )


@dataclass(frozen=True)
class Clustering:
    """The end of Lloyd's algorithm: `centroids` (K, N), `labels` (n,), `inertia` (float64 sum of
    squared distances to the nearest centroid), `iterations`, and whether it `converged`."""

    centroids: torch.Tensor
    labels: torch.Tensor
    inertia: float
    iterations: int
    converged: bool


def unit_rows(A: FloatArray) -> FloatArray:
    """A with each row scaled to unit norm; rows of zeros stay zero."""
    import numpy as np

    norms = np.linalg.norm(A, axis=1, keepdims=True)
    scaled: FloatArray = np.divide(A, norms, out=np.zeros_like(A), where=norms > 0)
    return scaled


def seed_centroids(X: torch.Tensor, k: int, seed: int) -> torch.Tensor:
    """(k, N) greedy k-means++ start (Arthur & Vassilvitskii 2007), as in scikit-learn.

    Each further centroid is the best of 2 + log k candidates drawn with probability proportional to
    the squared distance to the nearest centroid so far. Raises `CaseError` where fewer than k rows of
    X differ.
    """
    import math

    import torch

    generator = torch.Generator().manual_seed(seed)
    squares = (X * X).sum(1)
    candidates = 2 + int(math.log(k))
    first = int(torch.randint(len(X), (1,), generator=generator))
    place = _float64_device(X)
    chosen = [torch.tensor(first, device=X.device)]
    totals = []
    closest = _distances(X, squares, chosen[0][None])[0]
    while len(chosen) < k:  # nothing is fetched from a GPU in here, which so never waits
        cumulative = closest.to(place).double().cumsum(0)
        totals.append(cumulative[-1])
        draws = torch.rand(candidates, generator=generator, dtype=torch.float64).to(place)
        rows = torch.searchsorted(cumulative, draws * cumulative[-1], right=True)
        rows = rows.clamp_(max=len(X) - 1).to(X.device)
        reduced = torch.minimum(closest, _distances(X, squares, rows))
        best = reduced.sum(1, dtype=torch.float32).argmin()
        chosen.append(rows[best])
        closest = reduced[best]
    different = 1 + sum(1 for total in totals if float(total) > 0.0)
    if different < k:
        raise CaseError(
            f"kmeans: k = {k} clusters are asked for and the {len(X)} activations, scaled to "
            f"unit norm, have only {different} different values"
        )
    return X[torch.stack(chosen)]


def _distances(X: torch.Tensor, squares: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """(c, n) squared distances of every row of X to the c chosen ones, zero where they are the same."""
    import torch

    picked = X[rows]
    found = torch.addmm(squares, picked, X.T, alpha=-2) + squares[rows, None]
    return torch.where(found < SAME, 0.0, found)


def lloyd(X: torch.Tensor, centroids: torch.Tensor, max_iter: int, tol: float) -> Clustering:
    """Lloyd's algorithm from given centroids; empty clusters restart at the points farthest off.

    Ends where no label changes or the centroids' summed squared shift is at most tol times the mean
    variance of X's columns.
    """
    import torch

    squares = (X * X).sum(1)
    threshold = tol * float(X.var(0, correction=0).to(_float64_device(X)).double().mean())
    previous = torch.full((len(X),), -1, device=X.device)
    settled, iteration = False, 0
    while not settled and iteration < max_iter:
        iteration += 1
        labels, distances = _assign(X, squares, centroids)
        means = _means(X, labels, distances, len(centroids))
        shift = float(((means - centroids) ** 2).sum())
        settled = shift <= threshold or torch.equal(labels, previous)
        centroids, previous = means, labels
    labels, distances = _assign(X, squares, centroids)
    inertia = float(distances.cpu().double().sum())
    return Clustering(centroids, labels, inertia, iteration, settled)


def _blocks(n: int, k: int) -> Iterator[slice]:
    rows = max(1, BLOCK // k)
    return (slice(start, min(start + rows, n)) for start in range(0, n, rows))


def _assign(
    X: torch.Tensor, squares: torch.Tensor, centroids: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Label of the nearest centroid of each row (ties: lowest index) and the squared distance to it."""
    import torch

    norms = (centroids * centroids).sum(1)
    labels = torch.empty(len(X), dtype=torch.int64, device=X.device)
    distances = torch.empty(len(X), device=X.device)
    for rows in _blocks(len(X), len(centroids)):
        torch.min(
            torch.addmm(norms, X[rows], centroids.T, alpha=-2),
            dim=1,
            out=(distances[rows], labels[rows]),
        )
    return labels, distances.add_(squares).clamp_(min=0)


def _means(X: torch.Tensor, labels: torch.Tensor, distances: torch.Tensor, k: int) -> torch.Tensor:
    """(k, N) mean of the rows with each label, summed up in float64; an empty cluster takes over the
    row that is farthest from its own centroid, as in scikit-learn."""
    import torch

    place = _float64_device(X)
    sums = torch.zeros((k, X.shape[1]), dtype=torch.float64, device=place)
    for rows in _blocks(len(X), k):
        sums += _scatter_sum(X[rows], labels[rows], k).to(place).double()
    counts = torch.bincount(labels.to(place), minlength=k).double()
    empty = torch.nonzero(counts == 0).flatten()
    farthest = torch.topk(distances, len(empty)).indices
    for cluster, row in zip(empty.tolist(), farthest.tolist(), strict=True):
        point, left = X[row].to(place).double(), int(labels[row])
        sums[left] -= point
        counts[left] -= 1
        sums[cluster] = point
        counts[cluster] = 1
    return (sums / counts.clamp(min=1)[:, None]).float().to(X.device)


def _float64_device(X: torch.Tensor) -> torch.device:
    """Where float64 sums are kept: beside X, or on the CPU where its device (MPS) has no float64."""
    import torch

    return torch.device("cpu") if X.device.type == "mps" else X.device


def _scatter_sum(block: torch.Tensor, labels: torch.Tensor, k: int) -> torch.Tensor:
    """(k, N) sum of the rows with each label."""
    import torch

    if block.device.type == "cpu":
        return torch.zeros((k, block.shape[1])).index_add_(0, labels, block)
    # scattered additions would run in another order each time on a GPU; a matrix product does not
    onehot = torch.zeros((len(block), k), device=block.device).scatter_(1, labels[:, None], 1)
    return onehot.T @ block


def _clusterings(X: torch.Tensor, params: Params, context: FitContext) -> Iterator[Clustering]:
    """One clustering per start, each with a seed of its own."""
    import numpy as np

    for start, sequence in enumerate(np.random.SeedSequence(context.seed).spawn(params.n_init)):
        seed = int(sequence.generate_state(1, np.uint64)[0] >> 1)
        yield lloyd(X, seed_centroids(X, params.k, seed), params.max_iter, params.tol)
        context.progress(start + 1, params.n_init, "starts")


def fit(params: Params, A: FloatArray, context: FitContext) -> Directions:
    """Centroids of the unit-norm activations: the clustering of lowest inertia of `n_init` starts.

    Raises `CaseError` for K > n and where fewer than K unit-norm activations differ.
    """
    import torch

    if params.k > len(A):
        raise CaseError(
            f"kmeans: k = {params.k} clusters are asked for and there are n = {len(A)} images to fit on"
        )
    X = torch.from_numpy(unit_rows(A)).to(context.device)
    with torch.inference_mode():
        best = min(_clusterings(X, params, context), key=lambda found: found.inertia)
    notes = [f"inertia {best.inertia:.6g} after {best.iterations} iterations"]
    if not best.converged:
        notes.append(f"K-Means did not converge in {params.max_iter} iterations")
    empty = params.k - len(torch.unique(best.labels))
    if empty:
        notes.append(f"{empty} of {params.k} clusters are the nearest to no activation")
    return Directions(best.centroids.cpu().numpy(), {}, tuple(notes))


def encode(params: Params, directions: Directions, A: FloatArray) -> FloatArray:
    """R (n, K), as `params.response` says.

    `cosine`: a . mu / (|a| |mu|), 0 where either is zero; in [-1, 1]. `projection`: a . mu of the
    activation as it is, in its unit. `neg_distance`: -||a / |a| - mu|| (Eq. 6 in the space that the
    centroids live in); in [-2, 0]. For one centroid it orders images as the cosine does, since
    ||x - mu||^2 = 1 + |mu|^2 - 2 x . mu; only its values differ.
    """
    import numpy as np

    centroids = directions.vectors
    if params.response == "projection":
        return np.ascontiguousarray(A @ centroids.T, dtype=np.float32)
    X = unit_rows(A)
    if params.response == "cosine":
        return np.ascontiguousarray(X @ unit_rows(centroids).T)
    squares = (X * X).sum(1)[:, None] + (centroids * centroids).sum(1)
    return np.ascontiguousarray(-np.sqrt(np.maximum(squares - 2 * (X @ centroids.T), 0)))


def work(params: Any, n: int, width: int) -> FinderWork:
    """A greedy k-means++ start, Lloyd's iterations."""
    k = params.k
    candidates = 2 + int(math.log(k))
    iterations = min(params.max_iter, LLOYD, 5 + n // (4 * k))
    start = Work(
        flops=2.0 * candidates * k * n * width,
        values=(6.0 * candidates + 4) * k * n,
        steps=30.0 * k,
    )
    loop = Work(flops=2.0 * k * n * width, values=2.0 * n * k + 3.0 * n * width, steps=50)
    fit = Work(
        flops=params.n_init * (start.flops + iterations * loop.flops),
        values=params.n_init * (start.values + iterations * loop.values) + 6.0 * n * width,
        steps=params.n_init * (start.steps + iterations * loop.steps),
        memory=4.0 * n * (width + 2 * candidates),
    )
    return FinderWork(k, fit, projection(k, width))


@hookimpl
def iibench_register_finders() -> Iterable[FinderSpec]:
    """Registers `kmeans`."""
    yield FinderSpec(
        name="kmeans",
        summary="centroids of K-Means with cosine similarity; response: cosine to the centroid",
        definition=(
            "K-Means (k-means++ start, Lloyd's algorithm) on the fit split's activations, each "
            "scaled to unit norm: x = a / |a|. The direction is the centroid mu_k, the mean of "
            "the unit vectors of its cluster. The response of an image is, by default, the cosine "
            "x . mu_k / |mu_k|, in [-1, 1]; with `response: projection` it is a . mu_k, and with "
            "`neg_distance` -||x - mu_k||."
        ),
        params=Params,
        headline=("k",),
        role="main",
        fit=fit,
        encode=encode,
        work=work,
        citation="Identifying Interpretable Features in Convolutional Neural Networks, Sec. 3.2",
        bibtex=KLINDT2023,
    )
