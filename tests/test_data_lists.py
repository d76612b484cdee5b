"""Lists of sets: mixtures of other lists, tars from afar, boxes by both rules, and the lists of the repository."""

import dataclasses
import json
import os
import re
import shlex
import stat
from pathlib import Path

import numpy as np
import pytest

from tests import fixtures_formats as made
from tests.pictures import annotation, sample_files, write_shard, write_tar
from tokenhmr.data.batches import held_out_batches
from tokenhmr.data.crop import square_side
from tokenhmr.data.opened import boxed
from tokenhmr.data.readers.bedlam import Bedlam
from tokenhmr.data.readers.fourdhumans import FourDHumans
from tokenhmr.data.sources import find_shards, parse_data_list, read_data_list

LISTS = Path(__file__).resolve().parent.parent / "data_lists"


def keys(sources, **numbers) -> list[str]:
    return [key for batch in held_out_batches(sources=sources, batch_size=4, **numbers) for key in batch.key]


def row(**changed):
    plain = {"name": "x", "shards": "s.tar", "weight": 1, "trusted": True, "licence": "l", "origin": "o"}
    return plain | changed


def write_list(path, *rows, **others) -> Path:
    path.write_text(json.dumps({"sources": list(rows)} | others if rows else others))
    return path


# ------------------------------------------------------------------------------------------------ lists of ours


def test_the_mixtures_of_the_papers_have_their_weights_and_their_trust():
    tokenhmr, hmr2, bedlam = (parse_data_list(LISTS / f"{name}.yaml") for name in ("tokenhmr", "hmr2", "bedlam"))
    for mixture in (tokenhmr, hmr2, bedlam):
        assert sum(source.weight for source in mixture) == pytest.approx(1.0)
    assert {source.name for source in tokenhmr if source.trusted} == {"h36m", "bedlam"}
    assert {source.name for source in tokenhmr} - {source.name for source in hmr2} == {"bedlam"}
    assert all(source.trusted for source in hmr2)
    weights = {source.name: source.weight for source in hmr2}
    assert (weights["mpi-inf"], weights["ava"], weights["insta"]) == (0.02, 0.19, 0.20)
    readers = {source.name: source.reader for source in tokenhmr}
    assert readers["bedlam"] == Bedlam(outside="release") and readers["ava"] == FourDHumans()


def test_damaged_tars_and_agora_of_the_release_are_left_out(tmp_path):
    sets = {source.name: source for source in parse_data_list(LISTS / "released_sets.yaml")}
    for name in ("bedlam/20221010_3_1000/000.tar", "bedlam/agora-body/000.tar", "bedlam/b_agora/1.tar"):
        made.put(tmp_path / name, b"")
    found = find_shards(list(map(str, sets["bedlam"].shards)), root=tmp_path, without=sets["bedlam"].without)
    assert [str(path.relative_to(tmp_path)) for path in found] == ["bedlam/20221010_3_1000/000.tar"]
    for number in (0, 2993, 3001, 3657):
        made.put(tmp_path / f"dataset_tars/insta-train-vitpose-replicate/{number:06d}.tar", b"")
    with pytest.raises(FileNotFoundError, match="000001"):
        find_shards(list(map(str, sets["insta"].shards)), root=tmp_path)
    assert sum(len(range(*limits)) for limits in ((0, 2994), (3001, 3658))) == 3651


