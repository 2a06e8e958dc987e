from __future__ import annotations

import pickle

import numpy as np
import pytest

from animation.expression.named import EXPRESSIONS, expression_weights
from animation.lab.data.florence4d import read_florence4d, write_florence4d
from animation.lab.data.mead import clip_to_mesh, mead_subjects, read_mead
from animation.lab.data.pickles import load_pickle
from animation.lab.data.sequences import MeshSequence, read_native, write_native
from animation.lab.data.splits import VOCASET_SPLIT, sentence_numbers, subject_split
from animation.lab.data.vocaset import read_vocaset, vocaset_subjects, write_faceformer, write_vocaset
from animation.resampling import resample_poses
from avatar.errors import UserError
from avatar.formats.flame_model import read_flame
from tests.animation.synthetic_head import flame_sized_head, moving_sequences
from tests.avatar.formats.flame_like import flame_like


def _of(domain):
    return [s for s in moving_sequences(2, poses=6) if s.domain == domain]


def _same(found, expected, atol):
    assert [s.key for s in found] == [s.key for s in expected]
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a.offsets, b.offsets, atol=atol)
        np.testing.assert_allclose(a.template, b.template, atol=atol)


@pytest.mark.parametrize("layout", ["vocaset", "faceformer"])
def test_both_layouts_of_vocaset_come_back(tmp_path, layout):
    speech = _of("speech")
    if layout == "vocaset":
        write_vocaset(tmp_path, speech, sum(s.n_poses for s in speech))
    else:
        write_faceformer(tmp_path, speech)
    found = list(read_vocaset(tmp_path, fps=30))
    _same(found, speech, 1e-6)
    for a, b in zip(found, speech, strict=True):
        np.testing.assert_allclose(a.audio, b.audio, atol=1e-4)
    assert vocaset_subjects(tmp_path) == ["speech0", "speech1"]
    assert [s.subject for s in read_vocaset(tmp_path, subjects=["speech1"])] == ["speech1"]
    assert not list(read_vocaset(tmp_path, sentences=[7]))


