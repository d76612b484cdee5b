"""What every file says of licences, what is refused for commercial use, and what never travels."""

import struct
import zipfile
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.clip_tools import moment
from tests.demo_tools import tiny_model
from tokenhmr.body import load_body
from tokenhmr.demo.__main__ import main
from tokenhmr.demo.camera import Camera
from tokenhmr.demo.export import draw_people
from tokenhmr.demo.licences import objections
from tokenhmr.demo.pictures import read_picture
from tokenhmr.demo.scene import Frame, People, Scene
from tokenhmr.models.pretrained import read_config, save_pretrained
from tokenhmr.render.picture import COLOURS, PAPER

FREE = {"code": "Apache-2.0", "body": "CC0-1.0", "data": "CC-BY-4.0"}


def ask(licences, *, body="CC0-1.0", detector="OpenCV, Apache-2.0"):
    return objections({"licences": licences}, body_licence=body, detector="hog", detector_licence=detector)


def test_what_is_free_is_let_through_and_the_packaged_weights_are():
    assert ask(FREE) == []
    assert objections(read_config("default"), body_licence=load_body().licence, detector="hog", detector_licence="BSD") == []


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"data": "AMASS, non-commercial scientific research"}, "data"),
        ({"data": "CC-BY-NC-4.0"}, "data"),
        ({"data": "free for research use"}, "data"),
        ({"code": "Max Planck licence"}, "code"),
        ({"data": ""}, "data is not stated"),
        ({"data": "ask my uncle"}, "data"),
    ],
)
def test_what_is_restricted_or_unknown_is_named(change, word):
    (line,) = ask(FREE | change)
    assert word in line


def test_a_restricted_body_or_detector_is_named():
    assert "body" in ask(FREE, body="SMPL-Model licence, non-commercial")[0]
    assert "detector hog" in ask(FREE, detector=None)[0]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    licences = {"data": "AMASS, non-commercial research"}
    return save_pretrained(tiny_model(), tmp_path_factory.mktemp("weights"), metadata={"licences": licences})


def photograph(path):
    """A JPEG that says where and by whom it was taken."""
    exif = Image.Exif()
    exif[0x010F], exif[0x013B] = "CAMERAMAKER", "OWNERSNAME"
    exif.get_ifd(0x8825)[0x0002] = (48.0, 51.0, 29.6)
    exif.get_ifd(0x8825)[0x001D] = "1999:12:31"
    exif.get_ifd(0x8769)[0xA405] = 30
    Image.fromarray(cv2.resize(moment(5), (192, 128))).save(path, exif=exif, quality=90)
    assert all(word in path.read_bytes() for word in (b"OWNERSNAME", b"1999:12:31"))
    return path


def everything_in(folder):
    """All bytes of all files, also those inside archives."""
    for path in sorted(folder.iterdir()):
        yield path.name, path.read_bytes()
        if path.suffix == ".npz":
            with zipfile.ZipFile(path) as file:
                yield from ((f"{path.name}/{name}", file.read(name)) for name in file.namelist())


def png_texts(data):
    """International texts of a PNG by their keys; every checksum is looked at."""
    at, texts = 8, {}
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        assert struct.unpack(">I", data[at + 8 + length : at + 12 + length])[0] == zlib.crc32(kind + body)
        if kind == b"iTXt":
            key, _, rest = body.partition(b"\0")
            texts[key.decode()] = rest[4:].decode()
        at += 12 + length
    return texts


def test_every_file_says_its_licences_and_nothing_of_the_place(weights, tmp_path):
    common = ["--weights", str(weights), "--out", str(tmp_path / "out"), "--detector", "full", "--save", "all"]
    assert main([str(photograph(tmp_path / "p.jpg")), *common]) == 0
    folder = tmp_path / "out" / "p"
    said = {name for name, data in everything_in(folder) if "non-commercial research" in data.decode("utf-8", "replace")}
    assert {"overlay.png", "side.png", "person_0.obj", "run.json"} <= said
    with np.load(folder / "people.npz") as file:
        assert "non-commercial research" in str(file["licences"])
        assert str(file["camera_source"]) == "exif"
        assert file["focal"][0] == pytest.approx(30 / np.hypot(36, 24) * np.hypot(192, 128))
    assert png_texts((folder / "overlay.png").read_bytes())["licences"].endswith("non-commercial research")
    for name, data in everything_in(folder):
        assert not [word for word in (b"OWNERSNAME", b"CAMERAMAKER", b"1999:12:31") if word in data], name


def test_commercial_use_of_these_weights_is_refused(weights, tmp_path, capsys):
    cv2.imwrite(str(tmp_path / "p.png"), moment(3))
    common = ["--weights", str(weights), "--out", str(tmp_path / "out"), "--commercial-ok"]
    assert main([str(tmp_path / "p.png"), *common]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "AMASS" in line and "patents are not judged" in line
    assert not (tmp_path / "out").exists()


def test_no_pixel_is_shown_where_none_may(weights, tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (96, 96, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "p.png"), noise)
    common = ["--weights", str(weights), "--out", str(tmp_path / "out"), "--detector", "full", "--no-pictures"]
    assert main([str(tmp_path / "p.png"), *common]) == 0
    overlay = read_picture(tmp_path / "out" / "p" / "overlay.png")
    paper = (overlay == PAPER).all(axis=2)
    assert 0.1 < paper.mean() < 0.99 and paper[0].all()


@pytest.mark.parametrize("nearer", [0, 1])
def test_the_nearer_person_hides_the_farther_whatever_their_order(nearer):
    body = load_body()
    depths = [3.0, 4.0] if nearer == 0 else [4.0, 3.0]
    down = np.diag([1.0, -1.0, -1.0])  # facing the camera, feet down
    rotations = np.tile(np.eye(3), (2, 24, 1, 1))
    rotations[:, 0] = down
    people = People(
        frame=np.zeros(2, dtype=np.int64), track=np.arange(2), filled=np.zeros(2, dtype=bool),
        score=np.ones(2, dtype=np.float32), box=np.ones((2, 4), dtype=np.float32),
        crop_camera=np.ones((2, 3), dtype=np.float32), rotations=rotations.astype(np.float32),
        translation=np.array([[0, 0.2, depth] for depth in depths], dtype=np.float32),
        betas=np.zeros((2, body.shape_count), dtype=np.float32),
    )  # fmt: skip
    camera = Camera(matrix=np.array([[200.0, 0, 80], [0, 200, 100], [0, 0, 1]]), source="user")
    frame = Frame(number=0, time=0.0, size=(160, 200), camera=camera, name="a", boxes="file")
    scene = Scene(name="a", frames=(frame,), rate=None, body=body, about={}, pictures=None)
    image = np.zeros((200, 160, 3), dtype=np.uint8)
    posed = scene.posed(people)
    both = draw_people(image, posed, people, scene, frame).astype(float)
    alone = [draw_people(image, scene.posed(people.rows([row])), people.rows([row]), scene, frame) for row in (0, 1)]
    shared = (alone[0] > 0).any(axis=2) & (alone[1] > 0).any(axis=2)
    assert shared.mean() > 0.02
    inner = cv2.erode(shared.astype(np.uint8), np.ones((5, 5))).astype(bool)
    off = [np.abs(both[inner] - one[inner]).mean() for one in alone]
    assert off[nearer] < 1 < off[1 - nearer], "the farther one shines through"
    assert COLOURS[0] != COLOURS[1]
