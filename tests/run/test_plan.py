"""The estimate of `--collect-only`: what is counted, once, and where its seconds come from."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from iibench.cli.options import load
from iibench.machine import Machine, measured_machine
from iibench.peak import Arrays
from iibench.plan import Plan, StageEstimate, estimate
from iibench.probe import probe_finder, probe_metric
from iibench.rates import read_rates, write_rates
from iibench.runner import RunConfig, Session, execute, prepare
from iibench.specs import Directions, FinderSpec, FitContext, Work
from tests.run.conftest import TOYS

#: A machine on which the seconds of an estimate can be told by hand.
MACHINE = Machine(flop=1e-9, flop64=2e-9, value=1e-8, step=1e-5)


class Ticks:
    """A clock on which each look takes a tenth of a second."""

    def __init__(self, step: float = 0.1) -> None:
        self.now = 0.0
        self.step = step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Callable[..., Session]]:
    """Prepares runs of a suite file with the toy plugin."""
    plugins = load((), (str(TOYS),))

    def make(path: Path, **options: Any) -> Session:
        config = RunConfig(
            suite=str(path),
            data_dir=tmp_path,
            cache_dir=tmp_path / "cache",
            device="cpu",
            **options,
        )
        return prepare(config, plugins)

    yield make


def planned(session: Session, rates: dict[str, float] | None = None, **options: Any) -> Plan:
    return estimate(
        session.bench, session.cases, rates or {}, machine=MACHINE, clock=Ticks(), **options
    )


def by_name(plan: Plan) -> dict[str, StageEstimate]:
    return {stage.stage: stage for stage in plan.stages}


def test_shared_stages_are_counted_once(session, suite) -> None:
    stages = by_name(planned(session(suite())))
    assert stages["activations toynet/tap on train"].to_do == 240
    assert stages["activations toynet/tap on test"].to_do == 240
    assert stages["directions pick[k=1]"].to_do == 1
    assert stages["responses neurons"].to_do == 1
    # the metric and its part share embeddings, and labels are no images
    assert [name for name in stages if name.startswith("embeddings")] == ["embeddings toycolour"]
    assert 0 < stages["embeddings toycolour"].to_do <= 240
    assert stages["evaluation ii"].to_do == 12
    assert stages["order of images by response"].to_do == 3


def test_cached_work_costs_nothing(session, suite, tmp_path: Path) -> None:
    path = suite()
    execute(session(path, output=tmp_path / "out"))
    plan = planned(session(path))
    left = [stage for stage in plan.stages if stage.to_do]
    assert [stage.stage for stage in left] == ["start and loading", "run folder and page"]
    assert sum(stage.seconds for stage in plan.stages if stage not in left) == 0
    assert by_name(plan)["evaluation ii"].cached == 12


def test_a_rate_is_used_for_the_same_work_only(session, suite) -> None:
    path = suite()
    rates = {
        "activations toynet/tap 8x8": 0.5,
        "directions pick[k=1] 240x6": 3.0,
        "directions pick[k=2] 99x6": 3.0,
    }
    stages = by_name(planned(session(path), rates))
    measured = stages["activations toynet/tap on test"]
    assert (measured.seconds, measured.source) == (120.0, "measured")
    assert stages["directions pick[k=1]"].seconds == 3.0
    assert stages["directions pick[k=1]"].source == "measured"
    assert stages["directions pick[k=2]"].source == "probed"


def test_a_run_measures_and_the_next_plan_uses_it(session, suite, tmp_path: Path) -> None:
    execute(session(suite(), output=tmp_path / "out"))
    rates = read_rates(tmp_path / "cache", "cpu")
    names = [name for name in rates if name.startswith("evaluation ii/toycolour ")]
    assert names == ["evaluation ii/toycolour 240x6"] or len(names) == 3
    other = suite(("seed: 5", "seed: 6"), name="other.yaml")
    stages = by_name(planned(session(other), rates))
    assert stages["evaluation ii"].source == "measured"


def test_third_party_plugins_that_declare_nothing(session, suite) -> None:
    stages = by_name(planned(session(suite())))
    assert stages["directions pick[k=2]"].source == "probed"
    assert stages["evaluation activity"].source == "guess"
    assert stages["evaluation ii"].source == "declared"


def test_rates_are_kept_by_device_and_version(tmp_path: Path) -> None:
    (tmp_path / "rates.json").write_text(json.dumps({"cpu": {"directions pca": 1.0}}))
    assert read_rates(tmp_path, "cpu") == {}  # names of an older version mean other work
    write_rates(tmp_path, "cpu", {"a": 1.0, "b": 2.0})
    write_rates(tmp_path, "cuda", {"a": 0.1})
    write_rates(tmp_path, "cpu", {"b": 3.0})
    assert read_rates(tmp_path, "cpu") == {"a": 1.0, "b": 3.0}
    assert read_rates(tmp_path, "cuda") == {"a": 0.1}
    (tmp_path / "rates.json").write_text("{")
    assert read_rates(tmp_path, "cpu") == {}


@pytest.mark.parametrize(
    ("name", "size", "params"),
    [
        ("kmeans", "k", {"k": 64}),
        ("sae", "z", {"z": 64}),
        ("topk_sae", "z", {"z": 64}),
        ("nmf", "k", {"k": 64}),
        ("ica", "k", {"k": 64}),
        ("pca", "k", {"k": 64}),
    ],
)
def test_declared_work_scales(name: str, size: str, params: dict[str, int]) -> None:
    spec = load((), ()).registry.finders[name].spec
    assert spec.work is not None
    n, width = 60_000, 64

    def seconds(n: int, width: int, k: int) -> float:
        work = spec.work(spec.params(**{**params, size: k}), n, width)
        assert work.directions == k
        return MACHINE.seconds(work.fit)

    base = seconds(n, width, 64)
    assert seconds(2 * n, width, 64) == pytest.approx(2 * base, rel=0.15)
    assert 1.02 * base < seconds(n, 2 * width, 64) < 4.5 * base
    assert base / 4.5 < seconds(n, width, 32) < base


@pytest.mark.parametrize("name", ["ii", "insilico", "mis", "synergy", "spectrum", "manifold"])
def test_work_of_evaluations_grows_with_images_and_directions(name: str) -> None:
    spec = load((), ()).registry.evaluations[name].spec

    def total(n: int, k: int) -> float:
        work: Work = spec.work(spec.params(), n, k)
        return MACHINE.seconds(work) + 1e-6 * work.pairs

    assert total(10_000, 256) > 1.5 * total(10_000, 64)
    assert total(10_000, 256) > total(2_000, 256)


def test_seconds_are_the_sum_over_kinds_of_work() -> None:
    work = Work(flops=3e9, flops64=1e9, values=2e8, steps=1e5, pairs=9.0, memory=7.0)
    assert MACHINE.seconds(work) == pytest.approx(3 + 2 + 2 + 1)


def test_the_machine_is_measured_with_the_clock_it_is_given() -> None:
    found = measured_machine(Ticks(0.5))
    assert found.flop64 == found.flop == pytest.approx(0.5 / (2 * 512**3))
    assert found.step == pytest.approx(0.5 / 2000)


def test_peak_memory_adds_what_is_held_at_the_same_time() -> None:
    arrays = Arrays(limit=100)
    for size in (10, 20):
        arrays.keep(size)
    for size in (80, 90):
        arrays.keep_between(size)
    for size in (5, 7):
        arrays.need(size)
    assert arrays.peak() == 10 + 20 + 100 + 7


def test_the_budget_caps_what_is_kept_between_cases(
    session, suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("iibench.plan.resident", lambda: 1000)
    ready = session(suite(), keyword="activity")
    usual = planned(ready).peak
    ready.bench.memory = 0
    k = 6 + 1 + 2  # neurons and two choices of them: responses and orders of 240 images
    assert usual - planned(ready).peak == 8 * 240 * k


@dataclasses.dataclass(frozen=True)
class Some:
    k: int = 3


def _spec(fit: Callable[..., Directions], **options: Any) -> FinderSpec:
    def encode(params: Any, directions: Directions, A: Any) -> Any:
        return A @ directions.vectors.T

    return FinderSpec(name="some", summary="", params=Some, fit=fit, encode=encode, **options)


def test_a_finder_without_declared_work_is_fitted_to_two_samples() -> None:
    clock = Ticks(0.0)
    sizes: list[int] = []

    def fit(params: Some, A: Any, context: FitContext) -> Directions:
        sizes.append(len(A))
        assert A.min() >= 1  # of the range of the rows
        clock.now += 0.01 + 0.001 * len(A)
        return Directions(np.eye(A.shape[1], dtype=np.float32)[: params.k])

    rows = np.random.default_rng(0).uniform(1, 2, (20, 5)).astype(np.float32)
    found = probe_finder(_spec(fit), Some(), rows, FitContext(0), clock)
    assert found is not None
    assert sizes == [128, 512]
    assert found.directions == 3
    assert found.fit(50_000) == pytest.approx(0.01 + 50)


def test_a_metric_is_probed_in_the_batches_of_a_run() -> None:
    import torch

    class Flat:
        fingerprint = ""

        def __init__(self) -> None:
            self.seen: list[tuple[int, ...]] = []

        def embed(self, x: torch.Tensor) -> torch.Tensor:
            self.seen.append(tuple(x.shape))
            return x.flatten(1)

    metric = Flat()
    found = probe_metric(metric, None, (64, 64), "cpu", Ticks(0.01))
    assert found.width == 3 * 64 * 64
    assert metric.seen[-1] == (64, 3, 64, 64)
    assert found.seconds == pytest.approx(0.01 / 64, rel=0.1)
    # where that would take too long, in smaller ones
    probe_metric(metric, None, (64, 64), "cpu", Ticks(1.0))
    assert metric.seen[-1] == (4, 3, 64, 64)


def test_the_output_says_where_times_are_from(iibench, suite) -> None:
    done = iibench("run", suite(), "--collect-only")
    assert done.code == 0
    for word in ("probed", "declared", "guess", "peak memory about", "start and loading"):
        assert word in done.out
    assert iibench("run", suite(), "-o", "out").code == 0
    done = iibench("run", suite(("seed: 5", "seed: 6"), name="b.yaml"), "--collect-only")
    assert "measured" in done.out


def test_a_dataset_that_decodes_everything_at_first_use(tmp_path: Path) -> None:
    from iibench.plan_inputs import Reading, reading
    from iibench_plugins.datasets._stored import StoredImages

    made: list[int] = []

    def make() -> Any:
        made.append(1)
        return np.zeros((10, 4, 4, 3), np.uint8), np.zeros(10, np.int64)

    names = {"class_names": ("a",), "image_size": (4, 4), "labels": np.zeros(10, np.int64)}
    dataset = StoredImages("f" * 64, tmp_path, make, trial=lambda: 12.5, **names)
    assert reading(dataset, Ticks(0.0)) == Reading(12.5, 0.0, 2 * 10 * 48)
    assert not made  # estimating decodes nothing
    dataset.images([0])
    found = reading(dataset, Ticks(0.0))
    assert (round(found.once, 3), found.held) == (0.0, 10 * 48)


def test_the_start_counts_loading_and_not_what_was_computed_or_downloaded() -> None:
    from iibench.plan_inputs import INTERPRETER, starting_seconds

    work = {
        "dataset toy test": (1.0, 1),
        "model toynet": (2.0, 1),
        "activations toynet/tap on test": (60.0, 240),  # a dataset was made of them
        "metric toycolour": (0.5, 1),
        "metric large": (300.0, 1),  # downloaded
    }
    bench: Any = SimpleNamespace(inputs=SimpleNamespace(clock=SimpleNamespace(work=work)))
    seconds = starting_seconds(bench, [], 70.0, Ticks(0.0))
    assert seconds == pytest.approx(INTERPRETER + 70 - 60 + 0.5 + 5)
