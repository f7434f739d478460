"""The tables of trial cases in a run folder, written and read back.

`trials.parquet` (a row per stimulus: name, unit, images, attributes, answers), `answers.parquet` (counts
per stimulus and confidence), `measures.parquet`, `margins.parquet` (a row per case and stimulus),
`unit_measures.parquet` (a row per case, unit and measure), `curves.parquet`, `resamples.parquet`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from iibench.contract.measures import Curve, Measure
from iibench.contract.reports import CaseReport, TrialReport

if TYPE_CHECKING:
    import pandas as pd

    from iibench.contract.trials import Stimuli


def plain_numbers(values: Any) -> tuple[float | None, ...]:
    if values is None:
        return ()
    return tuple(None if np.isnan(v) else float(v) for v in values)


# ------------------------------------------------------------------------------------ writing


def write_trial_numbers(
    folder: Path, reports: Sequence[TrialReport], units: Sequence[str] | None
) -> None:
    """Writes what the trial cases found into an existing folder. `units`: names of the units; None gives
    them numbers."""
    tables = {
        "measures": measures_frame(reports),
        "margins": _values_frame(("stimulus", "margin"), [(r.id, r.margins) for r in reports]),
        "unit_measures": _units_frame(reports, units),
        "curves": _curves_frame(reports),
        "resamples": _values_frame(("resample", "value"), [(r.id, r.resampled) for r in reports]),
    }
    for name, frame in tables.items():
        frame.to_parquet(folder / f"{name}.parquet", index=False)


def write_stimuli(folder: Path, trials: Stimuli) -> None:
    """Writes the tables of stimuli and answers into an existing folder."""
    for name, frame in (("trials", trials_frame(trials)), ("answers", answers_frame(trials))):
        frame.to_parquet(folder / f"{name}.parquet", index=False)


def trials_frame(trials: Stimuli) -> pd.DataFrame:
    """One row per stimulus: stimulus (number), name, unit, images, votes `first`, `second`, attributes."""
    import pandas as pd

    first, second = votes(trials)
    units = np.array(trials.units, dtype=object)
    return pd.DataFrame(
        {
            "stimulus": np.arange(len(trials), dtype=np.int32),
            "name": trials.names.astype(object),
            "unit": units[trials.unit] if len(units) else [],
            "queries": list(trials.queries.astype(np.int32)),
            "references": list(trials.references.astype(np.int32)),
            "opposite": list(trials.opposite.astype(np.int32)),
            "first": first,
            "second": second,
            **{name: values.astype(object) for name, values in trials.columns.items()},
        }
    )


def votes(trials: Stimuli) -> tuple[Any, Any]:
    """(S,) int64 each: how many people chose query 0, and query 1, of each stimulus."""
    given, s = trials.answers, len(trials)
    weight = given.count.astype(np.float64)
    first = np.bincount(given.stimulus, weight * given.first, s)
    second = np.bincount(given.stimulus, weight * ~given.first, s)
    return first.astype(np.int64), second.astype(np.int64)


def answers_frame(trials: Stimuli) -> pd.DataFrame:
    """stimulus, confidence (0: not asked), and how many people chose query 0 and query 1."""
    import pandas as pd

    given = trials.answers
    frame = pd.DataFrame(
        {
            "stimulus": given.stimulus,
            "confidence": given.confidence,
            "first": given.count * given.first,
            "second": given.count * ~given.first,
        }
    )
    return frame.groupby(["stimulus", "confidence"], as_index=False).sum()


def measures_frame(reports: Iterable[TrialReport | CaseReport]) -> pd.DataFrame:
    """case, evaluation, metric, measure, group (JSON), value, low, high, n, stimuli, units, reason."""
    import pandas as pd

    columns = ["case", "evaluation", "metric", "measure", "group"]
    columns += ["value", "low", "high", "n", "stimuli", "units", "reason"]
    rows = [
        (
            report.id,
            report.evaluation.label,
            report.metric.label if report.metric else None,
            m.name,
            json.dumps(dict(m.group)),
            *(m.value, m.low, m.high, m.n, m.stimuli, m.units, m.reason),
        )
        for report in reports
        for m in report.measures
    ]
    numbers = dict.fromkeys(("value", "low", "high"), "float64")
    return pd.DataFrame(rows, columns=columns).astype(numbers)


def _values_frame(
    columns: tuple[str, str], values_of: Iterable[tuple[str, tuple[float | None, ...]]]
) -> pd.DataFrame:
    """case, position and value (named by `columns`): one row per value of each case, None as NaN."""
    import pandas as pd

    position, name = columns
    frames = []
    for case, values in values_of:
        column = np.array([np.nan if v is None else v for v in values], np.float64)
        index = np.arange(len(column), dtype=np.int32)
        frames.append(pd.DataFrame({"case": case, position: index, name: column}))
    if not frames:
        return pd.DataFrame({"case": [], position: [], name: []})
    return pd.concat(frames, ignore_index=True).astype({"case": "category"})


def _units_frame(reports: Sequence[TrialReport], units: Sequence[str] | None) -> pd.DataFrame:
    import pandas as pd

    def names(k: int) -> Any:
        return np.array([str(i) for i in range(k)] if units is None else units, dtype=object)

    frames = [
        pd.DataFrame(
            {
                "case": report.id,
                "unit": names(len(values)),
                "measure": name,
                "value": np.array([np.nan if v is None else v for v in values], np.float64),
            }
        )
        for report in reports
        for name, values in report.per_unit.items()
    ]
    columns = ["case", "unit", "measure", "value"]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)


def _curves_frame(reports: Iterable[TrialReport]) -> pd.DataFrame:
    import pandas as pd

    rows = [
        (report.id, curve.name, json.dumps(dict(curve.group)), list(curve.x), list(curve.y))
        for report in reports
        for curve in report.curves
    ]
    return pd.DataFrame(rows, columns=["case", "curve", "group", "x", "y"])


# ------------------------------------------------------------------------------------ reading


def filled(folder: Path, reports: Sequence[TrialReport]) -> tuple[TrialReport, ...]:
    """The reports of run.json with what stands in the tables of the folder."""
    import pandas as pd

    if not reports or not (folder / "measures.parquet").is_file():
        return tuple(reports)
    read = {
        name: dict(iter(pd.read_parquet(folder / f"{name}.parquet").groupby("case", observed=True)))
        for name in ("measures", "margins", "unit_measures", "curves", "resamples")
    }

    def column(table: str, case: str, name: str) -> tuple[float | None, ...]:
        rows = read[table].get(case)
        return () if rows is None else plain_numbers(rows[name].to_numpy())

    found = []
    for report in reports:
        units = read["unit_measures"].get(report.id)
        per_unit = {} if units is None else dict(iter(units.groupby("measure", sort=False)))
        found.append(
            dataclasses.replace(
                report,
                measures=tuple(_measures(read["measures"].get(report.id))),
                margins=column("margins", report.id, "margin"),
                resampled=column("resamples", report.id, "value"),
                curves=tuple(_curves(read["curves"].get(report.id))),
                per_unit={
                    str(n): plain_numbers(rows["value"].to_numpy()) for n, rows in per_unit.items()
                },
            )
        )
    return tuple(found)


def _measures(rows: pd.DataFrame | None) -> Iterable[Measure]:
    for row in () if rows is None else rows.to_dict("records"):
        value, low, high = plain_numbers([row["value"], row["low"], row["high"]])
        counts = (int(row["n"]), int(row["stimuli"]), int(row["units"]))
        reason = row["reason"] if isinstance(row["reason"], str) else None
        yield Measure(row["measure"], value, json.loads(row["group"]), low, high, *counts, reason)


def _curves(rows: pd.DataFrame | None) -> Iterable[Curve]:
    for row in () if rows is None else rows.to_dict("records"):
        yield Curve(row["curve"], tuple(row["x"]), tuple(row["y"]), json.loads(row["group"]))
