"""CIFAR-10: 60,000 colour photographs of 32 x 32 pixels in ten classes (Krizhevsky 2009).

Read from the python batches, as torchvision keeps them (the folder `cifar-10-batches-py` or the archive
`cifar-10-python.tar.gz`), or from two zips of JPEG files in class folders. JPEG is lossy: the pixels of
the zips differ a little from those of the batches, and so does the fingerprint.

What people call the test images (CIFAR-10H) is known for the python batches. The zips order images by
class; which of them is which of the batches is not known, so with a zip there are no names.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from iibench import (
    AssetError,
    AssetFile,
    AssetSpec,
    DatasetSpec,
    Resources,
    find_local,
    hookimpl,
    load_numpy_pickle,
    sha256_of,
)

from ..._shared.bibliography import entry
from .._images.stored import Made, fingerprint_of
from .names import COUNTS, NOT_TEST, OTHER_ORDER, Cifar10Images

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

KRIZHEVSKY2009 = entry(
    "techreport",
    "krizhevsky2009learning",
    author="Alex Krizhevsky",
    title="Learning Multiple Layers of Features from Tiny Images",
    institution="University of Toronto",
    year=2009,
)


VERSION = "1"
CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
FOLDER = "cifar-10-batches-py"
#: Images of a zip that are decoded to see what all of them will take.
TRIED = 500
#: Batch -> its MD5 as torchvision publishes it, by split.
BATCHES: dict[str, dict[str, str]] = {
    "train": {
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    },
    "test": {"test_batch": "40351d587109b95175f43aff81a1287e"},
}
ARCHIVE = AssetSpec(
    name="cifar10",
    summary="CIFAR-10, python batches",
    files=(
        AssetFile(
            filename="cifar-10-python.tar.gz",
            sha256="6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
            size=170_498_071,
            url="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        ),
    ),
    homepage="https://www.cs.toronto.edu/~kriz/cifar.html",
)
_ZIPS = (
    "cifar10-jpeg-train.zip and cifar10-jpeg-test.zip, JPEG files in ten class folders "
    "(airplane/0000.jpg to truck/NNNN.jpg)"
)


@dataclass(frozen=True)
class Params:
    """Parameters of CIFAR-10."""

    source: Literal["auto", "torchvision", "zip"] = field(
        default="auto",
        metadata={
            "help": "torchvision: the python batches; zip: the JPEG class folders in zips; "
            "auto: the first of them that is there, else the download of the batches"
        },
    )


def load(params: Params, split: str, resources: Resources) -> Cifar10Images:
    """One split, "train" (50,000 images) or "test" (10,000); decodes when images are first asked for.

    Raises `AssetError` where the data are neither on disk nor to be had.
    """
    problems: list[str] = []
    if params.source in {"auto", "torchvision"}:
        folder = resources.data_dir / FOLDER
        if folder.is_dir():
            problem = _damage(folder, split)
            if not problem:
                return _batches(partial(_from_folder, folder), split, resources)
            problems.append(problem)
        archive = find_local(ARCHIVE, resources)
        if archive is not None:
            return _batches(partial(_from_archive, archive[1]), split, resources)
    zip_file = resources.data_dir / f"cifar10-jpeg-{split}.zip"
    if params.source in {"auto", "zip"} and zip_file.is_file():
        return _zipped(zip_file, split, resources)
    if params.source == "zip":
        raise AssetError(f"there is no {zip_file}: {_ZIPS}")
    try:
        return _batches(partial(_from_archive, resources.asset(ARCHIVE)[1]), split, resources)
    except AssetError as error:
        lines = [str(error), *problems, f"or the extracted folder {FOLDER} there"]
        if params.source == "auto":
            lines.append(f"or, in the same folder, {_ZIPS}")
        raise AssetError("\n  ".join(lines)) from error


# ---------------------------------------------------------------------------------- batches


def _batches(
    read: Callable[[Iterable[str]], dict[str, bytes]], split: str, resources: Resources
) -> Cifar10Images:
    """The split from python batches, of which `read(names)` gives the bytes.

    The MD5s of the batches are their identity: folder and archive have one fingerprint.
    """
    return Cifar10Images(
        fingerprint_of("cifar10", VERSION, split, sorted(BATCHES[split].items())),
        resources,
        CLASSES,
        partial(_unpickled, read, split),
        unnamed="" if split == "test" else NOT_TEST,
    )


def _damage(folder: Path, split: str) -> str:
    """What is wrong with the extracted batches of a split; empty where nothing is."""
    for name, expected in BATCHES[split].items():
        path = folder / name
        if not path.is_file():
            return f"{path} is missing"
        found = _md5(path.read_bytes())
        if found != expected:
            return f"{path} has md5 {found}, expected {expected}; the folder is not used"
    return ""


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _from_folder(folder: Path, names: Iterable[str]) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in names}


def _from_archive(archive: Path, names: Iterable[str]) -> dict[str, bytes]:
    """In one pass: finding a member of a compressed archive means unpacking all before it."""
    wanted = {f"{FOLDER}/{name}": name for name in names}
    found: dict[str, bytes] = {}
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            if member.name in wanted and (stream := tar.extractfile(member)):
                found[wanted[member.name]] = stream.read()
    if missing := sorted(set(wanted.values()) - set(found)):
        raise AssetError(f"there is no {FOLDER}/{missing[0]} in {archive}")
    return found


def _unpickled(read: Callable[[Iterable[str]], dict[str, bytes]], split: str) -> Made:
    import numpy as np

    images, labels = [], []
    batches = read(BATCHES[split])
    for name, expected in BATCHES[split].items():
        data = batches[name]
        if _md5(data) != expected:
            raise AssetError(f"CIFAR-10's {name} has md5 {_md5(data)}, expected {expected}")
        batch = load_numpy_pickle(data, encoding="bytes")
        images.append(batch[b"data"].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
        labels.append(np.asarray(batch[b"labels"], np.int64))
    return np.concatenate(images), np.concatenate(labels)


# ------------------------------------------------------------------------------------- zips


def _zipped(path: Path, split: str, resources: Resources) -> Cifar10Images:
    """The split from a zip of class folders, classes and files in alphabetical order."""

    names = _member_names(path)
    return Cifar10Images(
        fingerprint_of("cifar10", VERSION, split, sha256_of(path)),
        resources,
        CLASSES,
        partial(_decoded, path, names),
        labels=_labels(names),
        unnamed=OTHER_ORDER if split == "test" else NOT_TEST,
        trial=partial(_seconds_to_decode, path, names),
    )


def _seconds_to_decode(path: Path, names: list[str]) -> float:
    """Of all images, from decoding a few."""
    few = names[:: max(1, len(names) // TRIED)]
    start = time.perf_counter()
    _decoded(path, few[:1])  # reads the list of members
    opened = time.perf_counter()
    _decoded(path, few)
    return (time.perf_counter() - 2 * opened + start) * len(names) / len(few) + opened - start


def _member_names(path: Path) -> list[str]:
    """`class/file.jpg` of every image; exactly CIFAR-10's ten classes must be there."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = sorted(name for name in archive.namelist() if name.lower().endswith(".jpg"))
    except (OSError, zipfile.BadZipFile) as error:
        raise AssetError(f"{path} cannot be read as a zip: {error}") from error
    found = {name.rpartition("/")[0] for name in names}
    if found != set(CLASSES):
        raise AssetError(
            f"{path} has the folders {', '.join(sorted(found)) or 'none'}; "
            f"expected CIFAR-10's classes {', '.join(CLASSES)}"
        )
    return names


