"""Which images are in memory when: every stimulus has its images, and few are embedded twice."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iibench.compute.similarity.blocks import Block, plan_blocks


def simulate(stimuli: list[np.ndarray], blocks: list[Block], capacity: int) -> int:
    """Plays the plan; returns how many images were embedded. Fails where one is not where it is said."""
    slots: dict[int, int] = {}
    loaded = 0
    for block in blocks:
        assert len(set(block.slots.tolist())) == len(block.slots)
        for image, slot in zip(block.load.tolist(), block.slots.tolist(), strict=True):
            assert 0 <= slot < capacity
            slots[slot] = image
            loaded += 1
        for image, place in zip(block.images.tolist(), block.places.tolist(), strict=True):
            assert slots[place] == image
        for s in block.stimuli:
            assert set(stimuli[s].tolist()) <= set(block.images.tolist())
    return loaded


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sets(st.integers(0, 30), min_size=1, max_size=6), min_size=1, max_size=25),
    st.integers(1, 40),
)
def test_every_stimulus_finds_its_images(sets: list[set[int]], capacity: int) -> None:
    stimuli = [np.array(sorted(s)) for s in sets]
    blocks = plan_blocks(stimuli, capacity)
    assert sorted(int(s) for b in blocks for s in b.stimuli) == list(range(len(stimuli)))
    room = max(capacity, max(map(len, sets)))
    loaded = simulate(stimuli, blocks, room)
    distinct = len(set().union(*sets))
    assert loaded >= distinct
    if capacity >= distinct:
        assert loaded == distinct
        assert len(blocks) == 1


def test_images_of_one_unit_are_embedded_once_with_little_room() -> None:
    """Stimuli of a unit share references; units share nothing: room for one unit is enough."""
    stimuli = [
        np.array([unit * 10 + i for i in (0, 1, 2)] + [unit * 10 + 3 + batch])
        for unit in range(20)
        for batch in range(5)
    ]
    blocks = plan_blocks(stimuli, 16)
    assert simulate(stimuli, blocks, 16) == len(np.unique(np.concatenate(stimuli)))


def test_the_image_needed_again_latest_makes_room() -> None:
    """Image 0 is needed by all, 1 by the first and the last only."""
    stimuli = [np.array(s) for s in ([0, 1], [0, 2], [0, 3], [0, 1])]
    blocks = plan_blocks([np.array(s) for s in stimuli], 3)
    assert simulate(stimuli, blocks, 3) == 4  # sorted by smallest image, ties by number: 1 stays


@pytest.mark.parametrize("capacity", [1, 5, 100])
def test_no_stimuli_no_blocks(capacity: int) -> None:
    assert plan_blocks([], capacity) == []
