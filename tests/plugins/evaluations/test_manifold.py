"""The map of MEIs against loops written from Sec. 3.4, scikit-learn on a plain matrix, and SciPy."""

from __future__ import annotations

import sys
import types
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr, spearmanr
from sklearn.manifold import TSNE

from iibench.compute.similarity.lookups import EmbeddingSimilarity, PairwiseSimilarity
from iibench.contract.details import ImageMap, XYPlot
from iibench.contract.errors import CaseError, Skip
from iibench.contract.evaluations import EvaluationInputs
from iibench.results.details_io import checked, packed, read_details, unpacked, write_details
from iibench_plugins.evaluations import ii, manifold
from iibench_plugins.evaluations.manifold import activation as _manifold_activation
from iibench_plugins.evaluations.manifold import found as _manifold_found
from iibench_plugins.evaluations.manifold import map as _manifold_map
from tests.plugins.evaluations.arrays import array_inputs

SMALL = {"m": 4, "perplexity": 3.0, "points": 5, "resamples": 100}


def arrays(seed: int = 0, n: int = 150, N: int = 10) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, 6)).astype(np.float32)
    A = np.maximum(rows @ rng.normal(size=(6, N)) + rng.normal(size=(n, N)), 0).astype(np.float32)
    return A, rows


@pytest.fixture
def inputs() -> EvaluationInputs:
    A, rows = arrays()
    labels = np.arange(150) % 3
    return array_inputs(A, rows, labels=labels, class_names=("cat", "<b>", "ship"))


def naive_activation(A: np.ndarray, mu: np.ndarray, tau: float, space: str) -> np.ndarray:
    """(n,) Eq. 4 of one direction, image by image."""
    d = []
    for a in A.astype(np.float64):
        x = a / np.linalg.norm(a) if space == "unit" and a.any() else a
        d.append(sum((x - mu) ** 2))
    d = np.array(d)
    return np.exp(-((d - d.mean()) / d.std()) / tau)


@pytest.mark.parametrize("space", ["unit", "raw"])
def test_activation_is_eq_4(space: str) -> None:
    A, _ = arrays()
    A[5] = 0
    vectors = np.random.default_rng(4).normal(size=(7, 10)).astype(np.float32)
    points = np.array([3, 5, 99, 140])
    got = _manifold_activation.activation(A, vectors, points, 1.5, space)
    for k, mu in enumerate(vectors):
        expected = naive_activation(A, mu.astype(np.float64), 1.5, space)
        assert got[:, k] == pytest.approx(expected[points], rel=1e-9)


@given(scale=st.floats(0.01, 100), seed=st.integers(0, 10))
@settings(max_examples=20, deadline=None)
def test_in_unit_space_neither_scale_matters(scale: float, seed: int) -> None:
    A, _ = arrays(seed)
    vectors = np.random.default_rng(seed).normal(size=(3, 10))
    points = np.arange(20)
    first = _manifold_activation.activation(A, vectors, points, 2, "unit")
    for other in (
        _manifold_activation.activation(A * np.float32(scale), vectors, points, 2, "unit"),
        _manifold_activation.activation(A, vectors * scale, points, 2, "unit"),
    ):
        assert other == pytest.approx(first, rel=1e-4)


def test_equal_distances_have_no_activation() -> None:
    A, _ = arrays()
    A[:, 9] = 0
    vectors = np.eye(10)[[0, 9]]
    unit = A / np.linalg.norm(A, axis=1, keepdims=True)
    got = _manifold_activation.activation(unit, vectors, np.arange(5), 2, "unit")
    assert np.isfinite(got[:, 0]).all()
    assert np.isnan(got[:, 1]).all()


def naive_spread(places: np.ndarray, values: np.ndarray, count: int) -> float:
    best = sorted(range(len(values)), key=lambda p: (-values[p], p))[:count]
    return float(np.mean([np.hypot(*(places[a] - places[b])) for a, b in combinations(best, 2)]))


