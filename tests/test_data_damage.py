"""Bad files of every kind: each gets a message that names it, is counted for its set, and nothing else is lost."""

import dataclasses
import json
import logging
import os
import pickle

import numpy as np
import pytest

from tests import fixtures_formats as made
from tests.fixture_tools import Fixture, bedlam_person, four_d_person, four_d_tar, jpeg
from tests.pictures import fields
from tokenhmr.data.batches import held_out_batches, train_batches
from tokenhmr.data.readers.likelihood import LEAST_DENSITY, PoseLikelihood
from tokenhmr.data.scene import picture_size, stored_size
from tokenhmr.data.sources import read_data_list


class Hostile:
    """What a pickle can do to whoever opens it with Python's own."""

    def __init__(self, mark: str) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (self.mark,)


def sources_of(folder, fixtures):
    (folder / "list.yaml").write_text(made.list_text(fixtures))
    return read_data_list(folder / "list.yaml", root=folder)


def keys_and_messages(folder, fixture, caplog):
    """Whom a held-out set brings beside a whole set, and what is said of the rest."""
    caplog.clear()
    (folder / "whole").mkdir(exist_ok=True)
    whole = dataclasses.replace(made.own(folder / "whole"), shards=["whole/own.tar"])
    batches = held_out_batches(sources=sources_of(folder, {"bad": fixture, "whole": whole}), batch_size=4)
    with caplog.at_level(logging.WARNING):
        keys = [key for batch in batches for key in batch.key]
    said = [record.getMessage() for record in caplog.records if record.getMessage().startswith("skipped ")]
    assert keys[-made.PEOPLE :] == [f"p{n:05d}" for n in range(made.PEOPLE)]  # nothing else is lost
    assert batches.ledger.counts.tolist() == [[len(keys) - made.PEOPLE, len(said)], [made.PEOPLE, 0]]
    return keys[: -made.PEOPLE], said


def test_a_hostile_pickle_is_refused_and_does_nothing(tmp_path, caplog):
    mark = tmp_path / "done"
    evil = {"evil.jpg": jpeg(5), "evil.data.pyd": pickle.dumps([Hostile(str(mark))])}
    four_d_tar(tmp_path / "t.tar", {"a": [four_d_person(0)], "b": [four_d_person(1)]}, **evil)
    keys, said = keys_and_messages(tmp_path, Fixture("4dhumans", ["t.tar"]), caplog)
    assert keys == ["a.0", "b.0"]
    assert len(said) == 1 and said[0].startswith("skipped t.tar/evil: ") and "mkdir" in said[0]
    assert not mark.exists()
    pickle.loads(evil["evil.data.pyd"])
    assert mark.exists()  # it would have


def test_hostile_objects_in_an_npz_are_refused_and_do_nothing(tmp_path, caplog):
    fixture, mark = made.emdb(tmp_path), tmp_path / "done"
    arrays = dict(np.load(tmp_path / "emdb.npz", allow_pickle=True))
    made.npz(tmp_path / "emdb.npz", **arrays | {"extra_info": np.array([Hostile(str(mark))] * 4, dtype=object)})
    keys, said = keys_and_messages(tmp_path, fixture, caplog)
    assert keys == [] and len(said) == 1 and "mkdir" in said[0] and not mark.exists()


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"keypoints_3d": np.full((44, 4), np.nan)}, "person 1: keypoints_3d has 176 of 176 values that are not finite"),
        ({"keypoints_2d": np.ones((43, 3))}, r"person 1: keypoints_2d has shape (43, 3), it should be (44, 3)"),
        ({"center": np.array([np.inf, 0.0])}, "person 1: box_center has 1 of 2 values"),
        ({"scale": np.array([0.0, 0.1])}, "person 1: box_size is [0.0, 20.0], it should be positive"),
        ({"body_pose": np.zeros(66)}, "person 1: cannot reshape"),
    ],
)
def test_wrong_joints_of_one_person_cost_that_person_alone(changed, reason, tmp_path, caplog):
    four_d_tar(tmp_path / "t.tar", {"a": [four_d_person(0), four_d_person(1, **changed), four_d_person(2)]})
    keys, said = keys_and_messages(tmp_path, Fixture("4dhumans", ["t.tar"]), caplog)
    assert keys == ["a.0", "a.2"]
    assert len(said) == 1 and reason in said[0]


