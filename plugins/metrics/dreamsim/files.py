"""DreamSim's published files: which networks a variant is made of, and where their tensors come from.

The zip of a variant holds its LoRA adapter and, for all but the DINO networks, the networks it adapts.
The package `dreamsim` gets DINO and DINOv2 from torch hub instead; their published files are assets of
their own here, so that no code is downloaded. (`dino_vitb16_pretrain.pth` in the zips is a training
checkpoint, of which the package takes a projection head that no variant uses.)
"""

from __future__ import annotations

import pickle
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from iibench import AssetError, AssetFile, AssetSpec, sha256_of

if TYPE_CHECKING:
    import torch

    from iibench import Resources

CHUNK = 1 << 20
RELEASES = "https://github.com/ssundaram21/dreamsim/releases/download"


def _backbone(name: str, url: str, homepage: str) -> AssetSpec:
    """A network without its hash: it is recorded on first use."""
    file = AssetFile(url.rpartition("/")[2], "", 0, url=url, torch_hub=True)
    return AssetSpec(name, f"{name}, a network of dreamsim", (file,), "Apache-2.0", homepage)


DINO = _backbone(
    "dino-vitb16",
    "https://dl.fbaipublicfiles.com/dino/dino_vitbase16_pretrain/dino_vitbase16_pretrain.pth",
    "https://github.com/facebookresearch/dino",
)
DINOV2 = _backbone(
    "dinov2-vitb14",
    "https://dl.fbaipublicfiles.com/dinov2/dinov2_vitb14/dinov2_vitb14_pretrain.pth",
    "https://github.com/facebookresearch/dinov2",
)


@dataclass(frozen=True)
class Network:
    """A vision transformer, base size, with patches of `patch` x `patch` pixels.

    Its tensors are in the asset `backbone`, or in the file `member` of the variant's zip: there below
    the key `entry`, under names that begin with `prefix`.
    """

    kind: Literal["dino", "dinov2", "clip", "open_clip", "synclr"]
    patch: int
    backbone: AssetSpec | None = None
    member: str = ""
    entry: str = ""
    prefix: str = ""

    @property
    def name(self) -> str:
        """As the package calls it."""
        return f"{self.kind}_vitb{self.patch}"

    @property
    def projected(self) -> bool:
        """Whether its features are CLIP's image embedding: its output times a matrix `proj`."""
        return self.kind in {"clip", "open_clip"}


def _clip(kind: Literal["clip", "open_clip"], patch: int) -> Network:
    return Network(kind, patch, None, f"{kind}_vitb{patch}_pretrain.pth.tar", "state_dict")


@dataclass(frozen=True)
class Variant:
    """Networks whose features are concatenated, in that order, and the folder of their adapter."""

    zip: AssetSpec
    adapter: str
    networks: tuple[Network, ...]


def _variant(name: str, release: str, *networks: Network) -> Variant:
    filename = f"dreamsim_{name}_checkpoint.zip"
    archive = AssetSpec(
        name=f"dreamsim-{name.replace('_', '-')}",
        summary=f"DreamSim, variant {name}",
        files=(AssetFile(filename, "", 0, url=f"{RELEASES}/{release}-checkpoints/{filename}"),),
        licence="MIT (dreamsim)",
        homepage="https://github.com/ssundaram21/dreamsim",
    )
    adapter = f"{name}_lora" if len(networks) > 1 else f"{name}_single_lora"
    return Variant(archive, adapter, networks)


_DINO = Network("dino", 16, DINO)
_SYNCLR = Network("synclr", 16, None, "synclr_vit_b_16.pth", "model", "module.visual.")
VARIANTS = {
    "ensemble": _variant("ensemble", "v0.2.0", _DINO, _clip("clip", 16), _clip("open_clip", 16)),
    "dino_vitb16": _variant("dino_vitb16", "v0.2.0", _DINO),
    "clip_vitb32": _variant("clip_vitb32", "v0.2.0", _clip("clip", 32)),
    "open_clip_vitb32": _variant("open_clip_vitb32", "v0.2.0", _clip("open_clip", 32)),
    "dinov2_vitb14": _variant("dinov2_vitb14", "v0.2.1", Network("dinov2", 14, DINOV2)),
    "synclr_vitb16": _variant("synclr_vitb16", "v0.2.1", _SYNCLR),
}


