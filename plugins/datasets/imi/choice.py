"""Which answers of the IMI release are asked for, and which of them cannot be trusted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge

from iibench import UsageError, unknown_name

from .names import CONDITIONS, DIFFICULTIES
from .pixels import SIDE
from .responses import Quality, Responses

if TYPE_CHECKING:
    import pandas as pd

CONFIDENCES = (1, 2, 3)
DISAGREEING = "their columns model or mode disagree with their task_id"


@dataclass(frozen=True)
class Choice:
    """Which answers are asked for, nothing named meaning all, and the size of their images."""

    models: tuple[str, ...] = field(
        default=(), metadata={"help": "networks by their exact name, such as resnet50; none: all"}
    )
    conditions: tuple[str, ...] = field(
        default=(), metadata={"help": "natural, optimized: kinds of references; none: both"}
    )
    difficulties: tuple[str, ...] = field(
        default=(), metadata={"help": "easy, hard99, hard95, hard85: kinds of queries; none: all"}
    )
    confidences: tuple[int, ...] = field(
        default=(), metadata={"help": "1 to 3, of the answers; none: all"}
    )
    responses: Quality = field(
        default="main",
        metadata={
            "help": "main: people who passed all checks; lower_quality: the others; all: both"
        },
    )
    missing: Literal["error", "count"] = field(
        default="error",
        metadata={
            "help": "where images are missing: stop, or count the stimuli and keep them without images"
        },
    )
    conflicts: Literal["error", "drop"] = field(
        default="error",
        metadata={
            "help": "where rows disagree about their experiment: stop, or drop and count them"
        },
    )
    size: Annotated[int, Ge(16)] = field(
        default=SIDE,
        metadata={"help": "pixels of a side of the images; people saw 224"},
    )


@dataclass(frozen=True)
class Selection:
    """The main rows that are used, and what became of all of them.

    `left_out`: reason -> rows. `cross`: experiment, column `model`, column `mode`, rows, whether they
    agree; of all main rows.
    """

    rows: pd.DataFrame
    left_out: Mapping[str, int]
    cross: tuple[tuple[str, str, str, int, bool], ...]


def select(responses: Responses, choice: Choice) -> Selection:
    """The rows asked for; raises `UsageError` for an unknown name, and for rows that disagree.

    A row's experiment is what its `task_id` says. Its column `model` was taken from the path of the
    query that was shown, and `mode` says the condition: where they say otherwise, it is not known which
    images the person saw.
    """
    _check(choice, responses)
    rows = responses.main
    left_out: dict[str, int] = {}
    for reason, kept in _asked(responses, choice):
        left_out[reason] = int((~kept[rows.index]).sum())
        rows = rows[kept[rows.index]]
    agrees = _agrees(responses)
    wrong = rows[~agrees[rows.index]]
    if len(wrong):
        if choice.conflicts == "error":
            raise _disagreement(responses, wrong)
        left_out[DISAGREEING] = len(wrong)
        rows = rows[agrees[rows.index]]
    return Selection(
        rows,
        {reason: n for reason, n in left_out.items() if n},
        _cross_table(responses, agrees),
    )


def _check(choice: Choice, responses: Responses) -> None:
    models = {experiment.model for experiment in responses.experiments.values()}
    known: tuple[tuple[str, str, Collection[object], Collection[object]], ...] = (
        ("models", "model", choice.models, models),
        ("conditions", "condition", choice.conditions, CONDITIONS),
        ("difficulties", "difficulty", choice.difficulties, DIFFICULTIES),
        ("confidences", "confidence", choice.confidences, CONFIDENCES),
    )
    for parameter, kind, asked, possible in known:
        for value in asked:
            if value not in possible:
                names = [str(name) for name in possible]
                raise UsageError(f"{parameter}: {unknown_name(kind, str(value), names)}")


def _asked(responses: Responses, choice: Choice) -> Iterator[tuple[str, pd.Series[bool]]]:
    """(why rows are left out, whether a main row is kept), for each parameter that names something."""
    rows = responses.main
    for attribute, asked in (
        ("model", choice.models),
        ("condition", choice.conditions),
        ("difficulty", choice.difficulties),
    ):
        if asked:
            kept = [n for n, e in responses.experiments.items() if getattr(e, attribute) in asked]
            yield f"their {attribute} is not asked for", rows["experiment"].isin(kept)
    if choice.confidences:
        yield "their confidence is not asked for", rows["confidence"].isin(choice.confidences)


def _agrees(responses: Responses) -> pd.Series[bool]:
    """Whether the columns model and mode of each main row agree with its experiment."""
    import pandas as pd

    agreeing = {
        (name, column, experiment.condition)
        for name, experiment in responses.experiments.items()
        for column in experiment.model_columns
    }
    return pd.Series([t in agreeing for t in _triples(responses.main)], responses.main.index, bool)


def _triples(rows: pd.DataFrame) -> list[tuple[str, str, str]]:
    """Experiment, column `model` and column `mode` of each row."""
    return list(zip(rows["experiment"], rows["model_column"], rows["mode"], strict=True))


def _cross_table(
    responses: Responses, agrees: pd.Series[bool]
) -> tuple[tuple[str, str, str, int, bool], ...]:
    rows = zip(_triples(responses.main), agrees, strict=True)
    return tuple((*triple, n, bool(fine)) for (triple, fine), n in sorted(Counter(rows).items()))


def _disagreement(responses: Responses, wrong: pd.DataFrame) -> UsageError:
    lines = [
        f"  model {model!r}, mode {mode!r}, task_id {name!r}: {n:,} rows"
        for (name, model, mode), n in sorted(Counter(_triples(wrong)).items())
    ]
    return UsageError(
        f"{responses.path}: {len(wrong):,} rows disagree about their experiment:\n"
        + "\n".join(lines)
        + "\nIt is not known which images these people saw; conflicts: drop leaves the rows out"
    )
