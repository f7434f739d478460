"""Where a run's work is done: executors are plugins, and whoever does it, the results are the same."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import iibench as package
from iibench.contract.config import RunConfig
from iibench.contract.errors import UsageError
from iibench.contract.executors import Task
from iibench.hooks.loading import load_plugins
from iibench.runner.execute import execute
from iibench.runner.session import prepare
from iibench.runner.workers.distribute import _job
from iibench.runner.workers.tasks import indices_of, ranges_of, task_inputs, task_key
from iibench.runner.workers.worker import Worker
from tests.conftest import TOYS, Done, run_json

EXECUTORS = TOYS / "executors"
#: Cases that end in every way there is.
TROUBLE = (
    ("  - {name: pick, k: [1, 2]}\n", "  - {name: pick, k: [1, 9]}\n  - explodes\n"),
    ("  - toylabel\n", "  - toylabel\n  - toymissing\n  - toynames\n  - toyown\n"),
)

Program = Callable[..., Done]


@pytest.fixture
def tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """The tasks that workers have been given since the last call."""
    path = tmp_path / "tasks"
    monkeypatch.setenv("TOY_TASKS", str(path))

    def read() -> list[str]:
        text = path.read_text() if path.exists() else ""
        path.write_text("")
        return text.splitlines()

    return read


@pytest.fixture
def run(iibench: Program) -> Program:
    def call(suite: Path, name: str, *options: str | Path) -> Done:
        """Runs a suite into the folder `name`, with a cache of that name unless options say otherwise."""
        cache = () if "--cache-dir" in options else ("--cache-dir", f"cache-{name}")
        return iibench("run", suite, "-o", name, "--plugins-dir", EXECUTORS, *cache, *options)

    return call


def assert_same(a: str | Path, b: str | Path) -> None:
    """Two runs have the same cases, endings, scores and exemplars."""
    one, other = package.load_run(a), package.load_run(b)
    assert [r.id for r in one.reports] == [r.id for r in other.reports]
    for x, y in zip(one.reports, other.reports, strict=True):
        assert (x.status, x.reason, x.cached) == (y.status, y.reason, y.cached), x.id
        assert (x.traceback is None) == (y.traceback is None), x.id
        assert x.summary == y.summary, x.id
        assert [m.value for m in x.measures] == [m.value for m in y.measures]
    if not one.cases:
        return
    units = [run.units().drop(columns="seconds", errors="ignore") for run in (one, other)]
    assert units[0].equals(units[1])
    for name in ("image", "response"):
        np.testing.assert_array_equal(one.exemplars()[name], other.exemplars()[name])


# ------------------------------------------------------------------------------------ results


@pytest.mark.parametrize("executor", ["two", "two[apart=true]"])
def test_workers_give_the_results_of_a_run_without_them(run, suite, tasks, executor: str) -> None:
    """Also cases that are skipped or fail: for the same reason, once."""
    path = suite(*TROUBLE)
    assert run(path, "local").code == 1
    shared = ("--shared-cache", "shared") if "apart" in executor else ()
    done = run(path, "workers", "--executor", executor, "--shard-size", "50", *shared)
    assert done.code == 1, done.err
    assert_same("local", "workers")
    given = tasks()
    assert given[-1] == "closed"
    kinds = [task.split()[0] for task in given[:-1]]
    assert list(dict.fromkeys(kinds)) == [
        *("activations", "directions", "images", "embeddings", "scores")
    ]
    assert kinds.count("activations") == 10  # 240 images of two splits, 50 at a time
    assert kinds.count("directions") == 4
    assert len(given) == len(set(given))


@pytest.mark.slow
def test_reports_say_computed_and_how_long_workers_took(run, suite, tasks) -> None:
    path = suite()
    run(path, "first", "--executor", "two")
    first = run_json(Path("first"))
    assert first["executor"] == {"label": "two", "workers": 2}
    assert not any(case["cached"] for case in first["cases"])
    stages = {stage for case in first["cases"] for stage in case["seconds"]}
    assert {"activations toynet/tap on test", "embeddings toycolour", "evaluation ii"} <= stages
    assert tasks()
    again = run(path, "second", "--executor", "two", "--cache-dir", "cache-first")
    assert again.code == 0
    assert tasks() == []  # nothing to do: nobody is started
    assert all(case["cached"] for case in run_json(Path("second"))["cases"])


@pytest.mark.slow
def test_progress_is_told_per_task(run, suite, tasks, tmp_path: Path) -> None:
    (tmp_path / "watching").mkdir()
    (tmp_path / "watching" / "watch.py").write_text(
        "import json\nfrom pathlib import Path\nfrom iibench import hookimpl\n@hookimpl\n"
        "def iibench_stage_progress(stage, done, total, unit):\n"
        f"    with Path({str(tmp_path / 'log')!r}).open('a') as file:\n"
        "        file.write(json.dumps([stage, done, total, unit]) + chr(10))\n"
    )
    run(suite(), "out", "--executor", "two", "--shard-size", "100", "--plugins-dir", "watching")
    lines = (tmp_path / "log").read_text().splitlines()
    ours = [line for line in lines if "activations by" in line]
    assert ours == [
        f'["activations by 2 workers", {done}, 480, "images"]'
        for done in (0, 100, 200, 240, 340, 440, 480)
    ]
    assert not [
        line for line in lines if "activations toynet" in line
    ]  # that was the workers' business


@pytest.mark.slow
def test_a_run_that_was_stopped_goes_on_where_it_was(run, suite, tasks) -> None:
    path = suite()
    shared = ("--shared-cache", "shared", "--shard-size", "50")
    stopped = run(path, "out", *shared, "--executor", "two[apart=true,stop_after=35]")
    assert stopped.code == 2
    first = tasks()
    assert first.pop() == "closed"
    assert len(first) == 35
    # elsewhere, with nothing but the shared cache
    done = run(path, "again", *shared, "--executor", "two[apart=true]")
    assert done.code == 0, done.err
    second = tasks()[:-1]
    assert not set(first) & set(second)
    run(path, "local")
    whole = run(path, "workers", *shared[2:], "--executor", "two")
    assert whole.code == 0
    assert sorted(first + second) == sorted(tasks()[:-1])
    before = {report["id"]: report["cached"] for report in run_json(Path("again"))["cases"]}
    assert any(before.values())
    for case in ("local", "workers"):
        assert_equal_numbers("again", case)


def assert_equal_numbers(a: str, b: str) -> None:
    for x, y in zip(package.load_run(a).reports, package.load_run(b).reports, strict=True):
        assert (x.id, x.status, x.summary) == (y.id, y.status, y.summary)


@pytest.mark.slow
def test_what_the_driver_has_is_not_computed_again(run, suite, tasks, monkeypatch) -> None:
    """The shared cache is new, the driver's is not: what it has is for everybody."""
    path = suite()
    run(path, "local", "-k", "toybright and ii")
    shared = ("--shared-cache", "shared", "--executor", "two[apart=true]")
    done = run(path, "warm", *shared, "--cache-dir", "cache-local")
    assert done.code == 0, done.err
    kinds = [task.split()[0] for task in tasks()[:-1]]
    assert "activations" not in kinds
    assert "directions" not in kinds
    assert "scores" in kinds
    again = run(path, "again", *shared)  # on a machine with nothing but the shared cache
    assert again.code == 0
    assert tasks() == []
    assert all(case["cached"] for case in run_json(Path("again"))["cases"])


