"""What loading and using a metric leaves behind, whether it is the same each time, and how fast it is."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import Any

from iibench.contract.errors import Skip
from iibench.testing.checks import Finding, Rule, good, wrong
from iibench.testing.inspection import differing, in_training, networks_of, tensors_of
from iibench.testing.metrics.inputs import images_only
from iibench.testing.metrics.subject import REPEATED, MetricUnderTest
from iibench.testing.pictures import photos
from iibench.testing.traces import generators, left_as_found

TRAIN = (
    "dropout or another random layer is on: .train() on a module switches it on in everything below "
    "(LPIPS has dropout in its linear layers); call .eval() when loading"
)
CHANCE = "random numbers are drawn from a global generator while comparing; give them a seed of their own"
RANDOM_PARTS = (
    "these tensors keep the random numbers that they were made with: load_state_dict(..., strict=False) "
    "with other keys loads nothing (lpips's model_path wants the linear weights), or adapters are not "
    "loaded (dreamsim's pretrained=False); load strictly"
)
RANDOM_TRUNK = (
    "no weights are loaded into most of it: the trunk is random (pretrained=False, pnet_rand=True, or "
    "another copy of the code)"
)


def determinism(metric: MetricUnderTest) -> Finding:
    """The same similarities twice, with the global generators at other states."""
    first, second = metric.uses
    off = metric.deviation(first.value, second.value)
    if off <= REPEATED:
        return good("the same call gives the same similarities")
    training = in_training(metric.metric)
    cause = f"{TRAIN}; in train mode: {', '.join(training[:3])}" if training else CHANCE
    return wrong(f"the same call differs by {off:.2g} of the spread", cause)


def two_loads(metric: MetricUnderTest) -> Finding:
    """The similarities of two loads, with the global generators at other states."""
    x = metric.eight[:5]
    first, second = (metric.similarities(x, x, load.value) for load in metric.loads)
    off = metric.deviation(first, second)
    unequal, total = differing(*(load.value for load in metric.loads))
    if off <= REPEATED and not unequal:
        same = metric.loads[0].value is metric.loads[1].value
        note = " (load returned one object twice: run in a new process to be sure)" if same else ""
        return good(f"two loads give the same similarities{note}")
    seen = f"two loads differ by {off:.2g} of the spread"
    if not unequal:
        return wrong(seen, f"{CHANCE}, or {TRAIN}" if in_training(metric.metric) else CHANCE)
    seen += (
        f"; {len(unequal)} of {total} tensors are other numbers, such as {', '.join(unequal[:3])}"
    )
    sizes = {name: tensor.numel() for name, tensor in tensors_of(metric.metric).items()}
    share = sum(sizes[name] for name in unequal) / sum(sizes.values())
    return wrong(seen, RANDOM_TRUNK if share > 0.5 else RANDOM_PARTS)


def global_seeds(metric: MetricUnderTest) -> Finding:
    """Are the global generators reset by loading or comparing?"""
    uses = {"comparing": metric.uses} if len(metric.watched) > len(metric.loads) else {}
    return generators({"load": metric.loads, **uses})


def eval_mode(metric: MetricUnderTest) -> Finding:
    """Every module of the networks inside it."""
    networks = networks_of(metric.metric)
    if not networks:
        raise Skip("there is no network in it")
    training = in_training(metric.metric)
    if training:
        some = ", ".join(training[:3])
        return wrong(f"{len(training)} modules are in train mode: {some}", TRAIN)
    return good("every module is in eval mode")


def gradients(metric: MetricUnderTest) -> Finding:
    """Outputs and parameters, outside of inference mode."""
    import torch

    x = metric.eight[:2]
    with torch.enable_grad():
        out = metric.metric.embed(x) if metric.spec.distance else metric.metric.pairwise(x, x)
    cause = "the graph of the computation is kept, and memory with it: use torch.no_grad()"
    if getattr(out, "requires_grad", False):
        return wrong("the output requires gradients", cause)
    wanting = [name for name, tensor in tensors_of(metric.metric).items() if tensor.requires_grad]
    if wanting:
        some = ", ".join(wanting[:3])
        return wrong(
            f"{len(wanting)} parameters require gradients: {some}",
            "networks come with gradients switched on: .requires_grad_(False)",
        )
    return good("nothing requires gradients")


def fingerprint(metric: MetricUnderTest) -> Finding:
    """Is it text, the same twice, and does it follow the weights?"""
    found = [getattr(load.value, "fingerprint", None) for load in metric.loads]
    marks = [mark for mark in found if isinstance(mark, str)]
    if len(marks) < len(found):
        return wrong(f"fingerprint is {found[0]!r}", "the attribute is missing, or no text", "text")
    unequal, total = differing(metric.loads[0].value, metric.loads[1].value)
    if unequal and marks[0] == marks[1]:
        return wrong(
            f"two loads with different weights have one fingerprint, {marks[0][:16]!r}",
            "it is stale: made of a name, a version or a file name instead of the weights, so cached "
            "results of other weights would be taken; take the SHA-256 of the tensors",
        )
    if marks[0] != marks[1] and not unequal:
        return wrong(
            "two loads have different fingerprints",
            "it contains something that changes, such as a time, an id or a path: nothing would ever "
            "come from the cache",
        )
    if marks[0] != marks[1]:
        return wrong("two loads have different fingerprints", "their weights differ, see two loads")
    if total and len(marks[0]) < 16:
        return wrong(
            f"{marks[0]!r}, and it holds {total} tensors",
            "it is stale: a name or version stays the same when the weights change, and cached "
            "results of other weights would be taken; take the SHA-256 of the tensors",
            "a hash of the weights",
        )
    return good(f"{marks[0][:16]}..." if marks[0] else "none; it holds no tensors")


def parts(metric: MetricUnderTest) -> Finding:
    """Names and columns of the parts of the embedding."""
    names = metric.spec.parts(metric.params)
    if not names:
        raise Skip("the spec declares no parts")
    x = metric.eight[:2]
    found = metric.metric.slices(int(x.shape[2]), int(x.shape[3]))
    width = metric.rows(x).shape[1]
    if sorted(found) != sorted(names):
        return wrong(
            f"slices has {', '.join(found)}", "parts(params) and slices disagree", ", ".join(names)
        )
    columns = sorted((s.indices(width)[0], s.indices(width)[1]) for s in found.values())
    for name, part in found.items():
        start, stop = part.start or 0, width if part.stop is None else part.stop
        if not 0 <= start < stop <= width:
            return wrong(
                f"part {name} is columns {start} to {stop} of {width}",
                "the columns are those of another size of image: slices gets height and width",
                f"columns within 0 to {width}",
            )
    tiled = columns[0][0] == 0 and columns[-1][1] == width
    tiled &= all(a[1] == b[0] for a, b in pairwise(columns))
    return good(f"{len(names)} parts {'tile' if tiled else 'lie within'} the {width} columns")


def throughput(metric: MetricUnderTest) -> Finding:
    """Images and comparisons per second at 32 and 224 pixels, or at the metric's own size."""
    images_only(metric)
    sides = (32, 224) if metric.size is None else (metric.size,)
    measured = []
    for side in sides:
        x = photos(8 if side < 100 else 3, side, device=metric.device)
        try:
            metric.similarities(x[:1], x[:1])  # what is built on first use is built here
            first = _seconds(lambda x=x: metric.similarities(x, x[:1]))
            both = _seconds(lambda x=x: metric.similarities(x, x))
        except Skip:
            raise
        except Exception:
            measured.append(f"{side} px: refused")
            continue
        images, pairs = len(x) / first, len(x) ** 2 / both
        measured.append(f"{side} px: {images:.3g} images/s, {pairs:.3g} comparisons/s from scratch")
    return good("; ".join(measured))


def _seconds(call: Any) -> float:
    start = time.perf_counter()
    call()
    return max(time.perf_counter() - start, 1e-9)


RULES: tuple[Rule[MetricUnderTest], ...] = (
    Rule("determinism", "the same call gives the same numbers", determinism),
    Rule("two loads", "loading twice gives the same metric", two_loads),
    Rule("fingerprint", "text that identifies the weights, the same for two loads", fingerprint),
    Rule("global seeds", "the global random generators are not reset", global_seeds),
    *left_as_found(lambda metric: metric.watched),
    Rule("eval mode", "every module is in eval mode", eval_mode),
    Rule("gradients", "no output and no parameter requires gradients", gradients),
    Rule("parts", "every declared part has columns within the embedding", parts),
    Rule("throughput", "a measurement, no demand", throughput),
)
