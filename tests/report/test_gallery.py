"""Which units and images the page shows."""

from __future__ import annotations

import base64
import io
import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from iibench.report.gallery import (
    QUANTILES,
    data_uri,
    exemplar_arrays,
    galleries,
    images_needed,
    units_at_quantiles,
)

from .conftest import make_case, make_images, make_run


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


def test_images_needed_are_those_of_whole_metrics_of_box_evaluations() -> None:
    k = 9
    images = np.arange(k * 7).reshape(k, 7)
    keys = {("toy", "net", "layer1", "pca"): images}
    scores = [float(unit) for unit in range(k)]
    cases = [
        make_case("pca", "lpips", scores),
        make_case("pca", "lpips[3]", scores[::-1][:5] + scores[:4]),
        make_case("pca", "lpips", [0.5] * 4 + [0.1] * 5, "insilico[difficulty=0]"),
        make_case("ica", "lpips", scores),
        make_case("pca", "color", [], status="skipped", summary=None),
    ]
    found = images_needed(cases, keys)
    expected = images[[0, 2, 4, 6, 8], :5].ravel().tolist()
    assert found == {"toy": sorted(expected)}
    records = {"ii": {"plot": "box"}, "insilico[difficulty=0]": {"plot": "box"}}
    assert set(found["toy"]) < set(images_needed(cases, keys, records)["toy"])
    assert images_needed(cases, keys, {"ii": {"plot": "line"}}) == {}
    assert images_needed([], {}) == {}


def test_galleries_show_the_images_of_the_units_strongest_first() -> None:
    run = make_run([make_case("neurons", "lpips", [0.3, 0.1, 0.2, 0.5, 0.4])])
    found, uris, left_out = galleries(run, [(run.cases[0], "ii · lpips")])
    (entry,) = found["toy", "net", "layer1"]
    assert [unit["unit"] for unit in entry["units"]] == [1, 2, 0, 4, 3]
    assert [unit["score"] for unit in entry["units"]] == [0.1, 0.2, 0.3, 0.4, 0.5]
    assert left_out == 0
    frame = run.exemplars()
    for unit in entry["units"]:
        expected = frame[frame.unit == unit["unit"]].sort_values("rank")["image"].tolist()
        shown = [base64.b64decode(uris[at].partition(",")[2]) for at in unit["images"]]
        assert shown == [run.images()["toy", image] for image in expected]
    assert len(uris) == len(set(uris))


def test_what_does_not_fit_is_left_out_and_counted() -> None:
    run = make_run([make_case("neurons", "lpips", range(9)), make_case("pca", "lpips", range(9))])
    first = images_needed(run.cases[:1], exemplar_arrays(run.exemplars()))["toy"]
    size = sum(len(data_uri(run.images()["toy", image])) + 3 for image in first)
    ordered = [(case, "ii · lpips") for case in run.cases]
    found, uris, left_out = galleries(run, ordered, budget=size)
    assert [entry["finder"] for entry in found["toy", "net", "layer1"]] == ["neurons"]
    assert (len(uris), left_out) == (len(first), 1)
    assert galleries(run, ordered, budget=size - 1)[2] >= 1


def test_large_photographs_become_thumbnails() -> None:
    small, large = make_images("d", [1])["d", 1], make_images("d", [1], size=224)["d", 1]
    assert data_uri(small) == "data:image/png;base64," + base64.b64encode(small).decode()
    uri = data_uri(large)
    assert uri.startswith("data:image/jpeg;base64,")
    assert Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).size == (96, 96)


def test_images_that_were_not_stored_are_no_error() -> None:
    run = make_run([make_case("neurons", "lpips", range(9))])
    run.pngs.clear()
    assert galleries(run, [(run.cases[0], "ii · lpips")]) == ({}, [], 0)
