"""The page of a run on directions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from iibench.report.shared.base import PageOutput, environment, shared

if TYPE_CHECKING:
    from iibench.contract.measures import Section
    from iibench.report.directions.tables import Family, Place, View
    from iibench.report.shared.plots import Figure, Look
    from iibench.results.run import Run


#: With more units than this on the page, plots show only those beyond the whiskers.
MOST_POINTS = 60_000


@dataclass(frozen=True)
class Placed:
    """Figures of a family by where they stand: name on the page and figure.

    `of_view`: per whole metric; `halves`: split halves of each; `of_parts`: over the parts of a metric.
    """

    of_view: tuple[tuple[tuple[str, Figure], ...], ...] = ()
    halves: tuple[tuple[str, Figure], ...] = ()
    of_parts: tuple[tuple[str, Figure], ...] = ()


def render(run: Run, output: PageOutput, sections: Sequence[Section] = ()) -> str:
    """The HTML of the page of a run on directions; what its views load goes to `output`."""
    from iibench.report.directions.analyses.analyses import analyses, images_shown, read_analyses
    from iibench.report.directions.explorer.explorer import explorer
    from iibench.report.directions.metric_tables import metric_rows
    from iibench.report.directions.plots import looks, span, strip
    from iibench.report.directions.statements import statements
    from iibench.report.directions.sweeps.sweeps import sweeps
    from iibench.report.directions.tables import places
    from iibench.report.directions.words import answers, definitions, in_short

    found = places(run, run.leaderboard())
    figures, left_out = _figures(found, looks(run.cases), output)
    metrics = run.metric_leaderboard()
    read = read_analyses(run, found)
    analysed = analyses(found, read, run.meta.get("evaluations", {}), output)
    index = explorer(run, found, output, images_shown(found, read))
    return (
        environment(run, strip=strip, span=span)
        .get_template("directions/page.html")
        .render(
            **shared(run, sections, {"explorer": index}, output),
            places=found,
            explorable={int(p) for p in index.get("places", {})},
            metrics_of={
                (i, j): metric_rows(metrics, place, family)
                for i, place in enumerate(found)
                for j, family in enumerate(place.families)
            },
            analyses_of=analysed,
            statements=statements(run),
            figures_of=figures,
            sweeps_of=sweeps(run, found, output),
            in_short=in_short,
            left_out=left_out,
            answers=answers(found),
            definitions=definitions(run, found),
        )
    )


def _figures(
    found: Sequence[Place], look: dict[str, Look], output: PageOutput
) -> tuple[dict[tuple[int, int], Placed], int]:
    """((place, family) -> its figures, number of figures that there was no room for).

    Their data go to `plots-PLACE-FAMILY` of the output, which the page loads when one is near.
    """
    from iibench.report.shared.plots import plot_data

    boxes = [f for place in found for f in place.families if f.over is None]
    units = sum(len(row.case.scores) for f in boxes for view in f.whole for row in view.rows)
    placed: dict[tuple[int, int], Placed] = {}
    left_out = 0
    for i, place in enumerate(found):
        for j, family in enumerate(place.families):
            made = _placed(family, f"plot-{i}-{j}", look, units <= MOST_POINTS)
            every = [f for of_view in made.of_view for f in of_view]
            every += [*made.halves, *made.of_parts]
            if every and not output.data(f"plots-{i}-{j}", plot_data(every)):
                left_out += len(every)
                made = Placed(of_view=((),) * len(family.whole))
            placed[i, j] = made
    return placed, left_out


def _placed(family: Family, name: str, look: dict[str, Look], every: bool) -> Placed:
    from iibench.report.directions.plots import box_figure, halves_figure, line_figure

    unit = str(family.record.get("unit") or "")

    def named(kind: str, figures: Sequence[Figure | None]) -> tuple[tuple[str, Figure], ...]:
        return tuple((f"{name}-{kind}{n}", f) for n, f in enumerate(figures) if f is not None)

    def main(view: View) -> Figure | None:
        if family.over is None:
            return box_figure(view, unit, look, every)
        return line_figure(family, view.metric, look, view)

    of_view = tuple(named(f"{k}-", [main(view)]) for k, view in enumerate(family.whole))
    if family.over is not None:
        return Placed(of_view)
    halves = named("halves-", [halves_figure(view, unit, look) for view in family.whole])
    return Placed(of_view, halves, named("parts-", _parts_figures(family, unit, look, every)))


def _parts_figures(
    family: Family, unit: str, look: dict[str, Look], every: bool
) -> list[Figure | None]:
    """A figure per metric with parts: the baseline beside the main method, or the best other one."""
    from iibench.report.directions.plots import parts_figure

    figures = []
    for base in dict.fromkeys(view.base for view in family.parts):
        views = sorted((v for v in family.parts if v.base == base), key=lambda v: v.part or "")
        whole = next((v for v in family.whole if v.base == base), views[0])
        rows = [row for row in whole.rows if row.mean is not None]
        baseline = [row.finder for row in rows if row.case.role == "baseline"][:1]
        others = [row for row in rows if row.case.role != "baseline"]
        main = [row.finder for row in others if row.case.role == "main"]
        chosen = baseline + (main or [row.finder for row in others])[:1]
        figures.append(parts_figure(views, chosen, unit, look, every))
    return figures
