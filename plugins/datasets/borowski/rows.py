"""The trial files of Borowski et al. 2020: one row is one answer; what it says twice is compared."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

from .._trials.csv_rows import Row, read_rows

TRIAL_TYPES = ("main", "practice", "repeated")
INSTRUCTIONS = ("natural", "optimized", "none_pre", "none_post")
CONDITIONS = ("Max-1", "Max-9", "Min-Max-1", "Min-Max-9")
_COLUMNS = (
    "subject_id",
    "instr_type",
    "trial_type",
    "catch_trial",
    "batch",
    "layer",
    "kernel_size",
    "channel",
    "query_order",
    "correct",
    "conf_rating",
    "abs_conf_rating",
    "RT",
    "timeout",
    "response",
    "correct_response",
    "query_image_a",
    "query_image_b",
    "unit_name",
)
_MORE_COLUMNS = {"I": [], "II": ["batch_block", "condition_name", "expert_level"]}


@dataclass(frozen=True)
class Answer:
    """One row of a trial file; see `read_answers`."""

    experiment: str
    trial_type: str
    instructions: str
    condition: str
    layer: str
    kernel: str
    channel: str
    #: in experiment II the batch and its block
    batch: str
    catch: bool
    max_query: str
    min_query: str
    unit_name: str
    expertise: str
    person: tuple[str, str]
    correct: bool
    confidence: int
    seconds: float

    @property
    def unit(self) -> str:
        """EXPERIMENT/layer/kernel/channel."""
        return f"{self.experiment}/{self.layer}/{self.kernel}/{self.channel}"

    @property
    def stimulus(self) -> str:
        """A name that two answers share if and only if they are about the same question."""
        parts = [self.experiment, self.trial_type, self.instructions, self.condition]
        parts += ["catch" if self.catch else "", self.layer, self.kernel, self.channel]
        parts += [self.batch, self.max_query, self.min_query]
        return "/".join(part for part in parts if part)


def read_answers(path: Path, experiment: str) -> list[Answer]:
    """All answers of a trial file of experiment "I" or "II".

    Raises `UsageError` naming file, line and column where a row contradicts itself or is not understood:
    `correct` against response and right response, the sign and size of the confidence rating, the order
    of the queries against their names, a time-out, a response time that is no number.
    """
    rows = read_rows(path, [*_COLUMNS, *_MORE_COLUMNS[experiment]])
    return [_answer(row, experiment) for row in rows]


def _answer(row: Row, experiment: str) -> Answer:
    """The row, after everything in it that is said twice has been compared."""
    second = experiment == "II"
    response = row.one_of("response", ("a", "b"))
    truth = row.one_of("correct_response", ("a", "b"))
    correct = row.boolean("correct")
    if correct != (response == truth):
        raise row.wrong("correct", f"{response == truth}: response {response}, right {truth}")
    rating = int(row.one_of("conf_rating", ("-3", "-2", "-1", "1", "2", "3")))
    if (rating < 0) != (response == "a"):
        raise row.wrong("conf_rating", f"the sign of response {response} (negative: a)")
    if row["abs_conf_rating"] != str(abs(rating)):
        raise row.wrong("abs_conf_rating", str(abs(rating)))
    if row.boolean("timeout"):
        raise row.wrong("timeout", "False: an answer in time")
    order = row.one_of("query_order", ("max_min", "min_max"))
    if (order == "max_min") != (truth == "a"):
        raise row.wrong("correct_response", f"the side of the max query in {order}")
    return Answer(
        experiment=experiment,
        trial_type=row.one_of("trial_type", TRIAL_TYPES),
        instructions=row.one_of("instr_type", INSTRUCTIONS),
        condition=row.one_of("condition_name", CONDITIONS) if second else "",
        layer=row["layer"],
        kernel=row["kernel_size"],
        channel=row["channel"],
        batch=f"{row['batch_block']}/batch_{row['batch']}" if second else f"batch_{row['batch']}",
        catch=row.boolean("catch_trial"),
        max_query=_query(row, truth, "max"),
        min_query=_query(row, "b" if truth == "a" else "a", "min"),
        unit_name=row["unit_name"],
        expertise=row.one_of("expert_level", ("expert", "naive")) if second else "",
        person=(experiment, row["subject_id"]),
        correct=correct,
        confidence=abs(rating),
        seconds=_seconds(row),
    )


def _query(row: Row, side: str, kind: str) -> str:
    """The query's name, such as max_9."""
    column = f"query_image_{side}"
    name = row[column].rpartition("/")[2].removesuffix(".png")
    if not re.fullmatch(f"{kind}_[0-9]", name):
        raise row.wrong(column, f"a path that ends with {kind}_NUMBER.png")
    return name


def _seconds(row: Row) -> float:
    try:
        seconds = float(row["RT"])
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds):
        raise row.wrong("RT", "a number of seconds")
    return seconds