def _labels(names: list[str]) -> npt.NDArray[np.int64]:
    import numpy as np

    return np.array([CLASSES.index(name.rpartition("/")[0]) for name in names], np.int64)


def _decoded(path: Path, names: list[str]) -> Made:
    import numpy as np
    from PIL import Image

    images = np.empty((len(names), 32, 32, 3), np.uint8)
    with zipfile.ZipFile(path) as archive:
        for i, name in enumerate(names):
            try:
                with Image.open(io.BytesIO(archive.read(name))) as image:
                    pixels = np.asarray(image.convert("RGB"))
            except (OSError, ValueError, SyntaxError, zipfile.BadZipFile) as error:
                raise AssetError(f"{name} in {path} cannot be decoded: {error}") from error
            if pixels.shape != (32, 32, 3):
                height, width = pixels.shape[:2]
                raise AssetError(f"{name} in {path} is {width} x {height} pixels, expected 32 x 32")
            images[i] = pixels
    return images, _labels(names)


@hookimpl
def iibench_register_datasets() -> Iterable[DatasetSpec]:
    """Registers `cifar10`."""
    yield DatasetSpec(
        name="cifar10",
        summary="CIFAR-10: 32 x 32 colour photographs in ten classes, 50,000 train and 10,000 test",
        definition=(
            "60,000 colour photographs of 32 x 32 pixels in ten classes with equally many images: "
            "50,000 in `train`, 10,000 in `test`. Pixels are those of the python batches, or of "
            "two zips of JPEG files, which differ a little (`source`; the fingerprint tells "
            "which). The label is the class."
        ),
        params=Params,
        load=load,
        splits=("train", "test"),
        version=VERSION,
        assets=(ARCHIVE, COUNTS),
        citation="Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009",
        bibtex=KRIZHEVSKY2009,
    )
