"""Files to pixels, pixels to boxes: the formats people have, and the broken ones."""

import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from tokenhmr.demo.detector import HogDetector
from tokenhmr.demo.pictures import BadPicture, open_picture, read_picture, sample_folder, shows_nothing
from tokenhmr.rectangles import overlap, suppress


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


def saved(image, path, mode=None, **how):
    """Written by Pillow, which knows more kinds of pictures."""
    picture = Image.fromarray(image)
    (picture if mode is None else picture.convert(mode)).save(path, **how)
    return path


@pytest.mark.parametrize(("name", "mode"), [("cmyk.jpg", "CMYK"), ("cmyk.tif", "CMYK"), ("palette.png", "P"), ("la.png", "LA")])
def test_rare_kinds_of_colour_are_understood(tmp_path, name, mode):
    path = saved(scene(), tmp_path / name, mode, **({"quality": 95} if name.endswith("jpg") else {}))
    expected = np.asarray(Image.fromarray(scene()).convert(mode).convert("RGB"))
    assert np.abs(read_picture(path).astype(int) - expected).mean() < 4


def test_sixteen_bits_of_colour_become_eight(tmp_path):
    for suffix in (".png", ".tiff"):
        deep = cv2.cvtColor(scene(), cv2.COLOR_RGB2BGR).astype(np.uint16) * 257
        cv2.imwrite(str(tmp_path / f"deep{suffix}"), deep)
        assert np.abs(read_picture(tmp_path / f"deep{suffix}").astype(int) - scene()).max() <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_transparency_turns_with_its_picture(tmp_path, orientation):
    layers = np.dstack([scene(), np.full((40, 60), 255, dtype=np.uint8)])
    layers[:, :30, 3] = 0
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(layers, tmp_path / "glass.png", exif=exif)
    shown = ImageOps.exif_transpose(Image.open(path))
    paper = Image.new("RGBA", shown.size, "white")
    paper.alpha_composite(shown)
    assert (read_picture(path) == np.asarray(paper.convert("RGB"))).all()


def test_a_huge_jpeg_is_read_smaller_and_a_huge_png_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("tokenhmr.demo.pictures.MOST_PIXELS", 40 * 60 // 4)
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = open_picture(saved(scene(), tmp_path / "huge.jpg", quality=95, exif=exif))
    assert picture.size == (40, 60) and picture.image.shape == (30, 20, 3) and picture.zoom == 0.5
    assert np.abs(picture.image[::-1][:, :, :].astype(int)[15:, :10] - [0, 0, 255]).mean() < 100
    with pytest.raises(BadPicture, match="60x40 pixels are more"):
        read_picture(saved(scene(), tmp_path / "huge.png"))


def test_a_picture_that_only_claims_to_be_huge_costs_no_memory(tmp_path):
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    png = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    (tmp_path / "bomb.png").write_bytes(png + struct.pack(">I", 0) + b"IEND" + struct.pack(">I", zlib.crc32(b"IEND")))
    with pytest.raises(BadPicture):
        read_picture(tmp_path / "bomb.png")


def test_the_focal_length_comes_out_of_a_real_file(tmp_path):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA405] = 28
    picture = open_picture(saved(scene(), tmp_path / "phone.jpg", exif=exif))
    assert picture.focal == pytest.approx(28 / np.hypot(36, 24) * np.hypot(60, 40))


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
