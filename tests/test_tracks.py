"""Which recording and person a picture belongs to: by names, by shapes, and all the way into the rows of a report."""

import json

import numpy as np
import pytest

from tests import fixtures_formats as made
from tests.pictures import annotation, fields, write_shard
from tokenhmr.data.annotation import read_annotation
from tokenhmr.data.batches import held_out_batches
from tokenhmr.data.readers.tracks import ALONE, moment_of, moments
from tokenhmr.data.sources import Source, read_data_list
from tokenhmr.data.writer import row_json


@pytest.mark.parametrize(
    ("name", "track", "frame"),
    [
        ("imageFiles/downtown_arguing_00/image_00007.jpg", "downtown_arguing_00", 7),
        ("P1/14_outdoor_climb/images/00031.jpg", "P1/14_outdoor_climb", 31),
        ("images/S9_Directions 1.60457274_000126.jpg", "S9_Directions 1.60457274", 126),
        ("s_09/s_09_act_02_subact_01_ca_04_000006.jpg", "s_09_act_02_subact_01_ca_04", 6),
        ("20221010_3-10_500/seq_000001/seq_000001_0015", "20221010_3-10_500/seq_000001", 15),
        ("20221010_3_1000/seq_000000", "20221010_3_1000/seq_000000", None),
        ("val2014/COCO_val2014_000000000042.jpg", *ALONE),
        ("images/00042.jpg", *ALONE),
    ],
)
def test_names_of_video_sets_say_recording_and_picture(name, track, frame):
    assert moment_of(name) == (track, frame)


def names(*frames):
    return [f"imageFiles/downtown_arguing_00/image_{frame:05d}.jpg" for frame in frames]


def test_people_of_a_recording_are_told_apart_by_their_shape():
    """The second person is alone in picture 1: counting within pictures would take them for the first."""
    one, other = np.zeros(10), np.ones(10)
    rows = names(0, 0, 1, 2, 2)
    found = moments(rows, np.stack([one, other, other, one, other]))
    assert [moment.track[-2:] for moment in found] == ["/0", "/1", "/1", "/0", "/1"]
    assert [moment.frame for moment in found] == [0, 0, 1, 2, 2]
    drifting = np.arange(50.0).reshape(5, 10)  # a shape for each picture says nothing
    assert [moment.track[-2:] for moment in moments(rows, drifting)] == ["/0", "/1", "/0", "/0", "/1"]
    assert [moment.track[-2:] for moment in moments(rows, None)] == ["/0", "/1", "/0", "/0", "/1"]
    assert moments(["a.jpg"], np.zeros((1, 10))) == [ALONE]


def test_a_row_of_ours_says_its_clip_and_keeps_what_it_is_told():
    def read(**said):
        return read_annotation(json.dumps(fields(0, **said)).encode(), source_trusted=True)

    assert (read().track, read().frame) == ("", None)
    assert read(motion="CMU_49_07_p1:41").track == read(motion="CMU_49_07:3").track == "CMU_49_07"
    assert read(motion="key_poses").track == ""
    told = read(track="downtown_00/1", frame=7, motion="CMU_1:2")
    assert (told.track, told.frame) == ("downtown_00/1", 7)
    again = read_annotation(row_json(told), source_trusted=True)
    assert (again.track, again.frame) == ("downtown_00/1", 7)
    for wrong, words in (({"frame": 1.5}, "frame is 1.5"), ({"track": 7}, "track is 7")):
        with pytest.raises(ValueError, match=words):
            read(**wrong)
    assert annotation().gender == "neutral"


def test_batches_carry_tracks_frames_and_genders(tmp_path):
    fixtures = {name: made.FIXTURES[name](tmp_path) for name in ("3dpw", "emdb", "h36m", "bedlam", "3doh")}
    (tmp_path / "all.yaml").write_text(made.list_text(fixtures))
    batches = held_out_batches(sources=read_data_list(tmp_path / "all.yaml", root=tmp_path), batch_size=3)
    rows = [row for b in batches for row in zip(b.dataset, b.track, b.frame, b.gender, strict=True)]
    assert {row[1:] for row in rows if row[0] == "emdb"} == {
        ("P1/14_outdoor_climb/0", number, gender) for number, gender in enumerate(("male", "female", "female", "male"))
    }
    assert ("3dpw", "outdoors_golf_00/0", 0, "male") in rows
    assert {row[1] for row in rows if row[0] == "h36m"} == {f"s_01_act_02_subact_01_ca_0{view}" for view in (1, 4)}
    assert {row[1] for row in rows if row[0] == "bedlam"} == {
        "20221010_3_1000/seq_000000", "20221010_3-10_500_batch01hand_closeup/seq_000001",
    }  # fmt: skip
    assert {row[1] for row in rows if row[0] == "3doh"} == {""}
    own = write_shard(tmp_path / "own.tar", range(2))
    batch = next(iter(held_out_batches(sources=[Source(name="own", shards=(own,))], batch_size=2)))
    assert batch.track == ("", "") and batch.gender == ("neutral", "neutral") and batch.frame == (None, None)