@pytest.mark.parametrize("path", sorted(LISTS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_list_of_pictures_says_licence_and_origin(path):
    if not re.search(r"^(sources|from):", path.read_text(), re.MULTILINE):
        pytest.skip("a list of motion")
    for source in parse_data_list(path):
        assert source.licence and source.origin and source.shards and source.weight > 0


# ------------------------------------------------------------------------------------------------ mistakes


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ({"weights": {"a": 1, "atlantis": 2}}, r"a weight for atlantis, which is no set there; there are a, b"),
        ({"weights": {"a": 0}}, "weight of a is 0"),
        ({"weights": {}}, "should have from, weights"),
        ({"weights": {"a": 1}, "trusted": {"b": True}}, "trust in b, which has no weight"),
        ({"weights": {"a": 1}, "trusted": {"a": "very"}}, "trusted of a is 'very'"),
        ({"weights": {"a": 1}, "speed": 3}, "speed"),
    ],
)
def test_a_wrong_mixture_is_refused(others, message, tmp_path):
    write_list(tmp_path / "sets.yaml", row(name="a"), row(name="b"))
    path = write_list(tmp_path / "mixture.yaml", **{"from": "sets.yaml"} | others)
    with pytest.raises(ValueError, match=message):
        parse_data_list(path)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"format": "hmr9000"}, "source x: no format called 'hmr9000'"),
        ({"format": "bedlam", "options": {"inside": 1}}, "source x: format bedlam has no option inside"),
        ({"options": [1]}, "options of x are"),
        ({"shards": []}, "shards of x is"),
        ({"boxes": "round"}, "boxes of x are 'round', they should be wide or square"),
    ],
)
def test_a_wrong_source_is_refused(changed, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        parse_data_list(write_list(tmp_path / "list.yaml", row(**changed)))


def test_two_sets_of_one_name_and_a_mixture_of_nothing_are_refused(tmp_path):
    with pytest.raises(ValueError, match="two sources called x"):
        parse_data_list(write_list(tmp_path / "list.yaml", row(), row()))
    with pytest.raises(FileNotFoundError, match=r"no data list at .*absent"):
        parse_data_list(write_list(tmp_path / "mixture.yaml", **{"from": "absent.yaml", "weights": {"a": 1}}))


def test_options_that_are_files_start_at_the_data_folder(tmp_path):
    fixture = made.three_dpw(tmp_path)
    (tmp_path / "mine.txt").write_text("downtown_arguing_00/image_00007.jpg\n")
    one = dataclasses.replace(fixture, options={"members": "mine.txt"})
    (tmp_path / "list.yaml").write_text(made.list_text({"a": one}))
    assert keys(read_data_list(tmp_path / "list.yaml", root=tmp_path)) == ["imageFiles/downtown_arguing_00/image_00007.jpg#2"]


# ------------------------------------------------------------------------------------------------ tars from afar


def test_a_tar_comes_through_a_command(tmp_path):
    shards = [write_shard(tmp_path / f"a{n}.tar", range(3 * n, 3 * n + 3)) for n in range(2)]
    command = f"pipe:cat {shlex.quote(str(tmp_path))}/a{{0..1}}.tar"
    sources = read_data_list(write_list(tmp_path / "list.yaml", row(shards=command)), root=tmp_path)
    assert sources[0].shards == tuple(f"pipe:cat {shard}" for shard in shards)
    assert keys(sources) == [f"p{n:05d}" for n in range(6)]


@pytest.mark.parametrize("command", ["false", "no-such-program --at-all", "head -c 700 a.tar", "true"])
def test_a_command_that_fails_brings_what_it_can_and_is_named(command, tmp_path, monkeypatch, caplog, capfd):
    monkeypatch.chdir(tmp_path)
    write_shard(tmp_path / "a.tar", range(3))
    path = write_list(tmp_path / "list.yaml", row(shards=[f"pipe:{command}", "a.tar"]))
    assert keys(read_data_list(path, root=tmp_path)) == ["p00000", "p00001", "p00002"]
    assert f"skipped pipe:{command}" in caplog.text


@pytest.mark.parametrize(
    ("address", "program"), [("s3://b/a.tar", "aws"), ("gs://b/a.tar", "gsutil"), ("https://h/a.tar", "curl")]
)
def test_addresses_are_fetched_by_the_programs_for_them(address, program, tmp_path, monkeypatch):
    shard = write_shard(tmp_path / "a.tar", range(2))
    fake = tmp_path / "bin" / program
    made.put(fake, f'#!/bin/sh\ncase "$*" in *{address}*) cat {shard};; *) exit 3;; esac\n'.encode())
    fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    assert keys(read_data_list(write_list(tmp_path / "list.yaml", row(shards=address)), root=tmp_path)) == ["p00000", "p00001"]


# ------------------------------------------------------------------------------------------------ boxes


@pytest.mark.parametrize("size", [(100, 40), (40, 100), (75, 100), (90, 100)])
def test_boxes_grow_to_the_backbone_or_stay_as_one_says(size, tmp_path):
    person = dataclasses.replace(annotation(), box_size=np.array(size, dtype=np.float32))
    width, height = size
    assert square_side(boxed(person, "wide").box_size) == pytest.approx(max(height, width * 256 / 192))
    assert square_side(boxed(person, "square").box_size) == pytest.approx(max(size))


def test_a_list_says_which_boxes(tmp_path):
    write_tar(tmp_path / "s.tar", sample_files(0, box_size=[60, 50]))
    for boxes, side in (("wide", 60 * 256 / 192), ("square", 60)):
        (source,) = read_data_list(write_list(tmp_path / "list.yaml", row(boxes=boxes)), root=tmp_path)
        batch = next(iter(held_out_batches(sources=[source], batch_size=2)))
        assert batch.box_size.tolist() == pytest.approx([side])
