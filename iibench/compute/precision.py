"""The precision of networks and metrics: float32, or automatic mixed precision on request."""

from __future__ import annotations

import contextlib
from typing import Final

from iibench.contract.errors import UsageError

#: Values of `--precision`. Everything but float32 is torch's automatic mixed precision.
PRECISIONS: Final = ("float32", "bfloat16", "float16")


def check_precision(precision: str, device: str) -> None:
    """Raises `UsageError` where the device does not compute in this precision.

    >>> check_precision("bfloat16", "cpu")
    >>> check_precision("float16", "cpu")
    Traceback (most recent call last):
    iibench.contract.errors.UsageError: --precision float16 needs a GPU; on the CPU there is bfloat16
    """
    if precision not in PRECISIONS:
        raise UsageError(f"--precision {precision}: expected {', '.join(PRECISIONS)}")
    if precision == "float16" and device == "cpu":
        raise UsageError("--precision float16 needs a GPU; on the CPU there is bfloat16")


def mixed(device: str, precision: str) -> contextlib.AbstractContextManager[object]:
    """A context in which torch chooses float32 or `precision` operation by operation (autocast).

    Convolutions and matrix products run in `precision`, what sums or divides in float32 where torch
    holds that to be needed. Nothing for float32.

    >>> x = torch.ones(2, 2)
    >>> with mixed("cpu", "bfloat16"):
    ...     (x @ x).dtype
    torch.bfloat16
    """
    if precision == "float32":
        return contextlib.nullcontext()
    import torch

    return torch.autocast(device, dtype=getattr(torch, precision))
