"""What the demo leaves behind of everyone: people.npz, meshes, pictures. Every file says its units, body and licences."""

from __future__ import annotations

import math
import os
import struct
import uuid
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Float, Float32, Integer, Shaped, UInt8

from tokenhmr import __version__
from tokenhmr.demo.pictures import MOST_PIXELS
from tokenhmr.demo.scene import Frame, People, Posed, Scene, project
from tokenhmr.render import overlay, side_view
from tokenhmr.render.picture import COLOURS, PAPER
from tokenhmr.rotations import matrix_to_axis_angle
from tokenhmr.skeleton import JOINTS44, SMPL_JOINTS

UNITS = "metres, radians, pixels"
AXES = "camera space: x right, y down, z forward"
LONGEST_SIDE_VIEW = 1024  # pixels
ROW_SPACING = 1.2  # metres between people in the side view

# What each array of people.npz holds; the file carries these lines itself. Sizes: n people (in a clip: one row for each person
# and frame), k frames, v vertices, f triangles, s shape directions of the body.
FIELDS = {
    "frame": ("n", "the frame, from 0"),
    "time": ("n", "seconds since the first frame"),
    "track": ("n", "the person: the same number in every frame of a clip"),
    "filled": ("n", "true where the person was not seen and stands between two frames that saw him"),
    "poses": ("n 24 3", "rotations of joint_24_names as radians times unit axis; the first turns the body into camera axes"),
    "global_orient": ("n 3 3", "the first of these rotations as a matrix"),
    "body_pose": ("n 23 3 3", "the others, each relative to its parent joint"),
    "betas": ("n s", "shape coefficients of the body named in 'body'; they mean nothing for another body"),
    "crop_camera": ("n 3", "scale, tx, ty of the square crop, as the model said it"),
    "translation": ("n 3", "metres; body(poses, betas) + translation stands in camera space"),
    "focal": ("n", "pixels, along x"),
    "vertices": ("n v 3", "metres, camera space, translation included (pictures only)"),
    "faces": ("f 3", "vertices of each triangle, counter-clockwise from outside"),
    "joints_44": ("n 44 3", "metres, camera space, translation included; joint_44_names"),
    "joints_24": ("n 24 3", "the same for the SMPL joints; joint_24_names"),
    "joints_44_2d": ("n 44 2", "pixels of the upright picture, also for joints that are hidden or outside"),
    "joints_24_2d": ("n 24 2", "the same for the SMPL joints"),
    "box": ("n 4", "left, top, right, bottom, pixels"),
    "score": ("n", "of the box, comparable within one source only"),
    "frame_time": ("k", "seconds since the first frame"),
    "frame_size": ("k 2", "width and height, pixels"),
    "camera_matrix": ("k 3 3", "K: pixel ~ K (R x + t)"),
    "camera_rotation": ("k 3 3", "R, world to camera; the identity where no camera file said more"),
    "camera_translation": ("k 3", "t, metres"),
}
SOURCE = (
    "where boxes come from: file, keypoints (a file of joints), the detector's name, full (the whole picture: nobody was "
    "detected), none (nobody)"
)


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Write beside the target, then rename: nobody ever reads half a file."""
    temporary = path.with_name(f".{uuid.uuid4().hex}{path.suffix}")
    try:
        write(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def people_arrays(people: People, scene: Scene) -> dict[str, Shaped[np.ndarray, "..."]]:
    """The arrays of ``FIELDS``; a clip's meshes would not fit into memory and are left out."""
    cameras = [frame.camera for frame in scene.frames]
    times = np.array([frame.time for frame in scene.frames], dtype=np.float64)
    arrays: dict[str, Any] = {
        "frame": people.frame,
        "time": times[people.frame],
        "track": people.track,
        "filled": people.filled,
        "poses": matrix_to_axis_angle(torch.from_numpy(people.rotations)).numpy(),
        "global_orient": people.rotations[:, 0],
        "body_pose": people.rotations[:, 1:],
        "betas": people.betas,
        "crop_camera": people.crop_camera,
        "translation": people.translation,
        "focal": np.array([camera.focal[0] for camera in cameras], dtype=np.float32)[people.frame],
        "faces": scene.body.faces.cpu().numpy().astype(np.int32),
        "box": people.box,
        "score": people.score,
        "frame_time": times,
        "frame_size": np.array([frame.size for frame in scene.frames], dtype=np.int64),
        "camera_matrix": np.stack([camera.matrix for camera in cameras]),
        "camera_rotation": np.stack([camera.rotation for camera in cameras]),
        "camera_translation": np.stack([camera.translation for camera in cameras]),
    }
    return arrays | _joint_arrays(people, scene)


