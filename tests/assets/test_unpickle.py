"""iibench.assets.unpickle against pickle itself, and against pickles that ask for more than arrays."""

from __future__ import annotations

import io
import pickle
import struct
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from iibench.assets.unpickle import load_numpy_pickle
from iibench.contract.errors import UsageError

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
CONTENT: dict[str, Any] = {
    "zeros": np.zeros((2, 3), np.float32),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "big endian": np.arange(3, dtype=">i2"),
    "text": np.array(["ab", "c"]),
    "bytes": np.array([b"ab", b"c"]),
    "no rows": np.zeros((0, 3)),
    "no axes": np.array(5),
    "complex": np.ones(2, np.complex64),
    "scalar": np.float64(3),
    "nested": {"set": {1, 2}, "tuple": (1, [np.array([True])]), "raw": b"", 3: None},
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_reads_what_pickle_reads(protocol: int) -> None:
    found = load_numpy_pickle(pickle.dumps(CONTENT, protocol))
    assert found.keys() == CONTENT.keys()
    for name, expected in CONTENT.items():
        np.testing.assert_equal(found[name], expected)
        assert type(found[name]) is type(expected)
        if isinstance(expected, np.ndarray):
            assert found[name].dtype == expected.dtype
            assert found[name].flags.writeable
    assert found["fortran"].flags.f_contiguous


def test_reads_an_open_file_and_keeps_shared_arrays_shared() -> None:
    array = np.arange(4)
    found = load_numpy_pickle(io.BytesIO(pickle.dumps([array, array])))
    assert found[0] is found[1]


@settings(max_examples=60, deadline=None)
@given(
    array=hnp.arrays(
        dtype=hnp.scalar_dtypes().filter(lambda d: d.kind in "biufc" and d.itemsize <= 16),
        shape=hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
    ),
    protocol=st.sampled_from(PROTOCOLS),
)
def test_any_array_survives(array: np.ndarray[Any, Any], protocol: int) -> None:
    found = load_numpy_pickle(pickle.dumps(array, protocol))
    np.testing.assert_array_equal(found, array)
    assert found.dtype == array.dtype
    assert found.shape == array.shape


def python2_batch(data: np.ndarray[Any, Any], labels: list[int]) -> bytes:
    """{"data": data, "labels": labels} as Python 2 pickled it: strings of bytes, protocol 2."""

    def text(value: bytes) -> bytes:
        return b"U" + bytes([len(value)]) + value

    def number(value: int) -> bytes:
        return b"J" + struct.pack("<i", value)

    dtype = b"cnumpy\ndtype\n" + text(b"u1") + b"K\x00K\x01\x87R"
    dtype += b"(K\x03" + text(b"|") + b"NNN" + number(-1) + number(-1) + b"K\x00tb"
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + text(b"b") + b"\x87R"
    )
    rows, columns = data.shape
    raw = data.tobytes()
    array += b"(K\x01" + number(rows) + number(columns) + b"\x86" + dtype + b"\x89"
    array += b"T" + struct.pack("<I", len(raw)) + raw + b"tb"
    numbers = b"](" + b"".join(number(label) for label in labels) + b"e"
    return b"\x80\x02}(" + text(b"data") + array + text(b"labels") + numbers + b"u."


@pytest.mark.parametrize(("encoding", "kind"), [("bytes", bytes), ("latin1", str)])
def test_reads_batches_of_python_2(encoding: str, kind: type) -> None:
    data = np.arange(2 * 200, dtype=np.int64).astype(np.uint8).reshape(2, 200)
    written = python2_batch(data, [3, 9])
    found = load_numpy_pickle(written, encoding=encoding)
    expected = pickle.loads(written, encoding=encoding)
    assert {type(key) for key in found} == {kind}
    assert found.keys() == expected.keys()
    np.testing.assert_array_equal(next(iter(found.values())), data)
    assert list(found.values())[1] == [3, 9]


class Asks:
    """Pickles as a call of `function` with `arguments`."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.call


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_malicious_pickle_runs_nothing_and_is_named(protocol: int, tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    with pytest.raises(UsageError, match=r"io\.open|_io\.open|builtin.*\.open"):
        load_numpy_pickle(pickle.dumps({"a": [Asks(open, str(witness), "w")]}, protocol))
    assert not witness.exists()


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (eval, "eval"),
        (OrderedDict(a=1), "OrderedDict"),
        (Path("x"), "Path"),
        (np.random.default_rng(0), "numpy.random"),
        (np.array([1, None], object), "dtype 'O8'"),
        (np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f4")]), "fields"),
        (np.array(["2020-01-01"], "M8[D]"), "M8"),
        (np.ma.masked_array([1], [True]), "ma"),
        (Asks(np.ndarray, (1,), "O"), "numpy.ndarray directly"),
        (np.ndarray, "function"),
    ],
)
def test_anything_else_is_refused_by_name(content: object, named: str) -> None:
    with pytest.raises(UsageError, match=named):
        load_numpy_pickle(pickle.dumps(content))


def test_a_shape_larger_than_the_data_is_refused() -> None:
    written = bytearray(pickle.dumps(np.zeros(3, np.uint8), 3))
    at = written.index(b"K\x01K\x03\x85")
    written[at + 3] = 200
    with pytest.raises(UsageError, match=r"shape \(200,\)"):
        load_numpy_pickle(bytes(written))


@pytest.mark.parametrize(
    "written",
    [
        b"\x80\x02Nr\xff\xff\xff\x0f.",  # LONG_BINPUT
        b"Np268435455\n.",  # PUT
    ],
)
def test_a_few_bytes_cannot_ask_for_gigabytes(written: bytes) -> None:
    with pytest.raises(UsageError, match="place 268435455 of its memo"):
        load_numpy_pickle(written)


def test_items_without_bytes_are_refused() -> None:
    small = pickle.dumps(np.zeros((3,), "V0").view(), 2).replace(b"V0", b"S0")
    with pytest.raises(UsageError):
        load_numpy_pickle(small)


@settings(max_examples=150, deadline=None)
@example(at=7055, change=70, cut=496)
@given(
    at=st.integers(0, 10_000),
    change=st.integers(1, 255),
    cut=st.one_of(st.none(), st.integers(0, 10_000)),
)
def test_damage_ends_in_a_usage_error_or_in_a_value(at: int, change: int, cut: int | None) -> None:
    written = bytearray(pickle.dumps(CONTENT, 2))
    written[at % len(written)] ^= change
    cut_to = len(written) if cut is None else cut % len(written)
    try:
        found = load_numpy_pickle(bytes(written[:cut_to]))
    except UsageError as error:
        assert str(error)
    else:  # the changed byte may end the pickle early (STOP), before the cut
        assert not callable(found)


@given(cut=st.integers(0, 10_000))
def test_a_pickle_that_is_cut_off_is_refused(cut: int) -> None:
    written = pickle.dumps(CONTENT, 2)
    with pytest.raises(UsageError):
        load_numpy_pickle(written[: cut % len(written)])
