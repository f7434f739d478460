"""Writes a plugin that works as it stands: module, packaging, test and README, from templates."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

from iibench.contract.errors import UsageError
from iibench.contract.specs import API_VERSION
from iibench.hooks.checking import NAME
from iibench.hooks.loading import load_plugins


def write_plugin(name: str, kind: str, output: Path | None = None) -> Path:
    """The folder of a new distribution that registers the `kind` `name`; `iibench-NAME` by default.

    Raises `UsageError` where the name is no name or taken, or the folder is there already.
    """
    if not NAME.fullmatch(name):
        raise UsageError(f"found the name {name!r}; expected letters, digits and _ . + -")
    table = getattr(load_plugins().registry, f"{kind}s")
    if name in table:
        raise UsageError(
            f"there is a {kind} {name!r} already (plugin {table[name].plugin}); "
            f"expected a name that `iibench ls {kind}s` does not show"
        )
    stem = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    distribution = f"iibench-{stem}"
    module = distribution.replace("-", "_")
    folder = Path(distribution) if output is None else output
    try:
        there = folder.is_symlink() or folder.exists()
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error.strerror}") from error
    if there:
        raise UsageError(f"{folder} is there already; expected a folder that is not (-o DIR)")
    files = {
        "pyproject.toml": "pyproject.toml",
        "README.md": "README.md",
        ".gitignore": "gitignore",
        f"{module}.py": f"{kind}.py",
        f"tests/test_{module}.py": "test_plugin.py",
    }
    values = {
        "name": name,
        "kind": kind,
        "distribution": distribution,
        "module": module,
        "api": API_VERSION,
    }
    _write(folder, {path: _rendered(template, values) for path, template in files.items()})
    return folder


def _rendered(template: str, values: dict[str, str]) -> str:
    import jinja2

    loader = jinja2.PackageLoader("iibench.cli")
    environment = jinja2.Environment(
        loader=loader, keep_trailing_newline=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template(f"{template}.jinja").render(values)


def _write(folder: Path, files: dict[str, str]) -> None:
    """All files or none: they are written beside the folder first."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            for name, text in files.items():
                path = temporary / name
                path.parent.mkdir(exist_ok=True)
                path.write_text(text, encoding="utf-8")
            temporary.chmod(0o755)
            temporary.rename(folder)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error.strerror}") from error
