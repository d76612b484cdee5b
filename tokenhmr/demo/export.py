"""What the demo leaves behind for a picture: people.npz, a mesh for each person, pictures. Every file says its units."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, Integer, Shaped, UInt8

from tokenhmr import __version__
from tokenhmr.body import Body
from tokenhmr.demo.predictor import Person
from tokenhmr.skeleton import JOINTS44, SMPL_JOINTS

UNITS = "metres, radians, pixels"
AXES = "camera space: x right, y down, z forward; the picture's middle is the optical axis"

# What each array of people.npz holds; the file carries these lines itself. Sizes: n people, v vertices, f triangles, s
# shape directions of the body.
FIELDS = {
    "poses": ("n 24 3", "rotations of joint_24_names as radians times unit axis; the first turns the body into camera axes"),
    "global_orient": ("n 3 3", "the first of these rotations as a matrix"),
    "body_pose": ("n 23 3 3", "the others, each relative to its parent joint"),
    "betas": ("n s", "shape coefficients of the body named in 'body'; they mean nothing for another body"),
    "crop_camera": ("n 3", "scale, tx, ty of the square crop"),
    "translation": ("n 3", "metres; body(poses, betas) + translation stands in camera space"),
    "focal": ("n", "pixels"),
    "vertices": ("n v 3", "metres, camera space, translation included"),
    "faces": ("f 3", "vertices of each triangle, counter-clockwise from outside"),
    "joints_44": ("n 44 3", "metres, camera space, translation included; joint_44_names"),
    "joints_24": ("n 24 3", "the same for the SMPL joints; joint_24_names"),
    "joints_44_2d": ("n 44 2", "pixels of the upright picture, also for joints that are hidden or outside"),
    "joints_24_2d": ("n 24 2", "the same for the SMPL joints"),
    "box": ("n 4", "left, top, right, bottom, pixels"),
    "score": ("n", "of the box, comparable within one source only"),
}
SOURCE = "where the boxes come from: file, hog, full (the whole picture: nobody was detected), none (nobody)"


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Write beside the target, then rename: nobody ever reads half a file."""
    temporary = path.with_name(f".{uuid.uuid4().hex}{path.suffix}")
    try:
        write(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def people_arrays(people: Sequence[Person], body: Body) -> dict[str, Shaped[np.ndarray, "..."]]:
    """The arrays of ``FIELDS``, people stacked; what the model does not give (SMPL parameters of mesh models) is left out."""
    faces = {"faces": body.faces.cpu().numpy().astype(np.int32)}
    if not people:
        sizes = {"n": 0, "v": body.vertex_count, "s": body.shape_count}
        shapes = {name: shape.split() for name, (shape, _) in FIELDS.items() if name not in faces}
        empty = {name: [sizes[word] if word in sizes else int(word) for word in shape] for name, shape in shapes.items()}
        return {name: np.zeros(shape, dtype=np.float32) for name, shape in empty.items()} | faces
    columns: dict[str, list[Any]] = {
        "poses": [person.axis_angle for person in people],
        "global_orient": [person.global_orient for person in people],
        "body_pose": [person.body_pose for person in people],
        "betas": [person.betas for person in people],
        "crop_camera": [person.camera for person in people],
        "translation": [person.translation for person in people],
        "focal": [np.float32(person.focal) for person in people],
        "vertices": [person.vertices for person in people],
        "joints_44": [person.joints for person in people],
        "joints_24": [person.skeleton for person in people],
        "joints_44_2d": [person.joints_2d for person in people],
        "joints_24_2d": [person.skeleton_2d for person in people],
        "box": [person.box for person in people],
        "score": [np.float32(person.score) for person in people],
    }
    arrays = {name: np.stack(column) for name, column in columns.items() if column[0] is not None}
    for name in {"vertices", "joints_44", "joints_24"} & set(arrays):
        arrays[name] = arrays[name] + arrays["translation"][:, None]
    return arrays | faces


def write_people(
    path: Path,
    arrays: Mapping[str, Shaped[np.ndarray, "..."]],
    *,
    source: str,
    picture: str,
    size: tuple[int, int],
    about: Mapping[str, str],
) -> None:
    """Write people.npz: arrays of ``FIELDS``, joint names, units, axes, and ``about`` (body, weights, licences); no pickle.

    ``size`` is width and height of the picture in pixels.
    """
    known = [f"{name} ({', '.join(FIELDS[name][0].split())}): {FIELDS[name][1]}" for name in FIELDS if name in arrays]
    words = {
        "source": source, "picture": picture, "units": UNITS, "axes": AXES, "tokenhmr": __version__,
        "fields": "\n".join([*known, f"source: {SOURCE}"]), **about,
    }  # fmt: skip
    names = {"joint_24_names": np.array(SMPL_JOINTS), "joint_44_names": np.array(JOINTS44)}
    everything: dict[str, Any] = {**arrays, **names, "picture_size": np.array(size)}
    everything |= {key: np.array(word) for key, word in words.items()}
    replace_file(path, lambda temporary: np.savez_compressed(temporary, **everything))


def write_obj(
    path: Path, vertices: Float[np.ndarray, "vertex 3"], faces: Integer[np.ndarray, "face 3"], *, remarks: Sequence[str] = ()
) -> None:
    """Write a mesh as Wavefront OBJ; ``remarks`` become comments at its head."""
    head = "".join(f"# {line}\n" for remark in remarks for line in remark.splitlines())
    corners = "".join(f"v {x:.5f} {y:.5f} {z:.5f}\n" for x, y, z in vertices.tolist())
    triangles = "".join(f"f {a} {b} {c}\n" for a, b, c in (faces + 1).tolist())  # OBJ counts from one
    replace_file(path, lambda temporary: temporary.write_text(head + corners + triangles, encoding="utf-8"))


def write_png(path: Path, image: UInt8[np.ndarray, "height width 3"]) -> None:
    """Write an RGB picture as PNG."""
    done, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    if not done:
        raise OSError(f"{path}: this picture does not go into a PNG")
    replace_file(path, lambda temporary: temporary.write_bytes(data.tobytes()))
