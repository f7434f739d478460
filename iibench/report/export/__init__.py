"""A run in other formats: `export(run, "latex")` gives the file's bytes.

`FORMATS` names them. Nothing heavy is imported before a format is asked for.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from iibench.contract.errors import UsageError, unknown_name

if TYPE_CHECKING:
    from iibench.results.run import Run


@dataclass(frozen=True)
class Format:
    """A format: the ending of its files, what it holds, and where it is written.

    `text`: whether its bytes are text in UTF-8, which a terminal may show.
    """

    extension: str
    summary: str
    module: str
    function: str = "write"
    text: bool = True


FORMATS: dict[str, Format] = {
    "json": Format(
        "json", "cases, verdicts and provenance in one document with a schema", "results_json"
    ),
    "csv": Format("csv", "the leaderboard, a row per case", "table_files", "write_csv"),
    "parquet": Format("parquet", "the same as Parquet", "table_files", "write_parquet", text=False),
    "junit": Format("xml", "a case is a test case, an expectation too", "junit"),
    "markdown": Format("md", "a table per measure, best first", "markdown"),
    "latex": Format("tex", "the same tables with booktabs rules", "latex"),
    "bibtex": Format("bib", "the sources of everything that was used", "bibtex"),
}


def export(run: Run, name: str) -> bytes:
    """`run` in the format of that name; raises `UsageError`, with the nearest name, for an unknown one."""
    found = FORMATS.get(name)
    if found is None:
        raise UsageError(unknown_name("format", name, FORMATS))
    module = importlib.import_module(f"{__name__}.{found.module}")
    content: bytes = getattr(module, found.function)(run)
    return content


def results_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of the format `json`."""
    from iibench.report.export.results_json import results_schema as read

    return read()
