"""people.glb: every person as an animated, skinned mesh (glTF 2.0, binary).

Skinning as in the specification, section 3.7.3: a joint's matrix is its node's global transform times the inverse of where it
was bound; joints are bound in T-pose, y up, facing +z, and their nodes carry no rotation at rest, so that the rest pose is the
T-pose of the body's own shape. Pose correctives of bodies that have them (SMPL) do not exist in glTF and are left out.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Shaped, UInt8

from tokenhmr import __version__
from tokenhmr.body import Body
from tokenhmr.demo.export import replace_file
from tokenhmr.demo.motion import Y_UP, Motion, continuous, motions, quaternions, rest_joints, rest_vertices
from tokenhmr.demo.scene import People, Scene
from tokenhmr.render.picture import COLOURS
from tokenhmr.render.shading import vertex_normals
from tokenhmr.skeleton import SMPL_JOINTS, SMPL_PARENTS

AXES = "x right, y up, z towards the camera, which stands at the origin; metres, seconds"

# Numbers of the specification (sections 3.6.2.2 and 3.6.2.4).
_COMPONENTS = {"uint8": 5121, "uint16": 5123, "uint32": 5125, "float32": 5126}
_TYPES = {(): "SCALAR", (3,): "VEC3", (4,): "VEC4", (4, 4): "MAT4"}
_VERTICES, _INDICES = 34962, 34963  # what a buffer view is for
_MAGIC, _JSON, _BINARY = 0x46546C67, 0x4E4F534A, 0x004E4942

_NEAREST, _FARTHEST = 0.05, 1000.0  # metres, of the camera


class _Builder:
    """The document and its one buffer, growing."""

    def __init__(self) -> None:
        self.document: dict[str, Any] = {}
        self.binary = bytearray()

    def put(self, name: str, entry: dict[str, Any]) -> int:
        """Append to one of the document's lists; the index."""
        entries = self.document.setdefault(name, [])
        entries.append(entry)
        return len(entries) - 1

    def array(self, values: Shaped[np.ndarray, "..."], *, target: int | None = None, limits: bool = False) -> int:
        """An accessor of these numbers, one element a row; the index."""
        values = np.ascontiguousarray(values)
        self.binary += bytes(-len(self.binary) % 4)
        view: dict[str, Any] = {"buffer": 0, "byteOffset": len(self.binary), "byteLength": values.nbytes}
        if target is not None:
            view["target"] = target
        self.binary += values.tobytes()
        accessor: dict[str, Any] = {
            "bufferView": self.put("bufferViews", view),
            "componentType": _COMPONENTS[values.dtype.name],
            "count": len(values),
            "type": _TYPES[values.shape[1:]],
        }
        if limits:
            accessor["min"] = np.atleast_1d(values.min(axis=0)).tolist()
            accessor["max"] = np.atleast_1d(values.max(axis=0)).tolist()
        return self.put("accessors", accessor)

    def whole(self) -> bytes:
        """The file: header, JSON padded with spaces, buffer padded with zeros (section 4.4)."""
        self.binary += bytes(-len(self.binary) % 4)
        self.document["buffers"] = [{"byteLength": len(self.binary)}]
        text = json.dumps(self.document, separators=(",", ":"), allow_nan=False).encode()
        text += b" " * (-len(text) % 4)
        head = struct.pack("<III", _MAGIC, 2, 12 + 8 + len(text) + 8 + len(self.binary))
        parts = (head, struct.pack("<II", len(text), _JSON), text, struct.pack("<II", len(self.binary), _BINARY))
        return b"".join([*parts, self.binary])


