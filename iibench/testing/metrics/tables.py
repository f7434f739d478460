"""Does a metric give a table, n images by m images, and does every entry belong to its pair?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from iibench.contract.errors import Skip, one_line
from iibench.testing.checks import Finding, Rule, good, wrong
from iibench.testing.inspection import in_training
from iibench.testing.metrics.subject import ROUNDING, MetricUnderTest

if TYPE_CHECKING:
    import torch

    from iibench.contract.arrays import DoubleArray

ELEMENT_WISE = (
    "it compares image i with image i only, as lpips(x, y) and torchmetrics do; a table of all "
    "pairs is wanted: give embeddings, or loop over the pairs"
)
BATCH_MEAN = (
    "it takes the mean over the batch, as torchmetrics does by default (reduction='mean'); ask for a "
    "value per image (reduction='none')"
)
CONSECUTIVE = (
    "only consecutive pairs are compared (as lpips_1dir_allpairs.py does without --all-pairs); every "
    "pair is wanted"
)
BROADCAST = "one side is broadcast: the value does not depend on the image that its row or column stands for"
COMPANIONS = (
    "the value of a pair depends on the other images of the batch: batch norm in train mode, or a "
    "mean, scale or quantile taken over the batch"
)


def shape(metric: MetricUnderTest) -> Finding:
    """3 inputs against 5, and 1 against 5."""
    a, b = metric.inputs(3), metric.inputs(5, seed=1)
    for left in (a, a[:1]):
        problem = _misshapen(metric, left, b)
        if problem is not None:
            return problem
    return good("3 against 5 and 1 against 5 give tables of that shape")


def _misshapen(metric: MetricUnderTest, a: torch.Tensor, b: torch.Tensor) -> Finding | None:
    call = "pairwise"
    try:
        if metric.spec.distance is None:
            return _table_problem(metric, metric.metric.pairwise, a, b, call)
        call = "embed"
        rows = []
        for x in (a, b):
            found = metric.metric.embed(x)
            if _shape(found)[:1] != (len(x),) or len(_shape(found)) != 2:
                return _embedding_problem(_shape(found), len(x))
            rows.append(found)
        if metric.spec.distance == "own":
            call = "compare"
            return _table_problem(metric, metric.metric.compare, rows[0], rows[1], call)
    except Exception as error:
        return wrong(
            f"{call} of {len(a)} and {len(b)} raised {one_line(error)}",
            _cause_of_misshape(metric, call)
            if call != "embed"
            else "embed cannot take this many images at once",
        )
    return None


def _table_problem(
    metric: MetricUnderTest, function: Any, a: torch.Tensor, b: torch.Tensor, call: str
) -> Finding | None:
    found = _shape(function(a, b))
    if found == (len(a), len(b)):
        return None
    seen = f"{call} of {len(a)} and {len(b)} gave shape {found}"
    if found in {(), (1,), (1, 1)}:
        return wrong(seen, BATCH_MEAN)
    return wrong(seen, _cause_of_misshape(metric, call))


def _embedding_problem(found: tuple[int, ...], n: int) -> Finding:
    seen = f"embed of {n} gave shape {found}"
    if len(found) < 2 or found[0] == 1:
        return wrong(seen, BATCH_MEAN, f"(n, d): ({n}, d)")
    return wrong(seen, "feature maps are not flattened or pooled: .flatten(1)", f"(n, d): ({n}, d)")


def _cause_of_misshape(metric: MetricUnderTest, call: str) -> str:
    """Tells, from four against four, what kind of function it is."""
    x = metric.inputs(4)
    function = getattr(metric.metric, call)
    try:
        arguments = (x, x.flip(0)) if call == "pairwise" else (metric.rows(x), metric.rows(x))
        found = _shape(function(*arguments))
    except Exception:
        return "it does not take two batches of different sizes"
    if found in {(), (1,)}:
        return BATCH_MEAN
    if found[:1] == (3,):
        return CONSECUTIVE
    return ELEMENT_WISE if found[:1] == (4,) else "the table has another layout"


def _shape(value: Any) -> tuple[int, ...]:
    return tuple(int(side) for side in getattr(value, "shape", (type(value).__name__,)))


def pair_by_pair(metric: MetricUnderTest) -> Finding:
    """Each entry of the table against the same pair computed alone."""
    a, b = metric.eight[:4], metric.inputs(5, seed=1)
    table = metric.similarities(a, b)
    alone = np.array(
        [
            [metric.similarities(a[i : i + 1], b[j : j + 1])[0, 0] for j in range(len(b))]
            for i in range(len(a))
        ]
    )
    largest = metric.deviation(table, alone)
    if largest <= ROUNDING:
        return good(f"entries differ from pairs computed alone by {largest:.1g} of the spread")
    agrees = np.abs(table - alone) <= ROUNDING * metric.spread
    return wrong(
        f"{int((~agrees).sum())} of {agrees.size} entries differ from the pair computed alone, by up "
        f"to {largest:.2g} of the spread",
        _cause_of_entries(metric, table, agrees),
    )


def _cause_of_entries(metric: MetricUnderTest, table: DoubleArray, agrees: Any) -> str:
    i, j = np.indices(table.shape)
    if agrees[i == j].all() and not agrees[i != j].all():
        near = agrees[np.abs(i - j) == 1]
        return CONSECUTIVE if near.any() and not agrees[np.abs(i - j) > 1].any() else ELEMENT_WISE
    if agrees[j == i + 1].all() and not agrees[j != i + 1].any():
        return CONSECUTIVE
    if np.ptp(table, axis=0).max() == 0 or np.ptp(table, axis=1).max() == 0:
        return BROADCAST
    return _with_training(metric, COMPANIONS)


def _with_training(metric: MetricUnderTest, cause: str) -> str:
    training = in_training(metric.metric)
    return f"{cause}; in train mode: {', '.join(training[:3])}" if training else cause


def batch(metric: MetricUnderTest) -> Finding:
    """The same inputs one by one, in another order, and beside others."""
    x, y = metric.eight, metric.inputs(6, seed=2)
    whole = metric.similarities(x, y)
    single = np.concatenate([metric.similarities(x[k : k + 1], y) for k in range(len(x))])
    backwards = metric.similarities(x.flip(0), y)[::-1]
    import torch

    beside = metric.similarities(torch.cat([y[:3], x]), y)[3:]
    ways = {"one by one": single, "in another order": backwards, "beside other images": beside}
    worst = max(ways, key=lambda way: metric.deviation(whole, ways[way]))
    largest = metric.deviation(whole, ways[worst])
    if largest <= ROUNDING:
        return good(f"at most {largest:.1g} of the spread between batches")
    return wrong(
        f"{worst}, the similarities differ by {largest:.2g} of the spread",
        _with_training(metric, COMPANIONS),
    )


def empty(metric: MetricUnderTest) -> Finding:
    """No inputs at all, and one."""
    from iibench.contract.errors import IibenchError

    x = metric.eight
    one = metric.similarities(x[:1], x[:1])
    if not np.isfinite(one).all():
        return wrong("the similarity of one image to itself is not finite", COMPANIONS)
    try:
        metric.similarities(x[:0], x)
    except IibenchError as error:
        return good(f"no images: {one_line(error)}")
    except Exception as error:
        return wrong(
            f"no images: raised {one_line(error)}",
            "a mean or maximum over nothing; return (0, d), or raise CaseError",
        )
    return good("no images give an empty table")


def identity(metric: MetricUnderTest) -> Finding:
    """Every input against all of them, two of them there twice."""
    import torch

    x = metric.eight[:6]
    twice = torch.cat([x, x[:1], x[2:3]])
    table = metric.similarities(twice, twice)
    ideal = {"cosine": 1.0, "equal": 1.0, "own": None, None: None}.get(metric.spec.distance, 0.0)
    own = np.diagonal(table)
    copies = np.array([table[0, 6], table[6, 0], table[2, 7], table[7, 2]])
    slack = ROUNDING * metric.spread
    if ideal is not None and np.abs(own - ideal).max() > slack:
        return wrong(
            f"similarity of an image to itself is {own[np.abs(own - ideal).argmax()]:.6g}",
            "embed is random or not finite, or gives rows of zeros",
            f"{ideal:g}",
        )
    if np.abs(copies - own[[0, 0, 2, 2]]).max() > slack:
        return wrong(
            f"an image and its copy at another place: {copies[0]:.6g}; with itself: {own[0]:.6g}",
            "the value depends on an image's place in the batch, or on chance",
        )
    below = table > own[:, None] + slack
    if below.any():
        i, j = np.argwhere(below)[0]
        return wrong(
            f"image {i} is more like image {j} ({table[i, j]:.6g}) than like itself ({own[i]:.6g})",
            "a distance is returned as if it were a similarity (LPIPS and DreamSim give distances: "
            "return minus the distance), or the value depends on chance",
        )
    return good(f"an image is most like itself and its copy: {own.min():.6g} to {own.max():.6g}")


def symmetry(metric: MetricUnderTest) -> Finding:
    """S(a, b) against S(b, a)."""
    if not metric.spec.symmetric:
        raise Skip("the spec says symmetric=False")
    a, b = metric.eight[:4], metric.inputs(5, seed=1)
    there, back = metric.similarities(a, b), metric.similarities(b, a).T
    largest = metric.deviation(there, back)
    if largest <= ROUNDING:
        return good(f"at most {largest:.1g} of the spread between the two orders")
    return wrong(
        f"s(a, b) and s(b, a) differ by {largest:.2g} of the spread",
        "the two images are treated differently (a reference and a distorted one); declare "
        "symmetric=False where that is meant",
    )


def unchanged(metric: MetricUnderTest) -> Finding:
    """The inputs that are handed over, before and after."""
    handed = metric.inputs(4, seed=2), metric.inputs(5, seed=3)
    before = [x.clone() for x in handed]
    metric.similarities(*handed)
    if all(bool((now == then).all()) for now, then in zip(handed, before, strict=True)):
        return good("the inputs are as they were")
    return wrong("inputs are changed", "an operation in place (sub_, -=, normalize_): copy first")


RULES: tuple[Rule[MetricUnderTest], ...] = (
    Rule("shape", "n inputs against m give (n, m) similarities, embed gives (n, d)", shape),
    Rule("pair by pair", "an entry is what its pair gives alone", pair_by_pair),
    Rule("batch", "an image's values do not depend on the batch it is in", batch),
    Rule("empty batch", "one image works; none gives an empty table or a CaseError", empty),
    Rule("identity", "nothing is more like an image than itself and its copies", identity),
    Rule("symmetry", "s(a, b) = s(b, a)", symmetry),
    Rule("inputs unchanged", "the inputs are left as they were", unchanged),
)
