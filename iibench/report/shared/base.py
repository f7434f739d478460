"""What the pages of all runs share: the templates, and what stands in templates/shared/base.html."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Protocol

from iibench.contract.reports import Report
from iibench.contract.texts import writable
from iibench.report.shared.output import Output
from iibench.report.shared.script_json import script_json

if TYPE_CHECKING:
    from pathlib import Path

    import jinja2
    from markupsafe import Markup

    from iibench.contract.measures import Section
    from iibench.results.run import Run

__all__ = ["PageOutput", "environment", "frame", "problems", "remarks", "script_json", "shared"]

STATUSES = ("passed", "failed", "error", "skipped")
#: Scripts of the pages in their order; `theme.js` stands before the page's content.
SCRIPTS = (
    *(f"shared/js/{name}.js" for name in ("core", "state", "tables", "cards", "plots")),
    *(f"directions/explorer/{name}.js" for name in ("tiles", "gallery", "explorer")),
    *(f"directions/explorer/{name}.js" for name in ("unit_trials", "unit")),
    "directions/analyses/analyses.js",
)


class PageOutput(Output, Protocol):
    """An output that a whole page is written to."""

    def lies_in(self, folder: Path) -> bool:
        """Whether the page stands in this folder."""

    def embedded(self) -> Markup:
        """What the page must hold before its own scripts."""


def frame(payload: Any, output: PageOutput) -> dict[str, Any]:
    """The names that frame.html needs; `payload` is what the page's script reads."""
    from markupsafe import Markup

    return {"payload": Markup(script_json(payload)), "embedded": output.embedded()}


def shared(
    run: Run, sections: Sequence[Section], payload: Any, output: PageOutput
) -> dict[str, Any]:
    """The names that base.html needs of every run."""
    from iibench.report.shared.cards import cards

    reports = run.reports
    return {
        **frame(payload, output),
        "run": run,
        "meta": run.meta,
        "counts": counts(run),
        "met": {
            s: sum(v.status == s for v in run.verdicts) for s in ("passed", "failed", "skipped")
        },
        "problems": problems(reports),
        "remarks": remarks(reports),
        "sections": writable(sections),
        "linked": output.lies_in(run.folder),
        "cards": cards(run),
    }


def counts(run: Run) -> dict[str, int]:
    """Cases of the run by how they ended."""
    return {status: sum(r.status == status for r in run.reports) for status in STATUSES}


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
    return (case.ranked or case.evaluation).label


def code(text: str) -> Markup:
    """Plain text with what stands between backticks as code."""
    from markupsafe import Markup

    parts = [
        Markup("<code>{}</code>").format(part) if i % 2 else Markup("{}").format(part)
        for i, part in enumerate(text.split("`"))
    ]
    return Markup("").join(parts)


@functools.cache
def _compiled() -> jinja2.BytecodeCache:
    """Compiled templates for all pages of a process: a page's environment has functions of its own."""
    import jinja2
    from jinja2.bccache import Bucket

    class InMemory(jinja2.BytecodeCache):
        def __init__(self) -> None:
            self.known: dict[str, bytes] = {}

        def load_bytecode(self, bucket: Bucket) -> None:
            if bucket.key in self.known:
                bucket.bytecode_from_string(self.known[bucket.key])

        def dump_bytecode(self, bucket: Bucket) -> None:
            self.known[bucket.key] = bucket.bytecode_to_string()

    return InMemory()


def environment(run: Run | None = None, **functions: Callable[..., Any]) -> jinja2.Environment:
    """Templates of the pages: text is escaped, and a name that is missing is an error.

    `run`: whose cards are on the page; names without a card are not linked. `functions`: what the
    templates of this kind of page may call besides.
    """
    import jinja2
    from markupsafe import Markup

    from iibench.report.shared import cards, numbers

    folder = files("iibench.report") / "templates"

    def joined(*names: str) -> Markup:
        return Markup("\n").join(Markup((folder / name).read_text("utf-8")) for name in names)

    made = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: (folder / name).read_text("utf-8")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        bytecode_cache=_compiled(),
    )
    made.filters |= {
        "number": numbers.number,
        "signed": numbers.signed,
        "interval": numbers.interval,
        "p": numbers.p_value,
        "duration": numbers.duration,
        "moment": numbers.moment,
        "code": code,
    }
    made.globals |= {
        **functions,
        "card_href": cards.card_href,
        "anchors": cards.anchors(run) if run else frozenset(),
        "style": joined("shared/page.css", "directions/explorer/explorer.css"),
        "theme_script": joined("shared/js/theme.js"),
        "script": joined(*SCRIPTS),
    }
    return made
