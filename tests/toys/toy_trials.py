"""A one-file plugin with a dataset of trials: flat colours, a few units, simulated people."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
from annotated_types import Ge

from iibench import hookimpl
from iibench.contract.measures import Section
from iibench.contract.trials import Answers, Stimuli, TrialDatasetSpec


@dataclass(frozen=True)
class Params:
    units: Annotated[int, Ge(1)] = 12
    batches: Annotated[int, Ge(1)] = 5
    people: int = 3
    seed: int = 0
    always_right: bool = False


@dataclass(frozen=True)
class ToyTrials:
    array: np.ndarray
    trials: Stimuli
    notes: tuple[str, ...] = ("made of flat colours",)
    sections: tuple[Section, ...] = (
        Section("What was kept", (), ((("kind", "n"), (("main", "180"),)),)),
    )
    labels: np.ndarray | None = None
    class_names: tuple[str, ...] = ()
    image_size: tuple[int, int] = (8, 8)
    fingerprint: str = field(default="")

    def __len__(self) -> int:
        return len(self.array)

    def images(self, indices):
        log = os.environ.get("TOY_IMAGES")  # a file to which every image read adds a line
        if log:
            with Path(log).open("a") as file:
                file.writelines(f"{i}\n" for i in indices)
        return self.array[np.asarray(indices, np.int64)]


def make(
    params: Params, references: int = 3, opposite: int = 3, has_truth: bool = True
) -> ToyTrials:
    """Units whose references share a colour; the nearer a query's colour, the more people see it."""
    rng = np.random.default_rng(params.seed)
    s, per = params.units * params.batches, 2 + references + opposite
    unit = np.repeat(np.arange(params.units), params.batches)
    colour = rng.integers(40, 210, (params.units, 3))[unit]
    other = rng.integers(40, 210, (params.units, 3))[unit]
    spread = rng.uniform(5, 90, (s, 1))
    flat = np.empty((s, per, 3))
    flat[:, 0] = colour + rng.normal(0, 1, (s, 3)) * spread  # query 0
    flat[:, 1] = other + rng.normal(0, 1, (s, 3)) * spread
    flat[:, 2 : 2 + references] = colour[:, None] + rng.normal(0, 12, (s, references, 3))
    flat[:, 2 + references :] = other[:, None] + rng.normal(0, 12, (s, opposite, 3))
    array = np.clip(flat, 0, 255).astype(np.uint8).reshape(s * per, 1, 1, 3)
    array = np.broadcast_to(array, (s * per, 8, 8, 3)).copy()
    number = np.arange(s * per).reshape(s, per)
    p = np.clip(1.05 - spread[:, 0] / 120, 0.3, 0.98)
    stimulus = np.repeat(np.arange(s), params.people)
    first = rng.random(len(stimulus)) < (1.0 if params.always_right else p[stimulus])
    answers = Answers(
        stimulus,
        first,
        np.ones(len(stimulus), np.int64),
        rng.integers(1, 4, len(stimulus)),
        np.tile(np.arange(params.people), s),
    )
    trials = Stimuli(
        names=np.array([f"unit{u}/{i}" for i, u in enumerate(unit)]),
        queries=number[:, :2],
        references=number[:, 2 : 2 + references],
        opposite=number[:, 2 + references :],
        unit=unit,
        units=tuple(f"unit{u}" for u in range(params.units)),
        answers=answers,
        columns={
            "model": np.array([f"net{u % 2}" for u in unit]),
            "layers": np.array([f"layer{u % 3}" for u in unit]),
        },
        has_truth=has_truth,
    )
    digest = hashlib.sha256(array.tobytes() + first.tobytes() + repr(params).encode()).hexdigest()
    return ToyTrials(array, trials, fingerprint=digest)


@hookimpl
def iibench_register_datasets():
    yield TrialDatasetSpec(
        name="toytrials",
        summary="flat colours and simulated people",
        params=Params,
        load=lambda params, split, harness: make(params),
    )
