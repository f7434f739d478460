"""Which units and images the page shows."""

from __future__ import annotations

import base64
import io
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from iibench.contract.evaluations import UnitTrials
from iibench.contract.reports import Exemplars
from iibench.report.directions.gallery import (
    QUANTILES,
    gallery_entries,
    images_by_importance,
    shown_cases,
    units_at_quantiles,
)
from iibench.report.directions.tables import places
from iibench.report.shared.thumbnails import data_uri
from tests.report.conftest import make_case, make_images, make_run

STEM = ("toy", "net", "layer1", "pca")


def test_units_at_quantiles_of_an_example() -> None:
    scores = [0.5, None, 0.1, 0.9, math.nan, 0.3, 0.7]
    assert units_at_quantiles(scores, QUANTILES) == [2, 5, 0, 6, 3]
    assert units_at_quantiles([0.2, 0.2, 0.2], (0, 0.5, 1)) == [0, 1, 2]
    assert units_at_quantiles([None, math.nan], QUANTILES) == []
    assert units_at_quantiles([1.0], QUANTILES) == [0] * 5


@given(st.lists(st.one_of(st.none(), st.integers(-5, 5).map(float)), min_size=1, max_size=40))
def test_units_at_quantiles_are_scored_ordered_and_reach_both_ends(
    scores: list[float | None],
) -> None:
    units = units_at_quantiles(scores, QUANTILES)
    scored = [s for s in scores if s is not None]
    if not scored:
        assert units == []
        return
    values = [scores[u] for u in units]
    assert None not in values
    assert values == sorted(values)  # type: ignore[type-var]
    assert values[0] == min(scored) and values[-1] == max(scored)


def test_cases_of_box_evaluations_on_whole_metrics_have_a_gallery() -> None:
    scores = [0.1, 0.2]
    shown = make_case("pca", "lpips", scores)
    cases = [
        shown,
        make_case("pca", "lpips[3]", scores),
        insilico := make_case("pca", "lpips", scores, "insilico[difficulty=0]"),
        make_case("pca", "color", [], status="skipped", summary=None),
    ]
    assert shown_cases(cases, {}) == []
    records = {"ii": {"plot": "box"}, "insilico[difficulty=0]": {"plot": "box"}}
    assert shown_cases(cases, records) == [shown, insilico]
    assert shown_cases(cases, {"ii": {"plot": "line"}}) == []


def test_images_are_kept_by_importance() -> None:
    k = 9
    tops, bottoms = np.arange(k * 5).reshape(k, 5), 100 + np.arange(k * 5).reshape(k, 5)
    ones = np.ones((k, 5), np.float32)
    exemplars = [Exemplars(*STEM, tops, ones, bottoms, ones)]
    trials = {
        (STEM, "insilico"): UnitTrials(
            np.full((k, 2), 200),
            np.array([[201, 3]] * k),
            np.full((k, 2, 3), 300),
            np.full((k, 2, 0), 0),
            np.zeros((k, 2, 2)),
        )
    }
    case = make_case("pca", "lpips", [float(unit) for unit in range(k)])
    found = images_by_importance([case], exemplars, trials, {"ii": {"plot": "box"}})
    gallery = tops[[0, 2, 4, 6, 8]].ravel().tolist()
    others = tops[[1, 3, 5, 7]].ravel().tolist()
    expected = [*gallery, *others, *bottoms.ravel().tolist(), 200, 201, 300]
    assert found == {"toy": expected}
    assert images_by_importance([], [], {}, {}) == {}


def test_entries_hold_the_images_of_the_units_strongest_first() -> None:
    run = make_run([make_case("neurons", "lpips", [0.3, 0.1, 0.2, 0.5, 0.4])])
    (place,) = places(run, run.leaderboard())
    frame = run.exemplars()
    tops = (
        frame[frame.side == "top"].sort_values(["unit", "rank"])["image"].to_numpy().reshape(5, 5)
    )
    (entry,) = gallery_entries(place, {"neurons": tops}, run.meta["evaluations"])
    assert (entry["finder"], entry["measure"]) == ("neurons", "ii · lpips")
    assert [unit["unit"] for unit in entry["units"]] == [1, 2, 0, 4, 3]
    assert [unit["score"] for unit in entry["units"]] == [0.1, 0.2, 0.3, 0.4, 0.5]
    for unit in entry["units"]:
        assert unit["images"] == tops[unit["unit"]].tolist()
    assert gallery_entries(place, {}, run.meta["evaluations"]) == []


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_large_photographs_become_thumbnails(kind: str) -> None:
    buffer = io.BytesIO()
    Image.open(io.BytesIO(make_images("d", [1], size=224)["d", 1])).save(buffer, kind)
    uri = data_uri(buffer.getvalue())
    assert uri.startswith("data:image/jpeg;base64,")
    assert Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).size == (96, 96)


def test_small_images_stay_as_they_are() -> None:
    small = make_images("d", [1])["d", 1]
    assert data_uri(small) == "data:image/png;base64," + base64.b64encode(small).decode()
