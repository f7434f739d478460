"""The estimate of `--collect-only`: what is counted, once, and where its seconds come from."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from iibench import RunConfig, Work
from iibench.hooks.loading import load_plugins
from iibench.runner.estimate.estimate import INTERPRETER, Estimate, _starting_seconds, estimate
from iibench.runner.estimate.machine import Machine, measured_machine
from iibench.runner.estimate.peak import resident
from iibench.runner.execute import execute
from iibench.runner.rates import read_rates, write_rates
from iibench.runner.session import Session, prepare
from iibench.stages.account import Account, StageCost
from iibench.stages.clock import Clock
from iibench.stages.demand import Demand
from iibench.stages.reading import Reading, reading
from iibench.stages.similarities import SimilarityStage
from iibench.stages.timing import Timed, timed_rows
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
    plugins = load_plugins((), (str(TOYS),))

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


def planned(session: Session, rates: dict[str, float] | None = None, **options: Any) -> Estimate:
    return estimate(session, rates or {}, machine=MACHINE, clock=Ticks(), **options)


def by_name(found: Estimate) -> dict[str, StageCost]:
    return {stage.stage: stage for stage in found.stages}


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
    assert stages["directions pick[k=2]"].source == "timed"


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
    assert stages["directions pick[k=2]"].source == "timed"
    assert stages["evaluation activity"].source == "guess"
    assert stages["order of images by response"].source == "counted"


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
    spec = load_plugins((), ()).registry.finders[name].spec
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


def test_seconds_are_the_sum_over_kinds_of_work() -> None:
    work = Work(flops=3e9, flops64=1e9, values=2e8, steps=1e5, pairs=9.0, memory=7.0)
    assert MACHINE.seconds(work) == pytest.approx(3 + 2 + 2 + 1)


def test_the_machine_is_measured_with_the_clock_it_is_given() -> None:
    found = measured_machine(Ticks(0.5))
    assert found.flop64 == found.flop == pytest.approx(0.5 / (2 * 512**3))
    assert found.step == pytest.approx(0.5 / 2000)


def test_resident_memory_is_that_of_this_process_alone() -> None:
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("the system does not tell a process's own peak")
    held = np.ones(100 << 20, np.uint8)  # a parent's peak, which a child must not be charged with
    code = "from iibench.runner.estimate.peak import resident; print(resident())"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert resident() > held.nbytes > int(child.stdout)


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


@pytest.mark.slow
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


@pytest.mark.slow
def test_the_output_says_where_times_are_from(iibench, suite) -> None:
    done = iibench("run", suite(), "--collect-only")
    assert done.code == 0
    for word in ("timed", "counted", "guess", "peak memory about", "start and loading"):
        assert word in done.out
    assert iibench("run", suite(), "-o", "out").code == 0
    done = iibench("run", suite(("seed: 5", "seed: 6"), name="b.yaml"), "--collect-only")
    assert "measured" in done.out


def test_parts_of_a_metric_are_asked_together(session, suite) -> None:
    """What has been asked of one part is there for the others, of the same directions and evaluation."""
    ready = session(suite(), keyword="toycolour and ii and not insilico")
    stage = SimilarityStage(ready.stages.context, Demand())  # no matrix of all pairs
    account = Account({}, MACHINE.seconds, MACHINE.seconds, 0, Ticks())
    spent: dict[str, list[float]] = {}
    for case in ready.cases:
        seconds = stage.cost(case, images=30, pairs=100, account=account)
        spent.setdefault(case.stem, []).append(seconds)
    assert len(spent) == 3
    for several in spent.values():
        assert several[0] > 0
        assert several[1:] == [0.0]


def test_a_fit_on_the_device_is_counted_there_and_scikit_learn_is_not(session, suite) -> None:
    path = suite(
        ("  - neurons\n", "  - neurons\n  - {name: pca, k: 2}\n  - {name: kmeans, k: 2}\n")
    )
    ready = session(path, keyword="activity and (pca or kmeans)")
    fits = {}
    for name, device in (("slow", MACHINE.seconds), ("free", lambda work: 0.0)):
        account = Account({}, MACHINE.seconds, device, 0, Ticks())
        for case in ready.cases:
            fits[case.finder.name, name] = ready.stages.directions.fit_cost(case, account)
    assert fits["pca", "free"].fit == fits["pca", "slow"].fit > 0
    assert fits["kmeans", "free"].fit == 0 < fits["kmeans", "slow"].fit
    for finder in ("pca", "kmeans"):  # encoding is not told of a device
        assert fits[finder, "free"].encode == fits[finder, "slow"].encode > 0


def test_peak_memory_adds_what_is_held_at_the_same_time() -> None:
    account = Account({}, MACHINE.seconds, MACHINE.seconds, limit=100)
    for size in (10, 20):
        account.keep(size)
    for size in (80, 90):
        account.keep_between(size)
    for size in (5, 7):
        account.need(size)
    assert account.peak() == 10 + 20 + 100 + 7


def test_a_peak_beyond_memory_is_not_announced(
    session, suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("iibench.runner.estimate.estimate.resident", lambda: 0)
    path = suite(("dataset: {name: toy}", "dataset: {name: toy, n: 50_000}"))
    roomy = session(path, keyword="neurons")
    tight = session(path, keyword="neurons", memory=4 << 20)  # responses and order take 2.4 MB
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
    # activations of either split take 5,760 bytes
    ready = session(suite(), output=tmp_path / "out", memory=4 * 240 * 6)
    found = planned(ready)
    refused = [line for line in found.left_out if "holds activations in memory" in line]
    assert [line.partition(": ")[2].partition(" holds")[0] for line in refused] == [
        "finder pick[k=1]",
        "finder pick[k=2]",
    ]
    stages = by_name(found)
    assert "directions pick[k=1]" not in stages
    assert stages["directions neurons"].to_do == 1  # looks at nothing but their number
    errors = {report.reason for report in execute(ready).reports if report.status == "error"}
    for line in refused:  # in the words of the run
        assert line.partition(": ")[2] in errors


def test_mapped_results_in_the_cache_are_seen(session, suite, tmp_path: Path) -> None:
    def small(keyword: str) -> Session:
        return session(suite(), output=tmp_path / "out", keyword=keyword, memory=4 * 240 * 6)

    before = by_name(planned(small("neurons and toylabel")))
    assert before["responses neurons"].to_do == before["order of images by response"].to_do == 1
    first = small("neurons and toylabel and ii and not insilico")
    assert [report.status for report in execute(first).reports] == ["passed"]
    after = by_name(planned(small("neurons and toylabel")))
    assert after["evaluation ii"].cached == 1
    for stage in ("responses neurons", "order of images by response"):
        assert (after[stage].to_do, after[stage].cached, after[stage].seconds) == (0, 1, 0.0)
    roomy = by_name(planned(session(suite(), keyword="neurons and toylabel")))
    assert roomy["responses neurons"].to_do == 1  # not those that a run in memory would take


def test_images_are_timed_in_the_batches_of_a_run() -> None:
    seen: list[tuple[int, ...]] = []

    def rows(images: Any) -> Any:
        seen.append(images.shape)
        return images.reshape(len(images), -1).astype(np.float32)

    found = timed_rows(rows, (64, 64), 64, Ticks(0.01))
    assert isinstance(found, Timed)
    assert found.width == 3 * 64 * 64
    assert seen[-1] == (64, 64, 64, 3)
    assert found.seconds == pytest.approx(0.01 / 64, rel=0.1)
    timed_rows(rows, (64, 64), 64, Ticks(1.0))  # where that would take too long, in smaller ones
    assert seen[-1] == (4, 64, 64, 3)


def test_a_dataset_that_decodes_everything_at_first_use(tmp_path: Path) -> None:
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
    work = {
        "dataset toy test": (1.0, 1),
        "dataset made": (65.0, 1),
        "model toynet": (2.0, 1),
        "activations toynet/tap on test": (60.0, 240),  # a dataset was made of them
        "metric toycolour": (0.5, 1),
        "metric large": (300.0, 1),  # downloaded
    }
    clock = SimpleNamespace(work=work)
    ready: Any = SimpleNamespace(stages=SimpleNamespace(context=SimpleNamespace(clock=clock)))
    assert _starting_seconds(ready, 150.0) == pytest.approx(INTERPRETER + 150 - 60 - 60 + 0.5 + 5)


def test_a_clock_gives_rates_of_work_that_ended_and_took_its_time(monkeypatch) -> None:
    now = Ticks(0.0)
    monkeypatch.setattr("iibench.stages.clock.time.perf_counter", now)
    clock = Clock()
    for seconds, amount in ((2.0, 10), (4.0, 20)):
        with clock.stage("work", amount, "images of it"):
            now.now += seconds
    with pytest.raises(ValueError, match="stop"), clock.stage("failed", rate="failed"):
        now.now += 3.0
        raise ValueError("stop")
    assert clock.rates() == {"images of it": pytest.approx(0.2)}
    assert clock.work["failed"] == (3.0, 1)
