"""Reads a suite: a file, or one that ships with iibench, checked against the registered plugins."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from iibench.contract.errors import SuiteError, nearest
from iibench.contract.evaluations import EvaluationSpec
from iibench.contract.paths import user_path
from iibench.contract.trials import TrialDatasetSpec, TrialEvaluationSpec
from iibench.suite.added import read_added
from iibench.suite.cases import Choice
from iibench.suite.entries import read_dataset, read_evaluations, read_models
from iibench.suite.expectations import read_expectations
from iibench.suite.overrides import override
from iibench.suite.param_types import shown
from iibench.suite.reading import read_choices, read_mapping, read_number, read_text
from iibench.suite.registry import Registry
from iibench.suite.schema import (
    DIRECTION_KEYS,
    FORMAT,
    OPTIONAL_KEYS,
    REQUIRED_KEYS,
    Expectation,
    Suite,
    TrialExpectation,
)
from iibench.suite.trial_expectations import read_references, read_trial_expectations
from iibench.suite.yaml_lines import Document, parse

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def load_suite(
    path_or_name: str,
    registry: Registry,
    overrides: Sequence[str] = (),
    added_metrics: Sequence[str] = (),
) -> Suite:
    """The suite in a file, or the shipped one of that name, with `KEY=VALUE` overrides applied.

    `added_metrics`: labels of metrics that every evaluation of the suite is to use beside its own; those
    that plugins add to every suite come after them.

    Raises `SuiteError` with one line per problem, `FILE:LINE: key: what was found; what is expected`.
    """
    path, raw = _read(path_or_name)
    document = parse(_decoded(raw, path_or_name, path), path)
    if not isinstance(document.value, dict):
        found = "an empty file" if document.value is None else shown(document.value)
        raise SuiteError(f"{path}:1: found {found}; expected a mapping with the key 'iibench'")
    override(document, overrides)
    suite = _checked(document, registry, added_metrics)
    document.raise_problems()
    if suite is None:
        raise SuiteError(f"{path}: cannot be read")
    return dataclasses.replace(
        suite,
        path=path,
        text=raw.decode("utf-8-sig"),
        sha256=hashlib.sha256(raw).hexdigest(),
        overrides=tuple(overrides),
    )


def shipped_suites() -> dict[str, str]:
    """Name -> first line of the description of every suite that ships with iibench, by name."""
    found = {}
    for name, path in shipped_paths().items():
        value = parse(path.read_text(encoding="utf-8"), path.name).value
        lines = str(value.get("description", "")).strip().splitlines()
        found[name] = lines[0] if lines else ""
    return found


def shipped_paths() -> dict[str, Path]:
    """Name -> file of the shipped suites.

    The package's own search path is read: `importlib.resources` refuses packages whose path has, as in
    some editable installs, an entry that is no folder.
    """
    spec = find_spec("iibench_suites")
    folders = [] if spec is None else spec.submodule_search_locations or []
    paths = [path for folder in folders for path in Path(folder).glob("*.yaml")]
    return {path.stem: path for path in sorted(paths, key=lambda path: path.stem)}


def _read(path_or_name: str) -> tuple[str, bytes]:
    """(path as shown in messages, content)."""
    path = user_path(path_or_name)
    shipped = shipped_paths()
    try:
        if path.is_file():
            return str(path), path.read_bytes()
        if path_or_name in shipped:
            return str(shipped[path_or_name]), shipped[path_or_name].read_bytes()
    except OSError as error:
        raise SuiteError(f"{path_or_name}: cannot be read: {error.strerror}") from error
    found = "a folder" if path.is_dir() else "no such file"
    close = nearest(path.stem, shipped) or list(shipped)
    raise SuiteError(
        f"{path_or_name}: found {found}; expected a suite file or the name of a shipped suite; "
        f"nearest: {', '.join(close)}"
    )


def _decoded(raw: bytes, name: str, path: str) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise SuiteError(
            f"{path}:{line}: found the byte 0x{raw[error.start]:02x}; expected UTF-8 text"
        ) from error


def _checked(doc: Document, registry: Registry, added: Sequence[str]) -> Suite | None:
    """The suite, as far as it could be read; everything wrong is noted in the document."""
    of_trials = _of_trials(doc.value, registry)
    required = REQUIRED_KEYS if of_trials else (*REQUIRED_KEYS, *DIRECTION_KEYS)
    optional = (*OPTIONAL_KEYS, *DIRECTION_KEYS)
    given = read_mapping(doc, (), doc.value, required, optional) or {}
    _check_sections(doc, given, of_trials)
    if "iibench" in given:
        _check_version(doc, given["iibench"])
    name = _name(doc, given["name"]) if "name" in given else ""
    description = given.get("description", "")
    if "description" in given:
        description = read_text(doc, ("description",), description)
    seed = 0
    if "seed" in given:
        expected = "an integer >= 0"
        number = read_number(
            doc, ("seed",), given["seed"], lambda x: isinstance(x, int) and x >= 0, expected
        )
        seed = int(number or 0)
    dataset, fallback = (
        read_dataset(doc, ("dataset",), given["dataset"], registry)
        if "dataset" in given
        else (None, None)
    )
    models = tuple(read_models(doc, ("models",), given.get("models"), registry))
    finders = tuple(
        choice
        for *_, choice in read_choices(doc, ("finders",), given.get("finders"), registry.finders)
    )
    metrics = tuple(
        choice
        for *_, choice in read_choices(doc, ("metrics",), given.get("metrics"), registry.metrics)
    )
    new = read_added(doc, added, registry, metrics)
    metrics += new
    read = tuple(
        read_evaluations(
            doc, ("evaluations",), given.get("evaluations"), registry, metrics, finders
        )
    )
    evaluations = tuple(
        (choice, only if only is None else only | {metric.label for metric in new})
        for choice, only, _ in read
    )
    _check_evaluations(doc, evaluations, registry, of_trials)
    if dataset is None:
        return None
    suite = Suite(
        name=name,
        description=description,
        path=doc.file,
        text="",
        sha256="",
        seed=seed,
        dataset=dataset,
        fallback=fallback,
        models=models,
        finders=finders,
        metrics=metrics,
        evaluations=evaluations,
        of_trials=of_trials,
        added_metrics=tuple(choice.label for choice in new),
        evaluation_finders={c.label: limited for c, _, limited in read if limited is not None},
    )
    expectations: tuple[Expectation | TrialExpectation, ...]
    stated = (doc, ("expect",), given.get("expect"), suite, registry)
    expectations = tuple(read_trial_expectations(*stated) if of_trials else ())
    expectations += tuple(() if of_trials else read_expectations(*stated))
    references = tuple(
        read_references(doc, ("references",), given.get("references"), suite, registry)
    )
    return dataclasses.replace(suite, expectations=expectations, references=references)


def _of_trials(value: Any, registry: Registry) -> bool:
    """Whether the suite names a dataset of trials; a name that is unknown is reported elsewhere."""
    entry = value.get("dataset") if isinstance(value, dict) else None
    name = entry.get("name") if isinstance(entry, dict) else entry
    label = name.partition("[")[0].strip() if isinstance(name, str) else ""
    return label in registry.datasets and isinstance(
        registry.datasets[label].spec, TrialDatasetSpec
    )


def _check_sections(doc: Document, given: dict[str, Any], of_trials: bool) -> None:
    """Sections that make no sense with the kind of dataset."""
    for key in DIRECTION_KEYS if of_trials else ("references",):
        if key in given:
            what = (
                "a dataset of trials, which has units of its own" if of_trials else "images alone"
            )
            doc.problem((key,), f"found {key} beside {what}; expected no such key")


def _check_evaluations(
    doc: Document,
    evaluations: tuple[tuple[Choice, frozenset[str] | None], ...],
    registry: Registry,
    of_trials: bool,
) -> None:
    """Evaluations of directions go with images, evaluations of trials with trials."""
    kind = TrialEvaluationSpec if of_trials else EvaluationSpec
    fitting = [entry.spec.name for entry in registry.evaluations if isinstance(entry.spec, kind)]
    for choice, _ in evaluations:
        if choice.name not in fitting:
            what = "trials" if of_trials else "images"
            doc.problem(
                ("evaluations",),
                f"found {choice.label}; expected one for a dataset of {what}: {', '.join(fitting)}",
            )


def _check_version(doc: Document, version: Any) -> None:
    if version == FORMAT:
        return
    quote = "" if isinstance(version, str) else f' in quotes (iibench: "{FORMAT}")'
    doc.problem(
        ("iibench",), f'found {shown(version)}; expected the format version "{FORMAT}"{quote}'
    )


def _name(doc: Document, value: Any) -> str:
    name = read_text(doc, ("name",), value)
    if name and not _NAME.fullmatch(name):
        doc.problem(("name",), f"found {shown(name)}; expected letters, digits, '.', '_' and '-'")
    return name
