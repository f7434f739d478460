"""JSON: a run in one document of a published format (`results.schema.json`).

`format_version` changes its first number when a reader of the old one would misread the new. Every number
is finite or null. The scores of single units stay in the run folder's `results.parquet`.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from importlib import resources
from typing import TYPE_CHECKING, Any

from iibench.report.export.tables import real, whole

if TYPE_CHECKING:
    from iibench.contract.measures import Measure
    from iibench.contract.reports import CaseReport, Named, Report, TrialReport
    from iibench.results.run import Run

FORMAT = "iibench-results"
FORMAT_VERSION = "2.0"

#: keys of a run's record that are facts about the run, and where it has none
_RUN = (
    *("name", "started", "finished", "seconds", "interrupted", "seed", "limit", "device", "dtype"),
    *("batch_size", "command", "keyword", "deselected"),
)
_PROVENANCE = ("datasets", "models", "finders", "metrics", "evaluations", "assets", "versions")


def write(run: Run) -> bytes:
    """The document as indented UTF-8 JSON."""
    text = json.dumps(document(run), indent=1, allow_nan=False, ensure_ascii=False)
    return text.encode("utf-8", "replace") + b"\n"


def results_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of the document."""
    text = (
        resources.files("iibench.report.export").joinpath("results.schema.json").read_text("utf-8")
    )
    found: dict[str, Any] = json.loads(text)
    return found


def document(run: Run) -> dict[str, Any]:
    """The document as plain values."""
    meta = run.meta
    board = {record["case"]: record for record in run.leaderboard().to_dict("records")}
    # analyses are in no leaderboard: what describes their units is the summary
    cases = [_direction_case(case, board.get(case.id) or _unranked(case)) for case in run.cases]
    cases += [_trial_case(case, board[case.id]) for case in run.trial_cases]
    suite = meta.get("suite") or {}
    found: dict[str, Any] = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "kind": "trials" if run.trial_cases else "directions",
        "run": {
            **{name: meta.get(name) for name in _RUN},
            "failed": run.failed,
            "overrides": list(meta.get("overrides") or []),
            "suite": {
                name: suite.get(name) for name in ("name", "description", "path", "sha256", "text")
            },
        },
        "cases": cases,
        "verdicts": [
            {
                "text": verdict.text,
                "status": verdict.status,
                "detail": verdict.detail,
                "dataset": verdict.dataset,
                "case": verdict.case,
                "figure": verdict.figure,
                "published": verdict.published,
                "not_testable": verdict.not_testable,
            }
            for verdict in run.verdicts
        ],
        "notes": [
            {"level": str(note.get("level", "info")), "text": str(note.get("text", ""))}
            for note in meta.get("notes") or []
        ],
        "provenance": {
            **{name: meta.get(name) or {} for name in _PROVENANCE},
            "plugins": list(meta.get("plugins") or []),
            "machine": meta.get("machine"),
        },
    }
    plain: dict[str, Any] = finite(found)
    return plain


def _direction_case(case: CaseReport, record: Mapping[Any, Any]) -> dict[str, Any]:
    reasons = Counter(reason for reason in case.reasons if reason)
    return {
        **_shared(case, record),
        "model": _named(case.model),
        "layer": case.layer,
        "finder": _named(case.finder),
        "trials": case.trials,
        "k": whole(record["k"]),
        "scored": whole(record["n_scored"]),
        "unscored": [{"reason": reason, "n": n} for reason, n in reasons.most_common()],
        "score": _numbers(record, mean="mean", low="low", high="high", sd="sd", median="median"),
        "to_baseline": _numbers(
            record,
            difference="diff_to_baseline",
            low="diff_low",
            high="diff_high",
            p="p_value",
            p_holm="p_holm",
            effect="effect",
        ),
        "to_control": _numbers(
            record,
            difference="diff_to_control",
            low="control_low",
            high="control_high",
            p="control_p_value",
            p_holm="control_p_holm",
        ),
        "sparseness": real(record.get("sparseness")),
        "headline": case.headline or None,
        "measures": [_measure(measure) for measure in case.measures],
    }


def _unranked(case: CaseReport) -> dict[str, Any]:
    """The columns of a leaderboard for a case that is in none."""
    found: dict[str, Any] = {"k": None, "n_scored": None, "rank_low": None, "rank_high": None}
    if case.summary is not None:
        found |= {
            name: getattr(case.summary, name) for name in ("mean", "low", "high", "sd", "median")
        }
        found |= {"k": case.summary.n, "n_scored": case.summary.scored}
    return found


def _trial_case(case: TrialReport, record: Mapping[Any, Any]) -> dict[str, Any]:
    return {
        **_shared(case, record),
        "headline": case.headline,
        "score": _numbers(record, value="value", low="low", high="high"),
        "n": whole(record["n"]),
        "stimuli": whole(record["stimuli"]),
        "units": whole(record["units"]),
        "to_best": _numbers(
            record,
            difference="diff_to_best",
            low="diff_low",
            high="diff_high",
            p="p_value",
            p_holm="p_holm",
        ),
        "measures": [_measure(measure) for measure in case.measures],
    }


def _shared(case: Report, record: Mapping[Any, Any]) -> dict[str, Any]:
    """What a case of directions and one of trials have in common."""
    low, high = whole(record["rank_low"]), whole(record["rank_high"])
    letters = record.get("tie_group")
    return {
        "id": case.id,
        "dataset": case.dataset,
        "metric": _named(case.metric) if case.metric else None,
        "evaluation": _named(case.evaluation),
        "status": case.status,
        "reason": case.reason,
        "traceback": case.traceback,
        "notes": list(case.notes),
        "seed": case.seed,
        "seeds": dict(case.seeds),
        "cached": case.cached,
        "seconds": dict(case.seconds),
        "rank": None
        if low is None or high is None
        else {
            "low": low,
            "high": high,
            "tie_group": letters if isinstance(letters, str) and letters else None,
        },
    }


def _named(named: Named) -> dict[str, Any]:
    return {
        "name": named.name,
        "label": named.label,
        "params": dict(named.params),
        "part": named.part,
    }


def _measure(measure: Measure) -> dict[str, Any]:
    return {
        "name": measure.name,
        "group": dict(measure.group),
        "value": measure.value,
        "low": measure.low,
        "high": measure.high,
        "n": measure.n,
        "stimuli": measure.stimuli,
        "units": measure.units,
        "reason": measure.reason,
    }


def _numbers(record: Mapping[Any, Any], **columns: str) -> dict[str, float | None] | None:
    """Numbers of the leaderboard under other names; None where the first of them is missing."""
    found = {name: real(record.get(column)) for name, column in columns.items()}
    return found if next(iter(found.values())) is not None else None


def finite(value: Any) -> Any:
    """`value` as plain JSON: numbers finite or None, keys text, anything foreign as text."""
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [finite(item) for item in value]
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if hasattr(value, "item"):  # a numpy number
        return finite(value.item())
    return str(value)
