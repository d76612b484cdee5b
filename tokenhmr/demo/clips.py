"""A run over one clip: look at every frame, say who is who, smooth, write. Memory does not grow with its length.

Frames are looked at in pieces that are kept beside the results until these are whole: a run that was interrupted goes on at
the first piece that is missing, in looking and in drawing alike.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from tokenhmr.demo.boxes import find_people
from tokenhmr.demo.camera import Camera, assumed_camera
from tokenhmr.demo.detector import Detector, FullPicture, nobody
from tokenhmr.demo.export import blank, draw_people, replace_file
from tokenhmr.demo.inputs import Input
from tokenhmr.demo.pictures import BadPicture
from tokenhmr.demo.predictor import Question
from tokenhmr.demo.report import Report
from tokenhmr.demo.scene import Frame, People, Scene
from tokenhmr.demo.session import THEIRS, Tools, people_of, reason, write_results
from tokenhmr.demo.shape import fixed_height, one_shape
from tokenhmr.demo.smooth import fill_gaps, smooth_people
from tokenhmr.demo.store import CHUNK, PROGRESS, FrameNote, Progress, is_done
from tokenhmr.demo.track import assign_tracks
from tokenhmr.demo.video import Clip, VideoWriter, is_readable, join_videos, open_clip

NOBODY = "nobody found in any frame"


def do_clip(source: Input, tools: Tools, report: Report, *, rate: Fraction | None = None) -> None:
    """Put bodies on a clip; if it cannot be done the report names it. ``rate`` is that of numbered frames."""
    try:
        _do_clip(source, tools, report, rate)
    except THEIRS as error:
        report.lost(str(source.path), reason(error))


def _do_clip(source: Input, tools: Tools, report: Report, rate: Fraction | None) -> None:
    identity, folder = tools.identity(source), tools.folder(source)
    if not tools.force and is_done(folder, identity):
        report.already(str(source.path), name=source.name, folder=str(folder))
        return
    clip = open_clip(source, rate=rate)
    folder.mkdir(parents=True, exist_ok=True)
    progress = Progress(folder, identity)
    notes = _look(clip, progress, tools, report)
    people, seen = _gather(progress, tools)
    notes += _lost(seen)
    if not len(people) and tools.fallback and not _listed(source, tools):
        notes.append(f"{NOBODY}: the whole picture serves as one box (--boxes FILE is better, --no-fallback leaves it empty)")
        progress.drop()
        progress = Progress(folder, identity)
        _look(clip, progress, tools, report, detector=FullPicture())
        people, seen = _gather(progress, tools)
    elif not len(people):
        notes.append(NOBODY)

    frames = _frames(source, seen, tools)
    pictures = (lambda: (moment.image for moment in clip.moments())) if tools.show_pictures else None
    scene = Scene(
        name=source.name, source=source.key, frames=frames, rate=clip.rate, body=tools.body, about=tools.about,
        pictures=pictures, renderer=tools.renderer,
    )  # fmt: skip
    people = improve(people, scene, tools)
    boxes = " ".join(sorted({frame.boxes for frame in frames} - {"none"})) or "none"
    tracks = len(set(people.track.tolist()))
    note = "; ".join(notes)
    facts = {"frames": len(frames), "people": tracks, "boxes": boxes, "note": note, "rate": str(clip.rate)}
    report.begin(f"{source.name}: writing", None)
    write_results(people, scene, folder, tools, identity=identity, facts=facts)
    progress.drop()
    if note:
        report.complain(f"{source.path}: {note}")
    report.finished(
        str(source.path), people=tracks, name=source.name, frames=len(frames), boxes=boxes, folder=str(folder), note=note
    )


def _lost(seen: Sequence[FrameNote]) -> list[str]:
    lost = [note.lost for note in seen if note.lost]
    return [f"{len(lost)} of {len(seen)} frames have no picture and stay black ({lost[0]})"] if lost else []


def _listed(source: Input, tools: Tools) -> bool:
    return bool(tools.listed.about(source.key))


@dataclass(frozen=True, kw_only=True)
class _Tag:
    number: int
    note: FrameNote


def _look(clip: Clip, progress: Progress, tools: Tools, report: Report, *, detector: Detector | None = None) -> list[str]:
    """Everything up to parameters, for every frame that no piece holds yet; what the user should know."""
    first = progress.frames_done
    if first:
        report.detail(f"{clip.source.path}: goes on at frame {first}")
    report.begin(clip.source.name, clip.expected)
    report.step(0, steps=first)
    people: list[People] = []
    notes: list[FrameNote] = []
    piece = first // CHUNK
    questions = _questions(clip, first, tools, detector or tools.detector)
    for tag, persons in tools.predictor.stream(questions):
        people.append(people_of(persons, tools.body, frame=tag.number))
        notes.append(tag.note)
        report.step(len(persons))
        if len(notes) == CHUNK:
            progress.save(piece, People.join(people), notes)
            people, notes, piece = [], [], piece + 1
    if notes:
        progress.save(piece, People.join(people), notes)
    return [clip.note] if clip.note else []


def _questions(clip: Clip, first: int, tools: Tools, detector: Detector) -> Iterator[Question]:
    for moment in clip.moments(first):
        size = (moment.image.shape[1], moment.image.shape[0])
        if moment.lost:  # nobody is looked for, whatever a file of boxes says of this frame
            camera, boxes = assumed_camera(size), nobody()
        else:
            camera = tools.cameras.camera(name=clip.source.key, number=moment.number, size=size, exif=moment.focal)
            boxes = find_people(
                moment.image, clip.source.key, listed=tools.listed, detector=detector, fallback=False, number=moment.number
            ).boxes
        note = FrameNote(time=moment.time, size=size, boxes=boxes.source, focal=moment.focal, lost=moment.lost)
        tag = _Tag(number=moment.number, note=note)
        yield Question.cut(moment.image, boxes.xyxy, boxes.scores, camera, tag=tag)


def _gather(progress: Progress, tools: Tools) -> tuple[People, list[FrameNote]]:
    parts, seen = progress.load()
    return People.join([People.nobody(tools.body.shape_count), *parts]), seen


def _frames(source: Input, seen: Sequence[FrameNote], tools: Tools) -> tuple[Frame, ...]:
    cameras = _cameras(source, seen, tools)
    return tuple(
        Frame(number=number, time=float(note.time), size=note.size, name=source.name, boxes=note.boxes, camera=camera)
        for number, (note, camera) in enumerate(zip(seen, cameras, strict=True))
    )


def _cameras(source: Input, seen: Sequence[FrameNote], tools: Tools) -> Iterator[Camera]:
    """A camera for each frame. One without a picture has that of the last that had one, unless the user's file knows its own:
    people are put into it where they are missed."""
    last = next((number for number, note in enumerate(seen) if not note.lost), 0)
    for number, note in enumerate(seen):
        last = last if note.lost else number
        try:
            yield tools.cameras.camera(name=source.key, number=number, size=note.size, exif=seen[last].focal)
        except ValueError:
            if not note.lost:
                raise
            yield tools.cameras.camera(name=source.key, number=last, size=note.size, exif=seen[last].focal)


def improve(people: People, scene: Scene, tools: Tools) -> People:
    """Keypoints of the user, and what only a clip allows: tracks, one shape for each, gaps filled, jitter taken out."""
    frames = scene.frames
    times = np.array([frame.time for frame in frames])
    people = assign_tracks(people, times)
    if tools.refinement is not None:
        people = tools.refinement(people, scene)
    people = one_shape(people, tools.body)
    if tools.height is not None:
        people = fixed_height(people, tools.height, tools.body)
    people = fill_gaps(people, times, longest=tools.longest_gap)
    return people if tools.smooth is None else smooth_people(people, frames, tools.body, tools.smooth)


def write_video(people: People, scene: Scene, folder: Path) -> None:
    """Write overlay.mp4 of a clip: its frames and times with bodies over them, or the bodies on paper where no picture may go.

    It is drawn in pieces; those that an interrupted run left are taken as they are.
    """
    assert scene.rate is not None, "a picture is no clip"
    places = folder / PROGRESS
    places.mkdir(exist_ok=True)
    starts = range(0, len(scene.frames), CHUNK)
    parts = [places / f"{start // CHUNK:06d}.mp4" for start in starts]
    missing = next((row for row, part in enumerate(parts) if not is_readable(part)), len(parts))
    drawn = _drawn(people, scene, first=missing * CHUNK)
    size = scene.frames[0].size
    for start, part in list(zip(starts, parts, strict=True))[missing:]:
        temporary = part.with_suffix(".new.mp4")
        with VideoWriter(temporary, size=size, rate=scene.rate) as video:
            for frame, image in islice(drawn, CHUNK):
                video.write(image, Fraction(frame.time - scene.frames[start].time))
        os.replace(temporary, part)
    times = [Fraction(scene.frames[start].time) for start in starts]
    replace_file(folder / "overlay.mp4", lambda path: join_videos(parts, times, path, about=scene.about))


def _drawn(people: People, scene: Scene, *, first: int) -> Iterator[tuple[Frame, UInt8[np.ndarray, "height width 3"]]]:
    """Frames from number ``first`` on with the bodies on them."""
    pictures = None if scene.pictures is None else islice(scene.pictures(), first, None)
    for frame, here, posed in scene.frame_by_frame(people, first=first):
        image = blank(frame.size) if pictures is None else next(pictures, None)
        if image is None:
            raise BadPicture(f"frame {frame.number} was there and is not any more")
        yield frame, draw_people(image, posed, here, scene, frame)
