"""A run's results arranged for the page: places, families of evaluations, tables, rows.

A place is a dataset, model and layer; results of two places never share a table. A family is an
evaluation with all values of the parameter that it runs over (`insilico` with its difficulties).
"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from iibench.report.shared.against import Against, against
from iibench.report.shared.numbers import decimals_for, interval, number, real, whole
from iibench.suite.labels import base_of, split_outside

if TYPE_CHECKING:
    import pandas as pd

    from iibench.contract.reports import CaseReport
    from iibench.results.run import Run

#: Order of whole metrics by their declared level; the first one is the main one.
LEVELS = {"mid": 0, "low": 1, "high": 2, "control": 3}


@dataclass(frozen=True)
class Row:
    """One case of a table; numbers are None where there are none."""

    case: CaseReport
    finder: str
    k: int | None
    scored: int | None
    mean: float | None
    low: float | None
    high: float | None
    median: float | None
    sd: float | None
    diff: float | None
    diff_low: float | None
    diff_high: float | None
    p: float | None
    effect: float | None
    diff_control: float | None
    diff_control_low: float | None
    diff_control_high: float | None
    p_control: float | None
    sparseness: float | None
    rank_low: int | None
    rank_high: int | None
    #: methods of the table that share a letter cannot be told apart
    ties: str
    seconds: float
    #: reasons of unscored units with how many have them, the most common first
    unscored: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class View:
    """A table: the methods on one metric and one evaluation, best mean first."""

    evaluation: str
    metric: str
    part: str | None
    #: what parts of one metric share: its name and parameters
    base: str
    decimals: int
    chance: float | None
    rows: tuple[Row, ...]
    #: role -> the finder that the methods are compared with
    against: Mapping[str, Against]
    #: a control measures nothing of interest: what a metric must exceed
    control: bool = False
    #: set where the metric tells no more than a control does, a sentence
    warning: str = ""

    @property
    def ranked(self) -> tuple[Row, ...]:
        """The rows with a mean, the best first."""
        return tuple(row for row in self.rows if row.mean is not None)

    def has(self, role: str) -> bool:
        """Whether a finder of this role has a score here."""
        return any(row.case.role == role for row in self.ranked)

    @property
    def missing(self) -> dict[str, str]:
        """Columns that have no value in any row, by their key, and why."""
        found = {}
        for key, values, why in (
            (
                "baseline",
                [r.diff for r in self.rows],
                f"there are no scores of {self.against['baseline'].called} to compare with",
            ),
            (
                "control",
                [r.diff_control for r in self.rows],
                f"there are no scores of {self.against['control'].called}",
            ),
            ("sparseness", [r.sparseness for r in self.rows], "this run did not record it"),
        ):
            if all(value is None for value in values):
                alone = key != "sparseness" and self.has(key) and len(self.ranked) == 1
                found[key] = "there is no other method to compare" if alone else why
        return found


@dataclass(frozen=True)
class Family:
    """Evaluations that differ in one parameter at most, with their tables at its lowest value."""

    name: str
    title: str
    record: Mapping[str, Any]
    labels: tuple[str, ...]
    whole: tuple[View, ...]
    parts: tuple[View, ...]
    cases: tuple[CaseReport, ...]

    @property
    def over(self) -> str | None:
        """The parameter it runs over, if any."""
        return self.record.get("plot_over") if self.record.get("plot") == "line" else None


@dataclass(frozen=True)
class Place:
    """A dataset, model and layer, with its families; the main evaluation first.

    `analyses`: cases of evaluations that rank no method, which have a part of the page of their own.
    """

    dataset: str
    model: str
    layer: str
    families: tuple[Family, ...]
    analyses: tuple[CaseReport, ...] = ()

    @property
    def key(self) -> tuple[str, str, str]:
        return (self.dataset, self.model, self.layer)


def places(run: Run, board: pd.DataFrame) -> list[Place]:
    """Everything of the run, in the order of its cases."""
    by_case = {record["case"]: record for record in board.to_dict("records")}
    order = {case_id: i for i, case_id in enumerate(by_case)}
    found: dict[tuple[str, str, str], list[CaseReport]] = {}
    for case in run.cases:
        found.setdefault((case.dataset, case.model.label, case.layer), []).append(case)
    made = []
    for key, cases in found.items():
        ranked = [case for case in cases if not case.is_analysis]
        ranked.sort(key=lambda case: order[case.id])
        others = tuple(case for case in cases if case.is_analysis)
        made.append(Place(*key, tuple(_families(run, ranked, by_case)), others))
    return made


def _families(
    run: Run, cases: Sequence[CaseReport], by_case: Mapping[str, Mapping[Any, Any]]
) -> list[Family]:
    groups: dict[str, list[CaseReport]] = {}
    for case in cases:
        record = _record(run, case)
        over = record.get("plot_over") if record.get("plot") == "line" else None
        rest = {k: v for k, v in case.evaluation.params.items() if k != over}
        groups.setdefault(json.dumps([case.evaluation.name, rest], sort_keys=True), []).append(case)
    families = [_family(run, members, by_case) for members in groups.values()]
    return sorted(families, key=lambda family: not family.record.get("leads"))


def _family(
    run: Run, cases: Sequence[CaseReport], by_case: Mapping[str, Mapping[Any, Any]]
) -> Family:
    record = _record(run, cases[0])
    over = record.get("plot_over") if record.get("plot") == "line" else None
    labels = {case.evaluation.label: case.evaluation for case in cases}
    if over is not None:
        labels = dict(sorted(labels.items(), key=lambda item: float(item[1].params[over])))
    lowest = next(iter(labels))
    grouped: dict[str, list[CaseReport]] = {}
    for case in cases:
        if case.evaluation.label == lowest:
            grouped.setdefault(case.metric.label if case.metric else "", []).append(case)
    views = [_view(run, record, members, by_case) for members in grouped.values()]
    views = _warned(
        [views[i] for i in _metric_order(run, [members[0] for members in grouped.values()])]
    )
    return Family(
        name=cases[0].evaluation.name,
        title=_without(lowest, over),
        record=record,
        labels=tuple(labels),
        whole=tuple(view for view in views if view.part is None),
        parts=tuple(view for view in views if view.part is not None),
        cases=tuple(cases),
    )


def _metric_order(run: Run, firsts: Sequence[CaseReport]) -> list[int]:
    """Mid-level metrics first; further variants of a metric after the first of each."""
    records = run.meta.get("metrics", {})
    variants: dict[str, list[str]] = {}
    keys = []
    for i, case in enumerate(firsts):
        if case.metric is None:
            keys.append((0, 0, i))
            continue
        bases = variants.setdefault(case.metric.name, [])
        base = base_of(case.metric)
        if base not in bases:
            bases.append(base)
        level = records.get(case.metric.label, {}).get("level", "mid")
        keys.append((bases.index(base), LEVELS.get(level, 0), i))
    return sorted(range(len(firsts)), key=lambda i: keys[i])


def _view(
    run: Run,
    record: Mapping[str, Any],
    cases: Sequence[CaseReport],
    by_case: Mapping[str, Mapping[Any, Any]],
) -> View:
    rows = tuple(_row(case, by_case[case.id]) for case in cases)
    metric, chance = cases[0].metric, record.get("chance")
    metrics = run.meta.get("metrics", {})
    return View(
        evaluation=cases[0].evaluation.label,
        metric=metric.label if metric else "no metric",
        part=metric.part if metric else None,
        base=base_of(metric) if metric else "",
        decimals=decimals_for([row.mean for row in rows], chance),
        chance=chance,
        rows=rows,
        against=against(run.meta, [by_case[case.id] for case in cases]),
        control=metric is not None and metrics.get(metric.label, {}).get("level") == "control",
    )


def _warned(views: Sequence[View]) -> list[View]:
    """The views with a warning where the baseline does no better than under a control.

    Only where scores have a chance level: then they share a scale over metrics.
    """
    controls = [row for view in views if view.control for row in _baseline(view)]
    controls = [row for row in controls if row.high is not None]
    highest = max(controls, key=lambda row: row.high or 0.0, default=None)
    if highest is None or highest.case.metric is None:
        return list(views)
    found = []
    for view in views:
        rows = [] if view.control or view.chance is None else _baseline(view)
        for row in rows:
            if row.mean is not None and row.mean <= (highest.high or 0.0):
                d = view.decimals
                words = (
                    f"Under {view.metric} the {view.against['baseline'].called} reach "
                    f"{number(row.mean, d)}, which is not above the control "
                    f"{highest.case.metric.label} with {number(highest.mean, d)} "
                    f"{interval(highest.low, highest.high, d)}: this table may say nothing about "
                    "what the images look like."
                )
                view = dataclasses.replace(view, warning=words)
        found.append(view)
    return found


def _baseline(view: View) -> list[Row]:
    return [row for row in view.ranked if row.case.role == "baseline"]


def _row(case: CaseReport, record: Mapping[Any, Any]) -> Row:
    reasons = Counter(reason for reason in case.reasons if reason)
    return Row(
        case=case,
        finder=case.finder.label,
        k=whole(record["k"]),
        scored=whole(record["n_scored"]),
        mean=real(record["mean"]),
        low=real(record["low"]),
        high=real(record["high"]),
        median=real(record["median"]),
        sd=real(record["sd"]),
        diff=real(record["diff_to_baseline"]),
        diff_low=real(record["diff_low"]),
        diff_high=real(record["diff_high"]),
        p=real(record["p_holm"]),
        effect=real(record["effect"]),
        diff_control=real(record["diff_to_control"]),
        diff_control_low=real(record["control_low"]),
        diff_control_high=real(record["control_high"]),
        p_control=real(record["control_p_holm"]),
        sparseness=real(record["sparseness"]),
        rank_low=whole(record["rank_low"]),
        rank_high=whole(record["rank_high"]),
        ties=record["tie_group"] if isinstance(record["tie_group"], str) else "",
        seconds=float(record["seconds"]),
        unscored=tuple(reasons.most_common()),
    )


def _record(run: Run, case: CaseReport) -> Mapping[str, Any]:
    record: Mapping[str, Any] = run.meta.get("evaluations", {}).get(case.evaluation.label, {})
    return record


def _without(label: str, over: str | None) -> str:
    """The label of an evaluation without the parameter it runs over."""
    name, bracket, rest = label.partition("[")
    if over is None or not bracket:
        return label
    items = [item for item in split_outside(rest[:-1], ",") if not item.startswith(f"{over}=")]
    return f"{name}[{','.join(items)}]" if items else name