def _joint_arrays(people: People, scene: Scene) -> dict[str, Float32[np.ndarray, "..."]]:
    names = ["joints_44", "joints_24", "joints_44_2d", "joints_24_2d", *([] if scene.moves else ["vertices"])]
    columns: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for frame, _, posed in scene.frame_by_frame(people):
        found = {"joints_44": posed.joints, "joints_24": posed.skeleton, "vertices": posed.vertices}
        found["joints_44_2d"] = project(posed.joints, frame.camera)
        found["joints_24_2d"] = project(posed.skeleton, frame.camera)
        for name in names:
            columns[name].append(found[name])
    return {name: np.concatenate(column) for name, column in columns.items()}


def write_npz(people: People, scene: Scene, folder: Path) -> None:
    """Write people.npz: arrays of ``FIELDS``, joint names, units, axes, body, weights, licences; no pickle."""
    arrays = people_arrays(people, scene)
    known = [f"{name} ({', '.join(FIELDS[name][0].split())}): {FIELDS[name][1]}" for name in FIELDS if name in arrays]
    frame = scene.frames[0]
    words = {
        "source": " ".join(sorted({frame.boxes for frame in scene.frames} - {"none"})) or "none",
        "picture": scene.name, "units": UNITS, "axes": AXES, "tokenhmr": __version__,
        "camera_source": " ".join(sorted({frame.camera.source for frame in scene.frames})),
        "fields": "\n".join([*known, f"source: {SOURCE}"]), **scene.about,
    }  # fmt: skip
    names = {"joint_24_names": np.array(SMPL_JOINTS), "joint_44_names": np.array(JOINTS44)}
    everything: dict[str, Any] = {**arrays, **names, "picture_size": np.array(frame.size)}
    everything |= {key: np.array(word) for key, word in words.items()}
    replace_file(folder / "people.npz", lambda temporary: np.savez_compressed(temporary, **everything))


def write_meshes(people: People, scene: Scene, folder: Path) -> None:
    """Write person_0.obj, person_1.obj, ... of a picture."""
    faces = scene.body.faces.cpu().numpy()
    for number, body in enumerate(scene.posed(people).vertices):
        remarks = [f"person {number} of {scene.name}", f"{UNITS}; {AXES}"]
        remarks += [f"{key}: {word}" for key, word in scene.about.items()]
        write_obj(folder / f"person_{number}.obj", body, faces, remarks=remarks)


def write_obj(
    path: Path, vertices: Float[np.ndarray, "vertex 3"], faces: Integer[np.ndarray, "face 3"], *, remarks: Sequence[str] = ()
) -> None:
    """Write a mesh as Wavefront OBJ; ``remarks`` become comments at its head."""
    head = "".join(f"# {line}\n" for remark in remarks for line in remark.splitlines())
    corners = "".join(f"v {x:.5f} {y:.5f} {z:.5f}\n" for x, y, z in vertices.tolist())
    triangles = "".join(f"f {a} {b} {c}\n" for a, b, c in (faces + 1).tolist())  # OBJ counts from one
    replace_file(path, lambda temporary: temporary.write_text(head + corners + triangles, encoding="utf-8"))


