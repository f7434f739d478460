"""Finders with one mistake each, and without: singular vectors of the activations about their mean."""

from __future__ import annotations

import numpy as np

from iibench import Directions, FinderSpec
from iibench.contract.errors import CaseError

K = 8


def fit(params, A, context):
    if min(A.shape) < K:
        raise CaseError(f"k={K} is more than {min(A.shape)}")
    mean = A.mean(axis=0)
    if not np.ptp(A, axis=0).any():
        raise CaseError("all activations are the same")
    _, _, rows = np.linalg.svd((A - mean).astype(np.float64), full_matrices=False)
    signs = np.sign((A - mean) @ rows[:K].T).mean(axis=0) > 0
    vectors = rows[:K] * np.where(signs, 1, -1)[:, None]
    return Directions(vectors.astype(np.float32), {"mean": mean})


def encode(params, directions, A):
    return (A - directions.state["mean"]) @ directions.vectors.T


def spec(fit=fit, encode=encode, **more):
    return FinderSpec(name="planted", summary="", fit=fit, encode=encode, **more)


def unseeded(params, A, context):
    """A random start from NumPy's global generator."""
    found = fit(params, A, context)
    order = np.random.permutation(K)
    return Directions(found.vectors[order], found.state)


def reseeding(params, A, context):
    np.random.seed(context.seed % 2**32)
    return fit(params, A, context)


_SEEN = []


def peeking(params, A, context):
    """Learns from whatever was encoded before: the evaluated images."""
    return fit(params, np.concatenate([A, *_SEEN]), context)


def remembering(params, directions, A):
    """... which this keeps."""
    _SEEN[:] = [A.copy()]
    return encode(params, directions, A)


_LAST = {}


def stashing(params, A, context):
    """The mean stays in the module instead of in the directions."""
    found = fit(params, A, context)
    _LAST["mean"] = found.state["mean"]
    return Directions(found.vectors)


def from_stash(params, directions, A):
    return (A - _LAST["mean"]) @ directions.vectors.T


def by_identity(params, A, context):
    found = fit(params, A, context)
    _LAST[id(found.vectors)] = found.vectors, found.state["mean"]
    return Directions(found.vectors)


def from_identity(params, directions, A):
    _, mean = _LAST.get(id(directions.vectors), (None, 0))
    return (A - mean) @ directions.vectors.T


def in_place(params, A, context):
    found = fit(params, A, context)
    A -= A.mean(axis=0)
    return found


def batch_scaled(params, directions, A):
    """Responses are scaled by the deviation of the rows at hand."""
    R = encode(params, directions, A)
    return (R / (R.std(axis=0) + 1e-3)).astype(np.float32)


def reversed_sign(params, directions, A):
    """A distance, not a response."""
    return -encode(params, directions, A)


def untrained(params, A, context):
    """The optimisation does not move: what comes out hangs on A in nothing but a scale."""
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((K, A.shape[1])) * float(A.std())
    return Directions(vectors.astype(np.float32), {"mean": A.mean(axis=0)})


def constant(params, A, context):
    rng = np.random.default_rng(context.seed)
    vectors = rng.standard_normal((K, A.shape[1])).astype(np.float32)
    return Directions(vectors, {"mean": np.zeros(A.shape[1], np.float32)})


def bare(params, A, context):
    """What it cannot compute ends in somebody else's exception."""
    mean = A.mean(axis=0)
    rows = np.linalg.svd((A - mean).astype(np.float64), full_matrices=False)[2]
    return Directions(np.stack([rows[k] for k in range(K)]).astype(np.float32), {"mean": mean})


def double(params, A, context):
    found = fit(params, A, context)
    return Directions(found.vectors.astype(np.float64), found.state)


def pickled(params, A, context):
    found = fit(params, A, context)
    return Directions(found.vectors, {**found.state, "model": np.array([object()], object)})
