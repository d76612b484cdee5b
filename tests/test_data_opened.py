"""What happens to a picture after it is read: decoded once, by whichever decoder, with masks only where they are asked for."""

import dataclasses
import io
import pickle
from itertools import islice, pairwise

import cv2
import numpy as np
import pytest
import torch

from tests.fixtures_formats import four_d_person
from tests.pictures import annotation, picture, write_tar
from tokenhmr.data import crop, opened
from tokenhmr.data.augment import Augmentation, Change, prepare
from tokenhmr.data.batches import held_out_batches, train_batches
from tokenhmr.data.collate import collate
from tokenhmr.data.readers.fourdhumans import FourDHumans
from tokenhmr.data.scene import known
from tokenhmr.data.sources import Source

SIDE, PEOPLE = 96, 3


def jpeg(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()


def write_crowds(path, *, first: int, count: int, masks: bytes | None = None):
    """Pictures of a bright disc with three people, all of whom are the disc."""
    disc = cv2.circle(np.zeros((SIDE, SIDE), dtype=np.uint8), (52, 45), 20, 1, -1)
    packed = io.BytesIO()
    np.savez_compressed(packed, masks=np.stack([disc == 0, disc == 1]))
    files = {}
    for number in range(first, first + count):
        people = [four_d_person(10 * number + row, extra_info={"detection_npz_idx": 1}) for row in range(PEOPLE)]
        files[f"p{number:03d}.jpg"] = jpeg(np.repeat(disc[..., None] * 220, 3, axis=2).astype(np.uint8))
        files[f"p{number:03d}.data.pyd"] = pickle.dumps(people)
        files[f"p{number:03d}.detection.npz"] = packed.getvalue() if masks is None else masks
    return write_tar(path, files)


@pytest.fixture
def crowds(tmp_path) -> list[Source]:
    paths = [write_crowds(tmp_path / f"c{part}.tar", first=8 * part, count=8) for part in range(2)]
    return [Source(name=path.stem, shards=(path,), reader=FourDHumans(), weight=1.0) for path in paths]


def test_a_picture_is_decoded_once_for_everybody_in_it_though_sets_take_turns(crowds, monkeypatch):
    decoded = []
    monkeypatch.setattr(
        opened, "decode_picture", lambda data, size, real=crop.decode_picture: decoded.append(1) or real(data, size)
    )
    batches = train_batches(sources=crowds, batch_size=6, buffer=4)
    found = [(batch.dataset[row], batch.key[row].partition(".")[0]) for batch in islice(batches, 8) for row in range(6)]
    assert len({name for name, _ in found}) == 2
    assert any(one[0] != other[0] for one, other in pairwise(found))
    # A picture comes again only after everything came once: at most two of each set are cut in their middle.
    assert len(decoded) <= len(found) // PEOPLE + 2


def test_a_picture_with_nobody_left_in_it_is_let_go():
    row, data = annotation(), jpeg(picture())
    scene = known("s", (row, row), lambda: data)
    hand = opened.AtHand()
    still = {"boxes": "wide", "change": Change()}
    first = hand.row(0, scene, 0, **still)
    assert list(hand._open) == [0]
    second = hand.row(0, scene, 1, **still)
    assert not hand._open
    np.testing.assert_array_equal(first.image, second.image)


def test_masks_come_only_where_they_are_asked_for_and_lie_on_the_person(crowds):
    (plain,) = islice(train_batches(sources=crowds, batch_size=12), 1)
    assert plain.mask is None
    # The weight of a sample on its way to the device.
    tensors = [getattr(plain, field.name) for field in dataclasses.fields(plain)]
    tensors += [plain.pose.global_orient, plain.pose.body, plain.pose.betas]
    assert sum(value.nbytes for value in tensors if isinstance(value, torch.Tensor)) / 12 < 200_000
    asking = [dataclasses.replace(source, reader=FourDHumans(masks=True)) for source in crowds]
    batches = train_batches(sources=asking, batch_size=12, augmentation=Augmentation(part_chance=0.0, colour=0.0))
    for batch in islice(batches, 3):
        assert batch.mask.shape == (12, 256, 256) and batch.mask.dtype == torch.bool
        bright = batch.image.float().mean(dim=1) > 110
        both, either = (bright & batch.mask).sum(dim=(1, 2)), (bright | batch.mask).sum(dim=(1, 2))
        assert (both / either).min() > 0.93 and batch.mask.float().mean() > 0.05
    assert batch.to("cpu").mask is batch.mask


def test_masks_that_cannot_be_read_cost_their_picture_only_where_they_are_asked_for(tmp_path, caplog):
    path = write_crowds(tmp_path / "bad.tar", first=0, count=1, masks=b"PK\x03\x04 and nothing more")
    for asked, people in ((False, PEOPLE), (True, 0)):
        source = Source(name="bad", shards=(path,), reader=FourDHumans(masks=asked))
        assert sum(len(batch.key) for batch in held_out_batches(sources=[source], batch_size=4)) == people
    assert "no masks that can be read" in caplog.text


def test_a_mask_of_another_size_or_number_is_refused():
    row, data = dataclasses.replace(annotation(), mask=1), jpeg(picture())
    small, none = np.ones((2, 64, 63), dtype=bool), np.ones((1, 64, 64), dtype=bool)
    for masks, words in ((small, "height and width differ"), (none, "mask 1 of 1")):
        with pytest.raises(ValueError, match=words):
            opened.open_scene(known("s", (row,), lambda: data, masks=lambda masks=masks: masks)).row(
                0, boxes="wide", change=Change()
            )


def test_a_row_without_a_mask_says_nothing_against_any_pixel():
    mask = np.zeros((64, 64), dtype=bool)
    rows = [prepare(picture(), annotation(), Change(), mask), prepare(picture(), annotation())]
    assert collate(rows[1:]).mask is None
    assert collate(rows).mask.float().mean(dim=(1, 2)).tolist() == [0, 1]


# ------------------------------------------------------------------------------------------------ decoders


@pytest.mark.parametrize("sampling", [0x411111, 0x221111, 0x211111, 0x111111])
def test_either_decoder_gives_the_same_pixels(sampling, monkeypatch):
    pytest.importorskip("simplejpeg", reason="the extra 'fast' is not installed")
    settings = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling, cv2.IMWRITE_JPEG_QUALITY, 85]
    for pixels in (picture(side=90), picture(side=90)[:, :, :1]):
        data = cv2.imencode(".jpg", pixels, settings)[1].tobytes()
        fast = crop.decode_picture(data, (90, 90))
        with monkeypatch.context() as without:
            without.setattr(crop, "simplejpeg", None)
            np.testing.assert_array_equal(fast, crop.decode_picture(data, (90, 90)))


