"""What `iibench plugin check` checks: one registered thing by its label, or all that a plugin registers."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iibench.assets.local import status
from iibench.contract.errors import UsageError, unknown_name
from iibench.hooks.checking import kind_of
from iibench.runner.session import resolve_device
from iibench.suite.labels import read_label
from iibench.suite.params import ParamError, joined, label_values, parse_params, split_variant
from iibench.testing import CheckReport, check_spec, local_harness

if TYPE_CHECKING:
    from iibench.assets.local import LocalResources
    from iibench.contract.base import Spec
    from iibench.hooks.loaded import Plugins


def check_named(
    plugins: Plugins, name: str, kind: str | None, resources: LocalResources, device: str
) -> Iterator[CheckReport]:
    """One report for each thing that is called `name`, or that the plugin `name` registers.

    `name` is a plugin's name, or a label as suites write it (`lpips[net=vgg]`, `torchvision:resnet18`);
    `kind` chooses where several have it. What is computed on the way is kept nowhere. Raises
    `UsageError` where nothing has the name, or a parameter is wrong or missing.
    """
    chosen = list(_chosen(plugins, name, kind))
    where = replace(resources, device=resolve_device(device))
    with tempfile.TemporaryDirectory(prefix="iibench-check-") as scratch:
        harness = local_harness(plugins.registry, where, Path(scratch))
        for spec, params, label in chosen:
            report = check_spec(spec, params, harness, label=label)
            yield _with_damage(report, spec, where)


def _with_damage(report: CheckReport, spec: Spec, where: LocalResources) -> CheckReport:
    """Where nothing could be looked at and a file of it is damaged, that is no reason to skip it."""
    if not _skipped(report):
        return report
    found = [status(asset, where) for asset in spec.assets]
    details = "; ".join(each.detail for each in found if each.state == "damaged")
    if not details:
        return report
    cause = "a download that broke off, or another file of this name: remove it"
    first = replace(report.checks[0], status="failed", seen=details, cause=cause)
    return replace(report, checks=(first, *report.checks[1:]))


def _skipped(report: CheckReport) -> bool:
    return all(check.status == "skipped" for check in report.checks)


def unchecked(reports: Sequence[CheckReport]) -> bool:
    """Whether nothing but skips was seen; the last line on the terminal names what was not checked."""
    from iibench.cli.terminal.progress import make_console, print_nothing

    skipped = [report for report in reports if _skipped(report)]
    names = "; ".join(f"{report.name}: {report.checks[0].seen}" for report in skipped)
    console = make_console()
    if len(skipped) == len(reports):
        print_nothing(console, f"every check was skipped ({names})", "CHECKED")
        return True
    if skipped:
        console.print(f"not checked: {names}", style="yellow", markup=False, soft_wrap=True)
    return False


def _chosen(plugins: Plugins, name: str, kind: str | None) -> Iterator[tuple[Spec, Any, str]]:
    """(spec, parameters, label) of everything that `name` stands for."""
    written = read_label(name)
    entries = [e for e in plugins.registry.all() if kind in {None, kind_of(e.spec)}]
    named = [e for e in entries if e.spec.name in {written.name, written.name.partition(":")[0]}]
    if len(named) > 1:
        kinds = ", ".join(f"{kind_of(entry.spec)}s" for entry in named)
        raise UsageError(f"{name} stands among the {kinds}; expected --kind with one of them")
    for entry in named:
        variant = split_variant(entry.spec, written.name)
        try:
            params = parse_params(entry.spec, label_values(entry.spec, written.params), variant)
        except ParamError as error:
            raise UsageError(f"{name}: {joined(error)}") from error
        yield entry.spec, params, name
    if named:
        return
    record = next((r for r in plugins.records if r.name == name), None)
    if record is not None and record.status != "ok":
        raise UsageError(f"the plugin {name} is not in use: {record.status}: {record.reason}")
    registered = [entry for entry in entries if entry.plugin == name]
    if record is None or not registered:
        known = [entry.spec.name for entry in entries] + [r.name for r in plugins.records]
        what = "plugin or registered name" if record is None else "plugin that registers anything"
        raise UsageError(unknown_name(what, name, known, "iibench plugin ls"))
    for entry in registered:
        try:
            yield entry.spec, parse_params(entry.spec, {}), entry.spec.name
        except ParamError as error:
            raise UsageError(
                f"{entry.spec.name} needs parameters ({joined(error)}); "
                f"check it by its label: iibench plugin check '{entry.spec.name}[...]'"
            ) from error


def show(report: CheckReport, verbose: bool) -> None:
    """The report on the terminal: a line a check; of each failed one what was seen and the cause."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    console.print(Text(f"{report.kind} {report.name}", style="bold"))
    colours = {"passed": "green", "failed": "red", "skipped": "yellow"}
    for check in report.checks:
        line = Text(f"  {check.status:8}", style=colours[check.status])
        line.append(check.name, style="default")
        if check.status == "skipped" or (verbose and check.status == "passed"):
            line.append(f": {check.seen}", style="dim")
        console.print(line)
        if check.status == "failed":
            for title, text in (
                ("seen", check.seen),
                ("expected", check.expected),
                ("likely cause", check.cause),
            ):
                console.print(Text(f"           {title}: {text}"))
    counts = {s: sum(c.status == s for c in report.checks) for s in colours}
    console.print(Text("  " + ", ".join(f"{n} {status}" for status, n in counts.items() if n)))
