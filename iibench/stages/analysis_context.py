"""What analyses may ask for besides responses and similarities: `specs.Lab` over the workbench."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from iibench.contract.errors import CaseError, PluginError
from iibench.contract.specs import FitContext
from iibench.suite.cases import derive_seed
from iibench.suite.choices import choice_of

if TYPE_CHECKING:
    import torch

    from iibench.contract.arrays import DoubleArray, FloatArray, ImageArray, IntArray
    from iibench.contract.specs import Directions
    from iibench.stages.case_stages import Workbench
    from iibench.suite.cases import Case


@dataclass(frozen=True)
class CaseLab:
    """See `specs.Lab`."""

    bench: Workbench
    case: Case

    @property
    def device(self) -> str:
        """See `specs.Lab`."""
        return self.bench.inputs.resources.device

    @property
    def class_names(self) -> tuple[str, ...]:
        """See `specs.Lab`."""
        return tuple(self.bench.inputs.evaluated(self.case).class_names)

    @property
    def image_size(self) -> tuple[int, int]:
        """See `specs.Lab`."""
        return self.bench.inputs.evaluated(self.case).image_size

    def activations(self) -> FloatArray:
        """See `specs.Lab`."""
        found = self.bench.activations(self.case.tap, self.case.dataset.evaluate)
        self.bench.check_held(found.shape, f"evaluation {self.case.evaluation.label}")
        return np.asarray(found)

    def directions(self) -> Directions:
        """See `specs.Lab`."""
        return self.bench.directions(self.case)

    def images(self, indices: Sequence[int] | IntArray) -> ImageArray:
        """See `specs.Lab`."""
        return self.bench.inputs.evaluated(self.case).images(indices)

    def responses_of(self, finder: str, neurons: IntArray) -> FloatArray:
        """See `specs.Lab`."""
        registry = self.bench.inputs.registry
        spec = registry.evaluations[self.case.evaluation.name].spec
        if finder not in getattr(spec, "finders", lambda params: ())(self.case.evaluation.params):
            raise PluginError(
                f"evaluation {spec.name} asks for the finder {finder}, which its spec does not name"
            )
        choice = choice_of(finder, registry.finders)
        found = registry.finders[choice.name].spec
        chosen = np.asarray(neurons, np.int64)
        split = self.case.dataset.fit if found.trains_on else self.case.dataset.evaluate
        fitted, evaluated = (
            self.bench.activations(self.case.tap, name)
            for name in (split, self.case.dataset.evaluate)
        )
        both = len(fitted) + len(evaluated), len(chosen)
        self.bench.check_held(both, f"evaluation {self.case.evaluation.label}")
        fitted, evaluated = (
            np.ascontiguousarray(values[:, chosen]) for values in (fitted, evaluated)
        )
        which = hashlib.sha256(chosen.tobytes()).hexdigest()
        context = FitContext(
            derive_seed(self.case.seed, self.case.stem, finder, which),
            self.device,
            self.progress,
            self.bench.inputs.resources.base_dir,
        )
        directions = found.fit(choice.params, fitted, context)
        values = np.asarray(found.encode(choice.params, directions, evaluated), np.float32)
        expected = (len(evaluated), len(directions.vectors))
        if values.shape != expected:
            raise PluginError(
                f"finder {finder}: responses have shape {values.shape}, expected {expected}"
            )
        if not np.isfinite(values).all():
            raise CaseError(f"finder {finder} gave a response that is not finite")
        return values

    def gradient_norms(
        self, indices: IntArray, score: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    ) -> DoubleArray:
        """See `specs.Lab`."""
        from iibench.compute.gradients import input_gradient_norms

        loaded, _ = self.bench.inputs.model(self.case)
        return input_gradient_norms(
            loaded,
            self.case.layer.path,
            self.case.layer.pool,
            self.bench.inputs.evaluated(self.case).images,
            np.asarray(indices, np.int64),
            score,
            device=self.device,
            batch_size=self.bench.batch_size,
            progress=lambda done, total: self.progress(done, total, "gradients"),
        )

    def progress(self, done: int, total: int, note: str) -> None:
        """See `specs.Lab`."""
        self.bench.report(f"evaluation {self.case.evaluation.name}: {note}", done, total)
