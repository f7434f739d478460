"""The executor `ray` on a cluster of two nodes: equal results, deaths, restarts, bad addresses."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import iibench as package
from iibench.contract.errors import UsageError
from iibench.contract.executors import Task, TaskResult
from tests.conftest import TOYS, Done, run_json
from tests.runner.workers.test_executors import EXECUTORS, TROUBLE, assert_same

pytest.importorskip("ray", reason="needs the extra ray")

Program = Callable[..., Done]

SLOW = """
iibench: "1"
name: slow
dataset: {name: toy}
models:
  - {name: slownet, layers: [tap]}
finders: [neurons]
metrics: [toycolour]
evaluations: [ii]
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a cluster of two nodes with one CPU each. Its workers have the environment of now."""
    from ray.cluster_utils import Cluster

    folder = tmp_path_factory.mktemp("cluster")
    names = {
        "RAY_USAGE_STATS_ENABLED": "0",
        "OMP_NUM_THREADS": "1",
        "TOY_PASSES": str(folder / "passes"),
        "TOY_DEATHS": str(folder / "deaths"),
    }
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(names)
    (folder / "deaths").mkdir()
    node = {"num_cpus": 1, "object_store_memory": 100_000_000, "include_dashboard": False}
    made = Cluster(initialize_head=True, head_node_args=node)
    made.add_node(num_cpus=1, object_store_memory=100_000_000)
    yield made.address
    made.shutdown()
    for name, value in before.items():
        os.environ.pop(name)
        if value is not None:
            os.environ[name] = value


@pytest.fixture
def passes(cluster: str) -> Callable[[], list[tuple[int, int]]]:
    """(images, process) of the forward passes since the last call."""
    path = Path(os.environ["TOY_PASSES"])

    def read() -> list[tuple[int, int]]:
        lines = path.read_text().splitlines() if path.exists() else []
        path.write_text("")
        return [(int(images), int(process)) for images, process in map(str.split, lines)]

    read()
    return read


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def options(cluster: str, name: str, label: str = "ray") -> list[str | Path]:
    return [
        *("-o", name, "--cache-dir", f"cache-{name}", "--plugins-dir", EXECUTORS),
        *("--executor", label, "--address", cluster, "--shared-cache", "shared"),
    ]


@pytest.mark.slow
def test_two_nodes_give_the_results_of_one_process(cluster: str, iibench: Program, suite) -> None:
    path = suite(*TROUBLE)
    iibench("run", path, "-o", "local", "--plugins-dir", EXECUTORS)
    done = iibench("run", path, *options(cluster, "out"), "--shard-size", "50")
    assert done.code == 1, done.err
    assert_same("local", "out")
    assert run_json(Path("out"))["executor"]["workers"] == 2
    import ray

    assert not ray.is_initialized()  # it has left
    again = iibench("run", path, *options(cluster, "again"))  # and the cluster stands
    assert again.code == 1
    ended = [
        case["cached"] for case in run_json(Path("again"))["cases"] if case["status"] == "passed"
    ]
    assert all(ended)


@pytest.mark.slow
def test_a_worker_that_is_killed_costs_a_retry(
    cluster: str, iibench: Program, tmp_path: Path
) -> None:
    text = SLOW.replace("slownet", "toynet").replace(
        "finders: [neurons]", "finders: [neurons, fragile]"
    )
    done = iibench("run", write(tmp_path / "s.yaml", text), *options(cluster, "out"))
    assert done.code == 0, done.err
    run = package.load_run("out")
    assert {report.status for report in run.reports} == {"passed"}
    notes = [note["text"] for note in run.meta["notes"]]
    deaths = [note for note in notes if "died while it did directions" in note]
    assert len(deaths) == 1, notes
    assert "another did it again" in deaths[0]
    # the same without a death
    local = iibench("run", tmp_path / "s.yaml", "-o", "local", "--plugins-dir", EXECUTORS)
    assert local.code == 0
    assert_same("local", "out")


@pytest.fixture
def team(cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Makes a team of two workers that say their process; all but the first `survivors` die as they start."""
    from iibench_plugins.executors.ray import team as _ray_team

    folder, made = str(tmp_path), []

    def make(survivors: int, retries: int) -> Any:
        class Stub:
            def __init__(self, *arguments: Any) -> None:
                pass

            def prepare(self) -> tuple[str, str]:
                for number in range(survivors):
                    try:
                        (Path(folder) / str(number)).touch(exist_ok=False)
                    except FileExistsError:
                        continue
                    return str(os.getpid()), ""
                os.kill(os.getpid(), signal.SIGKILL)
                raise AssertionError

            def ping(self) -> None:
                pass

            def do(self, task: Task) -> TaskResult:
                time.sleep(0.3)
                return TaskResult(task, str(os.getpid()))

        monkeypatch.setattr(_ray_team, "RemoteWorker", Stub)
        leaves = _ray_team.join(cluster, 2, 1)
        settings = {"workers": 2, "cpus": 1, "gpus": 0.0, "retries": retries, "scratch": None}
        made.append(_ray_team.RayTeam("job", leaves, **settings))
        return made[-1]

    yield make
    for each in made:
        each.close()


def several(n: int) -> list[Task]:
    return [Task("scores", f"case{k}") for k in range(n)]


