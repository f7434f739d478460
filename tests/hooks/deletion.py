"""A copy of the first-party plugins from which any one can be taken away, loaded in this process."""

from __future__ import annotations

import importlib
import io
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from iibench.cli.main import run_program
from iibench.hooks.checking import kind_of
from iibench.hooks.finding import FIRST_PARTY_PACKAGE
from iibench.hooks.loaded import Plugins
from iibench.hooks.loading import load_plugins
from tests.conftest import ROOT, Done


class Copy:
    """The folder `plugins/` as a package below `parent`; `folder`: where it lies."""

    def __init__(self, parent: Path) -> None:
        self.parent = parent
        self.folder = parent / FIRST_PARTY_PACKAGE
        ignored = shutil.ignore_patterns("weights", "__pycache__")
        shutil.copytree(ROOT / "plugins", self.folder, ignore=ignored)
        (self.folder / "models" / "weights").symlink_to(ROOT / "plugins" / "models" / "weights")

    def place(self, name: str) -> Path:
        """The file or folder of a plugin."""
        path = self.folder.joinpath(*name.split("."))
        return path if path.is_dir() else path.with_suffix(".py")

    @contextmanager
    def without(self, *names: str) -> Iterator[None]:
        """Plugins are deleted meanwhile, and this copy is the one that is found."""
        aside = [(self.place(name), self.parent / f"deleted-{name}") for name in names]
        for path, other in aside:
            path.rename(other)
        try:
            with _found_in(self.parent):
                yield
        finally:
            for path, other in aside:
                other.rename(path)


@contextmanager
def _found_in(parent: Path) -> Iterator[None]:
    """First-party plugins are imported from `parent`, and afterwards from where they were before."""
    kept = {name: sys.modules.pop(name) for name in list(sys.modules) if _is_ours(name)}
    sys.path.insert(0, str(parent))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(parent))
        for name in list(sys.modules):
            if _is_ours(name):
                del sys.modules[name]
        sys.modules.update(kept)
        importlib.invalidate_caches()


def _is_ours(name: str) -> bool:
    return name.partition(".")[0] == FIRST_PARTY_PACKAGE


def loaded() -> Plugins:
    """The first-party plugins that are found."""
    return load_plugins(environ="", entry_points=False)


def names(plugins: Plugins) -> set[str]:
    """All that can be used, by kind and name: specs, layers of models, metrics added to suites."""
    registry = plugins.registry
    return {
        *(f"{kind_of(entry.spec)} {entry.spec.name}" for entry in registry.all()),
        *(f"executor {entry.spec.name}" for entry in registry.executors),
        *(f"layer {m}/{layer.name}" for m, layers in registry.layers.items() for layer in layers),
        *(f"suite metric {label}" for _, label in registry.suite_metrics),
    }


def lost(before: Plugins, plugin: str) -> set[str]:
    """What goes with a plugin: the specs that it registers, with the layers of its models."""
    record = next(record for record in before.records if record.name == plugin)
    models = {line.removeprefix("model ") for line in record.registers if line.startswith("model ")}
    return {
        name
        for name in names(before)
        if name in record.registers
        or (name.startswith("layer ") and name.split()[1].partition("/")[0] in models)
    }


@dataclass(frozen=True)
class Deletion:
    """What is left without a plugin.

    `gone`: what can no longer be used; `broken`: other plugins that are, with their reasons; `listed`: what
    `iibench ls plugins` did, `collected` what `iibench run quickstart --collect-only` did.
    """

    gone: set[str]
    broken: list[str]
    listed: Done
    collected: Done

    @property
    def missing(self) -> str:
        """The sentence of a run that needs the plugin; "" where it does not."""
        return "" if self.collected.code == 0 else self.collected.err.strip()


#: Once it has run, what it takes is cached and its estimate has nothing to time.
RUN = ("run", "quickstart", "--limit", "100")


def deleted(copy: Copy, before: Plugins, plugin: str) -> Deletion:
    """Takes a plugin away, and tries what is left."""
    with copy.without(plugin):
        after = loaded()
        return Deletion(
            names(before) - names(after),
            [f"{record.name}: {record.reason}" for record in after.broken()],
            program("ls", "plugins"),
            program(*RUN, "--collect-only"),
        )


def program(*words: str | Path) -> Done:
    """The command line of iibench in this process."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = run_program([str(word) for word in words])
    return Done(code, out.getvalue(), err.getvalue())
