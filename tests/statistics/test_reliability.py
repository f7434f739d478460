"""Split-half reliability against naive splits and on simulated answers whose reliability is known."""

from __future__ import annotations

import numpy as np
import pytest

from iibench.contract.trials import Answers
from iibench.statistics.reliability import split_half
from iibench.statistics.resampling import resample_units
from tests.benchmarks.agreement_coverage import by_answer, clustered, simulate


def answers_of(
    stimulus: np.ndarray,
    first: np.ndarray,
    participant: np.ndarray | None = None,
    count: np.ndarray | None = None,
) -> Answers:
    n = len(stimulus)
    return Answers(
        stimulus=stimulus,
        first=first,
        count=np.ones(n, np.int64) if count is None else count,
        confidence=np.zeros(n, np.int64),
        participant=np.full(n, -1) if participant is None else participant,
    )


def correlated_units(
    seed: int, units: int = 400, people: int = 20
) -> tuple[Answers, np.ndarray, float]:
    """Every person judges the one stimulus of each unit; the reliability that this has."""
    rng = np.random.default_rng(seed)
    p = rng.uniform(0.5, 1, units)
    stimulus = np.tile(np.arange(units), people)
    participant = np.repeat(np.arange(people), units)
    first = rng.random(len(stimulus)) < p[stimulus]
    # variance of the true accuracy 1/48, and of binomial noise around it
    reliability = (1 / 48) / (1 / 48 + np.mean(p * (1 - p)) / people)
    return answers_of(stimulus, first, participant), np.arange(units), reliability


@pytest.mark.parametrize("known", [True, False])
def test_known_reliability_is_found(known: bool) -> None:
    answers, unit, expected = correlated_units(0)
    counts = resample_units(unit, 500)
    found = split_half(answers if known else by_answer(answers), unit, counts)
    assert found.by == ("participant" if known else "answer")
    assert found.value == pytest.approx(expected, abs=0.05)
    assert found.low is not None and found.high is not None
    assert found.low < expected < found.high
    assert found.half is not None and found.value is not None and found.ceiling is not None
    assert found.value == pytest.approx(2 * found.half / (1 + found.half))
    assert found.ceiling == pytest.approx(np.sqrt(found.value))
    assert found.ceiling_low == pytest.approx(np.sqrt(found.low))
    assert (found.units, found.left_out, found.splits) == (400, 0, 200)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["participant", "answer", "stimulus"])
def test_against_splits_one_by_one(mode: str) -> None:
    rng = np.random.default_rng(1)
    data = simulate(clustered, rng)
    answers, unit = data.answers, data.unit
    of_unit = unit[answers.stimulus]
    correlations = []
    for _ in range(200):
        if mode == "participant":
            left = np.isin(answers.participant, rng.permutation(63)[:31])
        else:
            left = np.zeros(len(of_unit), np.bool_)
            parts = of_unit if mode == "answer" else answers.stimulus
            for part in np.unique(parts):
                rows = rng.permutation(np.flatnonzero(parts == part))
                left[rows[: (len(rows) + rng.integers(2)) // 2]] = True
        halves = [
            [answers.first[side & (of_unit == u)].mean() for u in range(80)]
            for side in (left, ~left)
        ]
        correlations.append(np.corrcoef(halves)[0, 1])
    known = by_answer(answers) if mode == "answer" else answers
    found = split_half(known, unit, resample_units(unit, 10), fixed_stimuli=mode == "stimulus")
    assert found.by == mode
    # two independent sets of 200 splits
    error = np.std(correlations) * np.sqrt(2 / 200)
    assert found.half == pytest.approx(np.mean(correlations), abs=4 * error)


def test_resamples_of_units_are_correlations_of_the_drawn_units() -> None:
    answers, unit, _ = correlated_units(2, units=30)
    drawn = np.bincount(np.random.default_rng(0).integers(0, 30, 30), minlength=30)
    one = split_half(answers, unit, drawn[None], splits=1)
    # the same split of the drawn units alone: every unit as often as it was drawn
    rows = np.repeat(unit, drawn)
    picked = np.concatenate([np.flatnonzero(answers.stimulus == u) for u in rows])
    copies = np.repeat(np.arange(30), 20)
    again = answers_of(copies, answers.first[picked], answers.participant[picked])
    same = split_half(again, np.arange(30), drawn[None], splits=1)
    assert one.low == pytest.approx(same.value, rel=1e-9)


def test_votes_are_answers() -> None:
    rng = np.random.default_rng(3)
    unit = np.arange(60)
    right, wrong = rng.integers(1, 15, 60), rng.integers(1, 6, 60)
    counts = resample_units(unit, 20)
    votes = answers_of(
        np.tile(unit, 2), np.repeat([True, False], 60), count=np.concatenate([right, wrong])
    )
    single = answers_of(
        np.concatenate([np.repeat(unit, right), np.repeat(unit, wrong)]),
        np.repeat([True, False], [right.sum(), wrong.sum()]),
    )
    assert split_half(votes, unit, counts) == split_half(single, unit, counts)


def test_one_participant_for_everyone_is_no_participant() -> None:
    answers, unit, _ = correlated_units(4, units=20)
    constant = answers_of(answers.stimulus, answers.first, np.zeros(len(answers.first), np.int64))
    assert split_half(constant, unit, resample_units(unit, 10)).by == "answer"


def test_units_that_cannot_be_split_are_counted() -> None:
    unit = np.arange(10)
    stimulus = np.concatenate([np.repeat(np.arange(8), 6), [8]])
    first = np.random.default_rng(5).random(len(stimulus)) < 0.5
    found = split_half(answers_of(stimulus, first), unit, resample_units(unit, 50))
    assert (found.units, found.left_out) == (8, 1)


def test_what_is_undefined_is_none() -> None:
    unit = np.arange(4)
    counts = resample_units(unit, 20)
    for stimulus in (np.zeros(0, np.int64), np.array([0, 0, 1, 1]), np.repeat(unit, 5)):
        found = split_half(answers_of(stimulus, np.ones(len(stimulus), np.bool_)), unit, counts)
        assert (found.half, found.value, found.low, found.ceiling) == (None,) * 4


def test_the_ceiling_of_accuracies_that_are_all_noise_is_near_zero() -> None:
    rng = np.random.default_rng(6)
    unit = np.arange(300)
    stimulus = np.repeat(unit, 10)
    answers = answers_of(stimulus, rng.random(3000) < 0.8)
    found = split_half(answers, unit, resample_units(unit, 200))
    assert found.value == pytest.approx(0, abs=0.2)
    assert found.ceiling_low == 0.0