@pytest.mark.slow
def test_workers_that_died_while_idle_are_not_charged_to_a_task(team) -> None:
    ready = team(survivors=99, retries=0)
    workers: set[str] = set()
    while len(workers) < 2:
        workers |= {result.worker for result in ready.run(several(4))}
    for worker in workers:
        os.kill(int(worker), signal.SIGKILL)
    (result,) = ready.run(several(1))
    assert (result.error, result.notes) == (None, ())
    assert result.worker not in workers


@pytest.mark.slow
def test_workers_that_cannot_start_are_done_without(team) -> None:
    results = list(team(survivors=1, retries=1).run(several(12)))
    assert sorted(result.task.case for result in results) == sorted(t.case for t in several(12))
    assert len({result.worker for result in results}) == 1


@pytest.mark.slow
def test_the_run_ends_where_no_worker_can_be_started(team) -> None:
    with pytest.raises(UsageError, match="3 workers died while they started, and none is left"):
        list(team(survivors=0, retries=1).run(several(1)))


@pytest.mark.slow
def test_a_task_that_keeps_killing_workers_is_an_error_and_not_the_end(
    cluster: str, iibench: Program, tmp_path: Path
) -> None:
    text = SLOW.replace("slownet", "toynet")
    text = text.replace("finders: [neurons]", "finders: [neurons, {name: fragile, deaths: 99}]")
    path = write(tmp_path / "s.yaml", text)
    done = iibench("run", path, *options(cluster, "out", "ray[retries=1]"))
    assert done.code == 1, done.err
    neurons, fragile = package.load_run("out").reports
    assert neurons.status == "passed"
    assert fragile.status == "error"
    assert str(fragile.reason).startswith("2 workers died while they did this, the last on ")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks for processes in /proc")
def test_a_run_whose_own_process_was_killed_goes_on_where_it_was(
    cluster: str, iibench: Program, spawn, passes, tmp_path: Path
) -> None:
    path = write(tmp_path / "s.yaml", SLOW)
    arguments = ["run", path, *options(cluster, "out"), "--shard-size", "20"]
    process = spawn(*arguments, "--plugins-dir", TOYS)
    log = Path(os.environ["TOY_PASSES"])
    deadline = time.monotonic() + 120
    while log.read_text().count("\n20 ") < 5:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    for stream in (process.stdout, process.stderr):
        stream.close()
    workers = {int(line.split()[1]) for line in log.read_text().splitlines()}
    while any(Path(f"/proc/{worker}").exists() for worker in workers):  # Ray takes them away
        assert time.monotonic() < deadline
        time.sleep(0.1)
    first = [images for images, _ in passes() if images > 2]
    stored = 20 * len(list(Path("shared").rglob("*.rows")))
    assert 0 < stored < 240
    done = iibench(*arguments)
    assert done.code == 0, done.err
    second = [images for images, _ in passes() if images > 2]
    assert sum(second) == 240 - stored
    assert sum(first) <= stored + 40  # no more than was in flight
    assert [case["status"] for case in run_json(Path("out"))["cases"]] == ["passed"]


@pytest.mark.slow
def test_both_nodes_work(cluster: str, iibench: Program, passes, tmp_path: Path) -> None:
    path = write(tmp_path / "s.yaml", SLOW)
    done = iibench("run", path, *options(cluster, "out"), "--shard-size", "20")
    assert done.code == 0, done.err
    workers = [process for images, process in passes() if images > 2]
    assert len(workers) == 12
    assert len(set(workers)) == 2
    assert min(workers.count(worker) for worker in set(workers)) >= 2


@pytest.mark.slow
def test_more_workers_than_there_is_room_for(cluster: str, iibench: Program, suite) -> None:
    done = iibench("run", suite(), *options(cluster, "out", "ray[workers=3]"))
    assert done.code == 4
    assert "room for 2 workers of 1 CPUs and 0 GPUs, and 3 are asked for" in done.err


def test_an_address_where_nobody_is(iibench: Program, suite) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    done = iibench("run", suite(), *options(f"127.0.0.1:{port}", "out"))
    assert done.code == 4
    text = f"iibench: error: --executor ray: no cluster at the address 127.0.0.1:{port} ("
    assert text in done.err
    assert "Traceback" not in done.err
    assert not Path("out").exists()


@pytest.mark.slow
def test_a_node_without_a_plugin_ends_the_run_with_a_sentence(
    cluster: str, iibench: Program, suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module that only the run's process finds."""
    (tmp_path / "only_here").mkdir()
    write(
        tmp_path / "only_here" / "lonely.py",
        "from iibench import hookimpl\n@hookimpl\ndef iibench_case_start(case): pass\n",
    )
    from iibench.hooks.loading import load_plugins

    monkeypatch.syspath_prepend(tmp_path / "only_here")
    assert "lonely" in {record.name for record in load_plugins(["lonely"]).records}
    done = iibench("run", suite(), *options(cluster, "out"), "-p", "lonely")
    assert done.code == 4
    assert "-p lonely: there is no such module" in done.err


@pytest.mark.slow
def test_a_ray_started_for_the_run(iibench: Program, suite, cluster: str) -> None:
    """On this machine alone nothing needs to be shared: workers use the run's cache."""
    iibench("run", suite(), "-o", "local", "--cache-dir", "cache-local")
    done = iibench("run", suite(), "-o", "out", "--executor", "ray[workers=1]", "--cache-dir", "c")
    assert done.code == 0, done.err
    assert_same("local", "out")
