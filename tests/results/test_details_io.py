"""What analyses found, as files and as what the cache keeps: every kind of figure, tables, mistakes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from iibench.contract.details import (
    Axis,
    Details,
    HeatMap,
    Histogram,
    ImageMap,
    ImageRows,
    Series,
    XYPlot,
)
from iibench.contract.errors import PluginError, UsageError
from iibench.contract.measures import Measure
from iibench.results.details_io import checked, packed, read_details, unpacked, write_details

X = np.array([0.5, np.nan, 2.0])
HOSTILE = '<script>alert("x")</script> & 😀 \\ \x00\x07'


def alike(a: Any, b: Any) -> bool:
    """Whether two details hold the same values, of the same types; NaN is like NaN."""
    if dataclasses.is_dataclass(a):
        return type(a) is type(b) and all(
            alike(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a)
        )
    if isinstance(a, np.ndarray):
        nan = a.dtype.kind == "f"
        return a.dtype.kind == b.dtype.kind and np.array_equal(a, b, equal_nan=nan)
    if isinstance(a, dict):
        return list(a) == list(b) and all(alike(a[key], b[key]) for key in a)
    if isinstance(a, tuple):
        return len(a) == len(b) and all(alike(x, y) for x, y in zip(a, b, strict=True))
    return type(a) is type(b) and a == b


def everything() -> Details:
    """Details with every kind of figure, column and missing value."""
    points = Series("points", X, X[::-1], text=("a", HOSTILE, ""), units=np.array([0, 5, 2]))
    line = Series("fit", X[[0, 2]], X[[0, 2]], True, np.zeros(2), np.ones(2))
    counts = np.array([3, 0], np.int64)
    table = {
        "float": X,
        "single": X.astype(np.float32),
        "whole": np.array([1, -2, 2**60]),
        "small": np.array([1, 2, 3], np.uint8),
        "truth": np.array([True, False, True]),
        "text": np.array(["a", HOSTILE.rstrip("\x00"), ""]),
    }
    return Details(
        (
            Measure("rho", 0.25, low=-0.1, high=0.5, n=12, units=12),
            Measure("rho", 0.5, {"layer": "é"}, n=3),
            Measure("gone", None, n=0, reason="too few"),
        ),
        "rho",
        (
            XYPlot("xy", Axis("x (a)", log=True), Axis("y"), (points, line), "Read it."),
            Histogram("h", Axis("value"), np.array([0.0, 0.5, 2]), counts, "Read it.", Axis("n")),
            HeatMap(
                *("heat", Axis("x"), Axis("y"), ("1", "2"), ("a",)),
                *(np.array([[np.nan, -1.5]]), "II (unit)", "Read it."),
            ),
            ImageMap(
                *("map", X[[0, 2]], X[[0, 2]], np.array([4, 9], np.int64)),
                {"number": X[:2], "colour": ("#00ff00", "#a0b1c2"), "class": ("cat", HOSTILE)},
                "Point at them.",
            ),
            ImageRows("rows", (("first", (1, 2, 3)), ("none", ())), "MEIs."),
        ),
        {"units": table, "empty_1": {"value": np.zeros(0), "name": np.array([], str)}},
        ("A note.", HOSTILE),
    )


def test_everything_comes_back_from_a_folder(tmp_path: Path) -> None:
    details = checked(everything(), "x")
    write_details(tmp_path / "details", details)
    names = {file.name for file in (tmp_path / "details").iterdir()}
    assert names == {"details.json", "units.parquet", "empty_1.parquet"}
    found = read_details(tmp_path / "details")
    assert alike(found, dataclasses.replace(details, tables=dict(sorted(details.tables.items()))))
    json.loads((tmp_path / "details/details.json").read_text(), parse_constant=pytest.fail)


def test_everything_comes_back_from_the_cache() -> None:
    details = checked(everything(), "x")
    arrays, plain = packed(details)
    text = json.dumps(plain, allow_nan=False)
    assert all(array.dtype.kind != "O" for array in arrays.values())
    assert alike(unpacked(arrays, json.loads(text)), details)


def test_numbers_of_numpy_are_plain_in_json(tmp_path: Path) -> None:
    measure = Measure("rho", np.float64(0.5), low=np.float64(np.nan), high=None, n=np.int64(3))
    write_details(tmp_path / "d", Details((measure,), "rho"))
    found = read_details(tmp_path / "d").measures[0]
    assert found == Measure("rho", 0.5, n=3)
    assert type(found.value) is float
    assert type(found.n) is int


def test_columns_of_objects_are_text_however_they_are_read(tmp_path: Path) -> None:
    column = np.array(["a", "bc", "\udcff"], dtype=object)  # a folder's name that is no UTF-8
    details = checked(Details((Measure("m", 1.0),), "m", tables={"t": {"name": column}}), "x")
    write_details(tmp_path / "d", details)
    arrays, plain = packed(details)
    for found in (details, read_details(tmp_path / "d"), unpacked(arrays, plain)):
        assert found.tables["t"]["name"].dtype.kind == "U"
        assert found.tables["t"]["name"].tolist() == ["a", "bc", r"\udcff"]


ARRAYS = st.one_of(
    hnp.arrays(np.float64, st.integers(0, 5), elements=st.floats(allow_infinity=False)),
    hnp.arrays(np.float32, st.integers(0, 5), elements=st.floats(allow_infinity=False, width=32)),
    hnp.arrays(np.int64, st.integers(0, 5)),
    hnp.arrays(np.bool_, st.integers(0, 5)),
    st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8")), max_size=4).map(
        lambda words: np.array(words, dtype=str)
    ),
)


@pytest.mark.slow
@given(
    x=hnp.arrays(
        np.float64,
        hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=4),
        elements=st.floats(allow_infinity=False),
    ),
    columns=st.dictionaries(st.from_regex(r"[A-Za-z0-9_]*[a-z0-9]", fullmatch=True), ARRAYS),
    text=st.text(st.characters(codec="utf-8"), min_size=1),
)
def test_arrays_and_text_come_back(tmp_path_factory, x, columns, text) -> None:
    rows, across = (tuple(f"{text}{k}" for k in range(n)) for n in x.shape)
    heat = HeatMap("t" + text, Axis("x"), Axis("y"), across, rows, x, "v", "c" + text)
    tables = {f"t{i}": {name: column} for i, (name, column) in enumerate(columns.items())}
    made = Details((Measure("m", 1.0),), "m", (heat,), tables, ("n" + text,))
    details = checked(made, "x")
    folder = tmp_path_factory.mktemp("d") / "details"
    write_details(folder, details)
    # folders are read by the names of their files
    by_name = dataclasses.replace(details, tables=dict(sorted(details.tables.items())))
    assert alike(read_details(folder), by_name)
    arrays, plain = packed(details)
    assert alike(unpacked(arrays, json.loads(json.dumps(plain, allow_nan=False))), details)


# ------------------------------------------------------------------------------------ mistakes


def _xy(**changes: Any) -> Details:
    series = Series("s", X, X)
    plot = XYPlot("t", Axis("x"), Axis("y"), (series,), "c")
    inner = {k: v for k, v in changes.items() if hasattr(series, k) and k not in ("x", "y")}
    inner |= {k[7:]: v for k, v in changes.items() if k.startswith("series_")}
    outer = {k: v for k, v in changes.items() if k not in inner and not k.startswith("series_")}
    plot = dataclasses.replace(plot, series=(dataclasses.replace(series, **inner),))
    return _of(dataclasses.replace(plot, **outer))


def _of(*figures: Any) -> Details:
    return Details((Measure("m", 1.0),), "m", figures)


def _table(**columns: Any) -> Details:
    return Details((Measure("m", 1.0),), "m", tables={"t": columns})


def _named(name: str) -> Details:
    return Details((Measure("m", 1.0),), "m", tables={name: {"a": X}})


MISTAKES = {
    "headline": (Details((Measure("m", 1.0),), "rho"), "its headline 'rho' is none of its"),
    "headline of a group": (Details((Measure("m", 1.0, {"a": "b"}),), "m"), "is none of"),
    "two of a name": (Details((Measure("m", 1.0), Measure("m", 2.0)), "m"), "2 measures called"),
    "NaN": (Details((Measure("m", float("nan")),), "m"), "the value of its measure m is nan"),
    "infinite": (Details((Measure("m", 1.0, low=float("-inf"), high=1),), "m"), "the low of"),
    "no reason": (Details((Measure("m", None),), "m"), "has no value and no reason"),
    "one end": (Details((Measure("m", 1.0, low=0.0),), "m"), "one end of an interval"),
    "turned": (Details((Measure("m", 1.0, low=2.0, high=0.0),), "m"), "ends before it begins"),
    "note": (Details((Measure("m", 1.0),), "m", notes=(" ",)), "a note is ' '"),
    "figure": (_of("a plot"), "str is no kind of figure"),
    "title": (_xy(title=" "), "a figure (XYPlot) has no title"),
    "caption": (_xy(caption=""), "its figure 't' has no caption"),
    "axis": (_xy(x=Axis("")), "its figure 't' has an axis x without a title"),
    "y": (_xy(series_y=X[:2]), "y of the series 's' has shape (2,) and x (3,)"),
    "text": (_xy(text=("a",)), "text of the series 's' has shape (1,)"),
    "units": (_xy(units=np.arange(4)), "units of the series 's' has shape (4,)"),
    "matrix": (_xy(series_x=np.ones((3, 1))), "x of the series 's' has shape (3, 1)"),
    "band": (_xy(low=X), "the band of the series 's' has one side only"),
    "infinity": (_xy(series_y=np.array([1, np.inf, 2])), "y of the series 's' is infinite"),
    "no series": (_xy(series=()), "there are no series"),
    "edges": (
        _of(Histogram("t", Axis("x"), X, np.array([1, 2, 3]), "c")),
        "3 counts have 3 edges",
    ),
    "edges fall": (
        _of(Histogram("t", Axis("x"), np.array([1.0, 0]), np.array([1]), "c")),
        "its edges do not rise",
    ),
    "heat map": (
        _of(HeatMap("t", Axis("x"), Axis("y"), ("a", "b"), ("c",), np.ones((2, 1)), "v", "c")),
        "values have shape (2, 1); expected (1, 2)",
    ),
    "heat map's values": (
        _of(HeatMap("t", Axis("x"), Axis("y"), ("a",), ("c",), np.ones((1, 1)), "", "c")),
        "it does not say what its values are",
    ),
    "colouring": (
        _of(ImageMap("t", X, X, np.arange(3), {"label": ("a",)}, "c")),
        "the colouring 'label' has shape (1,) and x (3,)",
    ),
    "no colouring": (_of(ImageMap("t", X, X, np.arange(3), {}, "c")), "there is no colouring"),
    "images": (
        _of(ImageMap("t", X, X, np.arange(2), {"a": X}, "c")),
        "images has shape (2,) and x (3,)",
    ),
    "row": (_of(ImageRows("t", (("", (1,)),), "c")), "a row has no caption"),
    "lengths": (_table(a=X, b=X[:2]), "its table t: its columns differ in length: {'a': 3"),
    "list": (_table(a=[1, 2]), "the column a is no array with one value per row"),
    "matrix column": (_table(a=np.ones((2, 2))), "the column a is no array with one value"),
    "objects": (_table(a=np.array(["a", None], object)), "the column a holds object"),
    "dates": (_table(a=np.array(["2020-01-01"], "M8[D]")), "the column a holds datetime64"),
    "no columns": (_table(), "its table t has no columns"),
    "escape": (_named("../run"), "'../run' is no name for a table; expected letters, digits and _"),
    "absolute": (_named("/etc/x"), "is no name for a table"),
    "dot": (_named("a.b"), "is no name for a table"),
    "letters": (_named("größe"), "is no name for a table"),
    "empty": (_named(""), "is no name for a table"),
    "newline": (_named("a\n"), "is no name for a table"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_what_contradicts_itself_is_told(name: str) -> None:
    details, words = MISTAKES[name]
    with pytest.raises(PluginError) as caught:
        checked(details, "mine[k=3]")
    assert str(caught.value).startswith("evaluation mine[k=3]: ")
    assert words in str(caught.value)


def test_nothing_is_wrong_with_the_others() -> None:
    for details in (everything(), _xy(), _table(a=X), _named("A_9")):
        checked(details, "mine")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_details(tmp_path / "d", checked(everything(), "x"))
    return tmp_path / "d"


@pytest.mark.parametrize(
    "content",
    [
        *("", "{", "[]", "3", "null", '{"kind": "Axis", "title": "x", "log": false}'),
        *('{"kind": "Nothing"}', '{"kind": "Details"}', '{"a": 1}', '{"kind": ["x"]}'),
        *('{"array": 3}', '{"array": {"dtype": "f8", "values": ["x"]}}', '{"mapping": 3}'),
        '{"array": {"dtype": "spam", "values": []}}',
        pytest.param("[" * 100_000, id="deep"),
    ],
)
def test_a_damaged_file_is_named(folder: Path, content: str) -> None:
    (folder / "details.json").write_text(content)
    with pytest.raises(UsageError, match=r"details\.json (cannot be read: .|holds no details)"):
        read_details(folder)


def test_bytes_that_are_no_text_are_told(folder: Path) -> None:
    (folder / "details.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match=r"details\.json cannot be read"):
        read_details(folder)


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "details.json").unlink()
    with pytest.raises(UsageError, match=r"details\.json cannot be read: .*No such file"):
        read_details(folder)


@pytest.mark.parametrize("keep", [0, 4, 100])
def test_a_damaged_table_is_named(folder: Path, keep: int) -> None:
    file = folder / "units.parquet"
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(UsageError, match=r"units\.parquet cannot be read: ."):
        read_details(folder)


def test_the_folder_must_be_new(folder: Path) -> None:
    with pytest.raises(FileExistsError):
        write_details(folder, everything())
