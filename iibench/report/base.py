"""What the pages of all runs share: the templates, and what stands in templates/base.html."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from iibench.records import CaseReport, Report

if TYPE_CHECKING:
    import jinja2

    from iibench.records import Section
    from iibench.results import Run

PLOTLY = "plotly.min.js"
STATUSES = ("passed", "failed", "error", "skipped")


def shared(run: Run, sections: Sequence[Section], payload: Any) -> dict[str, Any]:
    """The names that base.html needs of every run; `payload` is what the page's script reads."""
    from markupsafe import Markup

    reports = run.reports
    return {
        "run": run,
        "meta": run.meta,
        "counts": {status: sum(r.status == status for r in reports) for status in STATUSES},
        "met": {
            s: sum(v.status == s for v in run.verdicts) for s in ("passed", "failed", "skipped")
        },
        "problems": problems(reports),
        "remarks": remarks(reports),
        "sections": sections,
        "plotly": PLOTLY,
        "payload": Markup(script_json(payload)),
    }


def script_json(value: Any) -> str:
    """Compact JSON that can stand inside a <script> element: it holds no `<`, `>` or `&`.

    Raises `ValueError` for a number that is not finite.
    """
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


def problems(reports: Sequence[Report]) -> list[tuple[str, str, list[Report]]]:
    """(status, reason, cases) of everything that did not pass, equal reasons together."""
    grouped: dict[tuple[str, str], list[Report]] = {}
    for status in ("error", "failed", "skipped"):
        for case in reports:
            if case.status == status:
                grouped.setdefault((status, case.reason or "no reason given"), []).append(case)
    return [(status, reason, cases) for (status, reason), cases in grouped.items()]


def remarks(reports: Sequence[Report]) -> list[tuple[str, list[str]]]:
    """(what was noted about cases, the finders or metrics that it is about), each once."""
    grouped: dict[str, list[str]] = {}
    for case in reports:
        for note in case.notes:
            about = grouped.setdefault(note, [])
            if _subject(case) not in about:
                about.append(_subject(case))
    return list(grouped.items())


def _subject(case: Report) -> str:
    if isinstance(case, CaseReport):
        return case.finder.label
    return (case.metric or case.evaluation).label


def environment() -> jinja2.Environment:
    """Templates of the pages: text is escaped, and a name that is missing is an error."""
    import jinja2
    from markupsafe import Markup

    from iibench.report import numbers, plots

    folder = files("iibench.report") / "templates"
    made = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: (folder / name).read_text("utf-8")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "number": numbers.number,
        "signed": numbers.signed,
        "interval": numbers.interval,
        "p": numbers.p_value,
        "duration": numbers.duration,
        "moment": numbers.moment,
    }
    made.globals |= {
        "strip": plots.strip,
        "span": plots.span,
        "style": Markup((folder / "page.css").read_text("utf-8")),
        "script": Markup((folder / "page.js").read_text("utf-8")),
    }
    return made