def test_everything_equals_a_naive_computation(inputs: EvaluationInputs) -> None:
    got = manifold.evaluate(manifold.Params(**SMALL), inputs)
    details = checked(got.details, "manifold")
    A, order = inputs.context.A, inputs.order
    own = [list(order[:4, k]) for k in range(10)]
    images = sorted({int(i) for row in own for i in row})

    points = details.tables["points"]
    assert points["image"].tolist() == images
    places = np.stack([points["x"], points["y"]], axis=1)
    index = ii.evaluate(ii.Params(m=4), inputs).values
    directions = details.tables["directions"]
    assert directions["ii"] == pytest.approx(index)
    for k in range(10):
        active = naive_activation(A, np.eye(10)[k], 2.0, "unit")[images]
        assert details.tables["activations"][f"direction_{k}"] == pytest.approx(active, rel=1e-5)
        assert got.values[k] == pytest.approx(naive_spread(places, active, 5))
        response = inputs.responses[images, k]
        assert directions["spread_response"][k] == pytest.approx(naive_spread(places, response, 5))
        others = np.array([-1 if i in own[k] else a for i, a in zip(images, active, strict=True)])
        expected = naive_spread(places, others, 5)
        assert directions["spread_other_points"][k] == pytest.approx(expected)

    measures = {measure.name: measure for measure in details.measures}
    for suffix, column in (
        ("", "spread"),
        ("_other_points", "spread_other_points"),
        ("_response", "spread_response"),
    ):
        rho, r = measures[f"spearman{suffix}"], measures[f"pearson{suffix}"]
        assert rho.value == pytest.approx(spearmanr(directions[column], index).statistic)
        assert r.value == pytest.approx(pearsonr(directions[column], index).statistic)
        assert rho.n == r.n == 10
        assert rho.low < rho.value < rho.high
    assert details.headline == "spearman"
    all_pairs = np.mean([np.hypot(*(a - b)) for a, b in combinations(places, 2)])
    assert measures["map_distance"].value == pytest.approx(all_pairs)
    assert measures["spread"].value == pytest.approx(got.values.mean())
    assert measures["relative_spread"].value == pytest.approx(got.values.mean() / all_pairs)
    assert measures["images"].value == len(images)


def test_the_map_is_scikit_learns(inputs: EvaluationInputs) -> None:
    images = np.arange(40)
    rows = arrays()[1][:40].astype(np.float64)
    plain = ((rows[:, None] - rows[None]) ** 2).sum(axis=2)
    found = _manifold_map.distances(inputs.similarity, images)
    assert found.raised == 0
    assert found.matrix == pytest.approx(plain, rel=1e-4, abs=1e-4)
    places, kl = _manifold_map.layout(found.matrix, "tsne", 5, 15, 8)
    made = TSNE(metric="precomputed", init="random", perplexity=5, random_state=8)
    assert places == pytest.approx(made.fit_transform(found.matrix), abs=1e-3)
    assert kl == pytest.approx(made.kl_divergence_, abs=1e-4)


