"""Videos in and out: exact times, upright frames, pieces that join, and files that are damaged."""

import resource
import signal
import struct
from fractions import Fraction

import av
import numpy as np
import pytest

from tests.clip_tools import RATE, make_video, moment, read_video
from tokenhmr.demo.inputs import Input
from tokenhmr.demo.pictures import BadPicture
from tokenhmr.demo.video import VideoWriter, join_videos, open_clip


def off(one, other):
    return np.abs(one.astype(int) - other).mean()


@pytest.mark.parametrize("rate", [Fraction(25), RATE, Fraction(24000, 1001), Fraction(15), Fraction(120)])
def test_a_video_keeps_its_times_and_its_pictures(tmp_path, rate):
    clip, moments = read_video(make_video(tmp_path / "a.mp4", rate=rate))
    assert clip.rate == rate and clip.expected == 10 and clip.note == ""
    assert [each.time for each in moments] == [number / rate for number in range(10)]
    assert all(off(each.image, moment(each.number)) < 5 for each in moments)


def test_uneven_times_and_odd_sizes(tmp_path):
    times = [Fraction(number * number, 100) for number in range(10)]
    _, moments = read_video(make_video(tmp_path / "a.mp4", rate=Fraction(25), size=(63, 47), times=times))
    assert [each.time for each in moments] == times
    assert moments[0].image.shape == (48, 64, 3)  # 4:2:0 counts in pairs


def test_reading_may_begin_anywhere(tmp_path):
    clip, moments = read_video(make_video(tmp_path / "a.mp4"))
    later = list(clip.moments(6))
    assert [each.number for each in later] == [6, 7, 8, 9]
    assert all(
        (one.image == other.image).all() and one.time == other.time for one, other in zip(later, moments[6:], strict=True)
    )


def test_pieces_join_to_the_video_that_they_were(tmp_path):
    parts, starts = [], []
    for start in range(0, 20, 8):
        parts.append(tmp_path / f"{start}.mp4")
        starts.append(start / RATE)
        with VideoWriter(parts[-1], size=(96, 64), rate=RATE) as video:
            for number in range(start, min(start + 8, 20)):
                video.write(moment(number), (number - start) / RATE)
    join_videos(parts, starts, tmp_path / "whole.mp4", about={"body": "open"})
    _, moments = read_video(tmp_path / "whole.mp4")
    assert [each.time for each in moments] == [number / RATE for number in range(20)]
    assert all(off(each.image, moment(each.number)) < 5 for each in moments)
    with av.open(str(tmp_path / "whole.mp4")) as file:
        assert "body: open" in file.metadata["comment"]


@pytest.mark.parametrize(("matrix", "quarters"), [((0, 1, -1, 0), -1), ((-1, 0, 0, -1), 2), ((0, -1, 1, 0), 1)])
def test_a_phone_held_upright_films_upright(tmp_path, matrix, quarters):
    raw = bytearray(make_video(tmp_path / "a.mp4").read_bytes())
    # The track header's matrix (ISO 14496-12, 8.3.2): after version, times, ids, duration, layer, volume.
    at = raw.index(b"tkhd") + 4 + 4 + 20 + 8 + 8
    a, b, c, d = (int(value * 65536) for value in matrix)
    raw[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    (tmp_path / "turned.mp4").write_bytes(raw)
    _, moments = read_video(tmp_path / "turned.mp4")
    expected = np.rot90(moment(0), quarters)
    assert moments[0].image.shape == expected.shape
    assert off(moments[0].image, expected) < 5


def test_the_place_of_a_video_does_not_travel(tmp_path):
    source = tmp_path / "a.mp4"
    make_video(tmp_path / "plain.mp4")
    with av.open(str(tmp_path / "plain.mp4")) as plain, av.open(str(source), "w") as file:
        file.metadata["location"] = "+48.8577+002.2950/"
        file.metadata["title"] = "at 48.8577 2.2950"
        stream = file.add_stream_from_template(plain.streams.video[0])
        for packet in plain.demux():
            if packet.dts is not None:
                packet.stream = stream
                file.mux(packet)
    assert b"48.8577" in source.read_bytes() and b"loci" in source.read_bytes()
    clip, moments = read_video(source)
    with VideoWriter(tmp_path / "out.mp4", size=(96, 64), rate=clip.rate) as video:
        for each in moments:
            video.write(each.image, each.time)
    written = (tmp_path / "out.mp4").read_bytes()
    assert b"48.8577" not in written and b"loci" not in written


def front_loaded(path, target):
    """The same video with its index before its pictures, as streams have it: a cut leaves the beginning readable."""
    with av.open(str(path)) as source, av.open(str(target), "w", options={"movflags": "faststart"}) as file:
        stream = file.add_stream_from_template(source.streams.video[0])
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = stream
                file.mux(packet)
    return target


def test_a_video_that_is_cut_short_is_read_as_far_as_it_goes(tmp_path):
    whole = front_loaded(make_video(tmp_path / "a.mp4", frames=40), tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) * 3 // 4])
    clip, moments = read_video(tmp_path / "cut.mp4")
    assert 5 < len(moments) < 40
    assert clip.note == f"the video is cut short or damaged: {len(moments)} of 40 frames could be read"


def test_what_is_no_video_is_refused_in_one_line(tmp_path):
    whole = make_video(tmp_path / "a.mp4").read_bytes()
    broken = {"zero": b"", "text": b"I am a text. " * 99, "no_index": whole[: len(whole) // 2], "noise": bytes(range(256)) * 40}
    for name, data in broken.items():
        (tmp_path / f"{name}.mp4").write_bytes(data)
        with pytest.raises(BadPicture) as refusal:
            read_video(tmp_path / f"{name}.mp4")
        assert "\n" not in str(refusal.value)
    with pytest.raises(BadPicture):
        open_clip(Input(path=tmp_path / "gone.mp4", result="x"))


def test_sound_alone_is_no_video(tmp_path):
    with av.open(str(tmp_path / "sound.mp4"), "w") as file:
        stream = file.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), dtype=np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        file.mux([*stream.encode(frame), *stream.encode()])
    with pytest.raises(BadPicture, match="no picture"):
        read_video(tmp_path / "sound.mp4")


def test_a_video_that_finds_no_room_is_an_error_of_the_system(tmp_path):
    """Files may not grow past 40 kB: what a full disk does, FFmpeg's writer sees too."""
    noise = np.random.default_rng(0).integers(0, 255, (8, 128, 160, 3), dtype=np.uint8)
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, before[1]))
    try:
        with pytest.raises(OSError, match="too large"), VideoWriter(tmp_path / "a.mp4", size=(160, 128), rate=RATE) as video:
            for number, image in enumerate(noise):
                video.write(image, number / RATE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
