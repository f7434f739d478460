"""The table of planted mistakes: which check of the kit finds each, and what it says.

`python -m tests.testing.pitfalls` plants all of them and prints the table in Markdown.

Numbers 1 to 25 are known pitfalls of LPIPS and DreamSim that give wrong numbers without an error (from
the packages' issue threads and code); those without a number go beyond them.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass

import torch

from iibench.testing import (
    CheckReport,
    check_dataset,
    check_evaluation,
    check_finder,
    check_metric,
    check_model,
    toy_harness,
)
from iibench.testing.toys import small_network
from tests.testing import faulty_datasets as datasets
from tests.testing import faulty_evaluations as evaluations
from tests.testing import faulty_finders as finders
from tests.testing import faulty_metrics as metrics
from tests.testing import faulty_models as models

GOLDEN = "golden value of planted"


@dataclass(frozen=True)
class Pitfall:
    """A planted mistake: its `number` ("" where it has none), the `check` that must fail, and `words`
    that must stand in the cause it names. `plant` checks the faulty thing; None where nothing can be
    planted, for the reason `why`."""

    number: str
    what: str
    check: str = ""
    words: str = ""
    plant: Callable[[], CheckReport] | None = None
    why: str = ""


@functools.cache
def _harness():
    return toy_harness()


def lpips(number, what, load, check, words, **more):
    """A mistake in a metric that is to be LPIPS."""
    plant = lambda: check_metric(metrics.lpips_spec(load, **more), harness=_harness())  # noqa: E731
    return Pitfall(number, what, check, words, plant)


def network(number, what, load, check, words, **more):
    """A mistake in a metric that is to be a network's embedding, as DreamSim is."""
    plant = lambda: check_metric(metrics.network_spec(load, **more), harness=_harness())  # noqa: E731
    return Pitfall(number, what, check, words, plant)


def embedding(number, what, kind, check, words, **more):
    """The same, on the right network."""
    return network(number, what, lambda: kind(small_network()), check, words, **more)


def finder(what, check, words, **made):
    plant = lambda: check_finder(finders.spec(**made), harness=_harness())  # noqa: E731
    return Pitfall("", f"finder: {what}", check, words, plant)


def model(what, load, check, words, **layers):
    def plant():
        return check_model(models.spec(load), harness=models.harness(**layers))

    return Pitfall("", f"model: {what}", check, words, plant)


def dataset(what, spec, check, words):
    return Pitfall(
        "", f"dataset: {what}", check, words, lambda: check_dataset(spec, harness=_harness())
    )


def evaluation(what, evaluate, check, words, **more):
    plant = lambda: check_evaluation(evaluations.spec(evaluate, **more))  # noqa: E731
    return Pitfall("", f"evaluation: {what}", check, words, plant)


def on(model):
    """LPIPS by a given model, right in everything else."""
    return lambda: metrics.Lpips(model())


def at(build):
    """The embedding of the network that `build` makes, right in everything else."""
    return lambda: metrics.Embedding(build())


