"""The conformance checks of an evaluation, of directions or of trials."""

from __future__ import annotations

from typing import Any

from iibench.contract.evaluations import EvaluationBase, EvaluationSpec
from iibench.contract.specs import Harness
from iibench.contract.trials import TrialEvaluationSpec
from iibench.suite.params import label as label_of
from iibench.suite.params import parse_params
from iibench.testing.checks import Check, CheckReport, failed_load, judge
from iibench.testing.evaluations import analysis_rules
from iibench.testing.evaluations import rules as evaluation_rules
from iibench.testing.evaluations import trial_rules as trial_evaluation_rules
from iibench.testing.evaluations.analysis_rules import AnalysisUnderTest
from iibench.testing.evaluations.rules import EvaluationUnderTest
from iibench.testing.evaluations.trial_rules import TrialEvaluationUnderTest
from iibench.testing.state import preserved


def check_evaluation(
    spec: EvaluationBase,
    params: Any = None,
    harness: Harness | None = None,
    *,
    device: str = "cpu",
    label: str = "",
) -> CheckReport:
    """Checks an evaluation on made-up responses and similarities, or on simulated judgements.

    Arguments as of `check_metric`; an evaluation needs no device, and of the harness only the registered
    finders are looked at, which those that an analysis names must be among. Raises `UsageError` where a
    parameter has no default and none is given, `TypeError` for a spec of another kind.

    >>> def evaluate(params, inputs):
    ...     found = inputs.similarity.within(inputs.order[:10].T.astype(np.int64)).mean(axis=(1, 2))
    ...     flat = inputs.responses.max(axis=0) == inputs.responses.min(axis=0)
    ...     reasons = tuple("every image responds alike" if dead else None for dead in flat)
    ...     return UnitScores(np.where(flat, np.nan, found), reasons)
    >>> spec = EvaluationSpec(
    ...     name="alike", summary="How alike the ten strongest images are.", evaluate=evaluate,
    ...     images=lambda params, n: 10,
    ... )
    >>> check_evaluation(spec).failed
    ()
    """
    chosen = parse_params(spec, {}) if params is None else params
    name = label or label_of(spec, chosen)
    cause = "it must work on 1,000 images and 11 directions, or on 64 stimuli with answers"
    with preserved():
        if isinstance(spec, EvaluationSpec) and spec.plot == "none":
            registry = getattr(getattr(harness, "inputs", None), "registry", None)
            analysis = AnalysisUnderTest(spec, chosen, registry)
            cause = "it must work on 300 images, 32 neurons and the first 11 of them as directions"
            try:
                seen = f"gives {len(analysis.uses[0].value.values)} values"
            except Exception as error:
                return failed_load("evaluation", name, analysis_rules.RULES, error, cause)
            checks = judge(analysis_rules.RULES, analysis)
        elif isinstance(spec, EvaluationSpec):
            subject = EvaluationUnderTest(spec, chosen)
            try:
                seen = f"scores {len(subject.uses[0].value.values)} directions"
            except Exception as error:
                return failed_load("evaluation", name, evaluation_rules.RULES, error, cause)
            checks = judge(evaluation_rules.RULES, subject)
        elif isinstance(spec, TrialEvaluationSpec):
            judged = TrialEvaluationUnderTest(spec, chosen)
            try:
                seen = f"gives {len(judged.uses[0].value.measures)} measures"
            except Exception as error:
                return failed_load("evaluation", name, trial_evaluation_rules.RULES, error, cause)
            checks = judge(trial_evaluation_rules.RULES, judged)
        else:
            raise TypeError(f"{type(spec).__name__} is no evaluation")
    return CheckReport("evaluation", name, (Check("load", "passed", seen, "works", ""), *checks))
