"""Sentences about a sweep (sweeps.py): its captions, and what is shown of a case when pointed at."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING

from iibench.report.shared.numbers import interval, number, signed
from iibench.suite.labels import format_value

if TYPE_CHECKING:
    from iibench.report.directions.sweeps.cells import Cell, Sweep
    from iibench.report.directions.tables import Row

#: dash of a level line -> what it is called
LEVEL_LINES = {"dot": "dotted", "longdash": "dashed"}


def at(sweep: Sweep, place: Sequence[float]) -> str:
    """The values of the swept parameters."""
    return ", ".join(
        f"{name} = {format_value(x)}" for name, x in zip(sweep.over, place, strict=True)
    )


def why(cell: Cell) -> str:
    """Why a case has no score."""
    reasons = [reason for reason, _ in cell.row.unscored]
    why = cell.row.case.reason or (reasons[0] if reasons else "no reason given")
    return f"{cell.row.case.status}: {why}" if cell.row.case.status != "passed" else why


def score(row: Row, sweep: Sweep) -> str:
    """Mean, interval and number of directions."""
    d = sweep.view.decimals
    return f"{number(row.mean, d)} {interval(row.low, row.high, d)}, n = {row.scored}"


def hover(sweep: Sweep, place: Sequence[float], cell: Cell | None) -> str:
    """What is shown of a case when it is pointed at, with its lines escaped."""
    lines = [at(sweep, place)]
    if cell is None:
        lines.append("not in this run")
    elif cell.row.mean is None:
        lines += ["no score", why(cell)]
    else:
        row, d = cell.row, sweep.view.decimals
        lines += [
            f"{number(row.mean, d)} {interval(row.low, row.high, d)}",
            f"n = {row.scored} of {row.k} directions",
        ]
        if row.diff is not None:
            lines.append(
                f"{signed(row.diff, d)} {interval(row.diff_low, row.diff_high, d)} to "
                f"{sweep.view.against['baseline'].called}"
            )
        if cell.sparsity and not sweep.no_sparsity:
            lines.append(f"L0 {number(cell.sparsity.l0, 1)}, {cell.sparsity.dead} dead")
    return "<br>".join(html.escape(line) for line in lines)


def explained(sweep: Sweep) -> str:
    """The parameters' names with what they are."""
    named = [f"{n} ({sweep.help[n]})" if n in sweep.help else n for n in sweep.over]
    return " and ".join(named)


def means(sweep: Sweep, where: str = "its bars show") -> str:
    """What a point or cell is, and how many directions are behind it; `where` its interval is."""
    counts = [cell.row.scored or 0 for cell in sweep.scored]
    low, high = min(counts), max(counts)
    n = f"n = {low}" if low == high else f"n from {low} to {high}"
    return (
        f"Each value is the mean over the scored directions of one fit ({n}); {where} the 95 % "
        "interval of that mean over directions, not over fits."
    )


def level_lines(sweep: Sweep) -> str:
    """What the level lines are."""
    named = _others(sweep)
    found = [
        f"{named[row.finder]}, {LEVEL_LINES[dash]}"
        for row, dash in zip(sweep.others, level_dashes(sweep), strict=True)
    ]
    return f" Level lines: {'; '.join(found)}." if found else ""


def level_dashes(sweep: Sweep) -> list[str]:
    """How the level line of each method to compare with is drawn."""
    return ["dot" if row.case.role == "baseline" else "longdash" for row in sweep.others]


def chance(sweep: Sweep) -> str:
    """Where chance is, if there is such a level."""
    if sweep.view.chance is None:
        return ""
    return f" The thin dotted line is chance ({number(sweep.view.chance, 2)})."


def compared(sweep: Sweep) -> str:
    """The methods to compare with, with their scores."""
    named = _others(sweep)
    found = [f"{named[row.finder]}: {score(row, sweep)}" for row in sweep.others]
    return f" To compare with: {'; '.join(found)}." if found else ""


def _others(sweep: Sweep) -> dict[str, str]:
    """Finder label -> the method to compare with in words."""
    return {
        row.finder: row.finder
        if row.case.role == "baseline"
        else f"{row.finder} (the highest mean of all other methods)"
        for row in sweep.others
    }


def line_words(sweep: Sweep) -> str:
    """What the lines of a plot against sparsity are."""
    if len(sweep.over) == 1:
        return ""
    return f" A line for each {sweep.over[0]}, over {sweep.over[1]}."


def images(sweep: Sweep) -> str:
    """What responses are averaged over."""
    return "all evaluated images" if sweep.images is None else f"{sweep.images:,} images"


def missing(sweep: Sweep, absent: set[tuple[float, float]] | None = None) -> str:
    """Sentences on the cases without a score."""
    found: dict[str, list[str]] = {}
    for cell in sweep.cells:
        if cell.row.mean is None:
            found.setdefault(why(cell), []).append(at(sweep, cell.at))
    for place in sorted(absent or ()):
        found.setdefault("not in this run", []).append(at(sweep, place))
    return "".join(f" Empty: {'; '.join(places)} ({why})." for why, places in found.items())
