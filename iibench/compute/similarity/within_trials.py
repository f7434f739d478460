"""Similarities within the stimuli of a `TrialDataset` under one metric, for all of its parts at once.

Each distinct image is embedded once where memory allows (see blocks.py), whatever the number of
stimuli, answers and observers; what is kept are the few similarities of each stimulus. One row per
stimulus: for each part 2 F + 2 G + 1 numbers, the similarities of query 0 and query 1 to the F
positive and G opposite references, then the mean among the positive references.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from iibench.cache.budget import default_budget, share
from iibench.compute.handed import handed
from iibench.compute.images import in_batches, read_ahead, to_unit_range
from iibench.compute.precision import mixed
from iibench.compute.similarity.blocks import plan_blocks
from iibench.compute.similarity.distances import from_products, no_cosine
from iibench.compute.similarity.embeddings import (
    checked_rows,
    embedded_size,
    given_rows,
    images_per_batch,
)
from iibench.compute.similarity.lookups import (
    BLOCK_BYTES,
    EmbeddingSimilarity,
    PairwiseSimilarity,
    dense_pays,
)
from iibench.compute.similarity.own import ComparedSimilarity, comparing
from iibench.contract.errors import CaseError, PluginError
from iibench.contract.specs import EmbeddingMetric, PairwiseMetric
from iibench.contract.trials import TrialSimilarities

if TYPE_CHECKING:
    from iibench.contract.arrays import DoubleArray, FloatArray, ImageArray, IntArray
    from iibench.contract.specs import Distance, MetricSpec
    from iibench.contract.trials import Stimuli, TrialDataset

#: Rows up to this long are multiplied in float64; longer ones would take too much of the time.
EXACT_WIDTH = 20_000


@dataclass(frozen=True)
class TrialMetric:
    """A loaded metric and the parts of it that are wanted; "" is the whole.

    `size`: images are resized to size x size; None takes them as they are.

    >>> class Mean:
    ...     fingerprint = ""
    ...
    ...     def embed(self, x):
    ...         return x.mean(dim=(2, 3))
    >>> spec = MetricSpec(name="mean", summary="", load=lambda params, harness: Mean(), distance="cosine")
    >>> TrialMetric(spec, Mean(), size=64).parts
    ('',)
    """

    spec: MetricSpec
    metric: EmbeddingMetric | PairwiseMetric
    size: int | None
    parts: tuple[str, ...] = ("",)


def row_width(trials: Stimuli, parts: Sequence[str]) -> int:
    """Numbers in a stimulus's row.

    >>> from types import SimpleNamespace as Stimuli
    >>> stimuli = Stimuli(references=np.zeros((5, 3)), opposite=np.zeros((5, 2)))
    >>> row_width(stimuli, ["whole"]), row_width(stimuli, ["left", "right"])
    (11, 22)
    """
    references = int(trials.references.shape[1] + trials.opposite.shape[1])
    return len(parts) * (2 * references + 1)


def split_rows(rows: FloatArray, trials: Stimuli, parts: Sequence[str]) -> list[TrialSimilarities]:
    """rows (S, width) -> one `TrialSimilarities` per part; rows of stimuli that are not shown are NaN.

    >>> none, nobody = np.zeros((1, 0), np.int64), np.zeros(0, np.int64)
    >>> stimuli = Stimuli(
    ...     np.array(["s"]), np.array([[0, 1]]), np.array([[2]]), none, np.array([0]), ("u",),
    ...     Answers(nobody, nobody.astype(bool), nobody, nobody, nobody),
    ... )
    >>> (found,) = split_rows(np.array([[0.75, 0.25, 1.0]], np.float32), stimuli, [""])
    >>> found.references.tolist(), found.among.tolist()
    ([[[0.75], [0.25]]], [1.0])
    """
    s, f, g = len(trials), trials.references.shape[1], trials.opposite.shape[1]
    values = np.asarray(rows, np.float64).reshape(s, len(parts), 2 * (f + g) + 1)
    return [
        TrialSimilarities(
            part[:, : 2 * f].reshape(s, 2, f),
            part[:, 2 * f : -1].reshape(s, 2, g),
            part[:, -1],
        )
        for part in values.transpose(1, 0, 2)
    ]


def trial_similarities(
    metric: TrialMetric, dataset: TrialDataset, device: str = "cpu"
) -> list[TrialSimilarities]:
    """Similarities of all stimuli, one entry per part; see `iter_rows`.

    >>> none, nobody = np.zeros((1, 0), np.int64), np.zeros(0, np.int64)
    >>> class Pictures:  # black, white and grey; which of black and white is more like grey?
    ...     image_size, labels = (4, 4), None
    ...     trials = Stimuli(
    ...         np.array(["s"]), np.array([[0, 1]]), np.array([[2]]), none, np.array([0]), ("u",),
    ...         Answers(nobody, nobody.astype(bool), nobody, nobody, nobody),
    ...     )
    ...
    ...     def __len__(self):
    ...         return 3
    ...
    ...     def images(self, indices):
    ...         levels = np.array([0, 255, 102], np.uint8)[indices]
    ...         return np.broadcast_to(levels[:, None, None, None], (len(indices), 4, 4, 3))
    >>> class Mean:
    ...     fingerprint = ""
    ...
    ...     def embed(self, x):
    ...         return x.mean(dim=(2, 3))[:, :1]
    >>> spec = MetricSpec(
    ...     name="mean", summary="", load=lambda params, harness: Mean(), distance="euclidean"
    ... )
    >>> (found,) = trial_similarities(TrialMetric(spec, Mean(), size=None), Pictures())
    >>> found.references.round(6).tolist()
    [[[-0.4], [-0.6]]]
    """
    trials = dataset.trials
    rows = np.full((len(trials), row_width(trials, metric.parts)), np.nan, np.float32)
    for stimuli, values in iter_rows(metric, dataset, np.flatnonzero(trials.shown), device):
        rows[stimuli] = values
    return split_rows(rows, trials, metric.parts)


def iter_rows(
    metric: TrialMetric,
    dataset: TrialDataset,
    stimuli: IntArray,
    device: str = "cpu",
    *,
    memory: int | None = None,
    precision: str = "float32",
    progress: Callable[[int, int], None] = lambda done, total: None,
    passes: Callable[[int, int], None] = lambda forward, distinct: None,
) -> Iterator[tuple[IntArray, FloatArray]]:
    """(stimuli (b,), rows (b, width) float32) block by block, in an order that saves memory.

    `memory`: bytes of embeddings kept at a time, by default a share of `budget.default_budget`.
    `precision`: see precision.py. `progress(done, total)` counts images. `passes` is told once how many
    images are embedded and how many distinct ones there are. Raises `Skip` where labels are asked of
    images that have none,
    `CaseError` where a similarity is not finite.

    >>> class Pictures:
    ...     labels = np.array([0, 1, 0])
    ...     trials = Stimuli(
    ...         np.array(["s"]), np.array([[0, 1]]), np.array([[2]]), np.zeros((1, 0), np.int64),
    ...         np.array([0]), ("u",), Answers(*np.zeros((5, 0), np.int64)),
    ...     )
    ...
    ...     def __len__(self):
    ...         return 3
    >>> class Label:
    ...     fingerprint = ""
    ...
    ...     def embed(self, labels):
    ...         return labels[:, None]
    >>> spec = MetricSpec(
    ...     name="label", summary="", load=lambda params, harness: Label(), input="labels",
    ...     distance="equal",
    ... )
    >>> ((stimuli, rows),) = iter_rows(TrialMetric(spec, Label(), None), Pictures(), np.array([0]))
    >>> rows.tolist()  # both queries to the reference, and that to itself
    [[1.0, 0.0, 1.0]]
    """
    if not len(stimuli):
        return
    trials = dataset.trials
    if metric.spec.distance is None:
        yield from _pairwise_rows(metric, dataset, stimuli, device)
        return
    if not isinstance(metric.metric, EmbeddingMetric):
        raise PluginError(f"metric {metric.spec.name} declares a distance and has no embed")
    if metric.spec.input != "images":
        table = given_rows(metric.metric, metric.spec, dataset)
        yield (
            stimuli,
            _rows(metric, table, trials, stimuli, np.arange(len(dataset)), device, {}, False),
        )
        return
    height, width = embedded_size(metric.size, dataset)
    batch = images_per_batch(height, width)
    columns: Mapping[str, slice] = {}
    if any(metric.parts):
        columns = metric.metric.slices(height, width)  # type: ignore[attr-defined]
    images = [np.unique(images_of(trials, s)) for s in stimuli]
    # how wide an embedding is, only an embedding tells
    first = _embed(metric, dataset.images(images[0][:1]), device, precision)
    distinct = len(np.unique(np.concatenate(images)))
    bytes_kept = share(default_budget(), "embeddings") if memory is None else memory
    capacity = min(distinct, max(1, bytes_kept // (4 * first.shape[1])))
    blocks = plan_blocks(images, capacity)
    forward = sum(len(block.load) for block in blocks)
    passes(forward, distinct)
    # left and right share the references, so about all images of a stimulus are gathered twice
    asked = sum(2 * len(shown) for shown in images)
    # the matrix of all pairs needs all embeddings at the same time
    dense = metric.spec.distance != "own" and len(blocks) == 1 and dense_pays(distinct, asked)
    slots = 1 + max(int(block.places.max()) for block in blocks)
    table = np.empty((slots, first.shape[1]), np.float32)
    done = 0
    # one queue for all blocks, so that a block's first batch is read while the one before is compared
    loads = [load for block in blocks for load in in_batches(block.load, batch)]
    loaded = read_ahead(dataset.images, loads)
    for block in blocks:
        for places in in_batches(block.slots, batch):
            _, pixels = next(loaded)
            table[places] = _embed(metric, pixels, device, precision)
            done += len(places)
            progress(done, forward)
        # -1: not held now, and shown by no stimulus of this block
        where = np.full(len(dataset), -1)
        where[block.images] = block.places
        chosen = stimuli[block.stimuli]
        yield chosen, _rows(metric, table, trials, chosen, where, device, columns, dense)


def images_of(trials: Stimuli, stimulus: int) -> IntArray:
    """The images of one stimulus: queries, positive references, opposite references.

    >>> from types import SimpleNamespace as Stimuli
    >>> stimuli = Stimuli(
    ...     queries=np.array([[0, 1]]), references=np.array([[5]]), opposite=np.array([[7]])
    ... )
    >>> images_of(stimuli, 0).tolist()
    [0, 1, 5, 7]
    """
    shown = (trials.queries, trials.references, trials.opposite)
    return np.concatenate([images[stimulus] for images in shown])


# ------------------------------------------------------------------------------------ arithmetic


def _rows(
    metric: TrialMetric,
    table: FloatArray,
    trials: Stimuli,
    stimuli: IntArray,
    where: IntArray,
    device: str,
    columns: Mapping[str, slice],
    dense: bool,
) -> FloatArray:
    """Rows of stimuli whose images lie at `where` in the table; `dense`: from the matrix of all pairs."""
    queries, references = where[trials.queries[stimuli]], where[trials.references[stimuli]]
    left = np.concatenate([queries, references], axis=1)
    right = np.concatenate([references, where[trials.opposite[stimuli]]], axis=1)

    def cross(part: slice | None) -> DoubleArray:
        distance = metric.spec.distance or "equal"
        if distance == "own":
            own = ComparedSimilarity(
                comparing(metric.metric, metric.spec.name), lambda indices: table, device, part
            )
            return own.cross(left, right)
        if not dense and distance != "equal":
            return _within_stimuli(table[:, part or slice(None)], left, right, distance, device)
        lookup = EmbeddingSimilarity(
            lambda indices: table, len(table), distance, columns=part, dense=dense, device=device
        )
        return lookup.cross(left, right)

    found = {name: cross(columns[name]) for name in metric.parts if name}
    if "" in metric.parts:
        tiled = metric.spec.distance == "squared_euclidean" and _tile(
            [columns[name] for name in found], table.shape[1]
        )
        # squared distances of parts that tile the embedding add up to the whole one
        found[""] = sum(found.values(), np.zeros(())) if tiled else cross(None)
    return _flat(found, metric, queries.shape[1], references.shape[1])


def _within_stimuli(
    table: FloatArray, left: IntArray, right: IntArray, distance: Distance, device: str
) -> DoubleArray:
    """left (b, 2 + F), right (b, F + G) rows of the table -> (b, 2 + F, F + G) similarities.

    Left and right share the F references. Distances do not change when the mean of a stimulus' rows is
    taken off them, and what is rounded then has the size of the distances. Products are float64 up to
    `EXACT_WIDTH` numbers a row (and for `euclidean`, whose square root would amplify rounding).
    """
    import torch

    device = "cpu" if device == "mps" else device  # which has no float64
    f = left.shape[1] - 2
    images = np.concatenate([left, right[:, f:]], axis=1)
    source, chosen = torch.from_numpy(table), torch.from_numpy(images)
    block = max(1, BLOCK_BYTES // (4 * table.shape[1] * images.shape[1]))
    out = np.empty((len(left), left.shape[1], right.shape[1]))
    for start in range(0, len(left), block):
        part = chosen[start : start + block]
        x = torch.index_select(source, 0, part.reshape(-1)).to(device)
        x = x.view(*part.shape, table.shape[1])
        if distance == "euclidean" or x.shape[2] <= EXACT_WIDTH:
            x = x.double()
        if distance != "cosine":
            x = x - x.mean(dim=1, keepdim=True)
        # float64 even where products are not: norms and products nearly cancel
        norms = x.square().sum(dim=2, dtype=torch.float64)
        # queries and references times references and opposite ones: two queries are never compared
        if distance == "cosine" and not bool(norms.all()):
            raise no_cosine()
        products = torch.bmm(x[:, : 2 + f], x[:, 2:].transpose(1, 2))
        values = from_products(products, norms[:, : 2 + f, None], norms[:, None, 2:], distance)
        out[start : start + block] = values.cpu().numpy()
    return out


def _flat(
    found: Mapping[str, DoubleArray], metric: TrialMetric, queries: int, f: int
) -> FloatArray:
    """part -> similarities (b, 2 + F, F + G) of queries and references to all references, as rows."""
    own = 1.0 if metric.spec.distance in {"cosine", "equal"} else 0.0
    rows = []
    for name in metric.parts:
        values = found[name]
        among = values[:, queries:, :f].copy()
        if metric.spec.distance not in {None, "own"}:
            # an image and itself: exact, where the products are rounded
            among[:, np.arange(f), np.arange(f)] = own
        near = values[:, :queries, :f].reshape(len(values), -1)
        far = values[:, :queries, f:].reshape(len(values), -1)
        # all F * F ordered pairs, self-pairs included: Eq. 1 with M = F
        rows += [near, far, among.mean(axis=(1, 2))[:, None]]
    flat = np.concatenate(rows, axis=1).astype(np.float32)
    if not np.isfinite(flat).all():
        raise CaseError(f"metric {metric.spec.name} gave a similarity that is not a finite number")
    return flat


def _tile(slices: Sequence[slice], width: int) -> bool:
    """Whether the slices lie one behind the other from 0 to `width`."""
    ordered = sorted(slices, key=lambda part: part.start)
    ends = [0, *(part.stop for part in ordered)]
    return bool(ordered) and ends[-1] == width and [p.start for p in ordered] == ends[:-1]


def _pairwise_rows(
    metric: TrialMetric, dataset: TrialDataset, stimuli: IntArray, device: str
) -> Iterator[tuple[IntArray, FloatArray]]:
    if not isinstance(metric.metric, PairwiseMetric):
        raise PluginError(f"metric {metric.spec.name} has neither a distance nor pairwise")
    trials = dataset.trials
    lookup = PairwiseSimilarity(
        metric.metric,
        lambda indices: to_unit_range(dataset.images(indices), device, metric.size),
        metric.spec.name,
    )
    for stimulus in stimuli:
        chosen = np.array([stimulus])
        queries, references = trials.queries[chosen], trials.references[chosen]
        left = np.concatenate([queries, references], axis=1)
        right = np.concatenate([references, trials.opposite[chosen]], axis=1)
        found = {"": lookup.cross(left, right)}
        yield chosen, _flat(found, metric, queries.shape[1], references.shape[1])


# ------------------------------------------------------------------------------------ embeddings


def _embed(metric: TrialMetric, images: ImageArray, device: str, precision: str) -> FloatArray:
    import torch

    x = to_unit_range(images, device, metric.size)
    looked_at = handed(f"metric {metric.spec.name}", "images", x)
    with looked_at, torch.inference_mode(), mixed(device, precision):
        rows = metric.metric.embed(x)  # type: ignore[union-attr]
    return checked_rows(rows, len(images), metric.spec.name)
