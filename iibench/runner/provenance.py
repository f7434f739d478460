"""What a run was: suite, seeds, versions, device, datasets, weights, assets, so that it can be trusted
and repeated. The record is the `meta` of `results.Run`."""

from __future__ import annotations

import dataclasses
import os
import platform
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iibench.contract.errors import IibenchError, one_line
from iibench.contract.evaluations import EvaluationSpec
from iibench.contract.trials import TrialEvaluationSpec
from iibench.contract.version import __version__
from iibench.results.run import SCHEMA_VERSION
from iibench.stages.subsets import notes_of
from iibench.suite.cases import Case
from iibench.suite.params import describe, to_json

if TYPE_CHECKING:
    from iibench.contract.evaluations import EvaluationBase
    from iibench.contract.specs import FinderSpec, MetricSpec
    from iibench.runner.session import Session
    from iibench.suite.cases import AnyCase, Choice, DatasetChoice
    from iibench.suite.registry import Entry

#: Libraries whose versions stand in the results.
RECORDED = (
    "torch",
    "torchvision",
    "lpips",
    "numpy",
    "scipy",
    "scikit-learn",
    "scikit-image",
    "pillow",
    "pandas",
)


def describe_run(
    session: Session,
    workers: int,
    interrupted: bool,
    finished: Collection[str],
    loading: bool = True,
) -> dict[str, Any]:
    """Everything a reader needs to trust or repeat the run (see `results.Run.meta`).

    `workers`: how many did the work. `finished`: ids of the cases that have a report. `loading`: whether
    datasets and networks may be loaded for it; without, what is known of them only then is left out. What
    cannot be had is left out too, with a note.
    """
    suite, registry, inputs = session.suite, session.plugins.registry, session.inputs
    settings = session.stages.context.settings
    used = [case for case in session.cases if case.id in finished]
    of_directions = [case for case in used if isinstance(case, Case)]
    resources = inputs.resources
    datasets = _dataset_records(session, used, loading)
    now = datetime.now(UTC)
    return {
        "schema_version": SCHEMA_VERSION,
        "name": suite.name,
        "started": session.started.isoformat(timespec="seconds"),
        "finished": now.isoformat(timespec="seconds"),
        "seconds": round((now - session.started).total_seconds(), 2),
        "interrupted": interrupted,
        "suite": {
            "name": suite.name,
            "description": suite.description,
            "path": Path(suite.path).name,
            "sha256": suite.sha256,
            "text": suite.text,
        },
        "seed": session.cases[0].seed if session.cases else suite.seed,
        "limit": session.config.limit,
        "device": resources.device,
        "dtype": settings.precision,
        "batch_size": settings.batch_size,
        "command": session.config.command,
        "keyword": session.config.keyword,
        "overrides": list(session.config.overrides),
        "added_metrics": list(suite.added_metrics),
        "deselected": session.deselected,
        "versions": {
            "iibench": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in RECORDED},
        },
        "executor": {
            "label": session.config.executor,
            "workers": workers,
        },
        "machine": {
            "system": f"{platform.system()} {platform.machine()}",
            "processors": os.cpu_count(),
        },
        "plugins": [
            {
                "name": record.name,
                "source": record.source,
                "distribution": record.distribution,
                "version": record.version,
                "sha256": record.sha256,
                "status": record.status,
                "reason": record.reason,
            }
            for record in session.plugins.records
        ],
        "datasets": datasets,
        "models": _model_records(session, of_directions, loading),
        "finders": {
            case.finder.label: _finder_record(registry.finders[case.finder.name], case.finder)
            for case in of_directions
        },
        "metrics": _metric_records(session, used, datasets),
        "evaluations": {
            case.evaluation.label: _evaluation_record(session, case.evaluation) for case in used
        },
        "assets": {
            name: {"filename": file.filename, "sha256": file.sha256}
            for name, file in sorted(resources.used.items())
        },
        "references": [dataclasses.asdict(reference) for reference in suite.references],
        "notes": session.notes.items,
    }


def _spec_record(entry: Entry[Any], choice: Choice | DatasetChoice) -> dict[str, Any]:
    """What a card says of a registered thing, with the parameters chosen here."""
    spec = entry.spec
    return {
        "name": spec.name,
        "summary": spec.summary,
        "definition": spec.definition,
        "version": spec.version,
        "citation": spec.citation,
        "bibtex": spec.bibtex,
        "licence": spec.licence,
        "params": to_json(choice.params),
        "parameters": [
            {"name": doc.name, "type": doc.type, "default": doc.default, "help": doc.help}
            for doc in describe(spec)
        ],
        "plugin": entry.plugin,
        "assets": [asset.name for asset in spec.assets],
    }


def _finder_record(entry: Entry[FinderSpec], choice: Choice) -> dict[str, Any]:
    named = {"role": entry.spec.role, "called": entry.spec.called}
    return _spec_record(entry, choice) | named


