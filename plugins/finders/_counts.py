"""Counts of what several finders do, for the estimate of `--collect-only` (`FinderSpec.work`).

n images, N neurons, K directions. How many iterations a fit takes is known only afterwards: what stands
in the finders was seen on layers of a ResNet50, and is at most `max_iter`.
"""

from __future__ import annotations

import math
from typing import Any

from iibench import FinderWork, Work

#: What scikit-learn's decompositions import when they are first used.
SKLEARN = ("sklearn.decomposition",)


def principal(n: int, width: int) -> Work:
    """scikit-learn's PCA in float64: from the covariance where there are many more images than neurons."""
    most = min(n, width)
    if width <= 1000 and n >= 10 * width:
        return Work(flops64=2.0 * n * width**2 + 10.0 * width**3, values=10.0 * n * width)
    return Work(flops64=8.0 * n * width * most + 10.0 * most**3, values=10.0 * n * width)


def projection(k: int, width: int) -> Work:
    """Of one image on K directions."""
    return Work(flops=2.0 * k * width, values=4.0 * width + 2.0 * k)


def autoencoder(params: Any, n: int, width: int, passes: float) -> FinderWork:
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
    return FinderWork(z, fit, projection(z, width))
