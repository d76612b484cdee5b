"""Files to pixels, pixels to boxes: the formats people have, and the broken ones."""

import struct

import cv2
import numpy as np
import pytest

from tokenhmr.demo.boxes import find_people, read_boxes
from tokenhmr.demo.detector import FullPicture, HogDetector, nobody, overlap, suppress
from tokenhmr.demo.pictures import BadPicture, list_pictures, read_picture, sample_folder, shows_nothing


def scene(height=40, width=60):
    """A picture whose four corners differ: red, green, blue, white (RGB)."""
    image = np.zeros((height, width, 3), dtype=np.uint8)
    image[: height // 2, : width // 2, 0] = 255
    image[: height // 2, width // 2 :, 1] = 255
    image[height // 2 :, : width // 2, 2] = 255
    image[height // 2 :, width // 2 :] = 255
    return image


def encoded(suffix, image):
    return cv2.imencode(suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()


def segment(kind, payload):
    return b"\xff" + bytes([kind]) + struct.pack(">H", len(payload) + 2) + payload


def with_orientation(jpeg, orientation):
    """The JPEG with an EXIF segment that holds this one entry (TIFF 6.0, tag 0x0112)."""
    tiff = b"MM\x00\x2a" + struct.pack(">I", 8) + struct.pack(">HHHIHH", 1, 0x0112, 3, 1, orientation, 0) + struct.pack(">I", 0)
    return jpeg[:2] + segment(0xE1, b"Exif\x00\x00" + tiff) + jpeg[2:]


@pytest.mark.parametrize(("orientation", "turns"), [(1, 0), (6, -1), (3, 2), (8, 1)])
def test_a_picture_is_upright(tmp_path, orientation, turns):
    path = tmp_path / "turned.jpg"
    path.write_bytes(with_orientation(encoded(".jpg", scene()), orientation))
    expected = np.rot90(scene(), turns)
    seen = read_picture(path)
    assert seen.shape == expected.shape
    assert np.abs(seen.astype(int) - expected).mean() < 4


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".webp", ".tiff"])
def test_colours_keep_their_places(tmp_path, suffix):
    path = tmp_path / f"päckchen{suffix}"
    path.write_bytes(encoded(suffix, scene()))
    assert np.abs(read_picture(path).astype(int) - scene()).mean() < 4


def test_grey_deep_and_transparent_pictures_become_rgb(tmp_path):
    grey = np.arange(0, 200, dtype=np.uint8).reshape(10, 20)
    (tmp_path / "grey.png").write_bytes(cv2.imencode(".png", grey)[1].tobytes())
    assert (read_picture(tmp_path / "grey.png") == grey[..., None]).all()

    (tmp_path / "deep.png").write_bytes(cv2.imencode(".png", grey.astype(np.uint16) * 257)[1].tobytes())
    assert np.abs(read_picture(tmp_path / "deep.png").astype(int) - grey[..., None]).max() <= 1

    layers = np.dstack([np.full((10, 20, 3), 100, dtype=np.uint8), np.zeros((10, 20), dtype=np.uint8)])
    layers[:, 10:, 3] = 255
    (tmp_path / "glass.png").write_bytes(cv2.imencode(".png", layers)[1].tobytes())
    seen = read_picture(tmp_path / "glass.png")
    assert (seen[:, :10] == 255).all() and (seen[:, 10:] == 100).all()


def broken_files():
    jpeg, png = encoded(".jpg", scene(200, 300)), encoded(".png", scene(200, 300))
    thumbnail = jpeg[:2] + segment(0xE1, b"Exif\x00\x00" + encoded(".jpg", scene(8, 8))) + jpeg[2:]
    return {
        "text.jpg": b"I am a text, whatever my name says.\n" * 9, "empty.png": b"", "half.jpg": jpeg[: len(jpeg) // 2],
        "half_with_thumbnail.jpg": thumbnail[: len(thumbnail) - len(jpeg) // 2], "half.png": png[: len(png) // 2],
        "head.jpg": jpeg[:3], "zeros.jpg": bytes(5000),
    }  # fmt: skip


@pytest.mark.parametrize("name", broken_files())
def test_a_broken_picture_is_refused_in_one_line(tmp_path, name):
    (tmp_path / name).write_bytes(broken_files()[name])
    with pytest.raises(BadPicture) as refusal:
        read_picture(tmp_path / name)
    assert "\n" not in str(refusal.value)


def test_a_whole_jpeg_with_a_thumbnail_and_a_tail_is_fine(tmp_path):
    jpeg = encoded(".jpg", scene())
    path = tmp_path / "phone.jpg"
    path.write_bytes(jpeg[:2] + segment(0xE1, b"Exif\x00\x00" + encoded(".jpg", scene(8, 8))) + jpeg[2:] + b"tail" * 10)
    assert read_picture(path).shape == (40, 60, 3)


def test_every_picture_gets_a_place_of_its_own(tmp_path):
    (tmp_path / "more").mkdir()
    (tmp_path / "none").mkdir()
    for name in ("a.jpg", "a.png", "B.jpg", "more/a.jpg", "more/b.JPG", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    pictures, complaints = list_pictures(
        [tmp_path, tmp_path / "more", tmp_path / "a.jpg", tmp_path / "none", tmp_path / "gone"]
    )
    assert [picture.path.name for picture in pictures] == ["B.jpg", "a.jpg", "a.png", "a.jpg", "b.JPG"]
    results = [picture.result.lower() for picture in pictures]
    assert len(set(results)) == len(results)
    assert [line.split(": ")[0] for line in complaints] == [str(tmp_path / "none"), str(tmp_path / "gone")]


def test_boxes_are_read_from_json_and_csv_alike(tmp_path):
    (tmp_path / "boxes.json").write_text('{"a.jpg": [[1, 2, 30, 40, 0.5], [5, 6, 7, 8.5, 1]]}')
    (tmp_path / "boxes.csv").write_text("picture,left,top,right,bottom,score\na.jpg,1,2,30,40,0.5\n\na.jpg,5,6,7,8.5,1\n")
    one, other = (read_boxes(tmp_path / name)["a.jpg"] for name in ("boxes.json", "boxes.csv"))
    assert one.xyxy.tolist() == other.xyxy.tolist() == [[1, 2, 30, 40], [5, 6, 7, 8.5]]
    assert one.scores.tolist() == other.scores.tolist() == [0.5, 1]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("b.json", '{"a.jpg": [[1, 2, 3]]}'),
        ("b.json", '{"a.jpg": [[5, 2, 3, 4]]}'),
        ("b.json", '{"a.jpg": [["x", 2, 3, 4]]}'),
        ("b.json", '{"a.jpg": 7}'),
        ("b.csv", "other.jpg,0,0,5,5\na.jpg,1,2,3\n"),
    ],
)
def test_a_wrong_box_is_named_with_its_picture(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=r"a\.jpg"):
        read_boxes(tmp_path / name)


@pytest.mark.parametrize("text", ["[1, 2]", "no boxes", "\x00\x01"])
def test_a_file_that_is_no_box_file_is_refused(tmp_path, text):
    (tmp_path / "b.json").write_text(text)
    with pytest.raises(ValueError, match="boxes"):
        read_boxes(tmp_path / "b.json")


def sees_nobody(image):
    return nobody()


def test_who_decides_on_boxes():
    image, blank = scene(), np.full((40, 60, 3), 117, dtype=np.uint8)
    listed = {"two.jpg": read_like([[1, 2, 30, 40], [3, 4, 20, 30]]), "none.jpg": nobody()}

    def ask(picture, name, fallback=True, detector=sees_nobody):
        return find_people(picture, name, listed=listed, detector=detector, fallback=fallback).boxes

    assert ask(image, "two.jpg").xyxy.tolist() == [[1, 2, 30, 40], [3, 4, 20, 30]]
    assert len(ask(image, "none.jpg")) == 0, "an empty list is an answer"
    assert ask(image, "other.jpg").xyxy.tolist() == [[0, 0, 60, 40]]
    assert ask(image, "other.jpg").source == "full"
    assert len(ask(image, "other.jpg", fallback=False)) == 0
    assert len(ask(blank, "other.jpg", detector=FullPicture())) == 0, "a picture of nothing holds nobody"
    with pytest.raises(BadPicture, match="60x40"):
        find_people(image, "far.jpg", listed={"far.jpg": read_like([[70, 0, 90, 9]])}, detector=sees_nobody, fallback=True)


def read_like(rows):
    boxes = FullPicture()(scene())
    return type(boxes)(xyxy=np.array(rows, dtype=float), scores=np.ones(len(rows)), source="file")


def test_nothing_is_one_colour_and_a_speck_is_something():
    blank = np.full((30, 30, 3), (10, 200, 30), dtype=np.uint8)
    assert shows_nothing(blank)
    blank[3, 4, 1] = 100
    assert not shows_nothing(blank)


def test_overlap_counts_pixels():
    random = np.random.default_rng(0)
    corners = random.integers(0, 20, (30, 2, 2))
    boxes = np.concatenate([corners.min(axis=1), corners.max(axis=1) + 1], axis=1).astype(float)
    grid = np.stack(np.meshgrid(np.arange(21), np.arange(21)), axis=-1)[None] + 0.5
    inside = ((grid > boxes[:, None, None, :2]) & (grid < boxes[:, None, None, 2:])).all(axis=-1)
    shared, union = (inside[0] & inside).sum(axis=(1, 2)), (inside[0] | inside).sum(axis=(1, 2))
    smaller = np.minimum(inside[0].sum(), inside.sum(axis=(1, 2)))
    assert np.allclose(overlap(boxes[0], boxes), shared / union)
    assert np.allclose(overlap(boxes[0], boxes, of_smaller=True), shared / smaller)


def test_suppression_keeps_the_surest_of_each_crowd():
    crowd = np.array([[0, 0, 10, 20], [1, 1, 11, 21], [3, 4, 7, 12]], dtype=float)
    boxes = np.concatenate([crowd, crowd + np.array([100, 0, 100, 0])])
    assert suppress(boxes, np.array([1.0, 3.0, 2.0, 0.5, 0.4, 0.3])) == [1, 3]
    assert suppress(np.zeros((0, 4)), np.zeros(0)) == []


def test_the_detector_sees_the_same_in_a_mirror():
    image = read_picture(sample_folder() / "skimage_astronaut.jpg")
    detector = HogDetector(threshold=0.0, longest=256)
    boxes, mirrored = detector(image), detector(np.ascontiguousarray(image[:, ::-1]))
    assert len(boxes) > 0
    back = mirrored.xyxy[:, [2, 1, 0, 3]] * (-1, 1, -1, 1) + (image.shape[1], 0, image.shape[1], 0)
    assert np.allclose(np.sort(boxes.scores), np.sort(mirrored.scores), atol=1e-3)
    assert all(overlap(box, back).max() > 0.95 for box in boxes.xyxy)


def test_the_detector_finds_who_walks(data_folder):
    image = read_picture(data_folder / "photos" / "two_walking_snow.png")
    found = HogDetector()(image)
    walkers = np.array([[195.0, 100, 315, 400], [320.0, 110, 430, 400]])  # by eye
    assert all(overlap(walker, found.xyxy).max() > 0.5 for walker in walkers)


def test_packaged_boxes_fit_their_pictures():
    listed = read_boxes(sample_folder() / "boxes.json")
    pictures = {path.name: read_picture(path) for path in sample_folder().glob("*.jpg")}
    assert set(listed) == set(pictures)
    for name, boxes in listed.items():
        height, width = pictures[name].shape[:2]
        assert (boxes.xyxy >= 0).all() and (boxes.xyxy <= (width, height, width, height)).all()
