"""What plugins are handed cannot be changed, and what they give is checked: with the plugin named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from iibench.cache.mapped import release
from iibench.compute.handed import handed, own_mapping, read_only
from iibench.contract.config import RunConfig
from iibench.contract.details import Details
from iibench.contract.errors import CaseError, PluginError
from iibench.contract.measures import Measure
from iibench.hooks.loading import load_plugins
from iibench.results.details_check import problem_of
from iibench.runner.session import prepare

PLUGIN = """
from dataclasses import dataclass
import numpy as np
import torch
from iibench import (
    DatasetSpec, Directions, EvaluationSpec, FinderSpec, MetricSpec, UnitScores, hookimpl
)

@dataclass(frozen=True)
class Params:
    how: str = ""

def write(how, array):
    if how == "numpy":
        array -= array.mean(dtype=array.dtype)
    elif how == "flag":
        array.flags.writeable = True
        array[:] = 0
    elif how == "base":
        base = array
        while isinstance(base.base, np.ndarray):
            base = base.base
        base.flags.writeable = True
        base[:] = 0
    elif how == "sort":
        array.sort(axis=0)
    elif how == "torch":
        torch.from_numpy(array).zero_()

def fit(params, A, context):
    where, _, how = params.how.partition("-")
    if where == "fit":
        write(how, A)
    vectors = np.eye(A.shape[1], dtype=np.float32)[:3]
    if where == "vectors":
        return Directions(odd(how, vectors))
    return Directions(vectors, {"mean": A.mean(axis=0)})

def odd(how, values):
    if how == "complex":
        return values + 1j
    if how == "object":
        return values.astype(object)
    if how == "text":
        return values.astype(str)
    if how == "nan":
        return np.full_like(values, np.nan)
    if how == "large":
        return np.full(values.shape, 1e300)
    if how == "masked":
        return np.ma.masked_less(values, 0)
    if how == "shape":
        return values[:, :-1]
    if how == "double":
        return values.astype(np.float64)
    if how == "half":
        return values.astype(np.float16)
    return values

def encode(params, directions, A):
    where, _, how = params.how.partition("-")
    if where == "encode":
        write(how, A)
    if where == "directions":
        write(how, directions.vectors)
    if where == "state":
        write(how, directions.state["mean"])
    return odd(how if where == "codes" else "", A @ directions.vectors.T)

class Metric:
    fingerprint = ""

    def __init__(self, how):
        self.how = how

    def embed(self, x):
        if self.how == "inplace":
            x.sub_(0.5)
        if self.how == "numpy":
            np.asarray(x)[:] = 0
        y = x.mean(dim=(2, 3))
        if self.how == "complex":
            return torch.fft.fft(y)
        if self.how == "zero":
            return y * 0
        return y.numpy() if self.how == "array" else y

class Pairs(Metric):
    def pairwise(self, a, b):
        if self.how == "inplace":
            a.mul_(2)
        s = -(a[:, None] - b[None]).abs().mean(dim=(2, 3, 4))
        return s + 1j if self.how == "complex" else s

def evaluate(params, inputs):
    where, _, how = params.how.partition("-")
    given = {"responses": inputs.responses, "order": inputs.order, "labels": inputs.labels}
    if where in given:
        write(how, given[where])
    if where == "vectors":
        write(how, inputs.context.directions().vectors)
    k = inputs.responses.shape[1]
    values = np.asarray(inputs.responses.mean(axis=0), np.float64)
    if where == "values":
        values = {"complex": values + 1j, "object": values.astype(object)}[how]
    trials = {"many": "many", "less": -1, "true": True}.get(how, 3) if where == "trials" else 3
    return UnitScores(values, (None,) * k, trials=trials)

