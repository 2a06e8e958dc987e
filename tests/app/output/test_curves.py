"""Curves: out to each format and back, and what each format's own readers expect."""

from __future__ import annotations

import csv
import errno
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from app.output.curves import FORMATS, Curves, format_of, load_curves, read_curves, write_curves
from app.output.curves.columns import arkit_table
from avatar.errors import UserError
from avatar.flame.arkit import NAMES, indices
from avatar.flame.params import FlameParams
from avatar.formats.gaussian_ply import read_splats
from avatar.formats.glb import read_glb
from avatar.formats.head_file import save_head
from avatar.heads import heads_dir, open_head
from avatar.rig import Avatar
from tests.avatar.formats.samples import make_gaussians, write_lam
from tests.avatar.synthetic import make_avatar

EYES = indices(*(n for n in NAMES if n.startswith("eyeLook")))


def make_curves(t: int = 30, seed: int = 0, rate_hz: float = 50.0) -> Curves:
    """Smooth random weights; opposite directions of gaze are never active together."""
    rng = np.random.default_rng(seed)
    weights = np.abs(np.sin(rng.random((1, 52)) * 6 + np.arange(t)[:, None] * rng.random((1, 52)) * 0.5))
    weights = (weights * rng.random(52)).astype(np.float32)
    weights[:, indices("eyeLookUpLeft", "eyeLookUpRight", "eyeLookInLeft", "eyeLookOutRight")] = 0
    return Curves(
        (np.arange(t) + 0.5) / rate_hz,
        weights,
        (0.1 * np.sin(np.arange(t)[:, None] * 0.2 + rng.random((1, 3)))).astype(np.float32),
        (0.002 * np.sin(np.arange(t)[:, None] * 0.1 + rng.random((1, 3)))).astype(np.float32),
    )


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAUSSIAN_AVATAR_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="module")
def avatar() -> Avatar:
    """A few Gaussians on the head that ships."""
    head, arkit = open_head()
    return Avatar("somebody", head, make_gaussians(50, len(head.faces), sh=4), arkit)


@pytest.mark.parametrize(
    ("name", "tolerance", "gaze", "neck", "transl"),
    [
        ("a.arkit.npz", 0, True, 0, 0),
        ("a.csv", 1e-6, True, 1e-5, None),
        ("a.json", 1e-6, True, 1e-5, 1e-6),
        ("a.glb", 1e-6, True, 1e-5, 1e-6),
        ("a.npz", 1e-4, True, 1e-6, 1e-6),
    ],
)
def test_weights_come_back(
    tmp_path: Path, avatar: Avatar, name: str, tolerance: float, gaze: bool, neck: float, transl: float | None
) -> None:
    curves = make_curves()
    write_curves(curves, tmp_path / name, avatar=avatar)
    back = load_curves(tmp_path / name)
    np.testing.assert_allclose(back.weights, curves.weights, atol=tolerance)
    np.testing.assert_allclose(back.neck, curves.neck, atol=neck)
    if transl is not None:
        np.testing.assert_allclose(back.transl, curves.transl, atol=transl)
    np.testing.assert_allclose(np.diff(back.times_s), 0.02, atol=2e-5)
    assert not (tmp_path / "home").exists()


def test_diffposetalk_keeps_the_face_but_not_the_gaze(tmp_path: Path) -> None:
    curves = make_curves()
    curves.weights[:, EYES] = 0
    write_curves(curves, tmp_path / "a.npz", "diffposetalk")
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        assert file["exp"].shape == (30, 50) and file["pose"].shape == (30, 6) and file["shape"].shape == (1, 100)
    back = load_curves(tmp_path / "a.npz")
    np.testing.assert_allclose(back.weights, curves.weights, atol=1e-4)
    np.testing.assert_array_equal(back.neck, curves.neck)