def test_near_images_are_near_on_the_map() -> None:
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(4), 30)
    rows = (np.eye(4)[group] * 20 + rng.normal(size=(120, 4))).astype(np.float32)
    lookup = EmbeddingSimilarity(lambda indices: rows, 120, "squared_euclidean")
    matrix = _manifold_map.distances(lookup, np.arange(120)).matrix
    places, _ = _manifold_map.layout(matrix, "tsne", 10, 15, 0)
    apart = np.linalg.norm(places[:, None] - places[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    assert (group[apart.argmin(axis=1)] == group).mean() > 0.95


@pytest.mark.parametrize(
    ("distance", "expected"),
    [
        ("squared_euclidean", lambda a, b: ((a - b) ** 2).sum()),
        ("euclidean", lambda a, b: np.sqrt(((a - b) ** 2).sum())),
        ("cosine", lambda a, b: 1 - a @ b / np.sqrt((a @ a) * (b @ b))),
        ("equal", lambda a, b: float((a != b).any())),
    ],
)
@pytest.mark.parametrize("block", [7, 128])
def test_what_each_kind_of_similarity_becomes(
    distance: str, expected: object, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_manifold_map, "BLOCK", block)
    rows = np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32)
    if distance == "equal":
        rows = rows[:, :1].round()
    lookup = EmbeddingSimilarity(lambda indices: rows, 30, distance)
    images = np.array([2, 3, 5, 7, 11, 13, 17, 19, 23, 29])
    told: list[tuple[int, int]] = []
    got = _manifold_map.distances(lookup, images, lambda done, total: told.append((done, total)))
    for i, a in enumerate(images):
        for j, b in enumerate(images):
            wide = rows[a].astype(np.float64), rows[b].astype(np.float64)
            assert got.matrix[i, j] == pytest.approx(expected(*wide) if i != j else 0, abs=1e-5)
    assert (got.matrix == got.matrix.T).all()
    assert told[-1][0] == told[-1][1] == len(told)


def test_a_similarity_with_an_order_is_averaged_and_impossible_ones_are_counted() -> None:
    table = np.array([[1.0, 0.2, 0.5], [0.6, 1.0, 1.5], [0.5, 1.5, 1.0]])

    class Table:
        fingerprint = ""

        def pairwise(self, a: object, b: object) -> object:
            import torch

            return torch.from_numpy(table[np.ix_(a, b)])

    lookup = PairwiseSimilarity(Table(), lambda indices: indices, "table")
    got = _manifold_map.distances(lookup, np.arange(3))
    assert got.matrix[0, 1] == pytest.approx(0.6)
    assert got.matrix[1, 2] == 0
    assert got.raised == 1


def test_labels_as_similarity_and_images_without_labels(inputs: EvaluationInputs) -> None:
    classes = (np.arange(150) % 3).astype(np.float32)[:, None]
    lookup = EmbeddingSimilarity(lambda indices: classes, 150, "equal")
    given_labels = replace(inputs, similarity=lookup, labels=None)
    details = manifold.evaluate(manifold.Params(**SMALL), given_labels).details
    assert "label" not in details.figures[0].colourings
    assert "label" not in details.tables["points"]
    assert np.isfinite(details.figures[0].x).all()


def test_figures_hold_colours_labels_and_a_dozen_directions(inputs: EvaluationInputs) -> None:
    details = manifold.evaluate(manifold.Params(**SMALL), inputs).details
    shown, plot = details.figures
    assert isinstance(shown, ImageMap)
    assert isinstance(plot, XYPlot)
    colours = shown.colourings["mean colour"]
    for image, colour in zip(shown.images, colours, strict=True):
        mean = inputs.context.pixels[image].reshape(-1, 3).mean(axis=0)
        assert colour == "#" + "".join(f"{round(float(c)):02x}" for c in mean)
    names = inputs.context.class_names
    assert shown.colourings["label"] == tuple(names[i % 3] for i in shown.images)
    activity = [name for name in shown.colourings if name.startswith("activation")]
    assert len(activity) == 10
    index = details.tables["directions"]["ii"]
    assert f"direction {index.argmin()} (II at quantile 0.00)" in activity[0]
    assert f"direction {index.argmax()} (II at quantile 1.00)" in activity[-1]
    (points,) = plot.series
    assert sorted(points.units) == list(range(10))


def test_sizes_stay_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_manifold_found, "TABLE", 100)
    A, rows = arrays(N=40)
    details = manifold.evaluate(manifold.Params(**SMALL), array_inputs(A, rows)).details
    assert len(details.tables["activations"]) == 1 + 12
    assert len(details.figures[0].colourings) == 1 + 12


