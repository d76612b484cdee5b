"""From damaged or whole tars to batches: nothing is lost, nothing comes twice, the same numbers come again."""

import json
import logging
import pickle
import random
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.pictures import annotation, fields, sample_files, write_shard, write_tar
from tokenhmr.data.annotation import read_annotation
from tokenhmr.data.augment import Augmentation
from tokenhmr.data.batches import held_out_batches, train_batches
from tokenhmr.data.sources import Source, find_shards, read_data_list

# Python 3.12 warns when a process with threads forks, which torch's loader does by design on Linux.
forking = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


def keys(batches) -> list[str]:
    return [key for batch in batches for key in batch.key]


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> tuple[Path, ...]:
    folder = tmp_path_factory.mktemp("shards")
    return tuple(write_shard(folder / f"s{n}.tar", range(7 * n, 7 * n + 7)) for n in range(3))


@pytest.fixture
def source(shards) -> Source:
    return Source(name="noise", shards=shards)


# ------------------------------------------------------------------------------------------------ annotations


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"keypoints_2d": [[1, 2, 1]] * 43}, r"keypoints_2d has shape \(43, 3\), it should be \(44, 3\)"),
        ({"pose": [[0, 0, 0]] * 22}, r"pose has shape \(22, 3\), it should be \(24, 3\)"),
        ({"betas": [0] * 9 + [float("nan")]}, "betas has 1 of 10 values that are not finite"),
        ({"betas": [0] * 9 + [1e300]}, "betas has 1 of 10 values that are not finite"),
        ({"box_center": ["a", "b"]}, "box_center is no array of numbers"),
        ({"box_size": [0, 5]}, "box_size is .* it should be positive"),
        ({"keypoints_3d": [[0, 0, 0, -1]] * 44}, "confidence of -1"),
        ({"trusted": "yes"}, "trusted is 'yes'"),
        ({"trusted": 1}, "trusted is 1"),
    ],
)
def test_a_wrong_row_is_refused_with_both_numbers(changed, message):
    with pytest.raises(ValueError, match=message):
        read_annotation(json.dumps(fields(**changed)).encode(), source_trusted=True)


@pytest.mark.parametrize("text", [b"", b"[1]", b"{", b"\xff\xfe", b'{"key": "a"}'])
def test_what_is_no_row_is_refused(text):
    with pytest.raises(ValueError, match=r"JSON|no dataset"):
        read_annotation(text, source_trusted=True)


@pytest.mark.parametrize(("row", "listed", "believed"), [(True, True, True), (True, False, False), (False, True, False)])
def test_trust_needs_both_row_and_list(row, listed, believed):
    text = json.dumps(fields(trusted=row)).encode()
    assert read_annotation(text, source_trusted=listed).trusted is believed


# ------------------------------------------------------------------------------------------------ lists


def test_lists_expand_braces_and_wildcards(tmp_path):
    for name in ("a-008.tar", "a-009.tar", "a-010.tar", "b.tar"):
        (tmp_path / name).touch()
    found = find_shards(["a-{008..010}.tar", "{b,a-009}.tar"], root=tmp_path)
    assert [path.name for path in found] == ["a-008.tar", "a-009.tar", "a-010.tar", "b.tar"]
    assert [path.name for path in find_shards("a-*.tar", root=tmp_path)] == ["a-008.tar", "a-009.tar", "a-010.tar"]
    for absent in ("c.tar", "a-{008..011}.tar", "c*.tar"):
        with pytest.raises(FileNotFoundError, match="no shard at"):
            find_shards(absent, root=tmp_path)
    with pytest.raises(ValueError, match="does not count upwards"):
        find_shards("a-{9..1}.tar", root=tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sources: []", "no list called sources"),
        ("a: [", "no yaml"),
        ("sources: [{name: x}]", "lacks"),
        ("sources: [{name: x, shards: s.tar, weight: heavy, trusted: true, licence: l, origin: o}]", "weight of x"),
        ("sources: [{name: x, shards: s.tar, weight: 1, trusted: 1, licence: l, origin: o}]", "trusted of x"),
        ("sources: [{name: x, shards: s.tar, weight: 1, trusted: true, licence: l, origin: o, speed: 2}]", "speed"),
    ],
)
def test_a_wrong_list_is_refused(tmp_path, text, message):
    (tmp_path / "s.tar").touch()
    (tmp_path / "list.yaml").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_data_list(tmp_path / "list.yaml", root=tmp_path)


def test_the_lists_of_the_repository_can_be_read(tmp_path, root):
    for name in ("synthetic-train", "synthetic-pseudo-train", "synthetic-test", "synthetic-second-test"):
        (tmp_path / f"{name}-000000.tar").touch()
    shard_lists = list((root / "data_lists").glob("synthetic*.yaml"))
    lists = {path.stem: read_data_list(path, root=tmp_path) for path in shard_lists}
    assert {source.name: source.trusted for source in lists["synthetic"]} == {"synthetic": True, "synthetic-pseudo": False}
    assert all(source.licence and source.origin and source.shards for sources in lists.values() for source in sources)


