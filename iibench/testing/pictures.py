"""Pictures for checks: smooth blobs and textures in four classes, the same everywhere and always."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

    from iibench.contract.arrays import FloatArray, ImageArray, IntArray

#: Classes of pictures: each has colours and an orientation of stripes of its own.
CLASSES = ("reds", "greens", "blues", "yellows")
_HUES = np.array([[0.8, 0.3, 0.25], [0.3, 0.7, 0.3], [0.25, 0.4, 0.8], [0.8, 0.75, 0.3]])


def pictures(n: int, size: int = 64, seed: int = 0) -> tuple[ImageArray, IntArray]:
    """n different pictures uint8 (n, size, size, 3) RGB, and their classes (n,): 0, 1, 2, 3, 0, ...

    Each is a sum of a gradient, coloured blobs, stripes of one orientation within a soft mask, and a
    little noise; so it has structure at coarse and fine scales, as photographs have.
    """
    labels = np.arange(n, dtype=np.int64) % len(CLASSES)
    out = np.empty((n, size, size, 3), np.uint8)
    for k in range(n):
        out[k] = _picture(int(labels[k]), size, np.random.default_rng([seed, k]))
    return out, labels


def _picture(label: int, size: int, rng: np.random.Generator) -> ImageArray:
    y, x = np.mgrid[:size, :size] / size
    angle = rng.uniform(0, 2 * np.pi)
    slope = 0.3 * (x * np.cos(angle) + y * np.sin(angle))
    canvas = _HUES[label] * rng.uniform(0.5, 1.0) + slope[..., None] * rng.uniform(-1, 1, 3)
    for _ in range(4):
        cx, cy = rng.uniform(0, 1, 2)
        blob = np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * rng.uniform(0.08, 0.25) ** 2))
        canvas = canvas + 0.5 * blob[..., None] * (rng.uniform(0, 1, 3) - canvas)
    turn = label * np.pi / 4 + rng.normal(0, 0.1)
    waves = np.sin(2 * np.pi * rng.uniform(6, 10) * (x * np.cos(turn) + y * np.sin(turn)))
    mask = np.exp(-((x - rng.uniform(0.3, 0.7)) ** 2 + (y - rng.uniform(0.3, 0.7)) ** 2) / 0.08)
    canvas = canvas + (rng.uniform(0.1, 0.25) * waves * mask)[..., None]
    canvas = canvas + rng.normal(0, 0.02, canvas.shape)
    return np.asarray(np.clip(255 * canvas, 0, 255).round(), np.uint8)


def photos(n: int, size: int, seed: int = 0, device: str = "cpu") -> torch.Tensor:
    """n pictures as a metric gets them: float32 (n, 3, size, size), RGB in [0, 1], on `device`."""
    from iibench.compute.images import to_unit_range

    return to_unit_range(pictures(n, size, seed)[0], device)


def noise_like(x: torch.Tensor, seed: int = 0) -> torch.Tensor:
    """Standard normal noise of the shape of x (n, 3, h, w), from a generator of its own."""
    import torch

    drawn = np.random.default_rng([seed, *x.shape]).standard_normal(tuple(x.shape))
    return torch.from_numpy(drawn.astype(np.float32)).to(x.device)


def name_counts(n: int, seed: int = 0) -> FloatArray:
    """(n, 6) counts of the names that 20 people gave to n pictures, those of one class alike."""
    rng = np.random.default_rng(seed)
    shares = np.full((n, 6), 0.05)
    shares[np.arange(n), np.arange(n) % len(CLASSES)] = 0.75
    return np.stack([rng.multinomial(20, row) for row in shares]).astype(np.float32)
