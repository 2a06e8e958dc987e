"""FLAME's pickles, read without executing anything that is in them.

An ordinary unpickler imports and calls whatever a file names. This one knows a short list of names, and stands an
inert placeholder in for each; any other name ends the reading. Before that, the opcodes are walked through once,
so that no claimed size can fill the memory.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse

from avatar.errors import UserError
from avatar.formats.pickles import AllowListing
from avatar.formats.untrusted import read_bytes, refusing

__all__ = ["read_pickled_arrays"]

_MAX_BYTES = 512 << 20
_MAX_OPCODES = 500_000
_MAX_DENSE = 10_000_000  # elements of a sparse matrix when filled in


def read_pickled_arrays(path: Path | str) -> dict[str, np.ndarray]:
    """The numeric arrays of a pickled dictionary, by key; chumpy objects and sparse matrices become arrays.

    Args:
        path: a pickle of Python 2 or 3, as the FLAME models are distributed.

    Raises:
        UserError: if it is no pickle, is damaged, or names anything that a FLAME model has no need of.
    """
    raw = read_bytes(path, _MAX_BYTES)
    with refusing(path, "a FLAME pickle"):
        _check_opcodes(raw, path)
        try:
            content = AllowListing(io.BytesIO(raw), path, _ALLOWED, {"chumpy": _Chumpy}).load()
        except pickle.UnpicklingError as error:
            raise ValueError(str(error)) from error
        if not isinstance(content, dict):
            raise UserError(f"{path}: a pickle, but not of a FLAME model (it holds no dictionary)")
        arrays = {}
        for key, value in content.items():
            array = _resolve(value)
            if isinstance(key, str) and array is not None:
                arrays[key] = array
        return arrays


def _check_opcodes(raw: bytes, path: Path | str) -> None:
    """Refuse memo positions and opcode counts out of all proportion: unpicklers allocate what they claim."""
    for count, (opcode, argument, _) in enumerate(pickletools.genops(raw)):
        if count > _MAX_OPCODES:
            raise UserError(f"{path}: a pickle of more than {_MAX_OPCODES} steps; no FLAME model has so many")
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and int(argument or 0) > _MAX_OPCODES:
            raise ValueError("memo position out of range")
        if opcode.name in ("PERSID", "BINPERSID", "EXT1", "EXT2", "EXT4"):
            raise UserError(f"{path}: refers to objects outside the file; a FLAME model has no need of that")


class _Placeholder:
    """Stands for any allowed class. It keeps what it is given and does nothing with it."""

    __slots__ = ("arguments", "state")

    arguments: tuple[Any, ...]
    state: Any

    def __new__(cls, *arguments: Any) -> Any:
        made = object.__new__(cls)
        made.arguments, made.state = arguments, None
        return made

    def __init__(self, *arguments: Any) -> None: ...

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Reconstructor(_Placeholder):
    """copyreg._reconstructor(class, base, state)."""

    __slots__ = ()

    def __new__(cls, kind: Any = None, *_: Any) -> Any:
        if not (isinstance(kind, type) and issubclass(kind, _Placeholder)):
            raise ValueError("an object of a class that is not allowed")
        return kind()


class _Encoded(_Placeholder):
    """_codecs.encode(text, "latin1"): how Python 3 stores bytes in old protocols."""

    __slots__ = ()

    def __new__(cls, text: Any = "", encoding: Any = "latin1") -> Any:
        if not isinstance(text, str) or encoding != "latin1":
            raise ValueError("text in an unexpected encoding")
        return text.encode("latin1")


class _Dtype(_Placeholder):
    __slots__ = ()

    def dtype(self) -> np.dtype:
        code = self.arguments[0] if self.arguments else None
        if not isinstance(code, str) or len(code) > 3 or code[:1] not in "biuf":
            raise ValueError("an array of an unusual type")
        order = self.state[1] if isinstance(self.state, tuple) and len(self.state) > 1 else "|"
        return np.dtype(code).newbyteorder(">" if order == ">" else "<")


class _Array(_Placeholder):
    """numpy's _reconstruct, whose state holds shape, type and bytes."""

    __slots__ = ()

    def array(self) -> np.ndarray | None:
        if not isinstance(self.state, tuple) or len(self.state) != 5:
            return None
        _, shape, dtype, fortran, raw = self.state
        return None if isinstance(raw, list) else _from_bytes(raw, dtype, shape, "F" if fortran else "C")


