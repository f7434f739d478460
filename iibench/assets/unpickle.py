"""Reads pickles of NumPy arrays without running anything that a pickle asks for.

A pickle is a program; NumPy's own constructors are not safe to hand to it either (`numpy.ndarray`
with an object dtype over a buffer turns bytes into pointers). So nothing of NumPy is called while the
pickle runs: its array and dtype constructors are answered by small stand-ins that only note what they
are told, and the arrays are made and checked afterwards. Admitted are arrays and scalars of booleans,
numbers and fixed-width strings in dicts, lists, tuples and sets.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

from iibench.contract.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

#: dtype codes as NumPy pickles them: kind and bytes per item.
_KINDS = "biufcSU"

#: What a broken or hostile pickle makes the unpickler raise.
_FAILURES = (
    pickle.UnpicklingError,
    EOFError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ImportError,
    OverflowError,
    MemoryError,
    RecursionError,
)


def load_numpy_pickle(file: BinaryIO | bytes, encoding: str = "ASCII") -> Any:
    """The content of a pickle that holds NumPy arrays, scalars and builtin containers only.

    `encoding` is that of Python 2's strings, as for `pickle.load`: "bytes" or "latin1" for the batches
    of CIFAR-10. Arrays are new, writable and in C or Fortran order as they were pickled.
    Raises `UsageError` naming what the pickle asked for where it asks for anything else, and where it
    is damaged.

    >>> import pickle
    >>> load_numpy_pickle(pickle.dumps({"labels": [3, 1]}))
    {'labels': [3, 1]}
    """
    written = file if isinstance(file, bytes) else file.read()
    try:
        _check_memo(written)
        return _finished(_NumpyUnpickler(io.BytesIO(written), encoding=encoding).load())
    except _FAILURES as error:
        reason = str(error) or type(error).__name__
        raise UsageError(f"not a readable pickle of NumPy arrays: {reason}") from error


def _check_memo(written: bytes) -> None:
    """Refuses memo places that no pickler would use.

    The unpickler makes room for the highest place that is written to: nine bytes can make it fill
    30 GB. Picklers count up from 0 (from 1 in Python 2), one place for one opcode at most.
    """
    for count, (opcode, place, _) in enumerate(pickletools.genops(written)):
        if not opcode.name.endswith("PUT"):  # PUT, BINPUT, LONG_BINPUT
            continue
        if isinstance(place, int) and place > count + 1:
            raise UsageError(f"refused: the pickle writes to place {place} of its memo")


class _NumpyUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str, /) -> Any:
        made = _ADMITTED.get((module.replace("numpy.core.", "numpy._core."), name))
        if made is None:
            raise UsageError(
                f"refused: the pickle asks for {module}.{name}; "
                "only NumPy arrays and builtin containers are read"
            )
        # A new function each time, since a pickle can write attributes to what it is given.
        return lambda *arguments: made(*arguments)


class _Type:
    """Stands for a dtype: `code` as in "f4", its byte order set by the state that follows."""

    def __init__(self, code: object, *flags: object) -> None:
        self.code = _text(code)
        self.order = "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, order, *structure = state[:5]
        if structure != [None, None, None]:
            raise UsageError("refused: the pickle holds an array with fields or sub-arrays")
        self.order = _text(order)

    def numpy(self) -> np.dtype[Any]:
        import numpy as np

        kind, width = self.code[:1], self.code[1:]
        if kind not in _KINDS or not width.isdecimal() or self.order not in {"<", ">", "=", "|"}:
            raise UsageError(
                f"refused: the pickle holds an array of dtype {self.code!r}; "
                "only booleans, numbers and fixed-width strings are read"
            )
        return np.dtype(self.code).newbyteorder(self.order)  # type: ignore[arg-type]


class _Array:
    """Stands for an array; what it holds comes with the state that follows."""

    def __init__(self, *arguments: object) -> None:
        self.made: npt.NDArray[Any] | None = None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, data = state
        self.made = _array(data, dtype, shape, "F" if fortran else "C")


def _array(data: Any, dtype: Any, shape: Any, order: str) -> npt.NDArray[Any]:
    import numpy as np

    kind = _type(dtype)
    raw = data.encode("latin1") if isinstance(data, str) else data
    if not isinstance(raw, bytes | bytearray):
        raise UsageError("refused: an array's data in the pickle is not a string of bytes")
    sides = (shape,) if isinstance(shape, int) else tuple(shape)
    if not all(isinstance(side, int) and side >= 0 for side in sides):
        raise ValueError(f"an array has the shape {sides}")
    if math.prod(sides) * kind.itemsize != len(raw):
        raise ValueError(f"an array of shape {sides} and dtype {kind} has {len(raw)} bytes of data")
    if not raw:
        if math.prod(sides):  # items of no bytes, which NumPy would make bytes of
            raise ValueError(f"an array of shape {sides} has no data")
        return np.zeros(sides, kind)
    flat = np.frombuffer(raw, kind).copy()
    return flat.reshape(sides, order="F" if order == "F" else "C")


def _scalar(dtype: Any, data: Any) -> Any:
    return _array(data, dtype, (1,), "C")[0]


def _type(dtype: Any) -> np.dtype[Any]:
    if not isinstance(dtype, _Type):
        raise UsageError(f"refused: the pickle gives {type(dtype).__name__} as a dtype")
    return dtype.numpy()


def _encode(text: Any, encoding: Any) -> bytes:
    """How protocols below 3 of Python 3 write bytes."""
    if _text(encoding) != "latin1":
        raise UsageError(f"refused: the pickle asks for the encoding {encoding!r}")
    return str(text).encode("latin1")


def _empty() -> bytes:
    return b""


def _not_called(*arguments: object) -> NoReturn:
    raise UsageError("refused: the pickle calls numpy.ndarray directly")


def _text(value: object) -> str:
    return value.decode("latin1") if isinstance(value, bytes) else str(value)


def _finished(value: Any) -> Any:
    """`value` with the arrays in place of what stood for them."""
    if isinstance(value, _Array):
        if value.made is None:
            raise ValueError("an array has no data")
        return value.made
    if isinstance(value, _Type):
        return value.numpy()
    if isinstance(value, dict):
        return {_finished(key): _finished(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return type(value)(_finished(item) for item in value)
    if callable(value):
        raise UsageError("refused: the pickle holds a function")
    return value


#: What a pickle may ask for and what it gets.
_ADMITTED: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "ndarray"): _not_called,
    ("numpy", "dtype"): _Type,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "scalar"): _scalar,
    ("numpy._core.numeric", "_frombuffer"): _array,
    ("_codecs", "encode"): _encode,
    ("__builtin__", "bytes"): _empty,  # protocols below 3 write b"" so
    ("builtins", "set"): set,
    ("builtins", "frozenset"): frozenset,
    ("__builtin__", "set"): set,
    ("__builtin__", "frozenset"): frozenset,
}
