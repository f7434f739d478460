"""The conformance checks of a direction finder."""

from __future__ import annotations

from typing import Any

from iibench.contract.errors import CaseError
from iibench.contract.specs import FinderSpec, FitContext, Harness
from iibench.suite.params import label as label_of
from iibench.suite.params import parse_params
from iibench.testing.checks import Check, CheckReport, failed_load, judge
from iibench.testing.finders import meaning as finder_meaning
from iibench.testing.finders import rules as finder_rules
from iibench.testing.finders.subject import FIT, NEURONS, SEED, FinderUnderTest
from iibench.testing.reference import toy_harness
from iibench.testing.state import preserved

RULES = (*finder_rules.RULES, *finder_meaning.RULES)


def check_finder(
    spec: FinderSpec,
    params: Any = None,
    harness: Harness | None = None,
    *,
    device: str = "cpu",
    label: str = "",
) -> CheckReport:
    """Checks a finder on 1,200 activations of 32 neurons (of 128, where its parameters need more) in which
    eight directions are planted.

    `params`: None takes the defaults. `harness`: whose device and folder of relative paths are used;
    None makes `toy_harness(device=device)`. What the finder changes in the process is put back.
    `label`: what the report calls it; its label by default.

    Raises `UsageError` where a parameter has no default and none is given.

    >>> def fit(params, activations, context):
    ...     _, _, axes = np.linalg.svd(activations - activations.mean(axis=0), full_matrices=False)
    ...     return Directions(np.ascontiguousarray(axes[:8]))
    >>> def encode(params, directions, activations):
    ...     return activations @ directions.vectors.T
    >>> spec = FinderSpec(name="axes", summary="The eight largest axes.", fit=fit, encode=encode)
    >>> check_finder(spec).failed
    ()
    """
    chosen = parse_params(spec, {}) if params is None else params
    name = label or label_of(spec, chosen)
    lent = toy_harness(device=device) if harness is None else harness
    context = FitContext(SEED, lent.device, base_dir=lent.base_dir)
    with preserved():
        try:
            subject = _fitted(spec, chosen, context)
        except Exception as error:
            cause = "fit must work on plain non-negative activations"
            if isinstance(error, CaseError):
                cause = f"give parameters that {FIT:,} activations of {NEURONS[-1]} neurons allow"
            return failed_load("finder", name, RULES, error, cause)
        seen = f"fit gives {len(subject.found.vectors)} directions of {subject.width} neurons"
        first = Check("load", "passed", seen, "fit works", "")
        return CheckReport("finder", name, (first, *judge(RULES, subject)))


def _fitted(spec: FinderSpec, params: Any, context: FitContext) -> FinderUnderTest:
    """The finder on as few neurons as its parameters allow; raises what `fit` raises on the most."""
    for width in NEURONS:
        subject = FinderUnderTest(spec, params, context, width)
        try:
            len(subject.fits)
        except CaseError:
            if width == NEURONS[-1]:
                raise
            continue
        break
    return subject
