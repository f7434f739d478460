"""The JavaScript libraries of pages: which files, unchanged, and under which licence."""

from __future__ import annotations

import hashlib
from importlib.resources import files

import pytest

from iibench.report.shared.output import DATATABLES, TABLES, libraries

FOLDER = files("iibench.report") / "datatables"

#: file -> (how it begins, SHA-256 of the file as its authors released it)
RELEASED = {
    "jquery.slim.min.js": (
        "/*! jQuery v3.7.1 ",
        "9261efb3407e3a9096e4654750d8eff6b3a663422f48845c7fbcc65034c340cf",
    ),
    "dataTables.min.js": (
        "/*! DataTables 2.3.8\n",
        "14003b703de0e0019277baff32ce03a0b8a1aba6a97c86bb4b67d430336085de",
    ),
}


@pytest.mark.parametrize("name", DATATABLES)
def test_a_library_is_as_released_with_its_licence_beside_it(name: str) -> None:
    content = (FOLDER / name).read_bytes()
    begin, digest = RELEASED[name]
    assert content.decode("utf-8").startswith(begin)
    assert hashlib.sha256(content).hexdigest() == digest
    licence = (FOLDER / f"{name.partition('.')[0]}.LICENSE.txt").read_text("utf-8")
    assert "Permission is hereby granted, free of charge" in licence


def test_the_page_gets_datatables_after_what_it_needs() -> None:
    script = libraries()[TABLES].decode("utf-8")
    (jquery, _), (tables, _) = (RELEASED[name] for name in DATATABLES)
    assert script.startswith(jquery)
    assert ";\n" + tables in script
    assert script.count("window.DataTable=") == 1
