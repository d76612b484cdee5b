"""Where the second look takes place: halls, groves and lights out of focus, drawn by hashed noise along every pixel's ray."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32, Float64, Int64

from tokenhmr.synthesis.lamp import LampView
from tokenhmr.synthesis.scene import PICTURE, Camera, Light, View

Field = Float[np.ndarray, "height width"]
KINDS = ("hall", "grove", "lights", "haze")


def _hash(x: Int64[np.ndarray, "*cell"], y: Int64[np.ndarray, "*cell"], seed: int) -> Float64[np.ndarray, "*cell"]:
    """A number from 0 to 1 for every cell of a grid without end (a mixer of 32 bits: multiply, shift, exclusive or)."""
    mixed = (x * 374761393 + y * 668265263 + seed * 974634187) & 0xFFFFFFFF
    for factor in (2246822519, 3266489917):
        mixed = ((mixed ^ (mixed >> 15)) * factor) & 0xFFFFFFFF
    return (mixed ^ (mixed >> 16)) / 2**32


def _value_noise(x: Field, y: Field, seed: int, octaves: int = 4) -> Field:
    """Smooth noise on a plane, 0 to 1: values of cells blended by a cubic, every octave twice as fine and half as strong."""
    total, weight = np.zeros_like(x), 0.0
    for octave in range(octaves):
        column, row = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
        u, v = x - column, y - row
        u, v = u * u * (3 - 2 * u), v * v * (3 - 2 * v)
        corners = [_hash(column + i, row + j, seed + octave) for j in (0, 1) for i in (0, 1)]
        low, high = corners[0] + u * (corners[1] - corners[0]), corners[2] + u * (corners[3] - corners[2])
        total += (low + v * (high - low)) / 2**octave
        weight += 1 / 2**octave
        x, y = 2 * x + 17.3, 2 * y + 5.1
    return total / weight


def _colour(generator: np.random.Generator) -> Float64[np.ndarray, " 3"]:
    """Linear RGB: a reflectance of any brightness, mostly weak in colour."""
    return np.clip(np.exp(generator.normal(-1.5, 0.8)) * generator.normal(1, 0.22, 3), 0.01, 0.9)


def surroundings(
    view: View, camera: Camera, light: Light, floor: float, lamps: list[LampView], generator: np.random.Generator
) -> tuple[Float32[np.ndarray, "height width 3"], str]:
    """Linear picture without people, their shadows on the ground included, and the name of its kind."""
    row, column = np.mgrid[:PICTURE, :PICTURE] + 0.5
    rays = np.stack([(column - camera.center[0]) / camera.focal, (row - camera.center[1]) / camera.focal, np.ones_like(row)])
    world = np.tensordot(view.world_to_camera.T, rays, axes=1)
    flat = np.hypot(world[0], world[2]) + 1e-9
    angle, slope = np.arctan2(world[0], world[2]), world[1] / flat
    seed, kind = int(generator.integers(2**31)), str(generator.choice(KINDS))
    first, second, third = (_colour(generator) for _ in range(3))
    wide, tall = generator.uniform(3, 14), generator.uniform(2, 9)
    grain = _value_noise(angle * 40, slope * 40, seed)[..., None]
    bright = light.sky + 0.3 * light.lamp
    if kind == "hall":  # panels of all widths between posts
        cell = np.floor(angle * wide + 0.7 * _hash(np.floor(slope * tall).astype(np.int64), np.zeros_like(row, np.int64), seed))
        tone = _hash(cell.astype(np.int64), np.floor(slope * tall).astype(np.int64), seed)[..., None]
        behind = (first + tone * (second - first)) * (0.7 + 0.6 * grain) * bright
    elif kind == "grove":  # trunks before leaves before sky
        leaf = _value_noise(angle * wide * 4, slope * tall * 4, seed, 5)[..., None]
        trunk = _value_noise(angle * wide * 3, slope * 0.4, seed + 9, 1)[..., None] > 0.78
        green = np.array([0.06, 0.13, 0.03]) * (0.3 + 1.8 * leaf)
        behind = np.where(trunk, third * 0.4 * (0.6 + 0.8 * grain), np.where(leaf > 0.62, light.sky * 1.1, green * bright))
    elif kind == "lights":  # discs of lamps far out of focus
        behind = np.broadcast_to(first * 0.25 * bright, (*row.shape, 3)).copy()
        for _ in range(int(generator.integers(12, 60))):
            x, y, radius = generator.uniform(0, PICTURE), generator.uniform(0, PICTURE), generator.uniform(4, 26)
            disc = np.clip(radius - np.hypot(column - x, row - y), 0, 1)[..., None]
            behind += disc * _colour(generator) * generator.uniform(0.2, 2.0)
    else:
        warped = _value_noise(angle * 3 + 2 * grain[..., 0], slope * 5, seed)[..., None]
        behind = (first + np.clip(slope + 0.5, 0, 1)[..., None] * (second - first)) * (0.6 + 0.8 * warped) * bright
    if generator.random() < 0.8:
        behind = _ground(behind, rays, view, light, min(floor, -0.25), lamps, generator)
    return np.ascontiguousarray(behind, dtype=np.float32), kind


def _ground(
    behind: Float[np.ndarray, "height width 3"],
    rays: Float64[np.ndarray, "3 height width"],
    view: View,
    light: Light,
    floor: float,
    lamps: list[LampView],
    generator: np.random.Generator,
) -> Float[np.ndarray, "height width 3"]:
    """A floor of stones or of noise, with the shadows that the key lamp throws."""
    sinking = -np.tensordot(view.up, rays, axes=1)
    depth = -floor / np.maximum(sinking, 1e-3)
    place = rays * depth
    across, along = (np.tensordot(view.world_to_camera[:, axis], place, axes=1) for axis in (0, 2))
    seed, size = int(generator.integers(2**31)), np.exp(generator.uniform(np.log(0.15), np.log(1.5)))
    noise = _value_noise(across * 6, along * 6, seed, 5)[..., None]
    first, second = _colour(generator), _colour(generator)
    if generator.random() < 0.5:
        stone = _hash(np.floor(across / size).astype(np.int64), np.floor(along / size).astype(np.int64), seed)[..., None]
        noise = 0.5 * noise + 0.5 * stone
    albedo = first + noise * (second - first)
    free = np.ones(depth.shape)
    for lamp in lamps:
        flat = np.tensordot(lamp.axes[:, :3].astype(np.float64), place, axes=1) + lamp.axes[:, 3, None, None]
        side = len(lamp.nearness)
        x, y = (np.clip(np.round(part), -1, side).astype(np.int64) for part in flat)
        inside = (x >= 0) & (y >= 0) & (x < side) & (y < side)
        shadow = inside & (lamp.nearness[y.clip(0, side - 1), x.clip(0, side - 1)] > -1e5)
        free[shadow] = 0.15
    facing = max(float(light.direction @ view.up), 0.0)
    shown = albedo * (light.sky + light.lamp * facing * free[..., None])
    clear = np.exp(-depth / np.exp(generator.uniform(np.log(8), np.log(300))))[..., None]
    return np.where((sinking > 1e-3)[..., None], shown * clear + behind * (1 - clear), behind)