@pytest.mark.slow
def test_ctrl_c_reports_what_has_ended_or_was_cached(run, suite, tasks) -> None:
    path = suite()
    run(path, "first", "-k", "toybright and ii", "--cache-dir", "cache")
    cached = {case["id"] for case in run_json(Path("first"))["cases"]}
    done = run(path, "out", "--executor", "two[stop_after=18]", "--cache-dir", "cache")
    assert done.code == 2
    given = tasks()
    finished = {task.split(" for ")[1] for task in given if task.startswith("scores")}
    assert finished
    found = run_json(Path("out"))
    assert found["interrupted"]
    assert {case["id"] for case in found["cases"]} == cached | finished
    assert {case["status"] for case in found["cases"]} == {"passed"}


def test_a_shared_cache_that_is_another_one_elsewhere_is_told(run, suite, tasks) -> None:
    done = run(
        *(suite(), "out", "--executor", "two[apart=true,elsewhere=true]"),
        *("--shared-cache", "shared"),
    )
    assert done.code == 4
    assert "error: worker on " in done.err
    assert "/shared-other is not the one that the run uses" in done.err
    assert not list(Path("shared/runs").iterdir())


def test_scores_that_are_not_where_they_should_be_are_noted(run, suite, tasks, monkeypatch) -> None:
    from iibench.stages.scores import ScoreStage

    monkeypatch.setattr(ScoreStage, "is_cached", lambda self, case: False)
    done = run(suite(), "out", "--executor", "two", "-k", "toybright and ii and neurons")
    assert done.code == 0
    (note,) = [note["text"] for note in run_json(Path("out"))["notes"] if "scores" in note["text"]]
    assert "are not in the cache and were computed again" in note


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["activations", "directions", "images", "embeddings"])
def test_cases_that_need_a_task_of_which_workers_died_are_not_tried(
    run, suite, tasks, kind: str
) -> None:
    done = run(suite(), "out", "--executor", f"two[dies={kind}]")
    assert done.code == 1
    given = [task.split(" for ") for task in tasks() if task != "closed"]
    failed = {c["id"] for c in run_json(Path("out"))["cases"] if c["status"] == "error"}
    assert failed
    assert not failed & {case for task, case in given if task == "scores"}
    reasons = {case["reason"] for case in run_json(Path("out"))["cases"]}
    assert reasons <= {None, "workers died while they did this"}