def write_glb(people: People, scene: Scene, folder: Path) -> None:
    """Write people.glb: everyone of a picture or clip, and the camera where it stands still.

    A clip's nodes are at rest and its animation moves them; who is not there is shrunk to nothing, as glTF has no other way.
    A picture's nodes are in its pose. Key times are the frames' own, in float32.
    """
    builder = _Builder()
    about = {**scene.about, "axes": AXES, "source": scene.name}
    builder.document |= {
        "asset": {
            "version": "2.0",
            "generator": f"tokenhmr {__version__}",
            "copyright": scene.about.get("licences", ""),
            "extras": about,
        },
        "scene": 0,
        "scenes": [{"name": scene.name, "nodes": []}],
    }
    geometry = _Geometry(builder, scene.body)
    animation = _Animation(builder)
    roots = [node for motion in motions(people, scene, Y_UP) for node in _person(builder, geometry, animation, motion, scene)]
    if animation.channels:  # one for everybody: most viewers play one
        builder.put("animations", {"name": scene.name, "channels": animation.channels, "samplers": animation.samplers})
    camera = _camera(builder, scene)
    builder.document["scenes"][0]["nodes"] = [*roots, *camera]
    if not roots and not camera:
        del builder.document["scenes"][0]["nodes"]  # lists may not be empty
    replace_file(folder / "people.glb", lambda temporary: temporary.write_bytes(builder.whole()))


