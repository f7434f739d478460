"""Every hook of iibench, by phase. A plugin is a module (or object) with any of these functions,
each marked with `@iibench.hookimpl`; it may accept fewer arguments than the hook offers.

Registration hooks are called once, when the program starts, plugin by plugin, so that an error names
its plugin. They must be cheap: import torch and friends inside the functions a spec carries.
Life-cycle hooks are observers of a run: one that raises is reported as a warning with its plugin's
name, and the run goes on.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    import click

    from iibench.contract.config import RunConfig
    from iibench.contract.evaluations import EvaluationBase
    from iibench.contract.executors import ExecutorSpec
    from iibench.contract.measures import Section
    from iibench.contract.reports import Report
    from iibench.contract.specs import DatasetSpec, FinderSpec, LayerSpec, MetricSpec, ModelSpec
    from iibench.results.run import Run
    from iibench.suite.cases import AnyCase
    from iibench.suite.schema import Suite

hookspec = pluggy.HookspecMarker("iibench")
hookimpl = pluggy.HookimplMarker("iibench")


# -------------------------------------------------------------------------------- registration


@hookspec
def iibench_register_datasets() -> Iterable[DatasetSpec]:
    """Datasets that suites may name.

    Called once at start-up without arguments. Return an iterable of `DatasetSpec` (images) and
    `TrialDatasetSpec` (images, trials and people's answers); a name that another
    plugin has registered is an error that names both plugins.
    """
    raise AssertionError  # a specification has no body; pluggy never calls it


@hookspec
def iibench_register_models() -> Iterable[ModelSpec]:
    """Networks that suites may name.

    Called once at start-up without arguments. Return an iterable of `ModelSpec`.
    """
    raise AssertionError


@hookspec
def iibench_register_layers(model: ModelSpec) -> Iterable[LayerSpec]:
    """Aliases and groups for the layers of a known model; any module path works without them.

    Called once at start-up for each registered model, with its spec. Return an iterable of
    `LayerSpec`, empty where the model is not yours.
    """
    raise AssertionError


@hookspec
def iibench_register_finders() -> Iterable[FinderSpec]:
    """Direction finders that suites may name.

    Called once at start-up without arguments. Return an iterable of `FinderSpec`.
    """
    raise AssertionError


@hookspec
def iibench_register_metrics() -> Iterable[MetricSpec]:
    """Image similarity metrics that suites may name.

    Called once at start-up without arguments. Return an iterable of `MetricSpec`.
    """
    raise AssertionError


@hookspec
def iibench_register_evaluations() -> Iterable[EvaluationBase]:
    """Evaluations that suites may name: a score per direction, or agreement with people on trials.

    Called once at start-up without arguments. Return an iterable of `EvaluationSpec` and
    `TrialEvaluationSpec`.
    """
    raise AssertionError


@hookspec
def iibench_register_executors() -> Iterable[ExecutorSpec]:
    """Where runs may do their work (`--executor`): workers elsewhere, such as those of a cluster.

    Called once at start-up without arguments. Return an iterable of `ExecutorSpec`. Workers load
    the run's plugins themselves and call their hooks `iibench_configure` and
    `iibench_collection_modify`; the other life-cycle hooks are called in the run's own process alone.
    """
    raise AssertionError


@hookspec
def iibench_suite_metrics() -> Iterable[str]:
    """Metrics to add to every suite, so that yours is always beside the others.

    Called once at start-up without arguments. Return labels as suites write them (`mine`,
    `lpips[net=vgg]`); one that a suite has already is not added again. `--metric` does the same for
    one run.
    """
    raise AssertionError


@hookspec
def iibench_register_commands(cli: click.Group) -> None:
    """Further commands of the `iibench` program.

    Called once when the command line is parsed, with the top-level `click` group; add commands to it.
    A command may not take the name of an existing one.
    """


# -------------------------------------------------------------------------------- life cycle


@hookspec
def iibench_configure(config: RunConfig) -> None:
    """A run is about to be planned.

    Called once per run with its frozen configuration (device, seed, folders, options).
    """


@hookspec
def iibench_collection_modify(suite: Suite, cases: list[AnyCase]) -> None:
    """The suite's cases have been collected and selected.

    Called once per run, before anything is computed. Change `cases` in place: drop, reorder or add.
    """


@hookspec
def iibench_run_start(
    config: RunConfig, suite: Suite, cases: list[AnyCase], notes: list[str]
) -> None:
    """The plan stands and the first stage is about to run.

    Called once per run with the final cases and the notes so far (e.g. that the fallback dataset is
    used).
    """


@hookspec
def iibench_case_start(case: AnyCase) -> None:
    """A case is about to be computed or read from the cache. Called once per case."""


@hookspec
def iibench_stage_progress(stage: str, done: int, total: int, unit: str) -> None:
    """A long stage has come further.

    Called with the stage's name, how many of `total` units of work (`unit`: "images", "epochs") are
    done; `done == total` ends the stage. `total == 0` reports that the stage came from the cache.
    """


@hookspec
def iibench_case_finish(report: Report) -> None:
    """A case has ended, whatever its status. Called once per case with its report."""


@hookspec
def iibench_report_sections(run: Run) -> Iterable[Section]:
    """Extra parts of the page.

    Called when the page of a run is written, with the loaded run (results only, no models). Return an
    iterable of `Section`; text in it is escaped.
    """
    raise AssertionError


@hookspec
def iibench_run_finish(run: Run) -> None:
    """All cases have ended and the run folder is written. Called once per run: export from here."""
