"""`python -m tests.hooks.deletion_table [FILE]`: a Markdown table of what goes with each plugin."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path

from tests.hooks.deletion import RUN, Copy, deleted, loaded, lost, program

HEAD = "| deleted | what it registered | gone | others broken | `ls` | `run quickstart --collect-only` |"


def main(file: Path | None) -> None:
    """Writes the table to `file`, or prints it."""
    with tempfile.TemporaryDirectory() as place:
        os.environ |= {"IIBENCH_CACHE": f"{place}/cache", "IIBENCH_DATA": f"{place}/data"}
        os.environ.pop("IIBENCH_PLUGINS", None)
        copy = Copy(Path(place))
        lines = [HEAD, "| --- | --- | --- | --- | --- | --- |"]
        with copy.without():
            before = loaded()
            program(*RUN, "-k", "ii", "-q", "-o", f"{place}/run")
        for record in before.records:
            found = deleted(copy, before, record.name)
            gone = "that alone" if found.gone == lost(before, record.name) else str(found.gone)
            broken = "; ".join(found.broken) or "none"
            missing = re.sub(r"\S*/", "", found.missing)  # where the suite lies
            ran = f"exit {found.collected.code}" + (f": {missing}" if missing else "")
            cells = (record.name, ", ".join(record.registers), gone, broken)
            lines.append(f"| {' | '.join(cells)} | exit {found.listed.code} | {ran} |")
            print(lines[-1], flush=True)
    if file is not None:
        file.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
