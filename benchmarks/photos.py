"""Bodies on photographs: ``python benchmarks/photos.py --photos DIR [--weights default] [--out runs/photos]``.

Runs the demo's predictor on every photograph that the file of boxes lists (the boxes in ``photo_boxes.json`` were drawn by
hand, so no detector's mistakes are in the way), writes ``photos.jpg``, one sheet with the bodies drawn over the photographs,
and prints milliseconds a person and how much the poses differ. A model that does not look at the picture says one pose for
everybody: its distances are near zero. Distances are mean distances of the 24 joints after Procrustes, in millimetres; of
the two directions of a pair the smaller counts, as the scale is free in one of them only. With betas zero only pose counts.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatch
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from tokenhmr.body import Body
from tokenhmr.demo.boxes import read_boxes
from tokenhmr.demo.detector import Boxes
from tokenhmr.demo.pictures import read_picture
from tokenhmr.demo.predictor import Person, Predictor
from tokenhmr.evaluation.metrics import pa_mpjpe
from tokenhmr.models.pretrained import load
from tokenhmr.render import contact_sheet, overlay
from tokenhmr.structs import Pose

UNLIKE = ("three_people*", "yoga_warrior*")  # people whose poses are plainly not the same
HAND_DRAWN = Path(__file__).with_name("photo_boxes.json")


@dataclass
class Clock:
    """Wall and processor seconds by stage; processor seconds are those of all threads of this program."""

    spent: dict[str, tuple[float, float]] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        wall, processor = time.perf_counter(), time.process_time()
        yield
        before = self.spent.get(name, (0.0, 0.0))
        self.spent[name] = before[0] + time.perf_counter() - wall, before[1] + time.process_time() - processor


def timed(forward: Callable[[Tensor], object], clock: Clock) -> Callable[[Tensor], object]:
    def run(image: Tensor) -> object:
        with clock.stage("network"):
            return forward(image)

    return run


def look(path: Path, boxes: Boxes, predictor: Predictor, clock: Clock) -> tuple[list[Person], UInt8[np.ndarray, "_ _ 3"]]:
    """The people of a photograph, and the photograph with their bodies."""
    with clock.stage("read"):
        image = read_picture(path)
    with clock.stage("predict"):
        people = predictor(image, boxes.xyxy)
    if not people:
        return people, image
    height, width = image.shape[:2]
    with clock.stage("draw"):
        faces, center = predictor.model.body.faces.cpu().numpy(), (width / 2, height / 2)
        over = overlay(image, [person.placed_vertices for person in people], faces, focal=people[0].focal, center=center)
    return people, over


def skeletons(people: list[Person], body: Body, *, shaped: bool) -> Float[Tensor, "person 24 3"]:
    """Joints as predicted, or those of the mean shape in the predicted poses."""
    orient, turns, betas = (
        torch.from_numpy(np.stack([getattr(person, name) for person in people]))
        for name in ("global_orient", "body_pose", "betas")
    )
    return body.skeleton(Pose(global_orient=orient, body=turns, betas=betas if shaped else torch.zeros_like(betas)))


def pair_distances(joints: Float[Tensor, "person 24 3"], pairs: list[tuple[int, int]]) -> Float[Tensor, " pair"]:
    first, second = joints[[a for a, _ in pairs]], joints[[b for _, b in pairs]]
    return torch.minimum(pa_mpjpe(first, second), pa_mpjpe(second, first))


def diversity(names: list[str], people: list[Person], body: Body) -> list[str]:
    """One line for each of the two ways to count."""
    pairs = list(combinations(range(len(people)), 2))
    if not pairs:
        return ["  fewer than two people"]
    lines = []
    for what, shaped in (("pose alone", False), ("pose and shape", True)):
        distance = pair_distances(skeletons(people, body, shaped=shaped), pairs)
        a, b = pairs[int(distance.argmax())]
        median = float(distance.median())
        lines.append(f"  {what:15s} largest {float(distance.max()):6.1f} mm ({names[a]}, {names[b]}), median {median:6.1f} mm")
    return lines


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--photos", type=Path, required=True, help="folder of photographs")
    options.add_argument("--boxes", type=Path, default=HAND_DRAWN, help="boxes by photograph (default: the hand-drawn ones)")
    options.add_argument("--weights", default="default", help="folder of weights (default: those of the package)")
    options.add_argument("--out", type=Path, default=Path("runs/photos"), help="folder for the sheet (default: %(default)s)")
    options.add_argument("--columns", type=int, default=5, help="photographs in a row (default: %(default)s)")
    options.add_argument("--cell", type=int, default=320, help="pixels of a photograph on the sheet (default: %(default)s)")
    given = options.parse_args()
    listed = read_boxes(given.boxes).boxes
    present = {name: boxes for name, boxes in listed.items() if (given.photos / name).is_file()}
    if not present:
        raise SystemExit(f"{given.photos}: none of the {len(listed)} photographs of {given.boxes} is here")
    try:
        model = load(given.weights)
    except (OSError, ValueError) as error:
        raise SystemExit(f"--weights {given.weights}: {error}") from error
    predictor, body = Predictor(model), model.body
    first = next(iter(present))
    look(given.photos / first, present[first], predictor, Clock())  # compiling and first touches are not counted

    clock, sheet = Clock(), []
    model.forward = timed(model.forward, clock)
    names: list[str] = []
    everybody: list[Person] = []
    for name, boxes in present.items():
        people, picture = look(given.photos / name, boxes, predictor, clock)
        everybody += people
        names += [f"{name}[{row}]" for row in range(len(people))]
        sheet.append(picture)

    given.out.mkdir(parents=True, exist_ok=True)
    cells = contact_sheet(sheet, columns=given.columns, cell=(given.cell, given.cell))
    cv2.imwrite(str(given.out / "photos.jpg"), cells[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
    print(f"{len(everybody)} people in {len(present)} of {len(listed)} photographs; threads: {torch.get_num_threads()}")
    report(clock, len(everybody))
    unlike = [row for row, name in enumerate(names) if any(fnmatch(name, pattern) for pattern in UNLIKE)]
    print(f"people of {' and '.join(UNLIKE)}: {len(unlike)}")
    print(*diversity([names[row] for row in unlike], [everybody[row] for row in unlike], body), sep="\n")
    print(f"people of all photographs: {len(everybody)}")
    print(*diversity(names, everybody, body), sep="\n")


def report(clock: Clock, people: int) -> None:
    """Milliseconds a person: the network, the predictor around it, and everything from file to drawing."""
    network, predict = clock.spent["network"], clock.spent["predict"]
    everything = [sum(clock.spent[stage][kind] for stage in ("read", "predict", "draw")) for kind in (0, 1)]
    print("milliseconds a person         wall  processor")
    for what, (wall, processor) in (
        ("network", network),
        ("crops, network, camera", predict),
        ("all, file to drawing", everything),
    ):
        print(f"  {what:24s}{1e3 * wall / people:8.1f}   {1e3 * processor / people:8.1f}")


if __name__ == "__main__":
    main()
