"""A run's results: what is stored, how it is written, how it is read back.

A run folder holds `run.json` (everything but the scores of single units), `results.parquet` (one row
per unit and case), the tables of unit_tables.py (images, responses and trials of single units),
`leaderboard.csv` and the page. A run on trials adds the tables of trial_tables.py.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iibench.contract.errors import UsageError, one_line
from iibench.contract.measures import Measure
from iibench.contract.reports import CaseReport, Named, Report, Summary, TrialReport, Verdict
from iibench.contract.texts import plain_json, writable
from iibench.results.earlier import complete
from iibench.results.earlier_folders import TABLES
from iibench.results.own_folder import check_results
from iibench.results.trial_tables import filled, write_trial_numbers
from iibench.results.unit_tables import STEM, read_unit_table

if TYPE_CHECKING:
    import pandas as pd

    from iibench.contract.details import Details
    from iibench.contract.specs import Role

#: Version of the layout of a run folder; changes when a reader of the old one would misread it.
SCHEMA_VERSION = "2"
#: Files beside the page that a run may write.
FILES = ("run.json", "leaderboard.csv", *(f"{name}.parquet" for name in TABLES))
#: Versions that can be read. Runs of version 1 have neither least activating images nor trials of units.
READABLE = ("1", SCHEMA_VERSION)


@dataclass(frozen=True, repr=False)
class Run:
    """A finished (or interrupted) run.

    `meta` is the plain content of run.json apart from cases and verdicts: `schema_version`, `name`,
    `started`, `finished`, `seconds`, `interrupted`, `suite` (`name`, `description`, `path`, `sha256`,
    `text`), `seed`, `device`, `dtype`, `versions`, `plugins`, `datasets` (label -> fingerprint, n,
    splits, image_size, summary), `models` (label -> provenance, weights_sha256), `finders` (label ->
    role, called), `metrics` (label -> fingerprint, input size, range, citation, distance, sentence),
    `evaluations` (label -> unit, chance, sentence, plot, plot_over, leads; of trials headline_measure,
    measures, unit_numbers), `assets` (name -> filename, sha256), `notes` (`level`, `text`),
    `command`, `keyword`. A record of a dataset, model, finder, metric or evaluation also has `name`,
    `summary`, `definition`, `version`, `citation`, `bibtex`, `licence`, `params`, `parameters` (name,
    type, default, help), `plugin` and `assets` (names of those that it declares).
    """

    folder: Path
    meta: dict[str, Any]
    cases: tuple[CaseReport, ...]
    verdicts: tuple[Verdict, ...] = ()
    #: cases of a dataset of trials; a run has these or `cases`
    trial_cases: tuple[TrialReport, ...] = ()

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r}, {len(self.reports)} cases)"

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
        from iibench.results.leaderboard import leaderboard
        from iibench.results.trial_leaderboard import trial_leaderboard

        if self.trial_cases:
            return trial_leaderboard(self.trial_cases)
        return leaderboard(self.cases, self.sparseness())

    def metric_leaderboard(self) -> pd.DataFrame:
        """Metrics compared on the same units, for evaluations with a chance level: one row per case
        (see `metric_leaderboard.metric_leaderboard`)."""
        from iibench.results.metric_leaderboard import metric_leaderboard

        records = self.meta.get("evaluations", {})
        comparable = [label for label, r in records.items() if r.get("chance") is not None]
        return metric_leaderboard(self.cases, comparable)

    def measures(self) -> pd.DataFrame:
        """Of trials and analyses: every number, one row per case, measure and group of answers."""
        from iibench.results.trial_tables import measures_frame

        return measures_frame([*self.trial_cases, *(c for c in self.cases if c.is_analysis)])

    def trials(self) -> pd.DataFrame:
        """Of trials: one row per stimulus, with its images, attributes and votes."""
        return self._table("trials")

    def margins(self) -> pd.DataFrame:
        """Of trials: the observer's margin, one row per case and stimulus."""
        return self._table("margins")

    def details(self, case: CaseReport) -> Details | None:
        """What an analysis found: its figures and tables; None of a case that is none or failed."""
        if case.details is not None or not case.details_folder:
            return case.details
        from iibench.results.details_io import read_details

        return read_details(self.folder / "analyses" / case.details_folder)

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
        """The most and least activating images of all directions.

        Columns: dataset, model, layer, finder, side, unit, rank, image (index), response. `side`: "top"
        for the most, "bottom" for the least activating images; rank 0 is the most extreme.
        """
        return read_unit_table(self.folder, "exemplars")

    def directions(self) -> pd.DataFrame:
        """One row per direction: dataset, model, layer, finder, unit; `low`, `high` and `counts` (40
        equal bins between them) of its responses to the evaluated images, `sparseness` and share
        `positive` of them (see `ResponseFacts`). Empty for runs of schema version 1."""
        return self._directions.copy()

    @cached_property
    def _directions(self) -> pd.DataFrame:
        # the leaderboard, the explorer and the sweeps of a page all want it
        return read_unit_table(self.folder, "directions")

    def unit_trials(self) -> pd.DataFrame:
        """The images of the trials of directions, one row per finder, evaluation, unit and trial."""
        return read_unit_table(self.folder, "unit_trials")

    def unit_evidence(self) -> pd.DataFrame:
        """case, unit, trial, and the observer's evidence for the `strong` and the `weak` query."""
        return read_unit_table(self.folder, "unit_evidence")

    def sparseness(self) -> dict[tuple[str, str, str, str], float]:
        """(dataset, model, layer, finder) labels -> mean lifetime sparseness of its directions."""
        groups = self.directions().groupby(list(STEM), observed=True, sort=False)
        rows = groups["sparseness"].mean().reset_index().to_numpy().tolist()
        return {(str(d), str(m), str(y), str(f)): float(mean) for d, m, y, f, mean in rows}

    def images(self) -> dict[tuple[str, int], bytes]:
        """(dataset label, image index) -> PNG or JPEG, for the images that the page shows."""
        frame = read_unit_table(self.folder, "images")
        return {
            (str(dataset), int(image)): png
            for dataset, image, png in zip(
                frame["dataset"], frame["image"], frame["png"], strict=True
            )
        }

    @property
    def measured(self) -> bool:
        """Whether a case gave a number: of a run of skipped cases alone nothing follows."""
        return any(case.status in {"passed", "failed"} for case in self.reports)

    @property
    def failed(self) -> bool:
        """Whether a case failed or an expectation was not met."""
        return any(case.status in {"failed", "error"} for case in self.reports) or any(
            verdict.status == "failed" for verdict in self.verdicts
        )


