"""A third party's plugin: a metric for every suite, a part of the page, an export and a command."""

from __future__ import annotations

import json
from dataclasses import dataclass

import click

from iibench import MetricSpec, Section, check_rgb, hookimpl

from .edges import edge_strength

IIBENCH_API = "1.1"


@dataclass(frozen=True)
class Edges:
    fingerprint: str = ""

    def embed(self, x):
        check_rgb("edges", x)
        return edge_strength(x)


SPEC = MetricSpec(
    name="edges",
    summary="minus the distance of how strong edges are in each direction",
    load=lambda params, harness: Edges(),
    distance="euclidean",
    level="low",
)


@hookimpl
def iibench_register_metrics():
    return [SPEC]


@hookimpl
def iibench_suite_metrics():
    return ["edges"]


@hookimpl
def iibench_report_sections(run):
    rows = tuple((case.id, case.status) for case in run.cases if "/edges/" in case.id)
    return [Section("What edges saw", (f"{len(rows)} cases",), ((("case", "status"), rows),))]


@hookimpl
def iibench_run_finish(run):
    means = {case.id: case.summary.mean for case in run.cases if case.summary is not None}
    (run.folder / "edges.json").write_text(json.dumps(means))


@hookimpl
def iibench_register_commands(cli):
    @cli.command("edges")
    def edges():
        """Say hello."""
        click.echo("edges 1.2.3")
