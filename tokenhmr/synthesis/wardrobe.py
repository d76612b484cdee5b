"""What people wear: clothes, shoes, hair and skin painted over a body, always clothed.

A garment is a signed distance at each vertex, metres, positive where it covers; between vertices it is interpolated, so
hems are sharp. Distances are taken on the mean shape in T-pose and hold for every shape and pose of the open body.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64

from tokenhmr.body import Body
from tokenhmr.skeleton import SMPL_JOINTS, SURFACE_JOINTS
from tokenhmr.synthesis.fabrics import TEXELS, Colour, dye, hair_colour, skin_colour, weave

LAYERS = ("legs", "top", "jacket", "shoes", "gloves", "hair")
BARE = -1.0  # metres: covers nothing


@dataclass(frozen=True, kw_only=True)
class Tailor:
    """Measures of the body at rest that garments are cut by; metres, one value for each vertex."""

    across: Float32[np.ndarray, " vertex"]  # distance from the middle plane
    height: Float32[np.ndarray, " vertex"]  # y
    front: Float32[np.ndarray, " vertex"]  # z
    neck: Float32[np.ndarray, " vertex"]  # distance from the middle of the neck
    sleeve: Float32[np.ndarray, " vertex"]  # 0 at the shoulder, 1 at the wrist
    head: Float32[np.ndarray, " vertex"]  # how much skinning gives to the head
    hand: Float32[np.ndarray, " vertex"]
    uv: Float32[np.ndarray, "vertex 2"]  # around and along each part
    face: Int64[np.ndarray, " vertex"]  # row of a complexion: skin, lip, brow, white of the eye, iris
    wrinkles: Float32[np.ndarray, "field vertex"]  # about one
    joints: dict[str, Float32[np.ndarray, " 3"]]  # where joints are at rest


@dataclass(frozen=True, kw_only=True)
class Look:
    """One person's clothes and colours."""

    covers: Float32[np.ndarray, "vertex 6"]  # signed distance of each of LAYERS
    thick: Float32[np.ndarray, " vertex"]  # how far cloth and hair stand off the skin
    tint: Float32[np.ndarray, "vertex 3"]  # of the skin
    textures: Float32[np.ndarray, "material texel texel 3"]  # skin, then LAYERS; linear
    gloss: Float32[np.ndarray, " material"]
    outfit: str


def measure(body: Body) -> Tailor:
    """Take the measures of a body."""
    rest = body.rest_vertices.numpy()
    skinning = body.skinning.numpy()
    joints = {name: body.rest_joints[row].numpy() for row, name in enumerate(SMPL_JOINTS)}
    surface = {name: rest[row] for name, row in zip(SURFACE_JOINTS, body.surface_vertices.tolist(), strict=True)}
    across = np.abs(rest[:, 0])
    shoulder, wrist = joints["left_shoulder"][0], joints["left_wrist"][0]
    rows = {name: row for row, name in enumerate(SMPL_JOINTS)}
    hand = skinning[[rows[f"{side}_{part}"] for side in ("left", "right") for part in ("wrist", "hand")]].sum(axis=0)
    measures = {
        "across": across,
        "height": rest[:, 1],
        "front": rest[:, 2],
        "neck": np.linalg.norm((rest - joints["neck"]) * [1, 1.15, 1], axis=1),
        "sleeve": (across - shoulder) / (wrist - shoulder),
        "head": skinning[rows["head"]],
        "hand": hand,
        "uv": _unroll(rest, skinning, joints),
        "wrinkles": _wrinkles(rest),
    }
    arrays = {name: np.ascontiguousarray(value, dtype=np.float32) for name, value in measures.items()}
    return Tailor(**arrays, face=_face(rest, surface), joints=joints)


def _unroll(rest: np.ndarray, skinning: np.ndarray, joints: dict[str, np.ndarray]) -> np.ndarray:
    """Cloth coordinates: around each part (folded, so that no seam shows) and along it, metres."""
    part = np.array([_part(name) for name in SMPL_JOINTS])[skinning.argmax(axis=0)]
    leg, arm = joints["left_knee"], joints["left_elbow"]
    trunk = 0.13 * np.arctan2(np.abs(rest[:, 0]), rest[:, 2] - 0.03)
    thigh = 0.08 * np.arctan2(np.abs(rest[:, 0]) - leg[0], rest[:, 2] - leg[2])
    upper = 0.05 * np.arctan2(np.abs(rest[:, 1] - arm[1]), rest[:, 2] - arm[2])
    around = np.select([part == "leg", part == "arm"], [np.abs(thigh), upper], trunk)
    along = np.where(part == "arm", np.abs(rest[:, 0]), rest[:, 1])
    return np.stack([around, along], axis=1)


def _part(joint: str) -> str:
    if any(word in joint for word in ("knee", "ankle", "foot")) or joint.endswith("hip"):
        return "leg"
    return "arm" if any(word in joint for word in ("shoulder", "elbow", "wrist", "hand")) else "trunk"


