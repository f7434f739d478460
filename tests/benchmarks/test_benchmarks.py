"""The benchmarks run from their command line and write what they say (at sizes that take seconds)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks import __main__ as benchmarks
from tests.benchmarks import extremes_rows, row, scaling, scaling_stages, tables
from tests.benchmarks.processes import Child, ChildError, Clock, Prepared, Ready
from tests.benchmarks.row import Row, Timed
from tests.benchmarks.rows import ROWS, prepare
from tests.benchmarks.sizes import Sizes
from tests.toys._backbone import random_alexnet


def never(sizes: Sizes) -> Prepared:
    raise NotImplementedError


def timed(seconds: list[float], peak: int = 300 << 20) -> Timed:
    return Timed(Ready(100 << 20, 200 << 20, 1.0, "toys"), seconds, peak)


def result(name: str, tmp_path: Path, **changes: object) -> dict[str, object]:
    made = Row(name, lambda s: "work", lambda s: "peer", never, never, None, 2.0, **changes)
    found = row.result(
        made, Sizes(tmp_path, tmp_path, tmp_path), timed([1, 2, 4]), timed([3, 4, 6])
    )
    about = {"date": "today", "load_average": 0.5, "command": "command"}
    machine = {
        "processor": "P",
        "cores": 2,
        "threads": 1,
        "memory_gib": 8.0,
        "system": "S",
        "versions": {"python": "3"},
    }
    return found | about | {"machine": machine}


@pytest.mark.slow
def test_a_row_from_the_command_line(tmp_path: Path) -> None:
    """Both sides in processes of their own, compared, timed, and written; another row is kept."""
    tables.write(tmp_path, [result("ii", tmp_path)], benchmarks.NAMES)
    options = ["--only", "extremes", "--repeat", "2", "--threads", "1"]
    code = benchmarks.main(["--quick", *options, "--out", str(tmp_path)])
    assert code == 0
    written = json.loads((tmp_path / tables.JSON).read_text())["rows"]
    assert [found["name"] for found in written] == ["ii", "extremes"]
    found = written[1]
    for side in ("ours", "theirs"):
        one = found[side]
        assert len(one["seconds"]) == 2 and min(one["seconds"]) > 0
        assert one["low"] <= one["median"] <= one["high"]
        assert one["mib_peak"] >= one["mib_set_up"] > 50
        assert one["mib_libraries"] > 50
    ratios = np.divide(found["theirs"]["seconds"], found["ours"]["seconds"])
    assert found["ratio"]["median"] == pytest.approx(np.median(ratios), rel=0.01)
    assert found["reached"] == (found["ratio"]["median"] >= 10)
    assert found["compared"] and found["inputs"].startswith("SYNTHETIC, 5,000 x 32")
    assert found["machine"]["threads"] == 1 and found["machine"]["versions"]["torch"]
    page = (tmp_path / tables.MARKDOWN).read_text()
    assert "| `extremes` | " in page and "| `ii` | " in page
    assert "tests.benchmarks --threads 1 --repeat 2" in page and str(tmp_path) not in page


@pytest.fixture(scope="module")
def sizes(tmp_path_factory: pytest.TempPathFactory) -> Sizes:
    folders = (tmp_path_factory.mktemp(name) for name in ("data", "cache", "scratch"))
    return Sizes(*folders).quick()


@pytest.mark.slow
@pytest.mark.parametrize("name", ROWS)
def test_both_sides_of_each_row_agree(
    name: str, sizes: Sizes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this process, on patches of photographs and with a random backbone."""
    trunk = random_alexnet()
    for module in ("metrics.lpips", "_shared.lpips_backbones"):
        monkeypatch.setattr(f"iibench_plugins.{module}.backbone", lambda net, resources: trunk)
    ours, theirs = (prepare(name, side, sizes) for side in ("ours", "theirs"))
    found, expected = ours.run(Clock()), theirs.run(Clock())
    assert all(np.isfinite(values).all() for values in expected.values())
    if (check := ROWS[name].check) is not None:
        check(found, expected)
        wrong = {key: values / 2 for key, values in expected.items()}
        with pytest.raises(AssertionError):
            check(found, wrong)


@pytest.mark.slow
def test_a_whole_run(tmp_path: Path) -> None:
    code = benchmarks.main(["--quick", "--only", "run", "--repeat", "1", "--out", str(tmp_path)])
    assert code == 0
    (found,) = json.loads((tmp_path / tables.JSON).read_text())["rows"]
    for side in ("cold", "warm"):
        one = found[side]
        assert sum(one["stages"].values()) == pytest.approx(one["median"], abs=0.1)
        assert one["reached"] == (one["median"] <= one["goal"]) and one["mib_peak"] > 50
    assert "| cold | " in (tmp_path / tables.MARKDOWN).read_text()


