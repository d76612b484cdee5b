"""Marked people in photographs: ``python benchmarks/photo_people.py --photos DIR [--weights default]``.

Asks weights about every person marked by hand in ``tests/data/photos.json``, the box given, and prints PCK of a fifth of the
torso, the share of joint pairs whose order in depth is right, and the share of front/back flips, each with a 95 % interval of
a bootstrap over people. Beside them stand answers that need no skill: the mean pose facing the camera in every crop, the
weights' own bodies turned half round (flipped), and those turned half round only where they face away (always front).
``photo_people.jpg`` shows each person's marks (dots), the answer (lines) and how far they are apart (thin lines); left is red.
The photographs are not part of the repository: they are read from a folder, and refused where their bytes are others.
``docs/photographs.md`` tells what was marked and how.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from tokenhmr.demo.pictures import BadPicture, read_picture
from tokenhmr.demo.predictor import Person, Predictor
from tokenhmr.evaluation.photographs import (
    ROWS,
    Answer,
    MarkedPerson,
    Photograph,
    check_bytes,
    mirror,
    read_photographs,
    score,
    shares,
    trunk_normal,
)
from tokenhmr.models.parts import FACING, MEAN_CAMERA
from tokenhmr.models.pretrained import load
from tokenhmr.render import contact_sheet
from tokenhmr.render.picture import save_picture
from tokenhmr.rotations import rows_to_matrix
from tokenhmr.structs import Pose, Prediction

MARKS = Path(__file__).resolve().parent.parent / "tests" / "data" / "photos.json"
Marked = tuple[MarkedPerson, Person, tuple[int, int]]  # with the size of the picture
CELL = 360  # pixels of a person on the sheet
COLOURS = {"left": (230, 40, 40), "right": (40, 110, 255)}  # of others: green


class MeanPose(nn.Module):
    """Says of every crop: the mean pose of the packaged tokenizer's motion, facing the camera, in the middle."""

    rotations: Tensor

    def __init__(self, body: nn.Module, mean: Float[Tensor, "21 6"]) -> None:
        super().__init__()
        self.body = body
        still = torch.eye(3)[:2].reshape(1, 6).expand(2, 6)
        self.rotations = nn.Parameter(rows_to_matrix(torch.cat([torch.tensor([FACING]), mean, still])), requires_grad=False)

    def forward(self, image: Float[Tensor, "batch 3 height width"]) -> Prediction:
        turns = self.rotations.expand(len(image), 24, 3, 3)
        pose = Pose(global_orient=turns[:, 0], body=turns[:, 1:], betas=turns.new_zeros(len(image), self.body.shape_count))
        posed = self.body(pose)
        camera = turns.new_tensor(MEAN_CAMERA).expand(len(image), 3)
        return Prediction(vertices=posed.vertices, joints=posed.joints, skeleton=posed.skeleton, camera=camera, pose=pose)


def look(
    photographs: Sequence[Photograph], pictures: Sequence[UInt8[np.ndarray, "_ _ 3"]], predictor: Predictor
) -> list[Marked]:
    """Everybody marked, with what is said of them."""
    found: list[Marked] = []
    for photograph, picture in zip(photographs, pictures, strict=True):
        people = predictor(picture, np.array([person.box for person in photograph.people]))
        found += [(marked, said, photograph.size) for marked, said in zip(photograph.people, people, strict=True)]
    return found


def drawn(person: MarkedPerson, said: Person, picture: UInt8[np.ndarray, "_ _ 3"]) -> UInt8[np.ndarray, "_ _ 3"]:
    """The person enlarged, with marks and answer."""
    left, top, right, bottom = person.box
    edge = 0.15 * max(right - left, bottom - top)
    scale = CELL / (max(right - left, bottom - top) + 2 * edge)
    corner = np.array((left - edge, top - edge))
    matrix = np.hstack([np.eye(2) * scale, -scale * corner[:, None]])
    size = (round(scale * (right - left + 2 * edge)), round(scale * (bottom - top + 2 * edge)))
    image = cv2.warpAffine(picture, matrix, size, flags=cv2.INTER_LINEAR)

    def place(point: Sequence[float] | Float[np.ndarray, "2"]) -> tuple[int, int]:
        x, y = (np.asarray(point, dtype=np.float64)[:2] - corner) * scale
        return round(x), round(y)

    for side, colour in COLOURS.items():
        for limb in (("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle")):
            line = np.array([place(said.joints_2d[ROWS[f"{side}_{part}"]]) for part in limb])
            cv2.polylines(image, [line], isClosed=False, color=colour, thickness=3, lineType=cv2.LINE_AA)
    for name, mark in person.joints.items():
        colour = COLOURS.get(name.partition("_")[0], (40, 220, 40))
        cv2.line(image, place(mark), place(said.joints_2d[ROWS[name]]), colour, 1, cv2.LINE_AA)
        cv2.circle(image, place(mark), 4, (255, 255, 255), -1, cv2.LINE_AA)
        cv2.circle(image, place(mark), 3, colour, -1, cv2.LINE_AA)
    return image