def test_dead_directions_are_no_points(inputs: EvaluationInputs) -> None:
    A, rows = arrays()
    A[:, 4] = 0
    got = manifold.evaluate(manifold.Params(**SMALL), array_inputs(A, rows))
    assert np.isnan(got.values[4])
    assert "dead" in got.reasons[4]
    assert got.reasons[:4] == (None,) * 4
    assert "direction_4" not in got.details.tables["activations"]
    assert got.details.measures[0].n == 9
    live = np.delete(np.arange(10), 4)
    own = np.unique(array_inputs(A, rows).order[:4][:, live])
    assert got.details.tables["points"]["image"].tolist() == own.tolist()


def test_details_survive_files_and_the_cache(inputs: EvaluationInputs, tmp_path: object) -> None:
    details = manifold.evaluate(manifold.Params(**SMALL), inputs).details
    assert unpacked(*packed(details)).measures == details.measures
    write_details(tmp_path / "a", details)
    back = read_details(tmp_path / "a")
    assert back.figures[0].colourings["mean colour"] == details.figures[0].colourings["mean colour"]
    assert back.tables["points"]["x"] == pytest.approx(details.tables["points"]["x"])


@pytest.mark.slow
def test_seeds(inputs: EvaluationInputs) -> None:
    def places(own: int, suite: int = 3) -> np.ndarray:
        params = manifold.Params(seed=own, **SMALL)
        details = manifold.evaluate(params, replace(inputs, seed=suite)).details
        return details.tables["points"]["x"]

    assert (places(0) == places(0)).all()
    assert not np.allclose(places(0), places(1))
    assert not np.allclose(places(0), places(0, 4))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"perplexity": 500.0}, "more than 500 different MEIs"),
        ({"points": 500}, "spread of 500 points"),
        ({"m": 151}, "151 exemplars"),
    ],
)
def test_too_few_images_are_errors(
    inputs: EvaluationInputs, params: dict[str, object], message: str
) -> None:
    with pytest.raises(CaseError, match=message):
        manifold.evaluate(manifold.Params(**{**SMALL, **params}), inputs)


def test_too_many_images_and_images_that_are_all_alike_are_errors(
    inputs: EvaluationInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    alike = EmbeddingSimilarity(lambda indices: np.ones((150, 1), np.float32), 150, "equal")
    with pytest.raises(CaseError, match="alike"):
        manifold.evaluate(manifold.Params(**SMALL), replace(inputs, similarity=alike))
    monkeypatch.setattr(_manifold_map, "LIMIT", 20)
    with pytest.raises(CaseError, match="too many for a map of at most 20"):
        manifold.evaluate(manifold.Params(**SMALL), inputs)


@pytest.mark.slow
def test_umap_lays_out_where_it_is_installed(inputs: EvaluationInputs) -> None:
    pytest.importorskip("umap", reason="the extra umap is not installed")
    params = manifold.Params(method="umap", neighbours=5, **SMALL)
    first, again = (manifold.evaluate(params, inputs).details for _ in range(2))
    assert first.tables["points"]["x"] == pytest.approx(again.tables["points"]["x"])
    assert "kl_divergence" not in {measure.name for measure in first.measures}
    assert "UMAP" in first.figures[0].title


def test_umap_is_asked_for_precomputed_distances(
    inputs: EvaluationInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, object] = {}

    class Recorded:
        def __init__(self, **options: object) -> None:
            asked.update(options)

        def fit_transform(self, matrix: np.ndarray) -> np.ndarray:
            assert matrix.shape[0] == matrix.shape[1]
            return matrix[:, :2]

    fake = types.ModuleType("umap")
    fake.UMAP = Recorded
    monkeypatch.setitem(sys.modules, "umap", fake)
    manifold.evaluate(manifold.Params(method="umap", neighbours=7, **SMALL), inputs)
    assert asked["metric"] == "precomputed"
    assert asked["n_neighbors"] == 7
    assert isinstance(asked["random_state"], int)


def test_without_umap_the_case_is_skipped_with_the_command(
    inputs: EvaluationInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(Skip, match=r"pip install 'iibench\[umap\]'"):
        manifold.evaluate(manifold.Params(method="umap", **SMALL), inputs)
