"""viewer.html: picture and bodies side by side, in one file that opens from disk and asks nothing of any network.

The page is assets/viewer; it draws by WebGL 2 and skins the bodies itself. Bodies travel as one shape a person, and a
rotation for each joint in each frame, so that a frame costs some 400 bytes a person before compression; pictures travel as
WebP of a size that keeps 300 frames below 5 MB.
"""

from __future__ import annotations

import base64
import html
import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np
from jaxtyping import Float32, Shaped, UInt8

from tokenhmr.demo.export import replace_file
from tokenhmr.demo.gltf import strongest
from tokenhmr.demo.motion import motions, quaternions, rest_joints, rest_vertices
from tokenhmr.demo.scene import People, Scene
from tokenhmr.render.picture import COLOURS
from tokenhmr.resources import asset_folder
from tokenhmr.skeleton import SMPL_JOINTS, SMPL_PARENTS

# Base64 makes four bytes of three: 300 pictures of 10,400 bytes are 4.2 MB of page, which leaves 0.8 MB for the bodies.
CLIP_PICTURE = 10_400  # bytes
STILL_PICTURE = 400_000
LONGEST = {True: 640, False: 1600}  # pixels of the longer side in a clip, in a picture
QUALITIES = (80, 65, 50, 35)  # of WebP, tried in this order before the picture is shrunk

PROGRAM = ("body.js", "draw.js", "main.js", "start.js")


class _Arrays:
    """Numbers behind one another, as the page reads them: (type, byte offset, count)."""

    def __init__(self) -> None:
        self.binary = bytearray()

    def put(self, values: Shaped[np.ndarray, "..."]) -> tuple[str, int, int]:
        self.binary += bytes(-len(self.binary) % 4)
        place = (values.dtype.name, len(self.binary), values.size)
        self.binary += np.ascontiguousarray(values).tobytes()
        return place

    def packed(self) -> str:
        return base64.b64encode(zlib.compress(bytes(self.binary), 9)).decode("ascii")


def write_viewer(people: People, scene: Scene, folder: Path) -> None:
    """Write viewer.html of a picture or clip; without the picture where it may not be shown."""
    write_page(people, scene, folder / "viewer.html")


def write_page(
    people: People,
    scene: Scene,
    path: Path,
    *,
    confidence: Float32[np.ndarray, "row 24"] | None = None,  # in [0, 1], calibrated, one for each joint
) -> None:
    """Write the page; pictures go through one by one, so that memory does not grow with a clip."""
    arrays = _Arrays()
    described = json.dumps(_describe(people, scene, arrays, confidence), separators=(",", ":"), allow_nan=False)
    source = asset_folder() / "viewer"
    program = "\n".join((source / name).read_text(encoding="utf-8") for name in PROGRAM)
    parts: dict[str, str | Callable[[IO[str]], None]] = {
        "title": html.escape(scene.name),
        "style": (source / "style.css").read_text(encoding="utf-8"),
        "scene": described.replace("<", "\\u003c"),  # nothing in a name may end the script element
        "arrays": arrays.packed(),
        "pictures": lambda file: _write_pictures(file, scene),
        "program": program,
    }

    def write(temporary: Path) -> None:
        with temporary.open("w", encoding="utf-8") as file:
            for number, piece in enumerate((source / "page.html").read_text(encoding="utf-8").split("{{")):
                name, _, text = piece.rpartition("}}") if number else ("", "", piece)
                part = parts[name] if number else ""
                file.write(part) if isinstance(part, str) else part(file)
                file.write(text)

    replace_file(path, write)


def _describe(
    people: People, scene: Scene, arrays: _Arrays, confidence: Float32[np.ndarray, "row 24"] | None
) -> dict[str, Any]:
    """All that is no pixel, as JSON; long rows of numbers go into ``arrays``."""
    faces = scene.body.faces.cpu().numpy()
    joints, weights = strongest(scene.body.skinning.cpu().numpy().T)
    return {
        "name": scene.name,
        "about": {**scene.about, "axes": "camera space: x right, y down, z forward; metres"},
        "joints": SMPL_JOINTS,
        "parents": SMPL_PARENTS,
        "frames": [
            {
                "time": frame.time,
                "name": frame.name,
                "size": frame.size,
                "camera": {"focal": frame.camera.focal, "center": frame.camera.center},
            }
            for frame in scene.frames
        ],
        "vertexCount": scene.body.vertex_count,
        "faces": arrays.put(faces.astype(np.uint16 if scene.body.vertex_count <= 2**16 else np.uint32)),
        "slots": arrays.put(joints),
        "weights": arrays.put(_in_16_bits(weights)),
        "people": [_person(people, number, scene, arrays, confidence) for number in np.unique(people.track).tolist()],
        "floor": _floor(people, scene),
    }


