"""The check that every image metric makes of its input, and what counts as a number."""

from __future__ import annotations

import math
import numbers
from typing import TYPE_CHECKING, Any

from iibench.contract.errors import CaseError

if TYPE_CHECKING:
    import torch


def check_rgb(metric: str, x: torch.Tensor) -> None:
    """The check that a metric plugin makes of its input: floating (n, 3, h, w) with values in [0, 1].

    Raises `CaseError` otherwise. Grey images, [-1, 1] or [0, 255] would give plausible, wrong numbers:
    broadcasting and scaling hide them.

    >>> check_rgb("mine", torch.rand(2, 3, 8, 8))
    >>> check_rgb("mine", 255 * torch.ones(2, 3, 8, 8))
    Traceback (most recent call last):
    iibench.contract.errors.CaseError: metric mine expects RGB in [0, 1], got values from 255 to 255
    """
    if x.ndim != 4 or x.shape[1] != 3 or not x.is_floating_point():
        raise CaseError(
            f"metric {metric} expects floating RGB images (n, 3, height, width), got "
            f"{str(x.dtype).removeprefix('torch.')} of shape {tuple(x.shape)}"
        )
    if x.numel() == 0:
        return
    low, high = (v.item() for v in x.aminmax())
    if not (low >= 0 and high <= 1):
        raise CaseError(
            f"metric {metric} expects RGB in [0, 1], got values from {low:g} to {high:g}"
        )


def is_number(value: Any) -> bool:
    """Whether a value is one finite real number; a truth value is none.

    >>> is_number(np.float32(0.5)), is_number(3), is_number(True), is_number(1j), is_number("many")
    (True, True, False, False, False)
    """
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return real and math.isfinite(float(value))


def is_count(value: Any) -> bool:
    """Whether a value is a whole number from 0; a truth value is none.

    >>> is_count(20), is_count(np.int64(3)), is_count(-1), is_count(True), is_count("many")
    (True, True, False, False, False)
    """
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    return whole and int(value) >= 0
