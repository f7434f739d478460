"""The IMI release (Zimmermann, Klein & Brendel 2023) as a dataset of trials.

A stimulus is one batch of a unit in one experiment; the question is which of two queries belongs to the
nine images that activate the unit strongly. Query 0 is `max_9`, the right answer.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from iibench import Answers, AssetError, Stimuli, UsageError

from .._trials.files import FileTrials
from .choice import Choice, Selection, select
from .hashes import facts_of
from .images import Images, Places, Stimulus, find_images
from .map import read_map
from .names import layer_group
from .notes import Account, notes, sections
from .pixels import as_shown, decoding
from .responses import Quality, Responses, read_responses, responses_path

if TYPE_CHECKING:
    import pandas as pd

    from iibench import IntArray

__all__ = ["Choice", "needed_photographs", "read_release"]

_QUALITIES: tuple[Quality, ...] = ("main", "lower_quality", "all")
_STIMULUS = ["experiment", "layer", "channel", "batch"]


def read_release(
    root: Path,
    choice: Choice,
    image_root: Path | None,
    notes_prefix: Sequence[str] = (),
    hashes: Path | None = None,
) -> FileTrials:
    """The stimuli and answers asked for, of the release folder `root`.

    `image_root`: ImageNet's training images (class folders, or the folder that `ILSVRC` lies in), None
    where there are none; images whose finished stimulus is in the release do not need them.
    `notes_prefix`: sentences that come before the notes. `hashes`: where the hashes of the images are
    remembered between runs.

    Stimuli are sorted by unit and batch, and images indexed as the stimuli use them. Hard experiments
    judge the same units as the easy one: `units` have the base model's name. Stimuli without an entry in
    the file map, and optimized ones whose images are not in the release, are left out and counted.
    Raises `AssetError` for missing files and `UsageError` for data that are not as published.
    """
    responses = read_responses(root, choice.responses)
    selection = select(responses, choice)
    places = Places(root, image_root)
    stimuli, stimulus_of = _stimuli(responses, selection.rows)
    images = find_images(stimuli, read_map(root), places)
    if images.missing and choice.missing == "error":
        raise _missing(images, places)
    left_out = Counter(selection.left_out)
    left_out.update(
        reason for reason in (images.shown[i] for i in stimulus_of) if isinstance(reason, str)
    )
    kept = [i for i, shown in enumerate(images.shown) if not isinstance(shown, str)]
    if not kept:
        raise UsageError(_nothing_left(responses, left_out))
    files = {name: file for name, file in images.files.items() if file is not None}
    trials = _trials(stimuli, stimulus_of, kept, images, list(files), selection)
    facts = facts_of(list(files.values()), hashes)
    account = Account(
        responses=responses,
        selection=selection,
        left_out=left_out,
        stimuli_left_out=Counter(shown for shown in images.shown if isinstance(shown, str)),
        stimuli=tuple(stimuli[i] for i in kept),
        images=images,
        modes=Counter(mode for _, mode in facts),
        trials=trials,
    )
    labels, class_names = _labels(list(files), images)
    return FileTrials(
        files=tuple(files.values()),
        sha256=tuple(sha256 for sha256, _ in facts),
        image_size=(choice.size, choice.size),
        trials=trials,
        notes=(*notes_prefix, *notes(account)),
        sections=sections(account),
        decode=partial(as_shown, size=choice.size),
        decoding=decoding(choice.size),
        label_of=labels,
        class_names=class_names,
    )


def needed_photographs(root: Path) -> list[str]:
    """WNID/FILE of every ImageNet image that stimuli with answers show and the release does not hold.

    Answers of all files that are there count. Sorted, each once. Raises as `read_release`.
    """
    found = [q for q in _QUALITIES if responses_path(root, q).is_file()] or ["main"]
    file_map = read_map(root)
    needed: set[str] = set()
    for quality in found:
        responses = read_responses(root, quality)
        stimuli, _ = _stimuli(responses, responses.main)
        needed.update(find_images(stimuli, file_map, Places(root, None)).missing)
    return sorted(needed)


def _stimuli(responses: Responses, rows: pd.DataFrame) -> tuple[list[Stimulus], IntArray]:
    """The distinct stimuli of these rows, by unit and batch, and which one each row is about."""
    import numpy as np
    import pandas as pd

    models = {name: experiment.model for name, experiment in responses.experiments.items()}
    table = rows[_STIMULUS].drop_duplicates()
    table = table.assign(model=table["experiment"].map(models))
    table = table.sort_values(["model", "layer", "channel", "batch", "experiment"])[_STIMULUS]
    stimuli = [
        Stimulus(responses.experiments[experiment], layer, int(channel), int(batch))
        for experiment, layer, channel, batch in table.itertuples(index=False)
    ]
    known = pd.MultiIndex.from_frame(table)
    return stimuli, np.asarray(
        known.get_indexer(pd.MultiIndex.from_frame(rows[_STIMULUS])), np.int64
    )


def _trials(
    stimuli: list[Stimulus],
    stimulus_of: IntArray,
    kept: list[int],
    images: Images,
    names: list[str],
    selection: Selection,
) -> Stimuli:
    """The kept stimuli with their answers; images that are missing get -1."""
    import numpy as np

    index = {name: i for i, name in enumerate(names)}
    shown = np.array(
        [[index.get(name, -1) for name in images.shown[i]] for i in kept], np.int64
    ).reshape(len(kept), 20)
    number = np.full(len(stimuli), -1)
    number[kept] = np.arange(len(kept))
    used = number[stimulus_of] >= 0
    rows = selection.rows[used]
    chosen = [stimuli[i] for i in kept]
    units = list(dict.fromkeys(stimulus.unit for stimulus in chosen))
    unit_number = {unit: i for i, unit in enumerate(units)}
    columns = {
        "experiment": [stimulus.experiment.name for stimulus in chosen],
        "model": [stimulus.experiment.model for stimulus in chosen],
        "difficulty": [stimulus.experiment.difficulty for stimulus in chosen],
        "condition": [stimulus.experiment.condition for stimulus in chosen],
        "layer": [stimulus.layer for stimulus in chosen],
        "layers": [layer_group(stimulus.layer) for stimulus in chosen],
    }
    return Stimuli(
        names=np.array([stimulus.name for stimulus in chosen], np.str_),
        queries=shown[:, :2],
        references=shown[:, 2:11],
        opposite=shown[:, 11:],
        unit=np.array([unit_number[stimulus.unit] for stimulus in chosen], np.int64),
        units=tuple(units),
        answers=Answers(
            stimulus=number[stimulus_of[used]],
            first=np.asarray(rows["first"], bool),
            count=np.ones(len(rows), np.int64),
            confidence=np.asarray(rows["confidence"], np.int64),
            participant=np.asarray(rows["participant"], np.int64),
        ),
        columns={name: np.array(values, np.str_) for name, values in columns.items()},
    )


def _labels(names: list[str], images: Images) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """ImageNet's class of every image, and the WNIDs; nothing where some images are optimized."""
    if images.optimized:
        return (), ()
    classes = [name.partition("/")[0] for name in names]
    class_names = tuple(sorted(set(classes)))
    number = {name: i for i, name in enumerate(class_names)}
    return tuple(number[name] for name in classes), class_names


def _missing(images: Images, places: Places) -> AssetError:
    missing = images.missing
    where = "there is no folder of them" if places.imagenet is None else f"not in {places.imagenet}"
    first = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
    return AssetError(
        f"{len(missing):,} of the {len(images.files):,} images that the stimuli show are missing: "
        f"{first}. They are ImageNet training images (ILSVRC 2012; {where}). The list of all that are "
        "needed is written by\n"
        f"  iibench assets imi --list-images FILE --folder {shlex.quote(str(places.root))}\n"
        "missing: count goes on without them"
    )


def _nothing_left(responses: Responses, left_out: Counter[str]) -> str:
    reasons = "; ".join(f"{n:,} because {reason}" for reason, n in left_out.items())
    return (
        f"{responses.path}: no answer is left of {responses.counts['main']:,}"
        f"{f': {reasons}' if reasons else ''}"
    )