@pytest.mark.slow
def test_a_case_that_cannot_be_planned_is_left_to_the_run(run, suite, tasks, monkeypatch) -> None:
    from iibench.stages.scores import ScoreStage

    whole = ScoreStage.tapped_splits

    def raises(self, case):
        if case.finder.name == "neurons":
            raise RuntimeError("a plugin's")
        return whole(self, case)

    monkeypatch.setattr(ScoreStage, "tapped_splits", raises)
    path = suite()
    run(path, "local")
    assert run(path, "workers", "--executor", "two").code == 0
    assert_same("local", "workers")
    scored = [task for task in tasks() if task.startswith("scores")]
    assert scored
    assert not [task for task in scored if "neurons" in task]


@pytest.mark.slow
def test_a_local_run_uses_the_shared_cache_too(run, suite, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("TOY_COUNT", str(tmp_path / "passes"))
    path = suite()
    monkeypatch.setenv("IIBENCH_SHARED_CACHE", "shared")
    run(path, "first")
    passes = (tmp_path / "passes").read_text()
    again = run(path, "second")  # with another cache
    assert again.code == 0
    assert (tmp_path / "passes").read_text() == passes
    assert all(case["cached"] for case in run_json(Path("second"))["cases"])
    assert_equal_numbers("first", "second")


@pytest.mark.slow
def test_trials_of_people(run, tmp_path: Path, tasks) -> None:
    from tests.runner.test_trial_runs import SUITE

    path = tmp_path / "trials.yaml"
    path.write_text(SUITE)
    some = ("-k", "eq2 or human_accuracy")
    run(path, "local", *some)
    apart = ("--executor", "two[apart=true]", "--shared-cache", "shared")
    done = run(path, "workers", *some, *apart)
    assert "error" not in done.err
    assert_same("local", "workers")
    given = [task for task in tasks() if task != "closed"]
    assert len(given) == len(set(given)) == 4


@pytest.mark.slow
def test_the_first_error_can_end_the_run(run, suite, tasks) -> None:
    path = suite(("  - toybright\n", "  - toybroken\n"))
    (Path("broken")).mkdir()
    Path("broken/broken.py").write_text(
        "import iibench\nclass Broken:\n    fingerprint = ''\n"
        "    def pairwise(self, a, b): raise ValueError('broken')\n"
        "@iibench.hookimpl\ndef iibench_register_metrics():\n"
        "    return [iibench.MetricSpec(name='toybroken', summary='', load=lambda p, h: Broken())]\n"
    )
    done = run(path, "out", "--executor", "two", "-x", "--plugins-dir", "broken")
    assert done.code == 1
    cases = run_json(Path("out"))["cases"]
    assert [case["status"] for case in cases].count("error") == 1
    assert [case["reason"] for case in cases if case["reason"]] == ["ValueError: broken"]
    scores = [task for task in tasks() if task.startswith("scores")]
    assert len(scores) == len(cases)


@pytest.mark.slow
def test_the_first_error_leaves_what_is_cached_in_the_report(run, suite, tasks) -> None:
    path = suite(("  - {name: pick, k: [1, 2]}\n", "  - {name: pick, k: [9, 1]}\n"))
    run(path, "first", "-k", "toybright and ii and not 9", "--cache-dir", "cache")
    cached = {case["id"] for case in run_json(Path("first"))["cases"]}
    assert cached
    done = run(path, "out", "--executor", "two", "-x", "--cache-dir", "cache")
    assert done.code == 1, done.err
    assert cached <= {case["id"] for case in run_json(Path("out"))["cases"]}


@pytest.mark.slow
def test_the_python_face(iibench, suite, tmp_path: Path, tasks) -> None:
    found = package.run(
        suite(),
        output=tmp_path / "out",
        plugins_dirs=[TOYS, EXECUTORS],
        executor="two[apart=true]",
        shared_cache=str(tmp_path / "shared"),
        shard_size=100,
    )
    assert found.meta["executor"] == {"label": "two[apart=true]", "workers": 2}
    assert {report.status for report in found.reports} == {"passed"}


@pytest.mark.slow
def test_responses_that_do_not_fit_in_memory(suite, tmp_path: Path, tasks, monkeypatch) -> None:
    """They are files of their own kind, made by one worker and taken over by the others and the run."""

    from iibench.stages import responses

    made: list[str] = []
    whole = responses.make_by_direction

    def counted(folder, *arguments):
        made.append(folder.parents[1].name)
        return whole(folder, *arguments)

    monkeypatch.setattr(responses, "make_by_direction", counted)
    for name, fields in (
        ("local", {}),
        ("workers", {"executor": "two[apart=true]", "shared_cache": str(tmp_path / "shared")}),
    ):
        plugins = load_plugins(folders=[TOYS, EXECUTORS])
        config = RunConfig(
            *(str(suite()), tmp_path / "data", tmp_path / f"cache-{name}"),
            output=tmp_path / name,
            memory=20_000,
            **fields,
        )
        made.clear()
        execute(prepare(config, plugins))
        assert sorted(made) == ["orders_by_direction", "responses_by_direction"]  # of the neurons
    assert_same(tmp_path / "local", tmp_path / "workers")


# ------------------------------------------------------------------------------------ the CLI


@pytest.mark.slow
def test_the_default_is_a_plugin_like_the_others(run, suite, iibench) -> None:
    listed = iibench("ls", "executors").out
    assert "local  the run's own process, case by case" in listed
    assert "ray  " in listed
    assert run(suite(), "default").code == 0
    assert run(suite(), "named", "--executor", "local").code == 0
    assert_same("default", "named")
    assert run_json(Path("named"))["executor"] == {"label": "local", "workers": 1}
    blocked = run(suite(), "blocked", "-p", "no:executors.local")
    assert blocked.code == 4
    assert "unknown executor 'local'" in blocked.err


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--executor", "rya"], "--executor rya: unknown executor 'rya'; nearest: ray"),
        (["--executor", "ray[wokers=2]"], "unknown parameter of ray 'wokers'; nearest: workers"),
        (["--executor", "ray[workers=0]"], 'found "0" (text); expected integer >= 1 or none'),
        (
            ["--executor", "ray", "--address", "auto"],
            "--executor ray[address=auto] needs --shared-cache",
        ),
        (["--executor", "two[apart=true]"], "two[apart=true] needs --shared-cache URL"),
        (["--address", "auto"], "unknown parameter of local 'address'; it has none"),
        (
            ["--executor", "ray[address=a:1]", "--address", "b:1"],
            "--address b:1: --executor ray[address=a:1] has an address already",
        ),
        (["--shared-cache", "nosuch://x"], "--shared-cache nosuch://x: "),
    ],
)
def test_what_cannot_be_asked_for(run, suite, options: list[str], expected: str) -> None:
    done = run(suite(), "out", *options)
    assert done.code == 4
    assert expected in done.err
    assert len(done.err.strip().splitlines()) <= 2
    assert not Path("out").exists()


