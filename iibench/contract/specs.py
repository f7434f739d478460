"""What plugins hand to iibench: specs, and the objects that cross a plugin's boundary.

Notation (as in the paper): n images, N neurons of a layer, A (n, N) activations, K directions,
R (n, K) responses of the images to the directions, M exemplars (MEIs) of a direction.

A spec is cheap: a name, a summary and callables that import what they need when called, so that
listing plugins never imports torch. Everything here is a frozen dataclass or a Protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from iibench.contract.base import Resources, Spec, Work

if TYPE_CHECKING:
    import numpy.typing as npt
    import torch

    from iibench.contract.arrays import FloatArray, ImageArray, IntArray


#: The version of this contract. A plugin may declare the version that it was written for,
#: `IIBENCH_API = "1.4"`; a later one or another major is refused.
API_VERSION = "1.4"

Distance = Literal["squared_euclidean", "euclidean", "cosine", "equal", "own"]
#: What a finder is among the others: see `FinderSpec`.
Role = Literal["method", "main", "baseline", "control"]


# --------------------------------------------------------------------------------------- assets


# --------------------------------------------------------------------------------------- specs


class ImageDataset(Protocol):
    """One split of a dataset. All images of it share one size; they are RGB, 8 bits a channel.

    >>> class Grey:
    ...     fingerprint, labels, class_names, image_size = "grey", None, (), (8, 8)
    ...
    ...     def __len__(self):
    ...         return 4
    ...
    ...     def images(self, indices):
    ...         return np.full((len(indices), 8, 8, 3), 128, np.uint8)
    >>> grey: ImageDataset = Grey()
    >>> grey.images([0, 3]).shape
    (2, 8, 8, 3)
    """

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of everything that decides the images, their order and their labels."""

    @property
    def labels(self) -> IntArray | None:
        """(n,) class index of each image, or None where the dataset has no labels."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, empty where there are none."""

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) in pixels."""

    def __len__(self) -> int:
        """n, the number of images."""

    def images(self, indices: Sequence[int] | IntArray) -> ImageArray:
        """uint8 (len(indices), h, w, 3) RGB images in the order of `indices`; decodes on demand."""


@dataclass(frozen=True)
class GivenNames:
    """What people called the images of a dataset.

    `counts` (n, C) int64: how many people gave image i the name c. `sha256`: of the counts, hex.

    >>> names = GivenNames(np.array([[3, 0], [1, 2]]), sha256="")
    >>> names.counts.argmax(axis=1).tolist()  # what most people called each image
    [0, 1]
    """

    counts: IntArray
    sha256: str


@runtime_checkable
class NamedImages(Protocol):
    """An `ImageDataset` that may know what people call its images.

    >>> class Named:
    ...     def given_names(self):
    ...         raise Skip("nobody was asked")
    >>> isinstance(Named(), NamedImages)
    True
    """

    def given_names(self) -> GivenNames:
        """The names that people gave; raises `Skip` with the reason where they are not known."""


@runtime_checkable
class PreparedImages(Protocol):
    """An `ImageDataset` that decodes all of its images when the first one is asked for.

    >>> class Archive:
    ...     def seconds_to_prepare(self):
    ...         return 90.0
    >>> isinstance(Archive(), PreparedImages)
    True
    """

    def seconds_to_prepare(self) -> float:
        """About what that will take, from trying a few; 0 where it is done or takes a moment."""


@dataclass(frozen=True, kw_only=True)
class DatasetSpec(Spec):
    """A dataset: `load(params, split, harness) -> ImageDataset` for one of `splits`.

    `load` raises `AssetError` where the data can be neither found nor downloaded.

    >>> spec = DatasetSpec(
    ...     name="mine", summary="Pictures of mine.", splits=("train", "test"),
    ...     load=lambda params, split, harness: Pictures(harness.data_dir / "mine" / split),
    ... )
    >>> spec.splits[-1]
    'test'
    """

    load: Callable[[Any, str, Harness], ImageDataset]
    splits: tuple[str, ...] = ("all",)


@dataclass(frozen=True)
class Preprocess:
    """How RGB in [0, 1] becomes a network's input: resize (antialiased), crop, then (x - mean) / std.

    `size`: images are resized to size x size pixels where they are not yet; None keeps their size.

    >>> imagenet = Preprocess((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), size=224)
    >>> Preprocess().size is None
    True
    """

    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    size: int | None = None


@dataclass(frozen=True)
class LoadedModel:
    """A network ready to be tapped: `module` in eval mode, no gradients, on the asked device.

    `provenance` says which weights these are ("packaged", a file name, "random, seed 0") for people;
    the cache key takes the SHA-256 of the weights themselves. `fingerprint`: SHA-256 (hex) of what else
    decides the network's output, such as code that a user named; "" where the plugin's source does.

    >>> module = torch.nn.Conv2d(3, 8, 3).eval().requires_grad_(False)
    >>> LoadedModel(module, Preprocess(), provenance="random").preprocess.mean
    (0.0, 0.0, 0.0)
    """

    module: torch.nn.Module
    preprocess: Preprocess
    provenance: str = ""
    fingerprint: str = ""


@dataclass(frozen=True, kw_only=True)
class ModelSpec(Spec):
    """A network: `load(params, layer, resources) -> LoadedModel`.

    `layer` is the module path that will be tapped; modules past it may be left without weights (on
    torch's meta device). `variants`: a function that lists the names allowed after a colon
    (`torchvision:resnet18`); the chosen one is handed to `params` as the field `variant`.

    >>> def load(params, layer, resources):
    ...     module = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU())
    ...     return LoadedModel(module.eval().requires_grad_(False).to(resources.device), Preprocess())
    >>> spec = ModelSpec(name="mine", summary="Two layers.", load=load)
    >>> spec.variants is None
    True
    """

    load: Callable[[Any, str, Resources], LoadedModel]
    variants: Callable[[], Sequence[str]] | None = None


#: How a layer's output becomes one value per neuron (`flatten`: one per neuron and position); the first
#: is the default.
POOLS = ("mean", "max", "center", "flatten", "cls")
#: Where a layer's output has its neurons: (images, neurons, ...) or (images, ..., neurons).
LAYOUTS = ("channels_first", "channels_last")


@dataclass(frozen=True)
class LayerSpec:
    """An alias or a group for a known model's layer; any module path works without one.

    >>> LayerSpec("middle", path="features.3", summary="after the first pooling").path
    'features.3'
    """

    name: str
    path: str
    summary: str = ""
    group: str = ""


@dataclass(frozen=True)
class FitContext:
    """What a finder may use besides the activations: a seed, a device, a place to report progress.

    `progress(done, total, note)` may be called at any time. `base_dir`: the folder that relative paths
    in the suite are relative to.

    >>> rng = np.random.default_rng(FitContext(seed=7).seed)
    >>> FitContext(seed=7).progress(1, 10, "iterations")
    """

    seed: int
    device: str = "cpu"
    progress: Callable[[int, int, str], None] = field(default=lambda done, total, note: None)
    base_dir: Path = Path()


@dataclass(frozen=True)
class Directions:
    """K directions in activation space.

    `vectors` (K, N) float32. `state` holds every further array that `encode` needs (means, biases);
    it is stored in the cache beside the vectors. `notes`: sentences for the report, such as
    "did not converge in 200 iterations".

    >>> found = Directions(np.eye(2, dtype=np.float32), {"mean": np.zeros(2, np.float32)})
    >>> found.vectors.shape
    (2, 2)
    """

    vectors: FloatArray
    state: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class FinderWork:
    """What a finder takes: K `directions`, the `fit`, and `encode` of one image.

    >>> n, width, k = 10_000, 512, 16
    >>> FinderWork(k, fit=Work(flops=2 * n * width * k), encode=Work(flops=2 * width * k)).directions
    16
    """

    directions: int
    fit: Work
    encode: Work


@dataclass(frozen=True, kw_only=True)
class FinderSpec(Spec):
    """A direction finder.

    `fit(params, A, context) -> Directions` with A (n, N) float32 of the fit split, and
    `encode(params, directions, A) -> R` (n, K) float32, larger = more strongly activated, for A of
    any split. Both are pure: the same arguments give the same arrays. They raise `CaseError` where the
    input does not allow the computation (negative activations for NMF, K > n).
    `trains_on`: False where `fit` looks at nothing but N; it is then given the evaluated split's A,
    and the activations of the fit split are not computed for it. `inputs(params, base_dir)`: SHA-256
    (hex) of the files that decide the directions, "" where there are none. `work(params, n, N)`: what
    `--collect-only` estimates time and memory from; None has it fit a few images and extrapolate.
    `role`: every other method of a table is compared with its first `baseline` and with its first
    `control`, a finder that finds nothing; `main` is the method that figures with room for one show, the
    best of the others without it. `called`: its directions in a sentence (`random directions`); its name
    where that is empty.

    >>> def fit(params, activations, context):
    ...     rng = np.random.default_rng(context.seed)
    ...     return Directions(rng.standard_normal((4, activations.shape[1]), dtype=np.float32))
    >>> def encode(params, directions, activations):
    ...     return activations @ directions.vectors.T
    >>> spec = FinderSpec(name="random", summary="Four random ones.", fit=fit, encode=encode)
    >>> activations = np.ones((10, 6), np.float32)
    >>> spec.encode(None, spec.fit(None, activations, FitContext(seed=0)), activations).shape
    (10, 4)
    """

    fit: Callable[[Any, FloatArray, FitContext], Directions]
    encode: Callable[[Any, Directions, FloatArray], FloatArray]
    trains_on: bool = True
    inputs: Callable[[Any, Path], str] = lambda params, base_dir: ""
    work: Callable[[Any, int, int], FinderWork] | None = None
    role: Role = "method"
    called: str = ""


@runtime_checkable
class EmbeddingMetric(Protocol):
    """A metric whose distance is one between vectors.

    `embed(x)` gets a float32 tensor (n, 3, h, w), RGB in [0, 1], on the run's device (or int64 labels
    (n,) where the spec says `input="labels"`, float32 counts of names (n, C) where it says
    `input="names"`) and returns (n, d). It must not depend on the batch.
    `fingerprint` identifies the weights in use, "" where there are none.

    >>> class Mean:
    ...     fingerprint = ""
    ...
    ...     def embed(self, x):
    ...         return x.mean(dim=(2, 3))
    >>> isinstance(Mean(), EmbeddingMetric), Mean().embed(torch.ones(2, 3, 8, 8)).shape
    (True, torch.Size([2, 3]))
    """

    @property
    def fingerprint(self) -> str: ...

    def embed(self, x: torch.Tensor) -> torch.Tensor: ...


@runtime_checkable
class ComparingMetric(Protocol):
    """An embedding metric whose similarity is not one of the distances between vectors.

    `embed` as in `EmbeddingMetric`; `compare(a, b)` gets rows of embeddings (p, d) and (q, d) float32
    and returns (p, q) similarities, larger = more alike. Each image is still embedded once.

    >>> class Overlap:
    ...     fingerprint = ""
    ...
    ...     def embed(self, x):
    ...         return x.flatten(1)
    ...
    ...     def compare(self, a, b):
    ...         return torch.minimum(a[:, None], b[None]).sum(dim=2)
    >>> isinstance(Overlap(), ComparingMetric), Overlap().compare(torch.ones(2, 5), torch.ones(3, 5)).shape
    (True, torch.Size([2, 3]))
    """

    @property
    def fingerprint(self) -> str: ...

    def embed(self, x: torch.Tensor) -> torch.Tensor: ...

    def compare(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor: ...


@runtime_checkable
class PairwiseMetric(Protocol):
    """A metric that compares images directly: `pairwise(a, b) -> (n, m)` similarity, larger = more alike.

    >>> class Largest:
    ...     fingerprint = ""
    ...
    ...     def pairwise(self, a, b):
    ...         return -(a[:, None] - b[None]).abs().amax(dim=(2, 3, 4))
    >>> isinstance(Largest(), PairwiseMetric), isinstance(Largest(), EmbeddingMetric)
    (True, False)
    """

    @property
    def fingerprint(self) -> str: ...

    def pairwise(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor: ...


@dataclass(frozen=True)
class Golden:
    """A similarity that a metric is known to give, for `iibench plugin check`.

    `label`: the metric as a suite writes it (`lpips[net=vgg]`, `lpips[3]`). `pair`: the two images in
    words. `images(resources)`: both, uint8 (h, w, 3) RGB; raises `AssetError` where they are not to be
    had. `similarity` and `tolerance` (largest difference allowed) in the metric's own unit. `source`:
    who computed or published the value, and with what.

    >>> def grey(resources):
    ...     return np.zeros((8, 8, 3), np.uint8), np.full((8, 8, 3), 255, np.uint8)
    >>> Golden("mine", "black and white", grey, similarity=-1.0, tolerance=1e-6, source="by hand").pair
    'black and white'
    """

    label: str
    pair: str
    images: Callable[[Resources], tuple[ImageArray, ImageArray]]
    similarity: float
    tolerance: float
    source: str


@dataclass(frozen=True, kw_only=True)
class MetricSpec(Spec):
    """An image similarity metric; larger means more alike, always.

    `load(params, harness)` returns an `EmbeddingMetric` where `distance` is given (a `ComparingMetric`
    where it is `own`), else a `PairwiseMetric`. From embeddings iibench computes similarity = minus the
    distance (`squared_euclidean`, `euclidean`), the cosine (`cosine`), or 1 / 0 (`equal`).
    `input`: what the metric is given. `size`: images are resized (antialiased bicubic) to size x size;
    None hands them over as they are. `parts(params)`: names of the parts of the embedding that can be
    asked for on their own (`lpips[3]`); the loaded metric then has `slices(height, width)`, a mapping
    from part name to the slice of the embedding's columns. `range`: the similarity's range in words.
    `symmetric`: False where the order of two images matters. `golden`: values it is known to give.
    `level`: what it sees; `control` stands for metrics that mean nothing and should score at chance.
    `sentence(params, sizes)`: how the page describes it, `sizes` the (height, width) in pixels at which it
    saw the images, where known; None stands for the summary and the range.

    >>> class Mean:
    ...     fingerprint = ""
    ...
    ...     def embed(self, x):
    ...         check_rgb("mean", x)
    ...         return x.mean(dim=(2, 3))
    >>> spec = MetricSpec(
    ...     name="mean", summary="Distance of mean colours.", distance="euclidean", level="low",
    ...     load=lambda params, harness: Mean(),
    ... )
    >>> spec.size(spec.params()) is None, spec.symmetric
    (True, True)
    """

    load: Callable[[Any, Harness], EmbeddingMetric | PairwiseMetric]
    distance: Distance | None = None
    input: Literal["images", "labels", "names"] = "images"
    size: Callable[[Any], int | None] = lambda params: None
    parts: Callable[[Any], tuple[str, ...]] = lambda params: ()
    range: str = "(-inf, 0]"
    level: Literal["low", "mid", "high", "control"] = "mid"
    symmetric: bool = True
    golden: tuple[Golden, ...] = ()
    sentence: Callable[[Any, Sequence[tuple[int, int]]], str] | None = None


@dataclass(frozen=True)
class ChosenMetric:
    """A loaded metric as its label chooses it: `size` its images are resized to, `part` or None.

    >>> def embeddings(harness: Harness, x) -> torch.Tensor:
    ...     chosen: ChosenMetric = harness.metric("lpips[3]")
    ...     return chosen.metric.embed(x)
    """

    spec: MetricSpec
    metric: EmbeddingMetric | PairwiseMetric
    size: int | None
    part: str | None


class TappedNetwork(Protocol):
    """A network up to one layer, for plugins made of networks.

    >>> class Metric:
    ...     def __init__(self, network: TappedNetwork):
    ...         self.network, self.fingerprint = network, network.fingerprint
    ...
    ...     def embed(self, x):
    ...         return torch.from_numpy(self.network.activations(x))
    """

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of all that decides its activations: weights, layer, pooling, source, ..."""

    def activations(self, x: torch.Tensor) -> torch.Tensor:
        """float32 (n, 3, h, w), RGB in [0, 1], on the run's device -> (n, N) float32 on the CPU."""


class Harness(Resources, Protocol):
    """`Resources` that also lend other registered things, for plugins made from images and networks.

    >>> def load(params, split, harness: Harness):  # a dataset made of another one's images
    ...     photos = harness.images("cifar10", split)
    ...     return [photos.images([i])[0].mean() for i in range(len(photos))]
    """

    def images(self, dataset: str, split: str | None = None) -> ImageDataset:
        """One split (the last by default) of another registered dataset, named by its label.

        Labels are written as in suites: `photo_patches[n=500]`. Raises `UsageError` for an unknown one.
        """

    def activations(self, dataset: str, split: str | None, model: str, layer: str) -> FloatArray:
        """(n, N) activations of that dataset's images at a layer of a registered model, cached.

        `model` and `layer` are labels or aliases, as in suites.
        """

    def metric(self, label: str) -> ChosenMetric:
        """A registered metric, loaded; `label` as in suites: `lpips[3]`, `lpips[input=paper2310]`."""

    def network(self, model: str, layer: str) -> TappedNetwork:
        """A registered network up to one of its layers; `model` and `layer` are labels, as in suites."""


# ------------------------------------------------------------------------------------ executors
