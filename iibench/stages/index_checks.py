"""Indices that plugins give back: of images, stimuli and units that are there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from iibench.compute.border import real_array
from iibench.contract.errors import PluginError
from iibench.contract.trials import Stimuli

if TYPE_CHECKING:
    from iibench.contract.evaluations import UnitTrials


def check_unit_trials(shown: UnitTrials, n: int, k: int, who: str) -> None:
    """Raises `PluginError`, `CaseError` where these are no trials of k directions on n images."""
    queries = _check_whole(shown.strong, who, "unit_trials.strong", (k, None), 0, n)
    trials = queries.shape[1]
    _check_whole(shown.weak, who, "unit_trials.weak", (k, trials), 0, n)
    for name in ("strong_references", "weak_references"):
        shape = (k, trials, None)
        _check_whole(getattr(shown, name), who, f"unit_trials.{name}", shape, 0, n)
    real_array(shown.evidence, who, "unit_trials.evidence", (k, trials, 2), nan=True)


def check_stimuli(found: Any, images: int, who: str) -> Stimuli:
    """The stimuli of a dataset of so many images; raises `PluginError` where they are none of them."""
    if not isinstance(found, Stimuli):
        raise PluginError(f"{who} gave trials as {type(found).__name__}; expected Stimuli")
    stimuli, answers = len(found.names), found.answers
    for name in ("queries", "references", "opposite"):
        shape = (stimuli, 2 if name == "queries" else None)
        _check_whole(getattr(found, name), who, f"trials.{name}", shape, -1, images)
    _check_whole(found.unit, who, "trials.unit", (stimuli,), 0, len(found.units))
    given = _check_whole(answers.stimulus, who, "answers.stimulus", (None,), 0, stimuli).shape
    _check_whole(answers.first, who, "answers.first", given, 0, 2)
    _check_whole(answers.count, who, "answers.count", given, 0, None)
    return found


def _check_whole(
    value: Any, who: str, what: str, shape: tuple[int | None, ...], least: int, end: int | None
) -> Any:
    """The value, whole numbers of this shape from `least` and below `end`."""
    found = real_array(value, who, what, shape)
    if not found.size:
        return found
    if found.dtype.kind == "f":
        raise PluginError(f"{who} gave {what} as {found.dtype}; expected whole numbers")
    low, high = int(np.min(found)), int(np.max(found))
    if low < least or (end is not None and high >= end):
        below = "" if end is None else f" and below {end}"
        raise PluginError(
            f"{who} gave {what} from {low} to {high}; expected numbers from {least}{below}"
        )
    return found
