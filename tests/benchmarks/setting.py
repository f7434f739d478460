"""The inputs of the rows: images, activations of `layer1`, LPIPS on AlexNet.

What takes long to make is written into the scratch folder, for the other side and for later rows.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from iibench.assets.local import LocalResources
from iibench.cache.entries import Cache
from iibench.compute.activations import iter_activations
from iibench.compute.ranking import order_by_response
from iibench.compute.similarity.embeddings import EmbeddingTable
from iibench.compute.similarity.lookups import EmbeddingSimilarity, dense_pays
from iibench.compute.similarity.parts import OnePart, PartSimilarities
from iibench.contract.errors import AssetError
from iibench.contract.evaluations import EvaluationInputs
from iibench.hooks.loading import load_plugins
from iibench.suite.params import parse_params
from tests.benchmarks import peers
from tests.benchmarks.sizes import Sizes
from tests.toys.toy import ToyImages

if TYPE_CHECKING:
    import lpips
    import torch

    from iibench.contract.arrays import FloatArray, ImageArray
    from iibench.contract.evaluations import UnitScores
    from iibench.contract.specs import LoadedModel

MODEL = "resnet50_cifar10"
#: dataset -> its splits (to fit, to evaluate); the first one that is there is used.
DATASETS = {"cifar10": ("train", "test"), "photo_patches": ("fit", "evaluate")}
SEED = 7
#: Bytes of answers about other parts that may wait, as in a run.
KEPT_ANSWERS = 1 << 30


class Setting:
    """Inputs of both sides. Nothing is downloaded: `AssetError` says what is missing."""

    def __init__(self, sizes: Sizes) -> None:
        self.sizes = sizes
        self.resources = LocalResources(sizes.data, sizes.cache, "cpu", Path.cwd(), offline=True)
        self.registry = load_plugins(environ="").registry

    @cached_property
    def dataset(self) -> str:
        """The first dataset of `DATASETS` that is there."""
        for name, splits in DATASETS.items():
            try:
                self._split(name, splits[1], 1)
            except AssetError:
                continue
            return name
        raise AssetError(f"none of the datasets {', '.join(DATASETS)} is there")

    def _split(self, name: str, split: str, most: int) -> Any:
        """`most`: as many patches are cut out of photographs; of CIFAR-10 there are all images."""
        spec = self.registry.datasets[name].spec
        params = {"n": most} if name == "photo_patches" else {}
        return spec.load(parse_params(spec, params), split, self.resources)

    @property
    def note(self) -> str:
        """What the images are."""
        return f"{self.dataset}, {len(self.images):,} images"

    def _pixels(self, place: int, most: int) -> ImageArray:
        def decoded() -> ImageArray:
            split = self._split(self.dataset, DATASETS[self.dataset][place], most)
            return np.ascontiguousarray(split.images(np.arange(min(most, len(split)))))

        return self.kept(f"images-{place}-{most}", decoded)

    @cached_property
    def images(self) -> ImageArray:
        """uint8 (n, h, w, 3), the evaluated images."""
        return self._pixels(1, self.sizes.images)

    @cached_property
    def responses(self) -> FloatArray:
        """(n, K) of the first neurons of `layer1`."""
        found = self.kept(f"layer1-{self.sizes.images}", lambda: self.layer1(self.images))
        return np.ascontiguousarray(found[:, : self.sizes.units])

    @cached_property
    def fit_activations(self) -> FloatArray:
        """(n, 256) activations of `layer1` on the images that finders are fitted to."""
        most = self.sizes.train
        return self.kept(f"layer1-fit-{most}", lambda: self.layer1(self._pixels(0, most)))

    def kept(self, name: str, make: Callable[[], Any]) -> Any:
        """The array of that name in the scratch folder, made where it is not there."""
        path = self.sizes.scratch / f"{name}.npy"
        if not path.exists():
            np.save(path, make())
        return np.load(path, allow_pickle=False)

    def model(self) -> LoadedModel:
        """The network; a new one each time, since folding changes it."""
        spec = self.registry.models[MODEL].spec
        return spec.load(parse_params(spec, {}), "layer1", self.resources)

    def layer1(self, images: ImageArray) -> FloatArray:
        """(n, 256) activations, as a run computes them."""
        batches = iter_activations(
            self.model(), "layer1", "mean", images.__getitem__, np.arange(len(images))
        )
        return np.concatenate([values for _, values in batches])

    def metric(self, name: str) -> Any:
        """A metric, loaded."""
        spec = self.registry.metrics[name].spec
        return spec.load(parse_params(spec, {}), self.resources)

    def lpips_package(self) -> lpips.LPIPS:
        """The `lpips` package's network on the same backbone."""
        return peers.lpips_network("alex", self.backbone())

    def backbone(self) -> dict[str, torch.Tensor]:
        """AlexNet's convolutions."""
        from iibench_plugins._shared.lpips_backbones import backbone

        return backbone("alex", self.resources)


class Evaluated:
    """Evaluations from images to numbers: responses are given, nothing is embedded."""

    def __init__(self, setting: Setting, metrics: Sequence[str]) -> None:
        self._setting = setting
        self._metrics = {name: setting.metric(name) for name in metrics}
        self._images = setting.images
        self._data = ToyImages(self._images, None, (), self._images.shape[1:3])
        self._responses = setting.responses
        self._calls = itertools.count()
        self._caches: list[Cache] = []

    def clear(self) -> None:
        """Removes what was embedded."""
        for cache in self._caches:
            cache.discard()
        self._caches.clear()

    def scores(
        self, name: str, params: Sequence[dict[str, Any]], parts: bool = False
    ) -> dict[str, list[UnitScores]]:
        """label of the metric -> scores under each of `params`; `parts`: of LPIPS's taps, too."""
        spec = self._setting.registry.evaluations[name].spec
        chosen = [parse_params(spec, values) for values in params]
        n, k = self._responses.shape
        asked = float(sum(spec.images(p, n) * k for p in chosen))
        order = order_by_response(self._responses)
        return {
            label: [
                spec.evaluate(p, EvaluationInputs(self._responses, order, lookup, None, SEED))
                for p in chosen
            ]
            for label, lookup in self._lookups(asked, parts)
        }

    def _lookups(self, asked: float, parts: bool) -> Iterator[tuple[str, OnePart]]:
        """One at a time, as in a run; the parts of a metric share a table in an empty cache."""
        n = len(self._images)
        for name, metric in self._metrics.items():
            spec = self._setting.registry.metrics[name].spec
            folder = self._setting.sizes.scratch / f"cache-{id(self)}-{next(self._calls)}"
            cache = Cache(folder)
            self._caches.append(cache)
            table = EmbeddingTable(
                metric, spec, None, self._data, cache, "k" * 64, {}, "cpu", lambda done, total: None
            )
            columns: dict[str, slice | None] = {"": None}
            if parts and hasattr(metric, "slices"):
                columns |= metric.slices(*self._data.image_size)
            together = PartSimilarities(
                {
                    part: EmbeddingSimilarity(
                        table.rows,
                        n,
                        spec.distance,
                        columns=chosen,
                        dense=dense_pays(n, asked),
                    )
                    for part, chosen in columns.items()
                },
                KEPT_ANSWERS,
            )
            for part in columns:
                yield (f"{name}[{part}]" if part else name), together.part(part)
