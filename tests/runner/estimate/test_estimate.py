"""The estimate of `--collect-only`: what is counted, once, and where its seconds come from."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from iibench.cli.options import load
from iibench.contract.base import Work
from iibench.contract.config import RunConfig
from iibench.contract.specs import Directions, FinderSpec, FitContext, LoadedModel, Preprocess
from iibench.runner.estimate.estimate import Plan, StageEstimate, estimate
from iibench.runner.estimate.finders import FinderCosts
from iibench.runner.estimate.machine import Machine, measured_machine
from iibench.runner.estimate.peak import Arrays, resident
from iibench.runner.estimate.timing import (
    Probed,
    probe_finder,
    probe_metric,
    probe_network,
    probe_pairs,
)
from iibench.runner.execute import execute
from iibench.runner.rates import read_rates, write_rates
from iibench.runner.session import Session, prepare
from tests.conftest import TOYS

#: A machine on which the seconds of an estimate can be told by hand.
MACHINE = Machine(flop=1e-9, flop64=2e-9, value=1e-8, step=1e-5)


#: A network that takes larger images than those of the dataset, and a finder with a bug.
FAILS = """
from dataclasses import dataclass

import torch

from iibench import FinderSpec, LoadedModel, ModelSpec, Preprocess, hookimpl


@dataclass(frozen=True)
class Nothing:
    pass


def fit(params, A, context):
    raise RuntimeError("a bug in a plugin")


@hookimpl
def iibench_register_finders():
    return [FinderSpec(name="breaks", summary="", params=Nothing, fit=fit, encode=fit)]


def load(params, layer, resources):
    net = torch.nn.Sequential()
    net.add_module("conv", torch.nn.Conv2d(3, 4, 16))
    return LoadedModel(net.eval(), Preprocess(), "made up")


@hookimpl
def iibench_register_models():
    return [ModelSpec(name="fails", summary="", load=load)]
