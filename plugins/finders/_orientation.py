"""Signs for directions that have none of their own (PCA, ICA), and what both need before that.

A (n, N) activations, V (K, N) directions, R (n, K) responses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from iibench import CaseError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from iibench import DoubleArray

    RealArray = npt.NDArray[np.floating]

#: Principal components whose variance is below this share of the largest are rounding errors: float32
#: activations carry a relative error of 6e-8, a relative variance of 4e-15 for each neuron.
RANK_TOLERANCE = 1e-10

#: |skewness| up to this is rounding error of a symmetric distribution.
SKEW_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Principal:
    """Principal components of the centred activations, by falling variance.

    `mean` (N,), `components` (K, N) orthonormal rows, `variance` (K,) along each (divisor n), `total`
    variance of all neurons together, `notes` for the report; float64.
    """

    mean: DoubleArray
    components: DoubleArray
    variance: DoubleArray
    total: float
    notes: tuple[str, ...]


def principal_components(A: RealArray, k: int | None, seed: int, finder: str) -> Principal:
    """The k first principal components (None: all), fewer where the activations' rank is lower.

    Components without variance (dead or duplicate neurons, n <= N) are left out with a note: what they
    respond to is rounding error. Raises `CaseError` for fewer than two rows, for activations that are
    all the same, and for k > min(n, N).
    """
    import numpy as np
    from sklearn.decomposition import PCA

    n, width = A.shape
    most = min(n, width)
    if k is not None and k > most:
        raise CaseError(
            f"{finder}: k = {k} components are asked for and {n} images with {width} neurons "
            f"allow at most {most}"
        )
    if n < 2 or not np.ptp(A, axis=0).any():
        raise CaseError(
            f"{finder}: the activations of the {n} images to fit on are all the same, "
            "there is no variance to decompose"
        )
    model = PCA(most if k is None else k, random_state=sklearn_seed(seed))
    model.fit(np.asarray(A, dtype=np.float64))
    variance = model.explained_variance_ * ((n - 1) / n)
    rank = int((variance > RANK_TOLERANCE * variance[0]).sum())
    notes: tuple[str, ...] = ()
    if rank < len(variance):
        notes = (
            f"{rank} of {len(variance)} components remain: "
            "the activations do not vary along the others",
        )
    total = float(np.var(A, axis=0, dtype=np.float64).sum())
    return Principal(model.mean_, model.components_[:rank], variance[:rank], total, notes)


def positive_skew_signs(R: RealArray, V: RealArray) -> DoubleArray:
    """(K,) of 1 and -1: the sign that makes each column of R positively skewed.

    A feature that is absent from most images and strong in a few has a positively skewed response, so
    the side of a component with the long tail is the one whose exemplars are looked at. The third
    central moment is taken in float64; where it is zero, the entry of V with the largest magnitude
    (the first of equals) becomes positive.
    """
    import numpy as np

    signs = np.ones(len(V))
    for k in range(len(V)):
        response = R[:, k].astype(np.float64)
        response -= response.mean()
        variance = np.mean(response**2)
        third = np.mean(response**3)
        if abs(third) > SKEW_TOLERANCE * variance**1.5:
            signs[k] = np.sign(third)
        else:
            signs[k] = 1.0 if V[k, np.argmax(np.abs(V[k]))] >= 0 else -1.0
    return signs


def sklearn_seed(seed: int) -> int:
    """A seed in scikit-learn's range, 32 bits, from one of any size."""
    import numpy as np

    return int(np.random.SeedSequence(seed).generate_state(1)[0])
