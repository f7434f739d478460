"""`iibench rerun`: a run repeated from its run.json, and how far the repetition is from it."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import iibench as package
from iibench.results.comparison.runs import compare_runs
from iibench.runner.rerun import breaks, deviations
from tests.conftest import SUITE, TOYS, Done, alter_run, run_json

Program = Callable[..., Done]
NEURONS = "toy/toynet/tap/neurons/toycolour/ii"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a part of the toy suite, with settings of its own."""
    folder = tmp_path_factory.mktemp("made")
    suite = folder / "toy.yaml"
    suite.write_text(SUITE)
    run = package.run(
        suite,
        plugins_dirs=[TOYS],
        output=folder / "run",
        cache_dir=folder / "cache",
        device="cpu",
        limit=100,
        seed=9,
        select="ii or activity",
        overrides=["finders.pick.k=[1,3]"],
        metrics=["toyown"],
        batch_size=32,
    )
    return run.folder


@pytest.fixture
def before(iibench: Program, made: Path) -> Path:
    """The run, in folder `a` below the current one; its suite file is elsewhere."""
    return Path(shutil.copytree(made, "a"))


def spoil(folder: Path, case: str, by: float) -> None:
    """Changes the score of unit 1 of a case."""
    units = pd.read_parquet(folder / "results.parquet")
    units.loc[(units["case"] == case) & (units["unit"] == 1), "score"] += by
    units.to_parquet(folder / "results.parquet", index=False)
    alter_run(folder, run_json(folder))


def change_record(folder: Path, change: Callable[[dict], None]) -> None:
    record = run_json(folder)
    change(record)
    alter_run(folder, record)


def test_a_run_is_repeated_to_the_last_digit(iibench: Program, before: Path) -> None:
    done = iibench("rerun", before, "-o", "b", "--tolerance", "0", "--cache-dir", "cache")
    assert done.code == 0, done.out + done.err
    assert "REPEATED: the largest deviation is 0 (tolerance 0)" in done.out
    assert "DEVIATION ii / toycolour: scores 0; means 0; n = 3 cases" in done.out
    assert "settings: no difference" in done.out
    old, new = run_json(before), run_json(Path("b"))
    assert [c["id"] for c in old["cases"]] == [c["id"] for c in new["cases"]]
    for key in ("seed", "limit", "overrides", "added_metrics", "batch_size", "keyword", "suite"):
        assert old.get(key) == new.get(key), key
    # nothing was taken from a cache, and nothing is left in it
    assert not any(case["cached"] for case in new["cases"])
    assert not list((Path("cache") / "v1").iterdir())


@pytest.mark.slow
def test_computed_values_come_from_the_cache_where_that_is_asked_for(
    iibench: Program, made: Path, before: Path
) -> None:
    done = iibench(
        "rerun", before, "-o", "b", "--cached", "-q", "--cache-dir", made.parent / "cache"
    )
    assert done.code == 0
    assert all(case["cached"] for case in run_json(Path("b"))["cases"])
    fresh = iibench("rerun", before, "-o", "c", "-q", "--cache-dir", made.parent / "cache")
    assert fresh.code == 0
    assert not any(case["cached"] for case in run_json(Path("c"))["cases"])
    assert not list((made.parent / "cache" / "v1").glob(".fresh-*"))


@pytest.mark.slow
def test_the_largest_deviation_names_case_and_unit(iibench: Program, before: Path) -> None:
    case = NEURONS.replace("toy/", "toy[limit=100]/", 1)
    spoil(before, case, 0.002)
    done = iibench("rerun", before, "-o", "b", "-q")
    assert done.code == 1
    assert f"DEVIATION ii / toycolour: scores 0.002 (unit 1 of {case}); means 0.000333" in done.out
    assert "NOT REPEATED: the largest deviation is 0.002 (tolerance 1e-05)" in done.out
    assert iibench("rerun", before, "-o", "c", "-q", "--tolerance", "0.01").code == 0


def test_deviations_are_those_of_a_loop(iibench: Program, before: Path) -> None:
    shutil.copytree(before, "b")
    units = pd.read_parquet("b/results.parquet")
    units["score"] += np.random.default_rng(0).normal(0, 1e-3, len(units))
    units.to_parquet("b/results.parquet", index=False)
    alter_run(Path("b"), run_json(Path("b")))
    a, b = package.load_run(before), package.load_run("b")
    found = {(d.evaluation, d.metric): d for d in deviations(compare_runs(a, b))}
    for one, other in zip(a.cases, b.cases, strict=True):
        deviation = found[one.evaluation.label, one.metric.label if one.metric else None]
        sizes = [abs(y - x) for x, y in zip(one.scores, other.scores, strict=True)]  # type: ignore
        assert deviation.unit_change is not None and deviation.mean_change is not None
        assert deviation.unit_change >= max(sizes)
        assert deviation.mean_change >= abs(np.mean(one.scores) - np.mean(other.scores)) - 1e-12
        if deviation.unit_case == one.id:
            assert deviation.unit_change == max(sizes)
            assert deviation.unit == int(np.argmax(sizes))


