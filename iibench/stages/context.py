"""What every stage works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from iibench.cache.budget import default_budget

if TYPE_CHECKING:
    from iibench.cache.entries import Cache
    from iibench.stages.clock import Clock
    from iibench.stages.inputs import Inputs
    from iibench.stages.keys import Keys


@dataclass(frozen=True)
class Progress:
    """How far a stage is: `total` 0 says that it came from the cache."""

    stage: str
    done: int
    total: int
    unit: str


@dataclass(frozen=True)
class Settings:
    """How stages are computed; what they give does not depend on the first two.

    `batch_size`: images of one pass, None takes what suits the device. `memory`: bytes that large
    arrays may take together. `precision`: of networks and metrics (see precision.py).
    """

    batch_size: int | None = None
    memory: int = field(default_factory=default_budget)
    precision: str = "float32"


@dataclass(frozen=True)
class StageContext:
    """What every stage works with. `tell`: is told how far a stage is."""

    inputs: Inputs
    cache: Cache
    keys: Keys
    settings: Settings
    tell: Callable[[Progress], None]

    @property
    def clock(self) -> Clock:
        """The time that stages took."""
        return self.inputs.clock

    @property
    def device(self) -> str:
        """Where stages are computed."""
        return self.inputs.resources.device
