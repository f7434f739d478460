"""The same questions about several parts of a metric: images are looked up once for all parts.

Cases that differ in the part of a metric alone ask about the same images. What was computed for the other
parts is kept until it is asked for, as long as there is room.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from iibench.compute.similarity.lookups import EmbeddingSimilarity, cross_together

if TYPE_CHECKING:
    from iibench.contract.arrays import DoubleArray, IntArray


@dataclass
class PartSimilarities:
    """Lookups of the parts of one metric that cases ask for, by name ("": the whole).

    `memory`: bytes that kept answers may take.
    """

    lookups: Mapping[str, EmbeddingSimilarity]
    memory: int
    _kept: OrderedDict[str, dict[str, DoubleArray]] = field(default_factory=OrderedDict)

    def part(self, name: str) -> OnePart:
        """The lookup of one part; matrices of all pairs that others hold are let go of."""
        for other, lookup in self.lookups.items():
            if other != name:
                lookup.forget()
        return OnePart(self, name)

    def cross(self, name: str, left: IntArray, right: IntArray) -> DoubleArray:
        """What the part's own lookup answers; where many pairs are asked about, from its matrix."""
        own = self.lookups[name]
        together = {part: lookup for part, lookup in self.lookups.items() if lookup.gathers}
        if name not in together or len(together) == 1:
            return own.cross(left, right)
        question = hashlib.blake2b(f"{left.shape} {right.shape}".encode())
        for images in (left, right):
            question.update(np.ascontiguousarray(images).data)
        answers = self._kept.get(question.hexdigest(), {})
        if name not in answers:
            answers = cross_together(together, left, right)
            self._keep(question.hexdigest(), answers)
        answer = answers.pop(name)
        if not answers:
            self._kept.pop(question.hexdigest(), None)
        return answer

    def _keep(self, question: str, answers: dict[str, DoubleArray]) -> None:
        self._kept[question] = answers
        held = sum(a.nbytes for found in self._kept.values() for a in found.values())
        while self._kept and held > self.memory:
            _, forgotten = self._kept.popitem(last=False)
            held -= sum(a.nbytes for a in forgotten.values())


@dataclass(frozen=True)
class OnePart:
    """A `SimilarityLookup` of one part."""

    parts: PartSimilarities
    name: str

    def within(self, groups: IntArray) -> DoubleArray:
        """See `EmbeddingSimilarity`."""
        return self.parts.lookups[self.name].within(groups)

    def cross(self, left: IntArray, right: IntArray) -> DoubleArray:
        """See `EmbeddingSimilarity`."""
        return self.parts.cross(self.name, left, right)