NUMBERED = (
    lpips(
        "1",
        "[0, 1] fed to lpips, nothing checked",
        metrics.ZeroOneUnchecked,
        "values in [-1, 1]",
        "lpips wants [-1, 1] and checks nothing",
    ),
    lpips(
        "1",
        "[0, 1] fed to lpips, behind a check of the range",
        metrics.ZeroOne,
        GOLDEN,
        "images in [0, 1] where [-1, 1] is wanted",
    ),
    lpips(
        "2",
        "[-1, 1] accepted by a metric that wants [0, 1] (pyiqa)",
        metrics.AsPyiqa,
        "values in [-1, 1]",
        "pyiqa and DreamSim want [0, 1]",
    ),
    lpips(
        "3",
        "normalised by CIFAR-10's mean and std, then again by lpips",
        metrics.NormalisedTwice,
        GOLDEN,
        "normalised twice",
    ),
    lpips(
        "4",
        "element-wise lpips(x, x)",
        metrics.ElementWise,
        "shape",
        "compares image i with image i only, as lpips(x, y)",
    ),
    lpips(
        "5",
        "one image against N broadcast",
        metrics.OneAgainstAll,
        "pair by pair",
        "one side is broadcast",
    ),
    lpips(
        "5",
        "mean over the batch, as torchmetrics returns",
        metrics.BatchMean,
        "shape",
        "mean over the batch, as torchmetrics does by default",
    ),
    lpips(
        "6",
        "only `min >= -1` is checked, as in torchmetrics: [0, 255] passes",
        metrics.NotBelowMinusOne,
        "values in [0, 255]",
        "torchmetrics checks only that values are at least -1",
    ),
    lpips(
        "7",
        "YAML's version: 0.1 is a number: the scaling layer is skipped",
        on(lambda: metrics.lpips_model(version=0.1)),
        GOLDEN,
        "version 0.1 given as a number",
    ),
    lpips(
        "8",
        "v0.0 for v0.1",
        on(lambda: metrics.lpips_model(version="0.0")),
        GOLDEN,
        "LPIPS v0.0 for v0.1",
    ),
    lpips(
        "9",
        "strict=False with other keys: the linear layers stay random",
        metrics.RandomLinear,
        "two loads",
        "strict=False",
    ),
    lpips(
        "10",
        "random trunk",
        metrics.RandomTrunk,
        "two loads",
        "the trunk is random",
    ),
    lpips(
        "11",
        "dropout on by a parent's .train()",
        metrics.Dropout,
        "determinism",
        "dropout",
    ),
    lpips(
        "12",
        "another backbone (squeeze for alex)",
        on(lambda: metrics.lpips_model("squeeze")),
        GOLDEN,
        "another backbone",
    ),
    lpips(
        "13",
        "images too small for the network end in a bare RuntimeError",
        metrics.TooSmall,
        "sizes",
        "raise CaseError with the sizes that work",
        size=lambda params: None,
        golden=(),
    ),
    lpips(
        "14",
        "resized by another route than declared (bilinear, 48 pixels)",
        metrics.Bilinear,
        GOLDEN,
        "another way or size of resizing",
    ),
    lpips(
        "15",
        "(n, 1, h, w) broadcast by the scaling layer",
        metrics.Grey,
        "one channel",
        "broadcast to three channels",
    ),
    Pitfall(
        "16",
        "lpips.load_image overflows for .JPG, .webp, .tif",
        why="metrics never see files: iibench decodes images (and a dataset that calls it is not told "
        "from one with such pictures)",
    ),
    lpips(
        "17",
        "a list of consecutive pairs",
        metrics.Consecutive,
        "shape",
        "only consecutive pairs are compared",
    ),
    lpips(
        "17",
        "a table in which only consecutive pairs are computed",
        metrics.ConsecutiveTable,
        "pair by pair",
        "only consecutive pairs are compared",
    ),
    lpips(
        "18",
        "a distance returned as similarity",
        metrics.Distance,
        "direction",
        "a distance is returned as if it were a similarity",
        range="[0, inf)",
    ),
    embedding(
        "19",
        "normalised before a model that normalises inside",
        metrics.DoublyNormalised,
        GOLDEN,
        "normalised twice",
    ),
    embedding(
        "20",
        "tensors bypass the preprocessing that resizes",
        metrics.Unresized,
        GOLDEN,
        "another way or size of resizing",
    ),
    embedding(
        "21",
        "the embedding's mean is not taken off",
        metrics.Uncentred,
        GOLDEN,
        "the embedding's mean not taken off",
    ),
    network(
        "22",
        "another variant's checkpoint",
        at(lambda: small_network(seed=1)),
        GOLDEN,
        "another backbone",
    ),
    network(
        "23",
        "adapters not loaded",
        at(metrics.Adapted),
        "two loads",
        "adapters are not loaded",
    ),
    network(
        "24",
        "torch.hub.set_dir changed for the whole process",
        at(metrics.hub_moved),
        "process state",
        "torch.hub.set_dir",
    ),
    network(
        "24",
        "cache written to ./models",
        at(metrics.writes),
        "working folder",
        "relative to the working folder",
    ),
    Pitfall(
        "24",
        "unpinned code is fetched from GitHub while loading",
        why="it takes the network; a harness that is offline makes it a failed load",
    ),
    Pitfall(
        "25",
        "golden values",
        why="no mistake: it is the check by which 1, 3, 7, 8, 12, 14 and 19 to 22 are found",
    ),
)

