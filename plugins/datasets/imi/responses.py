"""Answers of the IMI release: a CSV with 45 columns and rows of three kinds.

Practice rows have neither unit nor batch, rows of catch trials have batch -1 and the model
`catch/manual`; only the others, the main rows, are answers to stimuli. What must hold of every main row
is checked, and a row of which it does not hold is an error that names file and line.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from iibench import AssetError, UsageError, nearest

from .names import Experiment, experiment_of, is_layer

if TYPE_CHECKING:
    from _csv import Reader

    import pandas as pd

Quality = Literal["main", "all", "lower_quality"]

FOLDER = "human_responses"
#: As published; `details_details` is spelled so in the file.
COLUMNS = (
    "rt",
    "button_pressed",
    "switched_queries",
    "confidence",
    "choice",
    "correct",
    "min_query",
    "max_query",
    "min_references",
    "max_references",
    "catch_trial",
    "is_demo",
    "trial_type",
    "trial_index",
    "time_elapsed",
    "internal_node_id",
    "response_index",
    "participant_id",
    "corrected_trial_index",
    "task_id",
    "task_number",
    "batch",
    "channel",
    "layer",
    "mode",
    "model",
    "passed_checks",
    "demo_trials_result",
    "catch_trials_result",
    "total_response_time_result",
    "row_variability_result",
    "instruction_time_result",
    "demo_trials_details",
    "catch_trials_details",
    "total_response_time_details",
    "row_variability_details",
    "instruction_time_details",
    "instruction_time_details_extracted",
    "total_response_time_details_extracted",
    "row_variability_details_details_upper_extracted",
    "row_variability_details_details_lower_extracted",
    "catch_trials_details_ratio_extracted",
    "catch_trials_details_correctly_answered_extracted",
    "demo_trials_details_extracted",
    "multi_participation",
)


_USED = (
    "button_pressed",
    "switched_queries",
    "confidence",
    "choice",
    "correct",
    "catch_trial",
    "is_demo",
    "participant_id",
    "task_id",
    "batch",
    "channel",
    "layer",
    "mode",
    "model",
    "passed_checks",
    "multi_participation",
)


@dataclass(frozen=True)
class Responses:
    """What a file of answers holds.

    `counts`: rows by kind (`practice`, `catch`, `main`). `experiments`: by name, those of the main
    rows. `main`: a frame of the main rows with `experiment`, `layer`, `channel`, `batch`, `first`
    (whether the strong query was chosen), `confidence` (1..3), `participant` (a number, -1 where people
    cannot be told apart), `model_column` and `mode` as written; its index is the record's number.
    """

    path: Path
    counts: Mapping[str, int]
    experiments: Mapping[str, Experiment]
    main: pd.DataFrame

    @property
    def rows(self) -> int:
        """All rows of the file."""
        return sum(self.counts.values())


def responses_path(root: Path, quality: Quality) -> Path:
    """Where the release has the answers of this quality."""
    return root / FOLDER / f"responses_{quality}.csv"


def read_responses(root: Path, quality: Quality) -> Responses:
    """The answers of a release folder.

    Raises `AssetError` where there is no such file, and `UsageError` naming the file, and the line
    where there is one, where it is not as published.
    """
    import numpy as np
    import pandas as pd

    table = _Table(responses_path(root, quality))
    frame = table.read()
    demo = table.truth(frame, "is_demo")
    catch = table.truth(frame, "catch_trial") & ~demo
    main = frame[~demo & ~catch]
    counts = {"practice": int(demo.sum()), "catch": int(catch.sum()), "main": len(main)}
    _check_answers(table, main, quality)
    tasks = [task.rpartition("-") for task in main["task_id"]]
    table.check(main, [n.isdecimal() for _, _, n in tasks], "task_id", "NAMESPACE-TASKNUMBER")
    table.check(main, map(is_layer, main["layer"]), "layer", "a layer's name")
    table.check(main, main["mode"] != "", "mode", "natural or optimized")
    kept = pd.DataFrame(
        {
            "experiment": [name for name, _, _ in tasks],
            "layer": main["layer"],
            "channel": table.whole(main, "channel", 0, 2**31),
            "batch": table.whole(main, "batch", 0, 2**31),
            "first": main["choice"] == "b",
            "confidence": table.whole(main, "confidence", 1, 3),
            "participant": np.full(len(main), -1),
            "model_column": main["model"],
            "mode": main["mode"],
        },
        index=main.index,
    )
    if main["participant_id"].nunique() > 1:
        kept["participant"] = pd.factorize(main["participant_id"], sort=True)[0]
    return Responses(table.path, counts, _experiments(table, kept["experiment"]), kept)


def _check_answers(table: _Table, main: pd.DataFrame, quality: Quality) -> None:
    """What holds of every answer by the way it was recorded (the task's code, and the export)."""
    table.check(main, main["choice"].isin(["a", "b"]), "choice", "a or b")
    first = main["choice"] == "b"
    right = table.truth(main, "correct") == first
    table.check(main, right, "correct", "True where choice is b, else False")
    button = table.whole(main, "button_pressed", 0, 5)
    confidence = table.whole(main, "confidence", 1, 3)
    table.check(main, confidence == button % 3 + 1, "confidence", "button_pressed % 3 + 1")
    upper = table.truth(main, "switched_queries") == first
    table.check(
        main,
        (button < 3) == upper,
        "button_pressed",
        "0 to 2 for the upper row: choice b with the queries switched, or a without; else 3 to 5",
    )
    if quality == "main":
        for column, constant in (("passed_checks", True), ("multi_participation", False)):
            fits = table.truth(main, column) == constant
            table.check(main, fits, column, f"{constant} in every row of the main answers")


def _experiments(table: _Table, names: pd.Series[str]) -> dict[str, Experiment]:
    found = {}
    for name in sorted(set(names)):
        try:
            found[name] = experiment_of(name)
        except ValueError as error:
            record = int(names.index[names == name][0])
            raise table.error(record, f"task_id: namespace {name!r}: {error}") from error
    return found


@dataclass(frozen=True)
class _Table:
    """A CSV as text, with the errors that name its lines."""

    path: Path
    #: the line that each record starts in; filled as the file is read
    lines: list[int] = field(default_factory=list)

    def read(self) -> pd.DataFrame:
        """The columns that are used, as text; raises `UsageError` for lines that are not as published."""
        import pandas as pd

        if not self.path.is_file():
            raise AssetError(f"there is no {self.path}")
        try:
            with self.path.open(newline="", encoding="utf-8") as file:
                rows = self._rows(csv.reader(file))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise UsageError(f"{self.path} cannot be read as a CSV: {error}") from error
        return pd.DataFrame(rows, columns=pd.Index(_USED), dtype=str)

    def _rows(self, reader: Reader) -> list[tuple[str, ...]]:
        header = next(reader, [])
        self._check_header(header)
        used = itemgetter(*(header.index(name) for name in _USED))
        rows: list[tuple[str, ...]] = []
        before = reader.line_num
        for values in reader:
            if len(values) == len(header):
                rows.append(used(values))
                self.lines.append(before + 1)
            elif values:
                raise UsageError(
                    f"{self.path}:{before + 1}: {len(values)} values, expected {len(header)}"
                )
            before = reader.line_num
        return rows

    def _check_header(self, header: list[str]) -> None:
        """Raises `UsageError` naming columns that are missing, unknown or there twice."""
        missing = [name for name in COLUMNS if name not in header]
        further = [name for name in header if name not in COLUMNS]
        twice = sorted({name for name in header if header.count(name) > 1})
        problems = [
            *([f"lacks {', '.join(missing)}"] if missing else []),
            *([f"has the unknown {', '.join(map(repr, further))}"] if further else []),
            *([f"has {', '.join(twice)} twice"] if twice else []),
        ]
        if not problems:
            return
        close = nearest(missing[0], further, 1) if missing else []
        hint = f"; {missing[0]} may be {close[0]!r}" if close else ""
        raise UsageError(
            f"{self.path}:1: the header {' and '.join(problems)}; expected the {len(COLUMNS)} columns "
            f"of the IMI release{hint}"
        )

    def truth(self, frame: pd.DataFrame, column: str) -> pd.Series[bool]:
        """A column of True and False; `bool("False")` would be True."""
        self.check(frame, frame[column].isin(["True", "False"]), column, "True or False")
        return frame[column] == "True"

    def whole(self, frame: pd.DataFrame, column: str, low: int, high: int) -> pd.Series[int]:
        """A column of whole numbers, which may be written as 130.0."""
        import pandas as pd

        values = pd.to_numeric(frame[column], errors="coerce").astype("float64")
        fits = (values % 1 == 0) & (values >= low) & (values <= high)
        self.check(frame, fits, column, f"a whole number from {low} to {high}")
        return values.astype("int64")

    def check(self, frame: pd.DataFrame, fits: Iterable[bool], column: str, expected: str) -> None:
        """Raises `UsageError` for the first row that does not fit."""
        wrong = [record for record, fine in zip(frame.index, fits, strict=True) if not fine]
        if wrong:
            found = frame[column][wrong[0]]
            more = f" (and in {len(wrong) - 1:,} more rows)" if len(wrong) > 1 else ""
            raise self.error(wrong[0], f"{column} is {found!r}, expected {expected}{more}")

    def error(self, record: int, text: str) -> UsageError:
        """An error about the record of this number (0 is the first below the header)."""
        return UsageError(f"{self.path}:{self.lines[record]}: {text}")
