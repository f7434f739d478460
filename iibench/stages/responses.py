"""The stages from directions to ranked images: responses, their order, their extremes.

What fits in memory is kept there within a run, and in the cache as a blob; what does not is a mapped
file in the cache, direction by direction (by_direction.py). Values are the same in both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from iibench.cache.budget import are_mapped
from iibench.cache.by_direction import ORDERS, RESPONSES, load_by_direction, make_by_direction
from iibench.cache.entries import Cache
from iibench.cache.mapped import release
from iibench.compute.encoding import iter_responses
from iibench.compute.extremes import Extremes
from iibench.compute.ranking import order_by_response, unit_blocks
from iibench.stages.inputs import Inputs
from iibench.stages.keys import Keys
from iibench.suite.cases import Case, Tap

if TYPE_CHECKING:
    from iibench.compute.ranking import Order
    from iibench.contract.arrays import FloatArray
    from iibench.contract.specs import Directions


@dataclass
class ResponseBench:
    """Computes and keeps responses and what is ranked by them.

    `memory`: bytes that large arrays of a run may take together.
    """

    inputs: Inputs
    cache: Cache
    keys: Keys
    memory: int
    activations: Callable[[Tap, str], FloatArray]
    directions: Callable[[Case], Directions]

    def responses(self, case: Case) -> FloatArray:
        """(n, K) float32 responses of the evaluated images to the directions."""
        key = self.keys.responses(case).hash
        return self.inputs.memo.kept(f"responses/{key}", lambda: self._responses(case))

    def order(self, case: Case) -> Order:
        """(n, K) image indices by descending response."""
        key = self.keys.responses(case).hash
        return self.inputs.memo.kept(f"order/{key}", lambda: self._order(case))

    def extremes(self, case: Case, m: int) -> Extremes:
        """The m most and least activating images of each direction."""
        values = self.responses(case)
        parts = []
        for units in unit_blocks(*values.shape):
            block = np.ascontiguousarray(values[:, units])
            parts.append(Extremes.empty(block.shape[1], m).update(block, 0))
            release(values)
        return Extremes(
            np.concatenate([part.largest for part in parts]),
            np.concatenate([part.smallest for part in parts]),
        )

    def in_memory(self, case: Case) -> bool:
        """Whether the responses are held in memory (see `are_mapped`)."""
        return not isinstance(self.responses(case), np.memmap)

    def _responses(self, case: Case) -> FloatArray:
        key = self.keys.responses(case)
        n, k = self._shape(case)
        if are_mapped(n, k, self.memory):
            mapped: FloatArray = self._columns(
                case, RESPONSES, key.hash, np.float32, self._encode_into
            )
            return mapped
        blob = self.cache.load("responses", key.hash)
        if blob is not None:
            return blob.arrays["responses"]
        values = np.empty((n, k), np.float32)
        self._encode_into(case, values)
        self.cache.store("responses", key.hash, key.description, {"responses": values}, {})
        return values

    def _order(self, case: Case) -> Order:
        device = self.inputs.resources.device
        if self.in_memory(case):
            return order_by_response(self.responses(case), device=device)

        def sort_into(case: Case, order: Order) -> None:
            order_by_response(self.responses(case), order, device)

        mapped: Order = self._columns(case, ORDERS, self.keys.order(case).hash, np.int32, sort_into)
        return mapped

    def _shape(self, case: Case) -> tuple[int, int]:
        return len(self.inputs.evaluated(case)), len(self.directions(case).vectors)

    def _columns(
        self, case: Case, kind: str, key: str, dtype: Any, fill: Callable[[Case, Any], None]
    ) -> Any:
        """The mapped array of this kind, made where it is not in the cache."""
        place, what = self.cache.place(kind, key), kind.partition("_")[0]
        found = load_by_direction(
            place,
            dtype,
            lambda: self.cache.warn(f"cache: damaged {what} were dropped and are computed anew"),
        )
        if found is None:
            found = make_by_direction(place, dtype, *self._shape(case), lambda new: fill(case, new))
        return found

    def _encode_into(self, case: Case, values: FloatArray) -> None:
        found = self.directions(case)
        data = self.activations(case.tap, case.dataset.evaluate)
        spec = self.inputs.registry.finders[case.finder.name].spec
        with self.inputs.clock.stage(f"responses {case.finder.label}"):
            blocks = iter_responses(
                lambda block: spec.encode(case.finder.params, found, block),
                data,
                values.shape[1],
                case.finder.label,
            )
            for first, rows in _gathered(blocks, self.memory // 8):
                values[first : first + len(rows)] = rows
                release(values)


def _gathered(
    blocks: Iterable[tuple[slice, FloatArray]], size: int
) -> Iterator[tuple[int, FloatArray]]:
    """(first row, rows) of consecutive blocks, in portions of about `size` bytes.

    In a file that lies direction by direction a portion is one piece per direction: few large pieces are
    written several times as fast as many small ones.
    """
    portion: list[FloatArray] = []
    first = held = 0
    for rows, block in blocks:
        if portion and held + block.nbytes > size:
            yield first, np.concatenate(portion)
            portion, held, first = [], 0, rows.start
        portion.append(block)
        held += block.nbytes
    if portion:
        yield first, np.concatenate(portion)
