"""Pictures and labels of one's own: they stand upright, every slip gets a line, and what is said arrives in training."""

import json
import subprocess
import sys
from io import BytesIO

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.conftest import ROOT
from tests.fixture_tools import jpeg, png
from tests.pictures import picture, write_tar
from tests.test_data_check import files_of
from tests.test_data_writer import nothing, people_in
from tokenhmr.data.batches import held_out_batches
from tokenhmr.data.crop import decode_picture
from tokenhmr.data.own import read_labels
from tokenhmr.data.prepare import main
from tokenhmr.data.sources import Source, read_data_list
from tokenhmr.data.upright import orientation, swaps_sides, upright
from tokenhmr.data.writer import person, write_people
from tokenhmr.resources import data_list_path
from tokenhmr.skeleton import JOINTS44

BOX = {"box": [2, 2, 50, 60]}


def prepared(folder, labels, *words, name="own"):
    """The status of ``prepare pictures`` on such labels."""
    text = labels if isinstance(labels, str) else json.dumps(labels)
    (folder / "labels.json").write_text(text, encoding="utf-8")
    return main(["pictures", str(folder / "labels.json"), "--out", str(folder / "shards"), "--name", name, *words])


def photograph(kind, tag):
    """A smooth picture of 96 by 64 with a red corner, stored under an orientation tag."""
    pixels = np.full((64, 96, 3), 90, dtype=np.uint8)
    pixels[:16, :16] = (220, 10, 10)
    exif, file = Image.Exif(), BytesIO()
    exif[0x010F] = "maker"  # tags before and behind it
    exif[0x0112] = tag
    exif[0x0131] = "software"
    Image.fromarray(pixels).save(file, kind, exif=exif, quality=95)
    return file.getvalue()


# ------------------------------------------------------------------------------------------------ upright


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("tag", range(1, 9))
def test_upright_is_what_others_take_for_upright(kind, tag):
    """OpenCV's reading of the tag is the slow twin."""
    data = photograph(kind, tag)
    assert orientation(data) == tag
    stored = decode_picture(data, (96, 64))
    seen = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    np.testing.assert_array_equal(upright(stored, tag), seen)
    assert swaps_sides(tag) == (seen.shape[:2] == (96, 64))
    np.testing.assert_array_equal(upright(np.stack([stored[..., 0]] * 2), tag, axes=(1, 2))[1], seen[..., 0])


@pytest.mark.parametrize(
    "data", [b"", b"text", jpeg(0, 64), png(picture(0)), b"\xff\xd8\xff\xe1\x00\x20Exif\x00\x00II*\x00\xff"]
)
def test_a_picture_that_says_nothing_of_it_is_as_it_should_be(data):
    assert orientation(data) == 1


def test_damage_to_the_tag_is_no_orientation():
    data = photograph("JPEG", 6)
    place = data.index(b"\x01\x12\x00\x03")
    assert orientation(data[: place + 9] + b"\x09" + data[place + 10 :]) == 1
    for length in range(len(data)):
        assert orientation(data[:length]) in (1, 6)


@pytest.mark.parametrize(("kind", "tag"), [("JPEG", 6), ("JPEG", 3), ("PNG", 8)])
def test_own_pictures_are_written_upright_and_so_are_their_labels(tmp_path, kind, tag, capsys):
    """The nose is put on the red corner, where a viewer shows it."""
    data = photograph(kind, tag)
    (tmp_path / "phone").write_bytes(data)
    seen = cv2.imread(str(tmp_path / "phone"))[..., ::-1]
    red = np.argwhere((seen[..., 0] > 150) & (seen[..., 1] < 60))[:, ::-1].mean(axis=0)
    nose = {"nose": (red + 0.5).tolist(), "neck": [seen.shape[1] / 2, seen.shape[0] / 2]}
    height, width = seen.shape[:2]
    assert prepared(tmp_path, {"phone": [{"box": [0, 0, width, height], "joints_2d": nose}]}, "--side", "500") == 0
    (shard,) = (tmp_path / "shards").iterdir()
    (scene,) = Source(name="x", shards=(shard,)).scenes(0, skip=nothing)
    (row,) = scene.people()
    assert row.image_size.tolist() == [width, height] and orientation(scene.picture()) == 1
    np.testing.assert_allclose(row.known_lens[2:], [width / 2, height / 2])
    pixels = decode_picture(scene.picture(), (width, height))
    x, y = row.keypoints_2d[JOINTS44.index("nose"), :2].astype(int)
    assert np.abs(pixels[y, x].astype(int) - (220, 10, 10)).max() < 25
    assert main(["check", str(shard), "--sheet", str(tmp_path / "check.png")]) == 0
    assert "EXIF" not in capsys.readouterr().out


