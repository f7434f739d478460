"""A SYNTHETIC stand-in for the IMI release: its layout, simulated people, and a truth that is known.

Real photographs are ranked by real units of a network, and the trials are made from them as in the IMI
study (Zimmermann, Klein & Brendel 2023). The answers are not people's: they are drawn from what an image
metric makes of each trial, so that it is known which metric should win, and by how much at most. It says
nothing about people.
"""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt, MinLen

from iibench import hookimpl
from iibench.contract.errors import UsageError
from iibench.contract.specs import DatasetSpec
from iibench.contract.trials import TrialDatasetSpec

from .._bibliography import ZIMMERMANN2023
from ._imi_choice import Choice

if TYPE_CHECKING:
    from iibench.compute.similarity.within_trials import TrialMetric
    from iibench.contract.base import FloatArray
    from iibench.contract.specs import Harness, ImageDataset

    from ._standin_design import Design
    from ._trial_files import FileTrials

VERSION = "1"


@dataclass(frozen=True)
class Params(Choice):
    """What the stand-in is made from, who its people are, and which answers are asked for."""

    images: str = field(
        default="photo_patches[n=2000]",
        metadata={"help": "label of the dataset whose images stand for ImageNet's"},
    )
    image_split: str = field(default="", metadata={"help": "its split; none: the last"})
    model: str = field(
        default="resnet50_cifar10", metadata={"help": "label of the network whose units are judged"}
    )
    layers: Annotated[tuple[str, ...], MinLen(1)] = field(
        default=("layer1.0.conv2", "layer1.2.bn2", "layer2.1.conv2", "layer2.3.bn2"),
        metadata={"help": "its layers, by module path; units are spread over them evenly"},
    )
    units: Annotated[int, Ge(1)] = field(
        default=40, metadata={"help": "units of each of the two models"}
    )
    batches: Annotated[int, Ge(1), Le(20)] = field(
        default=11, metadata={"help": "stimuli of a unit in each experiment"}
    )
    answers: Annotated[int, Ge(1)] = field(default=3, metadata={"help": "answers to each stimulus"})
    observer: str = field(
        default="color",
        metadata={"help": "what the simulated people see: a metric, or a part such as lpips[3]"},
    )
    rule: Literal["eq2", "two_sided"] = field(
        default="two_sided", metadata={"help": "how they decide: see the observers of human"}
    )
    pool: Literal["mean", "max"] = field(
        default="max", metadata={"help": "over the references of a side, under two_sided"}
    )
    accuracy: Annotated[float, Gt(0), Lt(1)] = field(
        default=0.83, metadata={"help": "mean probability of a right answer, natural easy stimuli"}
    )
    noise: Annotated[float, Gt(0)] = field(
        default=1.0,
        metadata={"help": "of their decisions, in standard deviations of the margin"},
    )
    lapse: Annotated[float, Ge(0), Lt(1)] = field(
        default=0.02, metadata={"help": "share of answers that are guessed"}
    )
    release_seed: Annotated[int, Ge(0)] = field(
        default=0, metadata={"help": "of the units, trials and answers"}
    )
    missing: Literal["error", "count"] = field(
        default="count",
        metadata={
            "help": "one image is missing on purpose: stop, or count the stimuli that show it"
        },
    )
    size: Annotated[int, Ge(16)] = field(
        default=64, metadata={"help": "pixels of a side of the trials' images"}
    )


def load(params: Params, split: str, harness: Harness) -> FileTrials:
    """The stimuli and answers asked for, read as the IMI release is; the one split is "all".

    Made once per set of parameters, images and activations, and kept in the cache folder.
    """
    from ._imi_release import read_release
    from ._standin_files import TRAIN
    from ._standin_notes import ceiling, notes

    folder = release_folder(params, harness)
    dataset = read_release(folder, params, image_root=folder / TRAIN, notes_prefix=notes(params))
    section = ceiling(dataset, params, folder)
    return dataclasses.replace(dataset, sections=(section, *dataset.sections))


