"""The run folder, claimed before anything is computed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from iibench.contract.errors import UsageError
from iibench.results.own_folder import RUN, OwnFolder, own_folder
from iibench.results.run import FILES

if TYPE_CHECKING:
    from iibench.contract.config import RunConfig
    from iibench.suite.schema import Suite


@contextmanager
def claimed(config: RunConfig, suite: Suite) -> Iterator[OwnFolder]:
    """The run folder, for this run alone until the end; an older run stands there until there are scores.

    Raises `UsageError` where it cannot be written, holds something that is no run of iibench, or another
    process writes there.
    """
    with ExitStack() as held:
        folder = config.output
        try:
            if folder is None:
                stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
                folder = Path("reports") / f"{suite.name}-{stamp}"
                folder = new_folder(folder)
                held.callback(remove_if_empty, folder)
            _check_place(folder)
            own = held.enter_context(own_folder(folder, RUN, wait=0.0))
            own.check({*FILES, *own.files})
            own.new()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UsageError(
                f"the output folder {folder} cannot be written: {reason}; choose another with --output"
            ) from error
        yield own


def new_folder(wanted: Path) -> Path:
    """A folder of this name that was not there before, or of this name and a number; made empty."""
    wanted.parent.mkdir(parents=True, exist_ok=True)
    for number in itertools.count(1):
        folder = wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}")
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise AssertionError("numbers end nowhere")


def remove_if_empty(folder: Path) -> None:
    """Removes a folder in which nothing came to be."""
    with suppress(OSError):
        folder.rmdir()


def _check_place(folder: Path) -> None:
    if Path.cwd().is_relative_to(folder.resolve()):
        raise UsageError(
            f"--output {folder}: this is the current folder, or holds it; name a folder for the run"
        )
