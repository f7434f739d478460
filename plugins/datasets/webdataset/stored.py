"""The indexes of shards, made once and kept below the cache folder, a file a shard.

A file is known by the shard's path, size and time of change, and by what is taken of its samples, so
that indexing goes on where it was interrupted and shards can be added.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple
from pathlib import Path

from iibench import UsageError

from .._images.npz import read_arrays, write_arrays
from .index import ShardIndex, Wanted, index_shard

#: Changes when an index would hold something else.
_FORMAT = "1"
#: Shards indexed at a time: most of that is waiting for the disk.
_THREADS = 8


def shard_indexes(paths: Sequence[Path], wanted: Wanted, cache_dir: Path) -> list[ShardIndex]:
    """The index of each shard, out of the cache where it is there.

    Two processes that ask for the same shards index them once. Raises as `index_shard` does, and
    `UsageError` where the cache cannot be used.
    """
    from filelock import FileLock

    folder = cache_dir / "derived" / "webdataset"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        places = [folder / f"{_key(path, wanted)}.npz" for path in paths]
        names = "\n".join(place.name for place in places)
        lock = folder / f"{hashlib.sha256(names.encode()).hexdigest()}.lock"
        with FileLock(lock), ThreadPoolExecutor(_THREADS, "iibench-index") as pool:
            waiting = [
                pool.submit(_found_or_made, path, wanted, place)
                for path, place in zip(paths, places, strict=True)
            ]
            try:
                return [index.result() for index in waiting]
            finally:
                for index in waiting:
                    index.cancel()
    except OSError as error:
        raise UsageError(
            f"{error.filename or folder} cannot be used as a cache ({error.strerror}); "
            "choose another with --cache-dir or IIBENCH_CACHE"
        ) from error


def _key(path: Path, wanted: Wanted) -> str:
    stat = path.stat()
    parts = [_FORMAT, str(path), stat.st_size, stat.st_mtime_ns, astuple(wanted)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _found_or_made(path: Path, wanted: Wanted, place: Path) -> ShardIndex:
    import numpy as np

    kept = read_arrays(place, "offsets", "sizes", "labels", "names", "digest")
    if kept is not None:
        names = tuple(kept["names"].tolist())
        digest = str(kept["digest"])
        return ShardIndex(kept["offsets"], kept["sizes"], kept["labels"], names, digest)
    made = index_shard(path, wanted)
    write_arrays(
        place,
        offsets=made.offsets,
        sizes=made.sizes,
        labels=made.labels,
        names=np.array(made.names, np.str_),
        digest=np.array(made.digest),
    )
    return made
