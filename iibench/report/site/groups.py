"""Results of several runs that may share a table, and why others may not.

A table holds one dataset (label, fingerprint and size of the evaluated split), model (label, weights up
to the layer), layer, evaluation (label, version) and metric (label, version, fingerprint). Runs on
trials share a table where dataset, evaluation and the seed of the resamples agree: metrics are compared
in pairs over the same resamples.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from iibench.report.directions.tables import Place, places
from iibench.report.trials.tables import evaluated
from iibench.results.run import Run, by_kind

if TYPE_CHECKING:
    from iibench.contract.reports import Report

#: (what is compared, what it is in this table), in words; the labels of a table come first.
Facts = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Group:
    """Rows that share a table. `key`: the facts that all of them share; its `labels` are what a reader
    sees of it. `rows`: (run, report); `runs`: per row every run that has it with the same scores.
    `apart`: why tables under the same labels are other tables.
    """

    labels: Facts
    key: Facts
    rows: tuple[tuple[Run, Report], ...]
    runs: tuple[tuple[Run, ...], ...]
    apart: tuple[str, ...] = ()

    @property
    def of_trials(self) -> bool:
        return self.rows[0][1].of_trials

    @property
    def shared(self) -> bool:
        """Whether several runs meet in it."""
        return len({id(run) for several in self.runs for run in several}) > 1

    def combined(self) -> Run:
        """The rows as one run, whose leaderboard compares them; the id of a case is its row's number."""
        reports = [
            dataclasses.replace(report, id=str(i)) for i, (_, report) in enumerate(self.rows)
        ]
        first = self.rows[0][0]
        meta: dict[str, Any] = {
            name: {} for name in ("datasets", "finders", "evaluations", "metrics")
        }
        for run, _ in reversed(self.rows):
            for name, known in meta.items():
                known.update(run.meta.get(name) or {})
        cases, trial_cases = by_kind(reports)
        # scores are all here; nothing is read
        return Run(first.folder / "no such folder", meta, cases, trial_cases=trial_cases)


def groups(runs: Sequence[Run]) -> list[Group]:
    """The tables of all runs, in the order of their first appearance, the same labels together.

    Of an evaluation that runs over a parameter only the lowest value of each run; parts of metrics are
    left to the pages of the runs.
    """
    rows: dict[tuple[Facts, Facts], list[tuple[Run, Report]]] = {}
    for run in runs:
        for report in _reports(run):
            labels = tuple(report.table.items())
            rows.setdefault((labels, _key(run, report)), []).append((run, report))
    by_labels: dict[Facts, list[Facts]] = {}
    for labels, key in rows:
        by_labels.setdefault(labels, []).append(key)
    return [
        _group(labels, key, rows[labels, key], [other for other in keys if other != key])
        for labels, keys in by_labels.items()
        for key in keys
    ]


def _group(
    labels: Facts, key: Facts, rows: Sequence[tuple[Run, Report]], others: Sequence[Facts]
) -> Group:
    merged: dict[Any, list[tuple[Run, Report]]] = {}
    for run, report in rows:
        merged.setdefault(_identity(report), []).append((run, report))
    kept = list(merged.values())
    return Group(
        labels=labels,
        key=key,
        rows=tuple(same[0] for same in kept),
        runs=tuple(tuple(run for run, _ in same) for same in kept),
        apart=tuple(_difference(key, other) for other in others),
    )


def _reports(run: Run) -> Iterator[Report]:
    if run.trial_cases:
        yield from run.trial_cases
        return
    found: list[Place] = places(run, run.leaderboard())
    for place in found:
        for family in place.families:
            for view in family.whole:
                for row in view.rows:
                    yield row.case


def _identity(report: Report) -> Any:
    """What two reports have in common that are the same result."""
    measures = tuple((m.name, m.value, tuple(m.group.items())) for m in report.measures)
    label = report.ranked.label if report.ranked else None
    return (label, report.values, measures, report.reason)


def _key(run: Run, report: Report) -> Facts:
    """What must agree beyond the labels, in words."""
    split = evaluated(run, report.dataset)
    dataset = _record(run, "datasets", report.dataset)
    found = [
        ("images of the dataset", _text(split.get("fingerprint") or dataset.get("fingerprint"))),
        ("number of images", _text(split.get("n") or dataset.get("n"))),
    ]
    place = report.place
    if "model" in place:
        model = _record(run, "models", place["model"])
        weights = (model.get("weights") or {}).get(place["layer"]) or {}
        sha256 = weights.get("sha256") or model.get("weights_sha256")
        found.append(("weights of the model", _text(sha256)))
    evaluation = _record(run, "evaluations", report.evaluation.label)
    found.append(("version of the evaluation", _text(evaluation.get("version"))))
    if "metric" in report.table and report.metric is not None:
        metric = _record(run, "metrics", report.metric.label)
        found.append(("version of the metric", _text(metric.get("version"))))
        found.append(("fingerprint of the metric", _text(metric.get("fingerprint"))))
    if report.of_trials:
        found.append(("seed of the resamples", _text(report.seeds.get("draws"))))
    return tuple(found)


def _record(run: Run, kind: str, label: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (run.meta.get(kind) or {}).get(label) or {}
    return found


def _text(value: Any) -> str:
    return "not recorded" if value is None else str(value)


def _difference(key: Facts, other: Facts) -> str:
    """Why two tables under the same labels are apart."""
    there = dict(other)
    differing = [
        f"{name} ({_short(mine)} here, {_short(there.get(name, 'not recorded'))} there)"
        for name, mine in key
        if there.get(name) != mine
    ]
    return "; ".join(differing)


def _short(text: str) -> str:
    return f"{text[:12]}…" if len(text) > 16 else text
