"""Makes the stand-in's folder: design -> pictures -> margins -> truth -> answers -> rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..._trials.files import FileTrials
from ..images import Stimulus
from ..names import layer_group
from ..pixels import as_shown
from .design import EXPERIMENTS, Design, Unit, release_name
from .files import (
    hide,
    specials,
    write_map,
    write_optimized,
    write_photographs,
    write_responses,
    write_truth,
)
from .people import deal, judge, probabilities, scaled
from .rows import Click, Row, submission

if TYPE_CHECKING:
    import numpy as np

    from iibench import BoolArray, DoubleArray, ImageDataset, Stimuli
    from iibench.compute.similarity.within_trials import TrialMetric

Rule = Literal["eq2", "two_sided"]
Pool = Literal["mean", "max"]

_NATURAL_EASY = ("standin_a_natural", "standin_b_natural")
#: Whose confidence-3 answers of the last layer's group are all right.
SINGLE_CLASS = "standin_b_natural"


@dataclass(frozen=True)
class People:
    """Who the simulated people are; see people.py. `answers`: to each stimulus."""

    metric: TrialMetric
    rule: Rule
    pool: Pool
    accuracy: float
    noise: float
    lapse: float
    answers: int


def single_class_group(layers: Sequence[str]) -> str:
    """The layer group in which all confidence-3 answers of `SINGLE_CLASS` are right: the last layer's."""
    return layer_group(release_name(layers[-1]))


def make_release(
    folder: Path,
    source: ImageDataset,
    design: Design,
    people: People,
    layers: Sequence[str],
    size: int,
    seed: int,
    device: str,
    readme: str,
) -> None:
    """Writes everything below the empty folder `folder`."""
    import numpy as np

    rng = np.random.default_rng([seed, 1])
    special = specials(design)
    photographs = write_photographs(folder, source, special)
    write_map(folder, design, source)
    optimized = write_optimized(folder, design, design.of("standin_a"), source, size, rng)
    stimuli = design.stimuli()
    files = [*photographs, *(path for paths in optimized.values() for path in paths)]
    number = {path: i for i, path in enumerate(files)}
    made = {unit: [number[path] for path in paths] for unit, paths in optimized.items()}
    shown = [_shown(design, stimulus, unit, made) for stimulus, unit in stimuli]
    pictures = FileTrials(
        files=tuple(files),
        sha256=(),
        image_size=(size, size),
        trials=_trials([stimulus for stimulus, _ in stimuli], np.array(shown, np.int64)),
        decode=partial(as_shown, size=size),
    )
    margins = _margins(people, pictures, device)
    # people saw all images; one is missing from what was published
    hide(folder, source, special)
    names = [stimulus.name for stimulus, _ in stimuli]
    easy = np.array([s.experiment.name in _NATURAL_EASY for s, _ in stimuli])
    z = scaled(margins, easy)
    p = probabilities(z, easy, people.accuracy, people.noise, people.lapse)
    group = single_class_group(layers)
    single = np.array(
        [s.experiment.name == SINGLE_CLASS and layer_group(s.layer) == group for s, _ in stimuli]
    )
    rows = _rows([s for s, _ in stimuli], z, p, single, design.used, people.answers, rng)
    write_responses(folder, rows)
    write_truth(folder, names, margins, p, readme)


def _shown(
    design: Design, stimulus: Stimulus, unit: Unit, optimized: Mapping[Unit, list[int]]
) -> list[int]:
    """The 20 images of a stimulus: queries, references, opposite references."""
    images: list[int] = design.images[stimulus.experiment.key, unit][stimulus.batch].tolist()
    if stimulus.experiment.condition == "natural":
        return images
    return images[:2] + optimized[unit]


def _trials(stimuli: Sequence[Stimulus], shown: np.ndarray) -> Stimuli:
    """The stimuli without answers."""
    import numpy as np

    from iibench import Answers, Stimuli

    none = np.zeros(0, np.int64)
    return Stimuli(
        names=np.array([stimulus.name for stimulus in stimuli]),
        queries=shown[:, :2],
        references=shown[:, 2:11],
        opposite=shown[:, 11:],
        unit=np.zeros(len(stimuli), np.int64),
        units=("all",),
        answers=Answers(none, none.astype(bool), none, none, none),
    )


def _margins(people: People, pictures: FileTrials, device: str) -> DoubleArray:
    from iibench.compute.similarity.within_trials import trial_similarities
    from iibench.statistics.observers import margin_eq2, margin_two_sided

    (found,) = trial_similarities(people.metric, pictures, device)
    if people.rule == "eq2":
        return margin_eq2(found.references)
    return margin_two_sided(found.references, found.opposite, people.pool)


def _rows(
    stimuli: Sequence[Stimulus],
    z: DoubleArray,
    p: DoubleArray,
    single_class: BoolArray,
    batches: int,
    answers: int,
    rng: np.random.Generator,
) -> list[Row]:
    """Experiment by experiment: practice of all tasks, then their main and catch rows.

    Tasks are in the order of their names (1, 10, 11, ...), as published.
    """
    import numpy as np

    names = np.array([stimulus.experiment.name for stimulus in stimuli])
    rows: list[Row] = []
    person = 0
    for experiment in EXPERIMENTS:
        own = np.flatnonzero(names == experiment)
        tasks = deal(len(own) // batches, batches, answers, rng)
        found = judge(tasks, z[own], p[own], single_class[own], rng)
        practice: list[Row] = []
        main: list[Row] = []
        for task in sorted(range(1, len(tasks) + 1), key=str):
            person += 1
            clicks = [
                Click(stimuli[own[s]], bool(right), int(sure))
                for s, right, sure, number in zip(
                    found.stimulus, found.right, found.confidence, found.task, strict=True
                )
                if number == task
            ]
            parts = submission(clicks, task, f"P{person:04d}", int(rng.integers(2**62)))
            practice += parts[0]
            main += parts[1]
        rows += practice + main
    return rows
