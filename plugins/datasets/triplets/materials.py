"""Judgements of how alike materials look (Lagunas et al. 2019): 100 materials on one shape.

`answers_processed_{test,train}.json` has `answers`, triplets (reference, the candidate that the majority
chose, the other one) of indices into the sorted image files, and `agreement`, the votes for these two
candidates; `answers_diff` and `answers_equal` are the triplets with a majority and the ties.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from iibench import AssetError, UsageError, nearest

from .._trials.csv_rows import LARGEST
from .record import Judgement, Judgements

IMAGES = 100
FOLDERS = {
    "ennis": ("havran1_ennis_298x298_LDR", ".jpg"),
    "stpeters": ("havran1_stpeters_256x256_LDR", ".png"),
}
EXPECTED = (
    "answers_processed_test.json, answers_processed_train.json, and the folders "
    + " and ".join(f"{folder} of {IMAGES} {ending} files" for folder, ending in FOLDERS.values())
)
ORIGIN = "the public repository mlagunas/material-appearance-similarity"
_KEYS = tuple(
    f"{kind}{part}" for kind in ("answers", "agreement") for part in ("", "_diff", "_equal")
)


def read_materials(
    root: Path, illumination: Literal["ennis", "stpeters"], answers: Literal["test", "train"]
) -> Judgements:
    """All triplets of one half of the answers, ties included; candidate a is always the majority's.

    Raises `AssetError` where a file is missing, `UsageError` where lengths or indices do not fit.
    """
    images = _images(root, illumination)
    path = root / f"answers_processed_{answers}.json"
    data = _read(path)
    triplets, votes = data["answers"], data["agreement"]
    _check_lengths(path, data)
    judged = []
    for i, (triplet, given) in enumerate(zip(triplets, votes, strict=True)):
        if not _whole(triplet, 3, len(images) - 1):
            raise UsageError(
                f"{path}: answers[{i}] is {_short(triplet)}; "
                f"expected three indices from 0 to {len(images) - 1}"
            )
        if not _whole(given, 2, LARGEST):
            raise UsageError(
                f"{path}: agreement[{i}] is {_short(given)}; "
                "expected two numbers of votes, 0 or more"
            )
        if given[0] < given[1]:
            raise UsageError(
                f"{path}: agreement[{i}] is {given}; expected the majority's votes first"
            )
        reference, a, b = (images[index] for index in triplet)
        judged.append(Judgement(f"{answers}/{i}", reference, a, b, (given[0], given[1])))
    ties = sum(j.votes[0] == j.votes[1] for j in judged)
    if ties != len(data["answers_equal"]):
        raise UsageError(
            f"{path}: agreement has {ties} ties, but answers_equal {len(data['answers_equal'])}"
        )
    return Judgements(
        root,
        tuple(judged),
        columns={"majority": tuple("no" if j.votes[0] == j.votes[1] else "yes" for j in judged)},
        images=images,
        notes=(
            f"answers of the {answers} half, images under {illumination}; query 0 is always the "
            "candidate that the majority chose (in ties the first in the file)",
        ),
    )


def _images(root: Path, illumination: str) -> tuple[str, ...]:
    """Image i is the i-th file name in sorted order."""
    folder, ending = FOLDERS[illumination]
    if not (root / folder).is_dir():
        raise AssetError(f"there is no {root / folder}; expected {EXPECTED}, from {ORIGIN}")
    names = sorted(p.name for p in (root / folder).glob(f"[!.]*{ending}"))
    if len(names) != IMAGES:
        raise UsageError(
            f"{root / folder} holds {len(names)} {ending} files; expected {IMAGES}, because the "
            "answers refer to them by their place in sorted order"
        )
    return tuple(f"{folder}/{name}" for name in names)


def _read(path: Path) -> dict[str, list[Any]]:
    try:
        data = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise AssetError(
            f"{path} cannot be read: {error.strerror}; expected {EXPECTED}, from {ORIGIN}"
        ) from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is no JSON: {error}") from error
    if not isinstance(data, dict):
        raise UsageError(f"{path} holds a {type(data).__name__}; expected keys {', '.join(_KEYS)}")
    for key in _KEYS:
        if not isinstance(data.get(key), list):
            close = nearest(key, map(str, data))
            hint = f" (nearest: {', '.join(close)})" if close and key not in data else ""
            raise UsageError(f"{path} has no list {key!r}{hint}; expected {', '.join(_KEYS)}")
    return data


def _check_lengths(path: Path, data: dict[str, list[Any]]) -> None:
    n = {key: len(data[key]) for key in _KEYS}
    for part in ("", "_diff", "_equal"):
        if n[f"answers{part}"] != n[f"agreement{part}"]:
            raise UsageError(
                f"{path}: answers{part} has {n[f'answers{part}']} entries and agreement{part} "
                f"{n[f'agreement{part}']}; expected as many"
            )
    if n["answers_diff"] + n["answers_equal"] != n["answers"]:
        raise UsageError(
            f"{path}: answers_diff has {n['answers_diff']} and answers_equal {n['answers_equal']} "
            f"triplets; expected {n['answers']} in all, as answers has"
        )


def _whole(values: Any, length: int, largest: int) -> bool:
    return (
        isinstance(values, list)
        and len(values) == length
        and all(type(value) is int and 0 <= value <= largest for value in values)
    )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