def test_gaussianavatars_keys_and_shapes(tmp_path: Path) -> None:
    write_curves(make_curves(), tmp_path / "a.npz")
    head, _ = open_head()
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        shapes = {key: file[key].shape for key in file.files}
        assert all(file[key].dtype.kind in "fu" for key in file.files)  # everything can become a tensor
    v = head.n_vertices
    assert shapes | {"fps": (1,)} == shapes and shapes["shape"] == (head.n_shape,)
    for key, shape in {
        "expr": (30, head.n_expression), "rotation": (30, 3), "neck_pose": (30, 3), "jaw_pose": (30, 3),
        "eyes_pose": (30, 6), "translation": (30, 3), "static_offset": (1, v, 3), "dynamic_offset": (30, v, 3),
    }.items():  # fmt: skip
        assert shapes[key] == shape, key


def test_a_moment_as_splats(tmp_path: Path, avatar: Avatar) -> None:
    curves = make_curves()
    write_curves(curves, tmp_path / "a.ply", avatar=avatar, moment_s=0.2)
    back = load_curves(tmp_path / "a.ply")
    assert len(back) == 1 and abs(back.times_s[0] - 0.2) <= 0.0101
    i = int(np.argmin(np.abs(curves.times_s - back.times_s[0])))
    np.testing.assert_allclose(back.weights[0], curves.weights[i], atol=1e-6)
    splats = read_splats(tmp_path / "a.ply")
    expected = avatar.pose(curves.poses(avatar.arkit)[i])
    np.testing.assert_allclose(splats.means, expected.means, atol=1e-7)


def test_poses_of_a_file_are_those_of_the_curves(tmp_path: Path, avatar: Avatar) -> None:
    curves = make_curves()
    write_curves(curves, tmp_path / "a.arkit.npz")
    poses = read_curves(tmp_path / "a.arkit.npz", avatar)
    np.testing.assert_array_equal(poses[7].expression, avatar.arkit.params(curves.weights[7]).expression)
    np.testing.assert_array_equal(poses[7].neck_pose, curves.neck[7])
    assert poses[7].stream_time_s == curves.times_s[7]


def test_any_avatar_can_be_driven(tmp_path: Path) -> None:
    """A LAM avatar has another basis and no jaw; the same file drives it."""
    from avatar.formats.lam_zip import load_lam

    write_lam(tmp_path / "lam.zip")
    lam = load_lam(tmp_path / "lam.zip")
    write_curves(make_curves(), tmp_path / "a.csv")
    for pose in read_curves(tmp_path / "a.csv", lam):
        assert lam.head.vertices(pose).isfinite().all()


def test_flame_coefficients_need_flame_and_then_drive_everything(tmp_path: Path, avatar: Avatar) -> None:
    rng = np.random.default_rng(0)
    other = make_avatar()  # stands for FLAME: 4 coefficients and a map of its own
    np.savez(
        tmp_path / "tracked.npz",
        shape=np.zeros(300),
        expr=rng.normal(0, 0.1, (5, 4)),
        jaw_pose=rng.normal(0, 0.1, (5, 3)),
        neck_pose=rng.normal(0, 0.1, (5, 3)),
        translation=rng.normal(0, 1, (5, 3)),
    )
    with pytest.raises(UserError, match="import it first"):
        load_curves(tmp_path / "tracked.npz")
    heads_dir().mkdir(parents=True)
    save_head(other.head, other.arkit, heads_dir() / "flame.safetensors")
    curves = load_curves(tmp_path / "tracked.npz")
    assert curves.rate_hz == pytest.approx(25) and not curves.transl.any()
    assert len(read_curves(tmp_path / "tracked.npz", avatar)) == 5
    mean = [0.1, 0.0, -0.1, 0.2]
    trained = Avatar("t", other.head, other.gaussians, other.arkit, metadata={"expression_mean": mean})
    with np.load(tmp_path / "tracked.npz") as file:
        for pose, row, jaw in zip(
            read_curves(tmp_path / "tracked.npz", trained), file["expr"], file["jaw_pose"], strict=True
        ):
            np.testing.assert_allclose(pose.expression, row - mean, atol=1e-6)
            np.testing.assert_allclose(pose.jaw_pose, jaw, atol=1e-6)


