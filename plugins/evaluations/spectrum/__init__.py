"""How fast the variance of a layer's activations falls with rank (App. C, Fig. 11; Stringer et al. 2019)"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge

from iibench import CaseError, EvaluationSpec, UnitScores, hookimpl

from ..._shared.bibliography import KLINDT2023, entries

if TYPE_CHECKING:
    from iibench import EvaluationInputs

    from .found import Spectrum

WHOLE_LAYER = "an analysis of the whole layer"
STRINGER2019 = """@article{stringer2019high,
  author = {Carsen Stringer and Marius Pachitariu and Nicholas Steinmetz and Matteo Carandini and \
Kenneth D. Harris},
  title = {High-Dimensional Geometry of Population Responses in Visual Cortex},
  journal = {Nature},
  volume = {571},
  number = {7765},
  pages = {361--365},
  year = {2019}
}"""


@dataclass(frozen=True)
class Params:
    """Parameters of the fit and of its interval."""

    low: Annotated[int, Ge(1)] = field(
        default=11, metadata={"help": "first rank of the fit, 1 being the largest eigenvalue"}
    )
    high: Annotated[int, Ge(2)] = field(
        default=500,
        metadata={"help": "last rank of the fit; the last eigenvalue where there are fewer"},
    )
    weights: Literal["rank", "equal"] = field(
        default="rank",
        metadata={
            "help": "rank: rank r weighs 1 / r in the fit, as in Stringer et al.'s code, so that "
            "each stretch of the log axis counts alike; equal: all ranks weigh the same"
        },
    )
    dimension: Annotated[int, Ge(0)] = field(
        default=0,
        metadata={
            "help": "d of the critical exponent 1 + 2/d; 0: 3 x height x width of the images"
        },
    )
    resamples: Annotated[int, Ge(50)] = field(
        default=200, metadata={"help": "bootstrap resamples of images behind the interval"}
    )


def evaluate(params: Params, inputs: EvaluationInputs) -> UnitScores:
    """No value per direction; the spectrum and its exponent stand in the details.

    Raises `CaseError` where the range of the fit holds fewer than 10 eigenvalues above rounding.
    """
    import numpy as np

    from iibench import Details

    from .eigenvalues import spectra, usable
    from .found import FEWEST, Spectrum, figures_of, measures_of, tables_of

    context = inputs.context
    if context is None:
        raise CaseError("spectrum needs the activations, which are not at hand")
    A = np.asarray(context.activations())
    n, neurons = A.shape
    whole, resampled = spectra(
        A,
        params.resamples,
        inputs.seed,
        lambda done, total: context.progress(done, total, "spectra"),
    )
    rank = usable(whole, n, neurons)
    high = min(params.high, rank)
    if high - params.low + 1 < FEWEST:
        raise CaseError(
            f"a power law is fitted to at least {FEWEST} eigenvalues, and there are "
            f"{max(0, high - params.low + 1)} from rank {params.low} to {high} (of {neurons:,} neurons "
            f"over {n:,} images); lower `low`"
        )
    height, width = context.image_size
    dimension = params.dimension or 3 * height * width
    found = Spectrum(whole, resampled, params.low, high, params.weights, dimension, rank, n)
    details = Details(
        measures_of(found), "excess", figures_of(found), tables_of(found), _notes(found, neurons)
    )
    k = inputs.responses.shape[1]
    return UnitScores(np.full(k, np.nan), (WHOLE_LAYER,) * k, details=details)


def _notes(found: Spectrum, neurons: int) -> tuple[str, ...]:
    import numpy as np

    fitted, corrected = float(found.main.fitted[0]), float(found.main.corrected[0])
    notes = [
        f"Fitted over ranks {found.low} to {found.high} of {neurons:,} neurons.",
        "The spectrum is that of the layer, so it is the same for every finder.",
    ]
    if not np.isnan(corrected):
        notes.append(
            "The small eigenvalues of a sample of images are too small, so that a line through them "
            "is too steep; resamples show by how much. exponent and excess have it taken off: the "
            f"line has exponent {fitted:.4g}, and {corrected:.4g} is left."
        )
    return tuple(notes)


@hookimpl
def iibench_register_evaluations() -> Iterable[EvaluationSpec]:
    """Registers `spectrum`."""
    yield EvaluationSpec(
        name="spectrum",
        summary="Eigenspectrum of the activations, its power law and the critical exponent",
        definition=(
            "Eigenvalues of the covariance of the layer's activations A (n, N) over the evaluated "
            "images (centred, divided by n, float64). A line is fitted by least squares to log "
            "lambda against log rank over ranks `low` to min(`high`, number of eigenvalues above "
            "rounding); 11 to 500 and weights 1 / rank are those of Stringer et al. 2019. "
            "exponent_fitted = minus its slope. Images are resampled with replacement "
            "(`resamples` times, as weights of rows); exponent = exponent_fitted minus the bias "
            "mean(resampled) - fitted, with the basic 95 % bootstrap interval (2 fitted - "
            "percentiles), since percentiles alone would carry the bias twice. excess = exponent - "
            "(1 + 2/d), d the number of input values of an image (3 x height x width): at or above "
            "0, the spectrum falls as fast as that of a smooth code or faster. The same for all "
            "finders; there is no value per direction."
        ),
        params=Params,
        unlabelled=("resamples",),
        evaluate=evaluate,
        unit="difference of exponents",
        needs_metric=False,
        plot="none",
        images=lambda params, n: 0,
        citation="Identifying Interpretable Features in Convolutional Neural Networks, App. C, "
        "Fig. 11",
        bibtex=entries(KLINDT2023, STRINGER2019),
    )
