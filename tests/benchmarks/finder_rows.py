"""Rows about K-Means on real activations, against scikit-learn."""

from __future__ import annotations

import numpy as np

from tests.benchmarks.processes import Arrays, Clock, Prepared
from tests.benchmarks.row import Row
from tests.benchmarks.setting import Setting
from tests.benchmarks.sizes import Sizes

MAX_ITER, TOL = 300, 1e-4


def _unit_rows(setting: Setting) -> np.ndarray:
    from iibench_plugins.finders.kmeans import unit_rows

    return unit_rows(np.ascontiguousarray(setting.fit_activations))


def _start(setting: Setting, X: np.ndarray) -> np.ndarray:
    """The same k-means++ start for both sides."""
    from sklearn.cluster import kmeans_plusplus

    k = setting.sizes.clusters
    return setting.kept(
        f"start-{len(X)}-{k}", lambda: kmeans_plusplus(X, k, random_state=0)[0].astype(np.float32)
    )


def our_lloyd(sizes: Sizes) -> Prepared:
    """Lloyd's algorithm of the finder `kmeans`."""
    import torch

    from iibench_plugins.finders.kmeans import lloyd

    setting = Setting(sizes)
    X = _unit_rows(setting)
    rows, start = torch.from_numpy(X), torch.from_numpy(_start(setting, X))

    def run(clock: Clock) -> Arrays:
        with torch.inference_mode():
            found = lloyd(rows, start, MAX_ITER, TOL)
        return {"inertia": np.array(found.inertia), "iterations": np.array(found.iterations)}

    return Prepared(run, note=_note(setting, X))


def their_lloyd(sizes: Sizes) -> Prepared:
    """scikit-learn's from the same start."""
    from sklearn.cluster import KMeans

    setting = Setting(sizes)
    X = _unit_rows(setting)
    start = _start(setting, X)

    def run(clock: Clock) -> Arrays:
        found = KMeans(len(start), init=start, n_init=1, max_iter=MAX_ITER, tol=TOL).fit(X)
        return {"inertia": np.array(found.inertia_), "iterations": np.array(found.n_iter_)}

    return Prepared(run, note=_note(setting, X))


def our_fit(sizes: Sizes) -> Prepared:
    """The finder's whole fit, from activations."""
    from iibench.contract.specs import FitContext
    from iibench_plugins.finders.kmeans import Params, fit

    setting = Setting(sizes)
    A = np.ascontiguousarray(setting.fit_activations)
    params = Params(k=sizes.clusters)

    def run(clock: Clock) -> Arrays:
        centroids = fit(params, A, FitContext(seed=0)).vectors
        with clock.paused():
            return {"inertia": np.array(_inertia(_unit_rows(setting), centroids))}

    return Prepared(run, note=_note(setting, A))


def their_fit(sizes: Sizes) -> Prepared:
    """scikit-learn's whole fit, from activations."""
    from sklearn.cluster import KMeans
    from sklearn.preprocessing import normalize

    setting = Setting(sizes)
    A = np.ascontiguousarray(setting.fit_activations)

    def run(clock: Clock) -> Arrays:
        model = KMeans(
            sizes.clusters,
            init="k-means++",
            n_init=1,
            max_iter=MAX_ITER,
            tol=TOL,
            random_state=0,
        )
        return {"inertia": np.array(model.fit(normalize(A)).inertia_)}

    return Prepared(run, note=_note(setting, A))


def _note(setting: Setting, A: np.ndarray) -> str:
    return f"{setting.dataset}, activations {A.shape[0]:,} x {A.shape[1]}"


def _inertia(X: np.ndarray, centroids: np.ndarray) -> float:
    """Sum of squared distances of the rows of X to the nearest centroid, in blocks of rows."""
    total = 0.0
    norms = (centroids**2).sum(1)
    for start in range(0, len(X), 4096):
        x = X[start : start + 4096]
        squared = (x**2).sum(1) + (norms - 2 * x @ centroids.T).min(1)
        total += float(np.maximum(squared, 0).sum(dtype=np.float64))
    return total


def _same(found: Arrays, expected: Arrays) -> None:
    np.testing.assert_allclose(found["inertia"], expected["inertia"], rtol=1e-3)


def _no_worse(found: Arrays, expected: Arrays) -> None:
    worse = float(found["inertia"] / expected["inertia"]) - 1
    assert worse <= 0.03, f"inertia is {worse:.1%} larger"


ROWS = (
    Row(
        "kmeans",
        lambda sizes: (
            f"K-Means, cosine, K = {sizes.clusters}, {sizes.train:,} activations of layer1, from a "
            "given start to convergence"
        ),
        lambda sizes: (
            "scikit-learn KMeans on the same unit-norm rows, same start; same inertia within 0.1 %"
        ),
        our_lloyd,
        their_lloyd,
        _same,
        1,
    ),
    Row(
        "kmeans_fit",
        lambda sizes: (
            f"K-Means, cosine, K = {sizes.clusters}, {sizes.train:,} activations of layer1, the "
            "whole fit: norms, k-means++ start, Lloyd's algorithm"
        ),
        lambda sizes: (
            'scikit-learn normalize and KMeans(init="k-means++", n_init=1); other random start, '
            "our inertia is at most 3 % larger"
        ),
        our_fit,
        their_fit,
        _no_worse,
        1,
    ),
)
