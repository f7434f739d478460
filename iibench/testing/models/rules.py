"""A model under test, and what every model must keep, rule by rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from iibench.compute.activations import iter_activations, weights_sha256
from iibench.compute.tap import layer_names
from iibench.contract.errors import IibenchError, Skip, one_line
from iibench.contract.specs import Harness, LayerSpec, LoadedModel, ModelSpec
from iibench.testing.checks import Finding, Rule, good, wrong
from iibench.testing.inspection import differing
from iibench.testing.pictures import pictures
from iibench.testing.state import Watched, watch
from iibench.testing.traces import generators, left_as_found

if TYPE_CHECKING:
    from iibench.contract.arrays import FloatArray, ImageArray, IntArray

#: Largest difference, as a share of the largest activation, that another batch explains.
OTHER_BATCH = 1e-4
#: A module path that no network has.
NOWHERE = "no.such.layer"


@dataclass
class ModelUnderTest:
    """A model with its parameters, loaded twice for `last`, with the global generators at other states.

    `aliases`: what is registered for its layers. `first`, `last`: module paths that are tapped.
    """

    spec: ModelSpec
    params: Any
    harness: Harness
    aliases: tuple[LayerSpec, ...]
    first: str
    last: str
    loads: tuple[Watched[LoadedModel], Watched[LoadedModel]]

    @property
    def loaded(self) -> LoadedModel:
        """As first loaded."""
        return self.loads[0].value

    @cached_property
    def images(self) -> ImageArray:
        """Five pictures of the size that the network wants, 64 pixels where it takes any."""
        return pictures(5, self.loaded.preprocess.size or 64)[0]

    def activations(
        self, layer: str, order: Sequence[int] = range(5), batch_size: int | None = None
    ) -> FloatArray:
        """(len(order), N) activations of the pictures in that order."""

        def read(indices: IntArray) -> ImageArray:
            return self.images[indices]

        batches = iter_activations(
            self.loaded,
            layer,
            "mean",
            read,
            np.asarray(order, np.int64),
            device=self.harness.device,
            batch_size=batch_size,
        )
        return np.concatenate([rows for _, rows in batches])

    @cached_property
    def uses(self) -> tuple[Watched[FloatArray], Watched[FloatArray]]:
        """The activations at `last`, twice."""
        first, second = (watch(lambda: self.activations(self.last), seed) for seed in (3, 4))
        return first, second


def eval_mode(model: ModelUnderTest) -> Finding:
    """Every module of the network."""
    training = [
        f"{name or 'the network itself'} ({type(module).__name__})"
        for name, module in model.loaded.module.named_modules()
        if module.training
    ]
    if training:
        return wrong(
            f"{len(training)} modules are in train mode: {', '.join(training[:3])}",
            "dropout is random and batch norm takes the statistics of the batch; call .eval()",
        )
    return good("every module is in eval mode")


def gradients(model: ModelUnderTest) -> Finding:
    """Every parameter of the network."""
    wanting = [n for n, p in model.loaded.module.named_parameters() if p.requires_grad]
    if wanting:
        return wrong(
            f"{len(wanting)} parameters require gradients: {', '.join(wanting[:3])}",
            "networks come with gradients switched on: .requires_grad_(False)",
        )
    return good("no parameter requires gradients")


def aliases(model: ModelUnderTest) -> Finding:
    """The module paths of registered aliases."""
    if not model.aliases:
        raise Skip("no alias is registered for its layers (any module path works without one)")
    names = layer_names(model.loaded.module)
    unknown = [alias for alias in model.aliases if alias.path not in names]
    if unknown and model.spec.variants is None:
        some = ", ".join(f"{alias.name} -> {alias.path}" for alias in unknown[:3])
        return wrong(
            f"the network has no module {some}",
            "a path is misspelt or of another version of the code; paths are those of named_modules()",
        )
    found = len(model.aliases) - len(unknown)
    return good(f"{found} of {len(model.aliases)} aliases name modules of this network")


def unknown_layer(model: ModelUnderTest) -> Finding:
    """Loading and tapping a layer that does not exist."""
    try:
        loaded = model.spec.load(model.params, NOWHERE, model.harness)
    except IibenchError as error:
        return good(f"load refuses it: {one_line(error)}")
    except Exception as error:
        return wrong(
            f"load raised {one_line(error)}",
            "load must ignore a layer that it does not know, or raise UsageError with nearest names",
        )
    if NOWHERE in layer_names(loaded.module):
        return wrong(f"the network has a module {NOWHERE!r}", "named_modules() is overridden")
    return good("load takes no notice, and the core refuses it")


def activations(model: ModelUnderTest) -> Finding:
    """Activations at the first and the last layer."""
    seen = []
    for path in dict.fromkeys((model.first, model.last)):
        values = model.activations(path)
        if np.ptp(values, axis=0).max() == 0:
            return wrong(
                f"{path}: every picture has the same activations",
                "the input does not reach the layer, or its weights are all zero",
            )
        seen.append(f"{path}: N = {values.shape[1]}, {values.min():.3g} to {values.max():.3g}")
    return good("; ".join(seen))


def batch(model: ModelUnderTest) -> Finding:
    """The same pictures one by one and in another order."""
    whole = model.uses[0].value
    scale = max(float(np.abs(whole).max()), 1e-30)
    order = [3, 0, 4, 1, 2]
    ways = {
        "one by one": model.activations(model.last, batch_size=1) - whole,
        "in another order": model.activations(model.last, order) - whole[order],
        "again": model.uses[1].value - whole,
    }
    for name, difference in ways.items():
        off = float(np.abs(difference).max()) / scale
        if not off <= OTHER_BATCH:
            return wrong(
                f"{name}, activations differ by {off:.2g} of the largest",
                "batch norm takes the statistics of the batch, or dropout is on: call .eval()",
            )
    return good("a picture's activations do not depend on the batch")


def two_loads(model: ModelUnderTest) -> Finding:
    """The weights of two loads."""
    first, second = (load.value for load in model.loads)
    if weights_sha256(first.module) == weights_sha256(second.module):
        return good(f"weights {weights_sha256(first.module)[:16]}... twice")
    unequal, total = differing(first.module, second.module)
    return wrong(
        f"{len(unequal)} of {total} tensors differ, such as {', '.join(unequal[:3])}",
        "these keep the random numbers that they were made with: load_state_dict(strict=False) with "
        "other keys, or no weights at all; load strictly, or draw them from a seed of your own",
    )


def fingerprints(model: ModelUnderTest) -> Finding:
    """Fingerprint and provenance of two loads."""
    first, second = (load.value for load in model.loads)
    if first.fingerprint != second.fingerprint:
        return wrong(
            "two loads have different fingerprints",
            "it contains something that changes, such as a time or an id",
        )
    if not first.provenance.strip():
        return wrong(
            "provenance is empty", "say which weights these are: a file name, random, seed 0"
        )
    return good(f"provenance: {first.provenance}")


def preprocess(model: ModelUnderTest) -> Finding:
    """Mean, deviation and size."""
    given = model.loaded.preprocess
    seen = f"mean {given.mean}, std {given.std}, size {given.size}"
    if {len(tuple(values)) for values in (given.mean, given.std)} != {3}:
        return wrong(seen, "one number per channel is wanted")
    if not all(-1 <= m <= 1 for m in given.mean) or not all(1e-3 < s <= 1 for s in given.std):
        return wrong(
            seen,
            "mean and std are those of values from 0 to 255; those of RGB in [0, 1] are wanted",
        )
    if given.size is not None and given.size < 1:
        return wrong(seen, "size is a number of pixels")
    return good(seen)


def device(model: ModelUnderTest) -> Finding:
    """Where the tensors are."""
    import torch

    wanted = torch.device(model.harness.device).type
    module = model.loaded.module
    named = (*module.named_parameters(), *module.named_buffers())
    elsewhere = [n for n, t in named if t.device.type not in {wanted, "meta"}]
    if elsewhere:
        return wrong(
            f"{len(elsewhere)} tensors are not on {wanted}: {', '.join(elsewhere[:3])}",
            "the device is written into the plugin: use resources.device",
        )
    return good(f"on {wanted}")


def global_seeds(model: ModelUnderTest) -> Finding:
    """Are the global generators reset?"""
    return generators(
        {"load": model.loads, **({"a forward pass": model.uses} if _runs(model) else {})}
    )


def _runs(model: ModelUnderTest) -> bool:
    """Whether there are activations; where not, the check `activations` says why."""
    try:
        return bool(model.uses)
    except Exception:
        return False


def _watched(model: ModelUnderTest) -> tuple[Watched[Any], ...]:
    return (*model.loads, *(model.uses if _runs(model) else ()))


RULES: tuple[Rule[ModelUnderTest], ...] = (
    Rule("eval mode", "every module is in eval mode", eval_mode),
    Rule("gradients", "no parameter requires gradients", gradients),
    Rule("layer aliases", "every alias names a module of the network", aliases),
    Rule("unknown layer", "refused by UsageError, or left to the core", unknown_layer),
    Rule(
        "activations",
        "finite and different between pictures, at the first and last layer",
        activations,
    ),
    Rule("batch", "a picture's activations do not depend on the batch", batch),
    Rule("two loads", "the same weights each time", two_loads),
    Rule("provenance", "says which weights these are, the same each time", fingerprints),
    Rule("preprocess", "mean and std of RGB in [0, 1], a size or None", preprocess),
    Rule("device", "every tensor is on the run's device", device),
    Rule("global seeds", "the global random generators are not reset", global_seeds),
    *left_as_found(_watched),
)