def test_an_executor_that_fails_is_named(run, suite, monkeypatch) -> None:
    monkeypatch.delenv("TOY_TASKS", raising=False)
    done = run(suite(), "out", "--executor", "two")
    assert done.code == 4
    assert "iibench: error: executor two: KeyError: 'TOY_TASKS'" in done.err
    assert "Traceback" not in done.err


def test_a_shared_cache_that_goes_away_ends_the_run(run, suite, tasks, monkeypatch) -> None:
    import fsspec

    from iibench.cache import shared_store

    monkeypatch.setattr(shared_store, "PAUSES", ())
    system = type(fsspec.filesystem("memory"))

    def gone(self, path, **options):
        raise ConnectionError("no route to host")

    def go_away(self, path, value, whole=system.pipe_file, **options):
        if path.endswith(".rows"):
            monkeypatch.setattr(system, "cat_file", gone)
            monkeypatch.setattr(system, "exists", gone)
            gone(self, path)
        whole(self, path, value, **options)

    monkeypatch.setattr(system, "pipe_file", go_away)
    done = run(suite(), "out", "--executor", "two", "--shared-cache", "memory://goes/away")
    assert done.code == 4
    assert (
        "error: the shared cache memory://goes/away cannot be read (ConnectionError: no" in done.err
    )


