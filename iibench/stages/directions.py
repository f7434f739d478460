"""Directions: what a finder makes of the activations that it is fitted to."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from iibench.compute.border import real_array
from iibench.compute.handed import frozen, handed, own_mapping, read_only
from iibench.contract.base import Work
from iibench.contract.errors import PluginError
from iibench.contract.specs import Directions, FitContext
from iibench.stages.activations import ActivationStage
from iibench.stages.context import Progress, StageContext
from iibench.stages.kept import Kept
from iibench.stages.keys import finder_seed

if TYPE_CHECKING:
    from typing import Any

    from iibench.contract.arrays import FloatArray
    from iibench.contract.specs import FinderSpec
    from iibench.stages.account import Account, Source
    from iibench.suite.cases import Case

#: Rows that a finder which declares no work is tried on, and those that it is encoded on at most.
SAMPLE = 512
#: Seconds and directions of a finder that could not be tried.
GUESSED_SECONDS, GUESSED_K = 10.0, 256


@dataclass(frozen=True)
class FitCost:
    """K `directions`; seconds of the `fit` and of encoding one image; bytes that the fit holds besides its
    activations; modules that it imports; where the seconds come from."""

    directions: int
    fit: float
    encode: float
    work: Work
    source: Source


@dataclass(frozen=True)
class DirectionStage:
    """Fits finders and keeps what they find."""

    context: StageContext
    activations: ActivationStage

    def of(self, case: Case) -> Directions:
        """The finder's directions, fitted on the fit split."""
        key = self.context.keys.directions(case)
        return self.context.inputs.memo.once(f"value/{key.hash}", lambda: self._of(case))

    def _of(self, case: Case) -> Directions:
        context, key = self.context, self.context.keys.directions(case)
        stage = f"directions {case.finder.label}"
        blob = context.cache.load("directions", key.hash)
        if blob is not None:
            context.tell(Progress(stage, 0, 0, "fits"))
            arrays = dict(blob.arrays)
            vectors = arrays.pop("vectors")
            state = {name.removeprefix("state/"): array for name, array in arrays.items()}
            return frozen(Directions(vectors, state, tuple(blob.meta["notes"])))
        data = read_only(own_mapping(self._fitted_to(case)))
        with context.clock.stage(stage, rate=_rate(case, len(data), data.shape[1])):
            context.tell(Progress(stage, 0, 1, "fits"))
            spec, asked = self._spec(case), self._asked(case, stage)
            with handed(
                f"finder {case.finder.label}", "activations", data if spec.trains_on else None
            ):
                found = spec.fit(case.finder.params, data, asked)
            context.tell(Progress(stage, 1, 1, "fits"))
        found = checked(found, data.shape[1], case.finder.label)
        arrays = {"vectors": found.vectors}
        arrays |= {f"state/{name}": array for name, array in found.state.items()}
        meta = {"notes": list(found.notes)}
        context.cache.store("directions", key.hash, key.description, arrays, meta)
        return found

    @contextlib.contextmanager
    def handed(self, case: Case) -> Iterator[None]:
        """While a plugin is given the case's directions; those that it changed are let go of."""
        try:
            with handed(f"finder {case.finder.label}", "directions", self.of(case)):
                yield
        except PluginError:
            self.context.inputs.memo.forget(f"value/{self.context.keys.directions(case).hash}")
            raise

    def _fitted_to(self, case: Case) -> FloatArray:
        data = self.activations.values(case.tap, self.context.keys.fit_split(case))
        if self._spec(case).trains_on:
            self.activations.check_held(data.shape, f"finder {case.finder.label}")
        return data

    def _asked(self, case: Case, stage: str) -> FitContext:
        def progress(done: int, total: int, note: str) -> None:
            self.context.tell(Progress(stage, min(done, total - 1), total, note))

        base_dir = self.context.inputs.resources.base_dir
        return FitContext(finder_seed(case), self.context.device, progress, base_dir)

    def is_fitted(self, case: Case) -> bool:
        """Whether the directions are in the cache."""
        kept = self.kept(case)
        return self.context.cache.has(kept.kind, kept.key)

    def kept(self, case: Case) -> Kept:
        """The entry in the cache."""
        return Kept("directions", self.context.keys.directions(case).hash)

    def _spec(self, case: Case) -> FinderSpec:
        return self.context.inputs.registry.finders[case.finder.name].spec

    # ------------------------------------------------------------------------------ cost

    def cost(self, case: Case, account: Account) -> FitCost:
        """Adds what the fit takes, with the activations that it looks at; how many directions it gives.

        Raises `CaseError` where the run will refuse it.
        """
        key, fitted = self.context.keys.directions(case).hash, self.is_fitted(case)
        split = self.context.keys.fit_split(case)
        width = self.activations.rows_like(case.tap, account).shape[1]
        if not fitted:
            self.activations.cost(case.tap, split, account)
            if self._spec(case).trains_on:
                n = len(self.context.inputs.dataset(case.dataset, split, case.seed))
                self.activations.check_held((n, width), f"finder {case.finder.label}")
                self.activations.hold(case.tap, split, width, account)
        found = self.fit_cost(case, account)
        if account.new(key):
            seconds = 0.0 if fitted else found.fit + account.imports(found.work)
            stage = f"directions {case.finder.label}"
            account.add(stage, "fits", int(not fitted), int(fitted), seconds, found.source)
            account.need(0 if fitted else int(found.work.memory))
        return found

    def fit_cost(self, case: Case, account: Account) -> FitCost:
        """What a fit takes: measured earlier, counted by the finder, or tried on a few images."""
        key = self.context.keys.directions(case).hash
        return account.memo.once(f"fit {key}", lambda: self._fit_cost(case, account))

    def _fit_cost(self, case: Case, account: Account) -> FitCost:
        spec, split = self._spec(case), self.context.keys.fit_split(case)
        n = len(self.context.inputs.dataset(case.dataset, split, case.seed))
        rows = self.activations.rows_like(case.tap, account)
        measured = account.rates.get(_rate(case, n, rows.shape[1]))
        if spec.work is not None:
            counted = spec.work(case.finder.params, n, rows.shape[1])
            sklearn = any(name.startswith("sklearn") for name in counted.fit.imports)
            # scikit-learn knows nothing but the processor, and encoding is not told of a device
            fit = (account.speed if sklearn else account.device_speed)(counted.fit)
            encode = account.speed(counted.encode)
            found = FitCost(counted.directions, fit, encode, counted.fit, "counted")
        else:
            found = self._tried(case, rows, n if spec.trains_on else 0, account)
        if measured is None:
            return found
        return FitCost(found.directions, measured, found.encode, Work(), "measured")

    def _tried(self, case: Case, rows: FloatArray, n: int, account: Account) -> FitCost:
        """From a fit to a sample, in proportion to its images: mixtures of two activations each."""
        spec, params = self._spec(case), case.finder.params
        rng = np.random.default_rng(0)
        share = rng.random((SAMPLE, 1), dtype=np.float32)
        one, other = (rows[rng.integers(0, len(rows), SAMPLE)] for _ in range(2))
        sample = np.ascontiguousarray(share * one + (1 - share) * other)
        quiet = dataclasses.replace(self._asked(case, ""), progress=_quiet)
        memory = Work(memory=16.0 * n * rows.shape[1])
        try:
            start = account.clock()
            found = spec.fit(params, sample, quiet)
            fitted = account.clock()
            spec.encode(params, found, sample)
            encode = (account.clock() - fitted) / SAMPLE
        except Exception:  # of images made up; its cases will tell
            return FitCost(GUESSED_K, GUESSED_SECONDS, 0.0, memory, "guess")
        fit = (fitted - start) * max(1.0, n / SAMPLE)
        return FitCost(len(found.vectors), fit, encode, memory, "timed")


def _quiet(done: int, total: int, note: str) -> None:
    """Takes no notice of how far a fit is."""


def _rate(case: Case, n: int, width: int) -> str:
    return f"directions {case.finder.label} {n}x{width}"


def checked(found: Any, width: int, label: str) -> Directions:
    """What a finder's `fit` gave, checked and read-only."""
    who = f"finder {label}"
    if not isinstance(found, Directions):
        raise PluginError(f"{who}: fit gave {type(found).__name__}, expected Directions")
    vectors = real_array(found.vectors, who, "vectors", (None, width))
    if not len(vectors):
        raise PluginError(f"{who}: vectors have shape {vectors.shape}, expected (K, {width})")
    state = {name: np.array(array) for name, array in found.state.items()}
    for name, array in state.items():
        if array.dtype.kind not in "biufcSU":
            raise PluginError(
                f"{who} gave the state {name} as {array.dtype}; only numbers and text are kept"
            )
    if not isinstance(found.notes, tuple) or not all(isinstance(n, str) for n in found.notes):
        raise PluginError(f"{who} gave the notes {found.notes!r}; expected a tuple of sentences")
    return frozen(Directions(vectors, state, found.notes))
