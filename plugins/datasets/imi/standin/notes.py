"""What is told about the stand-in: that it is synthetic, how it was made, and its ceiling."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from iibench import Section

from .files import truth
from .make import SINGLE_CLASS, single_class_group

if TYPE_CHECKING:
    from iibench import BoolArray, Stimuli

    from ..._trials.files import FileTrials
    from .params import Params


def _rule(params: Params) -> str:
    return params.rule if params.rule == "eq2" else f"{params.rule} with {params.pool} pooling"


def _sentence(params: Params) -> str:
    return (
        f"SYNTHETIC: no person gave these answers. They are drawn from what {params.observer} makes of "
        f"each trial: rule {_rule(params)}, noise {params.noise:g}, lapse {params.lapse:g}, accuracy "
        f"{params.accuracy:g}; images of {params.images}, units of {params.model}"
    )


def notes(params: Params) -> tuple[str, ...]:
    """What the data are; these sentences come before those about the release."""
    return (
        _sentence(params),
        f"in what follows, ImageNet photographs are images of {params.images}, and optimized images are "
        "mixtures of them",
    )


def readme(params: Params, design: Mapping[str, object]) -> str:
    """The text beside the release; `design` are the parameters that decide what it is."""
    values = "\n".join(f"  {name}: {value}" for name, value in design.items())
    group = single_class_group(params.layers)
    return f"""SYNTHETIC DATA. No person gave these answers; they say nothing about people.

This is a stand-in for the public release of Zimmermann, Klein & Brendel (2023), in its layout.
Images are those of {params.images}; they are ranked by units of {params.model}:
{", ".join(params.layers)}.
`train` stands for ImageNet's training images: one image is missing, one is grey, one is CMYK.
`stimuli` holds mixtures of images in place of optimized ones.

Answers: with m the margin of {params.observer} (rule {_rule(params)}), sd the standard deviation of m over
natural easy stimuli, and lapse = {params.lapse:g},
  P(choose the strong query) = (1 - lapse) * sigmoid((m / sd + shift) / {params.noise:g}) + lapse / 2;
the shift makes the mean over natural easy stimuli {params.accuracy:g}.
truth.csv has m and P of every stimulus, named EXPERIMENT/LAYER/CHANNEL/BATCH.
Confidence rises with |m|, with noise. In {SINGLE_CLASS}, layer group {group}, all answers with
confidence 3 are right: wrong ones that were to have it have 2. That leaves right and wrong as drawn
from P, but not among the answers of one confidence of that group.
Practice, catch trials, participants and times are made up.

Parameters:
{values}
"""


def ceiling(dataset: FileTrials, params: Params, folder: Path) -> Section:
    """What was put in: mean probability, and the area that no score of stimuli can be expected to exceed."""
    import numpy as np

    from iibench.statistics.ceilings import ideal_auc

    trials = dataset.trials
    known = truth(folder)
    p = np.array([known[name] for name in trials.names.tolist()])
    n = np.bincount(trials.answers.stimulus, minlength=len(trials))
    right = np.bincount(trials.answers.stimulus[trials.answers.first], minlength=len(trials))
    rows = []
    for name, wanted in _groups(trials).items():
        chosen = wanted & trials.shown & (n > 0)
        if chosen.any():
            weights = n[chosen]
            rows.append(
                (
                    name,
                    f"{chosen.sum():,}",
                    f"{weights.sum():,}",
                    f"{np.average(p[chosen], weights=weights):.4f}",
                    f"{right[chosen].sum() / weights.sum():.4f}",
                    f"{ideal_auc(p[chosen], weights):.4f}",
                )
            )
    paragraphs = (
        _sentence(params) + ".",
        "The ideal area is that of the true probabilities as scores, given how many answers each "
        "stimulus has: what no metric can be expected to exceed. Stimuli whose images are missing are "
        "left out, as they are for metrics.",
        f"Among answers of one confidence it does not hold in {SINGLE_CLASS}, layers "
        f"{single_class_group(params.layers)}: there wrong answers that were to have confidence 3 have 2, "
        "so that all with confidence 3 are right.",
    )
    header = ("answers to", "stimuli", "answers", "accuracy put in", "accuracy found", "ideal AUC")
    return Section(
        "SYNTHETIC: what was put into the stand-in", paragraphs, ((header, tuple(rows)),)
    )


def _groups(trials: Stimuli) -> dict[str, BoolArray]:
    """The stimuli (S,) of each row of the table."""
    import numpy as np

    columns = trials.columns
    easy = (columns["difficulty"] == "easy") & (columns["condition"] == "natural")
    models = sorted(set(columns["model"].tolist()))
    experiments = sorted(set(columns["experiment"].tolist()))
    return {
        "natural easy": easy,
        **{f"natural easy, {model}": easy & (columns["model"] == model) for model in models},
        **{f"experiment {name}": columns["experiment"] == name for name in experiments},
        "all": np.ones(len(trials), bool),
    }
