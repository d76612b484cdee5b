"""Recordings of other skeletons beside the bodies they become: the file's bones over the posed body, front and side.

python benchmarks/motion_sheet.py walk.bvh 01_01.amc --out sheet.png

The file's joints (red) and the body stand in the same metres: bones of the body should run along the file's, though they are
the body's own length. The pelvis, the middle of the hips, is where the file has it.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch

from tokenhmr.body import Body, load_body
from tokenhmr.data.motion.asf import read_amc, read_asf
from tokenhmr.data.motion.bvh import read_bvh
from tokenhmr.data.motion.mapping import find_map
from tokenhmr.data.motion.retarget import retarget
from tokenhmr.render import contact_sheet, draw_points, overlay
from tokenhmr.resources import data_list_folder
from tokenhmr.rotations import axis_angle_to_matrix
from tokenhmr.structs import Pose

SIDE, FOCAL, DISTANCE = 400, 700.0, 4.0
Z_UP = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])


def turned(degrees: float) -> np.ndarray:
    """y up to camera axes, looked at from an angle."""
    angle = np.radians(degrees)
    about_y = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    return np.diag([1.0, -1, -1]) @ about_y


def views(path: Path, asf: Path, body: Body, count: int) -> Iterator[np.ndarray]:
    recording = read_bvh(path) if path.suffix.lower() == ".bvh" else read_amc(path, read_asf(asf), fps=120.0)
    skeleton = find_map(recording.joints, data_list_folder() / "skeletons")
    frames = np.linspace(skeleton.skip, len(recording.root) - 1, count).astype(int)
    shown = recording.frames(frames.tolist())
    motion = retarget(shown, replace(skeleton, skip=0), body.rest_joints.numpy())
    rotations = axis_angle_to_matrix(torch.from_numpy(motion.poses))
    betas = torch.zeros(len(rotations), body.shape_count)
    posed = body(Pose(global_orient=rotations[:, 0], body=rotations[:, 1:], betas=betas)).vertices.numpy()
    meshes = (posed + motion.trans[:, None]) @ Z_UP  # back to y up
    joints = shown.positions() * (skeleton.metres or 1.0)
    limbs = [(joint, parent) for joint, parent in enumerate(recording.parents) if parent >= 0]
    for mesh, places in zip(meshes, joints, strict=True):
        middle = mesh.mean(axis=0)
        for degrees in (0, 90):
            camera = turned(degrees)
            body_here = ((mesh - middle) @ camera.T + [0, 0, DISTANCE]).astype(np.float32)
            bones = (places - middle) @ camera.T + [0, 0, DISTANCE]
            paper = np.full((SIDE, SIDE, 3), 240, dtype=np.uint8)
            middle_of_picture = (SIDE / 2, SIDE / 2)
            view = overlay(paper, [body_here], body.faces.numpy(), focal=FOCAL, center=middle_of_picture, opacity=0.7)
            pixels = FOCAL * bones[:, :2] / bones[:, 2:] + SIDE / 2
            yield draw_points(view, pixels, limbs=limbs, radius=2)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("files", nargs="+", type=Path, help=".bvh, or .amc with its .asf beside it")
    options.add_argument("--asf", type=Path, help="skeleton of the .amc files (default: SUBJECT.asf beside SUBJECT_TRIAL.amc)")
    options.add_argument("--frames", type=int, default=4, help="of each file (default: %(default)s)")
    options.add_argument("--out", type=Path, required=True, help="picture to write")
    given = options.parse_args()
    body = load_body()
    pictures = []
    for path in given.files:
        asf = given.asf or path.with_name(f"{path.stem.partition('_')[0]}.asf")
        pictures += views(path, asf, body, given.frames)
    sheet = contact_sheet(pictures, columns=2 * given.frames, cell=(SIDE * 3 // 4, SIDE * 3 // 4))
    cv2.imwrite(str(given.out), sheet[..., ::-1])


if __name__ == "__main__":
    main()
