"""Images of a dataset as tensors for a network or a metric, and views of a dataset."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from iibench.contract.errors import Skip
from iibench.contract.specs import GivenNames, NamedImages

if TYPE_CHECKING:
    import torch

    from iibench.contract.arrays import ImageArray, IntArray
    from iibench.contract.specs import ImageDataset


def to_unit_range(images: ImageArray, device: str = "cpu", size: int | None = None) -> torch.Tensor:
    """uint8 (n, h, w, 3) -> float32 (n, 3, h, w) RGB in [0, 1] on `device`.

    `size`: resized to size x size (bicubic, antialiased, clamped to [0, 1]) where it is not that yet.

    >>> x = to_unit_range(np.full((1, 8, 8, 3), 255, np.uint8), size=4)
    >>> tuple(x.shape), x.max().item()
    ((1, 3, 4, 4), 1.0)
    """
    import torch

    pixels = torch.from_numpy(np.ascontiguousarray(images))
    if device == "cuda":  # from pinned memory the copy runs beside what the GPU is doing
        pixels = pixels.pin_memory().to(device, non_blocking=True)
    x = pixels.to(device).permute(0, 3, 1, 2)
    return resized(x.to(torch.float32, memory_format=torch.contiguous_format) / 255, size)


def resized(x: torch.Tensor, size: int | None) -> torch.Tensor:
    """x (n, 3, h, w) in [0, 1] at size x size pixels: bicubic, antialiased, clamped to [0, 1].

    Itself where it is that already, or `size` is None.

    >>> x = torch.rand(1, 3, 8, 8)
    >>> resized(x, None) is x, tuple(resized(x, 4).shape)
    (True, (1, 3, 4, 4))
    """
    import torch

    if size is None or tuple(x.shape[2:]) == (size, size):
        return x
    return torch.nn.functional.interpolate(
        x, size=(size, size), mode="bicubic", antialias=True, align_corners=False
    ).clamp_(0, 1)


def in_batches(indices: IntArray, size: int) -> list[IntArray]:
    """Consecutive parts of `indices`, `size` of them each but for the last.

    >>> [batch.tolist() for batch in in_batches(np.arange(5), 2)]
    [[0, 1], [2, 3], [4]]
    """
    return [indices[start : start + size] for start in range(0, len(indices), size)]


def read_ahead(
    read: Callable[[IntArray], ImageArray], batches: Sequence[IntArray]
) -> Iterator[tuple[IntArray, ImageArray]]:
    """(batch (b,), its images) batch by batch, the next one read meanwhile.

    `read` is called from another thread, never twice at a time.

    >>> images = np.zeros((5, 8, 8, 3), np.uint8)
    >>> found = read_ahead(images.__getitem__, in_batches(np.arange(5), 2))
    >>> [(batch.tolist(), len(pixels)) for batch, pixels in found]
    [([0, 1], 2), ([2, 3], 2), ([4], 1)]
    """
    with ThreadPoolExecutor(1, "iibench-images") as reader:
        ahead = [reader.submit(read, batches[0])] if batches else []
        for k, batch in enumerate(batches):
            images = ahead.pop().result()
            if k + 1 < len(batches):
                ahead.append(reader.submit(read, batches[k + 1]))
            yield batch, images


def names_of(dataset: ImageDataset) -> GivenNames:
    """What people called the images; raises `Skip` where the dataset does not know.

    >>> names_of(object())
    Traceback (most recent call last):
    iibench.contract.errors.Skip: this dataset does not know what people call its images
    """
    if not isinstance(dataset, NamedImages):
        raise Skip("this dataset does not know what people call its images")
    return dataset.given_names()
