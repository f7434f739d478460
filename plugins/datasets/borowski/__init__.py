"""People's answers of Borowski et al. 2020: which of two images activates a unit of GoogLeNet more?

A trial showed images that strongly (and in some conditions also weakly) activate a unit, natural ones or
feature visualisations, and two natural queries; people said which query strongly activates it, and how
sure they were (1 to 3). Experiment I: 10 people, 45 units. Experiment II: 23 people, 20 units, with one
or nine reference images, with and without the weakly activating side.

The answers are public, the images are not: every image of these trials is -1, and only evaluations that
need no metric apply. Should images ever be put beside them, mind the numbering: the queries are `max_9`
and `min_0` with nine references (`max_0` to `max_8`, `min_1` to `min_9`), `max_1` and `min_0` with one
(the later study of Zimmermann et al. 2023 takes `max_9` and `min_9`); catch trials take any number.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, compress
from pathlib import Path
from typing import Literal

from iibench import (
    Answers,
    AssetError,
    DatasetSpec,
    Harness,
    Section,
    Stimuli,
    TrialDataset,
    TrialDatasetSpec,
    UsageError,
    hookimpl,
    unknown_name,
)

from ..._shared.bibliography import arxiv, entry
from .._trials.csv_rows import Row, read_rows
from .._trials.files import FileTrials
from .._trials.paths import find_folder, named_by_user
from .rows import TRIAL_TYPES, Answer, read_answers

BOROWSKI2021 = entry(
    "inproceedings",
    "borowski2021exemplary",
    author="Judy Borowski and Roland S. Zimmermann and Judith Schepers and Robert Geirhos and "
    "Thomas S. A. Wallis and Matthias Bethge and Wieland Brendel",
    title="Exemplary Natural Images Explain {CNN} Activations Better than State-of-the-Art Feature "
    "Visualization",
    booktitle="International Conference on Learning Representations",
    year=2021,
    **arxiv("2010.12606"),
)


VERSION = "1"
TRIAL_FILES = {
    "I": "experiment_I_main_practice_catch_repeated_trials_preprocessed.csv",
    "II": "experiment_II_main_practice_catch_trials_preprocessed.csv",
}
#: Ratings from -100 to 100 of how intuitive the images are, asked before and after the trials.
INTUITIVENESS_FILES = {
    "I, before": "experiment_I_intuitiveness_beginning_preprocessed.csv",
    "II, before": "experiment_II_intuitiveness_beginning_preprocessed.csv",
    "II, after": "experiment_II_intuitiveness_end_preprocessed.csv",
}
FOLDER = "borowski2020"
_ORIGIN = (
    "the public repository bethgelab/testing_visualizations, folder data_from_human_experiments"
)


@dataclass(frozen=True)
class Params:
    """Parameters of the answers of Borowski et al. 2020."""

    path: str = field(
        default=FOLDER,
        metadata={
            "help": "the folder of the CSV files; relative paths start at the suite's folder, "
            "then at the data folder"
        },
    )
    experiments: tuple[str, ...] = field(
        default=(), metadata={"help": "which experiments, I and II; none given: both"}
    )
    trial_types: tuple[str, ...] = field(
        default=("main",), metadata={"help": f"which trials: {', '.join(TRIAL_TYPES)}"}
    )
    catch: Literal["exclude", "include", "only"] = field(
        default="exclude",
        metadata={"help": "trials that are easy on purpose, to see whether people pay attention"},
    )


def load(params: Params, split: str, harness: Harness) -> TrialDataset:
    """The answers of the chosen trials; query 0 is the strongly activating one, the right answer.

    A stimulus is a unit's pair of queries under one instruction and condition. Raises `AssetError` where
    the folder or a trial file is missing (`FileError` where the user named the folder), `UsageError` where
    a row contradicts itself (see `read_answers`) or nothing is left.
    """
    experiments = _known("experiment", params.experiments, tuple(TRIAL_FILES)) or tuple(TRIAL_FILES)
    trial_types = _known("trial type", params.trial_types, TRIAL_TYPES)
    expected = ", ".join(TRIAL_FILES[experiment] for experiment in experiments)
    with named_by_user(params.path != FOLDER):
        root = find_folder(params.path, harness, expected, _ORIGIN)
        for experiment in experiments:
            if not (root / TRIAL_FILES[experiment]).is_file():
                raise AssetError(
                    f"there is no {root / TRIAL_FILES[experiment]}; it is part of {_ORIGIN}"
                )
    answers = list(
        chain.from_iterable(read_answers(root / TRIAL_FILES[name], name) for name in experiments)
    )
    keep = [a.trial_type in trial_types and _wanted(params.catch, a.catch) for a in answers]
    if not any(keep):
        raise UsageError(
            f"none of the {len(answers)} answers in {root} is of experiments "
            f"{', '.join(experiments)}, trial_types {', '.join(trial_types) or '(none)'} "
            f"and catch: {params.catch}"
        )
    notes = [*chain.from_iterable(_notes(name, answers, keep) for name in experiments)]
    notes.append(
        "the images of these trials are not published: no metric can be compared with them"
    )
    return FileTrials(
        files=(),
        sha256=(),
        image_size=(1, 1),
        trials=_trials(answers, keep),
        notes=tuple(notes),
        sections=tuple(_sections(root, answers, keep)),
    )


def _known(kind: str, names: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    for name in names:
        if name not in known:
            raise UsageError(f"borowski: {unknown_name(kind, name, known)}")
    return tuple(name for name in known if name in names)


def _wanted(choice: str, catch: bool) -> bool:
    return choice == "include" or catch == (choice == "only")


def _trials(answers: Sequence[Answer], keep: Sequence[bool]) -> Stimuli:
    """Stimuli in the order in which they first occur; people are numbered whatever is kept."""
    import numpy as np

    kept = list(compress(answers, keep))
    people = {person: i for i, person in enumerate(dict.fromkeys(a.person for a in answers))}
    number = {name: i for i, name in enumerate(dict.fromkeys(a.stimulus for a in kept))}
    first_of = {a.stimulus: a for a in reversed(kept)}
    stimuli = [first_of[name] for name in number]
    units = tuple(sorted({a.unit for a in kept}))
    return Stimuli(
        names=np.array(list(number)),
        queries=np.full((len(stimuli), 2), -1, np.int64),
        references=np.empty((len(stimuli), 0), np.int64),
        opposite=np.empty((len(stimuli), 0), np.int64),
        unit=np.array([units.index(a.unit) for a in stimuli], np.int64),
        units=units,
        columns={
            "experiment": np.array([a.experiment for a in stimuli]),
            "trial_type": np.array([a.trial_type for a in stimuli]),
            "instructions": np.array([a.instructions for a in stimuli]),
            "catch": np.array([str(a.catch) for a in stimuli]),
            "layer": np.array([a.layer for a in stimuli]),
            "unit_name": np.array([a.unit_name for a in stimuli]),
            "condition": np.array([a.condition for a in stimuli]),
        },
        answers=Answers(
            stimulus=np.array([number[a.stimulus] for a in kept], np.int64),
            first=np.array([a.correct for a in kept], np.bool_),
            count=np.ones(len(kept), np.int64),
            confidence=np.array([a.confidence for a in kept], np.int64),
            participant=np.array([people[a.person] for a in kept], np.int64),
            columns={"expertise": np.array([a.expertise for a in kept])},
        ),
    )


# ---------------------------------------------------------------------------- what was kept


def _notes(experiment: str, answers: Sequence[Answer], keep: Sequence[bool]) -> Iterator[str]:
    of_it = [(a, k) for a, k in zip(answers, keep, strict=True) if a.experiment == experiment]
    kept = [a for a, k in of_it if k]
    left = Counter(f"{'catch' if a.catch else a.trial_type} trials" for a, k in of_it if not k)
    yield (
        f"experiment {experiment}: {len(kept):,} of {len(of_it):,} answers kept, of "
        f"{len({a.person for a in kept})} people to {len({a.stimulus for a in kept}):,} stimuli of "
        f"{len({a.unit for a in kept})} units; left out: "
        + (", ".join(f"{n} in {kind}" for kind, n in sorted(left.items())) or "none")
    )
    early = sum(a.seconds <= 0 for a, _ in of_it)
    if early:
        yield (
            f"experiment {experiment}: a response time of 0 s or less in {early} of all answers; "
            "none is left out for it"
        )


def _sections(root: Path, answers: Sequence[Answer], keep: Sequence[bool]) -> Iterator[Section]:
    head = ("experiment", "trials", "instructions", "catch", "kept", "answers", "correct", "share")
    groups: dict[tuple[str, ...], list[bool]] = {}
    for a, k in zip(answers, keep, strict=True):
        key = (a.experiment, a.trial_type, a.instructions, _yes(a.catch), _yes(k))
        groups.setdefault(key, []).append(a.correct)
    rows = tuple(
        (*key, str(len(group)), str(sum(group)), f"{sum(group) / len(group):.4f}")
        for key, group in sorted(groups.items())
    )
    yield Section("Answers of Borowski et al. 2020", tables=((head, rows),))
    ratings = tuple(_ratings(root))
    if ratings:
        table = (("experiment", "ratings", "mean"), ratings)
        yield Section("Ratings of intuitiveness, from -100 to 100", tables=(table,))


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _ratings(root: Path) -> Iterator[tuple[str, ...]]:
    for when, name in INTUITIVENESS_FILES.items():
        if (root / name).is_file():
            values = [_rating(row) for row in read_rows(root / name, ["rating"])]
            yield when, str(len(values)), f"{sum(values) / len(values):.2f}"


def _rating(row: Row) -> int:
    if not re.fullmatch("-?[0-9]{1,3}", row["rating"]) or abs(int(row["rating"])) > 100:
        raise row.wrong("rating", "a whole number from -100 to 100")
    return int(row["rating"])


@hookimpl
def iibench_register_datasets() -> Iterable[DatasetSpec]:
    """Registers `borowski`."""
    yield TrialDatasetSpec(
        name="borowski",
        summary="6,828 human answers about units of GoogLeNet (Borowski et al. 2020), without images",
        definition=(
            "People's answers in two experiments about units of GoogLeNet: shown images that "
            "strongly (and in some conditions weakly) activate a unit, which of two natural "
            "images activates it strongly? Confidence is 1 to 3. The answers are public, the "
            "images are not, so only evaluations that need no metric apply."
        ),
        params=Params,
        load=load,
        version=VERSION,
        citation="Borowski et al., Exemplary Natural Images Explain CNN Activations Better than "
        "State-of-the-Art Feature Visualization, ICLR 2021",
        bibtex=BOROWSKI2021,
    )
