"""What plugins say of images, stimuli, units, measures and figures is about things that are there."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from iibench.compute.similarity.embeddings import checked_rows
from iibench.contract.details import (
    Axis,
    Details,
    HeatMap,
    Histogram,
    ImageMap,
    ImageRows,
    Series,
    XYPlot,
)
from iibench.contract.errors import CaseError, PluginError
from iibench.contract.evaluations import UnitTrials
from iibench.contract.measures import Curve, Measure
from iibench.contract.specs import GivenNames
from iibench.contract.trials import TrialScores
from iibench.results.details_io import checked
from iibench.stages.index_checks import check_unit_trials
from iibench.stages.subsets import CheckedImages
from iibench.stages.trials import _checked as checked_trial_scores
from tests.toys.toy import ToyImages
from tests.toys.toy_trials import Params, make

ONE = np.zeros((2, 1), int)
SHOWN = UnitTrials(ONE, ONE + 1, ONE[..., None], np.zeros((2, 1, 0), int), np.ones((2, 1, 2)))


@pytest.mark.parametrize(
    "changes",
    [
        {"weak": ONE + 6},
        {"strong": ONE - 1},
        {"strong": ONE + 0.5},
        {"weak": np.zeros((2, 2), int)},
        {"strong_references": ONE},
        {"evidence": np.ones((2, 1, 2)) * 1j},
        {"evidence": np.full((2, 1, 2), np.inf)},
    ],
)
def test_trials_behind_scores_are_of_images_that_are_there(changes) -> None:
    check_unit_trials(SHOWN, 6, 2, "evaluation mine")
    with pytest.raises((PluginError, CaseError), match=r"^evaluation mine gave unit_trials\."):
        check_unit_trials(dataclasses.replace(SHOWN, **changes), 6, 2, "evaluation mine")


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("queries", lambda x: x + 10_000),
        ("queries", lambda x: x - 10_000),
        ("references", lambda x: x + 0.5),
        ("references", lambda x: x * 1j),
        ("opposite", lambda x: x.astype(str)),
        ("unit", lambda x: x + 10_000),
        ("unit", lambda x: x[:3]),
    ],
)
def test_stimuli_are_of_images_and_units_that_are_there(field, change) -> None:
    whole = make(Params())
    assert len(CheckedImages(whole, "mine").trials) == len(whole.trials)
    trials = dataclasses.replace(whole.trials, **{field: change(getattr(whole.trials, field))})
    with pytest.raises(PluginError, match=rf"^dataset mine gave trials\.{field} "):
        _ = CheckedImages(dataclasses.replace(whole, trials=trials), "mine").trials


def test_a_dataset_of_images_has_no_trials() -> None:
    images = ToyImages(np.zeros((6, 8, 8, 3), np.uint8), None)
    assert not hasattr(CheckedImages(images, "mine"), "trials")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("image_size", (8.0, 8.0)),
        ("image_size", (8,)),
        ("image_size", (0, 8)),
        ("class_names", "abcd"),
        ("class_names", (1, 2)),
        ("fingerprint", ""),
        ("fingerprint", None),
    ],
)
def test_facts_of_a_dataset(name, value) -> None:
    with pytest.raises(PluginError, match=f"^dataset mine gave {name}="):
        getattr(CheckedImages(SimpleNamespace(**{name: value}), "mine"), name)


@pytest.mark.parametrize(
    "counts", [np.ones((6, 2)), np.ones((5, 2), int), -np.ones((6, 2), int), np.ones(6, int)]
)
def test_names_that_people_gave(counts) -> None:
    members = {"__len__": lambda s: 6, "given_names": lambda s: GivenNames(counts, "")}
    with pytest.raises(PluginError, match="^dataset mine gave given_names"):
        CheckedImages(type("Named", (), members)(), "mine").given_names()


class Four:
    units = ("u", "v")

    def __len__(self) -> int:
        return 4


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"measures": (Measure("auc", 0.5 + 1j),)}, "expected a finite number or None"),
        ({"measures": (Measure("auc", "0.5"),)}, "expected a finite number or None"),
        ({"measures": (Measure("auc", 0.5, n="many"),)}, "expected a whole number"),
        ({"measures": (Measure("auc", 0.5, units=-1),)}, "expected a whole number"),
        ({"measures": (0.5,)}, "float, expected Measure"),
        ({"curves": (Curve("roc", (0.0, 1j), (0.0, 1.0)),)}, "x of its curve roc"),
        ({"curves": (Curve("roc", (0.0,), (0.0, 1.0)),)}, "1 x and 2 y"),
        ({"notes": (3,)}, "note 3"),
    ],
)
def test_scores_of_trials(changes, said) -> None:
    good = TrialScores((Measure("auc", 0.5, n=4),), np.array([1, np.nan, 0, 2]))
    dataset = SimpleNamespace(trials=Four())
    checked_trial_scores(good, dataset, "mine")
    with pytest.raises(PluginError, match=f"^evaluation mine.*{said}"):
        checked_trial_scores(dataclasses.replace(good, **changes), dataset, "mine")


X, AXIS = np.arange(2.0), Axis("x")


@pytest.mark.parametrize(
    ("figure", "said"),
    [
        (XYPlot("t", AXIS, AXIS, (Series("s", X, X * 1j),), "c"), "y .* holds complex128"),
        (XYPlot("t", AXIS, AXIS, (Series("s", X, X, units=X),), "c"), "units .* whole numbers"),
        (HeatMap("t", AXIS, AXIS, ("a", "b"), ("a",), X[None] * 1j, "v", "c"), "complex128"),
        (Histogram("t", AXIS, np.arange(3.0), X.astype(str), "c"), "counts holds <U"),
        (ImageMap("t", X, X, X + 0.5, {"k": X}, "c"), "images holds float64"),
        (ImageRows("t", (("a", (3, 9)),), "c"), "shows images 3 to 9 of 6"),
        (ImageMap("t", X, X, np.array([-1, 2]), {"k": X}, "c"), "shows images -1 to 2 of 6"),
    ],
)
def test_figures_show_real_numbers_and_images_that_are_there(figure, said) -> None:
    found = Details((Measure("a", 0.5, n=1),), "a", (figure,))
    with pytest.raises(PluginError, match=f"^evaluation mine: its figure 't'.*{said}"):
        checked(found, "mine", 6)


def test_embeddings_that_float32_cannot_tell_apart() -> None:
    assert checked_rows(torch.tensor([[2**24], [-(2**24)]]), 2, "mine").shape == (2, 1)
    with pytest.raises(PluginError, match="whole numbers above 16777216"):
        checked_rows(torch.tensor([[2**24 + 1], [0]]), 2, "mine")
    with pytest.raises(PluginError, match="rows without a number"):
        checked_rows(torch.zeros(2, 0), 2, "mine")
