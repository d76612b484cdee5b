"""joints.csv: every joint of everyone in every frame, for spreadsheets and other programs."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from tokenhmr.demo.export import replace_file
from tokenhmr.demo.notice import write_notice
from tokenhmr.demo.scene import People, Scene, project
from tokenhmr.skeleton import JOINTS44, SMPL_JOINTS

HEADING = ("frame", "time", "person", "joint", "x", "y", "z", "u", "v", "filled")

# The skeleton, then what the keypoint sets add to it; one place, one row (OpenPose's mid_hip is the pelvis).
_ADDED = tuple(name for name in JOINTS44 if name not in (*SMPL_JOINTS, "mid_hip"))
JOINTS = (*SMPL_JOINTS, *_ADDED)


def write_csv(people: People, scene: Scene, folder: Path) -> None:
    """Write joints.csv of a picture or clip, and licences.txt. One frame in memory.

    x, y, z: metres in camera space (x right, y down, z forward); u, v: pixels of the upright picture; time: seconds, with as
    many digits as say it exactly; filled: 1 where the person was not seen but put between two frames.
    """
    added = [JOINTS44.index(name) for name in _ADDED]

    def write(path: Path) -> None:
        with path.open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(HEADING)
            for frame, here, posed in scene.frame_by_frame(people):
                points = np.concatenate([posed.skeleton, posed.joints[:, added]], axis=1)
                pixels = project(points, frame.camera)
                for row in range(len(here)):
                    head = (frame.number, repr(frame.time), here.track[row])
                    for name, point, pixel in zip(JOINTS, points[row].tolist(), pixels[row].tolist(), strict=True):
                        numbers = (*(f"{value:.6f}" for value in point), *(f"{value:.3f}" for value in pixel))
                        table.writerow((*head, name, *numbers, int(here.filled[row])))

    replace_file(folder / "joints.csv", write)
    write_notice(scene, folder)
