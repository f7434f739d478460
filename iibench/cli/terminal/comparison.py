"""Two runs side by side in the terminal: tables for people, one line per fact for pipes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from iibench.results.comparison.cases import CaseComparison, UnitChange
from iibench.results.comparison.conditions import Outcome
from iibench.results.comparison.runs import RunComparison
from iibench.results.comparison.settings import MISSING, SettingChange, setting

if TYPE_CHECKING:
    from rich.console import Console

    from iibench.contract.reports import Report
    from iibench.runner.rerun import Deviation

#: Lines of a list that are shown without `--all`.
MOST = 20


def print_comparison(
    console: Console, found: RunComparison, outcomes: Sequence[Outcome] = (), every: bool = False
) -> None:
    """Settings that differ, changed cases with the largest first, cases of one run, conditions.

    `every`: all lines, and the cases that did not change.
    """
    most = 10**9 if every else MOST
    console.print(f"A: {escape(str(found.a.folder))}", soft_wrap=True)
    console.print(f"B: {escape(str(found.b.folder))}", soft_wrap=True)
    print_settings(console, found.settings, most)
    _print_cases(console, found.cases if every else found.changed, found, most)
    _print_alone(console, "A", found.only_a, most)
    _print_alone(console, "B", found.only_b, most)
    _print_count(console, found)
    _print_outcomes(console, outcomes, most)


def print_settings(console: Console, changes: Sequence[SettingChange], most: int = MOST) -> None:
    """What was set differently, a line or row each."""
    if not changes:
        console.print("settings: no difference")
        return
    rows = [
        (change.group, change.name, setting(change.a, change.b), setting(change.b, change.a))
        for change in changes[:most]
    ]
    if console.is_terminal:
        _print_table(console, "Settings that differ", ("of", "setting", "A", "B"), "", rows)
    else:
        for group, name, a, b in rows:
            console.print(f"SETTING {escape(f'{group}: {name}: {a} -> {b}')}", soft_wrap=True)
    _print_more(console, len(changes) - most, "setting")


def _print_cases(
    console: Console, cases: Sequence[CaseComparison], found: RunComparison, most: int
) -> None:
    shown = cases[:most]
    if console.is_terminal and shown:
        heads = ("case", "A", "B", "B − A [95 %]", "p (Holm)", "changed", "furthest")
        rows = [(case.id, *_cells(case)) for case in shown]
        _print_table(console, "Cases", heads, "lrrrrrl", rows)
    for case in () if console.is_terminal else shown:
        a, b, difference, p, changed, furthest = _cells(case)
        word = "CHANGED" if case.changed else "SAME   "
        line = f"{word} {case.id}  {a} -> {b}  {difference}  p={p}  {changed}  {furthest}"
        console.print(escape(line.rstrip()), soft_wrap=True)
    _print_more(console, len(cases) - most, "changed case")
    apart: dict[str, list[str]] = {}
    for case in cases:
        if case.different and case.scored:
            apart.setdefault(case.different, []).append(case.id)
    for why, ids in apart.items():
        console.print(
            f"[yellow]not paired over units: {escape(why)}[/] ({_cases(len(ids))}, such as "
            f"{escape(ids[0])})",
            soft_wrap=True,
        )


def _cells(case: CaseComparison) -> tuple[str, str, str, str, str, str]:
    a = case.a.status if case.mean_a is None else number(case.mean_a)
    b = case.b.status if case.mean_b is None else number(case.mean_b)
    if case.status_changed and case.scored:
        a, b = f"{a} ({case.a.status})", f"{b} ({case.b.status})"
    difference = MISSING if case.difference is None else f"{case.difference:+.4g}"
    if case.low is not None and case.high is not None:
        difference += f" [{case.low:+.3g}, {case.high:+.3g}]"
    p = MISSING if case.p_holm is None else f"{case.p_holm:.3g}"
    if case.different:
        return a, b, difference, p, MISSING, ""
    changed = f"{len(case.changes)}/{len(case.scores[0])} {_plural(case.item)}"
    return a, b, difference, p, changed, _furthest(case.item, case.largest)


def _furthest(item: str, unit: UnitChange | None) -> str:
    return "" if unit is None else f"{item} {unit.unit}: {unit.change:+.4g}"


def _plural(item: str) -> str:
    return {"stimulus": "stimuli"}.get(item, f"{item}s")


def number(value: float | None) -> str:
    """Five significant digits, or a dash."""
    return MISSING if value is None else f"{value:.5g}"


def _print_alone(console: Console, run: str, reports: Sequence[Report], most: int) -> None:
    for report in reports[:most]:
        console.print(f"ONLY IN {run} {escape(report.id)} ({report.status})", soft_wrap=True)
    _print_more(console, len(reports) - most, f"case only in {run}")


def _print_count(console: Console, found: RunComparison) -> None:
    if found.hint:
        console.print(f"[yellow]no case is in both runs: {escape(found.hint)}[/]", soft_wrap=True)
        return
    changed, alike = len(found.changed), len(found.cases) - len(found.changed)
    alone = f", {len(found.only_a)} only in A, {len(found.only_b)} only in B"
    console.print(f"{_cases(changed)} changed, {alike} the same to the last digit{alone}")


def _print_outcomes(console: Console, outcomes: Iterable[Outcome], most: int) -> None:
    for outcome in outcomes:
        text = escape(outcome.condition.text)
        if not outcome.holds:
            where = f"for none of {_cases(outcome.looked_at)}"
            console.print(f"[green]does not hold[/] {text}: {where}", soft_wrap=True)
            continue
        where = f"for {len(outcome.holds)} of {_cases(outcome.looked_at)}"
        console.print(f"[red]HOLDS[/] {text}: {where}", soft_wrap=True)
        for line in outcome.holds[:most]:
            console.print(f"  {escape(line)}", soft_wrap=True)
        _print_more(console, len(outcome.holds) - most, "case")


def _cases(n: int) -> str:
    return f"{n} case" if n == 1 else f"{n} cases"


def _print_more(console: Console, more: int, what: str) -> None:
    if more > 0:
        console.print(f"[dim]and {more} more of these ({escape(what)}): --all shows them[/]")


def _print_table(
    console: Console,
    title: str,
    heads: Sequence[str],
    sides: str,
    rows: Iterable[Sequence[str]],
) -> None:
    """`sides`: l or r for each column, left for those beyond its end."""
    table = Table(title=title, title_justify="left", title_style="bold")
    for place, head in enumerate(heads):
        right = sides[place : place + 1] == "r"
        table.add_column(head, justify="right" if right else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row))
    console.print()
    console.print(table)


# ------------------------------------------------------------------------------------ rerun


def print_deviations(
    console: Console,
    found: RunComparison,
    apart: Sequence[Deviation],
    broken: Sequence[str],
    tolerance: float,
) -> None:
    """How far a repetition (B) is from its run (A): by evaluation and metric, then the verdict."""
    console.print()
    datasets = [", ".join(sorted({r.dataset for r in run.reports})) for run in (found.a, found.b)]
    console.print(f"before: {escape(str(found.a.folder))} (dataset {escape(datasets[0])})")
    console.print(f"now:    {escape(str(found.b.folder))} (dataset {escape(datasets[1])})")
    print_settings(console, found.settings, 10**9)
    rows = [_deviation_cells(deviation) for deviation in apart]
    if console.is_terminal and rows:
        heads = ("evaluation / metric", "cases", "largest change of a score", "of a mean")
        _print_table(console, "Deviations", heads, "lrll", rows)
    for row in () if console.is_terminal else rows:
        name, cases, unit, mean = row
        line = f"DEVIATION {name}: scores {unit}; means {mean}; n = {_cases(int(cases))}"
        console.print(escape(line), soft_wrap=True)
    for line in broken:
        console.print(f"[red]NOT REPEATED[/] {escape(line)}", soft_wrap=True)
    largest = max((deviation.largest for deviation in apart), default=0.0)
    within = largest <= tolerance and not broken
    style, word = ("green", "REPEATED") if within else ("red", "NOT REPEATED")
    console.print(
        f"[{style}]{word}[/]: the largest deviation is {largest:.3g} (tolerance {tolerance:g}), "
        f"{len(broken)} other difference{'' if len(broken) == 1 else 's'}",
        soft_wrap=True,
    )


def _deviation_cells(deviation: Deviation) -> tuple[str, str, str, str]:
    name = " / ".join(part for part in (deviation.evaluation, deviation.metric) if part)
    unit = mean = "nothing to compare"
    if deviation.unit_change is not None:
        unit = f"{deviation.unit_change:.3g}"
        if deviation.unit_change > 0:
            unit += f" ({deviation.item} {deviation.unit} of {deviation.unit_case})"
    if deviation.mean_change is not None:
        mean = f"{deviation.mean_change:.3g}"
        if deviation.mean_change > 0:
            mean += f" ({deviation.mean_case})"
    return name, str(deviation.cases), unit, mean
