"""A run that shows itself: in a notebook, as figures, and with the images of single units."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, overload

from iibench.report.figures import figure
from iibench.results import run as results

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

    from iibench.report.notebook import UnitExemplars


class ShownRun(results.Run):
    """A `Run` with figures and pictures; what `iibench.run` and `iibench.load_run` return.

    >>> run = load_run("reports/sample")
    >>> {"finder", "metric", "mean"} <= set(run.leaderboard().columns)
    True
    """

    def _repr_html_(self) -> str:
        from iibench.report.notebook import run_html

        return run_html(self)

    @overload
    def exemplars(self) -> pd.DataFrame: ...
    @overload
    def exemplars(
        self, unit: int | str, finder: str | None = None, place: int | str | None = None
    ) -> UnitExemplars: ...
    def exemplars(
        self,
        unit: int | str | None = None,
        finder: str | None = None,
        place: int | str | None = None,
    ) -> pd.DataFrame | UnitExemplars:
        """The most and least activating images: of all directions as a table, or of one as pictures.

        The table: see `Run.exemplars`. With a `unit`: see `notebook.unit_exemplars`.
        """
        if unit is None:
            return super().exemplars()
        from iibench.report.notebook import unit_exemplars

        return unit_exemplars(self, unit, finder, place)

    def figure(
        self, what: str, *, metric: str | None = None, place: int | str | None = None
    ) -> go.Figure:
        """An evaluation as a plotly figure, such as `run.figure("ii")` (see `figures.figure`)."""
        return figure(self, what, metric=metric, place=place)


def shown(run: results.Run) -> ShownRun:
    """The same run, with what has been computed of it."""
    found = ShownRun(run.folder, run.meta, run.cases, run.verdicts, run.trial_cases)
    vars(found).update(vars(run))
    return found


def load_run(folder: str | Path) -> ShownRun:
    """A run from its folder; raises `UsageError` where there is none, or one that cannot be read.

    >>> run = load_run("reports/sample")
    >>> run.meta["name"]
    'quickstart'
    """
    return shown(results.load_run(folder))
