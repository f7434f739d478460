"""Every kind of bad input: one clear message, the right exit code, no traceback, nothing left behind."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import Done, run_json


def clean(done: Done, code: int = 4) -> str:
    """The one message of a command that was refused."""
    assert done.code == code, done.out + done.err
    assert "Traceback" not in done.out + done.err
    return done.err


def test_missing_file(iibench) -> None:
    assert "nowhere.yaml" in clean(iibench("run", "nowhere.yaml"))


def test_a_misspelt_shipped_suite_names_the_nearest(iibench) -> None:
    assert "quickstart" in clean(iibench("run", "quickstrat"))


def test_yaml_syntax(iibench, suite) -> None:
    path = suite(("seed: 5", "seed: [5"))
    error = clean(iibench("run", path))
    assert f"{path.name}:" in error


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("seed: 5", "sede: 5", ["sede", "seed"]),
        ('iibench: "1"', "iibench: 1", ["iibench", "quote"]),
        ("seed: 5", "seed: 5\nseed: 6", ["seed"]),
        ("- toybright", "- toybrite", ["toybrite", "toybright", "iibench ls metrics"]),
        ("name: pick, k: [1, 2]", "name: pick, kk: [1, 2]", ["kk", "k"]),
        ("name: pick, k: [1, 2]", "name: pick, k: [1, 0]", ["0"]),
        ("name: toynet", "name: toynett", ["toynett", "toynet"]),
    ],
)
def test_a_wrong_key_or_name_is_told_with_its_line(
    iibench, suite, old: str, new: str, words: list[str]
) -> None:
    path = suite((old, new))
    line = next(
        i for i, text in enumerate(path.read_text().splitlines(), 1) if new.splitlines()[-1] in text
    )
    error = clean(iibench("run", path))
    assert f"{path.name}:{line}" in error
    for word in words:
        assert word in error


def cases(folder: Path) -> set[tuple[str, str]]:
    return {(case["status"], case["reason"]) for case in run_json(folder)["cases"]}


def test_wrong_layer(iibench, suite, tmp_path: Path) -> None:
    path = suite(("layers: [mixed]", "layers: [tip]"))
    error = clean(iibench("run", path, "-o", "out"))
    assert f"{path}: model toynet: unknown layer 'tip'; nearest: tap" in error
    assert not (tmp_path / "out").exists()


def test_wrong_layer_of_a_shipped_network(iibench, suite) -> None:
    path = suite(("{name: toynet, layers: [mixed]}", "{name: resnet50_cifar10, layers: [layr1]}"))
    error = clean(iibench("run", path))
    assert f"{path}: model resnet50_cifar10: unknown layer 'layr1'" in error
    assert "layer1" in error


@pytest.mark.slow
def test_negative_activations_into_nmf(iibench, suite, tmp_path: Path) -> None:
    path = suite(
        ("layers: [mixed]", "layers: [raw]"), ("{name: pick, k: [1, 2]}", "{name: nmf, k: 2}")
    )
    assert iibench("run", path, "-o", "out", "-k", "nmf").code == 1
    ((status, reason),) = cases(tmp_path / "out")
    assert status == "error"
    assert "negative" in reason


def test_more_clusters_than_images(iibench, suite, tmp_path: Path) -> None:
    path = suite(("{name: pick, k: [1, 2]}", "{name: kmeans, k: 999}"))
    assert iibench("run", path, "-o", "out", "-k", "kmeans").code == 1
    ((status, reason),) = cases(tmp_path / "out")
    assert status == "error"
    assert "999" in reason
    assert "240" in reason


def test_too_few_images_for_the_trials(iibench, suite, tmp_path: Path) -> None:
    done = iibench("run", suite(), "--limit", "30", "-o", "out", "-k", "insilico and difficulty=0,")
    assert done.code == 1
    ((status, reason),) = cases(tmp_path / "out")
    assert status == "error"
    assert "too few images for the trials" in reason
    assert "there are 30" in reason


FOLDER_SUITE = (("dataset: {name: toy}", "dataset: {name: image_folder, path: photos}"),)


def photos(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for label in ("cat", "dog"):
        folder = tmp_path / "photos" / label
        folder.mkdir(parents=True)
        for i in range(30):
            Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(folder / f"{i:02}.png")
    return tmp_path / "photos"


def test_grayscale_images_become_rgb(iibench, suite, tmp_path: Path) -> None:
    root = photos(tmp_path)
    gray = np.random.default_rng(1).integers(0, 256, (8, 8), np.uint8)
    Image.fromarray(gray).save(root / "cat" / "03.png")
    done = iibench("run", suite(*FOLDER_SUITE), "-o", "out", "-k", "neurons and ii")
    assert done.code == 0, done.out + done.err
    assert cases(tmp_path / "out") == {("passed", None)}


def test_a_corrupt_image_is_named(iibench, suite, tmp_path: Path) -> None:
    root = photos(tmp_path)
    (root / "dog" / "07.png").write_bytes(b"not an image")
    error = clean(iibench("run", suite(*FOLDER_SUITE), "-o", "out"))
    assert "dataset image_folder" in error
    assert "07.png" in error
    assert not (tmp_path / "out").exists()


def test_an_image_whose_pixels_are_cut_off_is_named(iibench, suite, tmp_path: Path) -> None:
    """Its header is whole: it shows when its pixels are read."""
    path = photos(tmp_path) / "dog" / "07.png"
    path.write_bytes(path.read_bytes()[:-60])
    everything = (("{name: toy}", "{name: image_folder, path: photos, evaluate: all}"),)
    done = iibench("run", suite(*everything), "-o", "out", "-k", "neurons and ii")
    assert done.code == 1
    assert "Traceback" not in done.out + done.err
    assert {status for status, _ in cases(tmp_path / "out")} == {"error"}
    assert all("07.png" in reason for _, reason in cases(tmp_path / "out"))


def test_a_folder_of_images_that_is_not_there(iibench, suite, tmp_path: Path) -> None:
    photos(tmp_path)
    path = suite(("dataset: {name: toy}", "dataset: {name: image_folder, path: fotos}"))
    error = clean(iibench("run", path, "-o", "out"))
    assert f"{path}: dataset image_folder: path: there is no" in error
    assert "nearest" in error
    assert "photos" in error


def test_unwritable_output(iibench, suite, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot be written" in clean(iibench("run", suite(), "-o", "file/out"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "toy.yaml"]


def test_cuda_where_there_is_none(iibench, suite, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    error = clean(iibench("run", suite(), "--device", "cuda"))
    assert "--device cuda" in error
    assert "usable: cpu" in error


CONTENT = bytes(range(256)) * 400


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bytes, int], None]]:
    """Serves `body` with a Content-Length of `length` and breaks the connection after it."""
    state = {"body": CONTENT, "length": len(CONTENT)}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(state["length"]))
            self.end_headers()
            self.wfile.write(state["body"])

        def log_message(self, *args: object) -> None:
            pass

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    monkeypatch.setenv("TOY_URL", f"http://127.0.0.1:{running.server_port}/toy.bin")
    monkeypatch.setenv("TOY_SHA256", hashlib.sha256(CONTENT).hexdigest())
    monkeypatch.setenv("TOY_SIZE", str(len(CONTENT)))

    def serve(body: bytes, length: int) -> None:
        state.update(body=body, length=length)

    yield serve
    running.shutdown()


def download(iibench, suite, tmp_path: Path) -> tuple[Done, set[tuple[str, str]]]:
    path = suite(("dataset: {name: toy}", "dataset: {name: toy_download}"))
    done = iibench("run", path, "-o", "out", "-k", "neurons and ii", "--cache-dir", "cache")
    assert "Traceback" not in done.out + done.err
    return done, cases(tmp_path / "out")


def test_a_download_that_works(iibench, suite, tmp_path: Path, server) -> None:
    done, found = download(iibench, suite, tmp_path)
    assert done.code == 0
    assert found == {("passed", None)}
    assets = run_json(tmp_path / "out")["assets"]
    assert assets == {"toy": {"filename": "toy.bin", "sha256": hashlib.sha256(CONTENT).hexdigest()}}


def test_an_interrupted_download_leaves_no_file_behind(
    iibench, suite, tmp_path: Path, server
) -> None:
    server(CONTENT[:1000], len(CONTENT))
    _, found = download(iibench, suite, tmp_path)
    ((status, reason),) = found
    assert status == "skipped"
    assert "toy.bin" in reason
    assert not list((tmp_path / "cache").rglob("toy.bin"))
    server(CONTENT, len(CONTENT))
    done, found = download(iibench, suite, tmp_path)
    assert done.code == 0
    assert found == {("passed", None)}


def test_a_hash_mismatch_is_refused(iibench, suite, tmp_path: Path, server) -> None:
    wrong = bytes(reversed(CONTENT))
    server(wrong, len(wrong))
    _, found = download(iibench, suite, tmp_path)
    ((status, reason),) = found
    assert status == "skipped"
    assert hashlib.sha256(CONTENT).hexdigest() in reason
    assert hashlib.sha256(wrong).hexdigest() in reason
    assert not list((tmp_path / "cache").rglob("toy.bin"))
