"""The stages from directions to ranked images: responses, their order, their extremes.

What fits in memory is kept there within a run, and in the cache as a blob; what does not is a mapped
file in the cache, direction by direction (by_direction.py). Values are the same in both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from iibench.cache.budget import are_mapped, share
from iibench.cache.by_direction import (
    ABOUT,
    ORDERS,
    RESPONSES,
    load_by_direction,
    make_by_direction,
)
from iibench.cache.mapped import release
from iibench.cache.shared_by_direction import has_by_direction
from iibench.compute.encoding import ROWS, iter_responses
from iibench.compute.extremes import Extremes
from iibench.compute.ranking import BLOCK_BYTES, order_by_response, unit_blocks
from iibench.contract.base import Work
from iibench.stages.activations import ActivationStage
from iibench.stages.context import StageContext
from iibench.stages.directions import DirectionStage
from iibench.stages.kept import Kept
from iibench.suite.cases import Case

if TYPE_CHECKING:
    from iibench.compute.ranking import Order
    from iibench.contract.arrays import FloatArray
    from iibench.stages.account import Account

#: Passes over responses that sorting them and keeping them take.
SORT_PASSES = 60.0


@dataclass(frozen=True)
class ResponseStage:
    """Computes and keeps responses and what is ranked by them."""

    context: StageContext
    activations: ActivationStage
    directions: DirectionStage

    def of(self, case: Case) -> FloatArray:
        """(n, K) float32 responses of the evaluated images to the directions."""
        key = self.context.keys.responses(case).hash
        return self.context.inputs.memo.kept(f"responses/{key}", lambda: self._responses(case))

    def order(self, case: Case) -> Order:
        """(n, K) image indices by descending response."""
        key = self.context.keys.responses(case).hash
        return self.context.inputs.memo.kept(f"order/{key}", lambda: self._order(case))

    def extremes(self, case: Case, m: int) -> Extremes:
        """The m most and least activating images of each direction."""
        values = self.of(case)
        parts = []
        for units in unit_blocks(*values.shape):
            block = np.ascontiguousarray(values[:, units])
            parts.append(Extremes.empty(block.shape[1], m).update(block, 0))
            release(values)
        return Extremes(
            np.concatenate([part.largest for part in parts]),
            np.concatenate([part.smallest for part in parts]),
        )

    def forget(self, case: Case) -> None:
        """Has responses and their order read again: a plugin may have changed them."""
        key = self.context.keys.responses(case).hash
        for name in (f"responses/{key}", f"order/{key}"):
            self.context.inputs.memo.forget(name)

    def in_memory(self, case: Case) -> bool:
        """Whether the responses are held in memory (see `are_mapped`)."""
        return not isinstance(self.of(case), np.memmap)

    def _responses(self, case: Case) -> FloatArray:
        key = self.context.keys.responses(case)
        n, k = self._shape(case)
        if are_mapped(n, k, self.context.settings.memory):
            mapped: FloatArray = self._by_direction(
                case, RESPONSES, key.hash, np.float32, self._encode_into
            )
            return mapped
        blob = self.context.cache.load("responses", key.hash)
        if blob is not None:
            return blob.arrays["responses"]
        values = np.empty((n, k), np.float32)
        self._encode_into(case, values)
        self.context.cache.store("responses", key.hash, key.description, {"responses": values}, {})
        return values

    def _order(self, case: Case) -> Order:
        device = self.context.device
        if self.in_memory(case):
            return order_by_response(self.of(case), device=device)

        def sort_into(case: Case, order: Order) -> None:
            order_by_response(self.of(case), order, device)

        mapped: Order = self._by_direction(
            case, ORDERS, self.context.keys.order(case).hash, np.int32, sort_into
        )
        return mapped

    def _shape(self, case: Case) -> tuple[int, int]:
        return len(self.context.inputs.evaluated(case)), len(self.directions.of(case).vectors)

    def _by_direction(
        self, case: Case, kind: str, key: str, dtype: Any, fill: Callable[[Case, Any], None]
    ) -> Any:
        """The mapped array of this kind, made where it is not in the cache."""
        place, what = self.context.cache.place(kind, key), kind.partition("_")[0]
        found = load_by_direction(
            place,
            dtype,
            lambda: self.context.cache.warn(
                f"cache: damaged {what} were dropped and are computed anew"
            ),
        )
        if found is None:
            found = make_by_direction(place, dtype, *self._shape(case), lambda new: fill(case, new))
        return found

    def _encode_into(self, case: Case, values: FloatArray) -> None:
        found = self.directions.of(case)
        data = self.activations.values(case.tap, case.dataset.evaluate)
        spec = self.context.inputs.registry.finders[case.finder.name].spec
        with self.context.clock.stage(
            f"responses {case.finder.label}", rate=_rate(case, data.shape)
        ):
            blocks = iter_responses(
                lambda block: spec.encode(case.finder.params, found, block),
                data,
                values.shape[1],
                case.finder.label,
            )
            with self.directions.handed(case):
                for first, rows in _gathered(
                    blocks, share(self.context.settings.memory, "portion")
                ):
                    values[first : first + len(rows)] = rows
                    release(values)

    # ------------------------------------------------------------------------------ what is kept

    def kept(self, case: Case) -> tuple[Kept, ...]:
        """What the cache may have of the responses and their order, whichever form they took."""
        keys = self.context.keys
        responses, order = keys.responses(case).hash, keys.order(case).hash
        return (
            Kept("responses", responses),
            Kept(RESPONSES, responses, "by direction"),
            Kept(ORDERS, order, "by direction"),
        )

    def is_cached(self, case: Case) -> bool:
        """Whether the responses are in the cache, in either form, or in the store behind it."""
        cache, key = self.context.cache, self.context.keys.responses(case).hash
        return cache.has("responses", key) or has_by_direction(cache, RESPONSES, key)

    def publish(self, case: Case) -> None:
        """Writes them to the shared store; those that are files with their order."""
        if not self.in_memory(case):
            self.order(case)
        for kept in self.kept(case):
            kept.publish(self.context.cache)

    # ------------------------------------------------------------------------------ cost

    def cost(self, case: Case, account: Account) -> int:
        """Adds what directions, responses and their order take; how many directions there are."""
        fit = self.directions.cost(case, account)
        n, k = len(self.context.inputs.evaluated(case)), fit.directions
        memory = self.context.settings.memory
        mapped = are_mapped(n, k, memory)
        done = self._is_here("responses", RESPONSES, self.context.keys.responses(case).hash, mapped)
        if not done:
            self.activations.cost(case.tap, case.dataset.evaluate, account)
        if account.new(self.context.keys.responses(case).hash):
            width = self.activations.rows_like(case.tap, account).shape[1]
            if not mapped:
                account.keep_between(4 * n * k)
            account.need(0 if done else _encoding_bytes(n, width, k, memory, mapped))
            measured = account.rates.get(_rate(case, (n, width)))
            seconds = fit.encode * n if measured is None else measured
            source = fit.source if measured is None else "measured"
            stage, seconds = f"responses {case.finder.label}", 0.0 if done else seconds
            account.add(stage, "matrices", int(not done), int(done), seconds, source)
        if account.new(self.context.keys.order(case).hash):
            self._order_cost(case, n, k, mapped, account)
        return k

    def _order_cost(self, case: Case, n: int, k: int, mapped: bool, account: Account) -> None:
        """Of the images by response; in memory it is not kept between runs."""
        done = mapped and self._is_here("", ORDERS, self.context.keys.order(case).hash, mapped)
        if mapped:
            account.need(min(8 * n * k, BLOCK_BYTES))
        else:
            account.keep_between(4 * n * k)
        seconds = 0.0 if done else account.device_speed(Work(values=SORT_PASSES * n * k))
        stage = "order of images by response"
        account.add(stage, "matrices", int(not done), int(done), seconds, "counted")

    def _is_here(self, entry: str, kind: str, key: str, mapped: bool) -> bool:
        cache = self.context.cache
        return (cache.place(kind, key) / ABOUT).is_file() if mapped else cache.has(entry, key)


def _rate(case: Case, shape: tuple[int, ...]) -> str:
    return f"responses {case.finder.label} {shape[0]}x{shape[1]}"


def _encoding_bytes(n: int, width: int, k: int, memory: int, mapped: bool) -> int:
    """While (n, K) responses are made, and kept where they are no mapped file."""
    rows = min(n, ROWS)
    block = 4 * rows * (width + k)
    if not mapped:
        return 12 * n * k + block
    portion = min(4 * n * k, max(4 * rows * k, share(memory, "portion")))
    return block + 3 * portion  # its blocks, all of them together, and what is written of the file


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
