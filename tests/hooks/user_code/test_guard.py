"""What code that ends programs does to a part of a run, and what Ctrl-C does."""

from __future__ import annotations

import signal
import threading

import pytest

from iibench.contract.errors import PluginError
from iibench.hooks.user_code.guard import contained


class Own(BaseException):
    """An error of somebody's own."""


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (SystemExit(0), "SystemExit: 0"),
        (SystemExit("no data"), "SystemExit: no data"),
        (KeyboardInterrupt(), "KeyboardInterrupt: no message"),
        (GeneratorExit(), "GeneratorExit: no message"),
        (Own("so"), "Own: so"),
    ],
)
def test_it_is_an_error_that_says_whose_and_where(error: BaseException, text: str) -> None:
    with (
        pytest.raises(PluginError, match=rf"^plugin mine raised {text} \(.*test_guard\.py:\d+\)$"),
        contained("plugin mine"),
    ):
        raise error
    with (
        pytest.raises(PluginError, match=f"^the author of {type(error).__name__} raised"),
        contained(lambda raised: f"the author of {type(raised).__name__}"),
    ):
        raise error


def test_other_errors_are_what_they_are() -> None:
    with pytest.raises(ValueError, match="^so$"), contained("plugin mine"):
        raise ValueError("so")


@pytest.mark.parametrize("depth", [1, 2])
def test_ctrl_c_is_no_error_of_a_plugin(depth: int) -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), contained("one"):
        if depth == 1:
            signal.raise_signal(signal.SIGINT)
        with contained("other"):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
    with pytest.raises(PluginError), contained("one"):  # what was pressed before does not count
        raise KeyboardInterrupt


def test_where_others_handle_ctrl_c_it_cannot_be_told() -> None:
    before = signal.signal(signal.SIGINT, lambda number, frame: None)
    try:
        with pytest.raises(KeyboardInterrupt), contained("one"):
            raise KeyboardInterrupt
    finally:
        signal.signal(signal.SIGINT, before)


def test_no_thread_but_the_main_one_is_interrupted() -> None:
    found: list[str] = []

    def work() -> None:
        try:
            with contained("one"):
                raise KeyboardInterrupt
        except PluginError as error:
            found.append(str(error))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found[0].startswith("one raised KeyboardInterrupt")
