"""Folders that iibench writes: only what it made there is replaced or removed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from iibench import UsageError, load_run
from iibench.results.earlier_folders import earlier_files, is_run_folder
from iibench.results.own_folder import (
    LOCK,
    MANIFEST,
    PAGE,
    RUN,
    own_folder,
    read_manifest,
    write_file,
)
from tests.conftest import ROOT

SAMPLE = ROOT / "reports" / "sample"


def put(folder: Path, files: dict[str, str], instead_of: tuple[str, ...] = ()) -> None:
    with own_folder(folder, PAGE, wait=0) as own:
        new = own.new()
        for name, text in files.items():
            (new / name).parent.mkdir(parents=True, exist_ok=True)
            (new / name).write_text(text)
        own.put(new, instead_of)


def names(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def test_files_are_put_and_listed_and_nothing_else_is_left(tmp_path: Path) -> None:
    put(tmp_path / "a/b", {"index.html": "1", "data/x.js": "2"})
    assert names(tmp_path / "a/b") == {"index.html", "data/x.js", MANIFEST}
    assert set(read_manifest(tmp_path / "a/b")[1]) == {"index.html", "data/x.js"}


def test_only_what_was_made_is_removed(tmp_path: Path) -> None:
    put(tmp_path, {"index.html": "1", "data/x.js": "2", "sprites/s.png": "3"})
    (tmp_path / "data/mine.csv").write_text("mine")
    (tmp_path / "notes.md").write_text("mine")
    put(tmp_path, {"index.html": "4"}, ("data/x.js", "sprites/s.png"))
    assert names(tmp_path) == {"index.html", "data/mine.csv", "notes.md", MANIFEST}
    assert not (tmp_path / "sprites").exists()  # nothing was left in it


def test_a_folder_of_others_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(UsageError, match=r"iibench did not make \(thesis.tex\)"):
        put(tmp_path, {"index.html": "1"})
    assert names(tmp_path) == {"thesis.tex"}


@pytest.mark.parametrize("name", ["index.html", "data/x.js", "data"])
def test_a_file_of_others_in_the_way_is_refused(tmp_path: Path, name: str) -> None:
    put(tmp_path, {"other.html": "1"})
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    with pytest.raises(UsageError, match="was not made by iibench"):
        put(tmp_path, {"index.html": "1", "data/x.js": "2"})
    assert (tmp_path / name).read_text() == "mine"


def test_a_changed_file_is_neither_replaced_nor_removed(tmp_path: Path) -> None:
    put(tmp_path, {"index.html": "1", "data/x.js": "2"})
    (tmp_path / "data/x.js").write_text("mine")
    put(tmp_path, {"index.html": "3"}, ("data/x.js",))
    assert (tmp_path / "data/x.js").read_text() == "mine"
    (tmp_path / "index.html").write_text("mine")
    with pytest.raises(UsageError, match="was changed since iibench wrote it"):
        put(tmp_path, {"index.html": "4"})
    assert (tmp_path / "index.html").read_text() == "mine"


@pytest.mark.parametrize("link", ["data", "index.html", "runs"])
def test_no_link_is_followed_out_of_the_folder(tmp_path: Path, link: str) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "page"
    outside.mkdir()
    (outside / "x.js").write_text("mine")
    put(folder, {"other.html": "1"})
    target = outside / "x.js" if "." in link else outside
    (folder / link).symlink_to(target)
    with pytest.raises(UsageError, match="link|not made by iibench"):
        put(folder, {"index.html": "1", "data/x.js": "2", "runs/a/x.js": "3"})
    assert names(outside) == {"x.js"} and (outside / "x.js").read_text() == "mine"
    assert (folder / link).is_symlink()


def test_a_link_in_place_of_what_was_made_is_not_removed_through(tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "page"
    put(folder, {"index.html": "1", "data/x.js": "2"})
    shutil.move(folder / "data", outside)
    (folder / "data").symlink_to(outside)
    put(folder, {"index.html": "3"}, ("data/x.js",))
    assert (outside / "x.js").read_text() == "2"


@pytest.mark.parametrize(
    "name", ["../victim.txt", "/etc/passwd", "a/../../victim.txt", "C:\\x", ""]
)
def test_a_manifest_that_names_what_is_outside_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "victim.txt").write_text("mine")
    put(tmp_path / "page", {"index.html": "1"})
    content = json.loads((tmp_path / "page" / MANIFEST).read_text())
    content["files"][name] = ["0"]
    (tmp_path / "page" / MANIFEST).write_text(json.dumps(content))
    with pytest.raises(UsageError, match="is damaged"):
        put(tmp_path / "page", {"index.html": "2"}, (name,))
    assert (tmp_path / "victim.txt").read_text() == "mine"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"kind": "run", "files": 3}', '{"files": {}}'])
def test_a_damaged_manifest_is_one_error(tmp_path: Path, text: str) -> None:
    put(tmp_path, {"index.html": "1"})
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(UsageError, match=MANIFEST):
        put(tmp_path, {"index.html": "2"})


def test_a_folder_of_another_kind_is_refused(tmp_path: Path) -> None:
    put(tmp_path, {"index.html": "1"})
    with pytest.raises(UsageError, match="this is a page folder"), own_folder(tmp_path, RUN):
        pass


def test_one_process_at_a_time_writes_and_leaves_no_lock(tmp_path: Path) -> None:
    put(tmp_path / "a", {"index.html": "1"})
    with own_folder(tmp_path / "a", PAGE):
        assert (tmp_path / "a" / LOCK).exists()
        with pytest.raises(UsageError, match="another iibench is writing there"):
            put(tmp_path / "a", {"index.html": "2"})
    put(tmp_path / "a", {"index.html": "2"})
    assert names(tmp_path / "a") == {"index.html", MANIFEST}


def test_a_folder_made_for_nothing_is_removed(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), own_folder(tmp_path / "a", PAGE) as own:
        own.new()
        raise ZeroDivisionError
    assert not (tmp_path / "a").exists()


def test_what_was_cut_off_between_old_and_new_is_still_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, {"a.html": "old", "index.html": "old"})
    moved = Path.replace

    def once(self: Path, target: Path) -> Path:
        if target.name == "index.html":
            raise KeyboardInterrupt
        return moved(self, target)

    monkeypatch.setattr(Path, "replace", once)
    with pytest.raises(KeyboardInterrupt):
        put(tmp_path, {"a.html": "new", "index.html": "new"})
    monkeypatch.undo()
    assert (tmp_path / "a.html").read_text() == "new"
    put(tmp_path, {"a.html": "newer", "index.html": "newer"})
    assert (tmp_path / "index.html").read_text() == "newer"


# ------------------------------------------------------------------- folders without a manifest


def test_an_earlier_run_folder_is_known_by_what_it_holds(tmp_path: Path) -> None:
    run = Path(shutil.copytree(SAMPLE, tmp_path / "run"))
    (run / "notes.md").write_text("mine")
    (run / "data").mkdir()
    (run / "data/mine.js").write_text("mine")
    (run / "data/units.js").write_text('iibench.deliver("units",1);\n')
    (run / "index.html").write_text("a page of my own")
    found = earlier_files(run)
    assert {"run.json", "results.parquet", "data/units.js"} <= set(found)
    assert not {"notes.md", "data/mine.js", "index.html"} & set(found)


def test_somebody_elses_run_json_makes_no_run_folder(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"schema_version": "2", "lr": 0.1}')
    (tmp_path / "results.parquet").write_text("mine")
    assert not is_run_folder(tmp_path)
    with pytest.raises(UsageError, match="did not make"), own_folder(tmp_path, RUN):
        pass


@pytest.mark.parametrize("name", ["run.json", "results.parquet", "images.parquet"])
def test_one_changed_bit_in_what_is_read_back_is_an_error(tmp_path: Path, name: str) -> None:
    run = Path(shutil.copytree(SAMPLE, tmp_path / "run"))
    with own_folder(run, RUN) as own:
        own.put(own.new())
    assert len(load_run(run).cases) == len(load_run(SAMPLE).cases)
    content = bytearray((run / name).read_bytes())
    content[len(content) // 2] ^= 1
    (run / name).write_bytes(content)
    with pytest.raises(UsageError, match=rf"{name}.*(is not what iibench wrote|cannot be read)"):
        load_run(run)


# ---------------------------------------------------------------------------------- single files


def test_a_file_is_written_whole_and_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.csv").write_text("old")
    (tmp_path / "link.csv").symlink_to("real.csv")
    write_file(tmp_path / "link.csv", b"new")
    assert (tmp_path / "real.csv").read_text() == "new"
    assert (tmp_path / "link.csv").is_symlink()
    assert names(tmp_path) == {"real.csv", "link.csv"}
    with pytest.raises(OSError, match=r"nowhere/x.csv"):
        write_file(tmp_path / "nowhere/x.csv", b"new")


def test_what_is_no_file_is_written_to_as_it_is() -> None:
    write_file(Path("/dev/null"), b"gone")
    assert Path("/dev/null").is_char_device()
