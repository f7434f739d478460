"""The kit on planted mistakes, each of which it must find and name, and on things without any."""

from __future__ import annotations

import pytest

from iibench.testing import (
    check_dataset,
    check_evaluation,
    check_finder,
    check_metric,
    check_model,
    toy_harness,
)
from iibench.testing.toys import small_network
from tests.testing import faulty_datasets as planted_datasets
from tests.testing import faulty_evaluations as planted_evaluations
from tests.testing import faulty_finders as planted_finders
from tests.testing import faulty_metrics as planted_metrics
from tests.testing import faulty_models as planted_models
from tests.testing.pitfalls import NUMBERED, PITFALLS, caught

PLANTED = [pitfall for pitfall in PITFALLS if pitfall.plant is not None]


@pytest.mark.slow
@pytest.mark.parametrize("pitfall", PLANTED, ids=lambda p: f"{p.number or '+'} {p.what}")
def test_the_right_check_fails_and_names_the_mistake(pitfall) -> None:
    assert caught(pitfall) == pitfall.check


def test_every_known_pitfall_is_planted_or_it_says_why_not() -> None:
    assert {p.number for p in NUMBERED} == {str(number) for number in range(1, 26)}
    assert all((p.plant is None) == bool(p.why) for p in PITFALLS)


@pytest.fixture(scope="module")
def harness():
    return toy_harness()


@pytest.mark.slow
@pytest.mark.parametrize(
    "spec",
    [
        planted_metrics.lpips_spec(planted_metrics.Lpips),
        planted_metrics.lpips_spec(planted_metrics.Lpips, size=lambda params: None),
        planted_metrics.network_spec(lambda: planted_metrics.Embedding(small_network())),
    ],
    ids=["pairwise", "any size", "embedding"],
)
def test_a_metric_without_a_mistake_passes_every_check(spec, harness) -> None:
    report = check_metric(spec, harness=harness)
    report.raise_if_failed()
    allowed = {"GPU and CPU", "parts", "eval mode"}
    assert {check.name for check in report.skipped} <= allowed


@pytest.mark.parametrize(
    "check",
    [
        lambda harness: check_finder(planted_finders.spec(), harness=harness),
        lambda harness: check_model(
            planted_models.spec(lambda layer: planted_models.loaded()),
            harness=planted_models.harness(),
        ),
        lambda harness: check_model(
            planted_models.spec(
                lambda layer: planted_models.loaded(planted_models.with_norm(training=False))
            ),
            harness=planted_models.harness(),
        ),
        lambda harness: check_dataset(planted_datasets.spec(), harness=harness),
        lambda harness: check_evaluation(planted_evaluations.spec()),
    ],
    ids=["finder", "model", "model with batch norm", "dataset", "evaluation"],
)
def test_no_false_alarm(check, harness) -> None:
    report = check(harness)
    report.raise_if_failed()
    assert len(report.passed) > 10
