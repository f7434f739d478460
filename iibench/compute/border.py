"""What plugins give, checked once where it comes in: type, shape, kind of number, finiteness."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from iibench.contract.errors import CaseError, PluginError

if TYPE_CHECKING:
    import numpy.typing as npt
    import torch

    from iibench.contract.arrays import FloatArray


def real_array(
    value: Any, who: str, what: str, shape: tuple[int | None, ...], *, nan: bool = False
) -> npt.NDArray[Any]:
    """`value` as an array of real numbers of its own; `shape`: sizes, None for any.

    Raises `PluginError` where it is another kind of thing or has another shape, `CaseError` where a number
    is not finite (`nan`: NaN is allowed). Nothing is dropped: complex numbers, masks and text are refused.

    >>> real_array(np.array([[1, 2]]), "finder mine", "vectors", (None, 2)).tolist()
    [[1, 2]]
    >>> real_array(np.array([1j]), "finder mine", "a response", (1,))
    Traceback (most recent call last):
    iibench.contract.errors.PluginError: finder mine gave a response as complex128; expected real numbers
    """
    if isinstance(value, np.ma.MaskedArray):
        raise PluginError(f"{who} gave {what} as a masked array; expected a plain one")
    try:
        found: npt.NDArray[Any] = np.array(value)
    except Exception as error:
        raise PluginError(
            f"{who} gave {what} as {type(value).__name__}, which is no array"
        ) from error
    if found.dtype.kind not in "biuf":
        kind = type(value).__name__ if found.dtype.kind == "O" else found.dtype
        raise PluginError(f"{who} gave {what} as {kind}; expected real numbers")
    if found.ndim != len(shape) or any(
        n is not None and n != m for n, m in zip(shape, found.shape, strict=True)
    ):
        sizes = ", ".join("any" if n is None else str(n) for n in shape)
        expected = f"({sizes},)" if len(shape) == 1 else f"({sizes})"
        raise PluginError(f"{who} gave {what} of shape {found.shape}, expected {expected}")
    bad = np.isinf(found) if nan else ~np.isfinite(found)
    if found.dtype.kind == "f" and bad.any():
        raise CaseError(f"{who} gave {what} that is not finite")
    return found


def real_float32(value: Any, who: str, what: str, shape: tuple[int | None, ...]) -> FloatArray:
    """`real_array` in float32; raises `CaseError` too where a number is too large for it.

    >>> real_float32([[True, False]], "finder mine", "a response", (1, None)).tolist()
    [[1.0, 0.0]]
    """
    with np.errstate(over="ignore"):
        found: FloatArray = real_array(value, who, what, shape).astype(np.float32, copy=False)
    if not np.isfinite(found).all():
        raise CaseError(f"{who} gave {what} that is not finite in float32")
    return found


def real_tensor(value: Any, who: str, what: str) -> torch.Tensor:
    """`value`, a tensor of real numbers; raises `PluginError` where it is none.

    >>> real_tensor(torch.ones(2), "metric mine", "a similarity").tolist()
    [1.0, 1.0]
    >>> real_tensor(np.ones(2), "metric mine", "a similarity")
    Traceback (most recent call last):
    iibench.contract.errors.PluginError: metric mine gave a similarity as ndarray; expected a tensor
    """
    import torch

    if not isinstance(value, torch.Tensor):
        raise PluginError(f"{who} gave {what} as {type(value).__name__}; expected a tensor")
    if value.is_complex():
        raise PluginError(f"{who} gave {what} as complex numbers; expected real ones")
    return value
