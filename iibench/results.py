"""A run's results: what is stored, how it is written, how it is read back.

A run folder holds `run.json` (everything but the scores of single units), `results.parquet` (one row
per unit and case), `exemplars.parquet` (the most activating images of each direction),
`images.parquet` (the images that the page shows, as PNG), `leaderboard.csv` and the page. A run on
trials adds the tables of trial_results.py.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iibench.errors import UsageError
from iibench.records import (
    CaseReport,
    Exemplars,
    Named,
    Report,
    Summary,
    TrialReport,
    Verdict,
)
from iibench.trial_results import filled

if TYPE_CHECKING:
    import pandas as pd

#: Version of the layout of a run folder; changes when a reader of the old one would misread it.
SCHEMA_VERSION = "1"


@dataclass(frozen=True)
class Run:
    """A finished (or interrupted) run.

    `meta` is the plain content of run.json apart from cases and verdicts: `schema_version`, `name`,
    `started`, `finished`, `seconds`, `interrupted`, `suite` (`name`, `description`, `path`, `sha256`,
    `text`), `seed`, `device`, `dtype`, `versions`, `plugins`, `datasets` (label -> fingerprint, n,
    splits, image_size, summary), `models` (label -> provenance, weights_sha256), `finders`, `metrics`
    (label -> fingerprint, input size, range, citation, distance), `evaluations` (label -> unit,
    chance, plot, plot_over, citation), `assets` (name -> filename, sha256), `notes` (`level`, `text`),
    `command`.
    """

    folder: Path
    meta: dict[str, Any]
    cases: tuple[CaseReport, ...]
    verdicts: tuple[Verdict, ...] = ()
    #: cases of a dataset of trials; a run has these or `cases`
    trial_cases: tuple[TrialReport, ...] = ()

    @property
    def reports(self) -> tuple[Report, ...]:
        """Every case, of directions or of trials."""
        return (*self.cases, *self.trial_cases)

    def units(self) -> pd.DataFrame:
        """One row per unit and case: case, dataset, model, layer, finder, metric, evaluation, unit,
        score (NaN where unscored), reason."""
        return units_frame(self.cases)

    def leaderboard(self) -> pd.DataFrame:
        """One row per case, best first within each table of cases that can be compared.

        A table is a dataset, model, layer, evaluation and metric; or, of trials, a dataset and an
        evaluation (see `leaderboard.leaderboard`, `trial_leaderboard.trial_leaderboard`).
        """
        return self._leaderboard.copy()

    @cached_property
    def _leaderboard(self) -> pd.DataFrame:
        # the tests behind it take seconds, and both the table on disk and the page want it
        from iibench.leaderboard import leaderboard
        from iibench.trial_leaderboard import trial_leaderboard

        return trial_leaderboard(self.trial_cases) if self.trial_cases else leaderboard(self.cases)

    def measures(self) -> pd.DataFrame:
        """Of trials: every number, one row per case, measure and group of answers."""
        from iibench.trial_results import measures_frame

        return measures_frame(self.trial_cases)

    def trials(self) -> pd.DataFrame:
        """Of trials: one row per stimulus, with its images, attributes and votes."""
        return self._table("trials")

    def margins(self) -> pd.DataFrame:
        """Of trials: the observer's margin, one row per case and stimulus."""
        return self._table("margins")

    def unit_measures(self) -> pd.DataFrame:
        """Of trials: numbers of single units: case, unit (its name), measure, value."""
        return self._table("unit_measures")

    def _table(self, name: str) -> pd.DataFrame:
        import pandas as pd

        file = self.folder / f"{name}.parquet"
        if not file.is_file():
            raise UsageError(f"{self.folder} has no {file.name}: it is no run on trials")
        return pd.read_parquet(file)

    def exemplars(self) -> pd.DataFrame:
        """dataset, model, layer, finder, unit, rank (0 = most activating), image (index), response."""
        import pandas as pd

        return pd.read_parquet(self.folder / "exemplars.parquet")

    def images(self) -> dict[tuple[str, int], bytes]:
        """(dataset label, image index) -> PNG, for the images that the page shows."""
        import pandas as pd

        frame = pd.read_parquet(self.folder / "images.parquet")
        return {
            (str(dataset), int(image)): png
            for dataset, image, png in zip(
                frame["dataset"], frame["image"], frame["png"], strict=True
            )
        }

    @property
    def failed(self) -> bool:
        """Whether a case failed or an expectation was not met."""
        return any(case.status in {"failed", "error"} for case in self.reports) or any(
            verdict.status == "failed" for verdict in self.verdicts
        )


def units_frame(cases: Sequence[CaseReport]) -> pd.DataFrame:
    """The long table of `Run.units`."""
    import numpy as np
    import pandas as pd

    frames = []
    for case in cases:
        if not case.scores:
            continue
        k = len(case.scores)
        frames.append(
            pd.DataFrame(
                {
                    "case": case.id,
                    "dataset": case.dataset,
                    "model": case.model.label,
                    "layer": case.layer,
                    "finder": case.finder.label,
                    "metric": case.metric.label if case.metric else None,
                    "evaluation": case.evaluation.label,
                    "unit": np.arange(k, dtype=np.int32),
                    "score": np.array(
                        [np.nan if s is None else s for s in case.scores], np.float64
                    ),
                    "reason": pd.Series(case.reasons, dtype="str"),
                }
            )
        )
    columns = ["dataset", "model", "layer", "finder", "metric", "evaluation"]
    if not frames:
        return pd.DataFrame(columns=["case", *columns, "unit", "score", "reason"])
    table = pd.concat(frames, ignore_index=True)
    for column in ("case", *columns):
        table[column] = table[column].astype("category")
    return table