def _person(
    people: People, number: int, scene: Scene, arrays: _Arrays, confidence: Float32[np.ndarray, "row 24"] | None
) -> dict[str, Any]:
    rows = people.track == number
    mine = people.rows(rows)
    betas = mine.betas.mean(axis=0, dtype=np.float64)
    surface = rest_vertices(scene.body, betas)
    low, span = surface.min(axis=0), np.ptp(surface, axis=0)
    turns = quaternions(mine.rotations.astype(np.float64)).reshape(len(mine), -1)
    described: dict[str, Any] = {
        "name": f"person_{number}",
        "colour": COLOURS[number % len(COLOURS)],
        "rows": mine.frame.tolist(),
        "vertices": arrays.put(_in_16_bits((surface - low) / span)),
        "low": low.tolist(),
        "span": span.tolist(),
        "joints": arrays.put(rest_joints(scene.body, betas).astype(np.float32)),
        "poses": arrays.put(np.concatenate([turns, mine.translation], axis=1).astype(np.float32)),
    }
    if confidence is not None:
        described["confidence"] = arrays.put(confidence[rows])
    return described


def _in_16_bits(shares: Shaped[np.ndarray, "*any"]) -> Shaped[np.ndarray, "*any"]:
    """Numbers in [0, 1] to 65,535 steps: of a body two metres tall, 0.03 mm."""
    return np.round(shares * 65535).astype(np.uint16)


def _floor(people: People, scene: Scene) -> float:
    """How far below the camera the lowest ankle ever is, and a hand's breadth more; metres."""
    feet = [SMPL_JOINTS.index(name) for name in ("left_foot", "right_foot")]
    lowest = [1.0]
    for motion in motions(people, scene, np.eye(3)):
        lowest.append(_lowest(motion.rotations, motion.pelvis, rest_joints(scene.body, motion.betas), feet))
    return max(lowest[1:], default=lowest[0]) + 0.05


def _lowest(rotations: np.ndarray, pelvis: np.ndarray, rest: np.ndarray, joints: list[int]) -> float:
    turns, places = [rotations[:, 0]], [pelvis]
    for joint in range(1, len(SMPL_PARENTS)):
        parent = SMPL_PARENTS[joint]
        places.append(places[parent] + turns[parent] @ (rest[joint] - rest[parent]))
        turns.append(turns[parent] @ rotations[:, joint])
    return float(max(places[joint][:, 1].max() for joint in joints))


def _write_pictures(file: IO[str], scene: Scene) -> None:
    if scene.pictures is None:
        return
    for data in small_pictures(
        scene.pictures(), most=CLIP_PICTURE if scene.moves else STILL_PICTURE, longest=LONGEST[scene.moves]
    ):
        file.write(base64.b64encode(data).decode("ascii") + "\n")


def small_pictures(pictures: Iterator[UInt8[np.ndarray, "height width 3"]], *, most: int, longest: int) -> Iterator[bytes]:
    """RGB pictures as WebP files of at most ``most`` bytes each: first quality goes, then size.

    What one picture needed the next one starts from, a step better.
    """
    start = 0
    for image in pictures:
        height, width = image.shape[:2]
        data, step = b"", max(0, start - 1)
        while True:
            shrink, quality = 0.8 ** (step // len(QUALITIES)), QUALITIES[step % len(QUALITIES)]
            scale = min(1.0, longest * shrink / max(height, width))
            size = max(1, round(width * scale)), max(1, round(height * scale))
            small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
            done, coded = cv2.imencode(".webp", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_WEBP_QUALITY, quality])
            if not done:
                raise OSError(f"a picture of {width}x{height} does not go into WebP")
            data = coded.tobytes()
            if len(data) <= most or max(size) <= 16:
                break
            step += 1
        start = step
        yield data
