"""What analyses may ask for besides responses and similarities, over the stages."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from iibench.compute.border import real_float32
from iibench.compute.handed import frozen, handed, own_mapping, read_only
from iibench.contract.errors import PluginError
from iibench.contract.specs import Directions, FitContext
from iibench.stages.context import Progress, StageContext
from iibench.stages.directions import checked
from iibench.suite.cases import derive_seed
from iibench.suite.choices import choice_of

if TYPE_CHECKING:
    import torch

    from iibench.contract.arrays import DoubleArray, FloatArray, ImageArray, IntArray
    from iibench.stages.activations import ActivationStage
    from iibench.stages.directions import DirectionStage
    from iibench.suite.cases import Case


@dataclass(frozen=True)
class CaseContext:
    """`AnalysisContext` over the stages of a case."""

    context: StageContext
    activation_stage: ActivationStage
    direction_stage: DirectionStage
    case: Case

    @property
    def device(self) -> str:
        """See `AnalysisContext`."""
        return self.context.device

    @property
    def class_names(self) -> tuple[str, ...]:
        """See `AnalysisContext`."""
        return tuple(self.context.inputs.evaluated(self.case).class_names)

    @property
    def image_size(self) -> tuple[int, int]:
        """See `AnalysisContext`."""
        return self.context.inputs.evaluated(self.case).image_size

    def activations(self) -> FloatArray:
        """See `AnalysisContext`."""
        found = self.activation_stage.values(self.case.tap, self.case.dataset.evaluate)
        self.activation_stage.check_held(found.shape, f"evaluation {self.case.evaluation.label}")
        return read_only(own_mapping(found))

    def directions(self) -> Directions:
        """See `AnalysisContext`; a copy, since torch could write to what is read-only."""
        found = self.direction_stage.of(self.case)
        state = {name: array.copy() for name, array in found.state.items()}
        return frozen(Directions(found.vectors.copy(), state, found.notes))

    def images(self, indices: Sequence[int] | IntArray) -> ImageArray:
        """See `AnalysisContext`."""
        return read_only(np.array(self.context.inputs.evaluated(self.case).images(indices)))

    def responses_of(self, finder: str, neurons: IntArray) -> FloatArray:
        """See `AnalysisContext`."""
        registry = self.context.inputs.registry
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
            self.activation_stage.values(self.case.tap, name)
            for name in (split, self.case.dataset.evaluate)
        )
        both = len(fitted) + len(evaluated), len(chosen)
        self.activation_stage.check_held(both, f"evaluation {self.case.evaluation.label}")
        fitted, evaluated = (
            np.ascontiguousarray(values[:, chosen]) for values in (fitted, evaluated)
        )
        which = hashlib.sha256(chosen.tobytes()).hexdigest()
        context = FitContext(
            derive_seed(self.case.seed, self.case.stem, finder, which),
            self.device,
            self.progress,
            self.context.inputs.resources.base_dir,
        )
        fitted, evaluated = read_only(fitted), read_only(evaluated)
        who = f"finder {finder}"
        with handed(who, "activations", fitted, evaluated):
            directions = checked(found.fit(choice.params, fitted, context), len(chosen), finder)
            values = found.encode(choice.params, directions, evaluated)
        return real_float32(values, who, "a response", (len(evaluated), len(directions.vectors)))

    def gradient_norms(
        self, indices: IntArray, score: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    ) -> DoubleArray:
        """See `AnalysisContext`."""
        from iibench.compute.gradients import input_gradient_norms

        loaded, _ = self.context.inputs.model(self.case)
        return input_gradient_norms(
            loaded,
            self.case.layer.path,
            self.case.layer.pool,
            self.context.inputs.evaluated(self.case).images,
            np.asarray(indices, np.int64),
            score,
            device=self.device,
            batch_size=self.context.settings.batch_size,
            progress=lambda done, total: self.progress(done, total, "gradients"),
            layout=self.case.layer.layout,
            call=self.case.layer.call,
        )

    def progress(self, done: int, total: int, note: str) -> None:
        """See `AnalysisContext`."""
        stage = f"evaluation {self.case.evaluation.name}: {note}"
        self.context.tell(Progress(stage, done, total, "steps"))
