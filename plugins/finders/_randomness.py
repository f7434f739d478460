"""Packages that draw from the global random generators must leave no trace in them.

Overcomplete does, and scikit-learn's coordinate descent takes a number that it does not use.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

from ._orientation import sklearn_seed


@contextmanager
def undisturbed(seed: int | None = None, device: str = "cpu") -> Iterator[None]:
    """Puts the global generators of torch, NumPy and Python back to where they were.

    With a `seed`, those of torch (on the CPU, and on `cuda` where that is the device) and NumPy start
    from it.
    """
    import numpy as np
    import torch

    ours = np.random.get_state(), random.getstate()
    devices = [torch.cuda.current_device()] if device == "cuda" else []
    with torch.random.fork_rng(devices):
        try:
            if seed is not None:
                torch.default_generator.manual_seed(seed)
                np.random.seed(sklearn_seed(seed))
                if devices:
                    torch.cuda.manual_seed(seed)
            yield
        finally:
            np.random.set_state(ours[0])
            random.setstate(ours[1])
