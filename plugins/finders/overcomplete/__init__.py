"""Dictionary learning of the package Overcomplete (Fel et al. 2025) as one finder with methods.

What each method computes is told by the two private modules: `factors` and
`codes`. The package is optional and imported when a case needs it; it runs on the CPU or
an NVIDIA GPU, and draws from global generators, whose state is put back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

from iibench import FinderSpec, hookimpl

from ..._shared.bibliography import arxiv, entry
from . import codes as _overcomplete_codes
from . import factors as _overcomplete_factors
from .shared import Params, package_version

if TYPE_CHECKING:
    from pathlib import Path

    from iibench import Directions, FitContext, FloatArray

FEL2025 = entry(
    "inproceedings",
    "fel2025archetypal",
    author="Thomas Fel and Ekdeep Singh Lubana and Jacob S. Prince and Matthew Kowal and Victor Boutin "
    "and Isabel Papadimitriou and Binxu Wang and Martin Wattenberg and Demba Ba and Talia Konkle",
    title="Archetypal {SAE}: Adaptive and Stable Dictionary Learning for Concept Extraction in Large "
    "Vision Models",
    booktitle="International Conference on Machine Learning",
    year=2025,
    **arxiv("2502.12892"),
)


def fit(params: Params, A: FloatArray, context: FitContext) -> Directions:
    """K directions of unit norm (zero for components that the solver gave up).

    Raises `AssetError` where the package is missing, and `CaseError` where the method cannot be fitted.
    """
    if params.method in _overcomplete_factors.METHODS:
        return _overcomplete_factors.factorise(params, A, context)
    return _overcomplete_codes.learn(params, A, context)


def encode(params: Params, directions: Directions, A: FloatArray) -> FloatArray:
    """R (n, K) >= 0: weights of a factorisation, or an autoencoder's codes."""
    if params.method in _overcomplete_factors.METHODS:
        return _overcomplete_factors.weights(params, directions, A)
    return _overcomplete_codes.codes(params, directions, A)


def inputs(params: Params, base_dir: Path) -> str:
    """SHA-256 (hex) of the package's version: another one may find other directions."""
    return hashlib.sha256(f"overcomplete {package_version()}".encode()).hexdigest()


@hookimpl
def iibench_register_finders() -> Iterable[FinderSpec]:
    """Registers `overcomplete`."""
    yield FinderSpec(
        name="overcomplete",
        summary="NMF variants and sparse autoencoders of the package Overcomplete; response: the code",
        definition=(
            "Methods of the package Overcomplete. Factorisations (nmf, semi_nmf, convex_nmf): a ~ "
            "w D with weights w >= 0; the response is the weight w_k that minimises ||a - w D||, "
            "solved for each image on its own, in the activation's unit. Autoencoders (sae, "
            "topk_sae, batch_topk_sae, jump_sae, ra_sae): x ~ z D with codes z >= 0 of the "
            "standardised activation x; the response is z_k ||d_k||, in units of the fit split's "
            "scale. The direction is d_k, row k of D, scaled to unit norm."
        ),
        params=Params,
        headline=("method", "k"),
        fit=fit,
        encode=encode,
        inputs=inputs,
        citation="Fel et al. (2025), Archetypal SAE: adaptive and stable dictionary learning for "
        "concept extraction in large vision models",
        bibtex=FEL2025,
        licence="MIT (Overcomplete)",
    )