@pytest.mark.slow
def test_a_status_that_changed_is_a_failure(iibench: Program, before: Path) -> None:
    def change(record: dict) -> None:
        record["cases"][0] |= {"status": "error", "reason": "it broke\nbadly"}

    change_record(before, change)
    done = iibench("rerun", before, "-o", "b", "-q", "--tolerance", "1")
    assert done.code == 1
    id = run_json(before)["cases"][0]["id"]
    assert f"NOT REPEATED {id}: error (it broke) before, passed now" in done.out


def test_a_unit_that_is_scored_once_is_a_failure(before: Path) -> None:
    shutil.copytree(before, "b")
    spoil(Path("b"), NEURONS.replace("toy/", "toy[limit=100]/", 1), np.nan)
    found = compare_runs(package.load_run(before), package.load_run("b"))
    assert breaks(found) == [
        "toy[limit=100]/toynet/tap/neurons/toycolour/ii: unit 1 scored in one of the two only"
    ]


def test_differences_of_configuration_are_named(iibench: Program, before: Path) -> None:
    def change(record: dict) -> None:
        record["versions"]["numpy"] = "0.1"
        record["device"] = "cuda"

    change_record(before, change)
    done = iibench("rerun", before, "-o", "b", "-q")
    assert done.code == 0
    assert "SETTING versions: numpy: 0.1 -> " in done.out
    assert "SETTING run: device: cuda -> cpu" in done.out
    assert "the run was on cuda; this one is on cpu" in done.err


def test_an_interrupted_run_is_repeated_as_far_as_it_went(iibench: Program, before: Path) -> None:
    change_record(before, lambda record: record.update(cases=record["cases"][:2], interrupted=True))
    done = iibench("rerun", before, "-o", "b", "-q")
    assert done.code == 0, done.out
    assert len(run_json(Path("b"))["cases"]) == 2


@pytest.mark.slow
def test_the_default_folder_says_what_it_is(iibench: Program, before: Path) -> None:
    assert iibench("rerun", before, "-q").code == 0
    (folder,) = Path("reports").iterdir()
    assert folder.name.startswith("toysuite-rerun-")
    assert (folder / "index.html").is_file()


@pytest.mark.slow
def test_relative_paths_refer_to_the_base_folder(iibench: Program, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    np.save(tmp_path / "elsewhere" / "own.npy", np.eye(6, dtype=np.float32)[:2])
    file = tmp_path / "elsewhere" / "toy.yaml"
    file.write_text(SUITE.replace("  - neurons", "  - neurons\n  - {name: file, path: own.npy}"))
    assert iibench("run", file, "-q", "-o", "a", "-k", "file and activity").code == 0
    here = iibench("rerun", "a", "-o", "b", "-q")
    assert here.code == 4 and "own.npy': no such file" in here.err
    assert iibench("rerun", "a", "-o", "c", "-q", "--base-dir", "elsewhere").code == 0
    assert iibench("rerun", "a", "-o", "d", "--base-dir", "nowhere").code == 4


# ------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r["suite"].pop("text"), "has no text of its suite"),
        (lambda r: r["suite"].update(text="  "), "has no text of its suite"),
        (lambda r: r.pop("suite"), "has no text of its suite"),
        (lambda r: r["suite"].update(text=r["suite"]["text"] + "\n"), "it was changed after"),
        (lambda r: r.update(cases=[]), "holds no case"),
        (lambda r: r["cases"][0].update(id="x") or r.update(cases=r["cases"][:1]), "ids differ"),
    ],
)
def test_runs_that_cannot_be_repeated(
    iibench: Program, before: Path, change: Callable[[dict], None], message: str
) -> None:
    change_record(before, change)
    done = iibench("rerun", before, "-o", "b", "--cache-dir", "cache")
    assert done.code == 4, done.out + done.err
    assert message in done.err and "Traceback" not in done.err
    assert not Path("b").exists()
    assert not list(Path("cache").glob("v1/.fresh-*"))


def test_a_run_is_never_written_over(iibench: Program, before: Path) -> None:
    content = (before / "run.json").read_bytes()
    done = iibench("rerun", before, "-o", before)
    assert done.code == 4 and "this is the run to be repeated" in done.err
    assert (before / "run.json").read_bytes() == content


def test_a_plugin_that_is_not_loaded_is_named(iibench: Program, before: Path) -> None:
    done = iibench("rerun", before, "-o", "b", toys=False)
    assert done.code == 4
    assert "the run had the plugin toy, which is not loaded now" in done.err
    assert "toy.yaml:6: dataset.name: unknown dataset 'toy'" in done.err
    assert "/tmp" not in done.err.replace(str(Path.cwd()), "")


