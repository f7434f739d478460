"""Fixtures that many tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[1] / "../shared"


@pytest.fixture
def shared() -> Path:
    """The development data folder beside the checkout; skips where it is missing."""
    if not SHARED.is_dir():
        pytest.skip("the development data folder ../shared is not there")
    return SHARED.resolve()


@pytest.fixture(autouse=True)
def _own_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's data, cache or plugin settings."""
    root = tmp_path_factory.mktemp("user")
    monkeypatch.setenv("IIBENCH_DATA", str(root / "data"))
    monkeypatch.setenv("IIBENCH_CACHE", str(root / "cache"))
    monkeypatch.delenv("IIBENCH_PLUGINS", raising=False)
    monkeypatch.delenv("IIBENCH_SHARED_CACHE", raising=False)
