"""What a run shows in a notebook: its leaderboards, plotly figures, and the images of single units."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from markupsafe import Markup

from iibench.contract.errors import UsageError, unknown_name
from iibench.report.export.tables import Table, TableRow, tables_of
from iibench.report.figures import chosen_place
from iibench.report.shared.numbers import duration, moment, number
from iibench.results.leaderboard import BASELINE

if TYPE_CHECKING:
    import pandas as pd

    from iibench.contract.reports import CaseReport
    from iibench.results.run import Run

#: Rows of a table, and tables of a run, that stand open; the others are folded.
OPEN_ROWS, OPEN_TABLES = 10, 4

# colours are the notebook's own, and lines a grey that shows on black and on white
_LINE = "1px solid rgba(127,127,127,0.4)"
_CELL = f"padding:0.2em 0.7em;border:0;border-bottom:{_LINE};background:transparent;color:inherit;"
_LEFT, _RIGHT = _CELL + "text-align:left;", _CELL + "text-align:right;white-space:nowrap;"
_TABLE = "border-collapse:collapse;border:0;font-size:0.9em;margin:0.4em 0;color:inherit;"
_SMALL = "font-size:0.85em;opacity:0.8;max-width:60em;margin:0.2em 0 0.8em;"


# ------------------------------------------------------------------------------------ the run


def run_html(run: Run) -> str:
    """The run as a piece of HTML without scripts: its facts, then its leaderboards, best first.

    All text is escaped. Long tables, and all tables after the first few, are folded.
    """
    tables = tables_of(run)
    shown = [_table(table) for table in tables]
    parts = [_head(run), *shown[:OPEN_TABLES]]
    if len(shown) > OPEN_TABLES:
        rest = Markup("").join(shown[OPEN_TABLES:])
        words = f"{len(shown) - OPEN_TABLES} more tables"
        parts.append(Markup("<details><summary>{}</summary>{}</details>").format(words, rest))
    return str(Markup('<div class="iibench-run">{}</div>').format(Markup("").join(parts)))


def _head(run: Run) -> Markup:
    meta = run.meta
    statuses = [report.status for report in run.reports]
    counts = {status: statuses.count(status) for status in ("passed", "failed", "skipped", "error")}
    facts = [
        ", ".join(f"{n} {status}" for status, n in counts.items() if n) or "no cases",
        f"seed {meta.get('seed')}",
        str(meta.get("device") or ""),
        moment(meta.get("started")),
        duration(meta.get("seconds")),
    ]
    if run.verdicts:
        met = sum(verdict.status == "passed" for verdict in run.verdicts)
        facts.insert(1, f"{met} of {len(run.verdicts)} expectations met")
    if meta.get("interrupted"):
        facts.insert(0, "interrupted")
    return Markup(
        '<p style="margin:0"><strong style="font-size:1.2em">{}</strong></p><p style="{}">{}</p>'
    ).format(str(meta.get("name", "")), _SMALL, " · ".join(filter(None, facts)))


def _table(table: Table) -> Markup:
    scored = [row for row in table.rows if row.reason is None]
    missing = [row for row in table.rows if row.reason is not None]
    parts = [Markup('<p style="margin:0.8em 0 0"><strong>{}</strong></p>').format(table.title)]
    if scored:
        parts.append(_rows(table, scored[:OPEN_ROWS]))
    if len(scored) > OPEN_ROWS:
        words = f"{len(scored) - OPEN_ROWS} more"
        rest = _rows(table, scored[OPEN_ROWS:])
        parts.append(Markup("<details><summary>{}</summary>{}</details>").format(words, rest))
    parts += [
        Markup('<p style="{}">no number for {}: {}</p>').format(_SMALL, row.cells[0], row.reason)
        for row in missing
    ]
    parts.append(
        Markup('<details style="{}"><summary>what the numbers are</summary>{}</details>').format(
            _SMALL, table.caption
        )
    )
    return Markup("").join(parts)


def _rows(table: Table, rows: Sequence[TableRow]) -> Markup:
    def line(cells: Sequence[str], tag: str, strong: bool = False) -> Markup:
        weight = "font-weight:600;" if strong or tag == "th" else "font-weight:400;"
        return Markup("<tr>{}</tr>").format(
            Markup("").join(
                Markup('<{0} style="{1}">{2}</{0}>').format(
                    Markup(tag),
                    (_RIGHT if i else _LEFT) + (weight if not i or tag == "th" else ""),
                    c,
                )
                for i, c in enumerate(cells)
            )
        )

    body = Markup("").join(line(row.cells, "td", row.best) for row in rows)
    return Markup(
        '<div style="overflow-x:auto"><table style="{}"><thead>{}</thead><tbody>{}</tbody></table></div>'
    ).format(_TABLE, line(table.columns, "th"), body)


# ----------------------------------------------------------------------------------- one unit


@dataclass(frozen=True)
class UnitExemplars:
    """A direction, its most and least activating images, and its scores.

    `place`: labels of dataset, model and layer. `top`, `bottom`: image indices, the most extreme
    first, with `top_responses` and `bottom_responses`; `bottom` is empty in runs of schema version 1.
    `scores`: "evaluation under metric" -> the unit's score, None where it has none. `images`: index ->
    PNG or JPEG, of those that the run keeps.
    """

    place: tuple[str, str, str]
    finder: str
    unit: int
    top: tuple[int, ...]
    bottom: tuple[int, ...]
    top_responses: tuple[float, ...]
    bottom_responses: tuple[float, ...]
    scores: dict[str, float | None]
    images: dict[int, bytes] = field(repr=False)
    #: of each score: evaluation, metric, score, share of the finder's scored units at or below it, reason
    rows: tuple[tuple[str, str | None, float | None, float | None, str | None], ...] = field(
        repr=False
    )

    @property
    def table(self) -> pd.DataFrame:
        """One row per score: evaluation, metric, score, `at_or_below` (share of the finder's scored
        units that score no higher), reason where there is none."""
        import pandas as pd

        columns = ["evaluation", "metric", "score", "at_or_below", "reason"]
        return pd.DataFrame(list(self.rows), columns=columns).astype(
            {"score": "float64", "at_or_below": "float64"}
        )

    def _repr_html_(self) -> str:
        """Both rows of images, then the scores under every metric."""
        parts = [
            Markup('<p style="margin:0"><strong>{}, unit {}</strong></p>').format(
                self.finder, self.unit
            ),
            Markup('<p style="{}">{}</p>').format(_SMALL, ", ".join(self.place)),
            self._strip("most activating", self.top, self.top_responses),
            self._strip("least activating", self.bottom, self.bottom_responses),
            self._scores(),
        ]
        return str(Markup('<div class="iibench-unit">{}</div>').format(Markup("").join(parts)))

    def _strip(self, title: str, indices: Sequence[int], responses: Sequence[float]) -> Markup:
        if not indices:
            return Markup("")
        return Markup(
            '<p style="{}">{}, with responses</p><div style="display:flex;flex-wrap:wrap;gap:6px">{}</div>'
        ).format(
            _SMALL + "margin-bottom:0.2em;",
            title,
            Markup("").join(
                self._picture(index, response)
                for index, response in zip(indices, responses, strict=True)
            ),
        )

    def _picture(self, index: int, response: float) -> Markup:
        content = self.images.get(index)
        size = "width:96px;height:96px;object-fit:contain;image-rendering:auto;"
        if content is None:
            picture = Markup('<span style="{}display:block;border:{}">not kept</span>').format(
                size, Markup(_LINE)
            )
        else:
            kind = "png" if content.startswith(b"\x89PNG") else "jpeg"
            data = base64.b64encode(content).decode("ascii")
            picture = Markup(
                '<img alt="image {}" style="{}" src="data:image/{};base64,{}">'
            ).format(index, size, kind, data)
        return Markup(
            '<figure style="margin:0;text-align:center">{}<figcaption style="font-size:0.75em">'
            "{}</figcaption></figure>"
        ).format(picture, f"{response:.3g}")

    def _scores(self) -> Markup:
        cells = [
            (
                f"{evaluation} under {metric}" if metric else evaluation,
                number(score) if score is not None else (reason or "not scored"),
                "" if share is None else f"{100 * share:.0f} %",
            )
            for evaluation, metric, score, share, reason in self.rows
        ]
        head = ("score", "value", "units at or below")
        table = Table((), head, tuple(TableRow(c, False, None, "") for c in cells), "")
        return _rows(table, table.rows)


def unit_exemplars(
    run: Run, unit: int | str, finder: str | None = None, place: int | str | None = None
) -> UnitExemplars:
    """A unit with its images and scores.

    `unit`: a number, or finder and number as text (`kmeans[k=256]/3`). `finder`: its label; where none
    is given the run's only one, else neurons. `place`: as for `iibench.report.figures.figure`. Raises
    `UsageError` for names and units that the run does not have, and for runs on trials.
    """
    if run.trial_cases:
        raise UsageError("a run on trials has no directions; Run.trials() has its stimuli")
    key = chosen_place(run, place)
    cases = [c for c in run.cases if (c.dataset, c.model.label, c.layer) == key and c.scores]
    label, index = _parsed(unit, finder)
    label = _finder(cases, label)
    cases = [case for case in cases if case.finder.label == label]
    k = len(cases[0].scores)
    if not 0 <= index < k:
        raise UsageError(f"found unit {index} of {label}; expected 0 to {k - 1}, since K = {k}")
    sides = _sides(run, key, label, index)
    needed = {image for images, _ in sides.values() for image in images}
    rows = tuple(_score(case, index) for case in cases)
    (top, top_responses), (bottom, bottom_responses) = sides["top"], sides["bottom"]
    return UnitExemplars(
        place=key,
        finder=label,
        unit=index,
        top=top,
        bottom=bottom,
        top_responses=top_responses,
        bottom_responses=bottom_responses,
        scores={f"{row[0]} under {row[1]}" if row[1] else row[0]: row[2] for row in rows},
        images={
            image: content
            for (dataset, image), content in run.images().items()
            if dataset == key[0] and image in needed
        },
        rows=rows,
    )


def _parsed(unit: int | str, finder: str | None) -> tuple[str | None, int]:
    """(finder's label or None, unit's number)."""
    if not isinstance(unit, str):
        return finder, int(unit)
    label, _, digits = unit.rpartition("/")
    if not digits.strip().isdigit():
        raise UsageError(
            f"found unit {unit!r}; expected a number, or FINDER/NUMBER like neurons/12"
        )
    if label and finder and label != finder:
        raise UsageError(f"found unit {unit!r} and finder {finder!r}; expected one finder")
    return label or finder, int(digits)


def _finder(cases: Sequence[CaseReport], label: str | None) -> str:
    known = list(dict.fromkeys(case.finder.label for case in cases))
    if label is None:
        label = known[0] if len(known) == 1 else BASELINE
        if label not in known:
            raise UsageError(f"name the finder of the unit; known: {', '.join(known) or 'none'}")
    if label not in known:
        raise UsageError(unknown_name("finder", label, known))
    return label


def _sides(
    run: Run, key: tuple[str, str, str], finder: str, unit: int
) -> dict[str, tuple[tuple[int, ...], tuple[float, ...]]]:
    """Side -> (image indices, responses), the most extreme first."""
    frame = run.exemplars()
    found: dict[str, tuple[tuple[int, ...], tuple[float, ...]]] = {
        "top": ((), ()),
        "bottom": ((), ()),
    }
    here = frame["unit"] == unit
    for name, value in zip(("dataset", "model", "layer", "finder"), (*key, finder), strict=True):
        here &= frame[name] == value
    frame = frame[here]
    for side in found:
        part = frame[frame["side"] == side].sort_values("rank")
        found[side] = (
            tuple(int(i) for i in part["image"]),
            tuple(float(r) for r in part["response"]),
        )
    return found


def _score(
    case: CaseReport, unit: int
) -> tuple[str, str | None, float | None, float | None, str | None]:
    score = case.scores[unit]
    others = [s for s in case.scores if s is not None]
    share = None if score is None else sum(s <= score for s in others) / len(others)
    reason = case.reasons[unit] if unit < len(case.reasons) else None
    metric = case.metric.label if case.metric else None
    return case.evaluation.label, metric, score, share, reason