class Images:
    class_names, image_size = ("a", "b"), (16, 16)

    def __init__(self, how):
        self.how, self.fingerprint = how, "of " + how
        self.array = np.random.default_rng(0).integers(0, 256, (60, 16, 16, 3), dtype=np.uint8)
        self.all = np.arange(60) % 2
        self.labels = {"real": self.all / 2, "far": self.all + 1, "few": self.all[:9]}.get(how, self.all)

    def __len__(self):
        return 60

    def images(self, indices):
        if self.how == "sorts":
            np.asarray(indices).sort()
        found = self.array[indices]
        return {
            "float": found / 255, "int": found.astype(np.int32), "small": found[:, :8, :8],
            "grey": found[..., 0], "list": list(found), "one": found[:1],
        }.get(self.how, found)

@hookimpl
def iibench_register_finders():
    yield FinderSpec(name="odd", summary="", params=Params, fit=fit, encode=encode)

@hookimpl
def iibench_register_metrics():
    yield MetricSpec(name="oddly", summary="", params=Params, distance="euclidean",
                     load=lambda params, harness: Metric(params.how))
    yield MetricSpec(name="oddcos", summary="", params=Params, distance="cosine",
                     load=lambda params, harness: Metric(params.how))
    yield MetricSpec(name="oddpairs", summary="", params=Params,
                     load=lambda params, harness: Pairs(params.how))

@hookimpl
def iibench_register_evaluations():
    for name, blockwise in (("odds", False), ("oddblocks", True)):
        yield EvaluationSpec(name=name, summary="", params=Params, needs_metric=False,
                             evaluate=evaluate, blockwise=blockwise)

@hookimpl
def iibench_register_datasets():
    yield DatasetSpec(name="oddities", summary="", params=Params, splits=("train", "test"),
                      load=lambda params, split, harness: Images(params.how))
