"""Standard output that has no reader, no room, no sign for a sign, or does not wait."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import pytest

from iibench.cli.main import main
from iibench.cli.terminal.streams import lost_output, steady_output

Output = Callable[[TextIO], TextIO]
FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="there is no device that is full")


@pytest.fixture(autouse=True)
def error_output_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", sys.stderr)


@pytest.fixture
def output(monkeypatch: pytest.MonkeyPatch) -> Output:
    """Makes a stream the program's standard output; gives what `steady_output` makes of it."""

    def become(stream: TextIO) -> TextIO:
        monkeypatch.setattr(sys, "stdout", stream)
        steady_output()
        return sys.stdout

    return become


@pytest.mark.parametrize("write_through", [True, False])
def test_a_pipe_that_nobody_reads_any_more(output: Output, write_through: bool) -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w", encoding="utf-8") as stream:
        stream.reconfigure(write_through=write_through)
        made = output(stream)
        os.close(reading)
        for _ in range(3):
            print("a line", flush=True)
        assert made is not stream
        assert lost_output() is None


@needs_full
def test_a_disk_without_room_is_told_at_the_end(
    output: Output, capsys: pytest.CaptureFixture[str]
) -> None:
    with FULL.open("w", encoding="utf-8") as stream:
        output(stream)
        print("a line", flush=True)
        lost = lost_output()
        assert lost is not None
        assert lost.strerror == "No space left on device"


@needs_full
def test_the_program_ends_with_an_error_where_its_output_has_no_room(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with FULL.open("w", encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        with pytest.raises(SystemExit) as ended:
            main(["ls", "finders"])
    assert ended.value.code == 4
    err = capsys.readouterr().err
    assert err == "iibench: error: standard output cannot be written: No space left on device\n"


@pytest.mark.parametrize("write_through", [True, False])
def test_a_pipe_that_does_not_wait_gets_everything(output: Output, write_through: bool) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    found: list[bytes] = []

    def read() -> None:
        with os.fdopen(reading, "rb") as source:
            found.append(source.read())

    text = "0123456789abcde\n" * 40_000  # more than a pipe holds
    reader = threading.Thread(target=read)
    with os.fdopen(writing, "w", encoding="utf-8") as stream:
        stream.reconfigure(write_through=write_through)
        output(stream)
        reader.start()
        sys.stdout.write(text)
        sys.stdout.flush()
    reader.join()
    assert found == [text.encode()]


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_a_sign_that_the_encoding_lacks_is_replaced(
    output: Output, tmp_path: Path, encoding: str
) -> None:
    with (tmp_path / "out").open("w", encoding=encoding) as stream:
        output(stream)
        print("│ mean ≥ 0 caf\udce9", flush=True)
    assert (tmp_path / "out").read_bytes() == b"? mean ? 0 caf?\n"


def test_no_output_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    steady_output()
    with sys.stdout:
        print("a line")
        assert lost_output() is None
