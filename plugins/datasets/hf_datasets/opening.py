"""Where a Hugging Face dataset lies, and opening it as memory-mapped Arrow tables, a table a split."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iibench import AssetError, FileError, UsageError, user_path

from ..._shared.files import nearest_files
from ..._shared.loading import optional

if TYPE_CHECKING:
    from iibench import Resources

EXTRA = "datasets"
#: Seconds that the hub has to answer the first question. Its library alone would try for minutes.
TIMEOUT = 5.0
#: What is fetched of a repository: tables, and the text that says which of them make up a split.
FILES = ("*.parquet", "*.arrow", "README.md")
#: Kinds of data that are read: others hold no images, or run code of theirs.
_KINDS = ("parquet", "arrow")
#: What its client raises for a name or a commit that the hub does not know.
_UNKNOWN = ("RepositoryNotFoundError", "RevisionNotFoundError")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_HUB_ID = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?", re.ASCII)


def open_tables(
    path: str, config: str | None, revision: str | None, resources: Resources
) -> Mapping[str, Any]:
    """Split -> `datasets.Dataset` of a local folder, or else of a repository of the hub.

    A folder made by `save_to_disk` is mapped in place. Parquet and loose Arrow files are converted
    once to Arrow, below the cache folder. Raises `AssetError` where a package or the data are
    missing, `FileError` where there are no such data, `UsageError` where the data are of another kind,
    cannot be read, or where a repository is asked for without the commit that is meant.
    """
    datasets = optional("datasets", EXTRA)
    folder = _local(path, resources)
    if folder is None:
        folder = _snapshot(path, revision, resources)
    if any((folder / name).is_file() for name in ("dataset_dict.json", "state.json")):
        if config is not None:
            raise UsageError(f"config: {folder} was made by save_to_disk and has none")
        try:
            found = datasets.load_from_disk(str(folder), keep_in_memory=False)
        except Exception as error:
            raise _unreadable(folder, error) from error
        return found if isinstance(found, dict) else {str(found.split or "train"): found}
    prepared = (resources.cache_dir / "derived" / "hf_datasets").absolute()
    try:
        builder = datasets.load_dataset_builder(str(folder), config, cache_dir=str(prepared))
    except Exception as error:  # it fails in any way, with long texts
        raise _unreadable(folder, error) from error
    kind = type(builder).__module__.rpartition(".")[2]
    if kind not in _KINDS:
        raise UsageError(
            f"{folder} holds data of the kind {kind}; expected parquet or Arrow files with the "
            "images in them (image_folder and webdataset read folders of images and tar shards)"
        )
    for file in (file for files in builder.config.data_files.values() for file in files):
        # links are left alone: in the hub's cache they lead to its blobs
        if not Path(os.path.normpath(file)).is_relative_to(folder):
            raise UsageError(f"the README.md of {folder} names data outside of it: {file}")
    try:
        builder.download_and_prepare()
        tables: Mapping[str, Any] = builder.as_dataset()
    except Exception as error:
        raise _unreadable(folder, error) from error
    return tables


def _unreadable(folder: Path, error: Exception) -> UsageError:
    cause = error.__cause__ or error
    text = " ".join(str(cause).split())[:300]
    return UsageError(f"{folder} cannot be read as a dataset: {type(cause).__name__}: {text}")


def _local(path: str, resources: Resources) -> Path | None:
    """The folder, below the suite's folder or the data folder; None where there is none."""
    given = user_path(path)
    for base in (resources.base_dir, resources.data_dir):
        place = (base / given).resolve()
        if place.is_dir():
            return place
        if place.exists():
            raise UsageError(f"path: {place} is no folder; expected one of parquet or Arrow files")
    return None


def _snapshot(path: str, revision: str | None, resources: Resources) -> Path:
    """The folder of the hub's own cache with the files of the repository at that commit."""
    beside = resources.base_dir / path
    if not _HUB_ID.fullmatch(path):
        raise FileError(
            f"path: there is no folder {beside}, and it is no name on the hub{nearest_files(beside)}"
        )
    if revision is None or not _COMMIT.fullmatch(revision):
        raise UsageError(
            f"revision: found {revision or 'none'} for {path}, which is no folder in "
            f"{resources.base_dir} nor {resources.data_dir}; a dataset of the hub needs the commit "
            "that is meant (40 hexadecimal digits), so that numbers can be repeated"
        )
    hub = optional("huggingface_hub", EXTRA)
    asked = {"repo_type": "dataset", "revision": revision, "allow_patterns": list(FILES)}
    reason = "offline: nothing is downloaded"
    if not resources.offline:
        try:  # one question without a second try: can the hub be reached?
            hub.HfApi().dataset_info(path, revision=revision, timeout=TIMEOUT)
        except Exception as error:  # those of its HTTP client, which differ by version
            reason = _line(error)
            if type(error).__name__ in _UNKNOWN:
                raise FileError(f"path: the hub has no dataset {path} at {revision}") from error
        else:
            try:
                return Path(hub.snapshot_download(path, **asked))
            except Exception as error:
                raise _not_had(path, revision, resources, _line(error)) from error
    try:
        return Path(hub.snapshot_download(path, local_files_only=True, **asked))
    except Exception as error:
        raise _not_had(path, revision, resources, reason) from error


def _not_had(path: str, revision: str, resources: Resources, reason: str) -> AssetError:
    return AssetError(
        f"the dataset {path} at {revision} cannot be had ({reason}); on a machine with a network "
        f"run: hf download {path} --repo-type dataset --revision {revision} --local-dir FOLDER "
        f"and put that folder's files into {resources.data_dir / path}, or name the folder with path"
    )


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
