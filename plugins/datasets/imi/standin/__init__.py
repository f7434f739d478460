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
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iibench import TrialDatasetSpec, UsageError

from ...._shared.bibliography import ZIMMERMANN2023
from ..choice import Choice
from .params import Params

if TYPE_CHECKING:
    from iibench import FloatArray, Harness, ImageDataset
    from iibench.compute.similarity.within_trials import TrialMetric

    from ..._trials.files import FileTrials
    from .design import Design

VERSION = "1"


def load(params: Params, split: str, harness: Harness) -> FileTrials:
    """The stimuli and answers asked for, read as the IMI release is; the one split is "all".

    Made once per set of parameters, images and activations, and kept in the cache folder.
    """
    from ..release import read_release
    from .files import TRAIN
    from .notes import ceiling, notes

    folder = release_folder(params, harness)
    dataset = read_release(folder, params, image_root=folder / TRAIN, notes_prefix=notes(params))
    section = ceiling(dataset, params, folder)
    return dataclasses.replace(dataset, sections=(section, *dataset.sections))


def release_folder(params: Params, harness: Harness) -> Path:
    """The folder of the stand-in's release, made where it is not there yet.

    Raises `UsageError` for parameters that cannot be had: too few images or neurons, an unknown part.
    """
    from filelock import FileLock

    from ..._images.stored import fingerprint_of
    from .design import make_design

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
    from .make import People, make_release
    from .notes import readme

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


def spec() -> TrialDatasetSpec:
    """What the plugin registers beside the release itself."""
    return TrialDatasetSpec(
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