def draw_people(
    image: UInt8[np.ndarray, "height width 3"],
    posed: Posed,
    people: People,
    scene: Scene,
    frame: Frame,
) -> UInt8[np.ndarray, "height width 3"]:
    """The picture with bodies over it, the nearer hiding the farther; a track keeps its colour. It may be a smaller copy."""
    camera = frame.camera.zoomed(image.shape[1] / frame.size[0])
    across, down = camera.focal
    # The renderer knows one focal length: pixels that are not square make bodies taller or flatter instead.
    squeeze = np.array([1, down / across, 1], dtype=np.float32)
    colours = [COLOURS[track % len(COLOURS)] for track in people.track]
    faces, bodies = scene.body.faces.cpu().numpy(), list(posed.vertices * squeeze)
    return overlay(image, bodies, faces, focal=across, center=camera.center, colours=colours, backend=scene.renderer)


def blank(size: tuple[int, int]) -> UInt8[np.ndarray, "height width 3"]:
    """Paper of the size of a picture that may not be shown; smaller than a huge one."""
    shrink = min(1.0, math.sqrt(MOST_PIXELS / (size[0] * size[1])))
    return np.full((max(1, round(size[1] * shrink)), max(1, round(size[0] * shrink)), 3), PAPER, dtype=np.uint8)


def write_overlay(people: People, scene: Scene, folder: Path) -> None:
    """Write overlay.png of a picture with people; of one that may not be shown, the bodies on paper."""
    if not len(people):
        return
    frame = scene.frames[0]
    image = blank(frame.size) if scene.pictures is None else next(iter(scene.pictures()))
    drawn = draw_people(image, scene.posed(people), people, scene, frame)
    write_png(folder / "overlay.png", drawn, words=scene.about)


def write_side(people: People, scene: Scene, folder: Path) -> None:
    """Write side.png of a picture with people."""
    if not len(people):
        return
    width, height = scene.frames[0].size
    shrink = min(1.0, LONGEST_SIDE_VIEW / max(width, height))
    wide, high = max(1, round(width * shrink)), max(1, round(height * shrink))
    bodies = _in_a_row(scene.posed(people).vertices, people.translation)
    side = side_view(bodies, scene.body.faces.cpu().numpy(), width=wide, height=high, backend=scene.renderer)
    write_png(folder / "side.png", side, words=scene.about)


def _in_a_row(
    vertices: Float32[np.ndarray, "row vertex 3"], translation: Float32[np.ndarray, "row 3"]
) -> list[Float32[np.ndarray, "vertex 3"]]:
    """Bodies one behind the other, evenly: real depths are metres apart and would leave specks in a side view."""
    ranks = np.argsort(np.argsort(translation[:, 2], kind="stable"), kind="stable")
    steps = np.array([0, 0, ROW_SPACING], dtype=np.float32) * ranks[:, None].astype(np.float32)
    return list(vertices - translation[:, None] + steps[:, None])


def write_png(path: Path, image: UInt8[np.ndarray, "height width 3"], *, words: Mapping[str, str] | None = None) -> None:
    """Write an RGB picture as PNG; ``words`` travel inside as international text (PNG specification, section 11.3.3.4)."""
    done, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    if not done:
        raise OSError(f"{path}: this picture does not go into a PNG")
    png = data.tobytes()
    head = 8 + 25  # signature, IHDR
    texts = b"".join(_text_chunk(key, word) for key, word in (words or {}).items())
    replace_file(path, lambda temporary: temporary.write_bytes(png[:head] + texts + png[head:]))


def _text_chunk(key: str, word: str) -> bytes:
    kind_and_body = b"iTXt" + key.encode("latin-1", "replace")[:79] + b"\0\0\0\0\0" + word.encode()
    return struct.pack(">I", len(kind_and_body) - 4) + kind_and_body + struct.pack(">I", zlib.crc32(kind_and_body))
