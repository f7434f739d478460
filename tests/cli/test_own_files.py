"""A file that the user names is there and right, or the command ends with code 4 before anything runs."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

NETWORK = """
from torch import nn


def build():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
"""
TOYNET = "{name: toynet, layers: [mixed]}"
TRIALS = """
iibench: "1"
name: own
dataset: {%s}
metrics: [color]
evaluations: [%s]
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    (tmp_path / "net.py").write_text(NETWORK)
    state = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3)).state_dict()
    torch.save({"ema": state}, tmp_path / "weights.pt")
    torch.save({"other": torch.ones(3)}, tmp_path / "others.pt")
    np.save(tmp_path / "mine.npy", np.eye(4, dtype=np.float32))
    return tmp_path


def checkpoint(more: str) -> tuple[str, str]:
    return TOYNET, f'{{name: checkpoint, factory: "net.py:build", layers: ["1"], {more}}}'


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (checkpoint("weights: wieghts.pt"), "no such file; nearest in .*: weights.pt"),
        (checkpoint("weights: weights.pt, entry: emma"), "no entry 'emma'"),
        (checkpoint("weights: weights.pt, entry: ema, strip: model."), "starts with 'model.'"),
        (checkpoint("weights: others.pt"), "do not fit the network of net.py:build"),
        (
            ("{name: pick, k: [1, 2]}", "{name: file, path: mein.npy}"),
            "finder file.*no such file; nearest in .*: mine.npy",
        ),
        (("{name: pick, k: [1, 2]}", "{name: file, path: mine.npy, key: a}"), "found key 'a'"),
        (("{name: pick, k: [1, 2]}", "{name: file, path: others.pt}"), "found 1 dimensions"),
        (
            (
                "- toybright",
                '- {name: embedding, model: "checkpoint[factory=ent.py:build]", layer: a}',
            ),
            "metric embedding.*there is no file",
        ),
        (
            ("dataset: {name: toy}", 'dataset: {name: webdataset, shards: "trian-*.tar"}'),
            "dataset webdataset: shards: no shard matches",
        ),
    ],
)
def test_a_wrong_file_ends_the_run_before_it_starts(iibench, suite, own, change, says) -> None:
    path = suite(change)
    for more in ([], ["--collect-only"]):
        done = iibench("run", path, "-o", "out", *more)
        assert done.code == 4, done.out + done.err
        assert done.err.startswith(f"iibench: error: {path}: ")
        assert re.search(says, done.err), done.err
    assert not (own / "out").exists()


@pytest.mark.parametrize(
    ("dataset", "evaluation", "says"),
    [
        ("name: triplets, format: csv, path: vote.csv", "triplets", "nearest: votes.csv"),
        ("name: triplets, format: nights, path: nigths", "triplets", "there is neither"),
        ("name: trials_folder, path: trails", "insilico_trials", "there is neither"),
        ("name: borowski, path: there", "human_accuracy", "there is neither"),
        ("name: imi, path: there", "human", "release is not there"),
    ],
)
def test_data_of_judgements_that_the_user_names(
    iibench, tmp_path: Path, dataset: str, evaluation: str, says: str
) -> None:
    (tmp_path / "votes.csv").touch()
    path = tmp_path / "own.yaml"
    path.write_text(TRIALS % (dataset, evaluation))
    done = iibench("run", path, "-o", "out")
    assert done.code == 4, done.out + done.err
    assert says in done.err
    assert not (tmp_path / "out").exists()


def test_data_that_nobody_named_are_skipped(iibench, tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(TRIALS % ("name: triplets, format: nights", "triplets"))
    done = iibench("run", path, "-o", "out")
    assert done.code == 5
    assert "1 skipped" in done.out


def test_what_the_files_hold_is_used(iibench, suite, own: Path) -> None:
    files = suite(
        checkpoint("weights: weights.pt, entry: ema"),
        ("{name: pick, k: [1, 2]}", "{name: file, path: mine.npy}"),
    )
    done = iibench("run", files, "-o", "out", "-k", "file and ii and toybright")
    assert done.code == 0, done.out + done.err
