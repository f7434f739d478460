"""What a metric does with images that are not what it wants, and with awkward ones that are."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from iibench.contract.errors import CaseError, Skip, one_line
from iibench.testing.checks import Finding, Rule, good, wrong
from iibench.testing.metrics.subject import ROUNDING, MetricUnderTest
from iibench.testing.pictures import photos

if TYPE_CHECKING:
    import torch

REMEDY = "call check_rgb(name, x) first: it refuses what is not RGB in [0, 1]"
SIGNED = (
    "images in [-1, 1] pass unchecked and give other numbers: lpips wants [-1, 1] and checks nothing, "
    "pyiqa and DreamSim want [0, 1], so one of the two is always wrong without a word; " + REMEDY
)
BYTES = (
    "images in [0, 255] pass unchecked and give other numbers: torchmetrics checks only that values "
    "are at least -1, lpips checks nothing; " + REMEDY
)
BEYOND = (
    "values outside [0, 1] (such as images that were normalised by a mean and standard deviation "
    "before) pass unchecked and give other numbers; " + REMEDY
)
INTEGERS = (
    "8-bit integers are computed with as if they were in [0, 1]; integer arithmetic wraps around; "
    + REMEDY
)
GREY = (
    "a (n, 1, h, w) tensor is broadcast to three channels by a normalisation (LPIPS's scaling layer "
    "does that); " + REMEDY
)
NO_PIXELS = "an operation over no pixels, such as the variance of a single value"
CHANNELS = "channels beyond three are used or dropped without a word; " + REMEDY


def out_of_range(
    change: Callable[[torch.Tensor], torch.Tensor], cause: str, name: str
) -> Rule[MetricUnderTest]:
    """A rule: changed images must be refused, or treated as the images that they stand for."""

    def look(metric: MetricUnderTest) -> Finding:
        images_only(metric)
        x, y = metric.eight[:4], metric.inputs(4, seed=1)
        try:
            found = metric.similarities(change(x), change(y))
        except Skip:
            raise
        except Exception as error:
            return good(f"refused: {one_line(error)}")
        expected = metric.similarities(x, y)
        if metric.deviation(found, expected) <= ROUNDING:
            return good("converted: the same similarities as for [0, 1]")
        clamped = metric.similarities(change(x).float().clamp(0, 1), change(y).float().clamp(0, 1))
        if name == BEYOND_NAME and metric.deviation(found, clamped) <= ROUNDING:
            return good("clamped to [0, 1]")
        return wrong(f"{found[0, 0]:.4g} instead of {expected[0, 0]:.4g}, and no error", cause)

    return Rule(name, "refused with an error, or converted: the same similarities", look)


def refused(
    change: Callable[[torch.Tensor], torch.Tensor], cause: str, name: str
) -> Rule[MetricUnderTest]:
    """A rule: images with other channels must be refused."""

    def look(metric: MetricUnderTest) -> Finding:
        images_only(metric)
        x = change(metric.eight[:3])
        try:
            found = metric.similarities(x, x.flip(0))
        except Skip:
            raise
        except Exception as error:
            return good(f"refused: {one_line(error)}")
        return wrong(f"{tuple(x.shape)} gave similarities such as {found[0, 0]:.4g}", cause)

    return Rule(name, "refused with an error", look)


def images_only(metric: MetricUnderTest) -> None:
    """Skips metrics that look at labels or names."""
    if not metric.sees_images:
        raise Skip(f"the metric looks at {metric.spec.input}, not at images")


def grey_as_rgb(metric: MetricUnderTest) -> Finding:
    """Grey pictures with three equal channels are images like any other."""
    images_only(metric)
    grey = metric.eight.mean(dim=1, keepdim=True).expand(-1, 3, -1, -1).contiguous()
    return _finite(metric.similarities(grey, grey), "grey images with three equal channels")


def constant(metric: MetricUnderTest) -> Finding:
    """Black, white and grey images, among themselves and against pictures."""
    images_only(metric)
    import torch

    levels = torch.tensor([0.0, 1.0, 0.5, 0.5], device=metric.device)[:, None, None, None]
    flat = levels.expand(-1, 3, metric.side, metric.side).contiguous()
    everything = torch.cat([flat, metric.eight[:2]])
    return _finite(metric.similarities(everything, everything), "black, white and grey images")


def _finite(table: np.ndarray, what: str) -> Finding:
    if np.isfinite(table).all():
        return good(f"finite similarities for {what}")
    return wrong(
        f"{int((~np.isfinite(table)).sum())} of {table.size} similarities of {what} are not finite",
        "a division by a norm, variance or range that is zero (normalisation, correlation, SSIM); add "
        "a small constant below the line",
    )


def sizes(metric: MetricUnderTest) -> Finding:
    """Images of several sizes; only the declared one where there is one."""
    images_only(metric)
    size = metric.size
    if size is not None and (not isinstance(size, int) or size < 1):
        return wrong(
            f"size(params) is {size!r}",
            "height and width are given, or text",
            "a number of pixels, or None",
        )
    shapes = [(size, size)] if size is not None else [(32, 32), (64, 64), (48, 64), (224, 224)]
    works, refusals = [], []
    for height, width in shapes:
        x = photos(3, max(height, width), seed=3, device=metric.device)[:, :, :height, :width]
        try:
            table = metric.similarities(x.contiguous(), x.contiguous())
        except CaseError as error:
            refusals.append(f"{height} x {width}: {one_line(error)}")
            continue
        except Skip:
            raise
        except Exception as error:
            return wrong(
                f"{height} x {width} pixels raised {one_line(error)}",
                "a pooling or kernel is larger than the image, or one size is built in: raise "
                "CaseError with the sizes that work, or declare size=...",
            )
        if not np.isfinite(table).all():
            return wrong(f"{height} x {width} pixels gave values that are not finite", NO_PIXELS)
        works.append(f"{height} x {width}")
    if not works:
        return wrong(
            f"every size is refused: {refusals[0]}",
            "declare the size that the metric needs: size=lambda params: 224",
        )
    return good("; ".join([f"works: {', '.join(works)}", *refusals]))


def dtype_and_device(metric: MetricUnderTest) -> Finding:
    """What comes out for float32, float64 and float16 images."""
    images_only(metric)
    import torch

    x = metric.eight[:4]
    out = metric.metric.embed(x) if metric.spec.distance else metric.metric.pairwise(x, x)
    if not isinstance(out, torch.Tensor) or not out.is_floating_point():
        kind = str(out.dtype) if isinstance(out, torch.Tensor) else type(out).__name__
        return wrong(f"gives {kind}", "NumPy arrays or integers are returned", "a floating tensor")
    if out.device.type not in {"cpu", torch.device(metric.device).type}:
        return wrong(
            f"the output is on {out.device}", "the device is written into the plugin", metric.device
        )
    reference, notes = metric.similarities(x, x), []
    for dtype, allowed in ((torch.float64, 1e-2), (torch.float16, 0.1)):
        name = str(dtype).removeprefix("torch.")
        try:
            found = metric.similarities(x.to(dtype), x.to(dtype))
        except Skip:
            raise
        except Exception:
            notes.append(f"{name} is refused")
            continue
        off = metric.deviation(found, reference)
        if off > allowed:
            return wrong(
                f"{name} images give similarities that are off by {off:.2g} of the spread",
                "the input is converted by an operation that changes it; use x.float()",
            )
        notes.append(f"{name} agrees")
    kind = str(out.dtype).removeprefix("torch.")
    return good(f"{kind} on {out.device}; {', '.join(notes)}")


def _dark_and_bright(x: torch.Tensor) -> torch.Tensor:
    return x * 1.2 - 0.1


BEYOND_NAME = "values beyond [0, 1]"

RULES: tuple[Rule[MetricUnderTest], ...] = (
    out_of_range(lambda x: 2 * x - 1, SIGNED, "values in [-1, 1]"),
    out_of_range(lambda x: 255 * x, BYTES, "values in [0, 255]"),
    out_of_range(_dark_and_bright, BEYOND, BEYOND_NAME),
    out_of_range(lambda x: (255 * x).round().byte(), INTEGERS, "8-bit integers"),
    refused(lambda x: x[:, :1], GREY, "one channel"),
    refused(lambda x: x[:, [0, 1, 2, 0]], CHANNELS, "four channels"),
    refused(
        lambda x: x[:, :, :, : x.shape[3] // 2].permute(0, 2, 3, 1).contiguous(),
        "images with the channels last, (n, h, w, 3), are taken for images of h channels; "
        + REMEDY,
        "channels last",
    ),
    Rule("grey as RGB", "finite similarities", grey_as_rgb),
    Rule("constant images", "finite similarities", constant),
    Rule("sizes", "each size works, with finite values, or is refused by CaseError", sizes),
    Rule(
        "dtype and device",
        "floating values on the run's device, float32 accepted",
        dtype_and_device,
    ),
)