"""


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
    rates = read_rates(tmp_path / "cache", "cpu", "float32")
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


def test_rates_are_kept_by_device_precision_and_version(tmp_path: Path) -> None:
    (tmp_path / "rates.json").write_text(json.dumps({"2": {"cpu": {"directions pca": 1.0}}}))
    assert read_rates(tmp_path, "cpu", "float32") == {}  # names of an older version mean other work
    write_rates(tmp_path, "cpu", "float32", {"a": 1.0, "b": 2.0})
    write_rates(tmp_path, "cuda", "float32", {"a": 0.1})
    write_rates(tmp_path, "cpu", "bfloat16", {"a": 0.5})
    write_rates(tmp_path, "cpu", "float32", {"b": 3.0})
    assert read_rates(tmp_path, "cpu", "float32") == {"a": 1.0, "b": 3.0}
    assert read_rates(tmp_path, "cpu", "bfloat16") == {"a": 0.5}
    assert read_rates(tmp_path, "cuda", "float32") == {"a": 0.1}
    (tmp_path / "rates.json").write_text("{")
    assert read_rates(tmp_path, "cpu", "float32") == {}


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


def test_a_question_to_parts_of_a_metric_gathers_once(session, suite) -> None:
    def seconds(parts: str) -> float:
        path = suite(
            ("parts: [sum, r]", f"parts: {parts}"),
            (", metrics: [toycolour, toylabel]", ""),
            ("on: ii/toycolour", "on: ii/toylabel"),
        )
        ready = session(path, keyword="neurons and toycolour and insilico")
        ready.bench.asked = {}  # no matrix of all pairs
        return by_name(planned(ready))["evaluation insilico"].seconds

    spec = load((), ()).registry.evaluations["insilico"].spec
    own = MACHINE.seconds(spec.work(spec.params(trials=5, references=3), 240, 6))
    images, pairs = 6 * 5 * (2 + 3), 6 * 5 * 2 * 3
    asked = MACHINE.seconds(Work(values=8 * images * 3, flops=2 * pairs * 3))
    # at two difficulties; what has been asked of the whole is there for its parts, and the other way round
    for parts, number in (("[sum]", 1), ("[sum, r]", 2), ("[r, gb]", 2), ("[sum, r, gb]", 3)):
        assert seconds(parts) == pytest.approx(2 * (number * own + asked), rel=1e-6)
    asked = MACHINE.seconds(Work(values=8 * images, flops=2 * pairs))
    assert seconds("[r]") == pytest.approx(2 * (own + asked), rel=1e-6)


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


def test_a_fit_on_the_device_is_priced_there_and_scikit_learn_is_not(session, suite) -> None:
    path = suite(
        ("  - neurons\n", "  - neurons\n  - {name: pca, k: 2}\n  - {name: kmeans, k: 2}\n")
    )
    ready = session(path, keyword="activity and (pca or kmeans)")
    costs = {}
    for name, device in (("slow", MACHINE), ("free", Machine(0.0, 0.0, 0.0, 0.0))):
        finders = FinderCosts(ready.bench, {}, MACHINE, device, Ticks())
        for case in ready.cases:
            network = Probed(0.0, 6, np.ones((4, 6), np.float32))
            costs[case.finder.name, name] = finders.cost(case, network)
    assert costs["pca", "free"].fit == costs["pca", "slow"].fit > 0
    assert costs["kmeans", "free"].fit == 0 < costs["kmeans", "slow"].fit
    for finder in ("pca", "kmeans"):  # encoding is not told of a device
        assert costs[finder, "free"].encode == costs[finder, "slow"].encode > 0


def test_resident_memory_is_that_of_this_process_alone() -> None:
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("the system does not tell a process's own peak")
    held = np.ones(100 << 20, np.uint8)  # a parent's peak, which a child must not be charged with
    code = "from iibench.runner.estimate.peak import resident; print(resident())"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert resident() > held.nbytes > int(child.stdout)


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
    monkeypatch.setattr("iibench.runner.estimate.estimate.resident", lambda: 1000)
    ready = session(suite(), keyword="activity")
    usual = planned(ready).peak
    k = 6 + 1 + 2  # neurons and two choices of them: responses and orders of 240 images
    kept = 8 * 240 * k
    ready.bench.memory = 4 * 8 * 240 * 6  # those of no finder need more than a quarter of it
    assert kept > ready.bench.memory // 4
    assert planned(ready).peak == usual
    for user in ("plan", "plan_memory"):
        monkeypatch.setattr(f"iibench.{user}.are_mapped", lambda n, k, memory: False)
    ready.bench.memory = 2 * 4 * 240 * 6  # a fit may hold activations
    assert usual - planned(ready).peak == kept - ready.bench.memory // 2


def test_a_peak_beyond_memory_is_not_announced(
    session, suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("iibench.runner.estimate.estimate.resident", lambda: 0)
    path = suite(("dataset: {name: toy}", "dataset: {name: toy, n: 50_000}"))
    roomy, tight = session(path, keyword="neurons"), session(path, keyword="neurons")
    tight.bench.memory = 4 << 20  # responses and their order take 2.4 MB
    usual, capped = planned(roomy), planned(tight)
    assert usual.left_out == ()
    assert usual.peak - capped.peak > 8 * 50_000 * 6
    assert [line.partition(": ")[2] for line in capped.left_out] == [
        "evaluation activity holds the responses of all images to all directions in memory, and they "
        "need more than a quarter of --memory 0.00 GiB; give it more, or take fewer images (--limit)"
    ]
    stages = by_name(capped)
    assert "evaluation activity" not in stages
    assert stages["responses neurons"].to_do == 1  # made before the evaluation is refused
    assert stages["evaluation ii"].to_do == 4


def test_a_fit_that_the_run_refuses_is_left_out(session, suite, tmp_path: Path) -> None:
    ready = session(suite(), output=tmp_path / "out")
    ready.bench.memory = 4 * 240 * 6  # activations of either split take 5,760 bytes
    plan = planned(ready)
    refused = [line for line in plan.left_out if "holds activations in memory" in line]
    assert [line.partition(": ")[2].partition(" holds")[0] for line in refused] == [
        "finder pick[k=1]",
        "finder pick[k=2]",
    ]
    stages = by_name(plan)
    assert "directions pick[k=1]" not in stages
    assert stages["directions neurons"].to_do == 1  # looks at nothing but their number
    errors = {report.reason for report in execute(ready).reports if report.status == "error"}
    for line in refused:  # in the words of the run
        assert line.partition(": ")[2] in errors


def test_mapped_results_in_the_cache_are_seen(session, suite, tmp_path: Path) -> None:
    def small() -> Session:
        ready = session(suite(), output=tmp_path / "out", keyword="neurons and toylabel")
        ready.bench.memory = 4 * 240 * 6
        return ready

    before = by_name(planned(small()))
    assert before["responses neurons"].to_do == before["order of images by response"].to_do == 1
    first = small()
    first.cases = [case for case in first.cases if case.evaluation.name == "ii"]
    assert [report.status for report in execute(first).reports] == ["passed"]
    after = by_name(planned(small()))
    assert after["evaluation ii"].cached == 1
    for stage in ("responses neurons", "order of images by response"):
        assert (after[stage].to_do, after[stage].cached, after[stage].seconds) == (0, 1, 0.0)
    roomy = by_name(planned(session(suite(), keyword="neurons and toylabel")))
    assert roomy["responses neurons"].to_do == 1  # not those that a run in memory would take


def test_each_layer_asks_for_images_of_its_own(session, suite) -> None:
    def images(layers: str) -> int:
        path = suite(
            ("layers: [mixed]", f"layers: {layers}"),
            ("dataset: {name: toy}", "dataset: {name: toy, n: 2000}"),
        )
        ready = session(path, keyword="neurons and ii and toycolour and not sum")
        return by_name(planned(ready))["embeddings toycolour"].to_do

    one, two = images("[tap]"), images("[raw, tap]")
    assert 0 < one < two < 2 * one


def test_probes_run_in_the_precision_of_the_run() -> None:
    import torch

    seen: list[torch.dtype] = []

    class Product(torch.nn.Module):
        fingerprint = ""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            rows = x.flatten(1) @ torch.ones(12, 5)
            if isinstance(rows, torch.Tensor):  # and no stand-in that traces the network
                seen.append(rows.dtype)
            return rows

        def embed(self, x: torch.Tensor) -> torch.Tensor:
            return self.forward(x)

        def compare(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            assert a.dtype == torch.float32  # rows of a table
            return a @ b.T

    net = torch.nn.Sequential()
    net.add_module("product", Product())
    model = LoadedModel(net.eval(), Preprocess(), "made up")
    for precision, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        seen.clear()
        found = probe_network(
            model, "product", "mean", (2, 2), "cpu", 4, Ticks(), precision=precision
        )
        assert found.rows.dtype == np.float32
        probe_metric(Product(), None, (2, 2), "cpu", Ticks(), precision)
        probe_pairs(Product(), None, (2, 2), "cpu", Ticks(), precision)
        assert set(seen) == {dtype}


def test_a_network_or_a_finder_that_fails_ends_no_plan(iibench, suite, tmp_path: Path) -> None:
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "fails.py").write_text(FAILS)
    model = "  - {name: toynet, layers: [mixed]}\n"
    path = suite(
        (model, model + "  - {name: fails, layers: [conv]}\n"),
        ("  - neurons\n", "  - neurons\n  - breaks\n"),
    )
    done = iibench("run", path, "--collect-only", "--plugins-dir", plugins)
    assert done.code == 0, done.err
    (left,) = [line for line in done.out.splitlines() if line.startswith("left out: ")]
    assert left.startswith("left out: toy/fails/conv/") and " more: RuntimeError: " in left
    assert "Traceback" not in done.out + done.err
    assert "activations toynet/tap on test" in done.out
    assert "activations fails" not in done.out
    (line,) = [text for text in done.out.splitlines() if "directions breaks" in text]
    assert "guess" in line
    done = iibench("run", path, "-o", "out", "--plugins-dir", plugins, "-k", "fails and activity")
    assert left.partition(" more: ")[2] in done.out  # the run says the same


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
    from iibench.runner.estimate.inputs import Reading, reading
    from iibench_plugins.datasets._images.stored import StoredImages

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
    from iibench.runner.estimate.inputs import INTERPRETER, starting_seconds

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
