"""`Details` as plain JSON and arrays, for the cache and for run folders.

Arrays are kept as they are; a number in JSON that is not finite becomes null, and null in an array of
numbers is read as NaN. Text columns of tables are NumPy arrays of `str` wherever they are read from.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from iibench.contract import details as kinds
from iibench.contract.details import Details
from iibench.contract.errors import PluginError, UsageError
from iibench.contract.measures import Measure
from iibench.contract.texts import writable
from iibench.results.details_check import problem_of

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

KINDS = {
    kind.__name__: kind
    for kind in (
        *(kinds.Axis, kinds.Series, kinds.XYPlot, kinds.Histogram, kinds.HeatMap),
        *(kinds.ImageMap, kinds.ImageRows, Details, Measure),
    )
}
#: The key that marks an array, and the one that marks a record, in plain JSON.
ARRAY, KIND = "array", "kind"


def checked(details: Details, label: str, images: int | None = None) -> Details:
    """The details of an evaluation of `images` images, their columns of text as arrays of `str`.

    Raises `PluginError` where they contradict themselves.
    """
    problem = problem_of(details, images)
    if problem is not None:
        raise PluginError(f"evaluation {label}: {problem}")
    tables = {
        name: {column: _column(values) for column, values in table.items()}
        for name, table in details.tables.items()
    }
    return dataclasses.replace(details, tables=tables)


def packed(details: Details) -> tuple[dict[str, Array], Any]:
    """(arrays by name, JSON that refers to them)."""
    arrays: dict[str, Array] = {}

    def keep(array: Array) -> Any:
        name = f"a{len(arrays)}"
        arrays[name] = _column(array)
        return {ARRAY: name}

    plain = _plain(details, keep)
    return arrays, plain


def unpacked(arrays: Mapping[str, Array], plain: Any) -> Details:
    """The reverse of `packed`."""
    found = _object(plain, lambda name: arrays[name])
    if not isinstance(found, Details):
        raise ValueError("these are no details")
    return found


def write_details(folder: Path, details: Details) -> None:
    """Writes `details.json` (numbers, figures) and a Parquet file per table into a new folder."""
    import pandas as pd

    folder.mkdir(parents=True)
    plain = _plain(dataclasses.replace(details, tables={}), _listed)
    text = json.dumps(plain, allow_nan=False, separators=(",", ":"))
    (folder / "details.json").write_text(text, encoding="utf-8")
    for name, table in details.tables.items():
        pd.DataFrame(dict(table)).to_parquet(folder / f"{name}.parquet", index=False)


def read_details(folder: Path) -> Details:
    """Reads them back; raises `UsageError`, which names the file, where one cannot be read."""
    file = folder / "details.json"
    try:
        plain = writable(json.loads(file.read_text(encoding="utf-8")))
        found = _object(plain, _array)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(f"{file} cannot be read: {_words(error)}") from error
    if not isinstance(found, Details):
        raise UsageError(f"{file} holds no details of an analysis")
    tables = {table.stem: _read_table(table) for table in sorted(folder.glob("*.parquet"))}
    return dataclasses.replace(found, tables=tables)


def _read_table(file: Path) -> dict[str, Array]:
    import pandas as pd

    try:
        frame = pd.read_parquet(file)
    except (OSError, ValueError) as error:  # what pyarrow raises are kinds of both
        raise UsageError(f"{file} cannot be read: {_words(error)}") from error
    return {str(name): _column(column.to_numpy()) for name, column in frame.items()}


def _words(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"there is no {text}" if isinstance(error, KeyError) else text or type(error).__name__


def _column(array: Array) -> Array:
    """Text as an array of `str` that UTF-8 can hold; everything else as it is."""
    if array.dtype.kind not in "OTU":
        return array
    return writable(array.astype(str))


def _plain(value: Any, keep: Callable[[Array], Any]) -> Any:
    if isinstance(value, np.ndarray):
        return keep(value)
    if isinstance(value, np.generic):
        return _plain(value.item(), keep)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: _plain(getattr(value, f.name), keep) for f in dataclasses.fields(value)}
        return {KIND: type(value).__name__, **fields}
    if isinstance(value, Mapping):
        return {"mapping": [[str(k), _plain(v, keep)] for k, v in value.items()]}
    if isinstance(value, tuple | list):
        return [_plain(item, keep) for item in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


def _object(plain: Any, array: Callable[[Any], Array]) -> Any:
    if isinstance(plain, list):
        return tuple(_object(item, array) for item in plain)
    if not isinstance(plain, dict):
        return plain
    if ARRAY in plain:
        return array(plain[ARRAY])
    if "mapping" in plain:
        return {name: _object(item, array) for name, item in plain["mapping"]}
    kind = KINDS[plain[KIND]]
    return kind(**{name: _object(item, array) for name, item in plain.items() if name != KIND})


def _listed(array: Array) -> Any:
    """An array within JSON: its values as (nested) lists, None for NaN and infinity."""
    values = array.astype(object)
    if array.dtype.kind == "f":
        values[~np.isfinite(array)] = None
    return {
        ARRAY: {
            "dtype": "str" if array.dtype.kind in "OUT" else array.dtype.str,
            "shape": list(array.shape),
            "values": values.tolist(),
        }
    }


def _array(stored: Mapping[str, Any]) -> Array:
    dtype = np.dtype(stored["dtype"])
    made = np.float64 if dtype.kind == "f" else dtype
    found: Array = np.array(stored["values"], dtype=made).astype(dtype, copy=False)
    # an array without rows does not say how many columns it has
    return found.reshape(stored.get("shape", found.shape))
