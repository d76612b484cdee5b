"""Where the camera stands, how the body fills the picture, and what light falls on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import roma
import torch
from jaxtyping import Float, Float32, Float64

from tokenhmr.skeleton import JOINTS44

# Pixels, both sides. The frame is what a photographer would have kept; people are placed in it and boxed within it. The
# margin around it is for training: a crop that is turned, shifted or made larger shows the world there, and no black corner.
FRAME, MARGIN = 256, 32
PICTURE = FRAME + 2 * MARGIN

# Close-ups look at the upper body, as photographs of people do.
_AIMS = ("nose", "neck", "thorax_mpii", "spine_h36m", "pelvis_mpii", "left_wrist", "right_wrist", "left_knee", "right_knee")
_AIM_SHARE = np.array([5.0, 8.0, 8.0, 8.0, 5.0, 1.5, 1.5, 1.5, 1.5])


@dataclass(frozen=True, kw_only=True)
class View:
    """A level world seen by a camera: rotation only."""

    world_to_camera: Float64[np.ndarray, "3 3"]  # world with y up -> x right, y down, z forward
    up: Float64[np.ndarray, " 3"]  # the world's up, camera axes


@dataclass(frozen=True, kw_only=True)
class Camera:
    """A pinhole camera in pixels, and where the body stands before it."""

    focal: float
    center: tuple[float, float]
    translation: Float64[np.ndarray, " 3"]  # metres, added to the body layer's output

    def project(self, points: Float[np.ndarray, "point 3"]) -> Float64[np.ndarray, "point 2"]:
        """Body points (no translation) to pixels."""
        placed = points.astype(np.float64) + self.translation
        return placed[:, :2] / placed[:, 2:] * self.focal + np.array(self.center)


@dataclass(frozen=True, kw_only=True)
class Light:
    """Sky and ground light from all around, a lamp, and light from behind that draws a rim. Linear RGB."""

    direction: Float32[np.ndarray, " 3"]  # towards the lamp, camera axes
    lamp: Float32[np.ndarray, " 3"]
    sky: Float32[np.ndarray, " 3"]
    ground: Float32[np.ndarray, " 3"]
    rim: Float32[np.ndarray, " 3"]


def sample_view(generator: np.random.Generator) -> View:
    """Any heading; mostly level, as people hold cameras; now and then from above, from below, or any way up."""
    heading = generator.uniform(0, 2 * np.pi)
    pitch = np.radians(np.clip(generator.normal(6, 10), -25, 45))
    roll = np.radians(generator.normal(0, 4))
    odd = generator.random()
    anyhow = generator.standard_normal(4)
    if odd < 0.06:
        pitch = np.radians(generator.uniform(25, 75))
    elif odd < 0.10:
        roll = np.radians(generator.uniform(-60, 60))
    down = np.diag([1.0, -1.0, -1.0])
    camera = _turn("z", roll) @ _turn("x", pitch) @ down @ _turn("y", heading)
    if odd > 0.96:
        quaternion = torch.from_numpy(anyhow / np.linalg.norm(anyhow))
        camera = roma.unitquat_to_rotmat(quaternion).numpy()
    return View(world_to_camera=camera, up=camera[:, 1].copy())


def sample_camera(
    vertices: Float[np.ndarray, "vertex 3"],
    joints: Float[np.ndarray, "44 3"],
    generator: np.random.Generator,
    *,
    distances: tuple[float, float] = (2.5, 10.0),  # metres
    cropped: float = 0.25,  # share of the people of whom more than the frame is seen
) -> Camera:
    """A distance and a lens such that the body fills most of the frame, or, every fourth time, more than all of it."""
    distance = float(np.exp(generator.uniform(*np.log(distances))))
    middle = np.array([PICTURE / 2, PICTURE / 2])
    center = middle + np.clip(generator.normal(0, 0.15, size=2), -0.4, 0.4) * FRAME
    close = generator.random() < cropped
    share = generator.uniform(1.05, 2.1) if close else generator.uniform(0.62, 0.96)
    aim = JOINTS44.index(str(generator.choice(_AIMS, p=_AIM_SHARE / _AIM_SHARE.sum())))
    jitter = generator.uniform(-1, 1, size=2)
    place = np.array([0.0, 0.0, distance])
    x, y, z = np.ascontiguousarray(vertices[::5].T, dtype=np.float64)  # a fifth of the skin says enough of its size
    focal = 1.0
    # Moving the body changes its perspective a little: three rounds settle it.
    for _ in range(3):
        across, down = (x + place[0]) / (z + place[2]), (y + place[1]) / (z + place[2])
        low, high = np.array([across.min(), down.min()]), np.array([across.max(), down.max()])
        focal = share * FRAME / float((high - low).max())
        if close:
            target = middle + jitter * 0.12 * FRAME
            now = (joints[aim, :2] + place[:2]) / (joints[aim, 2] + place[2])
        else:
            free = np.maximum(FRAME - (high - low) * focal, 0) / 2
            target = middle + jitter * (0.5 * free + 0.02 * FRAME)
            now = (low + high) / 2
        wanted = (target - center) / focal
        place[:2] += (wanted - now) * distance
    return Camera(focal=focal, center=(float(center[0]), float(center[1])), translation=place)


def sample_light(view: View, generator: np.random.Generator) -> Light:
    """From hard sun to overcast, from warm to cold; the lamp is above the horizon and seldom behind the body."""
    azimuth, height = generator.uniform(-np.pi, np.pi), np.radians(generator.uniform(5, 80))
    world = np.array([np.cos(height) * np.sin(azimuth), np.sin(height), np.cos(height) * np.cos(azimuth)])
    towards = view.world_to_camera @ world
    if towards[2] > 0 and generator.random() < 0.6:
        towards[2] *= -1
    hardness = generator.uniform(0.15, 1.0)
    exposure = float(np.exp(generator.normal(0.05, 0.28)))
    warmth = generator.normal(0, 0.12)
    lamp = np.array([1 + warmth, 1.0, 1 - warmth]) * 1.25 * hardness * exposure
    sky = (1.2 - 0.85 * hardness) * exposure * generator.normal([1 - warmth / 2, 1, 1 + warmth / 2], 0.08)
    ground = sky * generator.uniform(0.3, 0.9) * (1 + generator.normal(0, 0.1, 3))
    rim = np.maximum(generator.normal(0, 0.25), 0) * exposure * (1 + generator.normal(0, 0.1, 3))
    parts = {"lamp": lamp, "sky": sky, "ground": ground, "rim": rim}
    return Light(
        direction=(towards / np.linalg.norm(towards)).astype(np.float32),
        **{name: np.maximum(colour, 0).astype(np.float32) for name, colour in parts.items()},
    )


def _turn(axis: str, angle: float) -> Float64[np.ndarray, "3 3"]:
    cosine, sine = np.cos(angle), np.sin(angle)
    one, other = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    matrix = np.eye(3)
    matrix[one, one] = matrix[other, other] = cosine
    matrix[other, one], matrix[one, other] = sine, -sine
    return matrix
