"""What the records of runs lack that were written before plugins could say it (plugin API 1.4).

Such a run names its finders, evaluations and measures, but not which finder is the baseline or which
measure is about people. iibench knew that of its own plugins by their names; these tables are what it
knew, for runs of that time alone. Whatever is recorded since then comes from the specs. Texts of the
glossary are not among them: an earlier run's page has the summaries instead.
"""

from __future__ import annotations

from typing import Any

#: finder -> its role, and its directions in a sentence
FINDERS = {
    "neurons": ("baseline", "neurons"),
    "random": ("control", "random directions"),
    "kmeans": ("main", ""),
}
#: The evaluation of directions whose tables stand first.
LEADS = "ii"

_BEST = "agrees best with people"
_PEOPLE: dict[str, dict[str, Any]] = {
    "auc_ceiling": {"title": "Ceiling of the AUC"},
    "auc_ceiling_others": {"title": "AUC of other people"},
    "human_accuracy": {"title": "Human accuracy"},
    "always_right": {"title": "Always right", "short": "always right"},
    "log_likelihood_constant": {
        "title": "Log-likelihood of a constant rate",
        "free": True,
        "short": "a constant rate",
    },
    "answers": {"title": "Answers", "count": True},
    "reliability": {"title": "Reliability of units"},
    "correlation_ceiling": {"title": "Ceiling of correlations"},
    "vote_ceiling": {"title": "Ceiling of votes"},
    "vote_ceiling_of_majorities": {"title": "Ceiling of votes, stimuli with a majority"},
}
#: measure of trials -> fields of `MeasureInfo`
MEASURES: dict[str, dict[str, Any]] = {
    "auc": {
        "title": "AUC",
        "short": "AUC",
        "against": "human_accuracy",
        "first": _BEST,
    },
    "insilico_accuracy": {
        "title": "In-silico accuracy",
        "short": "in silico",
        "against": "human_accuracy",
    },
    "agreement": {
        "title": "Agreement",
        "beside": "always_right",
        "short": "agrees",
        "first": _BEST,
    },
    "log_likelihood": {
        "title": "Log-likelihood",
        "beside": "log_likelihood_constant",
        "free": True,
    },
    "scale": {"title": "Scale k", "free": True},
    "mean_margin": {"title": "Mean margin", "free": True},
    "vote_agreement": {
        "title": "Agreement with votes",
        "ceiling": "vote_ceiling",
        "first": _BEST,
    },
    "majority_agreement": {
        "title": "Agreement with majorities",
        "short": "majority",
        "first": _BEST,
    },
    **{name: {"people": True, **info} for name, info in _PEOPLE.items()},
}
_OF_UNITS = {"against": "correlation_ceiling"}
#: number of a unit -> fields of `MeasureInfo`
UNIT_NUMBERS: dict[str, dict[str, Any]] = {
    "ii": {"title": "Interpretability Index", "short": "II", **_OF_UNITS},
    "insilico_accuracy": {"title": "In-silico accuracy", **_OF_UNITS},
    "mis": {"title": "Machine Interpretability Score", **_OF_UNITS},
}


def complete(meta: dict[str, Any]) -> None:
    """Adds to a run's records of finders and evaluations what they lack; what they have stays."""
    for record in (meta.get("finders") or {}).values():
        role, called = FINDERS.get(str(record.get("name")), ("method", ""))
        record.setdefault("role", role)
        record.setdefault("called", called)
    for record in (meta.get("evaluations") or {}).values():
        if "headline_measure" in record:
            record.setdefault("measures", MEASURES)
            record.setdefault("unit_numbers", UNIT_NUMBERS)
        else:
            record.setdefault("leads", record.get("name") == LEADS)
