"""Similarity of the names that people gave two images: how much their distributions overlap.

High level. p_c is the share of people who gave an image the name c; the similarity of two images is
the Bhattacharyya coefficient sum_c sqrt(p_c q_c), in [0, 1]. It is 1 for equal distributions and 0
where no name was given to both: where everybody agrees on each image's name it is that of `label`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from iibench import CaseError, MetricSpec, NoParams, Resources, hookimpl

from .._shared.bibliography import entry

if TYPE_CHECKING:
    import torch

BHATTACHARYYA1946 = entry(
    "article",
    "bhattacharyya1946measure",
    author="A. Bhattacharyya",
    title="On a Measure of Divergence between Two Multinomial Populations",
    journal="Sankhy{\\=a}",
    year=1946,
)


@dataclass(frozen=True)
class GivenNamesOverlap:
    """embed(counts) (n, C): sqrt(p), of length 1, so that the cosine is sum_c sqrt(p_c q_c)."""

    fingerprint: str = ""

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """float32 counts (n, C), how many people gave image i the name c -> float32 (n, C).

        Raises `CaseError` for anything else, for a count that is negative or not finite, and for an
        image that nobody named.
        """
        import torch

        if x.ndim != 2 or not x.is_floating_point():
            raise CaseError(
                "metric human_label expects floating counts of names (n, C), got "
                f"{str(x.dtype).removeprefix('torch.')} of shape {tuple(x.shape)}"
            )
        counts = x.double()
        wrong = ~(counts.isfinite() & (counts >= 0))
        if bool(wrong.any()):
            image, name = wrong.nonzero()[0].tolist()
            raise CaseError(
                f"metric human_label: the count of name {name} of image {image} is "
                f"{float(x[image, name]):g}, expected 0 or more (both numbered from 0)"
            )
        people = counts.sum(dim=1, keepdim=True)
        nameless = (people[:, 0] == 0).nonzero()[:, 0].tolist()
        if nameless:
            more = f" and {len(nameless) - 1} more" if len(nameless) > 1 else ""
            raise CaseError(
                f"metric human_label: nobody gave image {nameless[0]} (from 0) a name{more}"
            )
        return torch.sqrt(counts / people).float()


def load(params: NoParams, resources: Resources) -> GivenNamesOverlap:
    """Nothing is loaded: the names come with the dataset."""
    return GivenNamesOverlap()


@hookimpl
def iibench_register_metrics() -> Iterable[MetricSpec]:
    """Registers `human_label`."""
    return [
        MetricSpec(
            name="human_label",
            summary="overlap of the names that people gave the two images",
            definition=(
                "p_c is the share of people who gave an image the name c, as its dataset records it. "
                "Similarity = sum over c of sqrt(p_c q_c), the Bhattacharyya coefficient of the two "
                "images' shares p and q, in [0, 1]: 1 for equal shares, 0 where no name was given to "
                "both; larger is more alike. The pixels play no part."
            ),
            load=load,
            distance="cosine",
            input="names",
            range="[0, 1]",
            level="high",
            citation=(
                "Bhattacharyya 1946, On a Measure of Divergence between Two Multinomial Populations"
            ),
            bibtex=BHATTACHARYYA1946,
        )
    ]
