"""One picture from its file to its results: read, find people, predict, write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from tokenhmr.body import Body
from tokenhmr.demo.boxes import find_people
from tokenhmr.demo.detector import Boxes, Detector
from tokenhmr.demo.outputs import find_writers
from tokenhmr.demo.pictures import PictureFile, read_picture
from tokenhmr.demo.predictor import Person, Predictor
from tokenhmr.demo.scene import Camera, Frame, People, Scene
from tokenhmr.models.pretrained import load

# Files of an earlier run that would be taken for this one's, where it writes none of its own.
LEFT_OVER = ("overlay.png", "side.png", "people.glb", "joints.csv", "viewer.html", "licences.txt")


@dataclass(frozen=True, kw_only=True)
class Tools:
    """What every picture goes through."""

    predictor: Predictor
    body: Body
    detector: Detector
    listed: Mapping[str, Boxes]  # by picture name; these pictures are not searched
    fallback: bool
    about: Mapping[str, str]  # body, weights and licences, for the files
    outputs: Sequence[str]  # names in outputs.OUTPUTS
    out: Path


@dataclass(frozen=True, kw_only=True)
class Look:
    """What became of a picture."""

    people: int
    source: str
    folder: Path
    note: str  # for the user; empty when there is nothing to say


def open_tools(
    *,
    weights: str,
    device: str,
    batch_size: int,
    detector: Detector,
    listed: Mapping[str, Boxes],
    fallback: bool,
    outputs: Sequence[str],
    out: Path,
) -> Tools:
    """Load the weights onto the device. Raises ``OSError`` or ``ValueError`` with one line that says what to do."""
    model = load(weights).to(_device(device))
    card = model.card
    licences = "; ".join(f"{what}: {licence}" for what, licence in card.get("licences", {}).items())
    name = weights if weights == "default" else Path(weights).name
    about = {"body": model.body.kind, "weights": f"{name} {card.get('id', '')}".strip(), "licences": licences}
    predictor = Predictor(model, batch_size=batch_size)
    return Tools(
        predictor=predictor, body=model.body, detector=detector, listed=listed, fallback=fallback, about=about,
        outputs=outputs, out=out,
    )  # fmt: skip


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"--device {name} does not work here: {reason}") from error
    return torch.device(name)


def look(picture: PictureFile, tools: Tools) -> Look:
    """Put bodies on one picture and write the results. Raises ``BadPicture`` for a file that is none."""
    image = read_picture(picture.path)
    found = find_people(image, picture.path.name, listed=tools.listed, detector=tools.detector, fallback=tools.fallback)
    people = tools.predictor(image, found.boxes.xyxy, scores=found.boxes.scores)
    folder = tools.out / picture.result
    height, width = image.shape[:2]
    focal = people[0].focal if people else 1.0
    camera = Camera(matrix=np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]]), source="assumed")
    frame = Frame(number=0, time=0.0, size=(width, height), camera=camera, name=picture.path.name, boxes=found.boxes.source)
    scene = Scene(
        name=picture.path.name, frames=(frame,), rate=None, body=tools.body, about=tools.about, pictures=lambda: iter([image])
    )
    write(people_of(people, tools.body), scene, folder, tools.outputs)
    return Look(people=len(people), source=found.boxes.source, folder=folder, note=found.note)


def people_of(people: Sequence[Person], body: Body, *, frame: int = 0) -> People:
    """What a model said of a picture, as rows."""
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


def write(people: People, scene: Scene, folder: Path, outputs: Sequence[str]) -> None:
    """Write every output that is asked for into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in (*folder.glob("person_*.*"), *(folder / name for name in LEFT_OVER)):
        old.unlink(missing_ok=True)
    for writer in find_writers(outputs, kind="clip" if scene.moves else "picture"):
        writer(people, scene, folder)