@pytest.mark.slow
def test_a_plugin_that_has_another_name_now_is_a_note(iibench: Program, before: Path) -> None:
    """As in a run that is older than the name; what it registers is the same."""
    old = {
        "datasets.imi_standin": "datasets.imi",
        "finders.overcomplete_finders": "finders.overcomplete",
        "models.imi_models": "models.imi",
    }

    def change(record: dict) -> None:
        first = next(p for p in record["plugins"] if p["name"] == "datasets.imi")
        record["plugins"] = [p for p in record["plugins"] if p["name"] not in old.values()]
        record["plugins"] += [first | {"name": name, "sha256": "0" * 64} for name in old]

    change_record(before, change)
    done = iibench("rerun", before, "-o", "b", "-q")
    assert done.code == 0, done.out + done.err
    for name, now in old.items():
        assert f"note: what the run had from the plugin {name} is in {now} now" in done.err
    assert "which is not loaded now" not in done.err
    done = iibench("rerun", before, "-o", "c", "-q", "-p", "no:models.imi")
    assert done.code == 0, done.out + done.err
    assert "the run had the plugin models.imi_models, which is not loaded now" in done.err
    assert iibench("compare", before, "b", toys=False).code == 0


@pytest.mark.slow
def test_the_fallback_decides_anew(iibench: Program, suite: Callable[..., Path]) -> None:
    text = "dataset: {name: toy_missing, fallback: {name: toy}}"
    file = suite(("dataset: {name: toy}", text))
    assert iibench("run", file, "-q", "-o", "a", "-k", "activity").code == 0
    done = iibench("rerun", "a", "-o", "b", "-q")
    assert done.code == 0
    assert "(dataset toy)" in done.out
    # the run was on the dataset itself, which cannot be had here

    def change(record: dict) -> None:
        for case in record["cases"]:
            case["id"] = case["id"].replace("toy/", "toy_missing/", 1)
            case["dataset"] = "toy_missing"

    change_record(Path("a"), change)
    done = iibench("rerun", "a", "-o", "c", "-q")
    assert done.code == 4
    assert "used the dataset toy_missing, and here its suite takes toy" in done.err
    assert not Path("c").exists()


@pytest.mark.slow
def test_runs_on_trials_are_repeated(iibench: Program) -> None:
    Path("trials.yaml").write_text(
        'iibench: "1"\nname: toyhuman\nseed: 2\ndataset: toytrials\nmetrics: [toycolour]\n'
        "evaluations:\n  - {name: human, observer: [eq2], resamples: 60}\n  - human_accuracy\n"
    )
    assert iibench("run", "trials.yaml", "-q", "-o", "a").code == 0
    done = iibench("rerun", "a", "-o", "b", "-q", "--tolerance", "0")
    assert done.code == 0, done.out
    assert "REPEATED" in done.out


@pytest.mark.slow
def test_a_rerun_that_is_interrupted_says_so_and_leaves_no_cache(
    spawn: Callable[..., object], made: Path, tmp_path: Path
) -> None:
    arguments = ["rerun", made, "-o", "b", "--plugins-dir", TOYS, "--cache-dir", "cache"]
    process = spawn(*arguments)
    for line in process.stdout:  # type: ignore[attr-defined]
        if line.startswith("PASSED"):
            break
    process.send_signal(signal.SIGINT)  # type: ignore[attr-defined]
    rest = process.communicate(timeout=120)[0]  # type: ignore[attr-defined]
    if process.returncode == 0:  # type: ignore[attr-defined]
        pytest.skip("it was faster than the signal")
    assert process.returncode == 2, rest  # type: ignore[attr-defined]
    assert not list((tmp_path / "cache").glob("v1/.fresh-*"))
    if (tmp_path / "b").exists():
        assert run_json(tmp_path / "b")["interrupted"]
        assert "not repeated" in rest


@pytest.mark.slow
def test_kill_leaves_no_half_run_and_clear_removes_the_rest(
    spawn: Callable[..., object], iibench: Program, made: Path, tmp_path: Path
) -> None:
    process = spawn("rerun", made, "-o", "b", "--plugins-dir", TOYS, "--cache-dir", "cache")
    root = tmp_path / "cache" / "v1"
    end = time.monotonic() + 60
    while not list(root.glob(".fresh-*")) and time.monotonic() < end:
        time.sleep(0.01)
    process.kill()  # type: ignore[attr-defined]
    process.communicate()  # type: ignore[attr-defined]
    assert not (tmp_path / "b").exists()
    assert iibench("cache", "size", "--cache-dir", "cache", toys=False).code == 0
    assert iibench("cache", "clear", "--cache-dir", "cache", toys=False).code == 0
    assert not list(root.glob(".fresh-*"))
