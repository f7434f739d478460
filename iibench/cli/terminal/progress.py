"""What a person sees in the terminal: a plugin of the life-cycle hooks, built on rich.

A terminal gets live progress bars; a file or a pipe gets plain lines.
"""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from iibench.cli.terminal.analyses import STYLES, analysis_tables, measure_text, number
from iibench.contract.errors import one_line
from iibench.contract.reports import CaseReport, Report
from iibench.contract.version import __version__
from iibench.hooks.hookspecs import hookimpl
from iibench.results.run import Run

if TYPE_CHECKING:
    from iibench.contract.config import RunConfig
    from iibench.hooks.loaded import Plugins
    from iibench.runner.estimate.estimate import Estimate
    from iibench.suite.cases import AnyCase
    from iibench.suite.schema import Suite

#: Stages shorter than this leave no line behind.
SHORT_SECONDS = 1.0
#: The page's file in a run folder.
PAGE = "index.html"


def make_console(stderr: bool = False) -> Console:
    """A console that wraps nothing where its output is not a terminal."""
    stream = sys.stderr if stderr else sys.stdout
    if stream.isatty():
        return Console(stderr=stderr, highlight=False)
    return Console(stderr=stderr, highlight=False, width=10_000, no_color=True, soft_wrap=True)


class TerminalReporter:
    """Prints a run as it goes. `verbosity`: -1 only the end, 0 a line per case, 1 details as well."""

    def __init__(self, console: Console, plugins: Plugins, verbosity: int = 0) -> None:
        self.console = console
        self.verbosity = verbosity
        self._plugins = plugins
        self._total = 0
        self._done = 0
        self._started: dict[str, float] = {}
        self._tasks: dict[str, TaskID] = {}
        self._cached_stages: set[str] = set()
        self._progress: Progress | None = None
        if console.is_terminal:
            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=20),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(),
                console=console,
                transient=True,
            )

    # ------------------------------------------------------------------------------ hooks

    @hookimpl
    def iibench_run_start(
        self, config: RunConfig, suite: Suite, cases: list[AnyCase], notes: list[str]
    ) -> None:
        """The header: versions, device, dataset, plugins, number of cases, warnings."""
        import torch

        from iibench.runner.session import resolve_device

        self._total = len(cases)
        third_party = [r.name for r in self._plugins.records if r.source != "first-party"]
        first = sum(r.source == "first-party" for r in self._plugins.records)
        device = resolve_device(config.device)
        threads = f", {torch.get_num_threads()} threads" if device == "cpu" else ""
        self._print(f"[bold]iibench {__version__}[/]  torch {torch.__version__}  {device}{threads}")
        extra = f", {', '.join(map(escape, third_party))}" if third_party else ""
        self._print(f"plugins: {first} first-party{extra}")
        datasets = dict.fromkeys(case.dataset.label for case in cases)
        self._print(
            f"suite: {escape(suite.name)}  dataset: {escape(', '.join(datasets))}  "
            f"{len(cases)} cases"
        )
        for note in notes:
            self.console.print(f"[yellow]warning: {escape(note)}[/]")
        if self._progress is not None:
            self._progress.start()

    @hookimpl
    def iibench_stage_progress(self, stage: str, done: int, total: int, unit: str) -> None:
        """A bar in a terminal; elsewhere one line when a long stage ends. Cache hits are shown once."""
        if total == 0:
            if stage not in self._cached_stages:
                self._cached_stages.add(stage)
                self._print(f"[dim]cached   {escape(stage)}[/]")
            return
        started = self._started.setdefault(stage, time.perf_counter())
        seconds = time.perf_counter() - started
        if self._progress is not None:
            task = self._tasks.get(stage)
            if task is None:
                task = self._progress.add_task(escape(stage), total=total, rate="")
                self._tasks[stage] = task
            rate = f"{done / seconds:,.0f} {unit}/s" if seconds > 0.5 else ""
            self._progress.update(task, completed=done, total=total, rate=rate)
        if done >= total:
            if self._progress is not None:
                self._progress.remove_task(self._tasks.pop(stage))
            del self._started[stage]
            if seconds >= SHORT_SECONDS:
                rate = f", {total / seconds:,.0f} {unit}/s" if total > 1 else ""
                self._print(f"[dim]computed {escape(stage)}: {seconds:.1f} s{rate}[/]")

    @hookimpl
    def iibench_case_finish(self, report: Report) -> None:
        """One line: status, id, mean with its interval, units, time or cache hit.

        Of an analysis, its main measure stands in place of the mean.
        """
        self._done += 1
        if self.verbosity < 0:
            return
        style = STYLES[report.status]
        line = f"[{style}]{report.status.upper():7}[/] {escape(report.id)}"
        s = report.summary
        if report.is_analysis:
            measure = report.main_measure
            line += "" if measure is None else f"  {measure_text(measure)}"
        elif s is not None and s.mean is not None:
            line += f"  {number(s.mean)}"
            if s.low is not None and s.high is not None:
                line += f" [dim]\\[{number(s.low)}, {number(s.high)}][/]"
            line += f"  n={s.scored}" + (f"/{s.n}" if s.scored < s.n else "")
        seconds = sum(report.seconds.values())
        line += "  [cyan]cached[/]" if report.cached else f"  [dim]{seconds:.1f} s[/]"
        line += f"  [dim]{100 * self._done // max(1, self._total)}%[/]"
        self._print(line)
        if report.reason and (self.verbosity > 0 or report.status == "error"):
            self._print(f"        {escape(report.reason.splitlines()[0])}")
        if report.traceback and self.verbosity > 0:
            self._print(escape(report.traceback))

    def stop(self) -> None:
        """Takes the live display down; called once whatever happens."""
        if self._progress is not None:
            self._progress.stop()

    def _print(self, text: str) -> None:
        self.console.print(text, soft_wrap=True)