def _face(rest: np.ndarray, surface: dict[str, np.ndarray]) -> np.ndarray:
    """What of a face each vertex shows: 0 skin, 1 lip, 2 brow, 3 white of the eye, 4 iris."""
    marks = np.zeros(len(rest), dtype=np.int64)
    mouth = surface["nose"] + [0.0, -0.042, -0.015]
    marks[np.linalg.norm((rest - mouth) * [1.0, 2.4, 0.7], axis=1) < 0.025] = 1
    for side in ("left", "right"):
        eye = surface[f"{side}_eye"]
        brow = eye + np.array([0.004 * np.sign(eye[0]), 0.021, 0.004])
        marks[np.linalg.norm((rest - brow) * [1.0, 3.2, 0.8], axis=1) < 0.021] = 2
        marks[np.linalg.norm((rest - eye) * [1.0, 1.7, 1.0], axis=1) < 0.016] = 3
        marks[np.linalg.norm(rest - eye, axis=1) < 0.0065] = 4
    return marks


def dress(tailor: Tailor, generator: np.random.Generator) -> Look:
    """A random person: everything that a person may wear is drawn anew."""
    outfit = str(generator.choice(("casual", "sports", "suit", "dress", "coat"), p=(0.5, 0.17, 0.13, 0.1, 0.1)))
    covers = np.full((len(tailor.height), len(LAYERS)), BARE, dtype=np.float32)
    loose = generator.uniform(0.002, 0.02, size=len(LAYERS)) * (0.3 if outfit == "sports" else 1.0)
    covers[:, 0] = _legs(tailor, outfit, generator)
    covers[:, 1] = _top(tailor, outfit, generator)
    if outfit in ("suit", "coat") or (outfit == "casual" and generator.random() < 0.25):
        covers[:, 2] = _jacket(tailor, outfit, generator)
        loose[2] += 0.01
    if generator.random() < 0.9:
        covers[:, 3] = _shoes(tailor, generator)
        loose[3] = generator.uniform(0.004, 0.014)
    if generator.random() < 0.05:
        covers[:, 4] = 0.12 * (tailor.hand - 0.5)
    covers[:, 5], loose[5] = _hair(tailor, generator)
    thick = (loose * np.clip(covers / 0.025, 0, 1)).max(axis=1)
    textures, gloss = _colours(outfit, covers.max(axis=0) > 0, generator)
    return Look(
        covers=covers,
        thick=thick.astype(np.float32) * tailor.wrinkles[generator.integers(len(tailor.wrinkles))],
        tint=_complexion(tailor, generator),
        textures=textures,
        gloss=gloss,
        outfit=outfit,
    )


def _legs(tailor: Tailor, outfit: str, generator: np.random.Generator) -> np.ndarray:
    ankle, knee, hip = (tailor.joints[f"left_{name}"][1] for name in ("ankle", "knee", "hip"))
    kind = generator.random()
    if outfit in ("suit", "coat") or kind < 0.62:
        cuff = ankle + generator.uniform(-0.02, 0.06)
    elif kind < 0.9:
        cuff = generator.uniform(knee - 0.1, hip - 0.14)
    else:
        cuff = generator.uniform(ankle + 0.05, knee)
    waist = generator.uniform(0.04, 0.14) + 0.1 * (tailor.front - 0.05)
    return np.minimum(tailor.height - cuff, waist - tailor.height) - 10 * (tailor.sleeve > 0.25)


def _top(tailor: Tailor, outfit: str, generator: np.random.Generator) -> np.ndarray:
    arm = 0.5  # metres from shoulder to wrist
    kind = generator.random()
    if outfit == "suit" or kind < 0.4:
        length = generator.uniform(0.9, 1.02)
    elif kind < 0.85:
        length = generator.uniform(0.22, 0.55)
    else:
        length = generator.uniform(-0.12, 0.02)
    hem = generator.uniform(-0.12, 0.07)
    if outfit == "dress":
        hem = generator.uniform(tailor.joints["left_knee"][1] - 0.1, -0.22)
    elif outfit == "sports" and generator.random() < 0.2:
        hem = generator.uniform(0.15, 0.28)
    neck = generator.uniform(0.055, 0.12)
    # A collar cut lower in front than at the back.
    collar = tailor.neck - neck - generator.uniform(0.0, 0.5) * np.clip(tailor.front - 0.06, 0, 0.06)
    below = tailor.joints["neck"][1] + 0.03 - tailor.height
    face = 0.1 * (0.25 - tailor.head)
    return np.minimum.reduce([tailor.height - hem, arm * (length - tailor.sleeve), collar, below, face])