def test_what_is_missing_in_vocaset_is_named(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        list(read_vocaset(tmp_path / "none"))
    with pytest.raises(UserError, match="neither data_verts"):
        list(read_vocaset(tmp_path))
    speech = _of("speech")
    write_vocaset(tmp_path, speech, sum(s.n_poses for s in speech))
    (tmp_path / "templates.pkl").write_bytes(pickle.dumps({"speech0": np.zeros((5, 3))}))
    with pytest.raises(UserError, match=r"vertices|neutral face"):
        list(read_vocaset(tmp_path))
    for name, bad, words in (
        ("subj_seq_to_idx.pkl", {"speech0": {"sentence01": {0: "x"}}}, "not a table of rows"),
        ("subj_seq_to_idx.pkl", {"speech0": {"sentence01": {0: 10**6}}}, "points outside"),
        ("subj_seq_to_idx.pkl", {"speech0": 3}, "expected rows by subject"),
        ("subj_seq_to_idx.pkl", {"nobody": {}}, "no neutral face of nobody"),
        ("raw_audio_fixed.pkl", [1], "expected sounds by subject"),
    ):
        write_vocaset(tmp_path, speech, sum(s.n_poses for s in speech))
        (tmp_path / name).write_bytes(pickle.dumps(bad))
        with pytest.raises(UserError, match=words):
            list(read_vocaset(tmp_path))
    (tmp_path / "templates.pkl").unlink()
    with pytest.raises(UserError, match=r"templates\.pkl"):
        list(read_vocaset(tmp_path))


def test_florence4d_comes_back(tmp_path):
    faces = flame_sized_head()[0].faces.numpy()
    expressions = _of("expression")
    write_florence4d(tmp_path, expressions, faces)
    found = list(read_florence4d(tmp_path, n_vertices=5023))
    _same(found, expressions, 1e-6)
    (tmp_path / "expression0" / "happy" / "happy_03.ply").write_bytes(b"ply\nformat ascii 1.0\nend_header\n")
    with pytest.raises(UserError, match=r"happy_03\.ply"):
        list(read_florence4d(tmp_path))


@pytest.mark.parametrize("poses", [60, 90])
def test_florence4d_of_either_length_in_text_or_binary(tmp_path, poses):
    """The same meshes as ASCII, with normals and doubles among the columns, as meshing tools write them."""
    rng = np.random.default_rng(poses)
    template = rng.normal(0, 0.05, (7, 3)).astype(np.float32)
    offsets = np.sin(np.pi * np.arange(poses) / (poses - 1))[:, None, None] * rng.normal(0, 1e-3, (7, 3))
    sequence = MeshSequence("ann", "smile", "expression", 30.0, template, offsets.astype(np.float32))
    write_florence4d(tmp_path / "binary", [sequence], np.array([[0, 1, 2]], np.int32))
    folder = tmp_path / "text" / "ann" / "smile"
    folder.mkdir(parents=True)
    for pose, vertices in enumerate(sequence.offsets + template):
        columns = ("double x", "double y", "float nx", "double z")
        header = "".join(f"property {column}\n" for column in columns)
        rows = "".join(f"{x!r} {y!r} 0.5 {z!r}\n" for x, y, z in vertices.tolist())
        text = f"ply\nformat ascii 1.0\ncomment made up\nelement vertex 7\n{header}element face 0\nend_header\n{rows}"
        (folder / f"smile_{pose}.ply").write_text(text)  # numbers without leading zeros sort by value
    for found in (list(read_florence4d(tmp_path / "binary")), list(read_florence4d(tmp_path / "text"))):
        assert found[0].n_poses == poses
        _same(found, [sequence], 1e-6)


def test_what_is_missing_in_florence4d_is_named(tmp_path):
    with pytest.raises(UserError, match="no folders of identities"):
        list(read_florence4d(tmp_path))
    (tmp_path / "ann").mkdir()
    with pytest.raises(UserError, match="ann: no folders of expressions"):
        list(read_florence4d(tmp_path))
    (tmp_path / "ann" / "smile").mkdir()
    with pytest.raises(UserError, match="smile: no meshes"):
        list(read_florence4d(tmp_path))
    (tmp_path / "ann" / "smile" / "smile.ply").write_bytes(b"")
    with pytest.raises(UserError, match="expected a name like EXPRESSION_07"):
        list(read_florence4d(tmp_path))


def test_native_layout_is_exact_to_its_step(tmp_path):
    sequences = moving_sequences(2, poses=6)
    write_native(tmp_path, sequences)
    for domain in ("speech", "expression"):
        _same(list(read_native(tmp_path, domain)), [s for s in sequences if s.domain == domain], 1.1e-6)
    with pytest.raises(UserError, match=r"templates\.npz"):
        list(read_native(tmp_path / "none", "speech"))


def test_mead_reads_flame_parameters_and_refuses_other_heads(tmp_path):
    values = np.random.default_rng(0).normal(0, 0.1, (1, 7, 403)).astype(np.float32)
    np.save(tmp_path / "M003_1_2_001.npy", values)
    (clip,) = read_mead(tmp_path)
    assert (clip.subject, clip.emotion, clip.level) == ("M003", "happy", 2)
    np.testing.assert_array_equal(clip.jaw_pose, values[0, :, 100:103])
    with pytest.raises(UserError, match="FLAME"):
        clip_to_mesh(clip, flame_sized_head()[0])
    np.save(tmp_path / "M003_1_2_002.npy", values[..., :50])
    with pytest.raises(UserError, match="403"):
        list(read_mead(tmp_path))


def test_mead_comes_back_from_hdf5_and_becomes_meshes_of_flame(tmp_path):
    h5py = pytest.importorskip("h5py")
    rng = np.random.default_rng(1)
    shape, expression, jaw = rng.normal(0, 0.5, 300), rng.normal(0, 0.5, (10, 100)), rng.normal(0, 0.1, (10, 3))
    for name, rows in (("M003_0_1_001", slice(None)), ("W011_6_3_002", slice(0, 1))):
        with h5py.File(tmp_path / f"{name}.hdf5", "w") as file:
            file["shape"], file["exp"], file["jaw"] = shape[None], expression[None, rows], jaw[rows]
    neutral, angry = read_mead(tmp_path)
    assert (neutral.emotion, angry.emotion, angry.level) == ("neutral", "angry", 3)
    np.testing.assert_array_equal(neutral.expression, expression.astype(np.float32))
    np.testing.assert_array_equal(angry.jaw_pose, jaw[:1].astype(np.float32))
    assert [*mead_subjects(tmp_path, neutral=True)] == ["M003"] and mead_subjects(tmp_path) == ["M003", "W011"]

    np.savez(tmp_path / "flame.npz", **flame_like())
    head = read_flame(tmp_path / "flame.npz")
    speech, face = clip_to_mesh(neutral, head), clip_to_mesh(angry, head)
    assert (speech.domain, face.domain) == ("speech", "expression")
    pose = head.neutral().replace(shape=shape, expression=expression[4], jaw_pose=jaw[4])
    np.testing.assert_allclose(speech.offsets[4] + speech.template, head.vertices(pose).numpy(), atol=1e-5)
    assert speech.at_rate(30).n_poses == 12
    with h5py.File(tmp_path / "M003_1_1_009.hdf5", "w") as file:
        file["shape"], file["exp"], file["jaw"] = shape, expression, jaw[:4]
    with pytest.raises(UserError, match=r"M003_1_1_009\.hdf5: expected shape \(300\), exp \(T, 100\)"):
        list(read_mead(tmp_path))
    with h5py.File(tmp_path / "M003_1_1_009.hdf5", "w") as file:
        file["exp"] = expression
    with pytest.raises(UserError, match=r"M003_1_1_009\.hdf5: not a readable clip"):
        list(read_mead(tmp_path))


def test_a_pickle_that_would_execute_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (print, ("executed",))

    (tmp_path / "evil.pkl").write_bytes(pickle.dumps({"a": Evil()}))
    with pytest.raises(UserError, match="print"):
        load_pickle(tmp_path / "evil.pkl")
    good = {"a": np.arange(3.0), "b": {"c": np.float64(2)}}
    (tmp_path / "good.pkl").write_bytes(pickle.dumps(good, protocol=2))
    assert load_pickle(tmp_path / "good.pkl")["b"]["c"] == 2


def test_splits_never_share_a_person():
    names = [f"p{i}" for i in range(11)]
    split = subject_split(names)
    assert sorted([*split.train, *split.validation, *split.test]) == sorted(names)
    assert subject_split(names) == split
    official = [*VOCASET_SPLIT.train, *VOCASET_SPLIT.validation, *VOCASET_SPLIT.test]
    assert len(official) == 12 and subject_split(official) == VOCASET_SPLIT
    assert sentence_numbers("train") == range(1, 41) and sentence_numbers("test") == range(21, 41)
    with pytest.raises(UserError, match="at least 3"):
        subject_split(["a", "b"])


def test_resampling_keeps_time():
    t60 = (np.arange(120) + 0.5) / 60
    np.testing.assert_allclose(resample_poses(t60[:, None], 60, 30)[:, 0], (np.arange(60) + 0.5) / 30, atol=1e-6)
    for fps, new_fps in ((60, 25), (30, 25), (25, 30), (30, 50)):
        count = round(2 * new_fps)
        moved = resample_poses(((np.arange(2 * fps) + 0.5) / fps)[:, None], fps, new_fps)[:, 0]
        assert len(moved) == count
        np.testing.assert_allclose(moved[2:-2], ((np.arange(count) + 0.5) / new_fps)[2:-2], atol=1e-6)
    up = resample_poses(t60[:, None], 60, 90)[2:-2, 0]
    np.testing.assert_allclose(up, ((np.arange(180) + 0.5) / 90)[2:-2], atol=1e-6)


def test_seventy_expressions_within_range():
    assert len(EXPRESSIONS) == 70
    for name in EXPRESSIONS:
        weights = expression_weights(name)
        assert weights.max() > 0.2 and weights.min() >= 0 and weights.max() <= 1
    with pytest.raises(UserError, match="no expression"):
        expression_weights("nonsense")