class _Geometry:
    """What people have in common: triangles, and which joints move each vertex how much."""

    def __init__(self, builder: _Builder, body: Body) -> None:
        self.body = body
        self.faces = body.faces.cpu().numpy()
        skinning = body.skinning.cpu().numpy().T
        small = "uint16" if len(skinning) < 2**16 - 1 else "uint32"
        self.indices = builder.array(self.faces.astype(small).reshape(-1), target=_INDICES)
        self.attributes: dict[str, int] = {}
        joints, weights = strongest(skinning)
        for part in range(joints.shape[1] // 4):
            four = slice(4 * part, 4 * part + 4)
            self.attributes[f"JOINTS_{part}"] = builder.array(joints[:, four], target=_VERTICES)
            self.attributes[f"WEIGHTS_{part}"] = builder.array(weights[:, four], target=_VERTICES)


def strongest(
    skinning: Float[np.ndarray, "vertex joint"],
) -> tuple[UInt8[np.ndarray, "vertex slot"], Float32[np.ndarray, "vertex slot"]]:
    """Joints of each vertex, the strongest first, and their weights: as many slots as are needed, in fours."""
    slots = -(-int((skinning > 0).sum(axis=1).max()) // 4) * 4
    order = np.argsort(-skinning, axis=1, kind="stable")[:, :slots]
    weights = np.take_along_axis(skinning, order, axis=1).astype(np.float32)
    return np.where(weights > 0, order, 0).astype(np.uint8), weights / weights.sum(axis=1, keepdims=True)


def _person(builder: _Builder, geometry: _Geometry, animation: _Animation, motion: Motion, scene: Scene) -> tuple[int, int]:
    """Nodes, mesh, skin and animation of one person; the nodes that belong to the scene: what holds the joints, and the mesh.

    The mesh stands beside its joints, not below them (section 3.7.3.2): only the joints move it, and where they are shrunk
    to nothing no loader has to invert that.
    """
    rest = rest_joints(geometry.body, motion.betas)
    posed = None if scene.moves else motion
    joints = _skeleton(builder, rest, posed)
    surface = rest_vertices(geometry.body, motion.betas).astype(np.float32)
    colour = COLOURS[motion.track % len(COLOURS)]
    material = builder.put(
        "materials",
        {
            "name": motion.name,
            "pbrMetallicRoughness": {
                "baseColorFactor": [*(channel**2.2 for channel in colour), 1.0],  # glTF's colours are linear
                "metallicFactor": 0.0,
                "roughnessFactor": 0.8,
            },
        },
    )
    attributes = {
        "POSITION": builder.array(surface, target=_VERTICES, limits=True),
        "NORMAL": builder.array(vertex_normals(surface, geometry.faces).astype(np.float32), target=_VERTICES),
        **geometry.attributes,
    }
    primitive = {"attributes": attributes, "indices": geometry.indices, "material": material}
    mesh = builder.put("meshes", {"name": motion.name, "primitives": [primitive]})
    bound = np.tile(np.eye(4, dtype=np.float32), (24, 1, 1))
    bound[:, 3, :3] = -rest  # columns first, as glTF stores matrices
    skin = builder.put(
        "skins",
        {"name": motion.name, "joints": joints, "skeleton": joints[0], "inverseBindMatrices": builder.array(bound)},
    )
    skinned = builder.put("nodes", {"name": f"{motion.name}_mesh", "mesh": mesh, "skin": skin})
    root = builder.put("nodes", {"name": motion.name, "children": [joints[0]]})
    if scene.moves:
        _animate(animation, motion, scene, joints, root)
    return root, skinned


def _skeleton(builder: _Builder, rest: Float64[np.ndarray, "24 3"], posed: Motion | None) -> list[int]:
    """A node for each joint, at rest or as in the one frame of ``posed``."""
    first = len(builder.document.get("nodes", []))
    for joint, name in enumerate(SMPL_JOINTS):
        parent = SMPL_PARENTS[joint]
        node: dict[str, Any] = {"name": name, "translation": (rest[joint] - (rest[parent] if parent >= 0 else 0)).tolist()}
        if posed is not None:
            node["rotation"] = quaternions(posed.rotations[0, joint]).tolist()
            if parent < 0:
                node["translation"] = posed.pelvis[0].tolist()
        children = [first + child for child, above in enumerate(SMPL_PARENTS) if above == joint]
        if children:
            node["children"] = children
        builder.put("nodes", node)
    return list(range(first, first + len(SMPL_JOINTS)))


class _Animation:
    """What moves which node how."""

    def __init__(self, builder: _Builder) -> None:
        self.builder = builder
        self.channels: list[dict[str, Any]] = []
        self.samplers: list[dict[str, Any]] = []

    def move(self, node: int, path: str, times: int, values: Float32[np.ndarray, "key _"], *, way: str = "LINEAR") -> None:
        """``times`` is an accessor, so that channels of one person share theirs."""
        self.channels.append({"sampler": len(self.samplers), "target": {"node": node, "path": path}})
        self.samplers.append({"input": times, "output": self.builder.array(values), "interpolation": way})


def _animate(animation: _Animation, motion: Motion, scene: Scene, joints: Sequence[int], root: int) -> None:
    """Rotations of all joints, the way of the pelvis, and whether the person is there."""
    turned = continuous(quaternions(motion.rotations)).astype(np.float32)
    times = animation.builder.array(motion.times.astype(np.float32), limits=True)
    animation.move(joints[0], "translation", times, motion.pelvis.astype(np.float32))
    for row, joint in enumerate(joints):
        animation.move(joint, "rotation", times, turned[:, row])
    there = np.isin(np.arange(len(scene.frames)), motion.frames)
    if not there.all():
        keys = np.flatnonzero(_changes(there))
        at = animation.builder.array(np.array([scene.frames[key].time for key in keys], dtype=np.float32), limits=True)
        shown = np.repeat(there[keys, None].astype(np.float32), 3, axis=1)
        animation.move(root, "scale", at, shown, way="STEP")


def _changes(there: Bool[np.ndarray, " frame"]) -> Bool[np.ndarray, " frame"]:
    """The first frame, and every frame unlike the one before it."""
    return np.concatenate([[True], there[1:] != there[:-1]])


def _camera(builder: _Builder, scene: Scene) -> list[int]:
    """The node of a camera that stands at the origin and looks through the middle of every frame: others cannot be said."""
    frame = scene.frames[0]
    width, height = frame.size
    same = all(
        np.array_equal(other.camera.matrix, frame.camera.matrix)
        and np.array_equal(other.camera.rotation, np.eye(3))
        and not other.camera.translation.any()
        for other in scene.frames
    )
    if not same or np.abs(np.array(frame.camera.center) - (width / 2, height / 2)).max() > 0.5:
        return []
    across, down = frame.camera.focal
    lens = {
        "type": "perspective",
        "perspective": {
            "aspectRatio": width / across * down / height,
            "yfov": 2 * float(np.arctan(height / 2 / down)),
            "znear": _NEAREST,
            "zfar": _FARTHEST,
        },
    }
    return [builder.put("nodes", {"name": "camera", "camera": builder.put("cameras", lens)})]
