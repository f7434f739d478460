"""Deleting a first-party plugin's file or folder deletes what it registers, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from iibench.hooks.loaded import Plugins
from tests.hooks.deletion import RUN, Copy, deleted, loaded, lost, names, program

#: What `quickstart` is made of.
NEEDED = {
    *("datasets.photo_patches", "models.resnet50_cifar10", "executors.local"),
    *("finders.random", "finders.neurons", "finders.pca", "finders.kmeans"),
    *("metrics.color", "metrics.lpips", "evaluations.ii", "evaluations.insilico"),
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    return Copy(tmp_path_factory.mktemp("copy"))


@pytest.fixture(scope="module")
def before(copy: Copy) -> Plugins:
    with copy.without():
        return loaded()


def test_every_plugin_is_found_in_the_copy(copy: Copy, before: Plugins) -> None:
    assert not before.broken()
    assert {Path(record.path).is_relative_to(copy.folder) for record in before.records} == {True}
    assert {record.name for record in before.records} >= NEEDED
    assert [record.sha256 for record in before.records] == [r.sha256 for r in loaded().records]


def test_every_plugin_loads_without_any_of_the_others(copy: Copy, before: Plugins) -> None:
    """So that none breaks, whichever others are deleted."""
    every = [record.name for record in before.records]
    for name in every:
        with copy.without(*(other for other in every if other != name)):
            alone = loaded()
        assert [(record.name, record.reason) for record in alone.records] == [(name, "")]
        assert names(alone) == lost(before, name), name


@pytest.mark.parametrize("name", ["evaluations.ii", "models.imi"])
def test_what_a_plugin_registers_goes_with_it(copy: Copy, before: Plugins, name: str) -> None:
    """A file and a folder; all of the others below."""
    with copy.without(name):
        after = loaded()
    assert not after.broken()
    assert [r.name for r in after.records] == [r.name for r in before.records if r.name != name]
    assert names(before) - names(after) == lost(before, name)
    assert not names(after) - names(before)


@pytest.mark.slow
def test_each_plugin_can_be_deleted(
    copy: Copy, before: Plugins, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """With `iibench ls` and `iibench run quickstart --collect-only`, a plugin at a time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IIBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        with copy.without():
            out = tmp_path_factory.mktemp("run") / "out"
            assert program(*RUN, "-k", "ii", "-q", "-o", out).code == 0
        for record in before.records:
            found = deleted(copy, before, record.name)
            assert found.gone == lost(before, record.name), record.name
            assert not found.broken, record.name
            assert found.listed.code == 0, record.name
            assert f"{record.name}  (" not in found.listed.out
            if record.name not in NEEDED:
                assert found.collected.code == 0, (record.name, found.collected.err)
                continue
            # one sentence that says what is missing
            assert found.collected.code == 4, record.name
            (line,) = found.collected.err.splitlines()
            missing = "|".join(entry.split()[1] for entry in record.registers if " " in entry)
            assert re.search(rf"unknown \w+ '({missing})'", line), line
