"""--lf: what failed runs again with what it is held against, and stays failed until it is decided."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from iibench.suite.cases import Choice, DatasetChoice, TrialCase
from iibench.suite.counterparts import with_counterparts
from iibench.suite.schema import TrialExpectation
from tests.conftest import run_json

LACKING = """
from iibench import AssetError, FinderSpec, hookimpl
from dataclasses import dataclass


@dataclass(frozen=True)
class Params:
    k: int = 1


def fit(params, A, context):
    raise AssetError("it is not here")


@hookimpl
def iibench_register_finders():
    yield FinderSpec(
        name="lacking", summary="is not here", params=Params, headline=("k",), fit=fit, encode=fit
    )
"""
#: neurons do not score above pick[k=1] at this level, whatever they score
ABOVE = (
    "{on: ii/toycolour, finder: neurons, at_least: -10}",
    "{on: ii/toybright, finder: neurons, above: 'pick[k=1]', alpha: 1.0e-300}",
)
#: the bound that neurons meet
MET = ("--set", "expect=[{on: ii/toycolour, finder: neurons, at_least: -10}]")
BOUND = ("at_least: -10", "at_least: 10")


def selected(done: Any) -> list[str]:
    ids = [line.split("/")[3:] for line in done.out.splitlines() if line.startswith("toy/")]
    return sorted(f"{finder}/{metric}" for finder, metric, *_ in ids)


def statuses(folder: Path) -> list[str]:
    return sorted(v["status"] for v in run_json(folder)["verdicts"])


@pytest.mark.slow
def test_what_an_expectation_compares_with_is_selected_too(iibench, suite, tmp_path: Path) -> None:
    path = suite(ABOVE)
    assert iibench("run", path, "-o", "one", "-k", "ii and toybright").code == 1
    again = iibench("run", path, "--lf", "--collect-only")
    assert selected(again) == ["neurons/toybright", "pick[k=1]/toybright"]
    for name in ("two", "three"):  # it still fails, and is still known to
        done = iibench("run", path, "-o", name, "--lf")
        assert done.code == 1, done.out
        assert statuses(tmp_path / name) == ["failed"]


@pytest.mark.slow
def test_a_failure_is_not_forgotten_where_its_expectation_is_skipped(
    iibench, suite, tmp_path: Path
) -> None:
    path = suite(ABOVE)
    assert iibench("run", path, "-o", "one", "-k", "ii and toybright").code == 1
    alone = iibench("run", path, "-o", "two", "-k", "neurons and ii and toybright")
    assert alone.code == 0
    assert statuses(tmp_path / "two") == ["skipped"]
    assert "it stays failed" in alone.out
    again = iibench("run", path, "--lf", "--collect-only")
    assert selected(again) == ["neurons/toybright", "pick[k=1]/toybright"]


@pytest.mark.slow
def test_with_a_selection_what_it_compares_with_is_there(iibench, suite, tmp_path: Path) -> None:
    path = suite(ABOVE)
    assert iibench("run", path, "-o", "one", "-k", "ii and toybright").code == 1
    done = iibench("run", path, "-o", "two", "--lf", "-k", "neurons")
    assert done.code == 1
    assert statuses(tmp_path / "two") == ["failed"]


def test_what_passes_is_cleared_and_then_all_run(iibench, suite) -> None:
    path = suite(BOUND)
    assert iibench("run", path, "-o", "one", "-k", "neurons and ii").code == 1
    first = iibench("run", path, "--lf", "--collect-only")
    assert selected(first) == ["neurons/toycolour"]
    assert iibench("run", path, "--lf", *MET, "-o", "two").code == 0
    after = iibench("run", path, "--lf", "--collect-only", "-k", "ii and toybright")
    assert after.code == 0
    assert len(selected(after)) == 3
    assert "no case is known to have failed; all 3 are run" in after.out


@pytest.mark.slow
def test_failures_outside_of_the_selection(iibench, suite) -> None:
    path = suite(BOUND)
    assert iibench("run", path, "-o", "one", "-k", "neurons and ii").code == 1
    done = iibench("run", path, "--lf", "--collect-only", "-k", "ii and toybright")
    assert done.code == 0
    assert len(selected(done)) == 3
    assert "1 known to have failed are not among the cases selected; all 3 are run" in done.out


@pytest.mark.slow
def test_what_it_is_held_against_is_skipped(iibench, suite, tmp_path: Path) -> None:
    path = suite(
        ("{name: pick, k: [1, 2]}", "{name: lacking, k: 1}"),
        (ABOVE[0], ABOVE[1].replace("pick[k=1]", "lacking[k=1]")),
    )
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "lacking.py").write_text(LACKING)
    given = ("--plugins-dir", tmp_path / "plugins", "--cache-dir", "cache", "--lf")
    assert iibench("run", path, "-o", "one", "-k", "ii and toybright", *given).code == 0
    (file,) = (tmp_path / "cache" / "last_failed").iterdir()
    text = "neurons scores above lacking[k=1] on ii/toybright"
    file.write_text(json.dumps({"toy/toynet/tap/neurons/toybright/ii": [text]}))
    done = iibench("run", path, "-o", "two", *given)
    assert done.code == 1
    assert statuses(tmp_path / "two") == ["skipped"]
    assert "1 passed, 1 skipped" in done.out
    assert "it stays failed" in done.out


def test_cases_on_trials_that_are_compared() -> None:
    dataset = DatasetChoice("d", None, "all", "all", "d")
    cases = [
        TrialCase(dataset, Choice(metric, None, metric), Choice("human", None, "human"), 0)
        for metric in ("a", "b", "c")
    ]
    stated = [
        TrialExpectation("human", "a", "d", above="c"),
        TrialExpectation("human", "b", "d", at_least=0.0),
    ]
    found = [with_counterparts([case], cases, stated) for case in cases]
    assert [[case.metric.name for case in some] for some in found] == [
        ["a", "c"],
        ["b"],
        ["a", "c"],
    ]


def test_failures_are_read_as_earlier_versions_wrote_them(iibench, suite, tmp_path: Path) -> None:
    path = suite(("k: [1, 2]", "k: [1, 99]"))
    given = ("--cache-dir", "cache", "-k", "ii and toybright")
    assert iibench("run", path, "-o", "one", *given).code == 1
    (file,) = (tmp_path / "cache" / "last_failed").iterdir()
    ((failed, unmet),) = json.loads(file.read_text()).items()
    assert "pick[k=99]" in failed
    assert unmet == []
    file.write_text(json.dumps([failed]))  # as it was written before
    assert selected(iibench("run", path, "--lf", "--collect-only", *given)) == [
        "pick[k=99]/toybright"
    ]
