"""The function that builds a user's own network: finding it, running it, knowing its source."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from iibench import UsageError, source_sha256, unknown_name

from ..._shared.loading import seeded

if TYPE_CHECKING:
    import torch

#: What the module of a factory that is named by its file begins with.
PREFIX = "iibench_factory_"
#: Packages whose classes count by their version.
LIBRARIES = {"torch", "torchvision"}


def find_factory(reference: str, base_dir: Path) -> Callable[[], Any]:
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
    try:
        module = (
            _of_file(base_dir / place) if place.endswith(".py") else importlib.import_module(place)
        )
    except UsageError:
        raise
    except Exception as error:  # the user's code may raise anything
        raise UsageError(f"factory {reference!r} cannot be imported: {_line(error)}") from error
    if not callable(getattr(module, name, None)):
        known = [n for n, value in vars(module).items() if callable(value) and n[0] != "_"]
        raise UsageError(unknown_name(f"function of {place}", name, known))
    factory: Callable[[], Any] = getattr(module, name)
    return factory


def _of_file(path: Path) -> ModuleType:
    """The module of a file, imported anew under a name of its own."""
    if not path.is_file():
        raise UsageError(f"factory: there is no file {str(path)!r}")
    name = f"{PREFIX}{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickles look their module up
    with _beside(path):
        spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[None]:
    """Modules beside `path` can be imported, as they could if it were run as a script."""
    folder = str(path.parent.resolve())
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


def made_by(factory: Callable[[], Any], reference: str, seed: int) -> torch.nn.Module:
    """What the factory gives with torch's generator at `seed`; `UsageError` where it is no network."""
    import torch

    try:
        module = seeded(factory, seed)
    except Exception as error:  # the user's code may raise anything
        raise UsageError(f"factory {reference!r} failed: {_line(error)}") from error
    if not isinstance(module, torch.nn.Module):
        raise UsageError(
            f"factory {reference!r} gives a value of type {type(module).__name__}; expected a "
            "torch.nn.Module"
        )
    return module


def source_fingerprint(factory: Callable[[], Any], module: torch.nn.Module) -> str:
    """SHA-256 (hex) of the source of the factory, of the classes of the module's parts, and of what the
    files of these import of their own.

    Of installed packages all modules count. torch's and torchvision's classes are left out (their
    versions are in the key of every result), and so is what has no source.
    """
    made_of = [_definition(factory), *{type(part) for part in module.modules()}]
    sources = {
        _source(each) for each in made_of if each.__module__.partition(".")[0] not in LIBRARIES
    }
    hashes = {source_sha256(*source, follow_installed=False) for source in sources if source}
    return hashlib.sha256("".join(sorted(hashes)).encode()).hexdigest()


def _definition(factory: Any) -> Any:
    """The function or class behind a decorated function, a partial one or a callable object."""
    while isinstance(factory, functools.partial):
        factory = factory.func
    factory = inspect.unwrap(factory)
    return factory if inspect.isroutine(factory) or inspect.isclass(factory) else type(factory)


def _source(thing: Any) -> tuple[str, str] | None:
    """(file, module) of a function or class; the name of a file that was named by its path is left out."""
    try:
        file = inspect.getsourcefile(thing)
    except TypeError:  # built in
        return None
    if file is None:
        return None
    return file, PREFIX if thing.__module__.startswith(PREFIX) else thing.__module__


def _line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