# ------------------------------------------------------------------------------------ the end


def print_summary(console: Console, run: Run, folder: Path) -> None:
    """Leaderboard, analyses, failures, skips, verdicts, warnings, counts and the path of the page."""
    for make in (leaderboard_tables, analysis_tables, trial_leaderboard_tables):
        try:
            tables = make(run)
        except Exception as error:  # the results stand in the folder, whatever they hold
            console.print(f"[yellow]warning: a table cannot be shown: {escape(one_line(error))}[/]")
            continue
        for table in tables:
            console.print()
            console.print(table)
    _print_account(console, run)
    _print_problems(console, run)
    if run.verdicts:
        console.print("\n[bold]Expectations[/]")
        for verdict in run.verdicts:
            style = STYLES[verdict.status]
            stated = ": ".join(filter(None, (verdict.figure, verdict.published)))
            console.print(
                f"  [{style}]{verdict.status.upper():7}[/] {escape(verdict.text)} "
                f"[dim]({escape(verdict.detail)})[/]"
                f"{f' [dim]<{escape(stated)}>[/]' if stated else ''}",
                soft_wrap=True,
            )
    console.print()
    for note in run.meta["notes"]:
        style = "yellow" if note["level"] == "warning" else "dim"
        word = "warning: " if note["level"] == "warning" else ""
        console.print(f"[{style}]{word}{escape(note['text'])}[/]", soft_wrap=True)
    console.print(_counts(run), soft_wrap=True)
    missing = run.meta.get("missing", ())
    for part in missing:
        console.print(f"[red]{escape(part)}[/]", soft_wrap=True)
    if missing:
        command = escape(shlex.join(["iibench", "report", str(folder)]))
        console.print(
            f"the results stand in {escape(str(folder))}; what can be made from them: {command}",
            soft_wrap=True,
        )
    if (folder / PAGE).is_file():
        console.print(f"page: {escape(str(folder / PAGE))}", soft_wrap=True)


def print_nothing(console: Console, why: str, what: str = "MEASURED") -> None:
    """The last line of a command that did nothing of what it is for."""
    console.print(f"[bold red]NOTHING WAS {what}: {escape(why)}[/]", soft_wrap=True)


