"""Images of the user's own: a folder of class folders, or a zip of them, or images without classes.

The layout is read from where the images lie: all at the top (no labels), or in folders, at any depth, as
torchvision's `ImageFolder` reads them: the topmost folder is the class. Folders around all class folders
are looked through. Files are read in place; nothing is unpacked or copied. What is left out is counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, MinLen

from iibench import DatasetSpec, Resources, UsageError, hookimpl

from ._images.decode import SIZED, DecodeError, rgb
from ._images.files import FOLLOWED, Facts, Source, facts, open_source
from ._images.stored import fingerprint_of

if TYPE_CHECKING:
    from iibench import ImageArray, IntArray

VERSION = "1"
BESIDE = "image at the top, beside the class folders"
#: Names of splits: as classes they are hardly meant.
_SPLITS = frozenset({"train", "training", "val", "valid", "validation", "test", "testing"})


@dataclass(frozen=True)
class Params:
    """Parameters of a folder of images."""

    path: str = field(
        metadata={"help": "a folder or a .zip; relative paths start at the suite's folder"}
    )
    size: Annotated[int, Ge(1)] | None = field(default=None, metadata=SIZED)
    seed: Annotated[int, Ge(0)] = field(default=0, metadata={"help": "of the split into halves"})
    extensions: Annotated[tuple[str, ...], MinLen(1)] = field(
        default=(
            *(".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"),
            *(".ppm", ".pgm"),
        ),
        metadata={"help": "endings of the files that are images, in any case"},
    )
    follow_links: bool = field(default=False, metadata=FOLLOWED)


def load(params: Params, split: str, resources: Resources) -> FolderImages:
    """All images, or one half of every class: "first_half" and "second_half" have no image in common.

    Every file is read once, to hash it and to look at its size; `UsageError` names a file that is no
    image, that lies where it may not, or whose size differs from the first one's.
    """
    source = open_source(params.path, resources.base_dir, params.follow_links)
    endings = tuple(extension.lower() for extension in params.extensions)
    listing = source.listing()
    images = sorted(
        (name for name in listing.names if name.lower().endswith(endings)),
        key=lambda name: PurePosixPath(name).parts,
    )
    left_out = Counter(listing.left_out)
    left_out.update(_kind(name) for name in listing.names if not name.lower().endswith(endings))
    if not images:
        found = f"; found {_counted(left_out)}" if left_out else ""
        raise UsageError(
            f"{source.root} holds no image: no file in it, or in folders below, ends with "
            f"{', '.join(endings)}{found}"
        )
    names, class_of = _classes(images)
    left_out[BESIDE] += len(images) - len(names)
    class_names = tuple(sorted(set(class_of)))
    labels = [class_names.index(name) for name in class_of]
    known = [facts(source, name) for name in names]
    image_size = _image_size(names, known, source.root, params.size)
    chosen = split_indices(labels or [0] * len(names), split, params.seed)
    if not chosen:
        raise UsageError(f"{split} of {source.root} is empty: there are {len(names)} images in all")
    content = [(names[i], known[i].sha256) for i in chosen]
    return FolderImages(
        source=source,
        names=tuple(names[i] for i in chosen),
        label_of=tuple(labels[i] for i in chosen) if labels else (),
        class_names=class_names,
        image_size=image_size,
        size=params.size,
        fingerprint=fingerprint_of("image_folder", VERSION, params.size, class_names, content),
        notes=tuple(_notes(left_out, class_names)),
    )


@dataclass(frozen=True)
class FolderImages:
    """One split of a folder of images; decodes on demand."""

    source: Source
    names: tuple[str, ...]
    label_of: tuple[int, ...]
    class_names: tuple[str, ...]
    image_size: tuple[int, int]
    size: int | None
    fingerprint: str
    notes: tuple[str, ...] = ()

    @property
    def labels(self) -> IntArray | None:
        """(n,) class index of each image, or None where the images lie in no class folders."""
        import numpy as np

        return np.array(self.label_of, np.int64) if self.label_of else None

    def __len__(self) -> int:
        """n, the number of images."""
        return len(self.names)

    def images(self, indices: Sequence[int] | IntArray) -> ImageArray:
        """uint8 (len(indices), h, w, 3); raises `UsageError` naming a file that is damaged."""
        import numpy as np

        out = np.empty((len(indices), *self.image_size, 3), np.uint8)
        for row, index in enumerate(indices):
            name = self.names[int(index)]
            try:
                decoded = rgb(self.source.read(name), self.size)
                if decoded.shape[:2] != self.image_size:
                    raise DecodeError("its pixels are not as many as its header says")
            except DecodeError as error:
                raise UsageError(
                    f"{name} in {self.source.root} cannot be decoded: {error}"
                ) from error
            out[row] = decoded
        return out


def _classes(images: Sequence[str]) -> tuple[list[str], list[str]]:
    """The images that are used, and the class of each: none where all images lie at the top.

    Where some lie in folders, the others have no class and are left out. A folder around all others, in
    which no image lies itself, is looked through: zips are often made so.
    """
    paths = {name: PurePosixPath(name).parts for name in images}
    if all(len(path) == 1 for path in paths.values()):
        return list(images), []
    paths = {name: path for name, path in paths.items() if len(path) > 1}
    while len({path[0] for path in paths.values()}) == 1 and all(
        len(path) > 2 for path in paths.values()
    ):
        paths = {name: path[1:] for name, path in paths.items()}
    return list(paths), [path[0] for path in paths.values()]


def _kind(name: str) -> str:
    """What a file that is no image is counted as."""
    ending = PurePosixPath(name).suffix.lower()
    return f"{ending} file" if ending else "file without an ending"


def _counted(found: Mapping[str, int]) -> str:
    """How many things of each kind."""
    return ", ".join(f"{n} x {kind}" for kind, n in sorted(found.items()) if n)


def _notes(left_out: Mapping[str, int], class_names: Sequence[str]) -> Iterable[str]:
    if counted := _counted(left_out):
        yield f"left out: {counted}"
    if class_names and {name.lower() for name in class_names} <= _SPLITS:
        yield (
            f"the classes are called {', '.join(class_names)}: where these are splits with classes of "
            "their own, path must name one of them"
        )


def _image_size(
    names: Sequence[str], known: Sequence[Facts], root: Path, size: int | None
) -> tuple[int, int]:
    if size is not None:
        return size, size
    high, wide = known[0].size
    for name, found in zip(names, known, strict=True):
        if found.size != (high, wide):
            raise UsageError(
                f"{name} in {root} has {found.size[1]} x {found.size[0]} pixels, but {names[0]} "
                f"{wide} x {high}; give size to bring all images to one, such as "
                f"size: {min(min(fact.size) for fact in known)}"
            )
    return high, wide


def split_indices(labels: Sequence[int], split: str, seed: int) -> list[int]:
    """Indices of the split's images in order; halves are balanced within every class.

    Of an odd number in a class the larger half goes to the first half and the second in turn.
    """
    import numpy as np

    if split == "all":
        return list(range(len(labels)))
    rng = np.random.default_rng(seed)
    chosen: list[int] = []
    larger_first = True
    for label in sorted(set(labels)):
        members = rng.permutation(np.flatnonzero(np.asarray(labels) == label))
        middle = (len(members) + larger_first) // 2
        larger_first ^= len(members) % 2 == 1
        half = members[:middle] if split == "first_half" else members[middle:]
        chosen.extend(int(i) for i in half)
    return sorted(chosen)


@hookimpl
def iibench_register_datasets() -> Iterable[DatasetSpec]:
    """Registers `image_folder`."""
    yield DatasetSpec(
        name="image_folder",
        summary="your own images: a folder or a zip, with a folder per class or without classes",
        definition=(
            "The user's own images in a folder or zip, read in place; the class is the folder "
            "that an image lies in, at any depth, if there are any. All have one size, or with `size` their "
            "shorter side is resized to it and the centre cut out. `first_half` and `second_half` "
            "share no image and have equally many of each class but for one; `all` has every "
            "image."
        ),
        params=Params,
        headline=("path",),
        load=load,
        # first and last are the defaults to fit and to evaluate: no image is in both
        splits=("first_half", "all", "second_half"),
        version=VERSION,
    )
