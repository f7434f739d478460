"""Repeats a run from its `run.json`, and says how far the repetition is from it.

The suite's text, its overrides, added metrics, limit, seed, keyword and batch size are those of the run;
only the cases that it holds are run again. Its folder is read and never written to.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from iibench.contract.errors import SuiteError, UsageError
from iibench.contract.reports import Report
from iibench.hooks.hookspecs import hookimpl
from iibench.runner.claim import new_folder
from iibench.runner.options import run_config
from iibench.runner.session import Session, prepare
from iibench.suite.load import shipped_paths

if TYPE_CHECKING:
    from iibench.hooks.loaded import Plugins
    from iibench.results.comparison.cases import CaseComparison
    from iibench.results.comparison.runs import RunComparison
    from iibench.results.run import Run
    from iibench.suite.cases import AnyCase
    from iibench.suite.schema import Suite

BOM = b"\xef\xbb\xbf"
#: First-party plugins that older runs had under another name, or that another one registers now.
RENAMED = {
    "datasets.imi_standin": "datasets.imi",
    "finders.overcomplete_finders": "finders.overcomplete",
    "models.imi_models": "models.imi",
}


@dataclass
class OnlyCases:
    """A plugin that keeps the cases with the ids given; `datasets`: labels of all that came up."""

    ids: frozenset[str]
    datasets: list[str] = field(default_factory=list)

    @hookimpl
    def iibench_collection_modify(self, suite: Suite, cases: list[AnyCase]) -> None:
        """Leaves out every other case."""
        self.datasets = list(dict.fromkeys(case.dataset.label for case in cases))
        cases[:] = [case for case in cases if case.id in self.ids]


@dataclass(frozen=True)
class Deviation:
    """How far the cases of an evaluation and metric are from their repetition.

    `unit_change`: the largest |change| of a score, at `unit` of the case `unit_case`; `mean_change`: of a
    mean or other measure, in the case `mean_case`. None where nothing could be held against anything.
    `item`: what a unit is, "unit" or "stimulus".
    """

    evaluation: str
    metric: str | None
    cases: int
    item: str
    unit_change: float | None = None
    unit: int | None = None
    unit_case: str = ""
    mean_change: float | None = None
    mean_case: str = ""

    @property
    def largest(self) -> float:
        """The larger of the two, 0 where there is neither."""
        return max(self.unit_change or 0.0, self.mean_change or 0.0)


# ------------------------------------------------------------------------------------ before


def suite_bytes(run: Run) -> bytes:
    """The suite file of a run as it was read. Raises `UsageError` where run.json does not hold it."""
    suite = run.meta.get("suite") or {}
    text = suite.get("text")
    if not isinstance(text, str) or not text.strip():
        raise UsageError(
            f"{run.folder / 'run.json'} has no text of its suite (suite.text), so the run cannot be "
            "repeated from it"
        )
    content = text.encode("utf-8")
    for found in (content, BOM + content):
        if hashlib.sha256(found).hexdigest() == suite.get("sha256"):
            return found
    raise UsageError(
        f"{run.folder / 'run.json'}: the text of the suite is not the one whose SHA-256 it records "
        "(suite.text, suite.sha256): it was changed after the run"
    )


def folder_of_suite(content: bytes) -> Path:
    """The folder that relative paths refer to: of the shipped suite with this content, else the current."""
    for path in shipped_paths().values():
        if path.read_bytes() == content:
            return path.parent
    return Path.cwd()


def rerun_folder(run: Run) -> Path:
    """A new folder for a repetition, the default one."""
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    wanted = Path("reports") / f"{run.meta.get('name', 'run')}-rerun-{stamp}"
    try:
        return new_folder(wanted)
    except OSError as error:
        raise UsageError(
            f"the output folder {wanted} cannot be written: {error.strerror}; "
            "choose another with --output"
        ) from error


def missing_plugins(run: Run, plugins: Plugins) -> list[str]:
    """A sentence for each plugin that the run had and that is not loaded now, or has another name."""
    loaded = {record.name for record in plugins.records if record.status == "ok"}
    had = [p["name"] for p in run.meta.get("plugins") or () if p.get("status", "ok") == "ok"]
    told = []
    for name in dict.fromkeys(had):
        if name in loaded:
            continue
        if RENAMED.get(name) in loaded:
            told.append(f"note: what the run had from the plugin {name} is in {RENAMED[name]} now")
        else:
            told.append(
                f"warning: the run had the plugin {name}, which is not loaded now "
                "(-p and --plugins-dir load plugins)"
            )
    return told


def prepare_rerun(run: Run, plugins: Plugins, folder: Path, **options: Any) -> Session:
    """A session that repeats the run, ready to execute; `options`: further fields of `RunConfig`.

    `folder`: an existing one for the suite file, which is read here and not needed later. Raises
    `UsageError` where the run cannot be repeated, or none of its cases comes up here.
    """
    meta = run.meta
    name = Path(str((meta.get("suite") or {}).get("path") or "suite.yaml")).name
    content = suite_bytes(run)
    file = folder / name
    file.write_bytes(content)
    only = OnlyCases(frozenset(report.id for report in run.reports))
    if not only.ids:
        raise UsageError(f"{run.folder} holds no case, so there is nothing to repeat")
    config = run_config(
        file,
        limit=meta.get("limit"),
        seed=meta.get("seed"),
        keyword=meta.get("keyword") or "",
        overrides=tuple(meta.get("overrides") or ()),
        metrics=tuple(meta.get("added_metrics") or ()),
        batch_size=meta.get("batch_size"),
        precision=meta.get("dtype") or "float32",
        **{**options, "base_dir": options.get("base_dir") or folder_of_suite(content)},
    )
    plugins.manager.register(only, "rerun")
    try:
        session = prepare(config, plugins)
    except (
        SuiteError
    ) as error:  # the file has its name alone: it stands in no folder of the reader's
        raise SuiteError(str(error).replace(str(file), name)) from error
    finally:
        plugins.manager.unregister(only)
    if not session.cases:
        session.close()
        raise UsageError(_nothing_to_repeat(run, only.datasets))
    return session


def _nothing_to_repeat(run: Run, here: Sequence[str]) -> str:
    used = sorted({report.dataset for report in run.reports})
    if set(used).isdisjoint(here):
        return (
            f"{run.folder} used the dataset {', '.join(used)}, and here its suite takes "
            f"{', '.join(here) or 'none'}: a suite with a fallback decides anew by whether its dataset "
            "can be had (iibench assets says which file to put where)"
        )
    return f"no case of {run.folder} comes up when its suite is collected here: the ids differ"


# ------------------------------------------------------------------------------------- after


def deviations(found: RunComparison) -> list[Deviation]:
    """The largest deviation for each evaluation and metric, in the order of the cases."""
    groups: dict[tuple[str, str | None], list[CaseComparison]] = {}
    for case in found.cases:
        metric = case.a.metric.label if case.a.metric else None
        groups.setdefault((case.a.evaluation.label, metric), []).append(case)
    return [_deviation(*key, cases) for key, cases in groups.items()]


def _deviation(evaluation: str, metric: str | None, cases: Sequence[CaseComparison]) -> Deviation:
    units = [(*change, case.id) for case in cases if (change := _unit_change(case)) is not None]
    means = [(change, case.id) for case in cases for change in _mean_changes(case)]
    unit = max(units, key=lambda found: found[0], default=(None, None, ""))
    mean = max(means, key=lambda found: found[0], default=(None, ""))
    return Deviation(evaluation, metric, len(cases), cases[0].item, *unit, *mean)


def _unit_change(case: CaseComparison) -> tuple[float, int] | None:
    """(largest |change|, unit) of the units that are scored in both; None where there is none."""
    x, y = case.scores
    if len(x) != len(y):
        return None
    sizes = np.abs(y - x)
    if np.isnan(sizes).all():
        return None
    unit = int(np.nanargmax(sizes))
    return float(sizes[unit]), unit


def _mean_changes(case: CaseComparison) -> Iterable[float]:
    if case.mean_a is not None and case.mean_b is not None:
        yield abs(case.mean_b - case.mean_a)
    yield from (abs(m.change) for m in case.measures if m.change is not None)


def breaks(found: RunComparison) -> list[str]:
    """What no number expresses: cases that ended otherwise or are not there, units scored once."""
    told = [f"{report.id}: not repeated" for report in found.only_a]
    for case in found.cases:
        if case.status_changed:
            told.append(f"{case.id}: {_ended(case.a)} before, {_ended(case.b)} now")
        x, y = case.scores
        if len(x) != len(y):
            told.append(f"{case.id}: {len(x)} {case.item} scores before, {len(y)} now")
        elif once := np.flatnonzero(np.isnan(x) != np.isnan(y)).tolist():
            more = f" and {len(once) - 1} more" if len(once) > 1 else ""
            told.append(f"{case.id}: {case.item} {once[0]}{more} scored in one of the two only")
        lost = [m.name for m in case.measures if (m.a is None) != (m.b is None)]
        if lost:
            told.append(f"{case.id}: {', '.join(lost)} defined in one of the two only")
    return told


def _ended(report: Report) -> str:
    reason = report.reason.splitlines()[0] if report.reason and report.reason.strip() else ""
    return f"{report.status} ({reason})" if reason else report.status