def test_curves_of_poses_recover_weights(avatar: Avatar) -> None:
    curves = make_curves(5)
    poses = curves.poses(avatar.arkit)
    assert all(type(p) is FlameParams for p in poses)
    back = Curves.from_poses(poses, avatar.arkit)
    np.testing.assert_allclose(back.weights, curves.weights, atol=1e-4)
    with pytest.raises(UserError, match="nothing to write"):
        Curves.from_poses([], avatar.arkit)


def test_resampling_keeps_times_and_straight_lines() -> None:
    curves = make_curves(26)
    line = np.linspace(0, 1, 26, dtype=np.float32)
    curves.weights[:, 3] = line
    finer = curves.resampled(120)
    assert finer.rate_hz == pytest.approx(120) and len(finer) == 61
    np.testing.assert_allclose(finer.weights[:, 3], np.linspace(0, 1, 61), atol=1e-6)
    with pytest.raises(UserError, match="1 to 1000"):
        curves.resampled(0)


def test_csv_loads_by_column_names(tmp_path: Path) -> None:
    curves = make_curves()
    write_curves(curves, tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 30 and rows[0]["BlendShapeCount"] == "61"
    assert list(rows[0])[2:54] == [n[0].upper() + n[1:] for n in NAMES]
    assert list(rows[0])[54:57] == ["HeadYaw", "HeadPitch", "HeadRoll"] and list(rows[0])[-1] == "RightEyeRoll"
    assert float(rows[4]["JawOpen"]) == pytest.approx(curves.weights[4, NAMES.index("jawOpen")], abs=1e-6)
    assert all(re.fullmatch(r"\d\d:\d\d:\d\d:\d\d\.\d{3}", r["Timecode"]) for r in rows)


def test_csv_of_others(tmp_path: Path) -> None:
    """Columns in another order, some missing, 30 frames a second, over a second's end, cut off in the last line."""
    lines = ["JawOpen,Timecode,BlendShapeCount,MouthClose,Comment"]
    for k in range(60):
        total = 20 + k
        lines.append(f"{k / 100},16:59:{58 + total // 30}:{total % 30:02d},52,0.5,hello")
    lines = [line.replace("16:59:60", "17:00:00") for line in lines]
    (tmp_path / "a.csv").write_text("\r\n".join([*lines, "0.3,17:"]))
    curves = load_curves(tmp_path / "a.csv")
    assert len(curves) == 60
    np.testing.assert_allclose(curves.times_s, np.arange(60) / 30, atol=1e-6)
    np.testing.assert_allclose(curves.weights[:, NAMES.index("jawOpen")], np.arange(60) / 100, atol=1e-6)
    assert (curves.weights[:, NAMES.index("mouthClose")] == 0.5).all() and not curves.neck.any()


@pytest.mark.parametrize("rate", [24, 25, 30, 48, 50, 60, 72, 100, 120])
def test_timecodes_of_any_rate_keep_their_pace(tmp_path: Path, rate: int) -> None:
    """Frames count to the rate; their base is written nowhere. Dropped frames mislead nobody."""
    counts = [k for k in range(17, 17 + 4 * rate) if k % 37]
    rows = [f"10:00:{k // rate:02d}:{k % rate:02d},{k / 1000}" for k in counts]
    (tmp_path / "a.csv").write_text("\n".join(["Timecode,JawOpen", *rows]))
    curves = load_curves(tmp_path / "a.csv")
    np.testing.assert_allclose(curves.times_s, (np.array(counts) - counts[0]) / rate, atol=1e-6)


def test_frames_of_sixty_may_be_every_other_one(tmp_path: Path) -> None:
    """30 poses a second in timecodes that count sixty, as the phone writes them."""
    rows = [f"00:00:{k // 60:02d}:{k % 60:02d}.000,0.5" for k in range(0, 240, 2)]
    (tmp_path / "a.csv").write_text("\n".join(["Timecode,JawOpen", *rows]))
    np.testing.assert_allclose(np.diff(load_curves(tmp_path / "a.csv").times_s), 1 / 30, atol=1e-6)


@pytest.mark.parametrize(
    "name",
    ["EyeBlinkLeft", "eyeBlink_L", "eye_blink_left", "Eye Blink Left", "left_eye_blink", "blendShape1.eyeBlinkLeft",
     " EYEBLINKLEFT", "eyeBlink.L"],
)  # fmt: skip
def test_columns_may_be_spelt_otherwise(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.csv").write_text(f"Timecode,{name}\n00:00:00:00,0.25\n00:00:00:01,0.5\n")
    assert load_curves(tmp_path / "a.csv").weights[:, NAMES.index("eyeBlinkLeft")].tolist() == [0.25, 0.5]
    (tmp_path / "a.json").write_text(json.dumps({"facsNames": [name], "weightMat": [[0.25]]}))
    assert load_curves(tmp_path / "a.json").weights[0, NAMES.index("eyeBlinkLeft")] == 0.25


def test_no_two_blendshapes_share_a_spelling() -> None:
    for suffix in ("Left", "Right"):
        for name in NAMES:
            if name.endswith(suffix):
                base = name.removesuffix(suffix)
                table = arkit_table(Path("x"), [f"{base}_{suffix[0]}"], np.ones((1, 1)))
                assert np.flatnonzero(table[0]).tolist() == [NAMES.index(name)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_spreadsheets_write_separators_and_marks_of_their_own(tmp_path: Path, separator: str, encoding: str) -> None:
    decimal = "," if separator == ";" else "."
    rows = [["Timecode", "JawOpen", "HeadYaw"]]
    rows += [[f"00:00:00:{k:02d}", f"0{decimal}{k}", f"-0{decimal}5"] for k in range(1, 4)]
    (tmp_path / "a.csv").write_bytes("\r\n".join(separator.join(row) for row in rows).encode(encoding))
    curves = load_curves(tmp_path / "a.csv")
    np.testing.assert_allclose(curves.weights[:, NAMES.index("jawOpen")], [0.1, 0.2, 0.3], atol=1e-7)
    assert np.abs(curves.neck).max() == pytest.approx(0.5, abs=1e-6)


def test_empty_and_repeated_rows_are_skipped_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = ["Timecode,JawOpen", "00:00:00:00,0", "", "00:00:00:01,0.1", "00:00:00:01,0.1", ",", "00:00:00:02,0.2"]
    (tmp_path / "a.csv").write_text("\n".join(rows))
    np.testing.assert_allclose(load_curves(tmp_path / "a.csv").times_s, [0, 1 / 60, 2 / 60])
    assert "empty, and skipped: line 3, 6" in caplog.text
    assert "same moment as the one before, and skipped: line 5" in caplog.text


def test_columns_that_nobody_knows_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "a.csv").write_text(
        "Timecode,BlendShapeCount,JawOpen,HeadYaw,Mood,LeftEyeYaw\n00:00:00:01,61,1,0,hi,0\n"
    )
    load_curves(tmp_path / "a.csv")
    assert "left out: Mood" in caplog.text
    (tmp_path / "a.csv").write_text("Timecode,JawOpen,jaw_open\n00:00:00:01,1,1\n")
    with pytest.raises(UserError, match="'JawOpen' and 'jaw_open' are one blendshape"):
        load_curves(tmp_path / "a.csv")


def test_head_angles_in_degrees_are_recognised_or_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for yaw, radians in (("-30", np.pi / 6), ("0.5", 0.5)):
        (tmp_path / "a.csv").write_text(f"Timecode,JawOpen,HeadYaw\n00:00:00:01,1,{yaw}\n")
        assert np.abs(load_curves(tmp_path / "a.csv").neck).max() == pytest.approx(radians, abs=1e-5)
    assert caplog.text.count("taken for degrees") == 1
    (tmp_path / "a.csv").write_text("Timecode,JawOpen,HeadYaw\n00:00:00:01,1,400\n")
    with pytest.raises(UserError, match="neither radians nor degrees"):
        load_curves(tmp_path / "a.csv")


def test_audio2face_keys(tmp_path: Path) -> None:
    write_curves(make_curves(), tmp_path / "a.json", rate_hz=30)
    content = json.loads((tmp_path / "a.json").read_text())
    assert content["numPoses"] == 52 and content["facsNames"] == list(NAMES) and content["exportFps"] == 30
    assert content["numFrames"] == len(content["weightMat"]) and len(content["weightMat"][0]) == 52


def test_audio2face_of_others(tmp_path: Path) -> None:
    content = {"facsNames": ["JawOpen", "other"], "weightMat": [[0.25, 1], [0.5, 1]], "numPoses": 2, "numFrames": 2}
    (tmp_path / "a.json").write_text(json.dumps(content))
    curves = load_curves(tmp_path / "a.json")
    assert curves.rate_hz == 30 and curves.weights[:, NAMES.index("jawOpen")].tolist() == [0.25, 0.5]
    assert np.count_nonzero(curves.weights) == 2


def test_glb_holds_the_head_and_its_blendshapes(tmp_path: Path, avatar: Avatar) -> None:
    write_curves(make_curves(), tmp_path / "a.glb", avatar=avatar)
    glb = read_glb(tmp_path / "a.glb")
    primitive = glb.items("meshes")[0]["primitives"][0]
    rest = glb.array(primitive["attributes"]["POSITION"])
    np.testing.assert_allclose(rest, avatar.head.v_template, atol=1e-6)
    i = NAMES.index("jawOpen")
    opened = avatar.head.vertices(avatar.arkit.params(np.eye(52, dtype=np.float32)[i])).numpy() - rest
    np.testing.assert_allclose(glb.array(primitive["targets"][i]["POSITION"]), opened, atol=3e-6)
    inverse = glb.array(glb.items("skins")[0]["inverseBindMatrices"]).reshape(2, 4, 4)
    joints = avatar.head.joints(avatar.head.v_template)
    np.testing.assert_allclose(-inverse[:, 3, :3], joints[:2], atol=1e-6)
    np.testing.assert_allclose(glb.array(primitive["attributes"]["WEIGHTS_0"]).sum(1), 1, atol=1e-6)


BLENDER = """
import bpy, json, sys
bpy.ops.wm.read_factory_settings(use_empty=True)
# Debian 12's importer, with its default shading, asks numpy for np.bool, which that numpy no longer has.
bpy.ops.import_scene.gltf(filepath=sys.argv[-2], import_shading="SMOOTH")
body = next(o for o in bpy.data.objects if o.type == "MESH")
bpy.context.scene.render.fps = 50
keys = body.data.shape_keys.key_blocks
seen = []
for frame in (int(bpy.context.scene.frame_start), 12, 20):
    bpy.context.scene.frame_set(frame)
    posed = body.evaluated_get(bpy.context.evaluated_depsgraph_get()).to_mesh()
    seen.append([k.value for k in keys[1:]] + [v for p in posed.vertices[:50] for v in p.co])
json.dump({"names": [k.name for k in keys[1:]], "seen": seen}, open(sys.argv[-1], "w"))
"""


@pytest.mark.skipif(shutil.which("blender") is None, reason="Blender is not installed (apt-get install blender)")
def test_blender_opens_the_glb_and_its_morph_targets_move(tmp_path: Path, avatar: Avatar) -> None:
    write_curves(make_curves(60), tmp_path / "a.glb", avatar=avatar)
    (tmp_path / "look.py").write_text(BLENDER)
    result = subprocess.run(
        ["blender", "--background", "--factory-startup", "--python", str(tmp_path / "look.py"), "--",
         str(tmp_path / "a.glb"), str(tmp_path / "seen.json")],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert (tmp_path / "seen.json").is_file(), result.stdout[-2000:] + result.stderr[-2000:]
    found = json.loads((tmp_path / "seen.json").read_text())
    assert found["names"] == list(NAMES)
    first, later, last = (np.array(s) for s in found["seen"])
    assert np.abs(later[:52] - first[:52]).max() > 0.05 and np.abs(last[:52] - later[:52]).max() > 0.05
    assert np.abs(later[52:] - first[52:]).max() > 1e-4  # and the mesh with them


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", "x,y\n1,2\n", "no column Timecode"),
        ("a.csv", "Timecode,JawOpen\nnow,1\n", "no timecode"),
        ("a.csv", "Timecode,JawOpen\n00:00:00:01,x\n", "line 2, column JawOpen: 'x' is no number"),
        ("a.csv", "Timecode,JawOpen\n00:00:00:01,nan\n", "not all finite"),
        ("a.csv", "Timecode,JawOpen\n00:00:00:01,99\n", "at most 10"),
        ("a.csv", "Timecode,JawOpen\n", "0 poses"),
        ("a.csv", "Timecode,Other\n00:00:00:01,1\n", "none of its columns"),
        ("a.csv", "Timecode,JawOpen\n00:00:00:02,1\n00:00:00:01,1\n", "do not increase"),
        ("a.csv", "Timecode,JawOpen\n00:00:00:01\n00:00:00:02,1\n", "fields"),
        ("a.json", "[]", "not an Audio2Face"),
        ("a.json", "{", "damaged"),
        ("a.json", "[" * 100_000, "damaged"),
        ("a.json", '{"facsNames": ["jawOpen"], "weightMat": [[1, 2]]}', "does not fit"),
        ("a.json", '{"facsNames": ["jawOpen"], "weightMat": [["x"]]}', "damaged"),
        ("a.json", '{"facsNames": ["jawOpen"], "weightMat": [[NaN]]}', "not all finite"),
        ("a.json", '{"facsNames": ["jawOpen"], "weightMat": [[1]], "exportFps": 0}', "exportFps"),
        ("a.npz", "x", "zip"),
        ("a.glb", "x", "glTF"),
        ("a.ply", "x", "PLY"),
        ("a.txt", "x", "not a file of curves"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(tmp_path: Path, name: str, content: str, says: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=says) as refusal:
        load_curves(tmp_path / name)
    assert name in str(refusal.value) and "\n" not in str(refusal.value)


@pytest.mark.parametrize("kind", sorted(FORMATS))
def test_what_cannot_be_written_leaves_what_was_there(
    tmp_path: Path, avatar: Avatar, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "no-suffix"
    write_curves(make_curves(3), path, kind, avatar=avatar)
    before = path.read_bytes()

    def full(self: Path, other: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(UserError, match="no-suffix: the disk is full"):
        write_curves(make_curves(4), path, kind, avatar=avatar)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["no-suffix"]


def test_formats_by_suffix_and_by_name(tmp_path: Path) -> None:
    assert format_of("x.arkit.npz") == "arkit" and format_of("X.CSV") == "livelink" and format_of("x", "glb") == "glb"
    with pytest.raises(UserError, match="tells no format"):
        format_of("x.txt")
    with pytest.raises(UserError, match="choose one of"):
        format_of("x.csv", "fbx")
    assert set(FORMATS) >= {"flame", "diffposetalk", "arkit", "livelink", "audio2face", "glb", "ply"}


def test_poses_at_uneven_times_come_evenly() -> None:
    steady = make_curves(40, rate_hz=30.0)
    assert steady.even() is steady
    keep = np.delete(np.arange(40), [7, 8, 21])  # a video that drops pictures
    gaps = Curves(steady.times_s[keep], steady.weights[keep], steady.neck[keep], steady.transl[keep])
    even = gaps.even()
    assert np.allclose(np.diff(even.times_s), 1 / 30) and len(even) == 40
    kept = np.abs(even.weights - steady.weights)[keep].max()
    assert kept < 1e-5
