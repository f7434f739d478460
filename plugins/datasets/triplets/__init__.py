"""Two-alternative similarity judgements: which of two candidates is more like the reference?

The same question as that of Eq. 2 with one reference image, asked of people about images alone: it tests
a similarity metric without any network. There is no right answer, only votes. Four sources:

- `materials2019`: 100 materials on one shape (Lagunas et al. 2019);
- `bapps`: patches and distortions of them, by the authors of LPIPS (Zhang et al. 2018);
- `nights`: generated images, by the authors of DreamSim (Fu et al. 2023);
- `csv`: your own, a table `reference,a,b,votes_a,votes_b`.

Candidates stand in the order of the source and are never shuffled. In `materials2019` the first one is
always the one that the majority chose: a metric that cannot tell two candidates apart must get one half
there, never a hit. Triplets share images, so the resampling unit is the reference image.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge

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

from ..._shared.bibliography import FU2023, ZHANG2018, entries, entry
from .._images.decode import rgb
from .._images.files import FOLLOWED, Facts, Folder, facts
from .._trials.files import FileTrials
from .._trials.paths import file_below, find_data, find_folder, named_by_user
from . import bapps as _triplets_bapps
from . import materials as _triplets_materials
from . import tables as _triplets_tables
from .record import Judgements

if TYPE_CHECKING:
    from iibench import IntArray

LAGUNAS2019 = entry(
    "article",
    "lagunas2019similarity",
    author="Manuel Lagunas and Sandra Malpica and Ana Serrano and Elena Garces and Diego Gutierrez and "
    "Belen Masia",
    title="A Similarity Measure for Material Appearance",
    journal="{ACM} Transactions on Graphics",
    volume=38,
    number=4,
    year=2019,
)


VERSION = "1"
#: Parameter -> the only format that it is for.
_ONLY = {"illumination": "materials2019", "answers": "materials2019", "judges": "bapps"}


@dataclass(frozen=True)
class Params:
    """Parameters of two-alternative similarity judgements."""

    format: Literal["materials2019", "bapps", "nights", "csv"] = field(
        metadata={"help": "how the judgements are stored"}
    )
    path: str = field(
        default="",
        metadata={
            "help": "the folder of the judgements (csv: the table); relative paths start at the "
            "suite's folder, then at the data folder; not given: the folder named as the format"
        },
    )
    size: Annotated[int, Ge(1)] | None = field(
        default=None,
        metadata={
            "help": "the shorter side is resized to this many pixels, then the centre is cut out; "
            "without it all images must have one size"
        },
    )
    illumination: Literal["ennis", "stpeters"] = field(
        default="ennis", metadata={"help": "of the images of materials2019"}
    )
    answers: Literal["test", "train"] = field(
        default="test", metadata={"help": "which half of the answers of materials2019"}
    )
    judges: Annotated[int, Ge(1)] = field(
        default=5,
        metadata={"help": "people per judgement of bapps: 5 in its half val, 2 in its half train"},
    )
    follow_links: bool = field(default=False, metadata=FOLLOWED)


def load(params: Params, split: str, harness: Harness) -> TrialDataset:
    """All triplets with their votes: query 0 is candidate a, query 1 candidate b; no right answer.

    A triplet has up to two answers, one per candidate that anyone chose, with the votes as their count.
    Images of equal files are one image. Raises `AssetError` where the data are missing (`FileError`
    where `path` names them), `UsageError` where they are not as expected.
    """
    for name, only in _ONLY.items():
        default = next(f.default for f in fields(Params) if f.name == name)
        if params.format != only and getattr(params, name) != default:
            raise UsageError(f"triplets: {name} is for format {only}; found format {params.format}")
    with named_by_user(bool(params.path)):
        found = _read(params, harness)
    files, sha256, index, image_size = _images(found, params.size, params.follow_links)
    trials = _trials(found, index)
    return FileTrials(
        files=files,
        sha256=sha256,
        image_size=image_size,
        trials=trials,
        notes=tuple(_notes(found, trials)),
        sections=(_section(trials, len(files)),),
        decode=partial(rgb, size=params.size) if params.size else rgb,
        decoding=f"rgb, size {params.size}" if params.size else "rgb",
    )


def _read(params: Params, harness: Harness) -> Judgements:
    path = params.path or params.format
    if params.format == "materials2019":
        materials = _triplets_materials
        root = find_folder(path, harness, materials.EXPECTED, materials.ORIGIN)
        return materials.read_materials(root, params.illumination, params.answers)
    if params.format == "bapps":
        bapps = _triplets_bapps
        root = find_folder(path, harness, bapps.EXPECTED, bapps.ORIGIN)
        return bapps.read_bapps(root, params.judges, params.follow_links)
    tables = _triplets_tables
    if params.format == "nights":
        root = find_folder(path, harness, tables.NIGHTS_EXPECTED, tables.NIGHTS_ORIGIN)
        return tables.read_nights(root, params.follow_links)
    if not params.path:
        raise UsageError(f"triplets: format csv needs path: {tables.CSV_EXPECTED}")
    place = find_data(path, harness, tables.CSV_EXPECTED, "your own judgements")
    return tables.read_csv(tables.csv_file(place), params.follow_links)


def _images(
    found: Judgements, size: int | None, follow_links: bool
) -> tuple[tuple[Path, ...], tuple[str, ...], dict[str, int], tuple[int, int]]:
    """Distinct image files, their hashes, file name -> which of them, and (height, width) of all."""
    named = {name for j in found.judged for name in (j.reference, j.a, j.b)}
    folder = Folder(found.root)
    known: dict[str, Facts] = {}
    first: dict[str, Path] = {}
    for name in found.images or sorted(named):
        path = file_below(found.root, name, "an image", follow_links)
        known[name] = facts(folder, path.relative_to(found.root).as_posix())
        first.setdefault(known[name].sha256, path)
    place = {sha256: i for i, sha256 in enumerate(first)}
    return (
        tuple(first.values()),
        tuple(first),
        {name: place[fact.sha256] for name, fact in known.items()},
        (size, size) if size else _one_size(found.root, known),
    )


def _one_size(root: Path, known: dict[str, Facts]) -> tuple[int, int]:
    first, expected = next((name, fact.size) for name, fact in known.items())
    for name, fact in known.items():
        if fact.size != expected:
            raise UsageError(
                f"{name} in {root} has {fact.size[1]} x {fact.size[0]} pixels, but {first} "
                f"{expected[1]} x {expected[0]}; give size to bring all images to one, such as "
                f"size: {min(min(fact.size) for fact in known.values())}"
            )
    return expected


def _trials(found: Judgements, index: dict[str, int]) -> Stimuli:
    import numpy as np

    def indices(rows: Sequence[Sequence[str]]) -> IntArray:
        return np.array([[index[name] for name in row] for row in rows], np.int64)

    references = indices([[j.reference] for j in found.judged])
    shown, unit = np.unique(references[:, 0], return_inverse=True)
    name_of = {i: name for name, i in reversed(index.items())}
    votes = np.array([j.votes for j in found.judged], np.int64)
    stimulus, candidate = np.nonzero(votes)
    return Stimuli(
        names=np.array([j.name for j in found.judged]),
        queries=indices([[j.a, j.b] for j in found.judged]),
        references=references,
        opposite=np.empty((len(found.judged), 0), np.int64),
        unit=unit.astype(np.int64),
        units=tuple(name_of[int(i)] for i in shown),
        columns={name: np.array(values) for name, values in found.columns.items()},
        answers=Answers(
            stimulus=stimulus.astype(np.int64),
            first=candidate == 0,
            count=votes[stimulus, candidate],
            confidence=np.zeros(len(stimulus), np.int64),
            participant=np.full(len(stimulus), -1, np.int64),
        ),
        has_truth=False,
    )


def _votes(trials: Stimuli) -> IntArray:
    """(S, 2) votes for either candidate."""
    import numpy as np

    answers = trials.answers
    votes = np.zeros((len(trials), 2), np.int64)
    np.add.at(votes, (answers.stimulus, np.where(answers.first, 0, 1)), answers.count)
    return votes


def _notes(found: Judgements, trials: Stimuli) -> Iterator[str]:
    yield from found.notes
    nobody = int((_votes(trials).sum(axis=1) == 0).sum())
    if nobody:
        yield f"{nobody} triplets have no vote: they are kept, without answers"
    same = int((trials.queries == trials.references).any(axis=1).sum())
    if same:
        yield f"in {same} triplets a candidate is the reference itself"


def _section(trials: Stimuli, images: int) -> Section:
    """Counts, and what share of the votes a metric that always sides with the majority would get."""
    votes = _votes(trials)
    decided = votes[votes[:, 0] != votes[:, 1]]
    rows = []
    for name, some in (("all", votes), ("with a majority", decided)):
        total = int(some.sum())
        share = f"{some.max(axis=1).sum() / total:.4f}" if total else ""
        rows.append((name, str(len(some)), str(total), share))
    head = ("triplets", "number", "votes", "share of votes on the majority's side")
    text = f"{images} distinct images, {len(trials.units)} of them as references."
    return Section("Similarity judgements", (text,), ((head, tuple(rows)),))


@hookimpl
def iibench_register_datasets() -> Iterable[DatasetSpec]:
    """Registers `triplets`."""
    yield TrialDatasetSpec(
        name="triplets",
        summary="people's choices of which of two images is more like a third: materials2019, BAPPS, "
        "NIGHTS, or your own table",
        definition=(
            "Judgements which of two candidate images is more like a reference image, with the "
            "votes for each; there is no right answer. `format` names the source: material "
            "appearance (materials2019), BAPPS, NIGHTS, or a table of the user's own (csv). "
            "Candidates keep the source's order; equal files are one image. With `size` the "
            "shorter side is resized to it and the centre cut out."
        ),
        params=Params,
        headline=("format",),
        load=load,
        version=VERSION,
        citation="Lagunas et al., A Similarity Measure for Material Appearance, 2019; Zhang et al., "
        "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric, 2018; Fu et al., "
        "DreamSim: Learning New Dimensions of Human Visual Similarity Using Synthetic Data, 2023",
        bibtex=entries(LAGUNAS2019, ZHANG2018, FU2023),
    )