def test_bedlam_people_with_nan_or_behind_the_camera_are_named(tmp_path, caplog):
    people = [
        bedlam_person(0),
        bedlam_person(1, trans_cam=np.array([0.0, 0.0, -9.0])),
        bedlam_person(2, pose_cam=np.full(72, np.nan)),
        {name: value for name, value in bedlam_person(3).items() if name != "cam_int"},
    ]
    four_d_tar(tmp_path / "t.tar", {"a": people})
    keys, said = keys_and_messages(tmp_path, Fixture("bedlam", ["t.tar"]), caplog)
    assert keys == ["a.0"]
    reasons = ("person 1: has joints behind", "person 2: ", "person 3: has no cam_int")
    assert [reason in line for reason, line in zip(reasons, said, strict=True)] == [True] * 3


def test_nan_joints_and_missing_pictures_of_tables_cost_their_rows_alone(tmp_path, caplog):
    fixture = made.spin(tmp_path)
    columns = made.spin_columns(made.COCO)
    columns["part"][1, 3] = np.nan  # with confidence
    columns["part"][2, 3] = (np.nan, np.nan, 0)  # without: nobody asks
    (tmp_path / "coco" / made.COCO[3]).unlink()
    made.npz(tmp_path / "coco_2014_train.npz", **columns)
    keys, said = keys_and_messages(tmp_path, fixture, caplog)
    assert keys == [f"{made.COCO[0]}#0", f"{made.COCO[2]}#2"]
    assert [line.split(":")[0] for line in said] == [f"skipped {made.COCO[1]}, row 1", f"skipped {made.COCO[3]}"]
    assert "keypoints_2d has 3 of 132 values that are not finite" in said[0] and "no picture at" in said[1]


def test_damaged_rows_of_a_tsv_are_named(tmp_path, caplog):
    fixture = made.tsv(tmp_path, [made.tsv_label(0), made.tsv_label(1, betas=[1e400] * 10), *map(made.tsv_label, range(2, 5))])
    for name in ("img.lineidx", "label.lineidx"):
        (tmp_path / "tsv" / f"train.{name}").unlink()
    lines = (tmp_path / "tsv" / "train.img.tsv").read_text().splitlines()
    lines[3] = lines[3][:-9] + "?"
    (tmp_path / "tsv" / "train.img.tsv").write_text("\n".join(lines) + "\n")
    (tmp_path / "tsv" / "train.linelist.tsv").write_text("0\n1\n2\n3\n4\n99\n")
    keys, said = keys_and_messages(tmp_path, fixture, caplog)
    assert keys == [f"S1/0000{n}.jpg" for n in (0, 2, 4)]
    assert [line.split(" of")[0] for line in said] == [f"skipped train.yaml, row {n}" for n in (1, 3, 99)]


@pytest.mark.parametrize("name", [name for name in made.FIXTURES if name not in ("own", "4dhumans", "bedlam")])
@pytest.mark.parametrize("data", [b"", b"\x00\xff" * 40, b"[]", b"{}"])
def test_files_that_are_no_tables_are_named_and_the_rest_comes(name, data, tmp_path, caplog):
    fixture = made.FIXTURES[name](tmp_path)
    (tmp_path / fixture.shards[0]).write_bytes(data)
    keys, said = keys_and_messages(tmp_path, fixture, caplog)
    assert keys == []
    if (name, data) not in (("3doh", b"{}"), ("up3d", b"")):  # these are valid, and hold nobody
        assert len(said) >= 1


def test_cut_and_bad_pictures_are_named(tmp_path, caplog):
    fixture = made.emdb(tmp_path)
    first, second = (tmp_path / "EMDB" / f"P1/14_outdoor_climb/images/{n:05d}.jpg" for n in range(2))
    first.write_bytes(first.read_bytes()[:-40])
    second.write_bytes(b"GIF89a")
    keys, said = keys_and_messages(tmp_path, fixture, caplog)
    assert len(keys) == 2 and "cut off" in said[1] + said[0] and "no JPEG or PNG" in said[0] + said[1]


def test_an_empty_set_is_refused_in_training_with_its_name(tmp_path):
    made.put(tmp_path / "annots.json", b"{}")
    fixture = Fixture("3doh", ["annots.json"])
    with pytest.raises(ValueError, match="no picture can be read in the 1 shards of empty"):
        next(iter(train_batches(sources=sources_of(tmp_path, {"empty": fixture}), batch_size=2)))
    four_d_tar(tmp_path / "t.tar", {"a": []})  # a picture of nobody
    with pytest.raises(ValueError, match="no picture can be read in the 1 shards of nobody"):
        next(iter(train_batches(sources=sources_of(tmp_path, {"nobody": Fixture("4dhumans", ["t.tar"])}), batch_size=2)))


