"""Weights of metrics made of networks: all of them set, known by their hash, used exactly."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from iibench import AssetError

if TYPE_CHECKING:
    import torch


def strict(
    what: str,
    wanted: Mapping[str, tuple[int, ...]],
    found: Mapping[str, torch.Tensor],
    device: str,
) -> dict[str, torch.Tensor]:
    """The tensors `found` as float32 on `device`, after a check of their names and shapes.

    Raises `AssetError` where one of `wanted` (name -> shape) is missing, or one is unknown, of another
    shape, or not finite.
    """
    import torch

    if wanted.keys() != found.keys():
        missing, unknown = wanted.keys() - found, found.keys() - wanted.keys()
        raise AssetError(f"{what}: missing {_few(missing)}, unknown {_few(unknown)}")
    for name, shape in wanted.items():
        if tuple(found[name].shape) != shape:
            raise AssetError(
                f"{what}: {name} has shape {tuple(found[name].shape)}, expected {shape}"
            )
        if not bool(found[name].isfinite().all()):
            raise AssetError(f"{what}: {name} is not finite")
    return {name: found[name].detach().to(device, torch.float32) for name in wanted}


def _few(names: Iterable[str]) -> str:
    """The first three names, and how many more there are."""
    ordered = sorted(names)
    more = f" and {len(ordered) - 3} more" if len(ordered) > 3 else ""
    return f"{ordered[:3]}{more}"


def fingerprint_of(tensors: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 (hex) of names, shapes and float32 bytes."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()


def fast_layout(x: torch.Tensor) -> torch.Tensor:
    """x (n, C, H, W) in the layout in which a CPU convolves faster; unchanged on other devices."""
    import torch

    if x.device.type != "cpu" or x.ndim != 4:
        return x
    return x.contiguous(memory_format=torch.channels_last)


@contextmanager
def exact() -> Iterator[None]:
    """No gradients, and a GPU's convolutions in float32 proper.

    TF32 would make a GPU's numbers agree with a CPU's to three digits only.
    """
    import torch

    with (
        torch.no_grad(),
        torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False),
    ):
        yield
