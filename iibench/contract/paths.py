"""Paths as users write them."""

from __future__ import annotations

from pathlib import Path

from iibench.contract.errors import UsageError


def user_path(path: str | Path, base: Path | None = None) -> Path:
    """The path that a user wrote: `~` is the home folder, and what is not absolute begins at `base`.

    Raises `UsageError` where the home folder is asked for and is not known.

    >>> user_path("nets/net.py", Path("/suites")).as_posix(), user_path("~").is_absolute()
    ('/suites/nets/net.py', True)
    """
    try:
        given = Path(path).expanduser()
    except RuntimeError as error:
        raise UsageError(
            f"{str(path)!r}: the home folder that ~ stands for is not known (HOME is not set); expected "
            "a path without it"
        ) from error
    return given if base is None else base / given