def leaderboard_tables(run: Run) -> list[Table]:
    """A table per dataset, model, layer and evaluation: a row per finder, a column per whole metric.

    Analyses are in none of them. Evaluations that run over a parameter are shown at its lowest value.
    Best mean first, by the first column.
    """
    groups: dict[tuple[str, ...], list[CaseReport]] = {}
    for case in run.cases:
        over = run.meta["evaluations"][case.evaluation.label].get("plot_over")
        if case.is_analysis or (case.metric is not None and case.metric.part is not None):
            continue
        if over is not None:
            others = [
                c.evaluation.params[over]
                for c in run.cases
                if c.evaluation.name == case.evaluation.name
                and _but(c.evaluation.params, over) == _but(case.evaluation.params, over)
            ]
            if case.evaluation.params[over] != min(others):
                continue
        key = (case.dataset, case.model.label, case.layer, case.evaluation.label)
        groups.setdefault(key, []).append(case)
    return [_leaderboard_table(key, cases) for key, cases in groups.items()]


def _but(params: dict[str, Any], name: str) -> list[tuple[str, Any]]:
    return sorted((key, value) for key, value in params.items() if key != name)


def _leaderboard_table(key: tuple[str, ...], cases: Sequence[CaseReport]) -> Table:
    metrics = list(dict.fromkeys(c.metric.label if c.metric else "score" for c in cases))
    cells = {(c.finder.label, c.metric.label if c.metric else "score"): c for c in cases}
    finders = list(dict.fromkeys(c.finder.label for c in cases))

    def mean(finder: str) -> float:
        case = cells.get((finder, metrics[0]))
        value = case.summary.mean if case and case.summary else None
        return float("-inf") if value is None else value

    table = Table(title=escape(" / ".join(key)), title_justify="left", title_style="bold")
    table.add_column("finder")
    table.add_column("K", justify="right")
    for metric in metrics:
        table.add_column(escape(metric), justify="right")
    for finder in sorted(finders, key=mean, reverse=True):
        units = next((c.summary.n for c in cases if c.finder.label == finder and c.summary), None)
        row = [escape(finder), "" if units is None else str(units)]
        for metric in metrics:
            case = cells.get((finder, metric))
            s = case.summary if case else None
            if case is None:
                row.append("")
            elif s is None or s.mean is None:
                row.append(f"[{STYLES[case.status]}]{case.status}[/]")
            else:
                half = "" if s.low is None or s.high is None else f" ±{(s.high - s.low) / 2:.2g}"
                row.append(f"{number(s.mean)}[dim]{half}[/]")
        table.add_row(*row)
    return table


def _beside(record: Mapping[str, Any], headline: str) -> dict[str, str]:
    """Shares of all answers beside the headline -> headings of their columns, in their order."""
    found = {f"{headline}_of_ceiling": "of ceiling"}
    for name, info in (record.get("measures") or {}).items():
        if info.get("short") and not info.get("free") and name != headline:
            found[name] = escape(info["short"])
    for name, info in (record.get("unit_numbers") or {}).items():
        if info.get("short"):
            found[f"pearson_{name}"] = escape(f"r({info['short']}, people)")
    return found


def trial_leaderboard_tables(run: Run) -> list[Table]:
    """Of a run on trials, a table per evaluation: a row per metric, best first."""
    if not run.trial_cases:
        return []
    tables = []
    frame = run.leaderboard()
    for (dataset, evaluation), rows in frame.groupby(["dataset", "evaluation"], sort=False):
        headline = str(rows["measure"].iloc[0])
        beside = _beside(run.meta["evaluations"].get(evaluation, {}), headline)
        shown = [name for name in beside if name in rows and rows[name].notna().any()]
        title = escape(f"{dataset} / {evaluation}")
        table = Table(title=title, title_justify="left", title_style="bold")
        for name in ("metric", headline, "rank", *(beside[name] for name in shown), "answers"):
            table.add_column(name, justify="left" if name == "metric" else "right")
        for row in rows.to_dict("records"):
            metric = escape(row["metric"]) if isinstance(row["metric"], str) else "people"
            if row["status"] not in {"passed", "failed"}:
                table.add_row(metric, f"[{STYLES[row['status']]}]{row['status']}[/]")
                continue
            value = number(row["value"])
            if row["low"] == row["low"]:
                value += f" [dim]\\[{number(row['low'])}, {number(row['high'])}][/]"
            rank = f"{row['rank_low']}" if row["rank_low"] == row["rank_high"] else ""
            rank = rank or f"{row['rank_low']}-{row['rank_high']}"
            others = ["" if row[n] != row[n] else f"{row[n]:.3f}" for n in shown]
            table.add_row(metric, value, rank, *others, f"{row['n']:,}")
        tables.append(table)
    return tables