"""
SUITE = """
iibench: "1"
name: border
dataset: DATASET
models: [{name: reference_net, layers: [middle]}]
finders: [FINDERS]
metrics: [METRICS]
evaluations: [EVALUATIONS]
"""
IMAGES = "{name: reference_images, n: 60, size: 16}"


Outcomes = dict[str, Any]


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Outcomes]:
    """Runs a suite's cases in one session: the end of the case's id -> its scores, or what was raised."""
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "oddities.py").write_text(PLUGIN)

    def start(
        dataset: str = IMAGES,
        finders: str = "neurons",
        metrics: str = "color",
        evaluations: str = "ii",
        cache: str = "cache",
        **options: Any,
    ) -> Outcomes:
        text = SUITE
        named = {"DATASET": dataset, "FINDERS": finders, "METRICS": metrics}
        for name, value in {**named, "EVALUATIONS": evaluations}.items():
            text = text.replace(name, value)
        (tmp_path / "suite.yaml").write_text(text)
        config = RunConfig(
            str(tmp_path / "suite.yaml"),
            tmp_path / "data",
            tmp_path / cache,
            device="cpu",
            **options,
        )
        plugins = load_plugins(["iibench.testing.toys"], [tmp_path / "plugins"], environ="")
        session = prepare(config, plugins)
        found: Outcomes = {}
        for case in session.cases:
            name = case.id.split("/", 3)[3]
            try:
                found[name] = session.stages.of(case).of(case).scores.values
            except Exception as error:
                found[name] = error
        return found

    return start


def only(outcomes: Outcomes) -> Any:
    (found,) = outcomes.values()
    return found


def said(found: Any, error: type[Exception], *words: str) -> None:
    assert type(found) is error, found
    for word in words:
        assert word in str(found)


# -------------------------------------------------------------------------- what plugins are handed

WRITES = ("numpy", "flag", "base", "sort", "torch")


@pytest.mark.slow
@pytest.mark.parametrize("how", WRITES)
@pytest.mark.parametrize("where", ["fit", "encode", "directions", "state"])
def test_a_finder_that_writes_is_named_and_changes_nothing(run, where: str, how: str) -> None:
    if (where, how) == ("state", "sort"):
        how = "numpy"
    finders = f"odd, {{name: odd, how: {where}-{how}}}, {{name: kmeans, k: 3}}"
    found = run(finders=finders)
    said(
        found[f"odd[how={where}-{how}]/color/ii"],
        PluginError,
        f"finder odd[how={where}-{how}] writes",
    )
    alone = run(finders="odd, {name: kmeans, k: 3}", cache="fresh")
    for name, values in alone.items():
        np.testing.assert_array_equal(found[name], values)


@pytest.mark.slow
@pytest.mark.parametrize("how", WRITES)
@pytest.mark.parametrize("where", ["responses", "order", "labels", "vectors"])
def test_an_evaluation_that_writes_is_named_and_changes_nothing(run, where: str, how: str) -> None:
    if how == "numpy" and where in ("order", "labels"):
        how = "sort"
    evaluations = f"{{name: odds, how: {where}-{how}}}, ii, odds"
    found = run(evaluations=evaluations)
    name = f"odds[how={where}-{how}]"
    if (where, how) != (
        "vectors",
        "torch",
    ):  # a copy, in which a write that nothing refuses harms none
        said(found[f"neurons/{name}"], PluginError, f"evaluation {name} writes to the")
    alone = run(evaluations="ii, odds", cache="fresh")
    for case, values in alone.items():
        np.testing.assert_array_equal(found[case], values)


@pytest.mark.slow
@pytest.mark.parametrize("how", WRITES)
def test_what_lies_in_mapped_files_is_not_changed_either(run, how: str) -> None:
    evaluations = (
        f"{{name: oddblocks, how: responses-{how}}}, {{name: oddblocks, how: order-{how}}}, mis"
    )
    found = run(evaluations=evaluations, memory=5_000)
    alone = run(evaluations="mis", memory=5_000, cache="fresh")
    for case, values in alone.items():
        np.testing.assert_array_equal(found[case], values)


@pytest.mark.parametrize("how", ["inplace", "numpy"])
def test_a_metric_that_writes_to_its_images_is_named(run, how: str) -> None:
    said(
        only(run(metrics=f"{{name: oddly, how: {how}}}")),
        PluginError,
        "metric oddly writes to the images",
    )


def test_a_metric_of_pairs_that_writes_is_named(run) -> None:
    found = only(run(metrics="{name: oddpairs, how: inplace}"))
    said(found, PluginError, "metric oddpairs[how=inplace] writes to the images")


def test_a_dataset_that_sorts_the_indices_is_named(run) -> None:
    found = only(run(dataset="{name: oddities, how: sorts}"))
    said(found, PluginError, "dataset oddities[how=sorts] writes to the indices")


# -------------------------------------------------------------------------------- what plugins give


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "error"),
    [
        *[("complex", PluginError), ("object", PluginError), ("text", PluginError)],
        *[
            ("masked", PluginError),
            ("shape", PluginError),
            ("nan", CaseError),
            ("large", CaseError),
        ],
    ],
)
def test_codes_are_real_finite_numbers(run, how: str, error: type[Exception]) -> None:
    said(
        only(run(finders=f"{{name: odd, how: codes-{how}}}")),
        error,
        f"finder odd[how=codes-{how}] gave",
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "error"),
    [
        *[("complex", PluginError), ("object", PluginError), ("text", PluginError)],
        *[("masked", PluginError), ("shape", PluginError), ("nan", CaseError)],
    ],
)
def test_vectors_are_real_finite_numbers(run, how: str, error: type[Exception]) -> None:
    found = only(run(finders=f"{{name: odd, how: vectors-{how}}}"))
    said(found, error, f"finder odd[how=vectors-{how}] gave vectors")


@pytest.mark.parametrize("how", ["codes-double", "codes-half", "vectors-double"])
def test_other_kinds_of_real_numbers_are_taken(run, how: str) -> None:
    found = run(finders=f"odd, {{name: odd, how: {how}}}")
    plain, other = found.values()
    np.testing.assert_allclose(plain, other, atol=0.05)


@pytest.mark.parametrize("how", ["complex", "array"])
def test_embeddings_are_real_tensors(run, how: str) -> None:
    found = only(run(metrics=f"{{name: oddly, how: {how}}}"))
    said(found, PluginError, "metric oddly gave an embedding as")


def test_similarities_of_pairs_are_real(run) -> None:
    found = only(run(metrics="{name: oddpairs, how: complex}"))
    said(found, PluginError, "metric oddpairs[how=complex] gave a similarity as complex numbers")


def test_nothing_is_alike_under_the_cosine_of_zeros(run) -> None:
    said(only(run(metrics="{name: oddcos, how: zero}")), CaseError, "embedding of zeros", "cosine")
    assert np.isfinite(only(run(metrics="oddcos"))).all()


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("values-complex", "scores as complex128"),
        ("values-object", "expected real numbers"),
        ("trials-many", "trials='many'"),
        ("trials-true", "trials=True"),
        ("trials-less", "trials=-1"),
    ],
)
def test_scores_are_real_and_trials_a_count(run, how: str, words: str) -> None:
    found = only(run(evaluations=f"{{name: odds, how: {how}}}"))
    said(found, PluginError, f"evaluation odds[how={how}]", words)


@pytest.mark.parametrize("how", ["float", "int", "small", "grey", "list", "one"])
def test_images_are_what_the_dataset_declares(run, how: str) -> None:
    found = only(run(dataset=f"{{name: oddities, how: {how}}}"))
    said(found, PluginError, f"dataset oddities[how={how}] gave images", "expected uint8 (")


@pytest.mark.parametrize("how", ["real", "far", "few"])
def test_labels_are_indices_of_classes(run, how: str) -> None:
    found = only(run(dataset=f"{{name: oddities, how: {how}}}"))
    said(found, PluginError, f"dataset oddities[how={how}] gave labels")


def test_a_measure_of_an_analysis_is_a_real_number() -> None:
    for value in (1j, np.nan, "0.5", True):
        details = Details((Measure("m", value),), headline="m")  # type: ignore[arg-type]
        assert "value of its measure m" in (problem_of(details) or ""), value


# ---------------------------------------------------------------------------------- the tools alone


@pytest.mark.parametrize(
    "array",
    [
        np.ones((3, 4), np.float32),
        np.asfortranarray(np.ones((3, 4))),
        np.arange(6)[::2],
        np.ones(3, bool),
        np.ones(3, np.float16),
        np.ones((0, 2)),
        np.array(["a", "bc"]),
    ],
)
def test_read_only_arrays_hold_the_same(array: Any) -> None:
    given = read_only(array)
    np.testing.assert_array_equal(given, array)
    assert given.dtype == array.dtype
    with pytest.raises(ValueError, match="read-only"):
        given[:] = given
    with pytest.raises(ValueError, match="WRITEABLE"):
        read_only(np.ones(3)).flags.writeable = True


def test_a_mapped_file_is_handed_by_a_mapping_of_its_own(tmp_path: Path) -> None:
    for order in ("C", "F"):
        shared = np.memmap(tmp_path / order, np.float32, "w+", shape=(5, 3), order=order)
        shared[:] = np.arange(15).reshape(5, 3)
        given = read_only(own_mapping(shared))
        np.testing.assert_array_equal(given, shared)
        torch.from_numpy(given).zero_()  # what NumPy does not see
        assert shared[1, 1] == 4
        release(given)
        assert given[1, 1] == 4  # its pages were let go of, and come from the file again


def test_an_error_of_the_plugin_itself_stays_what_it_is() -> None:
    with pytest.raises(ValueError, match="no such"), handed("finder x", "activations", np.ones(2)):
        raise ValueError("no such option")