def read_network(network: Network, folder: Path, resources: Resources) -> dict[str, torch.Tensor]:
    """The network's published tensors by name; `folder` is where the variant's zip is unpacked.

    Raises `AssetError` where they are neither here nor to be had, or are not as published.
    """
    if network.backbone is not None:
        return read_tensors(resources.asset(network.backbone)[1])
    path = folder / network.member
    state = read_tensors(path, network.entry)
    if odd := [name for name in state if not name.startswith(network.prefix)]:
        raise AssetError(f"{path}: {odd[0]!r} does not begin with {network.prefix!r}")
    return {name.removeprefix(network.prefix): tensor for name, tensor in state.items()}


def read_tensors(path: Path, entry: str = "") -> dict[str, torch.Tensor]:
    """Name -> tensor of a .safetensors or PyTorch file, there below the key `entry` where one is given.

    No code in the file is run. Raises `AssetError` where it holds anything else.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    found: Any
    try:
        if path.suffix == ".safetensors":
            found = load_file(path)
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, SafetensorError, pickle.UnpicklingError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise AssetError(f"{path} cannot be read as a file of tensors: {reason}") from error
    if entry:
        found = found.get(entry) if isinstance(found, dict) else None
    if not isinstance(found, dict) or not all(isinstance(t, torch.Tensor) for t in found.values()):
        below = f" below {entry!r}" if entry else ""
        raise AssetError(f"{path}: expected a mapping name -> tensor{below}")
    return found


def unpacked(variant: Variant, resources: Resources) -> Path:
    """The folder, named by the SHA-256 of the variant's zip, with those files of it that are needed.

    What is unpacked and where to is known beforehand, whatever the zip says. A file appears under its
    name when it is complete. Raises `AssetError` where the zip is not to be had or lacks a file.
    """
    from filelock import FileLock

    archive = resources.asset(variant.zip)[1]
    folder = resources.cache_dir / "derived" / sha256_of(archive)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(folder.name + ".lock")), zipfile.ZipFile(archive) as opened:
            for name in _needed(variant, archive, opened.namelist()):
                _unpack(opened, name, folder / name)
    except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError) as error:
        raise AssetError(f"{archive} cannot be unpacked: {error}") from error
    except OSError as error:
        raise AssetError(
            f"{archive} cannot be unpacked to {folder}: {error.strerror or error}"
        ) from error
    return folder


def _needed(variant: Variant, archive: Path, there: Sequence[str]) -> list[str]:
    """The names of the zip's files that the variant is made of."""
    folder = variant.adapter
    adapters = [f"{folder}/{name}" for name in ("adapter_model.safetensors", "adapter_model.bin")]
    adapter = next((name for name in adapters if name in there), adapters[0])
    members = [network.member for network in variant.networks if network.member]
    needed = [f"{folder}/adapter_config.json", adapter, *members]
    if missing := [name for name in needed if name not in there]:
        raise AssetError(f"{archive} has no {' and no '.join(missing)}")
    return needed


def _unpack(opened: zipfile.ZipFile, name: str, target: Path) -> None:
    """Writes the file `name` to `target`, unless it is there in its full size."""
    if target.is_file() and target.stat().st_size == opened.getinfo(name).file_size:
        return
    target.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=target.parent) as scratch:
        made = Path(scratch) / target.name
        with opened.open(name) as source, made.open("wb") as out:
            shutil.copyfileobj(source, out, CHUNK)
        made.replace(target)