# ------------------------------------------------------------------------------------ writing


def write_tables(
    folder: Path,
    meta: Mapping[str, Any],
    reports: Sequence[Report],
    verdicts: Sequence[Verdict],
    exemplars: Sequence[Exemplars],
    images: Mapping[tuple[str, int], bytes],
) -> Run:
    """Writes everything but the page into an existing folder; returns the run."""
    run = Run(
        folder,
        dict(meta),
        tuple(report for report in reports if isinstance(report, CaseReport)),
        tuple(verdicts),
        tuple(report for report in reports if isinstance(report, TrialReport)),
    )
    run.units().to_parquet(folder / "results.parquet", index=False)
    _exemplars_frame(exemplars).to_parquet(folder / "exemplars.parquet", index=False)
    _images_frame(images).to_parquet(folder / "images.parquet", index=False)
    run.leaderboard().to_csv(folder / "leaderboard.csv", index=False, float_format="%.8g")
    content = {
        **run.meta,
        "cases": [_case_json(case) for case in run.cases],
        "trial_cases": [_trial_case_json(case) for case in run.trial_cases],
        "verdicts": [dataclasses.asdict(verdict) for verdict in verdicts],
    }
    text = json.dumps(content, indent=1, allow_nan=False)
    (folder / "run.json").write_text(text, encoding="utf-8")
    return run


def _case_json(case: CaseReport) -> dict[str, Any]:
    plain = dataclasses.asdict(dataclasses.replace(case, scores=(), reasons=()))
    del plain["scores"], plain["reasons"]
    return plain


def _trial_case_json(case: TrialReport) -> dict[str, Any]:
    """The report without what stands in tables of its own."""
    bare = dataclasses.replace(case, measures=(), curves=(), margins=(), per_unit={}, resampled=())
    plain = dataclasses.asdict(bare)
    for name in ("measures", "curves", "margins", "per_unit", "resampled"):
        del plain[name]
    return plain


def _exemplars_frame(exemplars: Sequence[Exemplars]) -> pd.DataFrame:
    import numpy as np
    import pandas as pd

    columns: dict[str, list[Any]] = {
        name: []
        for name in ("dataset", "model", "layer", "finder", "unit", "rank", "image", "response")
    }
    for item in exemplars:
        k, m = item.images.shape
        for name in ("dataset", "model", "layer", "finder"):
            columns[name].append(np.full(k * m, getattr(item, name), object))
        columns["unit"].append(np.repeat(np.arange(k, dtype=np.int32), m))
        columns["rank"].append(np.tile(np.arange(m, dtype=np.int32), k))
        columns["image"].append(item.images.ravel())
        columns["response"].append(np.asarray(item.responses, np.float32).ravel())
    return pd.DataFrame(
        {name: np.concatenate(parts) if parts else [] for name, parts in columns.items()}
    )


def _images_frame(images: Mapping[tuple[str, int], bytes]) -> pd.DataFrame:
    import pandas as pd

    keys = sorted(images)
    return pd.DataFrame(
        {
            "dataset": [dataset for dataset, _ in keys],
            "image": [image for _, image in keys],
            "png": [images[key] for key in keys],
        }
    )


# ------------------------------------------------------------------------------------ reading


def load_run(path: str | Path) -> Run:
    """Reads a run folder (or its run.json) back.

    Raises `UsageError` where there is no run or it was written with another schema version.
    """
    import pandas as pd

    folder = Path(path)
    folder = folder.parent if folder.name == "run.json" else folder
    file = folder / "run.json"
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{folder} is no run folder: there is no run.json in it") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{file} cannot be read: {error}") from None
    if content.get("schema_version") != SCHEMA_VERSION:
        raise UsageError(
            f"{file} has schema version {content.get('schema_version')!r}; "
            f"this iibench reads {SCHEMA_VERSION!r}"
        )
    units = pd.read_parquet(folder / "results.parquet")
    scores: dict[str, tuple[tuple[float | None, ...], tuple[str | None, ...]]] = {}
    for case_id, rows in units.groupby("case", observed=True, sort=False):
        scores[str(case_id)] = (
            tuple(None if pd.isna(s) else float(s) for s in rows["score"]),
            tuple(None if pd.isna(r) else str(r) for r in rows["reason"]),
        )
    cases = tuple(_case_from_json(plain, scores) for plain in content.pop("cases"))
    of_trials = [TrialReport(**_read_back(plain)) for plain in content.pop("trial_cases", [])]
    verdicts = tuple(Verdict(**plain) for plain in content.pop("verdicts"))
    return Run(folder, content, cases, verdicts, filled(folder, of_trials))


def _case_from_json(
    plain: dict[str, Any],
    scores: Mapping[str, tuple[tuple[float | None, ...], tuple[str | None, ...]]],
) -> CaseReport:
    values, reasons = scores.get(plain["id"], ((), ()))
    return CaseReport(**_read_back(plain), scores=values, reasons=reasons)


def _read_back(plain: dict[str, Any]) -> dict[str, Any]:
    """Fields of a report as run.json holds them, as objects."""
    for name in {"model", "finder", "metric", "evaluation"} & set(plain):
        plain[name] = Named(**plain[name]) if plain[name] else None
    if plain["summary"]:
        plain["summary"] = Summary(**plain["summary"])
    plain["notes"] = tuple(plain["notes"])
    return plain
