"""Reports, how rules become checks, and what is put back afterwards."""

from __future__ import annotations

import os
import random
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from iibench import MetricSpec
from iibench.contract.errors import AssetError, CaseError, Skip, UsageError
from iibench.testing import Check, CheckReport, check_metric, check_spec, toy_harness
from iibench.testing.checks import Rule, good, judge, wrong
from iibench.testing.inspection import differing, in_training, networks_of, tensors_of
from iibench.testing.metrics.meaning import read_range
from iibench.testing.state import ProcessState, preserved, watch
from iibench.testing.toys import small_network
from iibench.testing.traces import generators


@pytest.fixture(scope="module")
def harness():
    return toy_harness()


def raising(error):
    def look(subject):
        raise error

    return Rule("name", "expected", look, "cause")


def test_a_report_lists_what_failed() -> None:
    checks = (
        Check("a", "passed", "1", "1", ""),
        Check("b", "failed", "2", "1", "a slip"),
        Check("c", "skipped", "no file", "1", ""),
    )
    report = CheckReport("metric", "mine", checks)
    assert [c.name for c in (*report.passed, *report.failed, *report.skipped)] == ["a", "b", "c"]
    assert report["b"].cause == "a slip"
    with pytest.raises(KeyError):
        report["d"]
    with pytest.raises(AssertionError) as caught:
        report.raise_if_failed()
    lines = str(caught.value).splitlines()
    assert lines[0] == "metric mine: 1 checks passed, 1 failed, 1 skipped"
    assert [line.strip() for line in lines[1:]] == [
        "b",
        "seen: 2",
        "expected: 1",
        "likely cause: a slip",
    ]
    CheckReport("metric", "mine", checks[::2]).raise_if_failed()


@pytest.mark.parametrize(
    ("error", "status", "seen"),
    [
        (Skip("not here"), "skipped", "not here"),
        (AssetError("a.bin\nis missing"), "skipped", "a.bin is missing"),
        (CaseError("too few"), "failed", "raised too few"),
        (ZeroDivisionError("by\nzero"), "failed", "raised ZeroDivisionError: by zero"),
        (ValueError("x" * 1000), "failed", f"raised ValueError: {'x' * 300} ..."),
    ],
)
def test_whatever_a_plugin_raises_becomes_a_check(error, status, seen) -> None:
    (check,) = judge([raising(error)], None)
    assert (check.status, check.seen) == (status, seen)
    assert check.cause == ("cause" if status == "failed" else "")
    assert check.expected == "expected"


def test_a_finding_may_say_what_was_expected_here() -> None:
    rules = [
        Rule("a", "in general", lambda x: wrong("2", "why", "3")),
        Rule("b", "in general", lambda x: good("2")),
    ]
    assert [check.expected for check in judge(rules, None)] == ["3", "in general"]