def write_executor(name: str, one_machine: str) -> str:
    """A folder with a plugin that registers an executor."""
    Path(name).mkdir()
    (Path(name) / f"{name}.py").write_text(
        "from iibench import ExecutorSpec, hookimpl\n@hookimpl\n"
        "def iibench_register_executors():\n"
        f"    return [ExecutorSpec(name='{name}', summary='', start=lambda p, j: None,\n"
        f"        one_machine={one_machine})]\n"
    )
    return name


@pytest.mark.parametrize(
    ("one_machine", "expected"),
    [
        ("True", "plugin bad: iibench_register_executors: one_machine of 'bad' must be callable"),
        ("lambda p: p.x", "executor bad of plugin bad: one_machine raised AttributeError: 'NoPar"),
    ],
)
def test_an_executor_that_cannot_tell_where_it_is(
    run, suite, iibench, one_machine: str, expected: str
) -> None:
    folder = write_executor("bad", one_machine)
    done = run(suite(), "out", "--executor", "bad", "--plugins-dir", folder)
    assert done.code == 4
    assert "Traceback" not in done.err
    listed = iibench("ls", "executors", "--plugins-dir", folder)
    assert expected in done.err + listed.err


def test_executors_that_cannot_be_registered(iibench, tmp_path: Path) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "bad.py").write_text(
        "from iibench import hookimpl\nfrom iibench import ExecutorSpec\n@hookimpl\n"
        "def iibench_register_executors():\n"
        "    return [ExecutorSpec(name='bad', summary='', start='soon')]\n"
    )
    done = iibench("ls", "executors", "--plugins-dir", "bad")
    assert "start of 'bad' must be callable" in done.err


# ------------------------------------------------------------------------------------ workers


@pytest.fixture
def session(suite, tmp_path: Path):
    plugins = load_plugins(folders=[TOYS])
    config = RunConfig(str(suite()), tmp_path / "data", tmp_path / "cache")
    return prepare(config, plugins)


def task_of(session: Any, kind: Any, **fields: Any) -> Task:
    case = session.cases[0]
    task = Task(kind, case.id, **fields)
    stages = session.stages
    return dataclasses.replace(
        task, key=task_key(stages, case, task), inputs=task_inputs(stages, case, task)
    )


def test_a_worker_does_a_task_twice_without_harm(session) -> None:
    worker = Worker(_job(session, True), threads=1)
    task = task_of(session, "activations", split="test", images=((3, 7), (9, 10)))
    for _ in range(2):
        result = worker.do(task)
        assert (result.error, result.task) == (None, task)
    rows = session.cache.existing_rows("activations", task.key)
    np.testing.assert_array_equal(
        np.setdiff1d(np.arange(240), rows.missing(np.arange(240))), [3, 4, 5, 6, 9]
    )


def test_a_job_can_be_sent(session) -> None:
    import pickle

    job = _job(session, True)
    again = pickle.loads(pickle.dumps(job))
    assert again == job
    assert Worker(again).do(task_of(session, "scores")).error is None


def test_a_worker_without_the_plugins_of_the_run_says_which(session) -> None:
    job = _job(session, True)
    without = dataclasses.replace(job.plugins, files=())
    with pytest.raises(UsageError) as caught:
        Worker(dataclasses.replace(job, plugins=without))
    lines = str(caught.value).splitlines()
    assert len(lines) == 2
    assert all(line.startswith("worker on ") for line in lines)
    assert lines[0].endswith("plugin toy of the run is not there")
    changed = dict(job.software) | {"torch": "1.0", "plugin toy": "0" * 64}
    with pytest.raises(UsageError) as caught:
        Worker(dataclasses.replace(job, software=changed))
    text = str(caught.value)
    assert "not what the run has: " in text
    assert ", not 1.0), plugin toy" in text


