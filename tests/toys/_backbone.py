"""AlexNet's convolutions with random weights: LPIPS without a download."""

from __future__ import annotations

import torch

#: place -> (channels out, channels in, side of the kernel)
CONVOLUTIONS = {
    0: (64, 3, 11),
    3: (192, 64, 5),
    6: (384, 192, 3),
    8: (256, 384, 3),
    10: (256, 256, 3),
}


def random_alexnet(seed: int = 0) -> dict[str, torch.Tensor]:
    """By torchvision's names (`features.0.weight`)."""
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for place, (out, into, side) in CONVOLUTIONS.items():
        spread = (2 / (into * side * side)) ** 0.5
        weights[f"features.{place}.weight"] = (
            torch.randn(out, into, side, side, generator=generator) * spread
        )
        weights[f"features.{place}.bias"] = torch.randn(out, generator=generator) * 0.1
    return weights
