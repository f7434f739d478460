"""The finders that the methods of a table are compared with, as a page names them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from iibench.results.leaderboard import ROLES


@dataclass(frozen=True)
class Against:
    """A finder to compare with: its name, and its directions in a sentence."""

    name: str
    called: str


def against(meta: Mapping[str, Any], rows: Sequence[Mapping[Any, Any]]) -> dict[str, Against]:
    """Role -> what the leaderboard's `rows` of a table are compared with.

    Where nothing is compared, the run's first finder of that role; without one, the role itself.
    """
    finders: Mapping[str, Mapping[str, Any]] = meta.get("finders") or {}
    found = {}
    for role in ROLES:
        labels = [row[role] for row in rows if isinstance(row.get(role), str)]
        labels += [label for label, record in finders.items() if record.get("role") == role]
        record = finders.get(labels[0], {}) if labels else {}
        name = str(record.get("name") or role)
        called = str(record.get("called") or (name if record else f"a {role}"))
        found[role] = Against(name, called)
    return found
