"""The function that builds a user's own network: finding it, running it, knowing its source."""

from __future__ import annotations

import functools
import hashlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iibench import UsageError, UserCode, one_line, source_sha256, unknown_name, user_path

from ..._shared.loading import seeded

if TYPE_CHECKING:
    import torch

#: Packages whose classes count by their version.
LIBRARIES = {"torch", "torchvision"}


@dataclass(frozen=True)
class Factory:
    """The function that builds a network, as `reference` names it, and the user's code that it is in."""

    reference: str
    function: Callable[[], Any]
    code: UserCode


def find_factory(reference: str, base_dir: Path) -> Factory:
    """The function that `module:function` or `file.py:function` names; importing runs their code.

    A file's path is relative to `base_dir`; modules beside it can be imported from it. Raises
    `UsageError` where there is no such module, file or function.
    """
    place, _, name = reference.rpartition(":")
    if not place or not name.isidentifier():
        raise UsageError(
            f"found factory {reference!r}; expected module:function, such as mynets.resnet:tiny, or "
            "file.py:function"
        )
    path = user_path(place, base_dir)
    if place.endswith(".py") and not path.is_file():
        raise UsageError(f"factory: there is no file {str(path)!r}")
    try:
        code = UserCode.of(path if place.endswith(".py") else place)
    except Exception as error:  # the user's code may raise anything
        raise UsageError(f"factory {reference!r} cannot be imported: {one_line(error)}") from error
    if not callable(getattr(code.module, name, None)):
        known = [n for n, value in vars(code.module).items() if callable(value) and n[0] != "_"]
        raise UsageError(unknown_name(f"function of {place}", name, known))
    return Factory(reference, getattr(code.module, name), code)


def made_by(factory: Factory, seed: int) -> torch.nn.Module:
    """What the factory gives with torch's generator at `seed`; `UsageError` where it is no network."""
    import torch

    try:
        with factory.code.running():
            module = seeded(factory.function, seed)
    except Exception as error:  # the user's code may raise anything
        raise UsageError(f"factory {factory.reference!r} failed: {one_line(error)}") from error
    if not isinstance(module, torch.nn.Module):
        raise UsageError(
            f"factory {factory.reference!r} gives a value of type {type(module).__name__}; expected a "
            "torch.nn.Module"
        )
    return module


def source_fingerprint(factory: Factory, module: torch.nn.Module) -> str:
    """SHA-256 (hex) of the source of the factory, of the classes of the module's parts, and of what the
    files of these import of their own.

    Of installed packages all modules count. torch's and torchvision's classes are left out (their
    versions are in the key of every result), and so is what has no source.
    """
    made_of = [_definition(factory.function), *{type(part) for part in module.modules()}]
    sources = {
        _source(each)
        for each in made_of
        if each.__module__.partition(".")[0] not in LIBRARIES and not factory.code.has(each)
    }
    hashes = {source_sha256(*source, follow_installed=False) for source in sources if source}
    hashes |= {factory.code.sha256()} - {""}
    return hashlib.sha256("".join(sorted(hashes)).encode()).hexdigest()


def _definition(factory: Any) -> Any:
    """The function or class behind a decorated function, a partial one or a callable object."""
    while isinstance(factory, functools.partial):
        factory = factory.func
    factory = inspect.unwrap(factory)
    return factory if inspect.isroutine(factory) or inspect.isclass(factory) else type(factory)


def _source(thing: Any) -> tuple[str, str] | None:
    """(file, module) of a function or class; None of what has no source."""
    try:
        file = inspect.getsourcefile(thing)
    except TypeError:  # built in
        return None
    return None if file is None else (file, thing.__module__)
