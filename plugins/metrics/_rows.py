"""Embeddings that are maps: rows that begin with the size of the image they were made from.

A metric that compares whole maps gets nothing but rows of embeddings, possibly read from a cache;
their length alone does not tell the image's height and width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from iibench import CaseError

if TYPE_CHECKING:
    import torch

#: Columns before the maps: height and width in pixels.
HEAD = 2


def rows_of(maps: Sequence[torch.Tensor], height: int, width: int) -> torch.Tensor:
    """maps (n, C_k, H_k, W_k) of height x width images -> rows (n, 2 + sum of C_k H_k W_k) float32."""
    import torch

    head = maps[0].new_tensor([height, width]).expand(len(maps[0]), HEAD)
    return torch.cat([head, *(m.flatten(1) for m in maps)], dim=1)


def image_size(metric: str, a: torch.Tensor, b: torch.Tensor) -> tuple[int, int]:
    """(height, width) of the images behind rows a (p, d) and b (q, d), p and q at least 1.

    Raises `CaseError` where it is not the same for all of them.
    """
    import torch

    heads = torch.cat([a[:, :HEAD], b[:, :HEAD]])
    if not bool((heads == heads[0]).all()):
        sizes = sorted({f"{int(h)} x {int(w)}" for h, w in heads.tolist()})
        raise CaseError(f"metric {metric} compares images of one size, got {' and '.join(sizes)}")
    height, width = heads[0].tolist()
    return int(height), int(width)