def as_said(person: Person, size: tuple[int, int]) -> Answer:
    return Answer(joints_2d=person.joints_2d, joints=person.joints)


def half_round(person: Person, size: tuple[int, int]) -> Answer:
    """The body turned half round about the upright axis through its middle hip, before the same camera."""
    middle = person.joints[ROWS["mid_hip"]]
    joints = (person.joints - middle) * np.array([-1, 1, -1], dtype=np.float32) + middle
    placed = joints + person.translation
    flat = placed[:, :2] / placed[:, 2:] * person.focal + np.array(size, dtype=np.float32) / 2
    return Answer(joints_2d=flat.astype(np.float32), joints=joints)


def always_front(person: Person, size: tuple[int, int]) -> Answer:
    return half_round(person, size) if trunk_normal(person.joints)[2] > 0 else as_said(person, size)


def table(columns: Mapping[str, Mapping[str, Mapping[str, float | int]]]) -> list[str]:
    """One line a number: share in % and interval, by column; how many were asked, of how many people."""
    names = sorted(next(iter(columns.values())))
    lines = [f"{'%':38s}" + "".join(f"{name:>20s}" for name in columns)]
    for name in names:
        cells = [column[name] for column in columns.values()]
        shown = (f"{100 * cell['share']:5.1f} [{100 * cell['low']:4.1f}, {100 * cell['high']:5.1f}]" for cell in cells)
        many = f"{cells[0]['count']} of {cells[0]['people']}"
        lines.append(f"{name:28s}{many:>10s}" + "".join(f"{text:>20s}" for text in shown))
    return lines


def present(photographs: Sequence[Photograph], folder: Path) -> list[Photograph]:
    """Photographs of the folder; those that are not there are named. Raises ``ValueError`` when none is."""
    missing = [photograph.file for photograph in photographs if not (folder / photograph.file).is_file()]
    if len(missing) == len(photographs):
        raise ValueError(f"{folder}: none of the {len(photographs)} marked photographs is here")
    if missing:
        print(f"left out, not in {folder}: {', '.join(missing)}", file=sys.stderr)
    return [photograph for photograph in photographs if photograph.file not in missing]


def measure(given: argparse.Namespace) -> dict[str, dict[str, dict[str, float | int]]]:
    """Shares by column; the sheet is written. Raises ``ValueError`` or ``OSError`` for what cannot be read."""
    photographs = present(read_photographs(given.marks), given.photos)
    for photograph in photographs:
        check_bytes(photograph, given.photos / photograph.file)
    pictures = [read_picture(given.photos / photograph.file) for photograph in photographs]
    if given.mirrored:
        photographs = [mirror(photograph) for photograph in photographs]
        pictures = [np.ascontiguousarray(picture[:, ::-1]) for picture in pictures]
    model = load(given.weights)
    found = look(photographs, pictures, Predictor(model))
    mean = look(photographs, pictures, Predictor(MeanPose(model.body, load("default").tokenizer.mean_pose)))
    shown = [picture for photograph, picture in zip(photographs, pictures, strict=True) for _ in photograph.people]
    sheet = [drawn(marked, said, picture) for (marked, said, _), picture in zip(found, shown, strict=True)]
    given.out.mkdir(parents=True, exist_ok=True)
    save_picture(given.out / "photo_people.jpg", contact_sheet(sheet, columns=7, cell=(CELL, CELL)))
    seen_as = ", mirrored" if given.mirrored else ""
    print(f"{len(found)} people in {len(photographs)} photographs{seen_as}, weights {given.weights}")
    columns: dict[str, tuple[list[Marked], Callable[[Person, tuple[int, int]], Answer]]] = {
        "weights": (found, as_said),
        "mean pose": (mean, as_said),
        "flipped": (found, half_round),
        "always front": (found, always_front),
    }
    return {
        name: shares([score(marked, turn(said, size)) for marked, said, size in people], draws=given.draws, seed=given.seed)
        for name, (people, turn) in columns.items()
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--photos", type=Path, required=True, help="folder of photographs")
    options.add_argument("--marks", type=Path, default=MARKS, help="what was marked (default: tests/data/photos.json)")
    options.add_argument("--weights", default="default", help="folder of weights (default: those of the package)")
    options.add_argument("--mirrored", action="store_true", help="pictures and marks as a mirror shows them")
    options.add_argument("--draws", type=int, default=2000, help="of the bootstrap (default: %(default)s)")
    options.add_argument("--seed", type=int, default=0, help="of the bootstrap (default: %(default)s)")
    options.add_argument(
        "--out", type=Path, default=Path("runs/photo_people"), help="folder for numbers and sheet (default: %(default)s)"
    )
    given = options.parse_args()
    try:
        columns = measure(given)
    except (BadPicture, OSError, ValueError) as error:
        options.exit(2, f"{error}\n")
    setting = {name: getattr(given, name) for name in ("weights", "mirrored", "draws", "seed")}
    text = json.dumps(setting | {"shares": columns}, indent=1)
    (given.out / "photo_people.json").write_text(text + "\n", encoding="utf-8")
    print(*table(columns), sep="\n")


if __name__ == "__main__":
    main()
