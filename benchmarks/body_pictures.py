"""Pictures of the open body to look at: ``python benchmarks/body_pictures.py [--motion DIR] [--out docs/images/body.jpg]``.

Rest pose from the front and the side; every shape direction at -2 and +2; thirty poses (key poses, then frames of motion).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch

from tokenhmr.body import Body, key_poses, load_body
from tokenhmr.render import contact_sheet, overlay
from tokenhmr.render.picture import COLOURS, PAPER
from tokenhmr.rotations import axis_angle_to_matrix
from tokenhmr.structs import Pose
from tokenhmr.synthesis.poses import read_poses

WIDTH, HEIGHT = 150, 190
UPRIGHT = np.diag([1.0, -1.0, -1.0])  # y up, facing +z -> camera axes, facing the camera
SHOWN = ("t_pose", "stand", "walk", "run", "sit", "sit_cross_legged", "squat", "reach_up", "kick", "lie_with_bent_knees",
         "warrior", "tree", "kneel", "lunge", "punch")  # fmt: skip


def turned(degrees: float) -> np.ndarray:
    angle = np.radians(degrees)
    return np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])


def picture(body: Body, root: np.ndarray, pose: np.ndarray, betas: np.ndarray, label: str, colour: int) -> np.ndarray:
    full = torch.cat([torch.from_numpy(pose).float(), torch.zeros(2, 3)])
    posed = body(
        Pose(
            global_orient=torch.from_numpy(root).float(),
            body=axis_angle_to_matrix(full),
            betas=torch.from_numpy(betas).float(),
        )
    )
    vertices = posed.vertices.numpy()
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    # One scale for everybody, so that sizes can be compared.
    place = np.float32([0, 0, 12]) - (low + high) / 2 * np.float32([1, 1, 0])
    paper = np.full((HEIGHT, WIDTH, 3), PAPER, dtype=np.uint8)
    drawn = overlay(
        paper,
        [vertices + place],
        body.faces.numpy(),
        focal=12 * 0.4 * HEIGHT,
        center=(WIDTH / 2, HEIGHT / 2 - 6),
        colours=[COLOURS[colour]],
    )
    cv2.putText(drawn, label, (4, HEIGHT - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.36, (60, 60, 60), 1, cv2.LINE_AA)
    return drawn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--motion", type=Path, help="folder of AMASS-layout .npz files (one split)")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "docs" / "images" / "body.jpg")
    options = parser.parse_args()
    body = load_body("open")
    rest, mean = np.zeros((21, 3)), np.zeros(10)
    cells = [picture(body, UPRIGHT @ turned(angle), rest, mean, f"rest, {angle} deg", 0) for angle in (0, 45, 90, 135, 180)]
    down = key_poses.key_pose("stand")
    for number in range(10):
        for sign in (-2, 2):
            betas = np.eye(10)[number] * sign
            cells.append(picture(body, UPRIGHT @ turned(25), down, betas, f"beta {number} = {sign:+d}", 1))
    names = [name for name in SHOWN if name in key_poses.KEY_POSES]
    for name in names:
        cells.append(picture(body, UPRIGHT @ turned(30), key_poses.key_pose(name), mean, name, 2))
    if options.motion is None:
        drawn = key_poses.sample(30 - len(names), np.random.default_rng(0))
        cells += [picture(body, UPRIGHT @ turned(30), pose, mean, f"blend {i}", 3) for i, pose in enumerate(drawn)]
    else:
        motion = read_poses(options.motion).sample(30 - len(names), np.random.default_rng(5), vary=None)
        for pose, root, source in zip(motion.body, motion.root, motion.source, strict=True):
            cells.append(picture(body, UPRIGHT @ root, pose, mean, source, 3))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    sheet = contact_sheet(cells, columns=10, cell=(WIDTH, HEIGHT))
    cv2.imwrite(str(options.out), sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])
    print(f"{options.out}: {len(cells)} pictures, {options.out.stat().st_size / 1024:.0f} kB")


if __name__ == "__main__":
    main()
