"""Published weights of the networks of Zimmermann, Klein and Brendel 2023, into those networks.

torchvision's files carry the first digits of their SHA-256 in their names: they are downloaded and
verified as for `torchvision:...`. No hash of the others is pinned, so they are not downloaded: the
user puts the file in place, and its SHA-256 is recorded with the run.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from iibench import AssetError, FileError, UsageError, sha256_of, torch_hub_dir, user_path

from .._state import read_state
from .._torchvision import pretrained_network
from .networks import NETWORKS, Published

if TYPE_CHECKING:
    import torch

    from iibench import Resources


def pretrained(variant: str, path: str, resources: Resources) -> tuple[torch.nn.Module, str]:
    """The network with the weights that the study used, or those of the file `path`; and what they are.

    `path` is relative to the suite's folder; "" stands for the published file. Raises `FileError`
    where the file `path` is missing or does not fit the network, `AssetError` where the published one is
    (with its address and place).
    """
    network = NETWORKS[variant]
    weights = network.weights
    if isinstance(weights, str) and not path:
        from torchvision.models import get_model_weights

        chosen = get_model_weights(network.builder)[weights]
        module = network.adapt(pretrained_network(network.builder, chosen, resources))
        return module, f"torchvision {chosen}"
    layout = weights if isinstance(weights, Published) else Published("", "")
    file = user_path(path, resources.base_dir) if path else _find(variant, layout, resources)
    error: type[UsageError] = FileError if path else AssetError
    found = read_state(file, layout.entry, error=error)
    state = _of_network(found, layout)
    module = network.adapt(network.build())
    misfit = _misfit(module.state_dict(), state)
    if misfit:
        raise error(f"weights {str(file)!r} do not fit imi:{variant}: {misfit}")
    module.load_state_dict(state)
    left_out = len(found) - len(state)
    note = f", {left_out} tensors of other parts left out" if left_out else ""
    return module, f"{file.name}, SHA-256 {sha256_of(file)}{note}"


def _find(variant: str, file: Published, resources: Resources) -> Path:
    folders = (resources.data_dir, torch_hub_dir())
    for folder in folders:
        if (folder / file.filename).is_file():
            return folder / file.filename
    raise AssetError(
        f"the weights of imi:{variant} are not there: download {file.url} and save it as "
        f"{folders[0] / file.filename} (or in {folders[1]}), or name a file with the parameter "
        "'path'; it is not downloaded, since its SHA-256 is not pinned"
    )


def _of_network(state: dict[str, torch.Tensor], layout: Published) -> dict[str, torch.Tensor]:
    """The tensors of the network itself, under the names that they have in it.

    A file without any such prefix is taken as it is. DenseNet's first file writes `norm.1` for the
    module `norm1`.
    """
    prefix = layout.prefix
    if not any(name.startswith(prefix) for name in state):
        prefix = ""
    start = len(prefix) if layout.strip else 0
    dotted = re.compile(r"(denselayer\d+\.(?:norm|conv))\.(\d\.)")
    return {
        dotted.sub(r"\1\2", name[start:]): tensor
        for name, tensor in state.items()
        if name.startswith(prefix)
    }


def _misfit(wanted: dict[str, torch.Tensor], found: dict[str, torch.Tensor]) -> str:
    """What is wrong with the tensors `found`, or "".

    `num_batches_tracked`, which decides nothing in eval mode and which old files lack, may be missing.
    """
    missing = [n for n in wanted if n not in found and not n.endswith("num_batches_tracked")]
    unknown = [name for name in found if name not in wanted]
    if missing or unknown:
        groups = ((missing, "missing"), (unknown, "unknown"))
        return ", ".join(f"{len(g)} tensors {word} (first: {g[0]})" for g, word in groups if g)
    for name, tensor in found.items():
        if tensor.shape != wanted[name].shape:
            shapes = f"{tuple(tensor.shape)}, expected {tuple(wanted[name].shape)}"
            return f"{name} has shape {shapes}"
    return ""
