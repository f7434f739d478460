"""What the readers of two-alternative similarity judgements hand over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Judgement:
    """People were shown a reference and two candidates, and `votes` of them chose a and b.

    Images are names of files below the root. `name` is unique in its dataset.
    """

    name: str
    reference: str
    a: str
    b: str
    votes: tuple[int, int]


@dataclass(frozen=True)
class Judgements:
    """Judgements of images below `root`, with attributes `columns` (one value each).

    `images`: all image files in an order of their own; empty where any order does.
    """

    root: Path
    judged: tuple[Judgement, ...]
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    images: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
