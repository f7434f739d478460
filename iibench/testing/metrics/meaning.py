"""Does a metric mean what it says: larger = more alike, within its range, the values it is known for?"""

from __future__ import annotations

import math
import re
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from iibench.compute.images import to_unit_range
from iibench.contract.errors import Skip
from iibench.contract.specs import Golden
from iibench.suite.labels import read_label
from iibench.suite.params import label_values, parse_params
from iibench.testing import page_rules
from iibench.testing.checks import Finding, Rule, good, wrong
from iibench.testing.metrics.inputs import images_only
from iibench.testing.metrics.subject import MetricUnderTest
from iibench.testing.pictures import noise_like

if TYPE_CHECKING:
    from iibench.contract.arrays import DoubleArray

REVERSED = (
    "a distance is returned as if it were a similarity (LPIPS and DreamSim give distances, larger = "
    "less alike): return minus the distance"
)
GOLDEN = (
    "another metric than the one named: another backbone (alex, vgg, squeeze) or random weights; other "
    "weights (LPIPS v0.0 for v0.1) or version 0.1 given as a number, which skips LPIPS's scaling layer; "
    "images in [0, 1] where [-1, 1] is wanted, or normalised twice; another way or size of resizing; "
    "the embedding's mean not taken off; or adapters that were not loaded"
)


def direction(metric: MetricUnderTest) -> Finding:
    """Is an image more like a slightly changed copy of itself than like another image?

    Of one kind of change at least: a metric may well care for noise, or for brightness, above all.
    """
    _meaningful(metric)
    x = metric.inputs(12)
    others = metric.similarities(x, x)
    np.fill_diagonal(others, np.nan)
    typical = np.nanmedian(others, axis=1)
    noisy = (x + 0.02 * noise_like(x)).clamp(0, 1)
    changes = {"a little noise": noisy, "a little brighter": x * 0.96 + 0.04}
    shares = {}
    for name, changed in changes.items():
        copies = np.diagonal(metric.similarities(x, changed))
        shares[name] = float((copies > typical).mean() + 0.5 * (copies == typical).mean())
    seen = "; ".join(f"{name}: {share:.0%} of 12 images" for name, share in shares.items())
    if max(shares.values()) > 0.5:
        return good(f"more like its changed copy than like others: {seen}")
    return wrong(f"more like its changed copy than like others: {seen}", REVERSED)


def more_noise(metric: MetricUnderTest) -> Finding:
    """Similarity to ever noisier copies, averaged over images and draws."""
    _meaningful(metric)
    x = metric.eight
    levels = (0.02, 0.05, 0.1, 0.2, 0.4)
    means = []
    for level in levels:
        draws = [
            np.diagonal(metric.similarities(x, (x + level * noise_like(x, seed)).clamp(0, 1)))
            for seed in range(2)
        ]
        means.append(float(np.mean(draws)))
    seen = ", ".join(f"{mean:.3g}" for mean in means) + f" at noise {levels[0]:g} to {levels[-1]:g}"
    drop = means[0] - means[-1]
    if drop <= 0:
        return wrong(seen, REVERSED)
    if max(np.diff(means)) > 0.25 * drop:
        return wrong(seen, "it reacts to something else than how different the images are")
    return good(seen)


def _meaningful(metric: MetricUnderTest) -> None:
    images_only(metric)
    if metric.spec.level == "control":
        raise Skip("a control means nothing")


# --------------------------------------------------------------------------------------- range


def declared_range(metric: MetricUnderTest) -> Finding:
    """The similarities seen so far against `spec.range`."""
    values = metric.baseline
    if not np.isfinite(values).all():
        return wrong("similarities that are not finite", "a division by zero")
    low, high = float(values.min()), float(values.max())
    seen = f"{low:.4g} to {high:.4g}"
    limits = read_range(metric.spec.range)
    if limits is None:
        raise Skip(f"the range {metric.spec.range!r} is in words")
    slack = 1e-5 * (1 + max(abs(low), abs(high)))
    inside = limits[0] - slack <= low and high <= limits[1] + slack
    expected = f"within {metric.spec.range}"
    if inside:
        return Finding("passed", seen, expected=expected)
    cause = "the spec's range is that of the distance, or of another version of the metric"
    if limits[1] == 0 and low >= -slack:
        cause = REVERSED
    return wrong(seen, cause, expected)


def read_range(text: str) -> tuple[float, float] | None:
    """The bounds of a range such as `(-inf, 0]`, `[-sqrt(3), 0]` or `{0, 1}`; None for other words."""
    interval = re.fullmatch(r"\s*[(\[{]\s*(.+?)\s*,\s*(.+?)\s*[)\]}]\s*", text)
    if interval is None:
        return None
    bounds = [_number(part) for part in interval.groups()]
    if bounds[0] is None or bounds[1] is None:
        return None
    return bounds[0], bounds[1]


def _number(text: str) -> float | None:
    root = re.fullmatch(r"(-?)sqrt\((.+)\)", text)
    try:
        if root is not None:
            return (-1 if root[1] else 1) * math.sqrt(float(root[2]))
        return float(text.replace("infinity", "inf"))
    except ValueError:
        return None


# ------------------------------------------------------------------------------ golden values


def golden_rules(metric: MetricUnderTest, every: bool) -> tuple[Rule[MetricUnderTest], ...]:
    """A rule for each golden value: of all parameters (`every`), or of those under test."""
    chosen = [g for g in metric.spec.golden if every or _params_of(metric, g) == metric.params]
    if not chosen:
        what = "for these parameters" if metric.spec.golden else "at all"
        why = f"the spec declares no golden value {what}"
        return (Rule("golden values", "values that it is known to give", partial(_none, why)),)
    labels = [golden.label for golden in chosen]
    numbers = [labels[: k + 1].count(label) for k, label in enumerate(labels)]
    return tuple(
        Rule(
            f"golden value of {golden.label}" + (f" ({number})" if number > 1 else ""),
            f"{golden.similarity:g}, at most {golden.tolerance:g} off ({golden.source})",
            partial(_golden, golden),
            GOLDEN,
        )
        for golden, number in zip(chosen, numbers, strict=True)
    )


def _none(why: str, metric: MetricUnderTest) -> Finding:
    raise Skip(why)


def _params_of(metric: MetricUnderTest, golden: Golden) -> object:
    return parse_params(metric.spec, label_values(metric.spec, read_label(golden.label).params))


def _golden(golden: Golden, metric: MetricUnderTest) -> Finding:
    first, second = golden.images(metric.harness)
    params = _params_of(metric, golden)
    same = params == metric.params
    loaded: Any = metric.metric if same else metric.spec.load(params, metric.harness)
    size = metric.spec.size(params)
    a, b = (to_unit_range(image[None], metric.device, size) for image in (first, second))
    part = read_label(golden.label).part
    columns = None
    if part is not None:
        columns = loaded.slices(int(a.shape[2]), int(a.shape[3]))[part]
    found = _single(metric.similarities(a, b, loaded, columns))
    off = abs(found - golden.similarity)
    seen = f"{found:.7g} for {golden.pair}"
    if off <= golden.tolerance:
        return good(seen)
    return wrong(f"{seen}: {off:.2g} off", GOLDEN)


def _single(table: DoubleArray) -> float:
    return float(table[0, 0])


RULES: tuple[Rule[MetricUnderTest], ...] = (
    Rule("declared range", "within the range that the spec declares", declared_range),
    Rule("direction", "larger = more alike: true of most images", direction),
    Rule("more noise", "the more noise, the less alike", more_noise),
    page_rules.METRIC,
)
