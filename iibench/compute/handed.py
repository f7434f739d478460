"""What plugins are handed: arrays that cannot be written to, and a look afterwards at what could be.

NumPy keeps a read-only array from being changed; torch does not, and a tensor made of one (`from_numpy`)
shares its memory. So arrays in memory are compared by checksum before and after, and of mapped
files a plugin gets a mapping of its own, whose changes nobody else sees and which never reach the file.
"""

from __future__ import annotations

import contextlib
import dataclasses
import warnings
import zlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

from iibench.contract.errors import PluginError

if TYPE_CHECKING:
    import numpy.typing as npt

T = TypeVar("T")
#: What messages of NumPy and Python about a write to read-only memory have one of.
_REFUSALS = ("read-only", "readonly", "not writeable", "WRITEABLE flag")


def read_only(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The same numbers in an array that cannot be written to, nor be made writable again.

    >>> given = read_only(np.zeros(3))
    >>> given.flags.writeable = True
    Traceback (most recent call last):
    ValueError: cannot set WRITEABLE flag to True of this array
    """
    if array.dtype.kind not in "biufc":  # no other array can be made of their memory
        view = np.array(array).view()
        view.flags.writeable = False
        return view
    if array.size == 0:
        array = array.copy()
        array.flags.writeable = False
        return array
    whole: Any = np.asarray(array)
    return np.asarray(memoryview(whole).toreadonly())


def own_mapping(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Of a mapped file a mapping of one's own, whose changes stay in it; other arrays as they are.

    >>> given = np.zeros(3)
    >>> own_mapping(given) is given
    True
    """
    if not isinstance(array, np.memmap) or array.filename is None:
        return array
    order: Any = "C" if array.flags.c_contiguous else "F"
    if not array.flags.forc:
        return array
    return np.memmap(array.filename, array.dtype, "c", array.offset, array.shape, order)


def frozen(value: T) -> T:
    """A dataclass with its arrays read-only, in mappings and dataclasses inside it too.

    >>> frozen(Directions(np.eye(2, dtype=np.float32))).vectors.flags.writeable
    False
    """
    return cast("T", _frozen(value))


def _frozen(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return read_only(value)
    if isinstance(value, Mapping):
        return {name: _frozen(each) for name, each in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        changed = {
            field.name: _frozen(getattr(value, field.name))
            for field in dataclasses.fields(value)
            if isinstance(getattr(value, field.name), np.ndarray | Mapping)
            or dataclasses.is_dataclass(getattr(value, field.name))
        }
        return dataclasses.replace(value, **changed)
    return value


@contextlib.contextmanager
def handed(who: str, what: str, *given: Any) -> Iterator[None]:
    """While a plugin works on `given` (arrays, tensors, dataclasses of arrays): a write to any is its error.

    Raises `PluginError` that names `who` and `what` where NumPy refused a write, or where something was
    changed nevertheless. Mapped files are not compared.

    >>> A = read_only(np.ones(3))
    >>> with handed("finder mine", "activations", A):
    ...     A -= A.mean()
    Traceback (most recent call last):
    iibench.contract.errors.PluginError: finder mine writes to the activations that it is given; it must \
work on a copy (output array is read-only)
    """
    before = [_mark(each) for each in given]
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The given NumPy array is not writable")
            yield
    except (ValueError, TypeError, BufferError) as error:
        if any(word in str(error) for word in _REFUSALS):
            raise _wrote(who, what, f" ({error})") from error
        raise
    if [_mark(each) for each in given] != before:
        raise _wrote(who, what)


def _wrote(who: str, what: str, how: str = "") -> PluginError:
    return PluginError(f"{who} writes to the {what} that it is given; it must work on a copy{how}")


def _mark(value: Any) -> Any:
    """Something that is another thing after a change."""
    import torch

    if isinstance(value, torch.Tensor):
        version = None if value.is_inference() else value._version
        # a write through numpy leaves the version; on a GPU there is none
        return version, zlib.crc32(_bytes(value.numpy())) if value.device.type == "cpu" else 0
    if isinstance(value, np.memmap):
        return None
    if isinstance(value, np.ndarray):
        return zlib.crc32(_bytes(value))
    if isinstance(value, Mapping):
        return {name: _mark(each) for name, each in value.items()}
    if dataclasses.is_dataclass(value):
        return [_mark(getattr(value, field.name)) for field in dataclasses.fields(value)]
    return None


def _bytes(array: npt.NDArray[Any]) -> Any:
    if array.dtype.kind not in "biufc":
        return array.tobytes()
    flat = array.T if array.flags.f_contiguous else array
    return np.ascontiguousarray(flat).reshape(-1).view(np.uint8)