def test_a_worker_has_the_memory_of_the_run(session, monkeypatch) -> None:
    """Which decides what is a file; where the run has no limit, half of what its own machine has."""
    with monkeypatch.context() as patched:
        patched.setattr("iibench.runner.session.default_budget", lambda: 123 << 20)
        session = prepare(session.config, session.plugins)
    assert session.config.memory is None
    assert Worker(_job(session, True))._stages.context.settings.memory == 123 << 20


def test_a_worker_leaves_no_folder_behind(session, tmp_path: Path, monkeypatch) -> None:
    import linecache
    import tempfile

    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    worker = Worker(_job(session, True))
    assert list((tmp_path / "tmp").iterdir()) == []
    (kept,) = [name for name in linecache.cache if str(tmp_path) in name and "toy.py" in name]
    assert linecache.getline(kept, 1) == (TOYS / "toy.py").read_text().splitlines(True)[0]
    assert worker.do(task_of(session, "scores")).error is None


@pytest.mark.slow
def test_a_plugin_that_drops_cases_by_position(run, suite, tasks) -> None:
    """It sees the selected cases in the run, and all of them in a worker."""
    Path("hook").mkdir()
    Path("hook/drop.py").write_text(
        "import iibench\n@iibench.hookimpl\n"
        "def iibench_collection_modify(cases):\n    del cases[2:]\n"
    )
    some = ("-k", "toylabel", "--plugins-dir", "hook")
    assert run(suite(), "local", *some).code == 0
    done = run(suite(), "workers", *some, "--executor", "two")
    assert done.code == 0, done.err
    assert len(run_json(Path("workers"))["cases"]) == 2
    assert_same("local", "workers")


@pytest.mark.slow
def test_a_one_file_plugin_that_is_blocked_by_its_module(run, suite, tasks) -> None:
    """Its module's name depends on the folder, which is another one in a worker."""
    Path("hook").mkdir()
    Path("hook/first.py").write_text(
        "import iibench\n@iibench.hookimpl\ndef iibench_collection_modify(cases): cases.clear()\n"
    )
    records = load_plugins(folders=["hook"]).records
    (module,) = [record.module for record in records if record.name == "first"]
    some = ("-k", "toylabel", "--plugins-dir", "hook", "-p", f"no:{module}")
    done = run(suite(), "out", *some, "--executor", "two")
    assert done.code == 0, done.err
    assert tasks()


def test_what_keeps_a_worker_from_its_plugins_names_it(session) -> None:
    job = _job(session, True)
    asked = dataclasses.replace(job.plugins, names=("no:nowhere",))
    with pytest.raises(UsageError, match="^worker on .*no:nowhere: no plugin has this name"):
        Worker(dataclasses.replace(job, plugins=asked))


def test_a_worker_with_other_data_says_so(session) -> None:
    task = task_of(session, "activations", split="test", images=((0, 5),))
    name = task.inputs[0][0]
    other = dataclasses.replace(task, inputs=((name, "0" * 64), *task.inputs[1:]))
    result = Worker(_job(session, True)).do(other)
    assert result.error is not None
    assert result.error.setup
    assert f"{name} is not what the run has" in result.error.reason
    assert "dataset toy test" in result.error.reason


def test_a_worker_on_a_machine_without_the_device_says_so(session) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    job = _job(session, True)
    config = dataclasses.replace(job.config, device="cuda")
    with pytest.raises(UsageError, match=r"^worker on .*--device cuda: there is no such device"):
        Worker(dataclasses.replace(job, config=config))


@pytest.mark.parametrize("indices", [[], [4], [0, 1, 2], [1, 2, 5, 7, 8, 9]])
def test_ranges_are_the_indices(indices: list[int]) -> None:
    ranges = ranges_of(np.array(indices, np.int64))
    assert [i for first, stop in ranges for i in range(first, stop)] == indices
    np.testing.assert_array_equal(indices_of(ranges), indices)
    assert len(ranges) == sum(i - 1 not in indices for i in indices)
