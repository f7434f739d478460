"""Which first-party plugins' keys an edit of a file changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from iibench.cache.source import source_files, source_sha256
from iibench.hooks.loading import load_plugins
from tests.hooks.deletion import Copy
from tests.test_layers import ROOT, plugin_of

INDEX = {"ii", "manifold", "privileged_basis", "sensitivity", "split_half", "synergy"}


@pytest.fixture(scope="module")
def plugins() -> dict[str, tuple[Path, str]]:
    """Plugin -> its file below plugins/, and its module."""
    records = load_plugins(environ="", entry_points=False).records
    folder = Path(__import__("iibench_plugins").__file__).parent
    return {r.name: (Path(r.path).relative_to(folder), r.module) for r in records}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    return Copy(tmp_path_factory.mktemp("copy"))


def hashes(copy: Copy, plugins: dict[str, tuple[Path, str]]) -> dict[str, str]:
    return {name: source_sha256(copy.folder / p, m) for name, (p, m) in plugins.items()}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "changed"),
    [
        ("evaluations/ii.py", {"evaluations.ii"}),
        ("evaluations/_index.py", {f"evaluations.{name}" for name in INDEX}),
        ("evaluations/sensitivity/tables.py", {"evaluations.sensitivity"}),
        ("metrics/dreamsim/lora.py", {"metrics.dreamsim"}),
        ("metrics/color.py", {"metrics.color"}),
        ("models/checkpoint/factory.py", {"models.checkpoint"}),
        (
            "_shared/lpips_backbones.py",
            {"metrics.dists", "metrics.lpips", "models.lpips_backbones"},
        ),
        ("_shared/planted/frame.py", {"finders.planted", "models.planted"}),
        ("finders/new.py", set()),
        ("evaluations/_nobodys.py", set()),
        ("evaluations/sensitivity/nobodys.py", set()),
    ],
)
def test_an_edit_changes_the_keys_of_those_that_use_the_file(
    copy: Copy, plugins: dict[str, tuple[Path, str]], file: str, changed: set[str]
) -> None:
    before = hashes(copy, plugins)
    path = copy.folder / file
    text = path.read_bytes() if path.is_file() else None
    path.write_bytes((text or b"") + b"\nedited = 1\n")
    after = hashes(copy, plugins)
    path.unlink() if text is None else path.write_bytes(text)
    assert {name for name in plugins if before[name] != after[name]} == changed


def test_no_key_covers_another_plugin_and_every_file_counts_for_one(
    copy: Copy, plugins: dict[str, tuple[Path, str]]
) -> None:
    covered = {
        name: {path.relative_to(copy.folder) for path in source_files(copy.folder / p, m).values()}
        for name, (p, m) in plugins.items()
    }
    for name, files in covered.items():
        assert {plugin_of(ROOT / "plugins" / file) for file in files} == {name, ""}
    every = {path.relative_to(copy.folder) for path in copy.folder.rglob("*.py")}
    assert every == set().union(*covered.values())
