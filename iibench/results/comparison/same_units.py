"""Whether a case's units, or stimuli, can be taken as the same in two runs, and if not, why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from iibench.contract.reports import CaseReport, Named, Report, TrialReport
    from iibench.results.run import Run


def same_units(a: Run, b: Run, one: CaseReport, other: CaseReport) -> str:
    """ "" where the directions of a case are the same ones in both runs, otherwise why they are not.

    They are where K, the images, the network's weights, and the finder's version, parameters and seed are.
    """
    if len(one.scores) != len(other.scores):
        return f"K is {len(one.scores)} in A and {len(other.scores)} in B"
    images = _same_data(a, b, one.dataset)
    if images:
        return images
    left, right = (_record(run, "models", one.model.label) for run in (a, b))
    weights = _weights(left), _weights(right)
    shared = weights[0].keys() & weights[1].keys()
    if not shared:
        return "the SHA-256 of the network's weights is not known in both runs"
    if any(weights[0][path] != weights[1][path] for path in shared):
        return "the network's weights differ"
    if _params_differ(one.model, other.model):
        return "the network's parameters differ"
    left, right = (_record(run, "finders", one.finder.label) for run in (a, b))
    if left.get("version") != right.get("version"):
        return (
            f"the finder's version is {left.get('version', 'unknown')} in A and "
            f"{right.get('version', 'unknown')} in B"
        )
    if _params_differ(one.finder, other.finder):
        return "the finder's parameters differ"
    return "the finder's seed differs" if _seed_differs(one, other, "finder") else ""


def same_stimuli(a: Run, b: Run, one: TrialReport, other: TrialReport) -> str:
    """ "" where a case on trials has the same stimuli and resamples in both runs, otherwise why not."""
    if len(one.margins) != len(other.margins):
        return f"there are {len(one.margins)} stimuli in A and {len(other.margins)} in B"
    data = _same_data(a, b, one.dataset)
    if data:
        return data
    left, right = (_record(run, "evaluations", one.evaluation.label) for run in (a, b))
    if left.get("version") != right.get("version"):
        return "the evaluation's version differs"
    if _params_differ(one.evaluation, other.evaluation):
        return "the evaluation's parameters differ"
    units = [report.summary.n if report.summary else 0 for report in (one, other)]
    if units[0] != units[1]:
        return f"there are {units[0]} units with answers in A and {units[1]} in B"
    return "the seed of the draws differs" if _seed_differs(one, other, "draws") else ""


def _params_differ(one: Named, other: Named) -> bool:
    """Whether a parameter that both know differs; one that only a newer version has is at its default,
    or it would stand in the id."""
    return any(one.params[k] != other.params[k] for k in one.params.keys() & other.params.keys())


def _seed_differs(one: Report, other: Report, of: str) -> bool:
    """Whether a derived seed differs, or the seed it comes from, where an older run has only that."""
    if of in one.seeds and of in other.seeds:
        return one.seeds[of] != other.seeds[of]
    return one.seed != other.seed


def _same_data(a: Run, b: Run, label: str) -> str:
    left, right = (_fingerprints(_record(run, "datasets", label)) for run in (a, b))
    if not left or not right:
        return "the dataset's fingerprint is not known in both runs"
    if any(left[role] != right[role] for role in left.keys() & right.keys()):
        return "the images of the dataset differ"
    return "" if left.keys() == right.keys() else "the splits of the dataset differ"


def _fingerprints(record: Mapping[str, Any]) -> dict[str, str]:
    splits = record.get("splits") or {"evaluate": record}
    return {
        role: split["fingerprint"] for role, split in splits.items() if split.get("fingerprint")
    }


def _weights(record: Mapping[str, Any]) -> dict[str, str]:
    """Layer path -> SHA-256 of the weights up to it."""
    found = {path: given.get("sha256") for path, given in (record.get("weights") or {}).items()}
    found = found or {"": record.get("weights_sha256")}
    return {path: sha256 for path, sha256 in found.items() if sha256}


def _record(run: Run, group: str, label: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (run.meta.get(group) or {}).get(label) or {}
    return found
