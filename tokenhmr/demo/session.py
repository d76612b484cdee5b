"""One picture from its file to its results: read, find people, predict, write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, UInt8

from tokenhmr.body import Body
from tokenhmr.demo.boxes import find_people
from tokenhmr.demo.detector import Boxes, Detector
from tokenhmr.demo.export import AXES, UNITS, people_arrays, write_obj, write_people, write_png
from tokenhmr.demo.pictures import PictureFile, read_picture
from tokenhmr.demo.predictor import Person, Predictor
from tokenhmr.models.pretrained import load
from tokenhmr.render import overlay, side_view

LONGEST_SIDE_VIEW = 1024  # pixels
ROW_SPACING = 1.2  # metres between people in the side view


@dataclass(frozen=True, kw_only=True)
class Tools:
    """What every picture goes through."""

    predictor: Predictor
    body: Body
    detector: Detector
    listed: Mapping[str, Boxes]  # by picture name; these pictures are not searched
    fallback: bool
    about: Mapping[str, str]  # body, weights and licences, for the files
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
        predictor=predictor, body=model.body, detector=detector, listed=listed, fallback=fallback, about=about, out=out
    )


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
    _write(folder, picture.path.name, image, people, found.boxes.source, tools)
    return Look(people=len(people), source=found.boxes.source, folder=folder, note=found.note)


def _write(
    folder: Path, name: str, image: UInt8[np.ndarray, "height width 3"], people: list[Person], source: str, tools: Tools
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    # Results of an earlier run would be taken for this one's.
    for old in (*folder.glob("person_*.obj"), folder / "overlay.png", folder / "side.png"):
        old.unlink(missing_ok=True)
    height, width = image.shape[:2]
    arrays = people_arrays(people, tools.body)
    write_people(folder / "people.npz", arrays, source=source, picture=name, size=(width, height), about=tools.about)
    if not people:
        return
    faces, bodies = arrays["faces"], [person.placed_vertices for person in people]
    for number, body in enumerate(bodies):
        remarks = [f"person {number} of {name}", f"{UNITS}; {AXES}", *(f"{key}: {word}" for key, word in tools.about.items())]
        write_obj(folder / f"person_{number}.obj", body, faces, remarks=remarks)
    over = overlay(image, bodies, faces, focal=people[0].focal, center=(width / 2, height / 2))
    write_png(folder / "overlay.png", over)
    shrink = min(1.0, LONGEST_SIDE_VIEW / max(width, height))
    wide, high = max(1, round(width * shrink)), max(1, round(height * shrink))
    write_png(folder / "side.png", side_view(_in_a_row(people), faces, width=wide, height=high))


def _in_a_row(people: list[Person]) -> list[Float32[np.ndarray, "vertex 3"]]:
    """Bodies one behind the other, evenly: real depths are metres apart and would leave specks in a side view."""
    order = np.argsort([person.translation[2] for person in people], kind="stable")
    ranks = np.argsort(order, kind="stable")
    steps = np.array([0, 0, ROW_SPACING], dtype=np.float32) * ranks[:, None].astype(np.float32)
    return [person.vertices + step for person, step in zip(people, steps, strict=True)]