def _jacket(tailor: Tailor, outfit: str, generator: np.random.Generator) -> np.ndarray:
    hem = generator.uniform(-0.6, -0.2) if outfit == "coat" else generator.uniform(-0.17, 0.02)
    length = generator.uniform(0.85, 1.03)
    opening = BARE if generator.random() < 0.35 else generator.uniform(0.005, 0.06)
    # An opening that widens upwards, as lapels do.
    gap = opening + generator.uniform(0, 0.25) * np.clip(tailor.height - 0.15, 0, 1)
    closed = np.where(tailor.front > 0.03, tailor.across - gap, 1.0)
    collar = tailor.neck - generator.uniform(0.045, 0.08)
    below = tailor.joints["neck"][1] + 0.05 - tailor.height
    face = 0.1 * (0.25 - tailor.head)
    return np.minimum.reduce([tailor.height - hem, 0.5 * (length - tailor.sleeve), collar, closed, below, face])


def _shoes(tailor: Tailor, generator: np.random.Generator) -> np.ndarray:
    ankle = tailor.joints["left_ankle"][1]
    top = ankle + (generator.uniform(0.06, 0.3) if generator.random() < 0.15 else generator.uniform(-0.045, 0.05))
    return top - tailor.height


def _hair(tailor: Tailor, generator: np.random.Generator) -> tuple[np.ndarray, float]:
    """The cap of the scalp, longer hair over neck and shoulders, or none; a hat is hair of another colour."""
    kind = generator.random()
    if kind < 0.07:
        return np.full_like(tailor.height, BARE), 0.0
    skull = tailor.joints["head"][1]
    # A plane from the forehead down to the nape.
    line = (tailor.height - skull) - generator.uniform(0.5, 0.8) * (tailor.front - tailor.joints["head"][2])
    cap = line - generator.uniform(0.005, 0.03)
    cap = np.where(tailor.head > 0.4, cap, BARE)
    if kind > 0.62:
        end = generator.uniform(tailor.joints["neck"][1] - 0.22, tailor.joints["neck"][1])
        behind = tailor.joints["neck"][2] - 0.012 - tailor.front
        fall = np.minimum.reduce([tailor.height - end, behind, generator.uniform(0.07, 0.12) - tailor.across])
        cap = np.maximum(cap, fall)
    return cap, float(generator.uniform(0.004, 0.035))


def _wrinkles(rest: np.ndarray) -> np.ndarray:
    """Loose cloth stands off here and lies on there: some fields of waves of a hand's breadth, about one."""
    generator = np.random.default_rng(0)
    fields = []
    for _ in range(48):
        waves = rest @ generator.normal(0, 50, size=(3, 5)) + generator.uniform(0, 2 * np.pi, size=5)
        fields.append(np.clip(1 + 0.35 * np.sin(waves).sum(axis=1), 0.1, 2.5))
    return np.stack(fields).astype(np.float32)


def _complexion(tailor: Tailor, generator: np.random.Generator) -> np.ndarray:
    """What distinguishes eyes, brows and lips from the skin around them; a factor on its colour."""
    lip, brow = generator.uniform([0.75, 0.45, 0.45], [1.0, 0.7, 0.7]), np.full(3, generator.uniform(0.15, 0.6))
    white, iris = np.full(3, generator.uniform(0.35, 0.8)), np.full(3, generator.uniform(0.04, 0.2))
    return np.stack([np.ones(3), lip, brow, white, iris])[tailor.face].astype(np.float32)


def _colours(outfit: str, worn: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    skin = skin_colour(generator)
    dyes: list[Colour] = [_unlike(skin, generator) for _ in LAYERS]
    if outfit == "suit":
        dyes[2] = dyes[0] = dye(generator) * generator.uniform(0.05, 0.35)
        dyes[1] = dye(generator) ** 0.3
    elif outfit == "dress":  # over bare legs or stockings
        dyes[0] = skin if generator.random() < 0.6 else dyes[0]
    elif generator.random() < 0.06:
        dyes[0] = dyes[1]
    hat = generator.random() < 0.12
    dyes[5] = dye(generator) if hat else hair_colour(generator)
    plain = {"shoes", "gloves", "hair"}
    textures = np.zeros((1 + len(LAYERS), TEXELS, TEXELS, 3), dtype=np.float32)
    textures[0] = weave(skin, generator, plain=True, contrast=0.06)
    for layer in np.flatnonzero(worn):
        textures[1 + layer] = weave(dyes[layer], generator, plain=LAYERS[layer] in plain or outfit == "suit")
    gloss = generator.uniform([0.02, 0, 0, 0, 0, 0, 0], [0.12, 0.05, 0.05, 0.08, 0.2, 0.1, 0.15]).astype(np.float32)
    return textures, gloss


def _unlike(skin: Colour, generator: np.random.Generator) -> Colour:
    """A dye that nobody takes for skin."""
    colour = dye(generator)
    while np.abs(np.sqrt(colour) - np.sqrt(skin)).max() < 0.15:
        colour = dye(generator)
    return colour
