"""Directions from a file: a user's own (K, N) array, from any method.

A (n, N) activations, V (K, N) the array's rows, kept as they are, not scaled.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from iibench import CaseError, Directions, FinderSpec, hookimpl, sha256_of, user_path

from .vectors import read_vectors

if TYPE_CHECKING:
    from iibench import DoubleArray, FitContext, FloatArray

#: Rows that are encoded at once.
ROWS = 8192
#: Numbers of rows that a note gives.
SHOWN = 5


@dataclass(frozen=True)
class Params:
    """Parameters of directions from a file."""

    path: str = field(
        metadata={
            "help": "a .npy, .npz, .safetensors or .pt file with a (K, N) array of numbers, one "
            "direction a row; relative to the suite's folder"
        }
    )
    key: str | None = field(
        default=None,
        metadata={"help": "name of the array in a file that holds several"},
    )
    response: Literal["projection", "cosine", "neg_distance"] = field(
        default="projection",
        metadata={
            "help": "projection: of the activation on the row, both as they are; cosine: of both; "
            "neg_distance: minus the Euclidean distance of the activation to the row"
        },
    )
    rectify: bool = field(
        default=False, metadata={"help": "negative responses count as 0, as after a ReLU"}
    )

    def __post_init__(self) -> None:
        """Raises `ValueError`, which the suite's reader reports, where nothing would be left."""
        if self.rectify and self.response == "neg_distance":
            raise ValueError(
                "found rectify: true with response: neg_distance, which is never positive; expected "
                "rectify: false"
            )


def inputs(params: Params, base_dir: Path) -> str:
    """SHA-256 (hex) of the file's bytes; raises `FileError` where it holds no directions."""
    place = _place(params, base_dir)
    read_vectors(place, params.key)
    return sha256_of(place)


def _place(params: Params, base_dir: Path) -> Path:
    return user_path(params.path, base_dir)


def fit(params: Params, A: FloatArray, context: FitContext) -> Directions:
    """The file's rows. One of zeros is kept, so that units keep their numbers: it is a dead one.

    Raises `FileError` for a file that is missing or holds no such array, and `CaseError` where its
    rows have another length than the layer has neurons.
    """
    import numpy as np

    V = read_vectors(_place(params, context.base_dir), params.key)
    if V.shape[1] != A.shape[1]:
        raise CaseError(
            f"file: the {len(V)} directions in {params.path!r} have {V.shape[1]} entries and the layer "
            f"has N = {A.shape[1]} neurons; expected an array of shape (K, {A.shape[1]})"
        )
    dead = np.flatnonzero(~V.any(axis=1))
    if not len(dead) or params.response == "neg_distance":  # a point may lie at zero
        return Directions(V)
    shown = ", ".join(map(str, dead[:SHOWN])) + (", ..." if len(dead) > SHOWN else "")
    note = f"{len(dead)} of {len(V)} rows are all zero and respond to nothing: row {shown} (from 0)"
    return Directions(V, notes=(note,))


def encode(params: Params, directions: Directions, A: FloatArray) -> FloatArray:
    """R (n, K), as `params.response` says; in float64.

    `projection`: a . v, in the activation's unit times the row's; `cosine`: a . v / (|a| |v|), 0 where
    the activation is zero, in [-1, 1]; `neg_distance`: -||a - v||.
    """
    import numpy as np

    V = directions.vectors.astype(np.float64)
    R = np.empty((len(A), len(V)), np.float32)
    for start in range(0, len(A), ROWS):
        R[start : start + ROWS] = _responses(params.response, A[start : start + ROWS], V)
    return np.maximum(R, 0) if params.rectify else R


def _responses(response: str, A: FloatArray, V: DoubleArray) -> DoubleArray:
    import numpy as np

    a = A.astype(np.float64)
    products: DoubleArray = a @ V.T
    if response == "projection":
        return products
    squares, lengths = np.square(a).sum(axis=1)[:, None], np.square(V).sum(axis=1)
    if response == "cosine":
        scale = np.sqrt(squares * lengths)
        found = np.divide(products, scale, out=np.zeros_like(products), where=scale > 0)
        cosine: DoubleArray = np.clip(found, -1, 1)
        return cosine
    distance: DoubleArray = np.sqrt(np.maximum(squares + lengths - 2 * products, 0))
    return -distance


@hookimpl
def iibench_register_finders() -> Iterable[FinderSpec]:
    """Registers `file`."""
    yield FinderSpec(
        name="file",
        summary="your own directions, rows of an array in a .npy, .npz, .safetensors or .pt file",
        definition=(
            "The directions are the rows v_k of a (K, N) array in a file of the user's own, kept "
            "as they are. The response of an image with activation a is the projection a . v_k by "
            "default, the cosine a . v_k / (|a| |v_k|) or the negative distance -||a - v_k||; "
            "with `rectify` negative responses count as 0. Nothing is fitted."
        ),
        params=Params,
        fit=fit,
        encode=encode,
        trains_on=False,
        inputs=inputs,
    )
