"""Similarity of labels: 1 where two images bear the same label, else 0."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from iibench import CaseError, MetricSpec, NoParams, Resources, hookimpl

from .._shared.bibliography import KLINDT2023

if TYPE_CHECKING:
    import torch

#: Class indices up to here are exact in float32, which embeddings are kept in.
LARGEST = 2**24


@dataclass(frozen=True)
class SameLabel:
    """embed(labels) (n, 1): the class index."""

    fingerprint: str = ""

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """int64 labels (n,), 0 to 2^24 -> float32 (n, 1). Raises `CaseError` for anything else."""
        if x.ndim != 1 or x.is_floating_point():
            raise CaseError(
                f"metric label expects integer labels (n,), got {x.dtype} {tuple(x.shape)}"
            )
        if x.numel() and not 0 <= int(x.min()) <= int(x.max()) <= LARGEST:
            raise CaseError(
                f"metric label expects class indices from 0 to {LARGEST}, got {int(x.min())} "
                f"to {int(x.max())}"
            )
        return x[:, None].float()


def load(params: NoParams, resources: Resources) -> SameLabel:
    return SameLabel()


@hookimpl
def iibench_register_metrics() -> Iterable[MetricSpec]:
    return [
        MetricSpec(
            name="label",
            summary="1 if the two images bear the same label, else 0",
            definition=(
                "Similarity = 1 where the two images bear the same class label in the dataset, else "
                "0; larger is more alike. The pixels play no part, so that of an image and itself is "
                "1. Datasets without labels are skipped."
            ),
            load=load,
            distance="equal",
            input="labels",
            range="{0, 1}",
            level="high",
            citation="Klindt et al. 2023 (arXiv 2310.11431), Sec. 2.2",
            bibtex=KLINDT2023,
        )
    ]
