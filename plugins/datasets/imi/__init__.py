"""IMI: what people saw in units of nine vision networks (Zimmermann, Klein & Brendel 2023).

People saw nine images that strongly activate a unit and nine that weakly do, and chose which of two
further images belongs to the former. The answers and the names of the images are a public release; the
images themselves are photographs of ImageNet's training set, which has to be got elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from iibench import (
    AssetError,
    AssetFile,
    AssetSpec,
    DatasetSpec,
    Resources,
    TrialDatasetSpec,
    by_hand,
    find_local,
    hookimpl,
    user_path,
)

from ..._shared.bibliography import ZIMMERMANN2023
from .._trials.paths import named_by_user
from . import standin
from .choice import Choice

if TYPE_CHECKING:
    from iibench import Harness

    from .._trials.files import FileTrials

VERSION = "1"
FOLDER = "imi"
IMAGENET = "imagenet/train"


def listing(resources: Resources, folder: Path | None) -> list[str]:
    """WNID/FILE of the ImageNet training images that the release needs; see `needed_photographs`."""
    from .release import needed_photographs

    return needed_photographs(_release(str(folder or FOLDER), resources))


RELEASE = AssetSpec(
    name="imi",
    summary="answers and image names of the IMI study",
    files=(
        AssetFile(
            filename=FOLDER,
            sha256="",
            size=0,
            record="https://zenodo.org/api/records/8131197",
            contents=(
                "human_responses/responses_main.csv",
                "image_data/imagenet_exemplars_file_map.json",
            ),
        ),
    ),
    homepage="https://zenodo.org/records/8131197",
    listing=listing,
)


@dataclass(frozen=True)
class Params(Choice):
    """Parameters of the IMI release: where it is, and which answers are asked for."""

    path: str = field(
        default=FOLDER,
        metadata={"help": "the release folder: absolute, beside the suite or in the data folder"},
    )
    imagenet: str = field(
        default=IMAGENET,
        metadata={
            "help": "ImageNet's training images, in class folders: absolute, beside the suite or in "
            "the data folder"
        },
    )


def load(params: Params, split: str, harness: Harness) -> FileTrials:
    """The stimuli and answers asked for; see `read_release`. The one split is "all".

    Raises `AssetError` where the release, or an image, is neither beside the suite nor in the data
    folder; `FileError` where the user named that.
    """
    from .release import read_release

    photographs = _folders(params.imagenet, harness)
    with named_by_user(params.path != FOLDER):
        release = _release(params.path, harness)
    with named_by_user(params.path != FOLDER or params.imagenet != IMAGENET):
        return read_release(
            release,
            params,
            image_root=next((f for f in photographs if f.is_dir()), photographs[-1]),
            hashes=harness.cache_dir / "derived" / "imi_hashes.json",
        )


def _folders(path: str, resources: Resources) -> list[Path]:
    """Where a folder may lie, in the order of the search."""
    given = user_path(path)
    return list(dict.fromkeys([resources.base_dir / given, resources.data_dir / given]))


def _release(path: str, resources: Resources) -> Path:
    """The release folder; of the default name also as it was fetched or unpacked."""
    places = _folders(path, resources)
    for place in places:
        if all((place / inside).is_file() for inside in RELEASE.files[0].contents):
            return place
    fetched = find_local(RELEASE, resources) if path == FOLDER else None
    if fetched is not None:
        return fetched[1]
    looked = " and ".join(str(place) for place in places)
    raise AssetError(
        f"the IMI release is not there: looked for {' and '.join(RELEASE.files[0].contents)} in "
        f"{looked}\nTo download it (Zenodo record 8131197): iibench assets fetch imi\n"
        f"{by_hand(RELEASE, resources)}"
    )


@hookimpl
def iibench_register_datasets() -> Iterable[DatasetSpec]:
    """Registers `imi`, and `imi_standin`, which is made in its layout."""
    yield TrialDatasetSpec(
        name="imi",
        summary="IMI: 52,920 or more answers about units of nine networks; images from ImageNet",
        definition=(
            "The public release of answers about units of nine vision networks: shown nine images "
            "that strongly activate a unit and nine that weakly do, which of two further images "
            "belongs to the former? A stimulus is one such set of 20 images; the right answer is "
            "the query that strongly activates the unit. The images are photographs of ImageNet's "
            "training set and feature visualisations, at `size` pixels a side."
        ),
        params=Params,
        load=load,
        version=VERSION,
        assets=(RELEASE,),
        citation="Zimmermann, Klein & Brendel, Scale Alone Does not Improve Mechanistic "
        "Interpretability in Vision Models, NeurIPS 2023",
        bibtex=ZIMMERMANN2023,
    )
    yield standin.spec()