# ------------------------------------------------------------------------------------------------ held-out sets


def test_a_batch_holds_what_was_written(shards):
    batch = next(iter(held_out_batches(sources=[Source(name="noise", shards=shards[:1], trusted=False)], batch_size=3)))
    assert (batch.image.dtype, tuple(batch.image.shape)) == (torch.uint8, (3, 3, 256, 256))
    row = annotation(2)
    assert batch.key[2] == row.key
    np.testing.assert_allclose(batch.keypoints_3d[2], row.keypoints_3d)
    side = float(batch.box_size[2])
    assert side == pytest.approx(64 * 0.8)
    pixels = batch.keypoints_2d[2, :, :2] * side + batch.box_center[2]
    np.testing.assert_allclose(pixels, row.keypoints_2d[:, :2], atol=1e-4)
    angle = torch.linalg.norm(torch.from_numpy(row.pose), dim=-1)
    rotations = torch.cat([batch.pose.global_orient[2, None], batch.pose.body[2]])
    trace = rotations.diagonal(dim1=-2, dim2=-1).sum(dim=-1)
    torch.testing.assert_close(trace, 1 + 2 * torch.cos(angle), atol=1e-5, rtol=0)
    assert not batch.trusted.any()
    assert batch.image_size.tolist() == [[64, 64]] * 3


@pytest.mark.parametrize("world", [1, 2, 3, 5, 30])
def test_every_picture_comes_once_whatever_the_number_of_readers(source, world):
    batches = [held_out_batches(sources=[source], batch_size=4, rank=r, world=world) for r in range(world)]
    found = [key for reader in batches for key in keys(reader)]
    assert sorted(found) == [f"p{n:05d}" for n in range(21)]
    assert world > 1 or found == sorted(found)


@forking
def test_workers_of_two_ranks_bring_every_picture_once(source):
    batches = [held_out_batches(sources=[source], batch_size=2, rank=rank, world=2, workers=2) for rank in range(2)]
    assert sorted(key for rank in batches for key in keys(rank)) == [f"p{n:05d}" for n in range(21)]
    copied = pickle.loads(pickle.dumps(batches[0]))  # as spawning a worker needs it
    assert sorted(keys(copied)) == sorted(keys(batches[0]))


# ------------------------------------------------------------------------------------------------ damage


def damaged(folder: Path) -> Path:
    """Ten pictures of which 2, 4, 5, and 7 cannot be read, each for another reason."""
    files = {}
    for number in range(10):
        files |= sample_files(number)
    files["p00002.jpg"] = files["p00002.jpg"][:300]
    files["p00004.json"] = files["p00004.json"][:-40]
    del files["p00005.json"]
    files["p00007.jpg"] = b"this is a text"
    return write_tar(folder / "damaged.tar", files)


def test_what_cannot_be_read_is_named_and_the_rest_comes(tmp_path, caplog):
    batches = held_out_batches(sources=[Source(name="d", shards=(damaged(tmp_path),))], batch_size=3)
    with caplog.at_level(logging.WARNING):
        assert keys(batches) == [f"p{n:05d}" for n in (0, 1, 3, 6, 8, 9)]
    assert batches.skipped == 4
    said = "\n".join(record.getMessage() for record in caplog.records)
    for name, reason in [("2", "cut off"), ("4", "not JSON"), ("5", "has only jpg"), ("7", "no picture")]:
        assert any(f"damaged.tar/p0000{name}" in line and reason in line for line in said.splitlines()), said


