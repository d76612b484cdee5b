"""Videos frame by frame, with their own times, and back: the one gate to PyAV (FFmpeg).

A frame's time is what the file says, an exact fraction of a second; the written video repeats it. Nothing of the source's
metadata (place, owner, device) goes into what is written, and no sound.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from jaxtyping import UInt8

from tokenhmr.demo.inputs import Input
from tokenhmr.demo.numbered import find_places, read_frames
from tokenhmr.demo.pictures import BadPicture

ENCODERS = ("libx264", "libopenh264", "mpeg4")  # the first that this FFmpeg has
QUALITY = "18"  # x264's constant rate factor: no difference is seen
USUAL_RATE = Fraction(30)


@dataclass(frozen=True, kw_only=True)
class Moment:
    """One frame of a clip with its pixels."""

    number: int
    time: Fraction  # seconds since the first frame
    image: UInt8[np.ndarray, "height width 3"]  # RGB, upright
    focal: float | None = None  # as a numbered frame's EXIF says
    lost: str = ""  # why a numbered frame has no picture: it is black then


@dataclass(kw_only=True)
class Clip:
    """A video, or numbered pictures, to be read from the start as often as one likes."""

    source: Input
    rate: Fraction  # frames a second
    expected: int | None  # frames, as the file claims; None where it does not
    note: str = field(default="", init=False)  # what the user should know after reading

    def moments(self, first: int = 0) -> Iterator[Moment]:
        """Frames from number ``first`` on, one in memory at a time. Raises ``BadPicture`` where not one can be read."""
        return _numbered_frames(self, first) if self.source.frames else _video_frames(self, first)


def open_clip(source: Input, *, rate: Fraction | None = None) -> Clip:
    """A clip, known to open. ``rate`` is that of numbered frames. Raises ``BadPicture`` with one line."""
    if source.frames:
        return Clip(source=source, rate=rate or USUAL_RATE, expected=find_places(source.frames).count)
    with _opened(source.path) as container:
        stream = container.streams.video[0]
        claimed = stream.average_rate or stream.guessed_rate or stream.base_rate
        return Clip(source=source, rate=Fraction(claimed or USUAL_RATE), expected=stream.frames or None)


def _av() -> Any:
    try:
        import av
    except ImportError as error:
        raise BadPicture("a video: reading it needs PyAV (pip install av)") from error
    return av


def _opened(path: Path) -> Any:
    av = _av()
    try:
        if path.stat().st_size == 0:
            raise BadPicture("the file is empty")
        container = av.open(str(path), metadata_errors="replace")
    except (av.error.FFmpegError, OSError, ValueError) as error:
        if isinstance(error, BadPicture):
            raise
        raise BadPicture(f"not a readable video ({_reason(error)})") from error
    if not container.streams.video:
        container.close()
        raise BadPicture("there is no picture in this video")
    return container


def is_readable(path: Path) -> bool:
    """Whether a file opens as a video: one of ours that was cut short does not, its index stands at its end."""
    try:
        _opened(path).close()
    except BadPicture:
        return False
    return True


def _reason(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or error)


def _video_frames(clip: Clip, first: int) -> Iterator[Moment]:
    av = _av()
    number, start, last = 0, None, Fraction(-1)
    broken, size = False, None
    with _opened(clip.source.path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets)
                frames = packet.decode()
            except StopIteration:
                break
            except (av.error.FFmpegError, ValueError):
                broken = True
                if _ends(av, packets):
                    break
                continue
            for frame in frames:
                claimed = None if frame.pts is None else frame.pts * Fraction(frame.time_base)
                start = claimed if start is None else start
                time = claimed - start if claimed is not None and start is not None else last + 1 / clip.rate
                # Times that stand still or run back are no times: such a frame follows at the usual distance.
                last = time if time > last else last + 1 / clip.rate
                size = size or (frame.width, frame.height)
                if number >= first:
                    yield Moment(number=number, time=last, image=_upright(frame, size))
                number += 1
    if number == 0:
        raise BadPicture("not one frame of this video can be read")
    clip.note = _shortness(number, clip.expected, broken=broken)


def _ends(av: Any, packets: Any) -> bool:
    """Whether a generator that raised is finished: it gives nothing any more."""
    return getattr(packets, "gi_frame", True) is None


def _shortness(read: int, expected: int | None, *, broken: bool) -> str:
    if expected is not None and read < expected:
        return f"the video is cut short or damaged: {read} of {expected} frames could be read"
    return "parts of the video are damaged and were left out" if broken else ""


def _upright(frame: Any, size: tuple[int, int]) -> UInt8[np.ndarray, "height width 3"]:
    """RGB, turned as the file says (a phone held upright films lying). All frames of a clip have the first one's size."""
    image = frame.reformat(width=size[0], height=size[1], format="rgb24").to_ndarray()
    quarters = round((getattr(frame, "rotation", 0) or 0) / 90) % 4  # counter-clockwise
    return np.ascontiguousarray(np.rot90(image, quarters))


