"""The package Overcomplete (Fel et al.): its import, and the parameters of its methods here."""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge, Gt

from iibench import AssetError

from .._randomness import undisturbed

if TYPE_CHECKING:
    from types import ModuleType


#: Methods in which `active` directions describe an image.
TOP_K = ("topk_sae", "batch_topk_sae", "ra_sae")


@dataclass(frozen=True)
class Params:
    """Parameters of Overcomplete's methods; `help` says which of them a method uses."""

    method: Literal[
        "nmf",
        "semi_nmf",
        "convex_nmf",
        "sae",
        "topk_sae",
        "batch_topk_sae",
        "jump_sae",
        "ra_sae",
    ] = field(
        default="topk_sae",
        metadata={
            "help": "factorisations: nmf, semi_nmf (signed directions, weights >= 0), convex_nmf "
            "(directions are weighted means of activations); autoencoders: sae (ReLU, L1), topk_sae, "
            "batch_topk_sae, jump_sae (JumpReLU, L1), ra_sae (relaxed archetypal: decoder rows are "
            "weighted means of activations but for `delta`; TopK)"
        },
    )
    k: Annotated[int, Ge(1)] = field(default=256, metadata={"help": "number of directions, K"})
    active: Annotated[int, Ge(1)] = field(
        default=32,
        metadata={
            "help": "topk_sae, ra_sae: directions that an image activates at most; batch_topk_sae: on "
            "average"
        },
    )
    l1: Annotated[float, Ge(0)] = field(
        default=4.0,
        metadata={"help": "sae, jump_sae: weight of the sum of the codes, as the finder sae's"},
    )
    candidates: Annotated[int, Ge(1)] = field(
        default=1000,
        metadata={"help": "ra_sae: activations drawn from the fit split to take the means of"},
    )
    delta: Annotated[float, Gt(0)] = field(
        default=1.0,
        metadata={"help": "ra_sae: largest norm of what is added to a mean, in the fit's scale"},
    )
    epochs: Annotated[int, Ge(1)] = field(
        default=20, metadata={"help": "autoencoders: passes over the images"}
    )
    batch_size: Annotated[int, Ge(1)] = field(
        default=256, metadata={"help": "autoencoders: images per step (decides the result)"}
    )
    lr: Annotated[float, Gt(0)] = field(
        default=1e-3, metadata={"help": "autoencoders: Adam's step size"}
    )
    max_iter: Annotated[int, Ge(1)] = field(
        default=500, metadata={"help": "factorisations: steps of the solver at most"}
    )

    def __post_init__(self) -> None:
        """Raises `ValueError`, which the suite's reader reports, for more active directions than K."""
        if self.method in TOP_K and self.active > self.k:
            raise ValueError(
                f"found active = {self.active} directions of k = {self.k}; expected active <= k"
            )


def package_version() -> str:
    """The installed version of Overcomplete; raises `AssetError` where there is none."""
    try:
        return importlib.metadata.version("overcomplete")
    except importlib.metadata.PackageNotFoundError as error:
        raise AssetError(
            "the finder overcomplete needs the package overcomplete: pip install "
            "'iibench[overcomplete]'"
        ) from error


def submodule(name: str) -> ModuleType:
    """The module overcomplete.`name`; raises `AssetError` where the package cannot be imported."""
    package_version()
    try:
        with _colour_maps(), undisturbed():
            return importlib.import_module(f"overcomplete.{name}")
    except Exception as error:  # whatever a broken installation raises
        raise AssetError(
            f"the package overcomplete cannot be imported ({type(error).__name__}: {error}); "
            "pip install --force-reinstall 'iibench[overcomplete]'"
        ) from error


@contextmanager
def _colour_maps() -> Iterator[None]:
    """Lends Matplotlib the function `cm.get_cmap`, which Overcomplete 0.3.0 calls for its drawings when
    it is imported and which Matplotlib 3.11 no longer has."""
    import matplotlib
    from matplotlib import cm

    module: Any = cm
    if hasattr(module, "get_cmap"):
        yield
        return
    module.get_cmap = lambda name: matplotlib.colormaps[name]
    try:
        yield
    finally:
        del module.get_cmap
