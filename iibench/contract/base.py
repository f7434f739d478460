"""Types of arrays, assets, resources and the base of all specs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class NoParams:
    """The parameters of a spec that has none.

    >>> NoParams() == NoParams()
    True
    """


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

    >>> weights = AssetFile("net.pth", sha256="", size=0, url="https://example.org/net.pth")
    >>> weights.filename, weights.torch_hub
    ('net.pth', False)
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

    >>> file = AssetFile("net.pth", sha256="", size=0, url="https://example.org/net.pth")
    >>> weights = AssetSpec("net", "weights of a network", (file,), licence="MIT")
    >>> [each.filename for each in weights.files]
    ['net.pth']
    """

    name: str
    summary: str
    files: tuple[AssetFile, ...]
    licence: str = ""
    homepage: str = ""
    listing: Callable[[Resources, Path | None], Iterable[str]] | None = None


class Resources(Protocol):
    """What a plugin's `load` may ask of the harness.

    >>> def load(params, layer: str, resources: Resources):
    ...     file, path = resources.asset(WEIGHTS)  # downloaded where it is not there yet
    ...     return torch.load(path, map_location=resources.device)
    """

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

    >>> @dataclass(frozen=True)
    ... class Params:
    ...     k: int = 16
    >>> spec = Spec(name="toy", summary="A toy.", params=Params, headline=("k",))
    >>> spec.version, spec.params().k
    ('1', 16)
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

    >>> n, d = 10_000, 512
    >>> Work(flops=2 * n * n * d, values=n * n).flops  # the products of n rows, and one pass over them
    102400000000
    """

    flops: float = 0.0
    flops64: float = 0.0
    values: float = 0.0
    steps: float = 0.0
    pairs: float = 0.0
    passes: float = 0.0
    memory: float = 0.0
    imports: tuple[str, ...] = ()
