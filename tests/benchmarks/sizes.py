"""How large the work of each row is, and where its files lie."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path


@dataclass(frozen=True)
class Sizes:
    """`data`, `cache`: iibench's folders, for images and backbones. `scratch`: shared by both sides.

    Where a peer is slow it does `peer_units` of the units or `pairs` of the pairs, and its seconds are
    scaled to all.
    """

    data: Path
    cache: Path
    scratch: Path
    images: int = 10_000
    train: int = 50_000
    units: int = 256
    peer_units: int = 8
    trials: int = 20
    references: int = 9
    pairs: int = 200
    clusters: int = 256
    product: int = 4096
    many_images: int = 1_281_167
    many_units: int = 2048
    many_peer_units: int = 32
    run: tuple[str, ...] = ("cifar_layer1",)

    def quick(self) -> Sizes:
        """Sizes at which every row takes seconds: to see that it works, not how fast."""
        return replace(
            self,
            images=200,
            train=400,
            units=8,
            peer_units=2,
            trials=2,
            references=2,
            pairs=5,
            clusters=8,
            product=256,
            many_images=5000,
            many_units=32,
            many_peer_units=4,
            run=("cifar_layer1", "--limit", "1000", "-k", "neurons and color and ii"),
        )
