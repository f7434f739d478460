"""BAPPS, the two-alternative judgements of patches by the authors of LPIPS (Zhang et al. 2018).

Every folder with subfolders `ref`, `p0`, `p1` and `judge` is one subset (cnn, color, ...): images
`NNNNNN.png` and, in `judge/NNNNNN.npy`, the share of people who found p1 closer to the reference than p0.
Five people judged each triplet of the validation half (`val`), two of the training half (`train`).
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from iibench import UsageError

from .._images.files import Folder
from .record import Judgement, Judgements

EXPECTED = "SUBSET/{ref,p0,p1}/NNNNNN.png and SUBSET/judge/NNNNNN.npy, at any depth"
ORIGIN = "the two-alternative set (2afc) of the public repository richzhang/PerceptualSimilarity"
_IMAGES = ("ref", "p0", "p1")


def read_bapps(root: Path, judges: int, follow_links: bool = False) -> Judgements:
    """All judgements below `root`, of `judges` people each; candidates are p0 and p1.

    Raises `UsageError` where there is none, an image is missing, or a share is no multiple of 1/judges.
    """
    judged: list[Judgement] = []
    subsets: list[str] = []
    notes: list[str] = []
    folders = {PurePosixPath(name).parent for name in Folder(root, follow_links).listing().names}
    for folder in sorted(root / place for place in folders if place.name == "judge"):
        found, unjudged = _subset(root, folder.parent, judges)
        judged += found
        subsets += [folder.parent.name] * len(found)
        if unjudged:
            notes.append(f"{unjudged} reference images in {folder.parent} are not judged")
    if not judged:
        raise UsageError(f"{root} holds no judgement; expected {EXPECTED}")
    return Judgements(root, tuple(judged), {"subset": tuple(subsets)}, notes=tuple(notes))


def _subset(root: Path, folder: Path, judges: int) -> tuple[list[Judgement], int]:
    """The judgements in one folder, and how many of its references have none."""
    there = {part: {p.name for p in (folder / part).glob("[!.]*")} for part in _IMAGES}
    place = folder.relative_to(root)
    judged = []
    for path in sorted((folder / "judge").glob("[!.]*.npy")):
        image = f"{path.stem}.png"
        for part in _IMAGES:
            if image not in there[part]:
                raise UsageError(f"{path} judges {folder / part / image}, which is missing")
        second = _votes(path, judges)
        names = [(place / part / image).as_posix() for part in _IMAGES]
        name = (place / path.stem).as_posix()
        judged.append(Judgement(name, names[0], names[1], names[2], (judges - second, second)))
    pictures = {name for name in there["ref"] if name.endswith(".png")}
    return judged, len(pictures) - len(judged)


def _votes(path: Path, judges: int) -> int:
    """How many people chose p1."""
    import numpy as np

    expected = "the share of people who chose p1, one number from 0 to 1"
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError, MemoryError) as error:
        raise UsageError(f"{path} cannot be read: {error}; expected {expected}") from error
    if not isinstance(values, np.ndarray) or values.size != 1 or values.dtype.kind not in "fiu":
        raise UsageError(f"{path} holds something else; expected {expected}")
    share = float(values.reshape(()))
    if not 0 <= share <= 1:
        raise UsageError(f"{path} holds {share:g}; expected {expected}")
    votes = round(share * judges)
    if abs(share * judges - votes) > 0.01:
        raise UsageError(
            f"{path} holds {share:.6g}, which is no share of {judges} people; "
            "expected judges: 5 for the validation half and judges: 2 for the training half of BAPPS"
        )
    return votes