def test_ctrl_c_is_no_check() -> None:
    rule = Rule("ctrl-c", "expected", lambda subject: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        judge([rule], None)


# -------------------------------------------------------------------------------------- loading


def metric(load, **more):
    return MetricSpec(
        name="mine", summary="", load=lambda params, harness: load(), distance="cosine", **more
    )


def raise_(error):
    raise error


def test_a_metric_whose_weights_are_missing_is_skipped(harness) -> None:
    report = check_metric(metric(lambda: raise_(AssetError("w.pth is missing"))), harness=harness)
    assert {check.status for check in report.checks} == {"skipped"}
    assert report["load"].seen == "w.pth is missing"
    report.raise_if_failed()


def test_a_metric_that_cannot_be_loaded_fails_once(harness) -> None:
    report = check_metric(metric(lambda: raise_(OSError("no such host"))), harness=harness)
    assert [check.name for check in report.failed] == ["load"]
    assert report["load"].seen == "load raised OSError: no such host"


def test_a_metric_without_the_method_that_its_distance_needs(harness) -> None:
    report = check_metric(metric(object), harness=harness)
    assert report["load"].seen == "object has no embed"
    assert len(report.checks) == 1


def test_a_required_parameter_is_asked_for(harness) -> None:
    spec = harness.inputs.registry.metrics["embedding"].spec
    with pytest.raises(UsageError, match="model"):
        check_metric(spec, harness=harness)


def test_things_of_no_kind() -> None:
    with pytest.raises(TypeError, match="none of the specs"):
        check_spec(object())  # type: ignore[arg-type]


def test_check_spec_takes_entries_and_labels(harness) -> None:
    entry = harness.inputs.registry.metrics["color"]
    report = check_spec(entry, None, harness, label="color[x]")
    assert (report.kind, report.name) == ("metric", "color[x]")
    report.raise_if_failed()


# ----------------------------------------------------------------------------- process and state


def test_what_a_plugin_changes_is_seen_and_put_back(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("HF_HOME", "before")
    before = ProcessState.now()
    generators_before = (torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate())

    def change():
        torch.hub.set_dir(str(tmp_path / "hub"))
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
        torch.backends.cudnn.benchmark = True
        os.environ["HF_HOME"] = "after"
        sys.path.append("/nowhere")
        Path("written").mkdir()
        Path("written/file").write_text("x")
        print("hello")
        return 7

    with preserved() as folder:
        assert Path.cwd() == folder.resolve()
        seen = watch(change, 1)
    assert seen.value == 7
    assert seen.printed == "hello\n"
    assert seen.written == ("written", "written/file")
    words = " ".join(seen.changes)
    for word in ("hub", "default_dtype", "grad", "cudnn.benchmark", "HF_HOME", "sys.path got /now"):
        assert word in words
    assert len(seen.changes) == 6
    assert not before.changes(ProcessState.now())
    assert not folder.exists()
    assert torch.equal(torch.get_rng_state(), generators_before[0])
    assert np.array_equal(np.random.get_state()[1], generators_before[1])
    assert random.getstate() == generators_before[2]


@pytest.mark.parametrize(
    ("call", "reset"),
    [
        (lambda: torch.manual_seed(0), "torch"),
        (lambda: np.random.seed(0), "numpy.random"),
        (lambda: random.seed(0), "random"),
        (lambda: (torch.rand(3), np.random.rand(), random.random()), ""),
        (lambda: None, ""),
        (lambda: small_network(), ""),
    ],
)
def test_resetting_a_generator_is_told_from_drawing_from_it(call, reset) -> None:
    with preserved():
        found = generators({"it": (watch(call, 1), watch(call, 2))})
    assert found.status == ("failed" if reset else "passed")
    if reset:
        assert f"generator of {reset} to" in found.seen


# ------------------------------------------------------------------------------------ inspection


class Holder:
    __slots__ = ("inner",)

    def __init__(self, inner):
        self.inner = inner


@pytest.mark.parametrize(
    "wrap",
    [
        lambda net: net,
        lambda net: {"a": [net]},
        lambda net: Holder((1, net)),
        lambda net: lambda x: net(x),
        lambda net: net.forward,
        lambda net: (
            type("Metric", (), {"embed": lambda self, x: x, "__init__": None})
            and Holder(Holder(net))
        ),
    ],
)
def test_networks_are_found_wherever_they_are(wrap) -> None:
    net = small_network()
    (found,) = networks_of(wrap(net)).values()
    assert found is net
    assert len(tensors_of(wrap(net))) == len(list(net.parameters()))


def test_cycles_and_meta_tensors_do_no_harm() -> None:
    loop: list = [torch.empty(3, device="meta"), torch.ones(2)]
    loop.append(loop)
    assert list(tensors_of(loop)) == ["1"]


def test_modules_in_training_and_tensors_that_differ() -> None:
    net = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Dropout()).eval()
    assert not in_training({"net": net})
    net.train()
    assert in_training({"net": net})[0] == "net.1 (Dropout)"
    other = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Dropout())
    other[0].bias.data.copy_(net[0].bias)
    assert differing(net, other) == (["0.weight"], 2)


# ----------------------------------------------------------------------------------------- range


@pytest.mark.parametrize(
    ("text", "bounds"),
    [
        ("(-inf, 0]", (-np.inf, 0)),
        ("[-sqrt(3), 0]", (-np.sqrt(3), 0)),
        ("[-1, 1]", (-1, 1)),
        ("{0, 1}", (0, 1)),
        ("(0, infinity)", (0, np.inf)),
        ("any number", None),
        ("[0, n]", None),
        ("", None),
    ],
)
def test_ranges_in_words(text, bounds) -> None:
    assert read_range(text) == bounds


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_every_interval_of_numbers_is_read(low, high) -> None:
    assert read_range(f"[{low}, {high})") == (low, high)