def test_ratios_are_of_pairs_and_goals_have_a_direction(tmp_path: Path) -> None:
    found = result("a", tmp_path)
    assert found["ratio"] == {"of": "peer / ours", "median": 2.0, "low": 1.5, "high": 3.0}
    assert found["reached"] is True
    assert found["ours"]["mib_beyond_inputs"] == 100  # type: ignore[index]
    limit = result("a", tmp_path, peer_is_limit=True)
    assert limit["ratio"] == {
        "of": "ours / limit",
        "median": 0.5,
        "low": 0.333333,
        "high": 0.666667,
    }
    assert limit["reached"] is True
    assert result("a", tmp_path, memory_gib=0.2)["reached"] is False


def test_rows_are_replaced_by_name(tmp_path: Path) -> None:
    tables.write(tmp_path, [result(name, tmp_path) for name in ("b", "a")], ["a", "b"])
    tables.write(tmp_path, [result("b", tmp_path) | {"date": "later"}], ["a", "b"])
    rows = json.loads((tmp_path / tables.JSON).read_text())["rows"]
    assert [(found["name"], found["date"]) for found in rows] == [("a", "today"), ("b", "later")]


def test_sides_that_do_not_agree() -> None:
    ours = {"ii": np.array([1.0, 2.0, 3.0])}
    row.close(1e-6)(ours, {"ii": np.array([1.0, 2.0])})
    with pytest.raises(AssertionError, match="ii"):
        row.close(1e-6)(ours, {"ii": np.array([1.0, 2.1])})
    row.nearly(0.06, 0.2)(ours, {"ii": np.array([1.0, 2.1])})
    with pytest.raises(AssertionError, match="0.0500 on average"):
        row.nearly(0.04, 0.2)(ours, {"ii": np.array([1.0, 2.1])})


@pytest.mark.slow
def test_a_child_that_fails_says_why() -> None:
    with pytest.raises(ChildError, match="KeyError: 'nothing'"):
        Child("tests.benchmarks.rows:prepare", ("nothing", "ours", None), 1)


def test_an_unknown_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert benchmarks.main(["--only", "activation"]) == 2
    assert "unknown row 'activation'; nearest: activations" in capsys.readouterr().err


def test_blocks_of_responses_are_the_same_each_time() -> None:
    first = [block for _, block in extremes_rows.blocks(5000, 3)]
    again = dict(extremes_rows.blocks(5000, 3))
    assert [len(block) for block in first] == [4096, 904]
    np.testing.assert_array_equal(again[4096], first[1])


def test_exponents_are_those_of_a_power_law() -> None:
    x = [10, 20, 40, 80]
    found = scaling.exponent(x, [3 * v**1.5 for v in x], 0.0)
    assert found == {"slope": 1.5, "error": 0.0}
    noisy = [3 * v**1.5 * f for v, f in zip(x, (1, 1.1, 0.9, 1.05), strict=True)]
    found = scaling.exponent(x, noisy, 0.0)
    coefficients, covariance = np.polyfit(np.log(x), np.log(noisy), 1, cov=True)
    assert found is not None
    assert found["slope"] == pytest.approx(coefficients[0], abs=1e-3)
    assert found["error"] == pytest.approx(covariance[0, 0] ** 0.5, abs=1e-3)
    assert scaling.exponent(x, [0, 0, 5, 6], 1.0) is None


@pytest.mark.slow
def test_scaling_from_the_command_line(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="pictures need matplotlib")
    options = ["--only", "activations", "--repeat", "1", "--threads", "1"]
    code = scaling.main(["--quick", *options, "--out", str(tmp_path)])
    assert code == 0
    (curve,) = json.loads((tmp_path / "scaling.json").read_text())["curves"]
    assert curve["stage"] == "activations" and curve["axis"] == "n"
    assert len(curve["median_seconds"]) == len(curve["values"]) == 3
    assert min(curve["median_seconds"]) > 0
    page = (tmp_path / "scaling.md").read_text()
    slope = f"{curve['time_exponent']['slope']:.2f} ± {curve['time_exponent']['error']:.2f}"
    assert f"| activations | n | {slope} |" in page
    for name in ("time", "memory"):
        picture = (tmp_path / f"scaling_{name}.svg").read_text()
        assert picture.lstrip().startswith("<?xml") and f"scaling_{name}.svg" in page


@pytest.mark.slow
@pytest.mark.parametrize("name", scaling_stages.STAGES)
def test_stages_run(name: str) -> None:
    prepared = scaling_stages.prepare(name, scaling_stages.Point(n=420, N=8, K=4))
    (values,) = prepared.run(Clock()).values()
    assert np.isfinite(values).all() and len(values) in (420, 4)