# ------------------------------------------------------------------------------------------------ parts of the readers


def test_sizes_are_read_from_headers_with_notes_in_front():
    import cv2

    pixels = np.zeros((30, 50, 3), dtype=np.uint8)
    data = {kind: cv2.imencode(kind, pixels)[1].tobytes() for kind in (".jpg", ".png")}
    progressive = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    notes = b"\xff\xe1" + (1002).to_bytes(2, "big") + bytes(1000)
    noted = data[".jpg"][:2] + notes + b"\xff" + data[".jpg"][2:]  # a filling byte is allowed before a marker
    for picture in (*data.values(), progressive, noted):
        assert picture_size(picture) == (50, 30)
    # No more is read than that needs: the beginning, or everything where large notes stand in front.
    large = data[".jpg"][:2] + (b"\xff\xe1" + (60002).to_bytes(2, "big") + bytes(60000)) + data[".jpg"][2:]
    for picture, wanted in ((noted + bytes(99999), 1), (large, 2)):
        asked = []
        assert stored_size(lambda most, picture=picture: asked.append(most) or picture[:most]).tolist() == [50, 30]  # noqa: B023
        assert len(asked) == wanted and asked[0] < 99999
    for wrong in (b"", b"\xff\xd8", data[".jpg"][:40], b"GIF89a" + bytes(40)):
        with pytest.raises(ValueError, match="no JPEG or PNG"):
            picture_size(wrong)


def test_improbable_poses_are_not_believed_by_the_release_s_rule(tmp_path):
    ndimage = pytest.importorskip("scipy.ndimage")
    bins = 60
    counts = np.zeros((21, bins, bins, bins))
    counts[:, 27:33, 27:33, 27:33] = np.random.default_rng(0).integers(50, 99, (21, 6, 6, 6))
    likelihood = PoseLikelihood(counts)
    slow = ndimage.gaussian_filter(counts / counts.sum() / (2 * np.pi / bins) ** 3, sigma=2, mode="constant")
    np.testing.assert_allclose(likelihood.density, slow, rtol=1e-4, atol=1e-7)
    small = np.random.default_rng(1).normal(scale=0.1, size=(21, 3)).astype(np.float32)
    assert likelihood.believes(small)
    angle = np.linalg.norm(small, axis=1, keepdims=True)
    assert likelihood.believes((small * (1 + 2 * np.pi / angle)).astype(np.float32))  # once more around is the same
    wild = small.copy()
    wild[2] = (3.0, 0.0, 0.0)  # spine3 folded
    assert not likelihood.believes(wild)
    assert not likelihood.believes(np.full((21, 3), np.nan, dtype=np.float32))
    assert len(LEAST_DENSITY) == 13

    np.save(tmp_path / "hist.npy", counts)
    four_d_tar(tmp_path / "t.tar", {"a": [four_d_person(0, body_pose=np.tile([3.0, 0, 0], 24))]})
    fixture = Fixture("4dhumans", ["t.tar"], options={"likelihood": "hist.npy"})
    (batch,) = held_out_batches(sources=sources_of(tmp_path, {"a": fixture}), batch_size=1)
    assert not batch.has_pose.any() and batch.has_betas.all() and not batch.pose.betas.any()


def test_a_wrong_histogram_is_refused(tmp_path, caplog):
    np.save(tmp_path / "hist.npy", np.zeros((3, 4)))
    four_d_tar(tmp_path / "t.tar", {"a": [four_d_person(0)]})
    fixture = Fixture("4dhumans", ["t.tar"], options={"likelihood": "hist.npy"})
    keys, said = keys_and_messages(tmp_path, fixture, caplog)
    assert keys == [] and "a histogram of poses is (21, n, n, n)" in said[0]


def test_rows_of_own_shards_may_say_a_gender(tmp_path):
    from tokenhmr.data.annotation import read_annotation

    rows = [fields(0) | {"gender": said} for said in ("female", "other")]
    assert read_annotation(json.dumps(rows[0]).encode(), source_trusted=True).gender == "female"
    with pytest.raises(ValueError, match="gender is 'other'"):
        read_annotation(json.dumps(rows[1]).encode(), source_trusted=True)