def test_a_tar_that_is_cut_off_anywhere_brings_what_is_whole_and_says_so(tmp_path, caplog):
    whole = write_shard(tmp_path / "whole.tar", range(4)).read_bytes()
    end = len(whole.rstrip(b"\0"))
    rng = random.Random(0)
    for cut in [0, 100, 512, 1024, *(rng.randrange(end) for _ in range(25)), end // 512 * 512]:
        caplog.clear()
        (tmp_path / "cut.tar").write_bytes(whole[:cut])
        batches = held_out_batches(sources=[Source(name="c", shards=(tmp_path / "cut.tar",))], batch_size=3)
        found = keys(batches)
        assert found == [f"p{n:05d}" for n in range(len(found))]
        # A sample is whole once both its files are; what follows it (a mask) may be missing.
        ends = [whole[:cut].find(f"p{n:05d}.mask".encode()) for n in range(4)]
        assert len(found) >= sum(place > 0 for place in ends)
        assert batches.skipped > 0
        assert "cut.tar" in caplog.text


def test_reading_goes_on_behind_a_damaged_header(tmp_path, caplog):
    path = write_shard(tmp_path / "header.tar", range(6))
    data = bytearray(path.read_bytes())
    place = data.find(b"p00002.jpg")
    data[place : place + 200] = bytes(random.Random(1).randbytes(200))
    path.write_bytes(data)
    batches = held_out_batches(sources=[Source(name="h", shards=(path,))], batch_size=10)
    assert keys(batches) == [f"p{n:05d}" for n in (0, 1, 3, 4, 5)]
    assert "no header can be read" in caplog.text
    assert "header.tar/p00002: has only json" in caplog.text


def test_a_text_file_called_tar_brings_nothing_and_training_on_it_ends(tmp_path, caplog):
    path = tmp_path / "text.tar"
    path.write_text("hello " * 1000)
    source = Source(name="t", shards=(path,))
    assert keys(held_out_batches(sources=[source], batch_size=2)) == []
    assert "text.tar" in caplog.text
    with pytest.raises(ValueError, match="no picture can be read in the 1 shards of t"):
        next(iter(train_batches(sources=[source], batch_size=2)))
    files = {name: b"bad" if name.endswith("jpg") else data for name, data in sample_files(0).items()}
    unreadable = Source(name="u", shards=(write_tar(tmp_path / "u.tar", files),))
    with pytest.raises(ValueError, match="batches in a row without one readable picture"):
        next(iter(train_batches(sources=[unreadable], batch_size=2, buffer=1)))


# ------------------------------------------------------------------------------------------------ training


def same(one, other) -> bool:
    return one.key == other.key and torch.equal(one.image, other.image) and torch.equal(one.keypoints_2d, other.keypoints_2d)


def test_training_visits_everything_in_another_order_each_time(source):
    batches = list(islice(train_batches(sources=[source], batch_size=7, buffer=10), 12))
    found = keys(batches)
    assert len(found) == 84
    assert set(found) == {f"p{n:05d}" for n in range(21)}
    assert found[:21] != found[21:42]
    images = {key: [] for key in found}
    for batch in batches:
        for key, image in zip(batch.key, batch.image, strict=True):
            images[key].append(image)
    again = next(pictures for pictures in images.values() if len(pictures) > 1)
    assert not torch.equal(again[0], again[1])  # augmented anew


def test_the_same_seed_gives_the_same_batches_and_start_goes_on_in_the_middle(source):
    def some(count, **changed):
        numbers = {"sources": [source], "batch_size": 5, "seed": 3, "buffer": 8} | changed
        return list(islice(train_batches(**numbers), count))

    straight = some(6)
    assert all(same(one, other) for one, other in zip(straight, some(6), strict=True))
    assert all(same(one, other) for one, other in zip(straight[4:], some(2, start=4), strict=True))
    assert not same(straight[0], some(1, seed=4)[0])
    assert not same(straight[0], some(1, rank=1, world=2)[0])


@forking
def test_start_goes_on_in_the_middle_with_workers_too(source):
    def some(count, start):
        return list(islice(train_batches(sources=[source], batch_size=3, buffer=4, workers=2, start=start), count))

    straight = some(5, 0)
    assert all(same(one, other) for one, other in zip(straight[3:], some(2, 3), strict=True))


def test_more_readers_than_pictures_starve_none(tmp_path):
    source = Source(name="few", shards=(write_shard(tmp_path / "few.tar", range(2)),))
    for rank in range(5):
        batch = next(iter(train_batches(sources=[source], batch_size=4, rank=rank, world=5, buffer=2)))
        assert len(batch.key) == 4


def test_sources_are_drawn_by_weight(shards):
    many = Source(name="many", shards=shards[:1], weight=3.0)
    few = Source(name="few", shards=shards[1:2], weight=1.0, trusted=False)
    still = Augmentation(scale=0.0, shift=0.0, turn_chance=0.0, flip_chance=0.0, colour=0.0, part_chance=0.0)
    batches = train_batches(sources=[many, few], batch_size=25, augmentation=still, buffer=8)
    trusted = torch.cat([batch.trusted for batch in islice(batches, 12)])
    assert trusted.float().mean().item() == pytest.approx(0.75, abs=0.1)


def test_impossible_numbers_and_missing_shards_are_refused_at_the_door(source, tmp_path):
    for wrong in ({"batch_size": 0}, {"rank": 1}, {"workers": -1}):
        with pytest.raises(ValueError, match="impossible"):
            train_batches(**({"sources": [source], "batch_size": 1} | wrong))
    for missing in ([Source(name="x", shards=(tmp_path / "x.tar",))], [Source(name="x", shards=())], []):
        with pytest.raises(FileNotFoundError, match="no shard"):
            held_out_batches(sources=missing, batch_size=1)
