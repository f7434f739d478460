"""The conformance kit: checks that a plugin's author runs in tests, and `iibench plugin check`.

    from iibench.testing import check_metric
    check_metric(SPEC).raise_if_failed()

Each `check_*` tries what a plugin registers on toys and gives a `CheckReport`: what was seen, what was
expected, and the likely cause of what failed. `run_reference_suite` runs it for real, on toys.
"""

from __future__ import annotations

from iibench.testing.checks import Check, CheckReport
from iibench.testing.datasets.checks import check_dataset
from iibench.testing.evaluations.checks import check_evaluation
from iibench.testing.finders.checks import check_finder
from iibench.testing.metrics.checks import check_metric
from iibench.testing.models.checks import check_model
from iibench.testing.reference import (
    local_harness,
    reference_suite,
    run_reference_suite,
    toy_harness,
)
from iibench.testing.spec_checks import check_spec

__all__ = [
    "Check",
    "CheckReport",
    "check_dataset",
    "check_evaluation",
    "check_finder",
    "check_metric",
    "check_model",
    "check_spec",
    "local_harness",
    "reference_suite",
    "run_reference_suite",
    "toy_harness",
]
