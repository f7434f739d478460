"""The comparable tables of a run as plain cells, for Markdown, LaTeX and notebooks.

A table holds what may be compared: of directions, the methods of one dataset, model, layer, evaluation
and metric; of trials, the metrics of one dataset and evaluation. Cells are text as a reader sees it (minus
is U+2212, a missing number an en dash), not yet escaped for any format.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from iibench.report.shared.against import against
from iibench.report.shared.numbers import MISSING, decimals_for, interval, number, p_value, signed

if TYPE_CHECKING:
    from iibench.results.run import Run

Record = Mapping[str, Any]

#: Level at which the leaderboards separate methods.
ALPHA = 0.05

DIRECTION_COLUMNS = (
    *("method", "rank", "K", "mean [95 % interval]", "scored / unscored"),
    *("difference to {baseline}", "p (Holm)", "difference to {control}"),
)
TRIAL_COLUMNS = (
    *("metric", "rank", "{measure} [95 % interval]", "answers / stimuli / units"),
    *("difference to the best", "p (Holm)"),
)


@dataclass(frozen=True)
class TableRow:
    """A method: a cell per column. `best`: it cannot be told apart from the best. `reason`: why it has
    no number, where it has none. `case`: its id."""

    cells: tuple[str, ...]
    best: bool
    reason: str | None
    case: str


@dataclass(frozen=True)
class Table:
    """A table of methods, best first. `place`: what its cases share, as (what, label) pairs."""

    place: tuple[tuple[str, str], ...]
    columns: tuple[str, ...]
    rows: tuple[TableRow, ...]
    caption: str

    @property
    def title(self) -> str:
        """Its place in one line: the measure, then where it was measured."""
        labels = dict(self.place)
        score = labels["evaluation"]
        if "metric" in labels:
            score += f" under {labels['metric']}"
        where = [labels[what] for what in ("dataset", "model", "layer") if what in labels]
        return f"{score}: {', '.join(where)}"


def tables_of(run: Run) -> list[Table]:
    """Every table of the run, in the order of its leaderboard."""
    names = ("dataset", "evaluation") if run.trial_cases else _DIRECTION_PLACE
    grouped: dict[tuple[str, ...], list[Record]] = {}
    for record in run.leaderboard().to_dict("records"):
        key = tuple(_text(record[name]) for name in names)
        grouped.setdefault(key, []).append({str(k): v for k, v in record.items()})
    make = _trial_table if run.trial_cases else _direction_table
    return [
        make(run, tuple((n, label) for n, label in zip(names, key, strict=True) if label), records)
        for key, records in grouped.items()
    ]


_DIRECTION_PLACE = ("dataset", "model", "layer", "evaluation", "metric")


def _direction_table(
    run: Run, place: tuple[tuple[str, str], ...], records: Sequence[Record]
) -> Table:
    about = _evaluation(run, place)
    chance = real(about.get("chance"))
    decimals = decimals_for([real(r["mean"]) for r in records], chance)
    rows = []
    for record in records:
        scored, k = whole(record["n_scored"]), whole(record["k"])
        cells = (
            _text(record["finder"]),
            rank(record),
            _count(k),
            _estimate(record["mean"], record["low"], record["high"], decimals),
            MISSING if k is None or scored is None else f"{scored} / {k - scored}",
            _difference(record, "diff_to_baseline", "diff_low", "diff_high", decimals),
            p_value(real(record["p_holm"])),
            _difference(record, "diff_to_control", "control_low", "control_high", decimals),
        )
        best = bool(_letters(record) & _letters(records[0])) or record is records[0]
        rows.append(_row(record, cells, real(record["mean"]), best))
    names = against(run.meta, records)
    named = {role: finder.name for role, finder in names.items()}
    columns = tuple(column.format(**named) for column in DIRECTION_COLUMNS)
    caption = _direction_caption(records, about, names["baseline"].called)
    return Table(place, columns, tuple(rows), caption)


def _trial_table(run: Run, place: tuple[tuple[str, str], ...], records: Sequence[Record]) -> Table:
    about = _evaluation(run, place)
    chance = real(about.get("chance"))
    decimals = decimals_for([real(r["value"]) for r in records], chance)
    measure = _text(records[0]["measure"])
    rows = []
    for record in records:
        counts = [_count(whole(record[name])) for name in ("n", "stimuli", "units")]
        cells = (
            _text(record["metric"]) or "no metric",
            rank(record),
            _estimate(record["value"], record["low"], record["high"], decimals),
            " / ".join(counts),
            _difference(record, "diff_to_best", "diff_low", "diff_high", decimals),
            p_value(real(record["p_holm"])),
        )
        p = real(record["p_holm"])
        best = p is None or p >= ALPHA
        rows.append(_row(record, cells, real(record["value"]), best))
    columns = tuple(name.format(measure=measure) for name in TRIAL_COLUMNS)
    return Table(place, columns, tuple(rows), _trial_caption(run, records, about))


def _row(record: Record, cells: tuple[str, ...], value: float | None, best: bool) -> TableRow:
    reason = None
    if value is None:
        reason = f"{record['status']}: {_text(record['reason']) or 'no unit is scored'}"
    return TableRow(cells, best and value is not None, reason, _text(record["case"]))


def _letters(record: Record) -> set[str]:
    """The tie groups that it is in: `ab` is in a and b, `a1` in one."""
    return set(re.findall(r"[a-z]\d*", _text(record.get("tie_group"))))


def rank(record: Record) -> str:
    """`1` or `2–4`, with the letters of the tie groups where there are any: `2–4 (ab)`."""
    low, high = whole(record["rank_low"]), whole(record["rank_high"])
    if low is None or high is None:
        return MISSING
    text = str(low) if low == high else f"{low}–{high}"
    letters = _text(record.get("tie_group"))
    return f"{text} ({letters})" if letters else text


# --------------------------------------------------------------------------------- captions


def _direction_caption(records: Sequence[Record], about: Record, baseline: str) -> str:
    from iibench.statistics.bootstrap import RESAMPLES

    scored = [n for r in records if (n := whole(r["n_scored"]))]
    sentences = [
        f"{about['summary'].rstrip('.')}." if about.get("summary") else "",
        f"n: the scored ones of a method's K directions, {_span(scored)}.",
        f"Brackets: 95 % percentile bootstrap intervals over directions ({RESAMPLES:,} resamples; the "
        "resampling unit is one direction, never an image).",
        f"p: two-sided Mann-Whitney test against {baseline}, Holm-corrected over the table."
        if any(real(r["p_holm"]) is not None for r in records)
        else "",
        _ranks("Mann-Whitney tests of all pairs, Holm-corrected at 0.05,", records),
        _chance(about),
    ]
    return " ".join(filter(None, sentences))


def _trial_caption(run: Run, records: Sequence[Record], about: Record) -> str:
    ids = {_text(record["case"]) for record in records}
    drawn = {len(case.resampled) for case in run.trial_cases if case.id in ids and case.resampled}
    resamples = f"{max(drawn):,} resamples; " if drawn else ""
    answers = [n for r in records if (n := whole(r["n"])) is not None]
    sentences = [
        f"{about['summary'].rstrip('.')}." if about.get("summary") else "",
        f"n: answers behind each number, {_span(answers)}.",
        f"Brackets: 95 % bootstrap intervals over units ({resamples}the resampling unit is one unit "
        "with all its stimuli and answers).",
        "p: paired comparison with the best over shared resamples (normal approximation), "
        "Holm-corrected over all pairs of the table."
        if any(real(r["p_holm"]) is not None for r in records)
        else "",
        _ranks("paired comparisons of all pairs, Holm-corrected at 0.05,", records),
        _chance(about),
    ]
    return " ".join(filter(None, sentences))


def _ranks(tests: str, records: Sequence[Record]) -> str:
    if not any(whole(record["rank_low"]) is not None for record in records):
        return ""
    letters = any(_text(record.get("tie_group")) for record in records)
    shared = "; what shares a letter cannot be told apart" if letters else ""
    return f"Ranks are those that {tests} leave open{shared}. Bold: not told apart from the best."


def _chance(about: Record) -> str:
    chance = real(about.get("chance"))
    return "" if chance is None else f"Chance is {number(chance, 2)}."


def _span(counts: Sequence[int]) -> str:
    if not counts:
        return "none"
    low, high = min(counts), max(counts)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _evaluation(run: Run, place: Sequence[tuple[str, str]]) -> Record:
    found: Record = run.meta.get("evaluations", {}).get(dict(place)["evaluation"], {})
    return found


# ------------------------------------------------------------------------------------- cells


def _estimate(value: Any, low: Any, high: Any, decimals: int) -> str:
    ends = interval(real(low), real(high), decimals)
    return f"{number(real(value), decimals)} {ends}".rstrip()


def _difference(record: Record, name: str, low: str, high: str, decimals: int) -> str:
    value = real(record.get(name))
    if value is None:
        return MISSING
    ends = interval(real(record.get(low)), real(record.get(high)), decimals)
    return f"{signed(value, decimals)} {ends}".rstrip()


def _count(value: int | None) -> str:
    return MISSING if value is None else str(value)


def _text(value: Any) -> str:
    """A cell of the leaderboard as text; nothing where it is missing."""
    return value if isinstance(value, str) else ""


def real(value: Any) -> float | None:
    """A number of the leaderboard; None where it is missing or not finite."""
    try:
        return float(value) if value is not None and math.isfinite(value) else None
    except TypeError:  # pandas' missing integer
        return None


def whole(value: Any) -> int | None:
    """The same for whole numbers."""
    found = real(value)
    return None if found is None else int(found)
