"""Metrics added to a suite from outside: by `--metric LABEL`, or by a plugin that adds one to all."""

from __future__ import annotations

from collections.abc import Sequence

from iibench.suite.cases import Choice
from iibench.suite.reading import entry_choices, read_entry
from iibench.suite.registry import Registry
from iibench.suite.yaml_lines import Document

#: Where the added metrics stand in the document, for messages.
PLACE = "added metrics"


def read_added(
    doc: Document, labels: Sequence[str], registry: Registry, own: Sequence[Choice]
) -> tuple[Choice, ...]:
    """The metrics that the suite does not have yet: those asked for, then those that plugins add.

    `labels`: the values of `--metric`, written as in suites (`lpips[net=vgg]`). A label that names no
    metric is noted in the document as a problem of the argument or plugin that it came from.
    """
    given = [(label, f"--metric {label}") for label in labels]
    given += [
        (label, f"plugin {plugin} (iibench_suite_metrics)")
        for plugin, label in registry.suite_metrics
    ]
    found = {choice.label: choice for choice in own}
    for i, (label, origin) in enumerate(given):
        doc.overridden[(PLACE, i)] = origin
        read = read_entry(doc, (PLACE, i), label, registry.metrics)
        for choice in () if read is None else entry_choices(doc, (PLACE, i), read):
            found.setdefault(choice.label, choice)
    return tuple(found.values())[len(own) :]
