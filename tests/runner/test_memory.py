"""Runs whose arrays do not fit in the memory they are given: the same numbers, or one sentence."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from iibench.cache.budget import LEAST, default_budget, parse_size
from iibench.contract.config import RunConfig
from iibench.contract.errors import UsageError
from iibench.hooks.loading import load_plugins
from iibench.results.run import Run
from iibench.runner.execute import execute
from iibench.runner.session import prepare
from tests.conftest import TOYS

#: 6 directions of 240 images take 11,520 bytes with their order.
LITTLE = 40_000


def run(suite: Path, folder: Path, memory: int, cache: str = "cache", **options: Any) -> Run:
    config = RunConfig(
        suite=str(suite),
        data_dir=folder / "data",
        cache_dir=folder / cache,
        output=folder / f"run-{memory}",
        memory=memory,
        **options,
    )
    return execute(prepare(config, load_plugins((), (TOYS,))))


@pytest.fixture
def of_blocks(suite: Callable[..., Path]) -> Path:
    """The toy suite without the evaluation that looks at all responses at once."""
    return suite(("  - activity\n", "  - {name: mis, metrics: [toycolour], quantile: 0.25}\n"))


@pytest.mark.slow
def test_memory_changes_no_number(of_blocks: Path, tmp_path: Path) -> None:
    plenty = run(of_blocks, tmp_path, 1 << 30, "one")
    little = run(of_blocks, tmp_path, LITTLE, "other")
    assert [case.status for case in plenty.cases] == [case.status for case in little.cases]
    pd.testing.assert_frame_equal(plenty.units(), little.units(), atol=1e-6)
    pd.testing.assert_frame_equal(plenty.exemplars(), little.exemplars())
    kinds = {folder.name for folder in (tmp_path / "other" / "v1").iterdir()}
    assert {"responses_by_direction", "orders_by_direction"} <= kinds
    assert "orders_by_direction" not in {f.name for f in (tmp_path / "one" / "v1").iterdir()}


@pytest.mark.slow
def test_mapped_files_are_taken_from_the_cache_and_checked(of_blocks: Path, tmp_path: Path) -> None:
    first = run(of_blocks, tmp_path, LITTLE)
    shutil.rmtree(tmp_path / "cache" / "v1" / "scores")
    files = sorted((tmp_path / "cache" / "v1" / "responses_by_direction").rglob("values.bin"))
    assert files
    written = [file.stat().st_mtime_ns for file in files]
    again = run(of_blocks, tmp_path, LITTLE)
    assert [file.stat().st_mtime_ns for file in files] == written
    pd.testing.assert_frame_equal(first.units(), again.units())

    with files[0].open("r+b") as file:
        file.seek(100)
        file.write(b"\xff\xff")
    shutil.rmtree(tmp_path / "cache" / "v1" / "scores")
    mended = run(of_blocks, tmp_path, LITTLE)
    pd.testing.assert_frame_equal(first.units(), mended.units())
    assert any("damaged" in note["text"] for note in mended.meta["notes"])


def test_what_holds_everything_in_memory_says_so(
    suite: Callable[..., Path], tmp_path: Path
) -> None:
    file = suite(("  - {name: pick, k: [1, 2]}\n", "  - {name: kmeans, k: 3}\n"))
    found = run(file, tmp_path, 10_000)
    by_id = {case.id: case for case in found.cases}
    fitted = by_id["toy/toynet/tap/kmeans[k=3]/toycolour[r]/ii"]
    assert fitted.status == "error"
    assert "finder kmeans[k=3] holds activations in memory" in fitted.reason
    assert "--memory" in fitted.reason and "--limit" in fitted.reason
    at_once = by_id["toy/toynet/tap/neurons/activity"]
    assert at_once.status == "error"
    assert "holds the responses of all images" in at_once.reason
    assert by_id["toy/toynet/tap/neurons/toycolour[r]/ii"].status == "passed"


@pytest.mark.parametrize(
    ("text", "size"),
    [("4GiB", 4 << 30), ("500 MB", 500_000_000), ("1073741824", 1 << 30), ("1.5gib", 3 << 29)],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["much", "4 gigs", "-1GiB", "1MiB", ""])
def test_sizes_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match=r"--memory .*expected"):
        parse_size(text)


def test_a_wrong_size_on_the_command_line(
    iibench: Callable[..., Any], suite: Callable[..., Path]
) -> None:
    done = iibench("run", suite(), "--memory", "lots")
    assert done.code == 4
    assert "--memory lots: expected a size such as 4GiB" in done.err
    assert "Traceback" not in done.err


def test_the_default_is_half_of_the_memory_there_is() -> None:
    pages = next(
        int(line.split()[1]) << 10
        for line in Path("/proc/meminfo").read_text().splitlines()
        if line.startswith("MemTotal")
    )
    assert LEAST <= default_budget() <= pages // 2 + 1


@pytest.mark.slow
def test_precision_stands_in_the_results_and_in_the_keys(
    iibench: Callable[..., Any], suite: Callable[..., Path], tmp_path: Path
) -> None:
    file = suite()
    cache = ("--cache-dir", tmp_path / "cache")
    assert iibench("run", file, *cache, "-o", "a").code == 0
    assert iibench("run", file, *cache, "-o", "b", "--precision", "bfloat16").code == 0
    exact, mixed = (loaded(tmp_path / name) for name in ("a", "b"))
    assert (exact.meta["dtype"], mixed.meta["dtype"]) == ("float32", "bfloat16")
    assert not any(case.cached for case in mixed.cases)
    near = np.abs(exact.units()["score"] - mixed.units()["score"])
    assert near.median() < 0.05
    done = iibench("run", file, *cache, "--precision", "float16", "--device", "cpu")
    assert done.code == 4
    assert "float16 needs a GPU" in done.err


def loaded(folder: Path) -> Run:
    import iibench

    return iibench.load_run(folder)
