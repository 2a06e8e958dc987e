"""FLAME pickles: read as numpy and chumpy wrote them, and nothing in them is ever run."""

from __future__ import annotations

import os
import pickle
import struct
import sys
import types
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse

from avatar.errors import UserError
from avatar.formats.flame_pickle import read_pickled_arrays


@pytest.fixture
def chumpy() -> Iterator[types.ModuleType]:
    """A module of that name for as long as a file is written; reading must do without."""
    module, ch, reordering = (types.ModuleType(n) for n in ("chumpy", "chumpy.ch", "chumpy.reordering"))
    ch.Ch = type("Ch", (), {"__module__": "chumpy.ch"})
    reordering.Select = type("Select", (), {"__module__": "chumpy.reordering"})
    for m in (module, ch, reordering):
        sys.modules[m.__name__] = m
    module.ch, module.reordering = ch, reordering
    yield module
    for m in (module, ch, reordering):
        sys.modules.pop(m.__name__, None)


def forget_chumpy() -> None:
    for name in [n for n in sys.modules if n.split(".")[0] == "chumpy"]:
        del sys.modules[name]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_of_every_protocol(tmp_path: Path, protocol: int) -> None:
    rng = np.random.default_rng(0)
    content = {
        "doubles": rng.normal(size=(5, 3)),
        "columns": np.asfortranarray(rng.normal(size=(4, 3)).astype(np.float32)),
        "big": rng.normal(size=3).astype(">f8"),
        "whole": rng.integers(0, 9, (2, 5)).astype(np.uint32),
        "sparse": scipy.sparse.csc_matrix(np.diag([1.0, 2.0, 0.0])),
        "rows": scipy.sparse.csr_matrix(np.diag([1.0, 0.0, 3.0])),
        "new": scipy.sparse.csc_array(np.diag([1.0, 0.0, 5.0])),
        "bs_type": "lrotmin",
        "list": [1, 2, 3],
    }
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(content, protocol))
    arrays = read_pickled_arrays(tmp_path / "a.pkl")
    assert "bs_type" not in arrays
    for key, value in content.items():
        if key != "bs_type":
            expected = value.toarray() if scipy.sparse.issparse(value) else np.asarray(value)
            np.testing.assert_array_equal(arrays[key], expected, err_msg=key)


def test_chumpy_objects_become_their_arrays(tmp_path: Path, chumpy: types.ModuleType) -> None:
    values = np.arange(24.0).reshape(2, 4, 3)
    whole, part = chumpy.ch.Ch(), chumpy.reordering.Select()
    whole.x, whole._dirty_vars, whole._cache = values, {"x"}, OrderedDict(a=1)
    part.a, part.idxs, part.preferred_shape = whole, np.array([0, 5, 7, 23]), (2, 2)
    data = pickle.dumps({"shapedirs": whole, "part": part}, 2)
    forget_chumpy()
    (tmp_path / "a.pkl").write_bytes(data)
    arrays = read_pickled_arrays(tmp_path / "a.pkl")
    np.testing.assert_array_equal(arrays["shapedirs"], values)
    np.testing.assert_array_equal(arrays["part"], [[0, 5], [7, 23]])
    assert "chumpy" not in sys.modules


def test_python_2_strings_are_bytes(tmp_path: Path) -> None:
    """As Python 2 wrote arrays: raw data in a byte string, every byte value present."""
    raw = np.arange(256, dtype=np.uint8)
    text = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(I256\ntcnumpy\ndtype\n"
    text += b"(S'u1'\nI0\nI1\ntR(I3\nS'|'\nNNNI-1\nI-1\nI0\ntbI00\nT" + struct.pack("<i", 256) + raw.tobytes() + b"tb"
    (tmp_path / "a.pkl").write_bytes(b"(dS'x'\n" + text + b"s.")
    np.testing.assert_array_equal(read_pickled_arrays(tmp_path / "a.pkl")["x"], raw)


class Hostile:
    """Runs a command when it is unpickled in the ordinary way."""

    def __init__(self, call: Any, *arguments: Any) -> None:
        self._what = call, arguments

    def __reduce__(self) -> Any:
        return self._what


def attacks(marker: Path) -> dict[str, bytes]:
    command = f"touch {marker}"
    code = f"open({str(marker)!r}, 'w').close()"
    hostile = pickle.dumps({"v_template": Hostile(os.system, command)}, 2)
    return {
        "system": hostile,
        "system by name on the stack": pickle.dumps({"f": Hostile(os.system, command)}, 4),
        "exec": pickle.dumps([Hostile(exec, code)], 0),
        "inside an allowed object": pickle.dumps(OrderedDict(a=Hostile(os.system, command)), 2),
        "as the state of an array": b"cnumpy\nndarray\n)\x81"
        + pickle.dumps(Hostile(os.system, command), 0)[:-1]
        + b"b.",
        "INST": b"(S" + repr(command).encode() + b"\nios\nsystem\n.",
        "OBJ": b"(cos\nsystem\nS" + repr(command).encode() + b"\no.",
        "through copyreg": b"ccopy_reg\n_reconstructor\n(cposix\nsystem\nc__builtin__\nobject\nNtR.",
        "by attribute": b"cnumpy.core.multiarray\n_reconstruct.__globals__\n.",
    }


@pytest.mark.parametrize("name", attacks(Path("x")))
def test_a_pickle_that_would_run_code_runs_nothing(tmp_path: Path, name: str) -> None:
    marker = tmp_path / "it_ran"
    (tmp_path / "a.pkl").write_bytes(attacks(marker)[name])
    with pytest.raises(UserError, match=r"a\.pkl") as refusal:
        read_pickled_arrays(tmp_path / "a.pkl")
    assert not marker.exists()
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", ["system", "system by name on the stack", "exec", "INST", "OBJ"])
def test_these_attacks_are_real(tmp_path: Path, name: str) -> None:
    """The ordinary unpickler falls for them: the test above would notice."""
    marker = tmp_path / "it_ran"
    pickle.loads(attacks(marker)[name])  # noqa: S301
    assert marker.exists()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b".",
        b"garbage",
        pickle.dumps([1, 2]),
        b"N" + b"r\xff\xff\xff\x7f.",  # LONG_BINPUT: an unpickler grows its memo to the position
        b"\x8e" + struct.pack("<Q", 1 << 40) + b"x.",  # BINBYTES8 that claims a terabyte
        b"\x96" + struct.pack("<Q", 1 << 40) + b"x.",  # BYTEARRAY8
        b"]" + b"2" * 600_000 + b".",  # very many steps
        b"(" * 400_000 + b"t" * 400_000 + b".",
        b"P1\n.",
        b"\x82\x01.",
        b"cnumpy.core.multiarray\n_reconstruct\n}b.",  # state for a name itself
    ],
    ids=lambda d: repr(bytes(d[:12])),
)
def test_what_would_fill_the_memory_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.pkl").write_bytes(data)
    with pytest.raises(UserError, match=r"a\.pkl"):
        read_pickled_arrays(tmp_path / "a.pkl")


def test_arrays_whose_shape_lies_are_refused(tmp_path: Path) -> None:
    data = pickle.dumps({"x": np.zeros((7, 3))}, 2)
    (tmp_path / "a.pkl").write_bytes(data.replace(b"K\x07K\x03", b"K\x07K\xff"))
    assert b"K\x07K\x03" in data
    with pytest.raises(UserError, match="has 168 bytes"):
        read_pickled_arrays(tmp_path / "a.pkl")