BEYOND = (
    network("", "batch norm in train mode", at(metrics.batch_norm), "batch", "batch norm"),
    embedding(
        "", "the batch's mean taken off", metrics.BatchCentred, "batch", "taken over the batch"
    ),
    network("", "global seed reset", at(metrics.seeded), "global seeds", "torch.manual_seed"),
    embedding("", "NaN on constant images", metrics.Unscaled, "constant images", "that is zero"),
    network(
        "",
        "stale fingerprint: a name",
        lambda: metrics.Embedding(small_network(), mark="clip-vit-b32"),
        "fingerprint",
        "it is stale",
    ),
    network(
        "",
        "stale fingerprint: a hash that does not follow the weights",
        lambda: metrics.Embedding(metrics.Adapted(), mark="0" * 64),
        "fingerprint",
        "it is stale",
    ),
    network(
        "",
        "fingerprint with a time in it",
        lambda: metrics.Embedding(small_network(), mark=os.urandom(32).hex()),
        "fingerprint",
        "something that changes",
    ),
    network("", "prints while loading", at(metrics.talks), "quiet", "talks while loading"),
    network(
        "",
        "torch's default dtype changed",
        at(metrics.double_default),
        "process state",
        "put it back",
    ),
    lpips("", "gradients on", metrics.Graph, "gradients", "torch.no_grad()"),
    lpips("", "dropout on by a parent's .train()", metrics.Dropout, "eval mode", ".eval()"),
    embedding(
        "",
        "not symmetric, and not declared",
        metrics.Asymmetric,
        "symmetry",
        "symmetric=False",
        distance="own",
        golden=(),
        range="(-inf, 0]",
    ),
    embedding(
        "",
        "parts of another image size",
        metrics.WrongParts,
        "parts",
        "another size of image",
        parts=lambda params: ("a", "b"),
    ),
    embedding(
        "",
        "range of the distance declared",
        metrics.Embedding,
        "declared range",
        "range is that of the distance",
        range="[0, 0.5]",
    ),
    network(
        "",
        "random numbers while comparing",
        metrics.Chance,
        "determinism",
        "a global generator",
        golden=(),
    ),
    finder(
        "ignores the seed", "same seed", "instead of one made of context.seed", fit=finders.unseeded
    ),
    finder("resets the global seed", "global seeds", "numpy.random.seed", fit=finders.reseeding),
    finder(
        "evaluated images reach the fit",
        "no memory",
        "evaluated images reach the fit",
        fit=finders.peeking,
        encode=finders.remembering,
    ),
    finder(
        "keeps state in its module",
        "no memory",
        "kept between calls",
        fit=finders.stashing,
        encode=finders.from_stash,
    ),
    finder(
        "keeps state by the identity of an array",
        "round trip",
        "kept between calls",
        fit=finders.by_identity,
        encode=finders.from_identity,
    ),
    finder("changes A in place", "inputs unchanged", "changed in place", fit=finders.in_place),
    finder("scales by the rows at hand", "rows", "take it in fit", encode=finders.batch_scaled),
    finder(
        "returns a distance",
        "sign",
        "larger must mean more activated",
        encode=finders.reversed_sign,
    ),
    finder("does not learn", "planted directions", "it does not learn", fit=finders.untrained),
    finder("looks at N only, undeclared", "trains_on", "trains_on=False", fit=finders.constant),
    finder(
        "bare exception on few images", "awkward input", "must end in a CaseError", fit=finders.bare
    ),
    finder("float64 directions", "directions", "astype(np.float32)", fit=finders.double),
    finder("an object in its state", "directions", "only plain arrays", fit=finders.pickled),
    model(
        "batch norm in train mode",
        lambda layer: models.loaded(models.with_norm(training=True)),
        "eval mode",
        "batch norm takes the statistics of the batch",
    ),
    model(
        "gradients on",
        lambda layer: models.loaded(small_network().requires_grad_(True)),
        "gradients",
        "requires_grad_(False)",
    ),
    model(
        "alias of a layer that is not there",
        lambda layer: models.loaded(),
        "layer aliases",
        "misspelt",
        layers=models.MISSPELT,
    ),
    model(
        "weights at random",
        lambda layer: models.loaded(models.unseeded()),
        "two loads",
        "strict=False",
    ),
    model(
        "mean and std of 0 to 255",
        lambda layer: models.other_scale(),
        "preprocess",
        "values from 0 to 255",
    ),
    model(
        "no provenance", lambda layer: models.loaded(provenance=""), "provenance", "which weights"
    ),
    model("KeyError for an unknown layer", models.layer_lookup, "unknown layer", "UsageError"),
    dataset(
        "one fingerprint for all splits",
        datasets.spec(datasets.ByName),
        "fingerprint",
        "does not cover the split",
    ),
    dataset("sorts indices", datasets.spec(datasets.Sorted), "order", "h5py wants them sorted"),
    dataset("random crops", datasets.spec(datasets.Cropped), "read again", "at random"),
    dataset("channels first", datasets.spec(datasets.ChannelsFirst), "images", "stand first"),
    dataset("values in [0, 1]", datasets.spec(datasets.Floats), "images", "not made bytes"),
    dataset("hands out its own array", datasets.spec(datasets.Shared), "read again", "a view"),
    dataset("labels from 1", datasets.spec(load=datasets.from_one()), "labels", "count from 1"),
    dataset(
        "another order each time", datasets.spec(load=datasets.shuffled), "two loads", "os.listdir"
    ),
    evaluation(
        "a dead direction gets a score",
        evaluations.dead_scored,
        "dead direction",
        "NaN and a reason",
    ),
    evaluation(
        "sign turned",
        evaluations.changed(lambda values, inputs: -values),
        "good directions",
        "the sign is turned",
    ),
    evaluation(
        "less the mean of all directions",
        evaluations.changed(
            lambda values, inputs: values - torch.nanmean(torch.from_numpy(values)).item()
        ),
        "other directions",
        "over the directions",
    ),
    evaluation("draws from a global generator", evaluations.unseeded, "determinism", "inputs.seed"),
    evaluation(
        "sorts the responses in place", evaluations.in_place, "inputs unchanged", "copy first"
    ),
    evaluation("NaN without a reason", evaluations.without_reason, "scores", "NaN and a reason"),
    evaluation("bare exception on few images", evaluations.bare, "few images", "raise CaseError"),
    evaluation("uses a metric, undeclared", evaluations.evaluate, "load", "", needs_metric=False),
)

PITFALLS = (*NUMBERED, *BEYOND)


def caught(pitfall: Pitfall) -> str:
    """The name of the check that failed as it must, "" where it did not or names another cause."""
    assert pitfall.plant is not None
    report = pitfall.plant()
    assert all(check.seen and check.expected and check.cause for check in report.failed)
    found = [c for c in report.failed if c.name == pitfall.check and pitfall.words in c.cause]
    return found[0].name if found else ""


def table() -> str:
    """A row for every pitfall: number, what it is, which check caught it."""
    rows = ["| # | planted | caught by |", "|---|---|---|"]
    for pitfall in PITFALLS:
        result = f"(not planted: {pitfall.why})"
        if pitfall.plant is not None:
            result = caught(pitfall) or "**NOT CAUGHT**"
        rows.append(f"| {pitfall.number} | {pitfall.what} | {result} |")
    return "\n".join(rows)


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(table())
