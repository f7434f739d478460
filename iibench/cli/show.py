"""`iibench show`: a suite, resolved."""

from __future__ import annotations

import click

from iibench.cli.options import Requested, metric_option, plugin_options


@click.command("show")
@click.argument("suite")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key.")
@metric_option
@plugin_options
def command(
    suite: str,
    overrides: tuple[str, ...],
    metrics: tuple[str, ...],
    requested: Requested,
) -> None:
    """Show what SUITE would run: datasets, layers, finders, metrics, evaluations, expectations."""
    plugins = requested.load()
    from iibench.results.trial_verdicts import sentence as trial_sentence
    from iibench.results.verdicts import sentence
    from iibench.suite.collect import collect
    from iibench.suite.load import load_suite
    from iibench.suite.schema import TrialExpectation

    loaded = load_suite(suite, plugins.registry, overrides, metrics)
    cases = collect(loaded, plugins.registry)
    click.echo(f"{loaded.name}: {loaded.description}".rstrip(": "))
    data = loaded.dataset
    splits = "" if loaded.of_trials else f" (fit on {data.fit}, evaluated on {data.evaluate})"
    click.echo(f"dataset: {data.label}{splits}")
    if loaded.fallback is not None:
        back = loaded.fallback
        click.echo(f"fallback: {back.label} (fit on {back.fit}, evaluated on {back.evaluate})")
    for model, layers in loaded.models:
        click.echo(f"model: {model.label}: {', '.join(layer.label for layer in layers)}")
    for kind, choices in (("finders", loaded.finders), ("metrics", loaded.metrics)):
        if choices:
            click.echo(f"{kind}: {', '.join(choice.label for choice in choices)}")
    for evaluation, limited in loaded.evaluations:
        finders = loaded.evaluation_finders.get(evaluation.label)
        limits = [
            f"{kind} {', '.join(sorted(labels))}"
            for kind, labels in (("metrics", limited), ("finders", finders))
            if labels is not None
        ]
        only = f" (only {'; '.join(limits)})" if limits else ""
        click.echo(f"evaluation: {evaluation.label}{only}")
    for expectation in loaded.expectations:
        if isinstance(expectation, TrialExpectation):
            click.echo(f"expects: {trial_sentence(expectation)}")
        else:
            stated = ": ".join(filter(None, (expectation.figure, expectation.published)))
            place = f" ({stated})" if stated else ""
            if expectation.not_testable:
                why = expectation.not_testable
                click.echo(f"cannot test: {sentence(expectation)}{place}: {why}")
            else:
                click.echo(f"expects: {sentence(expectation)}{place}")
    if loaded.references:
        click.echo(f"beside: {len(loaded.references)} published values")
    click.echo(f"{len(cases)} cases, seed {loaded.seed}")
