"""Files from strangers: sizes are checked before anything is read, and nothing in them is ever executed."""

from __future__ import annotations

import ast
import io
import math
import struct
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from avatar.errors import UserError

__all__ = ["MAX_BYTES", "Archive", "read_bytes", "read_npz", "refusing", "require_finite"]

MAX_BYTES = 1 << 30
"""No file that this program reads is larger (bytes), nor does any unpack to more."""

_MAX_MEMBERS = 1000
_DAMAGE = (
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
    RecursionError,
    SyntaxError,
    EOFError,
    MemoryError,
    NotImplementedError,
    UnicodeError,
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
)


@contextmanager
def refusing(path: Path | str, kind: str) -> Iterator[None]:
    """Turn whatever a damaged file provokes into one clear line.

    Args:
        path: the file, named in the message.
        kind: what it should have been, for example "a LAM zip".

    Raises:
        UserError: for any damage. Those raised inside pass through unchanged.
    """
    try:
        yield
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from error
    except _DAMAGE as error:
        detail = " ".join(str(error).split())[:160] or type(error).__name__
        raise UserError(f"{path}: not {kind}, or damaged ({detail})") from error


def read_bytes(path: Path | str, max_bytes: int = MAX_BYTES) -> bytes:
    """The contents of a file that is not larger than `max_bytes`.

    Raises:
        UserError: if it is missing, larger, or cannot be read.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    size = path.stat().st_size
    if size > max_bytes:
        raise UserError(f"{path}: {size >> 20} MiB; at most {max_bytes >> 20} MiB are accepted here")
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from error


def require_finite(path: Path | str, **arrays: np.ndarray) -> None:
    """Refuse arrays that hold infinities or NaN.

    Raises:
        UserError: naming the first array that does.
    """
    for name, values in arrays.items():
        if not np.isfinite(values).all():
            raise UserError(f"{path}: {name} holds values that are not finite")


class Archive:
    """A zip whose members are unpacked in memory, one at a time, never beyond their declared size."""

    def __init__(self, path: Path | str, max_bytes: int = MAX_BYTES) -> None:
        """Open the directory of a zip.

        Args:
            max_bytes: the most that all members together may unpack to.

        Raises:
            UserError: if it is no zip, or claims too much.
        """
        self.path = Path(path)
        raw = read_bytes(path, max_bytes)
        with refusing(path, "a zip file"):
            self._zip = zipfile.ZipFile(io.BytesIO(raw))
            entries = [entry for entry in self._zip.infolist() if not entry.is_dir()]
        if len(entries) > _MAX_MEMBERS:
            raise UserError(f"{path}: holds {len(entries)} files; at most {_MAX_MEMBERS} are accepted")
        total = sum(entry.file_size for entry in entries)
        if total > max_bytes:
            raise UserError(f"{path}: would unpack to {total >> 20} MiB; at most {max_bytes >> 20} MiB are accepted")
        self._entries = {entry.filename: entry for entry in entries}

    @property
    def names(self) -> list[str]:
        """Names of the files inside, folders included in them."""
        return list(self._entries)

    def read(self, name: str) -> bytes:
        """The contents of one member.

        Raises:
            UserError: if it is encrypted, damaged, or not of the declared size.
        """
        entry = self._entries[name]
        if entry.flag_bits & 1:
            raise UserError(f"{self.path}: {name} is encrypted; pack it without a password")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise UserError(f"{self.path}: {name} is packed in an unusual way; pack it as an ordinary zip")
        with refusing(self.path, f"a zip whose {name} can be read"), self._zip.open(entry) as member:
            data = member.read(entry.file_size + 1)
        if len(data) != entry.file_size:
            raise UserError(f"{self.path}: {name} is not of its declared size ({entry.file_size} bytes)")
        return data


def read_npz(
    path: Path | str, wanted: Mapping[str, tuple[int | None, ...]] | None = None, skip: Collection[str] = ()
) -> dict[str, np.ndarray]:
    """Numeric and text arrays of an npz, by name; object arrays are refused.

    Args:
        wanted: arrays that must be there, with their shapes (None for any length on an axis).
        skip: arrays that are not to be unpacked.

    Raises:
        UserError: if it is no npz, lacks an array, or one has another shape.
    """
    archive = Archive(path)
    arrays = {}
    for name in archive.names:
        if name.endswith(".npy") and name.removesuffix(".npy") not in skip:
            key = name.removesuffix(".npy")
            with refusing(path, f"an npz whose {key!r} can be read"):
                arrays[key] = _parse_npy(archive.read(name))
    for key, shape in (wanted or {}).items():
        if key not in arrays:
            raise UserError(f"{path}: has no {key!r} (it has: {', '.join(sorted(arrays)[:12]) or 'nothing'})")
        found = arrays[key].shape
        if len(found) != len(shape) or any(w is not None and w != f for w, f in zip(shape, found, strict=True)):
            text = ", ".join("any" if n is None else str(n) for n in shape)
            raise UserError(f"{path}: {key!r} has shape {found}, expected ({text})")
    return arrays


def _parse_npy(data: bytes) -> np.ndarray:
    """An npy file from memory: the header is checked against the bytes that are there.

    numpy's own reader allocates what the header claims before it looks at the data.
    """
    if data[:6] != b"\x93NUMPY" or len(data) < 12:
        raise ValueError("no npy header")
    width, code = (2, "<H") if data[6] == 1 else (4, "<I")
    (length,) = struct.unpack_from(code, data, 8)
    start = 8 + width + length
    if length > 10_000 or start > len(data):
        raise ValueError("npy header longer than the file")
    header = ast.literal_eval(data[8 + width : start].decode("latin1").strip())
    if not isinstance(header["descr"], str):
        raise ValueError("arrays of records are not accepted")
    dtype, shape = np.dtype(header["descr"]), tuple(header["shape"])
    if dtype.kind not in "biufU" or dtype.fields is not None or dtype.itemsize == 0:
        raise ValueError(f"arrays of type {dtype} are not accepted")
    if any(not isinstance(n, int) or isinstance(n, bool) or n < 0 for n in shape) or len(shape) > 8:
        raise ValueError("npy header without a usable shape")
    if math.prod(shape) * dtype.itemsize != len(data) - start:
        raise ValueError(f"shape {shape} of {dtype} does not fit the {len(data) - start} bytes of data")
    if math.prod(shape) == 0:
        return np.zeros(shape, dtype)
    order = "F" if header["fortran_order"] else "C"
    return np.frombuffer(data, dtype, offset=start).reshape(shape, order=order)  # type: ignore[call-overload]
