"""The list of plugins, for `iibench plugin ls` and `iibench ls plugins`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from iibench.hooks.loaded import PluginRecord


def plugin_lines(record: PluginRecord, verbose: bool = False) -> Iterator[str]:
    """One plugin: name, status, source, distribution and version, what it registers, why it is not used.

    `verbose` adds its file and, for one that broke, where it did.
    """
    state = "" if record.status == "ok" else f"  {record.status.upper()}"
    origin = f"{record.distribution} {record.version}".strip() or record.module
    yield f"{record.name}  ({record.source}, {origin}){state}"
    if record.registers:
        yield f"    registers: {', '.join(record.registers)}"
    if record.reason:
        yield f"    reason: {record.reason}"
    if not verbose:
        return
    if record.path:
        yield f"    file: {record.path}"
    for line in record.details.splitlines():
        yield f"    {line}"
