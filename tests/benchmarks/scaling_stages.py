"""The stages whose cost is measured against n images, N neurons and K directions; inputs are SYNTHETIC."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.benchmarks.processes import Arrays, Clock, Prepared

#: Numbers of an embedding: independent normal values stand for a small backbone's.
WIDTH = 256
#: Lloyd iterations, the same at every size: how many a fit needs depends on the data.
ITERATIONS = 10
SEED = 0


@dataclass(frozen=True)
class Point:
    """One size of a stage: n images, N neurons, K directions."""

    n: int
    N: int
    K: int


@dataclass(frozen=True)
class Stage:
    """`grows` with these of n, N, K. `prepare` makes the inputs."""

    name: str
    inputs: str
    grows: tuple[str, ...]
    prepare: Callable[[Point], Prepared]


def activations(point: Point) -> Prepared:
    """`layer1` of the CIFAR-10 ResNet50 (256 neurons) on noise of 32 x 32 pixels."""
    from tests.benchmarks.setting import Setting
    from tests.benchmarks.sizes import Sizes

    setting = Setting(Sizes(Path(), Path(), Path()))
    images = np.random.default_rng(SEED).integers(0, 256, (point.n, 32, 32, 3), np.uint8)
    return Prepared(lambda clock: {"layer1": setting.layer1(images)})


def kmeans_fit(point: Point) -> Prepared:
    """Norms, k-means++ start, `ITERATIONS` iterations."""
    from iibench.contract.specs import FitContext
    from iibench_plugins.finders.kmeans import Params, fit

    params, A = Params(k=point.K, max_iter=ITERATIONS), _activations(point)
    return Prepared(lambda clock: {"centroids": fit(params, A, FitContext(SEED)).vectors})


def responses_and_order(point: Point) -> Prepared:
    """Cosine to K directions, and the images sorted by it."""
    from iibench.compute.ranking import order_by_response
    from iibench.contract.specs import Directions
    from iibench_plugins.finders.kmeans import Params, encode

    A = _activations(point)
    vectors = np.random.default_rng(1).random((point.K, point.N), dtype=np.float32)

    def run(clock: Clock) -> Arrays:
        responses = encode(Params(), Directions(vectors), A)
        return {"order": order_by_response(responses)}

    return Prepared(run)


def ii(point: Point) -> Prepared:
    """II of K directions, M = 5, embeddings given."""
    return _evaluation(point, "ii", {})


def insilico(point: Point) -> Prepared:
    """Two-sided observer, 20 trials of 9 + 9 references, embeddings given."""
    return _evaluation(point, "insilico", {"observer": "two_sided"})


def _activations(point: Point) -> np.ndarray:
    """(n, N) rectified normal values."""
    values = np.random.default_rng(SEED).standard_normal((point.n, point.N), dtype=np.float32)
    return np.maximum(values, 0, out=values)


def _evaluation(point: Point, name: str, params: dict[str, object]) -> Prepared:
    from iibench.compute.ranking import order_by_response
    from iibench.compute.similarity.lookups import EmbeddingSimilarity, dense_pays
    from iibench.contract.evaluations import EvaluationInputs
    from iibench.hooks.loading import load_plugins
    from iibench.suite.params import parse_params

    spec = load_plugins(environ="").registry.evaluations[name].spec
    chosen = parse_params(spec, params)
    rng = np.random.default_rng(SEED)
    rows = rng.standard_normal((point.n, WIDTH), dtype=np.float32)
    responses = rng.standard_normal((point.n, point.K), dtype=np.float32)
    order = order_by_response(responses)
    dense = dense_pays(point.n, spec.images(chosen, point.n) * point.K)

    def run(clock: Clock) -> Arrays:
        lookup = EmbeddingSimilarity(lambda _: rows, point.n, "squared_euclidean", dense=dense)
        inputs = EvaluationInputs(responses, order, lookup, None, SEED)
        return {"values": spec.evaluate(chosen, inputs).values}

    return Prepared(run)


STAGES = {
    stage.name: stage
    for stage in (
        Stage("activations", "noise of 32 x 32 pixels, layer1 of ResNet50", ("n",), activations),
        Stage(
            "K-Means fit",
            f"rectified normal values, {ITERATIONS} iterations",
            ("n", "N", "K"),
            kmeans_fit,
        ),
        Stage(
            "responses and order",
            "rectified normal values, random directions",
            ("n", "N", "K"),
            responses_and_order,
        ),
        Stage("II", f"normal responses and embeddings of {WIDTH} numbers", ("n", "K"), ii),
        Stage(
            "in-silico", f"normal responses and embeddings of {WIDTH} numbers", ("n", "K"), insilico
        ),
    )
}


def prepare(name: str, point: Point) -> Prepared:
    """A stage at one size, in the process that runs it."""
    return STAGES[name].prepare(point)
