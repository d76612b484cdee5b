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

# What photographs keep of people whom they do not show whole: joints that stay in the frame, how often, and how much wider than
# those joints the frame is.
_SHOULDERS = ("head_top_lsp", "left_shoulder", "right_shoulder")
_CUTS = {
    "bust": ((*_SHOULDERS, "nose", "neck"), 0.16, (1.25, 1.9)),
    "half": ((*_SHOULDERS, "left_elbow", "right_elbow", "left_hip", "right_hip"), 0.36, (1.0, 1.45)),
    "american": ((*_SHOULDERS, "left_wrist", "right_wrist", "left_knee", "right_knee"), 0.24, (0.95, 1.25)),
    "headless": (("left_shoulder", "right_shoulder", "pelvis_mpii", "left_ankle", "right_ankle"), 0.08, (0.8, 1.0)),
    "side": ((), 0.16, (0.75, 1.25)),
}
# Degrees across a whole photograph, of phones, of lenses in between, of long lenses; and how often.
_LENSES = ((60.0, 80.0, 0.5), (35.0, 60.0, 0.3), (10.0, 35.0, 0.2))


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
    """Light from all around, a lamp that throws shadows, a second one that does not, and light that draws a rim. Linear RGB."""

    direction: Float32[np.ndarray, " 3"]  # towards the lamp, camera axes
    lamp: Float32[np.ndarray, " 3"]
    sky: Float32[np.ndarray, " 3"]
    ground: Float32[np.ndarray, " 3"]
    rim: Float32[np.ndarray, " 3"]
    fill_direction: Float32[np.ndarray, " 3"]  # towards the second lamp, camera axes
    fill: Float32[np.ndarray, " 3"]
    softness: float  # size of the lamp as seen from here, 0 (a point) to 1 (as good as no shadow's edge)
    indoors: bool


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
    distances: tuple[float, float] = (1.2, 15.0),  # metres
    cropped: float = 0.36,  # share of the people of whom more than the frame is seen
) -> Camera:
    """A distance and a lens such that the body fills most of the frame or, now and then, more than all of it.

    The frame is what is kept of a photograph around somebody: where the optical axis lies in it follows from the angle of the
    whole photograph and from where in it that somebody stands, so it may lie outside.
    """
    distance = float(np.exp(np.clip(generator.normal(np.log(3.8), 0.6), *np.log(distances))))
    names = list(_CUTS)
    cut = str(generator.choice(names, p=[_CUTS[name][1] for name in names]))
    close, wide, away = generator.random() < cropped, generator.random(), generator.uniform(-1, 1, size=2)
    share = generator.uniform(0.62, 0.97)
    kept, _, (least, most) = _CUTS[cut]
    frame_size = generator.uniform(least, most)
    jitter = generator.uniform(-1, 1, size=2)
    points = np.ascontiguousarray(vertices[::5], dtype=np.float64)  # a fifth of the skin says enough of its size
    aimed = points
    if close and kept:
        aimed, share = joints[[JOINTS44.index(name) for name in kept]].astype(np.float64), 1 / frame_size
    elif close:
        share = 1 / frame_size
    else:
        distance = max(distance, min(2.0, distances[1]))
    x, y, z = np.ascontiguousarray(aimed.T)
    middle = np.array([PICTURE / 2, PICTURE / 2])
    place, center, focal = np.array([0.0, 0.0, distance]), middle, 1.0
    # Moving the body changes its perspective a little: three rounds settle it.
    for _ in range(3):
        across, down = (x + place[0]) / (z + place[2]), (y + place[1]) / (z + place[2])
        low, high = np.array([across.min(), down.min()]), np.array([across.max(), down.max()])
        focal = share * FRAME / max(float((high - low).max()), 0.12 / distance)
        center = middle + _off_axis(focal, wide, away)
        target = middle + jitter * _room_to_move(cut if close else "whole", (high - low) * focal)
        place[:2] += ((target - center) / focal - (low + high) / 2) * distance
    return Camera(focal=focal, center=(float(center[0]), float(center[1])), translation=place)


