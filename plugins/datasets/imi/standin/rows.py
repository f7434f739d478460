"""Rows of the stand-in's answers in the 45 columns of the IMI release.

One submission is a task: practice in blocks of five until a block is right, then main and catch trials
mixed. Times are made up.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..images import Stimulus

Row = dict[str, Any]

BLOCK = 5
CATCH = 5
_CATCH_FOLDERS = ("manual_4c_0_4", "manual_3b_2_56", "manual_5a_1_20")
_CHECKS = ("demo_trials", "catch_trials", "total_response_time", "row_variability")
#: jsPsych's index of the first practice trial
_FIRST_INDEX = 5


@dataclass(frozen=True)
class Click:
    """One main trial of a submission: the stimulus, whether the strong query was chosen, confidence."""

    stimulus: Stimulus
    right: bool
    confidence: int


def submission(
    clicks: Sequence[Click], task: int, participant: str, seed: int
) -> tuple[list[Row], list[Row]]:
    """The rows of practice and the main and catch rows of one submission."""
    rng = random.Random(seed)
    experiment = clicks[0].stimulus.experiment
    blocks = rng.choices((1, 2, 3), (0.85, 0.12, 0.03))[0]
    practice = [_practice(rng, last=block == blocks - 1) for block in range(blocks)]
    demo = [
        {**row, "is_demo": True, "catch_trial": False, "internal_node_id": f"0.0-2.0-{block}.{i}"}
        for block, rows in enumerate(practice)
        for i, row in enumerate(rows)
    ]
    # rows of hard optimized experiments bear the base model, as published
    model = experiment.model if experiment.condition == "optimized" else experiment.key
    main = [_main(rng, click, experiment.condition, model) for click in clicks]
    missed = rng.randrange(CATCH) if rng.random() < 0.1 else None
    caught = [i != missed for i in range(CATCH)]
    main += [_catch(rng, right) for right in caught]
    rng.shuffle(main)
    for i, row in enumerate(main):
        row["internal_node_id"] = f"0.0-4.0-0.{i}"
    instruction = round(rng.uniform(20, 180), 3)
    elapsed = int(instruction * 1000)
    for i, row in enumerate([*demo, *main]):
        elapsed += int(row["rt"]) + rng.randint(800, 2500)
        row |= {
            "time_elapsed": elapsed,
            "trial_index": _FIRST_INDEX + i,
            "corrected_trial_index": i - len(demo),
        }
    whole = {
        "trial_type": "2afc-image-confidence-response",
        "response_index": 0,
        "participant_id": participant,
        "task_id": f"{experiment.name}-{task}",
        "task_number": task,
        **_summary(main, [row["correct"] for row in main if row["catch_trial"]], blocks),
        **_times(instruction, max(135.0, round(elapsed / 1000, 2))),
    }
    return [{**row, **whole} for row in demo], [{**row, **whole} for row in main]


def _answer(rng: random.Random, right: bool, confidence: int) -> Row:
    """What every row has: the click, as the task's page records it."""
    switched = rng.random() < 0.5
    upper = right == switched
    hidden = dict.fromkeys(
        ["min_query", "max_query", "min_references", "max_references"], "anonymized"
    )
    return {
        "rt": round(rng.lognormvariate(8.6 - 0.25 * confidence, 0.5), 1),
        "button_pressed": confidence - 1 + (0 if upper else 3),
        "switched_queries": switched,
        "confidence": confidence,
        "choice": "b" if right else "a",
        "correct": right,
        **hidden,
    }


def _practice(rng: random.Random, last: bool) -> list[Row]:
    """A block of practice; only the last one is all right."""
    missed = None if last else rng.randrange(BLOCK)
    return [_answer(rng, i != missed, rng.randint(1, 3)) for i in range(BLOCK)]


def _main(rng: random.Random, click: Click, mode: str, model: str) -> Row:
    return {
        **_answer(rng, click.right, click.confidence),
        "is_demo": False,
        "catch_trial": False,
        "batch": float(click.stimulus.batch),
        "channel": float(click.stimulus.channel),
        "layer": click.stimulus.layer,
        "mode": mode,
        "model": model,
    }


def _catch(rng: random.Random, right: bool) -> Row:
    folder = rng.choice(_CATCH_FOLDERS)
    return {
        **_answer(rng, right, 3 if right else 1),
        "is_demo": False,
        "catch_trial": True,
        "batch": -1.0,
        "channel": float(folder.rpartition("_")[2]),
        "layer": folder,
        "mode": "catch_trial",
        "model": "catch/manual",
    }


def _summary(main: Sequence[Row], caught: list[bool], blocks: int) -> Row:
    """The checks of a submission, which all are passed; details are Python literals, as published."""
    upper = sum(row["button_pressed"] < 3 for row in main)
    ratio = sum(caught) / len(caught)
    return {
        "passed_checks": True,
        **{f"{check}_result": True for check in (*_CHECKS, "instruction_time")},
        "demo_trials_details": {"n_demo_trials_blocks": blocks},
        "catch_trials_details": {"ratio": ratio, "correctly_answered": caught},
        "row_variability_details": {"n_upper_row": upper, "n_lower_row": len(main) - upper},
        "row_variability_details_details_upper_extracted": upper,
        "row_variability_details_details_lower_extracted": len(main) - upper,
        "catch_trials_details_ratio_extracted": ratio,
        "catch_trials_details_correctly_answered_extracted": caught,
        "demo_trials_details_extracted": blocks,
        "multi_participation": False,
    }


def _times(instruction: float, total: float) -> Row:
    return {
        "instruction_time_details": {"total_time": instruction},
        "instruction_time_details_extracted": instruction,
        "total_response_time_details": {"total_time": total},
        "total_response_time_details_extracted": total,
    }
