"""Trials of your own, or others' without answers: folders of reference images and queries.

Two layouts are found, at any depth below `path` (both are used by Zimmermann et al. 2023):

- a trial's folder: `queries/{max,min}.png` and `references/{max,min}_I.png`;
- a unit's folder: `LAYER/channel_N/{natural,optimized}_images/{max,min}_I.png`. Its queries are natural
  images, also where the references are feature visualisations.

`max` is the side of images that strongly activate the unit, `min` the other. References are numbered
from 0 on both sides ("new": queries `max_9` and `min_9` of the unit's folder) or from 0 on the max and
from 1 on the min side ("old": queries `max_9` and `min_0`). Nobody answered these trials here: they
serve to see what an observer does, not to compare it with people.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Le

from iibench import (
    Answers,
    DatasetSpec,
    Harness,
    Section,
    Stimuli,
    TrialDataset,
    TrialDatasetSpec,
    UsageError,
    hookimpl,
)

from .._images.files import FOLLOWED
from .._trials.files import FileTrials
from .._trials.paths import find_folder, named_by_user
from .folders import LAYOUTS, FolderTrial, find_trials
from .pixels import Pixels, read_pixels

if TYPE_CHECKING:
    from iibench import IntArray

VERSION = "1"
_ORIGIN = (
    "your own trials, or those in the public repository brendel-group/imi (mturk/2afc/data and "
    "tools/data_generation/resources/catch_trials)"
)


@dataclass(frozen=True)
class Params:
    """Parameters of folders of trials."""

    path: str = field(
        metadata={
            "help": "the folder below which trials are looked for; relative paths start at the "
            "suite's folder, then at the data folder"
        }
    )
    references: Annotated[int, Ge(1), Le(9)] = field(
        default=9, metadata={"help": "how many reference images a side"}
    )
    numbering: Literal["auto", "old", "new"] = field(
        default="auto",
        metadata={
            "help": "new: references max_0.. and min_0..; old: max_0.. and min_1..; "
            "auto: old where there is no min_0 among the references"
        },
    )
    follow_links: bool = field(default=False, metadata=FOLLOWED)


def load(params: Params, split: str, harness: Harness) -> TrialDataset:
    """The complete trials below `path`, without answers; query 0 is the max query, the right answer.

    Images of equal pixels are one image. Raises `FileError` where there is no such folder, `UsageError`
    where it holds no complete trial, an image is damaged, or two images differ in size.
    """
    with named_by_user(True):
        root = find_folder(params.path, harness, LAYOUTS, _ORIGIN)
    found = find_trials(root, params.references, params.numbering, params.follow_links)
    complete = [trial for trial in found if not trial.missing]
    if not complete:
        first = f"; {found[0].name} lacks {found[0].missing[0]}" if found else ""
        raise UsageError(
            f"{root} holds no complete trial with {params.references} references a side"
            f"{first}; expected {LAYOUTS}"
        )
    pixels = read_pixels(root, sorted({file for trial in found for file in trial.files}))
    trials = _trials(complete, pixels)
    return FileTrials(
        files=tuple(pixels.files),
        sha256=tuple(pixels.sha256),
        image_size=pixels.size,
        trials=trials,
        notes=tuple(_notes(found, pixels, trials, params.numbering)),
        sections=(_section(trials),),
    )


def _trials(complete: Sequence[FolderTrial], pixels: Pixels) -> Stimuli:
    import numpy as np

    def indices(names: Sequence[tuple[str, ...]]) -> IntArray:
        return np.array([[pixels.index[name] for name in row] for row in names], np.int64)

    units = tuple(sorted({trial.unit for trial in complete}))
    nobody = np.empty(0, np.int64)
    return Stimuli(
        names=np.array([trial.name for trial in complete]),
        queries=indices([trial.queries for trial in complete]),
        references=indices([trial.references for trial in complete]),
        opposite=indices([trial.opposite for trial in complete]),
        unit=np.array([units.index(trial.unit) for trial in complete], np.int64),
        units=units,
        columns={
            "condition": np.array([trial.condition for trial in complete]),
            "layout": np.array([trial.layout for trial in complete]),
            "layer": np.array([trial.layer for trial in complete]),
            "source": np.array([trial.name for trial in complete]),
        },
        answers=Answers(nobody, np.empty(0, np.bool_), nobody, nobody, nobody),
    )


def _notes(
    found: Sequence[FolderTrial], pixels: Pixels, trials: Stimuli, numbering: str
) -> Iterator[str]:
    yield (
        f"{len(trials)} complete trials without answers; {len(pixels.index)} PNG files with "
        f"{len(pixels.files)} distinct pixel contents"
    )
    incomplete = [trial for trial in found if trial.missing]
    if incomplete:
        worst = incomplete[0]
        yield (
            f"{len(incomplete)} incomplete trials left out, such as {worst.name}, "
            f"which lacks {len(worst.missing)} images ({worst.missing[0]})"
        )
    complete = [trial for trial in found if not trial.missing]
    taken = Counter(trial.numbering for trial in complete)
    counts = ", ".join(f"{kind} in {n}" for kind, n in sorted(taken.items()))
    yield f"numbering of the references: {counts} trials (asked for: {numbering})"
    for kind, n in sorted(Counter(t.numbering for t in complete if t.ambiguous).items()):
        yield (
            f"{n} trials have images for both numberings (max_0 to max_9 and min_0 to min_9); "
            f"the {kind} one was taken"
        )
    guessed = sum(trial.condition_guessed for trial in complete)
    if guessed:
        yield (
            f"condition of {guessed} trials: no folder says natural or optimized; optimized where all "
            "twenty images are among the references (then the queries come from elsewhere), else "
            "natural"
        )
    if pixels.grey:
        yield f"{pixels.grey} greyscale images were converted to RGB"
    repeated = sum(
        not set(map(int, row)).isdisjoint(map(int, others))
        for row, others in zip(trials.queries, _shown_with(trials), strict=True)
    )
    if repeated:
        yield f"{repeated} trials have a query among their references: these are trivial"


def _shown_with(trials: Stimuli) -> IntArray:
    import numpy as np

    return np.concatenate([trials.references, trials.opposite], axis=1)


def _section(trials: Stimuli) -> Section:
    pairs = zip(trials.columns["layout"], trials.columns["condition"], strict=True)
    counts = Counter((str(layout), str(condition)) for layout, condition in pairs)
    rows = tuple((*key, str(n)) for key, n in sorted(counts.items()))
    return Section("Stimuli", tables=((("layout", "condition", "complete trials"), rows),))


@hookimpl
def iibench_register_datasets() -> Iterable[DatasetSpec]:
    """Registers `trials_folder`."""
    yield TrialDatasetSpec(
        name="trials_folder",
        summary="trials of two queries and reference images a side, as folders of PNG files, "
        "without answers",
        definition=(
            "Stimuli as folders of images: reference images of the strongly activating (`max`) and "
            "of the weakly activating side (`min`), and one query of either side. The right "
            "answer is the `max` query. Nobody answered these trials here, so they show what an "
            "observer does and compare it with nobody."
        ),
        params=Params,
        headline=("path",),
        load=load,
        version=VERSION,
    )
