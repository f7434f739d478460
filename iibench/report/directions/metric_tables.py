"""Metrics beside each other on the same units: rows of `metric_leaderboard` for the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from iibench.report.shared.numbers import real, whole

if TYPE_CHECKING:
    import pandas as pd

    from iibench.report.directions.tables import Family, Place


@dataclass(frozen=True)
class MetricRow:
    """A metric on the units of a finder that every metric scores; no difference for the best one."""

    finder: str
    metric: str
    units: int | None
    mean: float | None
    low: float | None
    high: float | None
    diff: float | None
    diff_low: float | None
    diff_high: float | None
    p: float | None
    rank_low: int | None
    rank_high: int | None
    ties: str


def metric_rows(board: pd.DataFrame, place: Place, family: Family) -> tuple[MetricRow, ...]:
    """The rows of a family at the lowest value of its parameter, finder by finder, the best first."""
    key = (*place.key, family.labels[0])
    names = ("dataset", "model", "layer", "evaluation")
    return tuple(
        MetricRow(
            record["finder"],
            record["metric"],
            whole(record["units"]),
            real(record["mean"]),
            real(record["low"]),
            real(record["high"]),
            real(record["diff_to_best"]),
            real(record["diff_low"]),
            real(record["diff_high"]),
            real(record["p_holm"]),
            whole(record["rank_low"]),
            whole(record["rank_high"]),
            record["tie_group"],
        )
        for record in board.to_dict("records")
        if tuple(record[name] for name in names) == key
    )
