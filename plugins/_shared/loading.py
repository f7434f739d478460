"""What every plugin of networks does: optional libraries, random weights, strict loading, freezing."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from iibench import AssetError, FileError, UsageError

if TYPE_CHECKING:
    import torch

#: How many names of tensors a message gives.
SHOWN = 3


def optional(module: str, extra: str) -> Any:
    """The module of an optional library; raises `AssetError` that says how to install it."""
    try:
        return importlib.import_module(module)
    except Exception as error:  # an old library may fail in any way with a new torch
        raise AssetError(
            f"this needs the package {module.partition('.')[0]}, which cannot be imported "
            f"({type(error).__name__}: {error}); install it with: pip install 'iibench[{extra}]'"
        ) from error


def versions_sha256(*distributions: str) -> str:
    """SHA-256 (hex) of the versions of the libraries whose code a network is.

    For `LoadedModel.fingerprint`: the same weights may give other numbers after an upgrade.
    """
    lines = "".join(f"{name} {version(name)}\n" for name in distributions)
    return hashlib.sha256(lines.encode()).hexdigest()


def seeded(build: Callable[[], torch.nn.Module], seed: int) -> torch.nn.Module:
    """What `build` makes with torch's generator at `seed`; the generator is put back afterwards."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def frozen(module: torch.nn.Module, device: str) -> torch.nn.Module:
    """The network as `LoadedModel` wants it: in eval mode, without gradients, on `device`."""
    return module.eval().requires_grad_(False).to(device)


def load_strictly(
    module: torch.nn.Module,
    state: Mapping[str, torch.Tensor],
    file: str,
    network: str,
    error: type[UsageError] = FileError,
) -> None:
    """Puts `state` into `module`: every tensor is used, none is missing.

    `num_batches_tracked`, which decides nothing in eval mode and which old files lack, may be
    missing. Raises `error` (`AssetError` for files that no user named) naming `file`, `network` and a
    few tensors where they do not fit, and where a value is not finite.
    """
    problem = misfit(module.state_dict(), state)
    if problem:
        raise error(f"weights {file!r} do not fit {network}: {problem}")
    if bad := not_finite(state.items()):
        raise error(f"weights {file!r} hold values that are not finite: {bad}")
    module.load_state_dict(dict(state), strict=False)


def misfit(wanted: Mapping[str, torch.Tensor], found: Mapping[str, torch.Tensor]) -> str:
    """In what the tensors `found` differ from `wanted` by name or shape, or ""."""
    missing = [n for n in wanted if n not in found and not n.endswith("num_batches_tracked")]
    unknown = [name for name in found if name not in wanted]
    if missing or unknown:
        groups = ((missing, "missing"), (unknown, "unknown"))
        return ", ".join(
            f"{len(g)} tensor{'s' * (len(g) > 1)} {word} ({few(g)})" for g, word in groups if g
        )
    for name, tensor in found.items():
        if tensor.shape != wanted[name].shape:
            return f"{name} has shape {tuple(tensor.shape)}, expected {tuple(wanted[name].shape)}"
    return ""


def not_finite(tensors: Iterable[tuple[str, torch.Tensor]]) -> str:
    """The first few of the tensors (name, tensor) that hold NaN or infinity, or ""."""
    return few([name for name, tensor in tensors if not bool(tensor.isfinite().all())])


def few(names: Sequence[str]) -> str:
    """The first names of a list, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