def _room_to_move(cut: str, size: Float64[np.ndarray, " 2"]) -> Float64[np.ndarray, " 2"]:
    """How far from the middle of the frame what is aimed at may lie, pixels."""
    if cut == "side":  # a border goes through the body, mostly beside it
        return np.array([0.3 * size[0] + 0.3 * FRAME, 0.1 * FRAME])
    if cut == "whole":
        return 0.5 * np.maximum(FRAME - size, 0) / 2 + 0.02 * FRAME
    return np.full(2, 0.07 * FRAME) + 0.25 * np.maximum(FRAME - size, 0)


def _off_axis(focal: float, wide: float, away: Float64[np.ndarray, " 2"]) -> Float64[np.ndarray, " 2"]:
    """From the middle of the frame to the optical axis, pixels, for a frame somewhere in a photograph of some lens."""
    starts = np.cumsum([0.0, *(share for _, _, share in _LENSES)])
    lens = min(int(np.searchsorted(starts, wide, side="right")) - 1, len(_LENSES) - 1)
    low, high, share = _LENSES[lens]
    half = np.tan(np.radians(low + (high - low) * (wide - starts[lens]) / share) / 2) * focal
    free = np.maximum(half * np.array([1.0, 0.7]) - FRAME / 2, 0.1 * FRAME)
    # People are where photographers look: near the middle more often than at the border.
    return np.sign(away) * np.abs(away) ** 1.5 * np.minimum(free, 0.7 * focal)


def sample_light(view: View, generator: np.random.Generator) -> Light:
    """From hard sun to overcast, from lamps at a ceiling to a flash, from warm to cold; seldom from behind the body alone."""
    indoors, kind = bool(generator.random() < 0.45), generator.random()
    azimuth, height = (
        generator.uniform(-np.pi, np.pi),
        np.radians(generator.uniform(35, 88) if indoors else generator.uniform(8, 75)),
    )
    towards = view.world_to_camera @ _from_angles(azimuth, height)
    hardness, softness = generator.uniform(0.15, 0.65), generator.uniform(0.3, 1.0)
    behind = kind < 0.1  # against the light: the body is dark and has a bright rim
    if indoors and kind > 0.9:  # the camera's flash
        towards, hardness, softness = np.array([0.08, -0.12, -1.0]), generator.uniform(0.6, 1.0), 0.1
    elif not indoors:
        sunny = behind or kind < 0.62
        hardness = generator.uniform(0.6, 1.0) if sunny else generator.uniform(0.02, 0.25)
        softness = generator.uniform(0.02, 0.15) if sunny else 1.0
    if (towards[2] < 0 and behind) or (towards[2] > 0 and not behind and generator.random() < 0.6):
        towards[2] *= -1
    warmth = generator.normal(0.06 if indoors else 0.03, 0.1)
    lamp = np.array([1 + warmth, 1.0, 1 - warmth]) * 1.4 * hardness
    sky = (1.1 - 0.8 * hardness) * generator.normal([1 - warmth / 2, 1, 1 + warmth / 2], 0.05)
    ground = sky * generator.uniform(0.3, 0.9) * (1 + generator.normal(0, 0.05, 3))
    rim = (np.maximum(generator.normal(0, 0.2), 0) + 0.5 * behind) * (1 + generator.normal(0, 0.05, 3))
    second = view.world_to_camera @ _from_angles(generator.uniform(-np.pi, np.pi), np.radians(generator.uniform(0, 80)))
    fill = (
        (generator.random() < (0.5 if indoors else 0.1)) * generator.uniform(0.15, 0.7) * np.roll(lamp, generator.integers(2))
    )
    parts = {"lamp": lamp, "sky": sky, "ground": ground, "rim": rim, "fill": fill}
    return Light(
        direction=(towards / np.linalg.norm(towards)).astype(np.float32),
        fill_direction=second.astype(np.float32),
        softness=float(softness),
        indoors=indoors,
        **{name: np.maximum(colour, 0).astype(np.float32) for name, colour in parts.items()},
    )


def _from_angles(azimuth: float, height: float) -> Float64[np.ndarray, " 3"]:
    """Unit vector in a world with y up, radians."""
    return np.array([np.cos(height) * np.sin(azimuth), np.sin(height), np.cos(height) * np.cos(azimuth)])


def _turn(axis: str, angle: float) -> Float64[np.ndarray, "3 3"]:
    cosine, sine = np.cos(angle), np.sin(angle)
    one, other = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    matrix = np.eye(3)
    matrix[one, one] = matrix[other, other] = cosine
    matrix[other, one], matrix[one, other] = sine, -sine
    return matrix
