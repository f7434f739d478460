"""Counts of what the finders do, for the estimate of `--collect-only` (`specs.FinderWork`).

n images, N neurons, K directions. How many iterations a fit takes is known only afterwards: what stands
here was seen on layers of a ResNet50, and is at most `max_iter`.
"""

from __future__ import annotations

import math
from typing import Any

from iibench.contract.base import Work
from iibench.contract.specs import FinderWork

#: Iterations of Lloyd's algorithm for K well below n, and of ADMM per batch of NMF's weights.
LLOYD, ADMM = 40, 300
#: Iterations of FastICA for each source.
ICA = 1.3
SKLEARN = ("sklearn.decomposition",)


def _principal(n: int, width: int) -> Work:
    """scikit-learn's PCA in float64: from the covariance where there are many more images than neurons."""
    most = min(n, width)
    if width <= 1000 and n >= 10 * width:
        return Work(flops64=2.0 * n * width**2 + 10.0 * width**3, values=10.0 * n * width)
    return Work(flops64=8.0 * n * width * most + 10.0 * most**3, values=10.0 * n * width)


def _projection(k: int, width: int) -> Work:
    return Work(flops=2.0 * k * width, values=4.0 * width + 2.0 * k)


def pca(params: Any, n: int, width: int) -> FinderWork:
    """Principal components, then the skewness of every response."""
    k = params.k or min(n, width)
    first = _principal(n, width)
    fit = Work(
        flops64=first.flops64 + 2.0 * n * width * k,
        values=first.values + 40.0 * n * k,
        memory=24.0 * n * width,
        imports=SKLEARN,
    )
    return FinderWork(k, fit, _projection(k, width))


def ica(params: Any, n: int, width: int) -> FinderWork:
    """Whitening, then iterations of two products, a tanh and a decorrelation each."""
    k = params.k or min(n, width)
    first = _principal(n, width)
    iterations = min(params.max_iter, 20 + ICA * k)
    fit = Work(
        flops=iterations * 4.0 * n * k**2,
        flops64=first.flops64 + 4.0 * n * width * k + iterations * 12.0 * k**3,
        values=first.values + iterations * 20.0 * n * k,
        memory=32.0 * n * width,
        imports=SKLEARN,
    )
    encode = Work(flops64=2.0 * k * width, values=4.0 * width + 2.0 * k)
    return FinderWork(k, fit, encode)


def nmf(params: Any, n: int, width: int) -> FinderWork:
    """Alternating updates, row by row within blocks; encoding solves for the weights."""
    k = params.k or min(n, width)
    rows = 20.0 * k  # a row's own update and that of the rows after it in its block
    each = Work(
        flops=4.0 * n * k * width + 4.0 * n * k**2 + 2.0 * width * k**2,
        values=rows * (n + width),
        steps=12.0 * k,
    )
    t = params.max_iter
    fit = Work(flops=t * each.flops, values=t * each.values, steps=t * each.steps)
    encode = Work(flops64=ADMM * 2.0 * k**2, values=ADMM * 12.0 * k)
    return FinderWork(k, Work(fit.flops, 0.0, fit.values, fit.steps, memory=12.0 * n * k), encode)


def kmeans(params: Any, n: int, width: int) -> FinderWork:
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
    return FinderWork(k, fit, _projection(k, width))


def _autoencoder(params: Any, n: int, width: int, passes: float) -> FinderWork:
    """Batches of five small products and a step of Adam; `passes`: over a batch's hidden units."""
    z, b = params.z, min(params.batch_size, n)
    batches = params.epochs * math.ceil(n / b)
    fit = Work(
        flops=batches * 15.0 * b * z * width,
        values=batches * (60.0 * z * width + passes * b * z) + 10.0 * n * width,
        steps=batches * 60.0,
        memory=20.0 * n * width,
        imports=("torch._dynamo",),  # with Adam
    )
    return FinderWork(z, fit, _projection(z, width))


def sae(params: Any, n: int, width: int) -> FinderWork:
    """The sparse autoencoder with a penalty."""
    return _autoencoder(params, n, width, passes=6)


def topk_sae(params: Any, n: int, width: int) -> FinderWork:
    """The one that keeps the largest hidden units, which sorts."""
    return _autoencoder(params, n, width, passes=40)
