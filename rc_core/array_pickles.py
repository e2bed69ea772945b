"""Pickled dicts of arrays, read without the power to run code.

CIFAR-10 is distributed as Python 2 pickles, and a pickle may name any callable. Here only the few names that
numpy writes are answered, and by stand-ins: numpy itself would trust the state it is given, down to the
flags that say whether an array's bytes are pointers.
"""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np
from numpy.typing import NDArray


def load_array_dict(data: bytes) -> dict[Any, Any]:
    """Unpickles one dict of numeric arrays, numbers, text, bytes, lists and tuples.

    Args:
        data: the pickle, of any protocol; byte strings of Python 2 come out as latin-1 text.

    Returns:
        The dict. Arrays are found where they are values of the dict, not deeper.

    Raises:
        ValueError: a damaged pickle, or one that holds or asks for anything else; says what.
    """
    try:
        content = _ArrayUnpickler(io.BytesIO(data), encoding="latin1").load()
    except Exception as error:  # a damaged pickle raises whatever its garbled instructions happen to do
        raise ValueError(f"not a readable pickle of arrays ({type(error).__name__}: {error})") from error
    if not isinstance(content, dict):
        raise ValueError(f"the pickle holds a {type(content).__name__}, expected a dict")
    return {key: value.array if isinstance(value, _Array) else value for key, value in content.items()}


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str) -> Any:
        module = module_name.replace("numpy._core", "numpy.core")  # renamed by NumPy 2
        if (module, global_name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module_name}.{global_name}, which is not allowed")
        return _ALLOWED[module, global_name]


class _Dtype:
    """Stands for `numpy.dtype`, and takes over nothing of its pickled state but the byte order."""

    def __init__(self, code: str, *_flags: object) -> None:
        self.dtype = np.dtype(code)
        if self.dtype.kind not in "biuf":
            raise pickle.UnpicklingError(f"dtype {code!r} is not numeric")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.dtype = self.dtype.newbyteorder(state[1])


class _Array:
    """Stands for an array under construction."""

    array: NDArray[Any]

    def __setstate__(self, state: tuple[int, tuple[int, ...], _Dtype, bool, bytes | str]) -> None:
        _, shape, dtype, is_fortran, content = state
        raw = content.encode("latin1") if isinstance(content, str) else content
        self._fill(raw, dtype, shape, "F" if is_fortran else "C")

    def _fill(self, raw: bytes, dtype: _Dtype, shape: tuple[int, ...], order: Any) -> None:
        self.array = np.frombuffer(raw, dtype=dtype.dtype).reshape(shape, order=order)


class _NdarrayName:
    """Stands for the class `numpy.ndarray`, which is only ever handed to `_reconstruct`."""


def _reconstruct(*_arguments: object) -> _Array:
    return _Array()


def _from_buffer(raw: bytes, dtype: _Dtype, shape: tuple[int, ...], order: str) -> _Array:
    result = _Array()
    result._fill(raw, dtype, shape, order)
    return result


def _encode_latin1(text: str, encoding: str) -> bytes:
    """Gives the bytes that Python 3 stores as text in old pickle protocols."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"encoding {encoding!r} is not allowed")
    return text.encode("latin1")


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _NdarrayName,
    ("numpy", "dtype"): _Dtype,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy.core.numeric", "_frombuffer"): _from_buffer,
    ("_codecs", "encode"): _encode_latin1,
}
