"""In which order stimuli are looked at when the embeddings of all images do not fit in memory.

Stimuli are grouped into blocks whose images fit together; an image stays in memory until its last use
where there is room, and else the one that is needed again latest makes room (Belady's rule, optimal
when the future is known). So an image is embedded once unless memory is short, and how often it had to
be embedded again is known beforehand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from iibench.contract.arrays import IntArray

#: An image that is not needed again.
NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Block:
    """Stimuli that are looked at together.

    `stimuli`: which. `load`: the images to embed for them, and `slots` the places in memory that they
    take. `images` and `places`: all images of the block and where they lie.

    >>> (block,) = plan_blocks([np.array([4, 7])], capacity=10)
    >>> block.images.tolist(), sorted(block.load.tolist()), len(block.slots)
    ([4, 7], [4, 7], 2)
    """

    stimuli: IntArray
    load: IntArray
    slots: IntArray
    images: IntArray
    places: IntArray


def plan_blocks(stimuli: Sequence[IntArray], capacity: int) -> list[Block]:
    """Blocks for stimuli given by their images (each an array of distinct indices), in a good order.

    `capacity`: embeddings that fit in memory; raised to what the largest stimulus needs.

    >>> stimuli = [np.array([0, 1]), np.array([1, 2]), np.array([2, 3])]
    >>> [block.load.tolist() for block in plan_blocks(stimuli, capacity=4)]
    [[0, 1, 2, 3]]
    >>> [block.load.tolist() for block in plan_blocks(stimuli, capacity=2)]  # an image more each time
    [[0, 1], [2], [3]]
    """
    capacity = max(capacity, max((len(images) for images in stimuli), default=1))
    # images are numbered in order of first use, so neighbours share images
    order = sorted(range(len(stimuli)), key=lambda s: (int(stimuli[s].min()), s))
    distinct = len(np.unique(np.concatenate(stimuli))) if stimuli else 0
    # half of the places for a block leave room for what later blocks need again
    groups = _grouped(stimuli, order, capacity if distinct <= capacity else max(1, capacity // 2))
    uses: dict[int, list[int]] = {}
    contents = [np.unique(np.concatenate([stimuli[s] for s in group])) for group in groups]
    for number, images in enumerate(contents):
        for image in images.tolist():
            uses.setdefault(image, []).append(number)
    for numbers in uses.values():
        numbers.reverse()  # the next use is last
    place: dict[int, int] = {}
    free = list(range(capacity))
    blocks = []
    for group, images in zip(groups, contents, strict=True):
        needed = images.tolist()
        for image in needed:
            uses[image].pop()
        missing = [image for image in needed if image not in place]
        short = len(missing) - len(free)
        if short > 0:
            wanted = set(needed)
            resident = [image for image in place if image not in wanted]
            # Belady: those that are needed again latest, or never, make room first
            resident.sort(key=lambda image: -(uses[image][-1] if uses[image] else NEVER))
            free.extend(place.pop(image) for image in resident[:short])
        slots = [free.pop() for _ in missing]
        place.update(zip(missing, slots, strict=True))
        blocks.append(
            Block(
                np.array(group, np.int64),
                np.array(missing, np.int64),
                np.array(slots, np.int64),
                images,
                np.array([place[image] for image in needed], np.int64),
            )
        )
    return blocks


def _grouped(stimuli: Sequence[IntArray], order: Sequence[int], limit: int) -> list[list[int]]:
    """Consecutive stimuli whose distinct images are at most `limit`, or one stimulus alone."""
    groups: list[list[int]] = []
    inside: set[int] = set()
    for s in order:
        images = set(stimuli[s].tolist())
        if not groups or len(inside | images) > limit:
            groups.append([])
            inside = set()
        groups[-1].append(s)
        inside |= images
    return groups
