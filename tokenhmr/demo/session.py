"""A run over pictures: read, find people, predict them in batches across pictures, write. Clips go through ``clips.py``."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from tokenhmr.body import Body
from tokenhmr.demo.boxes import Listed, find_people
from tokenhmr.demo.camera import CameraChoice
from tokenhmr.demo.detector import Detector
from tokenhmr.demo.inputs import Input
from tokenhmr.demo.outputs import find_writers
from tokenhmr.demo.pictures import BadPicture, Picture, open_picture
from tokenhmr.demo.predictor import Person, Predictor, Question
from tokenhmr.demo.refine import Refinement
from tokenhmr.demo.report import Report
from tokenhmr.demo.scene import Frame, People, Scene
from tokenhmr.demo.shape import fixed_height
from tokenhmr.demo.smooth import OneEuro
from tokenhmr.demo.store import clear_results, fingerprint, is_done, present_files, write_record
from tokenhmr.device import working_device

# What may be wrong with one input and leaves the others alone.
THEIRS = (OSError, ValueError, MemoryError, cv2.error)


@dataclass(frozen=True, kw_only=True)
class Tools:
    """What every input goes through."""

    predictor: Predictor
    body: Body
    detector: Detector
    listed: Listed  # what it speaks of is not searched
    fallback: bool
    cameras: CameraChoice
    height: float | None  # metres
    refinement: Refinement | None
    smooth: OneEuro | None
    longest_gap: float  # seconds
    about: Mapping[str, str]  # body, weights and licences, for the files
    outputs: Sequence[str]  # names in outputs.OUTPUTS
    renderer: str  # one of render.rasterize.BACKENDS
    show_pictures: bool  # whether pixels of the input may go into what is written
    out: Path
    force: bool
    settings: Mapping[str, Any]  # all that decides on results, for fingerprints

    def identity(self, source: Input) -> str:
        """Tells a run on this input from others. May raise ``OSError``."""
        return fingerprint(source.files, {**self.settings, "boxes": self.listed.about(source.key)})

    def folder(self, source: Input) -> Path:
        """Where its results go."""
        return self.out / source.result


def reason(error: BaseException) -> str:
    """What went wrong, in one line."""
    if isinstance(error, MemoryError):
        return "there is not enough memory for it"
    if isinstance(error, OSError) and error.strerror:
        full = " (the disk is full)" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        return f"{error.strerror}{full}" + (f": {error.filename}" if error.filename else "")
    return " ".join(str(error).split()) or type(error).__name__


@dataclass(frozen=True, kw_only=True)
class _Looked:
    """A picture on its way through the model."""

    source: Input
    picture: Picture
    frame: Frame
    identity: str
    note: str


def do_pictures(sources: Iterable[Input], tools: Tools, report: Report) -> None:
    """Put bodies on pictures; those that cannot be done are named in the report."""
    for looked, persons in tools.predictor.stream(_questions(sources, tools, report)):
        try:
            people = people_of(persons, tools.body)
            folder = _finish(looked, people, tools)
        except THEIRS as error:
            report.lost(str(looked.source.path), reason(error))
        else:
            if looked.note:
                report.complain(f"{looked.source.path}: {looked.note}")
            facts = {"name": looked.source.name, "boxes": looked.frame.boxes, "folder": str(folder), "note": looked.note}
            report.finished(str(looked.source.path), people=len(people), **facts)
        report.step(len(persons))


def _questions(sources: Iterable[Input], tools: Tools, report: Report) -> Iterator[Question]:
    for source in sources:
        try:
            question = _question(source, tools, report)
        except THEIRS as error:
            report.lost(str(source.path), reason(error))
            question = None
        if question is None:
            report.step(0)
        else:
            yield question


def _question(source: Input, tools: Tools, report: Report) -> Question | None:
    """What is to be asked of one picture; ``None`` where an earlier run answered it."""
    if not source.path.is_file():
        raise BadPicture("it is not there any more")
    identity, folder = tools.identity(source), tools.folder(source)
    if not tools.force and is_done(folder, identity):
        report.already(str(source.path), name=source.name, folder=str(folder))
        return None
    picture = open_picture(source.path)
    camera = tools.cameras.camera(name=source.key, number=0, size=picture.size, exif=picture.focal)
    found = find_people(
        picture.image, source.key, listed=tools.listed, detector=tools.detector, fallback=tools.fallback, zoom=picture.zoom
    )
    boxes = found.boxes
    report.detail(f"{source.path}: {picture.size[0]}x{picture.size[1]}, focal {camera.focal[0]:.0f} px ({camera.source})")
    frame = Frame(number=0, time=0.0, size=picture.size, camera=camera, name=source.name, boxes=boxes.source)
    looked = _Looked(source=source, picture=picture, frame=frame, identity=identity, note=found.note)
    return Question.cut(picture.image, boxes.xyxy, boxes.scores, camera, zoom=picture.zoom, tag=looked)


def _finish(looked: _Looked, people: People, tools: Tools) -> Path:
    image = looked.picture.image
    scene = Scene(
        name=looked.source.name, source=looked.source.key, frames=(looked.frame,), rate=None, body=tools.body,
        about=tools.about, pictures=(lambda: iter([image])) if tools.show_pictures else None, renderer=tools.renderer,
    )  # fmt: skip
    if tools.refinement is not None:
        people = tools.refinement(people, scene)
    if tools.height is not None:
        people = fixed_height(people, tools.height, tools.body)
    folder = tools.folder(looked.source)
    folder.mkdir(parents=True, exist_ok=True)
    facts = {"people": len(people), "boxes": looked.frame.boxes, "note": looked.note}
    write_results(people, scene, folder, tools, identity=looked.identity, facts=facts)
    return folder


def write_results(people: People, scene: Scene, folder: Path, tools: Tools, *, identity: str, facts: Mapping[str, Any]) -> None:
    """Write every output that is asked for into a folder that is there, and last the record that it is finished."""
    clear_results(folder)
    before = present_files(folder)
    for writer in find_writers(tools.outputs, kind="clip" if scene.moves else "picture"):
        writer(people, scene, folder)
    files = [name for name, changed in present_files(folder).items() if before.get(name) != changed]
    write_record(folder, identity, files=files, facts={"input": scene.name, **facts, **scene.about})


def people_of(people: Sequence[Person], body: Body, *, frame: int = 0) -> People:
    """What a model said of a picture, as rows. Raises ``ValueError`` for a model that says meshes alone."""
    if not people:
        return People.nobody(body.shape_count)
    rotations, betas = [], []
    for person in people:
        if person.global_orient is None or person.body_pose is None or person.betas is None:
            raise ValueError("these weights say meshes and no SMPL parameters: the demo needs parameters")
        rotations.append(np.concatenate([person.global_orient[None], person.body_pose]))
        betas.append(person.betas)
    count = len(people)
    return People(
        frame=np.full(count, frame),
        track=np.arange(count),
        filled=np.zeros(count, dtype=bool),
        score=np.array([person.score for person in people], dtype=np.float32),
        box=np.stack([person.box for person in people]),
        crop_camera=np.stack([person.camera for person in people]),
        translation=np.stack([person.translation for person in people]),
        rotations=np.stack(rotations),
        betas=np.stack(betas),
    )


def choose_device(name: str) -> torch.device:
    """``auto`` takes a GPU if there is one. Raises ``ValueError`` for a device that does not work."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return working_device(name, said="--device ")
