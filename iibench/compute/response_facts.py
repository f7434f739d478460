"""Facts about a direction's responses to all images: histogram, sparseness, share above zero.

R (n, K) responses of n images to K directions; a column belongs to a direction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from iibench.cache.mapped import release
from iibench.contract.reports import ResponseFacts

if TYPE_CHECKING:
    from iibench.contract.arrays import DoubleArray, FloatArray, IntArray

BINS = 40
#: Values that are looked at in one go: 16 MiB of float64.
BLOCK = 2**21


def response_facts(responses: FloatArray) -> ResponseFacts:
    """All facts about R (n, K), in blocks of directions.

    >>> facts = response_facts(np.array([[0.0], [1.0], [2.0], [0.0]], np.float32))
    >>> facts.low.tolist(), facts.high.tolist(), facts.positive.tolist()
    ([0.0], [2.0], [0.5])
    """
    n, k = responses.shape
    parts = []
    step = max(1, BLOCK // max(1, n))
    for start in range(0, k, step):
        block = np.asarray(responses[:, start : start + step], np.float64)
        low, high, counts = histograms(block)
        parts.append((low, high, counts, sparseness(block), (block > 0).mean(axis=0)))
        release(responses)
    return ResponseFacts(*(np.concatenate(values) for values in zip(*parts, strict=True)))


def histograms(responses: DoubleArray) -> tuple[DoubleArray, DoubleArray, IntArray]:
    """(low (K,), high (K,), counts (K, BINS)) of R (n, K), as `numpy.histogram` over each range.

    A direction whose responses are all equal has all its images in the first bin.

    >>> low, high, counts = histograms(np.array([[0.0], [0.0], [1.0]]))
    >>> counts[0, 0].item(), counts[0, -1].item(), counts.shape
    (2, 1, (1, 40))
    """
    k = responses.shape[1]
    low, high = responses.min(axis=0), responses.max(axis=0)
    width = np.where(high > low, high - low, 1.0)
    bins = np.minimum((responses - low) / width * BINS, BINS - 1).astype(np.int64)
    flat = (bins + np.arange(k) * BINS).ravel()
    return low, high, np.bincount(flat, minlength=k * BINS).reshape(k, BINS)


def sparseness(responses: DoubleArray) -> DoubleArray:
    """(K,) lifetime sparseness of R (n, K), in [0, 1]: 0 for equal responses, 1 for a single one.

    (1 - mean(r)^2 / mean(r^2)) / (1 - 1/n), r the responses above zero and 0 for the others (Vinje &
    Gallant 2000, after Rolls & Tovee 1995). NaN where no response is above zero, or n < 2.

    >>> sparseness(np.array([[1.0, 5.0], [1.0, 0.0], [1.0, -2.0]])).tolist()
    [0.0, 1.0]
    """
    r = np.maximum(responses, 0.0)
    n = len(r)
    largest = r.max(axis=0)
    found = np.full(r.shape[1], np.nan)
    some = (largest > 0) & (n > 1)
    r = r[:, some] / largest[some]  # so that squares neither overflow nor vanish
    found[some] = (1 - r.mean(axis=0) ** 2 / (r**2).mean(axis=0)) / (1 - 1 / max(n, 2))
    clipped: DoubleArray = np.clip(found, 0.0, 1.0)
    return clipped