@pytest.mark.parametrize("settings", [[], [cv2.IMWRITE_JPEG_PROGRESSIVE, 1], [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x221111]])
def test_decoding_straight_to_rgb_gives_the_same_pixels(settings, monkeypatch):
    """An OpenCV that cannot do so yet turns the channels afterwards."""
    monkeypatch.setattr(crop, "simplejpeg", None)
    for pixels in (picture(side=90), picture(side=90)[:, :, :1]):
        data = cv2.imencode(".jpg", pixels, settings)[1].tobytes()
        straight = crop.decode_picture(data, (90, 90))
        with monkeypatch.context() as before:
            before.setattr(crop, "_TO_RGB", None)
            np.testing.assert_array_equal(straight, crop.decode_picture(data, (90, 90)))
        np.testing.assert_array_equal(straight, cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1])


def test_what_the_fast_decoder_refuses_is_left_to_opencv(monkeypatch):
    class Refusing:
        @staticmethod
        def decode_jpeg(data: bytes, **_: object) -> np.ndarray:
            raise ValueError("CMYK")

    data = jpeg(picture())
    usual = crop.decode_picture(data, (64, 64))
    monkeypatch.setattr(crop, "simplejpeg", Refusing)
    np.testing.assert_array_equal(crop.decode_picture(data, (64, 64)), usual)