def _numbered_frames(clip: Clip, first: int) -> Iterator[Moment]:
    places = find_places(clip.source.frames)
    clip.note = places.note
    for frame in read_frames(places, first):
        time = frame.number / clip.rate
        yield Moment(number=frame.number, time=time, image=frame.image, focal=frame.focal, lost=frame.lost)


class VideoWriter:
    """RGB pictures with their times to an MP4."""

    def __init__(
        self,
        path: Path,
        *,
        size: tuple[int, int],  # width, height
        rate: Fraction,
        about: Mapping[str, str] | None = None,  # becomes the file's comment
    ) -> None:
        av = _av()
        self._av, self._rate, self._size = av, rate, size
        with _as_os_errors():
            self._container = av.open(str(path), "w", format="mp4")
        self._container.metadata["comment"] = "\n".join(f"{key}: {word}" for key, word in (about or {}).items())
        codec = next((name for name in ENCODERS if name in av.codec.codecs_available), None)
        if codec is None:
            raise OSError(f"this FFmpeg writes none of {', '.join(ENCODERS)}")
        # Frames leave in their order (no B-frames): pieces of a video can be joined as they are.
        # And equal frames are coded equally: with macroblock trees (mbtree) small pictures were not, from one run to the next.
        x264 = {"crf": QUALITY, "preset": "veryfast", "bf": "0", "x264-params": "mbtree=0"}
        options = x264 if codec == "libx264" else {}
        self._stream = self._container.add_stream(codec, rate=rate, options=options)
        width, height = size
        self._stream.width, self._stream.height = width + width % 2, height + height % 2  # 4:2:0 counts pixels in pairs
        self._stream.pix_fmt = "yuv420p"
        self._tick = _tick(rate)
        self._stream.codec_context.time_base = self._tick
        self._stream.time_base = self._tick
        self._last = -1

    def write(self, image: UInt8[np.ndarray, "height width 3"], time: Fraction) -> None:
        """One frame, at a time in seconds that is later than the one before."""
        across, down = image.shape[1] % 2, image.shape[0] % 2
        if across or down:
            image = np.pad(image, ((0, down), (0, across), (0, 0)), mode="edge")
        frame = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        self._last = max(self._last + 1, round(time / self._tick))
        frame.pts, frame.time_base = self._last, self._tick
        with _as_os_errors():
            self._container.mux(self._stream.encode(frame))

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with _as_os_errors():
            try:
                if kind is None:
                    self._container.mux(self._stream.encode())
            finally:
                self._container.close()


@contextmanager
def _as_os_errors() -> Iterator[None]:
    """FFmpeg's errors while writing as Python's: a full disk is one, whoever reports it."""
    try:
        yield
    except _av().error.FFmpegError as error:
        if isinstance(error, OSError):
            raise
        raise OSError(error.errno, error.strerror) from error


def _tick(rate: Fraction) -> Fraction:
    """The unit of time of a written video: fine enough for every usual source (90 kHz and milliseconds), exact for ``rate``."""
    ticks = 90000 if 90000 % rate.numerator == 0 else rate.numerator * max(1, 60000 // rate.numerator)
    return Fraction(1, ticks)


def join_videos(parts: Sequence[Path], starts: Sequence[Fraction], path: Path, *, about: Mapping[str, str]) -> None:
    """Videos of one ``VideoWriter``'s settings one after the other, as they are coded; ``starts`` in seconds."""
    av = _av()
    with _as_os_errors(), av.open(str(path), "w", format="mp4") as whole:
        whole.metadata["comment"] = "\n".join(f"{key}: {word}" for key, word in about.items())
        stream = None
        for part, start in zip(parts, starts, strict=True):
            with av.open(str(part)) as piece:
                source = piece.streams.video[0]
                stream = whole.add_stream_from_template(source) if stream is None else stream
                for packet in piece.demux(source):
                    if packet.dts is None:
                        continue
                    shift = round(start / packet.time_base)
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    packet.stream = stream
                    whole.mux(packet)