def _print_account(console: Console, run: Run) -> None:
    """Of a run on trials: what its data are, what was kept of them and why."""
    if not run.trial_cases:
        return
    for label, record in run.meta["datasets"].items():
        console.print(f"\n[bold]{escape(label)}[/]")
        for split in record["splits"].values():
            for note in split["notes"]:
                style = "yellow" if note.startswith("SYNTHETIC") else "dim"
                console.print(f"  [{style}]{escape(note)}[/]", soft_wrap=True)
            break  # both splits of a dataset of trials are one


def _print_problems(console: Console, run: Run) -> None:
    """Failed and skipped cases, one line per distinct reason."""
    for status, title in (("error", "Errors"), ("failed", "Failures"), ("skipped", "Skipped")):
        by_reason: dict[str, list[str]] = {}
        for case in run.reports:
            if case.status == status:
                by_reason.setdefault(case.reason or "", []).append(case.id)
        if not by_reason:
            continue
        console.print(f"\n[bold {STYLES[status]}]{title}[/]")
        for reason, ids in by_reason.items():
            more = f" and {len(ids) - 1} more" if len(ids) > 1 else ""
            console.print(f"  {escape(ids[0])}{more}", soft_wrap=True)
            for line in reason.splitlines():
                console.print(f"    {escape(line)}", soft_wrap=True)


def _counts(run: Run) -> str:
    counts = {
        status: sum(case.status == status for case in run.reports)
        for status in ("passed", "failed", "error", "skipped")
    }
    parts = [f"[{STYLES[s]}]{n} {s}[/]" for s, n in counts.items() if n]
    cached = sum(case.cached for case in run.reports)
    if cached:
        parts.append(f"[cyan]{cached} from the cache[/]")
    if run.meta["deselected"]:
        parts.append(f"{run.meta['deselected']} deselected")
    met = [v.status for v in run.verdicts if not v.not_testable]
    untested = len(run.verdicts) - len(met)
    if run.verdicts:
        parts.append(
            f"expectations: {met.count('passed')} met, {met.count('failed')} not met, "
            f"{met.count('skipped')} skipped"
            f"{f', {untested} not testable' if untested else ''}"
        )
    return f"{', '.join(parts) or 'no case ran'} in {run.meta['seconds']:.1f} s"


def print_estimate(console: Console, cases: Sequence[AnyCase], found: Estimate) -> None:
    """The output of `--collect-only`: the ids, then the work, where each time is from, and the total."""
    for case in cases:
        console.print(escape(case.id), soft_wrap=True)
    table = Table(title="work", title_justify="left", title_style="bold")
    for name in ("stage", "to do", "cached", "unit", "memory", "time", "from"):
        table.add_column(name, justify="left" if name in {"stage", "unit", "from"} else "right")
    for stage in found.stages:
        table.add_row(
            escape(stage.stage),
            f"{stage.to_do:,}",
            f"{stage.cached:,}",
            stage.unit,
            _bytes(stage.memory) if stage.memory else "",
            f"{stage.seconds:.1f} s" if stage.to_do else "",
            stage.source if stage.to_do else "",
        )
    console.print()
    console.print(table)
    for note in found.left_out:
        console.print(f"[yellow]left out: {escape(note)}[/]", soft_wrap=True)
    passes = sum(
        s.to_do for s in found.stages if s.stage.startswith(("activations ", "embeddings "))
    )
    shares = [f"{name} {seconds:.0f} s" for name, seconds in found.shares().items()]
    console.print(
        f"{len(cases)} cases, {passes:,} forward passes, about {found.seconds:.0f} s "
        f"({', '.join(shares)}), peak memory about {_bytes(found.peak)}",
        soft_wrap=True,
    )
    console.print(
        "[dim]measured: the same work, by earlier runs; timed: a few batches now; counted: operations, "
        "at this machine's speed; guess: none of these[/]",
        soft_wrap=True,
    )


def _bytes(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.{int(unit == 'GB')}f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