def by_kind(
    reports: Sequence[Report],
) -> tuple[tuple[CaseReport, ...], tuple[TrialReport, ...]]:
    """(the reports of directions, those of trials)."""
    return (
        tuple(report for report in reports if isinstance(report, CaseReport)),
        tuple(report for report in reports if isinstance(report, TrialReport)),
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


def write_results(
    folder: Path,
    meta: Mapping[str, Any],
    reports: Sequence[Report],
    verdicts: Sequence[Verdict],
    units: Sequence[str] | None = None,
) -> Run:
    """Writes all scores and measures, and `run.json`, into an existing folder; returns the run.

    `units`: of trials, the names of the units. What else belongs to a run is made from these files, or
    can be done without.
    """
    of_directions, of_trials = by_kind(reports)
    cases = tuple(_kept(folder, meta, of_directions))
    run = Run(folder, dict(meta), cases, tuple(verdicts), of_trials)
    run.units().to_parquet(folder / "results.parquet", index=False)
    if any(report.scored for report in of_trials):
        write_trial_numbers(folder, of_trials, units)
    write_record(folder, run)
    return run


def write_record(folder: Path, run: Run) -> None:
    """Writes `run.json` into an existing folder."""
    content = {
        **run.meta,
        "cases": [_case_json(case) for case in run.cases],
        "trial_cases": [_trial_case_json(case) for case in run.trial_cases],
        "verdicts": [dataclasses.asdict(verdict) for verdict in run.verdicts],
    }
    text = json.dumps(plain_json(content), indent=1, allow_nan=False)
    (folder / "run.json").write_text(text, encoding="utf-8")


def write_leaderboard(folder: Path, run: Run) -> None:
    """Writes `leaderboard.csv` into an existing folder."""
    file = folder / "leaderboard.csv"
    run.leaderboard().to_csv(file, index=False, float_format="%.8g", encoding="utf-8")


def _kept(
    folder: Path, meta: Mapping[str, Any], cases: Sequence[CaseReport]
) -> Iterator[CaseReport]:
    """The reports with their finders' roles, analyses with the name of the folder into which their
    details were written."""
    from iibench.results.details_io import write_details

    for case in cases:
        case = dataclasses.replace(case, role=_role(meta, case.finder.label))
        if case.details is not None:
            digest = hashlib.sha256(case.id.encode()).hexdigest()[:8]
            name = f"{case.evaluation.name}-{digest}"
            try:
                write_details(folder / "analyses" / name, case.details)
                case = dataclasses.replace(case, details_folder=name)
            except Exception as error:  # its measures stand, whatever its figures hold
                shutil.rmtree(folder / "analyses" / name, ignore_errors=True)
                note = f"its figures and tables could not be written: {one_line(error)}"
                case = dataclasses.replace(case, details=None, notes=(*case.notes, note))
        yield case


def _role(meta: Mapping[str, Any], finder: str) -> Role:
    found: Role = meta.get("finders", {}).get(finder, {}).get("role", "method")
    return found


def _case_json(case: CaseReport) -> dict[str, Any]:
    bare = dataclasses.replace(case, scores=(), reasons=(), details=None)
    plain = dataclasses.asdict(bare)
    for name in ("scores", "reasons", "details", "role"):
        del plain[name]
    return plain


def _trial_case_json(case: TrialReport) -> dict[str, Any]:
    """The report without what stands in tables of its own."""
    bare = dataclasses.replace(case, measures=(), curves=(), margins=(), per_unit={}, resampled=())
    plain = dataclasses.asdict(bare)
    for name in ("measures", "curves", "margins", "per_unit", "resampled"):
        del plain[name]
    return plain


# ------------------------------------------------------------------------------------ reading


def load_run(path: str | Path) -> Run:
    """Reads a run folder (or its run.json) back.

    Raises `UsageError` where there is no run, it was written with another schema version, or a file is not
    what was written.
    """
    folder = Path(path)
    folder = folder.parent if folder.name == "run.json" else folder
    file = folder / "run.json"
    try:
        content = writable(json.loads(file.read_text(encoding="utf-8")))
        if not isinstance(content, dict):
            raise ValueError("it is no run of iibench")
    except FileNotFoundError:
        raise UsageError(f"{folder} is no run folder: there is no run.json in it") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{file} cannot be read: {error}") from None
    if content.get("schema_version") not in READABLE:
        raise UsageError(
            f"{file} has schema version {content.get('schema_version')!r}; "
            f"this iibench reads {' and '.join(READABLE)}"
        )
    check_results(folder)
    try:
        return _from_content(folder, content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{file} is no complete record of a run ({one_line(error)})") from error


def _from_content(folder: Path, content: dict[str, Any]) -> Run:
    import pandas as pd

    units = pd.read_parquet(folder / "results.parquet")
    scores: dict[str, tuple[tuple[float | None, ...], tuple[str | None, ...]]] = {}
    for case_id, rows in units.groupby("case", observed=True, sort=False):
        scores[str(case_id)] = (
            tuple(None if pd.isna(s) else float(s) for s in rows["score"]),
            tuple(None if pd.isna(r) else str(r) for r in rows["reason"]),
        )
    complete(content)
    cases = tuple(_case_from_json(plain, scores, content) for plain in content.pop("cases"))
    of_trials = [TrialReport(**_read_back(plain)) for plain in content.pop("trial_cases", [])]
    verdicts = tuple(Verdict(**plain) for plain in content.pop("verdicts"))
    return Run(folder, content, cases, verdicts, filled(folder, of_trials))


def _case_from_json(
    plain: dict[str, Any],
    scores: Mapping[str, tuple[tuple[float | None, ...], tuple[str | None, ...]]],
    meta: Mapping[str, Any],
) -> CaseReport:
    values, reasons = scores.get(plain["id"], ((), ()))
    role = _role(meta, plain["finder"]["label"])
    return CaseReport(**_read_back(plain), scores=values, reasons=reasons, role=role)


def _read_back(plain: dict[str, Any]) -> dict[str, Any]:
    """Fields of a report as run.json holds them, as objects."""
    for name in {"model", "finder", "metric", "evaluation"} & set(plain):
        plain[name] = Named(**plain[name]) if plain[name] else None
    if plain["summary"]:
        plain["summary"] = Summary(**plain["summary"])
    plain["notes"] = tuple(plain["notes"])
    if "measures" in plain:
        plain["measures"] = tuple(Measure(**measure) for measure in plain["measures"])
    return plain


def run_folders(path: Path) -> list[Path]:
    """The run folder `path` itself, or the run folders below it, by name.

    Raises `UsageError` where there is none.
    """
    if path.name == "run.json" or (path / "run.json").is_file():
        return [path]
    found = sorted(
        file.parent
        for file in path.rglob("run.json")
        if not any(part.startswith(".") for part in file.relative_to(path).parts)
    )
    if not found:
        raise UsageError(f"{path} is no run folder and holds none: there is no run.json in it")
    return found


def load_runs(paths: Sequence[Path]) -> tuple[list[Run], list[str]]:
    """(the runs at and below `paths`, each once; what is wrong with those that cannot be read).

    Raises `UsageError` where a path names one run that cannot be read, or none can.
    """
    found: dict[Path, Run] = {}
    problems: list[str] = []
    for path in paths:
        folders = run_folders(path)
        for folder in folders:
            try:
                found.setdefault(folder.resolve(), load_run(folder))
            except UsageError as error:
                if folders == [path]:
                    raise
                problems.append(str(error))
    if not found:
        raise UsageError("; ".join(problems))
    return list(found.values()), problems
