"""Networks of torchvision, with and without their weights."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import URLError

from iibench import AssetError, Resources

if TYPE_CHECKING:
    import torch


#: Seconds without a byte after which a download is given up.
TIMEOUT = 10.0

IMAGENET_MEAN = (0.485, 0.456, 0.406)

IMAGENET_STD = (0.229, 0.224, 0.225)


def build_network(variant: str, **options: Any) -> torch.nn.Module:
    from torchvision.models import get_model

    with warnings.catch_warnings():  # GoogLeNet and Inception announce a future initialisation
        warnings.simplefilter("ignore", FutureWarning)
        module: torch.nn.Module = get_model(variant, **options)
    return module


def pretrained_network(variant: str, weights: Any, resources: Resources) -> torch.nn.Module:
    """The network with torchvision's weights: from torch hub's folder, the data folder, their URL.

    torchvision itself builds the network, since some architectures differ with weights.
    """
    import torch

    checkpoints = Path(torch.hub.get_dir()) / "checkpoints"
    filename = weights.url.rpartition("/")[2]
    cached, by_hand = checkpoints / filename, resources.data_dir / filename
    if not cached.is_file() and by_hand.is_file():
        _verify(by_hand)
        _copy(by_hand, cached)
    elif cached.is_file():
        _verify(cached)  # torch hub checks what it downloads, never what it finds
    elif resources.offline:
        raise AssetError(
            f"the weights of torchvision:{variant} ({filename}) are not here, and nothing is "
            f"downloaded (--offline); put the file into {resources.data_dir} or {checkpoints}"
        )
    try:
        with _socket_timeout(TIMEOUT):
            return build_network(variant, weights=weights, progress=False)
    except (URLError, OSError, RuntimeError) as error:
        raise AssetError(
            f"the weights of torchvision:{variant} ({filename}) cannot be had: {error}; download "
            f"{weights.url} elsewhere and put the file into {resources.data_dir} or {checkpoints}"
        ) from error


def _verify(path: Path) -> None:
    """The file's SHA-256 begins with the digits in its name, as torchvision promises."""
    digits = path.stem.rpartition("-")[2]
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if not found.startswith(digits):
        raise AssetError(
            f"{path} is damaged: its SHA-256 begins with {found[: len(digits)]}, its name says "
            f"{digits}; remove the file"
        )


def _copy(source: Path, target: Path) -> None:
    """Copies by way of a temporary name, so that no reader sees half a file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent)
    os.close(handle)
    shutil.copyfile(source, name)
    Path(name).replace(target)


@contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    """torch hub opens its URL without a time-out; this sets the default one meanwhile."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
