"""The results as JSON and Markdown. Rows that were not run this time are kept as they are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.benchmarks.machine import described

JSON, MARKDOWN = "benchmarks.json", "benchmarks.md"

HEADING = """\
# Benchmarks

iibench and its peer on the same inputs, each in a process of its own on a CPU in float32, in turn: one
warm-up of each, then the repetitions. Times and ratios are medians (smallest to largest); a ratio is
that of two repetitions that ran one after the other. What both compute is compared each time. Memory is
the largest of the process, and of that what is beyond libraries and inputs. Absolute times depend on the
machine and its load.
"""


def write(folder: Path, found: list[dict[str, Any]], order: list[str]) -> None:
    """Merges the rows `found` into the folder's results by name; `order`: of all names."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / JSON
    kept = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else []
    rows = {row["name"]: row for row in [*kept, *found]}
    names = [name for name in order if name in rows]
    chosen = [rows[name] for name in [*names, *sorted(set(rows) - set(names))]]
    path.write_text(json.dumps({"rows": chosen}, indent=1) + "\n", encoding="utf-8")
    (folder / MARKDOWN).write_text(markdown(chosen), encoding="utf-8")


def markdown(rows: list[dict[str, Any]]) -> str:
    """The page of all rows."""
    peers = [row for row in rows if row["kind"] == "peer"]
    runs = [row for row in rows if row["kind"] == "run"]
    parts = [HEADING]
    if peers:
        parts.append(_peer_table(peers))
        parts.append(_memory_table(peers))
        parts.append("## What the rows are\n\n" + "\n".join(_explained(row) for row in peers))
    parts += [_run_section(row) for row in runs]
    parts.append("## Where and when\n\n" + "\n".join(_places(rows)))
    return "\n".join(part.rstrip() + "\n" for part in parts)


def _peer_table(rows: list[dict[str, Any]]) -> str:
    lines = [
        "| row | ours (s) | peer (s) | ratio | goal | reached |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        most = row["ratio"]["of"] == "ours / limit"
        goal = f"{'at most ' if most else ''}{row['goal']['ratio']:g} x{' or more' * (not most)}"
        if row["goal"]["memory_gib"] is not None:
            goal += f", under {row['goal']['memory_gib']:g} GiB"
        lines.append(
            f"| `{row['name']}` | {_spread(row['ours'])} | {_spread(row['theirs'])}"
            f"{' (scaled)' * (row['theirs']['scale'] != 1)} | {_spread(row['ratio'])}"
            f"{' of the limit' * most} | {goal} | {_yes(row['reached'])} |"
        )
    return "\n".join(lines)


def _memory_table(rows: list[dict[str, Any]]) -> str:
    lines = [
        "| row | ours: peak (MiB) | beyond inputs | peer: peak (MiB) | beyond inputs |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        cells = [
            f"{row[side][name]:,.0f}"
            for side in ("ours", "theirs")
            for name in ("mib_peak", "mib_beyond_inputs")
        ]
        lines.append(f"| `{row['name']}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def _explained(row: Mapping[str, Any]) -> str:
    compared = "The results agree" if row["compared"] else "There is nothing to compare"
    repeated = len(row["ours"]["seconds"])
    return (
        f"- `{row['name']}`: {row['work']}. Peer: {row['peer']}. Inputs: {row['inputs']}. "
        f"{compared}. {repeated} repetitions."
    )


def _run_section(row: Mapping[str, Any]) -> str:
    lines = [
        f"## `{row['work']}`",
        "",
        f"A process from start to page, on {row['inputs']}. Cold: the cache holds assets alone. Stages are "
        "those of the run of median length.",
        "",
        "| | seconds | runs | peak (MiB) | goal | reached |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    sides = [side for side in ("cold", "warm") if row[side]["seconds"]]
    for side in sides:
        one = row[side]
        lines.append(
            f"| {side} | {_spread(one)} | {len(one['seconds'])} | {one['mib_peak']:,.0f} | under "
            f"{one['goal']:g} s | {_yes(one['reached'])} |"
        )
    for side in sides:
        lines += ["", f"| stage, {side} | seconds |", "| --- | --- |"]
        lines += [f"| {name} | {s:.1f} |" for name, s in row[side]["stages"].items()]
    return "\n".join(lines)


def _places(rows: list[dict[str, Any]]) -> list[str]:
    """One entry per machine and command, with the rows and when they ran."""
    groups: dict[str, list[str]] = {}
    for row in rows:
        place = f"- {described(row['machine'])}; `{row['command']}`"
        groups.setdefault(place, []).append(
            f"  - `{row['name']}`: {row['date']}, load average {row['load_average']} at the start"
        )
    return [line for place, members in groups.items() for line in (place, *members)]


def _spread(values: Mapping[str, Any]) -> str:
    return f"{_digits(values['median'])} ({_digits(values['low'])} to {_digits(values['high'])})"


def _digits(value: float) -> str:
    """Three digits, or whole numbers."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _yes(reached: bool) -> str:
    return "yes" if reached else "**no**"