class _Buffer(_Placeholder):
    """numpy's _frombuffer(bytes, dtype, shape, order), used by protocol 5."""

    __slots__ = ()

    def array(self) -> np.ndarray | None:
        raw, dtype, shape, order = self.arguments
        return _from_bytes(raw, dtype, shape, "F" if order == "F" else "C")


class _Chumpy(_Placeholder):
    """Any class of chumpy: a value `x`, or a selection `idxs` of another object `a`."""

    __slots__ = ()

    def array(self) -> np.ndarray | None:
        if not isinstance(self.state, dict):
            return None
        if "x" in self.state:
            return _resolve(self.state["x"])
        source, where = _resolve(self.state.get("a")), _resolve(self.state.get("idxs"))
        shape = self.state.get("preferred_shape")
        if source is None or where is None or where.dtype.kind not in "iu":
            return None
        if where.size and (int(where.min()) < 0 or int(where.max()) >= source.size):
            raise ValueError("a chumpy selection out of range")
        picked = source.reshape(-1)[where.reshape(-1)]
        return picked.reshape(_shape(shape)) if shape is not None else picked


class _Sparse(_Placeholder):
    """scipy's compressed sparse matrices."""

    __slots__ = ()
    build = scipy.sparse.csc_matrix

    def array(self) -> np.ndarray | None:
        if not isinstance(self.state, dict):
            return None
        data, indices, indptr = (_resolve(self.state.get(n)) for n in ("data", "indices", "indptr"))
        shape = _shape(self.state.get("_shape", self.state.get("shape")))
        if data is None or indices is None or indptr is None or len(shape) != 2 or math.prod(shape) > _MAX_DENSE:
            raise ValueError("a sparse matrix that cannot be filled in")
        matrix = self.build((data, indices, indptr), shape=shape)
        matrix.check_format(full_check=True)
        return matrix.toarray()


class _SparseRows(_Sparse):
    __slots__ = ()
    build = scipy.sparse.csr_matrix


class _Mapping(dict[Any, Any]):
    __slots__ = ()

    def __setstate__(self, state: Any) -> None: ...


_ALLOWED: dict[tuple[str, str], type] = {
    ("numpy", "ndarray"): _Placeholder,
    ("numpy", "dtype"): _Dtype,
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy.core.multiarray", "scalar"): _Placeholder,
    ("numpy.core.numeric", "_frombuffer"): _Buffer,
    ("scipy.sparse.csc", "csc_matrix"): _Sparse,
    ("scipy.sparse.csr", "csr_matrix"): _SparseRows,
    ("scipy.sparse.csc", "csc_array"): _Sparse,
    ("scipy.sparse.csr", "csr_array"): _SparseRows,
    ("copyreg", "_reconstructor"): _Reconstructor,
    ("builtins", "object"): _Placeholder,
    ("builtins", "set"): _Placeholder,
    ("collections", "OrderedDict"): _Mapping,
    ("_codecs", "encode"): _Encoded,
}


def _resolve(value: Any) -> np.ndarray | None:
    """The numeric array that a value stands for, None where it stands for none."""
    if isinstance(value, _Array | _Buffer | _Chumpy | _Sparse):
        return value.array()
    if isinstance(value, list | tuple) and value and all(isinstance(v, int | float) for v in value):
        return np.asarray(value, np.float64 if any(isinstance(v, float) for v in value) else np.int64)
    return None


def _from_bytes(raw: Any, dtype: Any, shape: Any, order: str) -> np.ndarray:
    if isinstance(raw, str):
        raw = raw.encode("latin1")
    if not isinstance(raw, bytes | bytearray) or not isinstance(dtype, _Dtype):
        raise ValueError("an array without data")
    kind, axes = dtype.dtype(), _shape(shape)
    if math.prod(axes) * kind.itemsize != len(raw):
        raise ValueError(f"an array of {axes} that has {len(raw)} bytes")
    if not raw:
        return np.zeros(axes, kind)
    return np.frombuffer(raw, kind).reshape(axes, order=order)  # type: ignore[call-overload]


def _shape(value: Any) -> tuple[int, ...]:
    axes = (value,) if isinstance(value, int) else value
    if not isinstance(axes, tuple | list) or len(axes) > 8 or any(not isinstance(n, int) or n < 0 for n in axes):
        raise ValueError("an array without a usable shape")
    return tuple(axes)
