"""Whatever happens to a file of a data set, its loader gives data or one line for the user."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from animation.lab.data.florence4d import read_florence4d, write_florence4d
from animation.lab.data.mead import read_mead
from animation.lab.data.sequences import MeshSequence, read_native, write_native
from animation.lab.data.vocaset import read_vocaset, write_faceformer, write_vocaset
from avatar.errors import UserError

N = 40


def sequences(domain: str) -> list[MeshSequence]:
    """Two small meshes in motion."""
    rng = np.random.default_rng(0)
    template = rng.normal(0, 0.05, (N, 3)).astype(np.float32)
    sound = rng.normal(0, 0.1, 800).astype(np.float32)
    return [
        MeshSequence(
            f"p{i}", "sentence01", domain, 60.0, template, rng.normal(0, 1e-3, (3, N, 3)).astype(np.float32), sound
        )  # type: ignore[arg-type]
        for i in range(2)
    ]


def _native(root: Path) -> Callable[[], object]:
    write_native(root, sequences("speech"))
    return lambda: list(read_native(root, "speech"))


def _vocaset(root: Path) -> Callable[[], object]:
    write_vocaset(root, sequences("speech"), 6)
    return lambda: list(read_vocaset(root))


def _faceformer(root: Path) -> Callable[[], object]:
    write_faceformer(root, sequences("speech"))
    return lambda: list(read_vocaset(root))


def _florence4d(root: Path) -> Callable[[], object]:
    write_florence4d(root, sequences("expression"), np.array([[0, 1, 2]], np.int32))
    return lambda: list(read_florence4d(root))


def _mead(root: Path) -> Callable[[], object]:
    h5py = pytest.importorskip("h5py")
    root.mkdir()
    np.save(root / "M003_1_2_001.npy", np.zeros((1, 4, 403), np.float32))
    with h5py.File(root / "W009_0_1_003.hdf5", "w") as file:
        file["shape"], file["exp"], file["jaw"] = np.zeros(300), np.zeros((4, 100)), np.zeros((4, 3))
    return lambda: list(read_mead(root))


def _damages(raw: bytes, rng: np.random.Generator) -> list[bytes]:
    """Cut, emptied, overwritten in places, lengthened."""
    cuts = [raw[: int(len(raw) * share)] for share in (0.0, 0.02, 0.5, 0.97)]
    changed = []
    for count in (1, 1, 1, 3, 3, 30):
        array = np.frombuffer(raw, np.uint8).copy()
        where = rng.integers(0, len(array) if rng.random() < 0.5 else min(len(array), 200), count)
        array[where] = rng.integers(0, 256, count)
        changed.append(array.tobytes())
    return [*cuts, *changed, raw + b"more", b"\0" * len(raw), bytes(rng.integers(0, 256, 300, np.uint8))]


@pytest.mark.parametrize("make", [_native, _vocaset, _faceformer, _florence4d, _mead])
def test_damaged_files_end_in_one_line(tmp_path: Path, make: Callable[[Path], Callable[[], object]]) -> None:
    read = make(tmp_path / "data")
    assert read()
    refused = 0
    for number, path in enumerate(sorted(p for p in (tmp_path / "data").rglob("*") if p.is_file())):
        raw = path.read_bytes()
        for damaged in _damages(raw, np.random.default_rng(number)):
            path.write_bytes(damaged)
            try:
                read()
            except UserError as error:
                refused += 1
                assert str(tmp_path / "data") in str(error) and "\n" not in str(error)
        path.unlink()
        try:
            read()
        except UserError as error:
            refused += 1
            assert str(tmp_path / "data") in str(error)
        path.write_bytes(raw)
    assert refused > 10
    assert read()
