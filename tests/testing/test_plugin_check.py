"""`iibench plugin check`, on a plugin with a mistake and without."""

from __future__ import annotations

import sys

import pytest

FAULTY = """
from iibench import MetricSpec, hookimpl

class Metric:
    fingerprint = ""
    def pairwise(self, a, b):  # a distance
        return (a.mean((2, 3))[:, None] - b.mean((2, 3))[None]).norm(dim=2)

@hookimpl
def iibench_register_metrics():
    yield MetricSpec(name="faulty", summary="a toy", load=lambda params, harness: Metric())
"""


@pytest.fixture
def check(capsys, monkeypatch):
    from iibench.cli.main import run_program

    def call(*arguments):
        words = ["plugin", "check", "--device", "cpu", *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", ["iibench", *words])
        code = run_program(words)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def test_a_good_one(check) -> None:
    code, out, _ = check("color")
    assert code == 0
    assert "metric color" in out
    assert "failed" not in out
    assert "golden value of color" in out


def test_a_bad_one_says_what_was_seen_expected_and_the_cause(check, tmp_path) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "faulty.py").write_text(FAULTY)
    code, out, _ = check("faulty", "--plugins-dir", tmp_path / "plugins")
    assert code == 1
    identity = out[out.index("failed  identity") :].splitlines()
    assert identity[1].strip().startswith("seen: image 0 is more like image 1")
    assert (
        identity[2].strip() == "expected: nothing is more like an image than itself and its copies"
    )
    assert "a distance is returned as if it were a similarity" in identity[3]


@pytest.mark.slow
def test_parameters_variants_and_toys(check) -> None:
    assert check("embedding[model=reference_net,layer=late]")[0] == 0
    code, out, _ = check("torchvision:resnet18[weights=none]", "-v")
    assert code == 0
    assert "two loads: weights" in out


def test_unknown_names(check) -> None:
    code, _, err = check("colour")
    assert code == 4
    assert "nearest: color" in err


def test_a_metric_that_changes_its_inputs_is_found(check, tmp_path) -> None:
    text = FAULTY.replace("return (a", "return -(a.clamp_(0.1, 0.9)")
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "faulty.py").write_text(text)
    code, out, _ = check("faulty", "--plugins-dir", tmp_path / "plugins")
    assert code == 1
    assert "failed  inputs unchanged" in out
