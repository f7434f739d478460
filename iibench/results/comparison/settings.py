"""What decides a run's numbers, as flat settings, and how two runs differ in them.

Read from `run.json`: the suite's text key by key, options, versions, fingerprints of data, weights,
metrics and plugins.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from iibench.contract.errors import SuiteError
from iibench.suite.yaml_lines import parse

#: Sections of a suite whose entries are told apart by their names.
NAMED = ("models", "layers", "finders", "metrics", "evaluations")
#: What an entry of a suite without parameters, or another thing without a value, is worth.
PRESENT = "there"
#: Keys of run.json that are settings of the run as they stand.
OPTIONS = ("seed", "limit", "keyword", "device", "dtype", "batch_size", "schema_version")
#: Records of run.json, label -> what is known of it, and the keys that decide its numbers.
RECORDS = {
    "datasets": ("version", "params"),
    "models": ("version", "params", "provenance"),
    "finders": ("version", "params"),
    "metrics": ("version", "params", "fingerprint", "size", "distance", "input"),
    "evaluations": ("version", "params"),
}
#: Groups of settings, in the order in which they are shown.
GROUPS = ("suite", "run", *RECORDS, "plugins", "assets", "versions", "machine")
#: Group, the thing in it (a label, a name, a path of the suite), and its property; "": that it is there.
Place = tuple[str, str, str]


@dataclass(frozen=True)
class SettingChange:
    """A setting that two runs do not share; None where a run does not have it."""

    group: str
    name: str
    a: str | None
    b: str | None


def setting_changes(a: Mapping[str, Any], b: Mapping[str, Any]) -> tuple[SettingChange, ...]:
    """The settings in which two runs (their `meta`) differ, group by group.

    Of a thing that only one of them has, that alone is told. Plugins of iibench that neither run used are
    left out.
    """
    used = plugins_used(a) | plugins_used(b)
    left, right = _settings(a, used), _settings(b, used)
    keys = sorted(left.keys() | right.keys(), key=lambda key: (GROUPS.index(key[0]), *key[1:]))
    alone = {
        (group, thing)
        for group, thing, key in left.keys() ^ right.keys()
        if not key and group in (*RECORDS, "plugins")
    }
    return tuple(
        SettingChange(group, f"{thing} {key}".strip(), left.get(place), right.get(place))
        for place in keys
        for group, thing, key in [place]
        if left.get(place) != right.get(place) and (not key or (group, thing) not in alone)
    )


def settings(meta: Mapping[str, Any]) -> dict[tuple[str, str], str]:
    """(group, name) -> value as text, of everything in a run's `meta` that decides its numbers."""
    return {
        (group, f"{thing} {key}".strip()): value
        for (group, thing, key), value in _settings(meta, plugins_used(meta)).items()
    }


def plugins_used(meta: Mapping[str, Any]) -> set[str]:
    """Names of the plugins that registered what the run used, as far as it records them."""
    records = (record for group in RECORDS for record in (meta.get(group) or {}).values())
    return {record["plugin"] for record in records if record.get("plugin")}


def _settings(meta: Mapping[str, Any], used: set[str]) -> dict[Place, str]:
    found: dict[Place, str] = {}

    def add(group: str, thing: str, key: str, value: Any) -> None:
        if value is not None:
            found[group, thing, key] = plain(value)

    for name, value in suite_settings((meta.get("suite") or {}).get("text")):
        add("suite", name, "", value)
    for name in OPTIONS:
        add("run", name, "", None if meta.get(name) == "" else meta.get(name))
    add("run", "interrupted", "", meta.get("interrupted") or None)
    for override in meta.get("overrides") or ():
        key, _, value = override.partition("=")
        add("run", f"--set {key}", "", value)
    for label in meta.get("added_metrics") or ():
        add("run", f"--metric {label}", "", PRESENT)
    for group, keys in RECORDS.items():
        for label, record in (meta.get(group) or {}).items():
            add(group, label, "", PRESENT)
            for key, value in _record(group, record, keys):
                add(group, label, key, value)
    for plugin in meta.get("plugins") or ():
        name = plugin.get("name", "")
        if used and name not in used and plugin.get("source") == "first-party":
            continue
        add("plugins", name, "", PRESENT)
        for key in ("version", "sha256", "status"):
            add("plugins", name, key, plugin.get(key) or None)
    for name, asset in (meta.get("assets") or {}).items():
        add("assets", name, "", asset.get("sha256"))
    for group in ("versions", "machine"):
        for name, value in (meta.get(group) or {}).items():
            add(group, name, "", value)
    return found


def suite_settings(text: str | None) -> Iterator[tuple[str, Any]]:
    """Every key of a suite's text with its value; the whole text where it is no YAML mapping."""
    if not text:
        return
    try:
        value = parse(text, "suite").value
    except SuiteError:
        value = None
    if not isinstance(value, dict):
        yield "text", text
        return
    yield from _flat(value, ())


def plain(value: Any) -> str:
    """A value as it is shown: text as it is, everything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)


def _record(
    group: str, record: Mapping[str, Any], keys: tuple[str, ...]
) -> Iterator[tuple[str, Any]]:
    for key in keys:
        if key == "params":
            yield from (record.get("params") or {}).items()
        else:
            yield key, record.get(key)
    if group == "datasets":
        splits = record.get("splits") or {"evaluate": record}
        for role, split in splits.items():
            for key in ("split", "n", "fingerprint"):
                yield f"{role} {key}", split.get(key)
    if group == "models":
        weights = {path: one.get("sha256") for path, one in (record.get("weights") or {}).items()}
        for path, sha256 in (weights or {"": record.get("weights_sha256")}).items():
            yield f"{path} weights".strip(), sha256


def _flat(value: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inside in value.items():
            yield from _flat(inside, (*path, str(key)))
    elif isinstance(value, list) and path and path[-1] in NAMED and _entries(value):
        seen: dict[str, int] = {}
        for entry in value:
            keys = {"name": entry} if isinstance(entry, str) else dict(entry)
            name = str(keys.pop("name", None) or keys.pop("path", ""))
            seen[name] = seen.get(name, 0) + 1
            here = (*path, name if seen[name] == 1 else f"{name} ({seen[name]})")
            yield ".".join(here), PRESENT
            yield from _flat(keys, here)
    elif isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        for number, item in enumerate(value, 1):
            yield from _flat(item, (*path, str(number)))
    else:
        yield ".".join(path), "none" if value is None else value


def _entries(value: list[Any]) -> bool:
    """Whether every item is a name, or a mapping that has one."""
    return all(
        isinstance(item, str) or (isinstance(item, dict) and ("name" in item or "path" in item))
        for item in value
    )


MISSING = "-"


def setting(value: str | None, other: str | None = None) -> str:
    """A setting's value on one line; hashes and long text are cut, where that tells it from `other`."""
    if value is None:
        return "not there"
    line = " ".join(value.split())
    short = line[:12] if len(line) == 64 and " " not in line else line[:60]
    if short == line or (other is not None and " ".join(other.split()).startswith(short)):
        return line
    return f"{short}…"
