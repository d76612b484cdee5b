"""A video whose truth is known: two bodies that walk past one another before a steady camera.

python benchmarks/demo_clip.py clip --frames 90

writes DIR/clip.mp4, DIR/boxes.json (people's rectangles in every frame), DIR/cam.json (the camera) and DIR/clip_joints.json
(their joints in every frame): what the demo's options --boxes, --camera and --refine read. DIR/crossing.png is a frame in
which the nearer hides the farther, with joints of its own in DIR/joints.json.
"""

import argparse
import json
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import roma
import torch

from tokenhmr.body import Body, load_body
from tokenhmr.body.key_poses import key_pose
from tokenhmr.demo.keypoints import COCO_JOINTS
from tokenhmr.demo.video import VideoWriter
from tokenhmr.render import overlay, save_picture
from tokenhmr.rotations import axis_angle_to_matrix, mirror_axis_angle
from tokenhmr.skeleton import BODY_JOINTS, JOINTS44, flip_permutation
from tokenhmr.structs import Pose

SIZE, FOCAL, RATE = (480, 360), 520.0, Fraction(30000, 1001)
DEPTHS, HALF_WAY = (3.4, 4.6), 1.5  # metres: from the camera, and how far each walks to either side
STEP = 0.55  # seconds
CROSSING = 42  # percent of the clip
CLOTHES = ((0.30, 0.42, 0.62), (0.72, 0.40, 0.30))
SHAPES = (-1.0, 1.5)  # the first shape coefficient of each


def strides(times: np.ndarray) -> torch.Tensor:
    """Body rotations of somebody who walks: to and fro between a step of the left and of the right foot."""
    left = torch.from_numpy(key_pose("walk"))
    right = mirror_axis_angle(left[list(flip_permutation(BODY_JOINTS))])
    share = torch.from_numpy((1 - np.cos(np.pi * times / STEP)) / 2).float()
    both = [roma.rotvec_to_unitquat(pose) for pose in (left, right)]
    turned = roma.unitquat_to_rotmat(roma.unitquat_slerp(*both, share))
    return torch.cat([turned, torch.eye(3).expand(len(times), 2, 3, 3)], dim=1)  # the hands keep still


def bodies(body: Body, times: np.ndarray, total: float, person: int) -> tuple[np.ndarray, np.ndarray]:
    """One of the two before the camera at some times of ``total`` seconds: vertices and 44 joints, metres, (time, n, 3)."""
    side = 1.0 if person == 0 else -1.0
    # Facing the way they go, feet down: half a turn about x puts y down, a quarter about y turns to the side.
    facing = axis_angle_to_matrix(torch.tensor([torch.pi, 0.0, 0.0])) @ axis_angle_to_matrix(
        torch.tensor([0.0, side * torch.pi / 2, 0.0])
    )
    betas = torch.zeros(len(times), body.shape_count)
    betas[:, 0] = SHAPES[person]
    with torch.inference_mode():
        posed = body(Pose(global_orient=facing.expand(len(times), 3, 3), body=strides(times), betas=betas))
    way = (2 * times / max(total, 1e-6) - 1) * HALF_WAY * side
    place = np.stack([way, np.full(len(times), 0.15), np.full(len(times), DEPTHS[person])], axis=1)
    vertices, joints = ((points.numpy() + place[:, None]).astype(np.float32) for points in (posed.vertices, posed.joints))
    return vertices, joints


def background() -> np.ndarray:
    """A wall and a floor of soft stains."""
    rng = np.random.default_rng(0)
    noise = cv2.GaussianBlur(rng.uniform(-60, 60, (SIZE[1], SIZE[0], 3)).astype(np.float32), (0, 0), 12) * 4
    paint = np.full((SIZE[1], SIZE[0], 3), (196, 202, 190), dtype=np.float32)
    paint[SIZE[1] * 7 // 10 :] = (150, 132, 112)
    return np.clip(paint + noise, 0, 255).astype(np.uint8)


def pixels(points: np.ndarray) -> np.ndarray:
    """Where points are seen."""
    return np.round(points[:, :2] / points[:, 2:] * FOCAL + np.array(SIZE) / 2, 1)


def box_of(vertices: np.ndarray) -> list[float]:
    """The rectangle around a body, pixels."""
    seen = pixels(vertices)
    return [*seen.min(axis=0).tolist(), *seen.max(axis=0).tolist()]


def joints_of(joints: np.ndarray) -> dict[str, list[float]]:
    """COCO's joints by name, pixels, hidden or not."""
    seen = dict(zip(JOINTS44, pixels(joints).tolist(), strict=True))
    return {name: seen[name] for name in COCO_JOINTS}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("folder", type=Path, help="folder to write to")
    options.add_argument("--frames", type=int, default=90, help="how many (default: %(default)s)")
    given = options.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    body, wall = load_body(), background()
    faces = body.faces.numpy()
    times = np.arange(given.frames) / float(RATE)
    boxes, joints, crossing = {}, [], given.frames * CROSSING // 100
    with VideoWriter(given.folder / "clip.mp4", size=SIZE, rate=RATE) as video:
        for start in range(0, given.frames, 30):
            some = times[start : start + 30]
            first, second = (bodies(body, some, times[-1], person) for person in (0, 1))
            for row, number in enumerate(range(start, start + len(some))):
                pair = [first[0][row], second[0][row]]
                image = overlay(wall, pair, faces, focal=FOCAL, center=(SIZE[0] / 2, SIZE[1] / 2), colours=CLOTHES)
                video.write(image, number / RATE)
                boxes[f"clip.mp4#{number}"] = [box_of(body) for body in pair]
                joints.append([joints_of(person[1][row]) for person in (first, second)])
                if number == crossing:
                    save_picture(given.folder / "crossing.png", image)
    boxes["crossing.png"] = boxes[f"clip.mp4#{crossing}"]
    (given.folder / "joints.json").write_text(json.dumps({"crossing.png": joints[crossing]}) + "\n")
    (given.folder / "clip_joints.json").write_text(json.dumps(joints) + "\n")
    (given.folder / "boxes.json").write_text(json.dumps(boxes) + "\n")
    (given.folder / "cam.json").write_text(json.dumps({"focal": FOCAL, "center": [SIZE[0] / 2, SIZE[1] / 2]}) + "\n")


if __name__ == "__main__":
    main()
