"""Folders of any layout, and who is trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from animation.lab.data.florence4d import write_florence4d
from animation.lab.data.folders import DataFolder, FaceData, guess_format
from animation.lab.data.sequences import MeshSequence, write_native
from animation.lab.data.splits import VOCASET_SPLIT
from animation.lab.data.vocaset import write_faceformer, write_vocaset
from avatar.errors import UserError
from avatar.heads import open_head
from tests.animation.synthetic_head import flame_sized_head

HEAD = flame_sized_head()[0]


def sequence(subject: str, domain: str, name: str = "sentence01") -> MeshSequence:
    still = np.zeros((2, HEAD.n_vertices, 3), np.float32)
    return MeshSequence(subject, name, domain, 60.0, HEAD.v_template.numpy(), still)  # type: ignore[arg-type]


def people(prefix: str, count: int, domain: str) -> list[MeshSequence]:
    return [sequence(f"{prefix}{i}", domain) for i in range(count)]


def test_layouts_are_told_by_what_is_in_them(tmp_path: Path) -> None:
    speech, faces = people("s", 1, "speech"), people("f", 1, "expression")
    write_native(tmp_path / "native", [*speech, *faces])
    write_vocaset(tmp_path / "vocaset", speech, 2)
    write_faceformer(tmp_path / "faceformer", speech)
    write_florence4d(tmp_path / "florence4d", faces, HEAD.faces.numpy())
    (tmp_path / "3dmead").mkdir()
    np.save(tmp_path / "3dmead" / "M003_0_1_001.npy", np.zeros((1, 2, 403), np.float32))
    for layout in ("native", "vocaset", "faceformer", "florence4d", "3dmead"):
        assert guess_format(tmp_path / layout) == layout
        folder = DataFolder.open(tmp_path / layout)
        for domain in ("speech", "expression"):
            if layout != "3dmead":
                found = list(folder.sequences(domain, HEAD))
                assert [s.subject for s in found] == list(folder.subjects(domain))
    with pytest.raises(UserError, match="whole corpus; give one of the folders in it"):
        guess_format(tmp_path)


def test_everybody_is_in_one_part_and_every_part_has_both_domains(tmp_path: Path) -> None:
    write_native(
        tmp_path / "a", [*people("s", 5, "speech"), *people("both", 4, "speech"), *people("f", 3, "expression")]
    )
    write_native(tmp_path / "b", [*people("both", 4, "expression"), *people("g", 4, "expression")])
    data = FaceData.open([tmp_path / "a", tmp_path / "b"])
    names = [*data.split.train, *data.split.validation, *data.split.test]
    assert sorted(names) == sorted(set(names)) and len(names) == 16
    for part in ("train", "validation", "test"):
        found = list(data.sequences(part, HEAD))
        assert {s.domain for s in found} == {"speech", "expression"}
        assert {s.subject for s in found} == set(data.split.part(part))
    again = FaceData.open([tmp_path / "a", tmp_path / "b"])
    assert again.split == data.split
    assert FaceData.open([tmp_path / "a", tmp_path / "b"], seed=1).split != data.split


def test_vocaset_has_its_own_split_and_sentences(tmp_path: Path) -> None:
    names = [*VOCASET_SPLIT.train, *VOCASET_SPLIT.validation, *VOCASET_SPLIT.test]
    spoken = [sequence(name, "speech", f"sentence{number:02d}") for name in names for number in (3, 25)]
    write_faceformer(tmp_path, spoken)
    data = FaceData.open([tmp_path], ["faceformer"], ["speech"])
    for part in ("train", "validation", "test"):
        assert set(data.split.part(part)) == set(VOCASET_SPLIT.part(part))
    counts = [len(list(data.sequences(part, HEAD, audio=False))) for part in ("train", "validation", "test")]
    assert counts == [16, 2, 2]  # held-out people say sentences 21 to 40 only


def test_what_does_not_fit_is_said(tmp_path: Path) -> None:
    write_native(tmp_path / "few", [*people("s", 2, "speech"), *people("f", 4, "expression")])
    with pytest.raises(UserError, match="too few people for a split: nobody with speech"):
        FaceData.open([tmp_path / "few"])
    write_native(tmp_path / "speech", people("s", 3, "speech"))
    with pytest.raises(UserError, match="no expression in"):
        FaceData.open([tmp_path / "speech"])
    other, _ = open_head()
    unlike = rf"s\d/sentence01 has 5023 vertices, the head model {len(other.v_template)}; name the head"
    with pytest.raises(UserError, match=unlike):
        list(FaceData.open([tmp_path / "speech"], domains=["speech"]).sequences("train", other))
    with pytest.raises(UserError, match="unknown format"):
        DataFolder.open(tmp_path, "fbx")
    (tmp_path / "void").mkdir()
    with pytest.raises(UserError, match="no data of a known layout"):
        guess_format(tmp_path / "void")