def _dataset_records(session: Session, used: Sequence[AnyCase], loading: bool) -> dict[str, Any]:
    records: dict[str, Any] = {}
    for case in used:
        choice = case.dataset
        if choice.label in records:
            continue
        entry = session.plugins.registry.datasets[choice.name]
        splits = {}
        roles = (("fit", choice.fit), ("evaluate", choice.evaluate)) if loading else ()
        for role, split in roles:
            try:
                data = session.inputs.dataset(choice, split, case.seed)
                splits[role] = {
                    "notes": list(notes_of(data)),
                    "split": split,
                    "n": len(data),
                    "fingerprint": data.fingerprint,
                    "image_size": list(data.image_size),
                    **_trials_record(data),
                }
            except IibenchError:  # its cases carry the reason
                continue
            except Exception as error:
                session.note(
                    f"dataset {choice.label}: split {split} is not described, since loading it for the "
                    f"record raised {one_line(error)}"
                )
        evaluated = splits.get("evaluate", {})
        records[choice.label] = {
            **_spec_record(entry, choice),
            "splits": splits,
            "n": evaluated.get("n"),
            "image_size": evaluated.get("image_size"),
            "fingerprint": evaluated.get("fingerprint"),
        }
    return records


def _trials_record(data: Any) -> dict[str, Any]:
    """Of a dataset of trials: how many stimuli and answers, and its account of what was kept."""
    trials = getattr(data, "trials", None)
    if trials is None:
        return {}
    return {
        "stimuli": len(trials),
        "units": len(trials.units),
        "answers": int(trials.answers.count.sum()),
        "has_truth": trials.has_truth,
        "sections": [dataclasses.asdict(section) for section in data.sections],
    }


def _model_records(session: Session, used: Sequence[Case], loading: bool) -> dict[str, Any]:
    records: dict[str, Any] = {}
    for case in used:
        entry = session.plugins.registry.models[case.model.name]
        record = records.setdefault(
            case.model.label, {**_spec_record(entry, case.model), "weights": {}}
        )
        if not loading or case.layer.path in record["weights"]:
            continue
        try:
            loaded, sha256 = session.inputs.model(case)
        except Exception:  # the model's cases carry the reason
            continue
        record["weights"][case.layer.path] = {"provenance": loaded.provenance, "sha256": sha256}
        record["provenance"] = loaded.provenance
        record["weights_sha256"] = sha256
    return records


def _metric_records(
    session: Session, used: Sequence[AnyCase], datasets: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    records: dict[str, Any] = {}
    for case in used:
        choice = case.metric
        if choice is None or choice.label in records:
            continue
        entry = session.plugins.registry.metrics[choice.name]
        spec = entry.spec
        try:
            fingerprint = session.inputs.metric(choice).fingerprint
        except Exception:  # the metric's cases carry the reason
            fingerprint = None
        records[choice.label] = {
            **_spec_record(entry, choice),
            "part": choice.part,
            "level": spec.level,
            "distance": spec.distance,
            "range": spec.range,
            "input": spec.input,
            "size": spec.size(choice.params),
            "sentence": _sentence(session, spec, choice, _sizes(spec, choice, datasets)),
            "fingerprint": fingerprint,
        }
    return records


def _sizes(
    spec: MetricSpec, choice: Choice, datasets: Mapping[str, Mapping[str, Any]]
) -> list[tuple[int, int]]:
    """(height, width) at which a metric saw the images, of each dataset."""
    size = spec.size(choice.params)
    if size is not None:
        return [(size, size)]
    known = (record["image_size"] for record in datasets.values() if record["image_size"])
    return list(dict.fromkeys((int(height), int(width)) for height, width in known))


def _sentence(
    session: Session, spec: MetricSpec | EvaluationBase, choice: Choice, *sizes: Any
) -> str:
    """How the spec describes what was chosen; nothing where it cannot, since a run is worth more."""
    if spec.sentence is None:
        return ""
    try:
        return str(spec.sentence(choice.params, *sizes))
    except Exception as error:
        session.note(f"{choice.label}: its sentence raised {one_line(error)}")
        return ""


def _evaluation_record(session: Session, choice: Choice) -> dict[str, Any]:
    entry = session.plugins.registry.evaluations[choice.name]
    spec = entry.spec
    record = {
        **_spec_record(entry, choice),
        "unit": spec.unit,
        "chance": spec.chance,
        "sentence": _sentence(session, spec, choice),
    }
    if isinstance(spec, EvaluationSpec):
        record |= {"plot": spec.plot, "plot_over": spec.plot_over, "leads": spec.leads}
    if isinstance(spec, TrialEvaluationSpec):
        record["headline_measure"] = spec.headline_measure
        for kind in ("measures", "unit_numbers"):
            record[kind] = {n: dataclasses.asdict(i) for n, i in getattr(spec, kind).items()}
    return record