def test_check_remarks_on_a_tag_that_goes_unheard(tmp_path, capsys):
    files = files_of(range(3))
    for number, tag in ((0, 1), (2, 6)):
        square = Image.new("RGB", (64, 64))
        exif, file = Image.Exif(), BytesIO()
        exif[0x0112] = tag
        square.save(file, "JPEG", exif=exif)
        files[f"p{number:05d}.jpg"] = file.getvalue()
    write_tar(tmp_path / "a.tar", files)
    assert main(["check", str(tmp_path / "a.tar"), "--people", "0"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "EXIF" in line]
    assert "EXIF says that the picture is turned" in line and line.endswith(": a.tar/p00002")


# ------------------------------------------------------------------------------------------------ slips


def test_own_pictures_from_a_json(tmp_path, capsys):
    (tmp_path / "a.jpg").write_bytes(jpeg(0, 64))
    labels = {
        "a.jpg": [{"box": [2, 2, 50, 60], "pose": [[0.0] * 3] * 24}, {"joints_2d": {"tail": [1, 2]}}, {"boxes": 1}],
        "gone.jpg": [{"box": [0, 0, 9, 9]}],
    }
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    assert main(["pictures", str(tmp_path / "labels.json"), "--out", str(tmp_path / "shards")]) == 0
    said = capsys.readouterr()
    assert "own: 1 shards" in said.out
    for line, words in zip(
        said.err.splitlines(),
        ("a.jpg, person 1: no joint", "a.jpg, person 2: has unknown boxes; a person has box, joints_2d", "there is no picture"),
        strict=True,
    ):
        assert line.startswith("left out: ") and words in line
    (row,) = people_in(sorted((tmp_path / "shards").glob("*.tar")))
    assert (row.key, row.dataset, row.has_pose, row.trusted) == ("a.jpg#0", "own", True, False)
    for text, message in (("[]", "an object with a list of people"), ("{", "is no JSON")):
        (tmp_path / "labels.json").write_text(text)
        with pytest.raises(ValueError, match=message):
            next(read_labels(tmp_path / "labels.json", tmp_path, dataset="x", skip=nothing))


SLIPS = {
    "joints_2d is [1, 2, 3, 1, 2, 3, ...], it should name its joints": BOX | {"joints_2d": [1, 2, 3] * 17},
    "box is 5, it should be four numbers: left, top, right, bottom": {"box": 5},
    "box is ['1', '2', '30', '40'], it should be four numbers": {"box": ["1", "2", "30", "40"]},
    "joint nose in joints_2d is [None, 2], it should be 2 finite numbers": {"joints_2d": {"nose": [None, 2], "neck": [3, 4]}},
    "is 3, a person should be an object like": 3,
    "is None, a person should be an object like": None,
    "is [1, 2], a person should be an object like": [1, 2],
    "is more than 20 times as large as the upright picture of 64x64": {"box": [-1e9, -1e9, 1e9, 1e9]},
    "lies outside the upright picture of 64x64": {"box": [5000, 5000, 5100, 5200]},
}


def test_a_slip_costs_one_person_and_its_line_says_what_was_found_and_wanted(tmp_path, capsys):
    (tmp_path / "a.jpg").write_bytes(jpeg(0, 64))
    assert prepared(tmp_path, {"a.jpg": [BOX, *SLIPS.values()]}) == 0
    lines = capsys.readouterr().err.splitlines()
    for number, (line, words) in enumerate(zip(lines, SLIPS, strict=True), start=1):
        assert line.startswith(f"left out: a.jpg, person {number}: ") and words in line
        assert line.count("a.jpg") == 1
    assert [row.key for row in people_in([*(tmp_path / "shards").iterdir()])] == ["a.jpg#0"]


def test_pictures_that_cannot_be_read_get_one_line_each(tmp_path, capsys):
    (tmp_path / "a.jpg").write_bytes(jpeg(0, 64))
    Image.new("RGB", (64, 64)).save(tmp_path / "b.webp")
    labels = {"a.jpg": [BOX], "b.webp": [BOX, BOX], "gone.jpg": [BOX, BOX], "": [BOX]}
    assert prepared(tmp_path, "\ufeff" + json.dumps(labels)) == 0  # with the mark that some editors write
    converted, gone, folder = capsys.readouterr().err.splitlines()
    assert converted.startswith("left out: b.webp: ") and "have to be converted first (docs/data.md)" in converted
    assert gone == f"left out: there is no picture at {tmp_path / 'gone.jpg'}"
    assert folder == f"left out: {tmp_path} cannot be read: Is a directory"


def test_a_name_is_no_folder(tmp_path, capsys):
    (tmp_path / "a.jpg").write_bytes(jpeg(0, 64))
    assert prepared(tmp_path, {"a.jpg": [BOX]}, name="a/b") == 2
    assert "the name of a set, 'a/b', begins the names of its files" in capsys.readouterr().err


def test_check_names_a_huge_box_and_draws_its_picture(tmp_path, capsys):
    """Nothing is as large as the box: it would take 296 TiB."""
    files = files_of([0], box_size=[2e7, 2e7]) | files_of([1], box_center=[-4e9, 30]) | files_of([2], box_size=[900, 900])
    write_tar(tmp_path / "a.tar", files)
    assert main(["check", str(tmp_path / "a.tar"), "--sheet", str(tmp_path / "check.png")]) == 0
    out = capsys.readouterr().out
    assert "the box is more than 20 times as large as the picture: a.tar/p00000" in out
    assert "the box lies outside the picture: a.tar/p00001" in out
    cells = cv2.imread(str(tmp_path / "check.png"))
    assert all(cell.std() > 10 for cell in np.array_split(cells, 3, axis=1))


# ------------------------------------------------------------------------------------------------ recordings, names, example


def test_frames_of_a_video_are_one_person_to_an_evaluation(tmp_path):
    (tmp_path / "a.jpg").write_bytes(jpeg(0, 64))
    labels = {"a.jpg": [BOX | {"track": "walk1/anna", "frame": number} for number in range(3)] + [BOX]}
    assert prepared(tmp_path, labels) == 0
    (batch,) = held_out_batches(sources=[Source(name="own", shards=tuple((tmp_path / "shards").iterdir()))], batch_size=8)
    assert batch.track == ("walk1/anna",) * 3 + ("",)
    assert batch.frame == (0, 1, 2, None)
    row = person(key="a", dataset="d", picture=jpeg(0, 64), box=(2, 2, 50, 60), track="walk1/anna", frame=7)
    (read,) = people_in(write_people([(jpeg(0, 64), [row])], tmp_path, name="x", skip=nothing))
    assert (read.track, read.frame) == ("walk1/anna", 7)


@pytest.mark.parametrize("listed", ["finetune", "finetune_heldout"])
def test_a_set_with_a_longer_name_stays_out_of_the_list(tmp_path, listed):
    (tmp_path / "a.jpg").write_bytes(jpeg(0, 64))
    name = "heldout" if listed == "finetune_heldout" else "mine"
    for other in (f"{name}-night", f"{name}-2", f"{name}-heldout", name):  # the shorter one last: others are none of its shards
        assert prepared(tmp_path, {"a.jpg": [BOX]}, "--per-shard", "1", name=other) == 0
    (source,) = read_data_list(data_list_path(listed), root=tmp_path / "shards")
    assert source.shards == (tmp_path / "shards" / f"{name}-000000.tar",)
    assert prepared(tmp_path, {"a.jpg": [BOX]}, name=name) == 2


def test_the_documented_example_runs_and_what_it_writes_can_be_trained_on(tmp_path):
    example = ROOT / "docs" / "examples" / "own_pictures.py"
    assert len(example.read_text().splitlines()) <= 65
    keypoints = np.stack([np.linspace(8, 56, 17), np.linspace(5, 60, 17), np.full(17, 2)], axis=1)
    keypoints[3] = 0  # not labelled
    labels = {
        "images": [
            {"id": n, "file_name": name} for n, name in ((7, "a.jpg"), (8, "b.jpg"), (9, "empty.jpg"), (10, "gone.jpg"))
        ],
        "annotations": [
            {"id": n, "image_id": image, "keypoints": keypoints.ravel().tolist()} for n, image in enumerate((7, 7, 8, 10))
        ],
    }
    # What real files hold: a box, a box of no size, somebody far away without joints, and a crowd.
    labels["annotations"][2] |= {"bbox": [4, 2, 50, 60], "num_keypoints": 16, "iscrowd": 0}
    labels["annotations"] += [
        {"id": 90, "image_id": 7, "keypoints": keypoints.ravel().tolist(), "bbox": [9, 9, 0, 5]},
        {"id": 91, "image_id": 7, "keypoints": [0] * 51, "num_keypoints": 0, "bbox": [1, 1, 20, 20]},
        {"id": 92, "image_id": 8, "keypoints": keypoints.ravel().tolist(), "iscrowd": 1, "bbox": [1, 1, 20, 20]},
    ]
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    for number, name in enumerate(("a.jpg", "b.jpg")):
        (tmp_path / name).write_bytes(jpeg(number, 64))
    command = [sys.executable, str(example), "labels.json", ".", "shards"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    (path,) = sorted((tmp_path / "shards").iterdir())
    size, gone, written = done.stdout.splitlines()
    assert size.startswith("left out: a.jpg, person 90: 90: box is (9, 9, 9, 14)")
    assert gone.startswith("left out: gone.jpg, person 3: ")
    assert written == "shards/mine-000000.tar"
    (batch,) = held_out_batches(sources=[Source(name="mine", shards=(path,))], batch_size=8)
    assert batch.key == ("0", "1", "2")
    assert batch.keypoints_2d[..., 2].sum(dim=1).tolist() == [16, 16, 16]
    assert not batch.has_pose.any() and not batch.trusted.any()
    boxes = [row.box_size.tolist() for row in people_in([path])]
    assert boxes[2] == [50, 60] and boxes[0] == boxes[1] != boxes[2]


def test_a_failure_on_the_way_leaves_no_piece_of_a_shard(tmp_path):
    row = person(key="a", dataset="d", picture=jpeg(0, 64), box=(2, 2, 50, 60))

    def pictures():
        yield jpeg(0, 64), [row]
        raise RuntimeError("the disk is gone")

    with pytest.raises(RuntimeError, match="the disk is gone"):
        write_people(pictures(), tmp_path, name="x", skip=nothing)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("progressive", [False, True])
def test_what_a_phone_puts_behind_a_picture_is_no_damage_and_a_cut_is(progressive):
    """A film behind the picture; in front of it a thumbnail, whose end is not the picture's."""
    noise, thumbnail, file = np.random.default_rng(0).integers(0, 256, (96, 64, 3), dtype=np.uint8), BytesIO(), BytesIO()
    Image.fromarray(noise[:16, :16]).save(thumbnail, "JPEG")
    exif = b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x00\x00" + thumbnail.getvalue()
    Image.fromarray(noise).save(file, "JPEG", quality=95, progressive=progressive, exif=exif)
    whole = file.getvalue()
    pixels = decode_picture(whole, (64, 96))
    film = b"\x00\x00\x00\x18ftypmp42" + bytes(5000)
    assert np.array_equal(decode_picture(whole + film, (64, 96)), pixels)
    for share in (0.3, 0.6, 0.9, 0.999):
        assert b"\xff\xd9" in whole[: int(share * len(whole))], "the thumbnail's end"
        with pytest.raises(ValueError, match="cut off"):
            decode_picture(whole[: int(share * len(whole))], (64, 96))