def release_folder(params: Params, harness: Harness) -> Path:
    """The folder of the stand-in's release, made where it is not there yet.

    Raises `UsageError` for parameters that cannot be had: too few images or neurons, an unknown part.
    """
    from filelock import FileLock

    from ._standin_design import make_design
    from ._stored import fingerprint_of

    metric = _metric(params.observer, harness)  # first: a wrong name is told before anything runs
    split = params.image_split or None
    source = harness.images(params.images, split)
    activations = {
        layer: harness.activations(params.images, split, params.model, layer)
        for layer in params.layers
    }
    key = fingerprint_of(
        "imi_standin",
        VERSION,
        _design_of(params),
        source.fingerprint,
        [_sha256(values) for values in activations.values()],
        metric.spec.version,
        metric.metric.fingerprint,
    )
    folder = harness.cache_dir / "derived" / "imi_standin" / key
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f"{key}.lock")):
            if not folder.is_dir():
                made = make_design(activations, params.units, params.batches, params.release_seed)
                _make(folder, params, made, source, metric, harness.device)
    except OSError as error:
        raise UsageError(
            f"{error.filename or folder} cannot be used as a cache ({error.strerror}); "
            "choose another with --cache-dir or IIBENCH_CACHE"
        ) from error
    return folder


def _design_of(params: Params) -> dict[str, Any]:
    """The parameters that decide what the release is; the others choose among its answers."""
    choosing = {f.name for f in dataclasses.fields(Choice)} - {"size"}
    names = [f.name for f in dataclasses.fields(params) if f.name not in choosing]
    return {name: getattr(params, name) for name in names}


def _make(
    folder: Path,
    params: Params,
    design: Design,
    source: ImageDataset,
    metric: TrialMetric,
    device: str,
) -> None:
    """Writes the release under another name and renames it when it is complete."""
    from ._standin_make import People, make_release
    from ._standin_notes import readme

    people = People(
        metric,
        params.rule,
        params.pool,
        params.accuracy,
        params.noise,
        params.lapse,
        params.answers,
    )
    temporary = Path(tempfile.mkdtemp(prefix=".new-", dir=folder.parent))
    try:
        make_release(
            temporary,
            source,
            design,
            people,
            params.layers,
            params.size,
            params.release_seed,
            device,
            readme(params, _design_of(params)),
        )
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _metric(label: str, harness: Harness) -> TrialMetric:
    """The metric that the simulated people look with."""
    from iibench.compute.similarity.within_trials import TrialMetric

    try:
        chosen = harness.metric(label)
    except UsageError as error:
        raise UsageError(f"observer: {error}") from error
    return TrialMetric(chosen.spec, chosen.metric, chosen.size, (chosen.part or "",))


def _sha256(values: FloatArray) -> str:
    import numpy as np

    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()


@hookimpl
def iibench_register_datasets() -> Iterable[DatasetSpec]:
    """Registers `imi_standin`."""
    yield TrialDatasetSpec(
        name="imi_standin",
        summary="SYNTHETIC answers in the IMI release's layout: simulated people, known ceiling",
        definition=(
            "SYNTHETIC: trials in the layout of the IMI release, made from registered images and "
            "a registered network, answered by simulated people. With m a trial's margin under "
            "the metric `observer` and sd the deviation of m over natural easy stimuli, a "
            "simulated person is right with probability (1 - lapse) sigmoid((m / sd + shift) / "
            "noise) + lapse / 2; the shift gives the mean `accuracy`. It says nothing about "
            "people: it serves to check that the right metric wins."
        ),
        params=Params,
        load=load,
        headline=("observer",),
        version=VERSION,
        citation="layout and design after Zimmermann, Klein & Brendel, NeurIPS 2023",
        bibtex=ZIMMERMANN2023,
    )
