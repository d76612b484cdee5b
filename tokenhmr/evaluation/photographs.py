"""People in photographs, marked by hand: 2D joints, which of two joints is nearer to the camera, front or back.

No 3D of these people is known to anybody, so what is measured is what an eye can tell: PCK of a fifth of the torso, the share
of joint pairs whose order in depth is right (as for the annotations of Pons-Moll et al., CVPR 2014, and Ordinal Depth of
Pavlakos et al., CVPR 2018), and how often front and back are confused. ``docs/photographs.md`` says what each field means.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Float64

from tokenhmr.skeleton import JOINTS44, OPENPOSE_JOINTS, mirrored

# A marked joint -> the row of the 44 that stands for it: OpenPose's, but for two that OpenPose has not or has elsewhere.
ROWS = {name: JOINTS44.index(name) for name in OPENPOSE_JOINTS} | {
    "neck": JOINTS44.index("neck_lsp"),
    "head_top": JOINTS44.index("head_top_lsp"),
}
SIDES = ("left", "right")
LIMBS = tuple(f"{side}_{part}" for side in SIDES for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle"))
MARKED = (*LIMBS, "neck", "head_top", "nose", *(f"{side}_{part}" for side in SIDES for part in ("eye", "ear")))
BONES = ({"wrist", "elbow"}, {"elbow", "shoulder"}, {"ankle", "knee"}, {"knee", "hip"})
WHOLE_LIMBS = ({"wrist", "shoulder"}, {"ankle", "hip"})
GROUPS = {"arms": ("shoulder", "elbow", "wrist"), "legs": ("hip", "knee", "ankle")}  # what is in neither is of the head
THRESHOLD = 0.2  # of the torso


@dataclass(frozen=True, kw_only=True)
class MarkedPerson:
    """What an eye could tell of one person. Left and right are the person's own."""

    box: tuple[float, float, float, float]  # left, top, right, bottom, pixels; around what is seen of the person
    joints: Mapping[str, tuple[float, float, int]]  # x, y in pixels of the picture; 2: seen, 1: hidden and yet certain
    torso: float  # pixels: the longest of shoulder to hip, or an estimate where hips are out of sight
    facing: str  # of the trunk: front (chest towards the camera), back, side
    nearer_side: str | None  # whose shoulder and hip are nearer; None where that cannot be told
    nearer: tuple[tuple[str, str], ...]  # (nearer joint, farther joint)
    order_sureness: str  # sure, or fairly

    @property
    def whole(self) -> bool:
        """Is the person in the picture from head to foot (top of the head and both ankles are marked)?"""
        return {"head_top", "left_ankle", "right_ankle"} <= set(self.joints)


@dataclass(frozen=True, kw_only=True)
class Photograph:
    """A picture that is not here: its name, its bytes' SHA-256, and the people in it."""

    file: str
    sha256: str
    size: tuple[int, int]  # width, height, pixels
    source: str
    licence: str
    people: tuple[MarkedPerson, ...]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a model says of one person."""

    joints_2d: Float[np.ndarray, "44 2"]  # pixels of the picture
    joints: Float[np.ndarray, "44 3"]  # metres, camera axes (x right, y down, z forward), any origin


def read_photographs(path: Path) -> list[Photograph]:
    """The file of marks; a ``ValueError`` that names file, picture and reason when it is none."""
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        number, rows = said["format"], said["photographs"]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as reason:
        raise ValueError(f"{path}: no file of marked photographs ({type(reason).__name__}: {reason})") from reason
    if number != 1:
        raise ValueError(f"{path}: format {number} of marked photographs, this package reads 1")
    found = []
    for row in rows:
        where = f"{path}: {row.get('file', 'a photograph without a name')}"
        try:
            people = tuple(_person(person, tuple(row["size"])) for person in row["people"])
            fields = {name: row[name] for name in ("file", "sha256", "source", "licence")}
            found.append(Photograph(**fields, size=tuple(row["size"]), people=people))
        except (KeyError, TypeError) as reason:
            raise ValueError(f"{where}: {type(reason).__name__}: {reason}") from reason
        except ValueError as reason:
            raise ValueError(f"{where}: {reason}") from reason
    return found


def mirror(photograph: Photograph) -> Photograph:
    """The marks of the picture as a mirror shows it: left is right, and x runs the other way."""
    width = photograph.size[0]
    people = tuple(
        replace(
            person,
            box=(width - person.box[2], person.box[1], width - person.box[0], person.box[3]),
            joints={mirrored(name): (width - x, y, seen) for name, (x, y, seen) in person.joints.items()},
            nearer_side=None if person.nearer_side is None else SIDES[1 - SIDES.index(person.nearer_side)],
            nearer=tuple((mirrored(near), mirrored(far)) for near, far in person.nearer),
        )
        for person in photograph.people
    )
    return replace(photograph, people=people)


def check_bytes(photograph: Photograph, path: Path) -> None:
    """Raise ``ValueError`` for a file whose bytes are not those that were marked: the numbers would be of another picture."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != photograph.sha256:
        raise ValueError(
            f"{path}: SHA-256 {digest[:12]}..., the marked picture has {photograph.sha256[:12]}...: this is another picture"
        )


def _person(said: Mapping[str, Any], size: tuple[int, ...]) -> MarkedPerson:
    joints = {name: (float(x), float(y), int(seen)) for name, (x, y, seen) in said["joints"].items()}
    pairs = tuple((str(near), str(far)) for near, far in said["nearer"])
    unknown = [name for name in joints if name not in MARKED] + [name for pair in pairs for name in pair if name not in LIMBS]
    if unknown:
        raise ValueError(f"no joint called {', '.join(unknown)}; there are {', '.join(MARKED)}, in pairs only limbs")
    for name, (x, y, seen) in joints.items():
        if not (0 <= x < size[0] and 0 <= y < size[1]):
            raise ValueError(f"{name} at {x:g}, {y:g} lies outside the picture of {size[0]}x{size[1]} pixels")
        if seen not in (1, 2):
            raise ValueError(f"{name} is marked with {seen}: 2 is seen, 1 hidden and yet certain, others are left out")
    box = tuple(float(number) for number in said["box"])
    if len(box) != 4 or not (0 <= box[0] < box[2] <= size[0] and 0 <= box[1] < box[3] <= size[1]):
        raise ValueError(f"box {list(box)} is no left, top, right, bottom in {size[0]}x{size[1]} pixels")
    for key, words in (
        ("facing", ("front", "back", "side")),
        ("nearer_side", ("left", "right", None)),
        ("order_sureness", ("sure", "fairly")),
    ):
        if said[key] not in words:
            raise ValueError(f"{key} is {said[key]}, one of {', '.join(map(str, words))} was wanted")
    return MarkedPerson(
        box=box,
        joints=joints,
        torso=_torso(joints, float(said["torso"]) if "torso" in said else None),
        facing=said["facing"],
        nearer_side=said["nearer_side"],
        nearer=pairs,
        order_sureness=said["order_sureness"],
    )


def _torso(joints: Mapping[str, tuple[float, float, int]], estimate: float | None) -> float:
    """The longest of the distances from a shoulder to a hip: the diagonal, or the side where a person is seen from the side."""
    known = [name for name in joints if name.endswith(("shoulder", "hip"))]
    lengths = [
        float(np.hypot(joints[one][0] - joints[other][0], joints[one][1] - joints[other][1]))
        for one in known
        for other in known
        if one.endswith("shoulder") and other.endswith("hip")
    ]
    if (estimate is None) == (not lengths):
        raise ValueError("torso is an estimate for where no shoulder and hip are marked: it is wanted there, and only there")
    return max(lengths) if estimate is None else estimate


def kind(pair: tuple[str, str]) -> str:
    """What two joints of a pair are to each other."""
    (near_side, near), (far_side, far) = (name.split("_") for name in pair)
    if near == far:
        return "left against right"
    if near_side == far_side and {near, far} in BONES:
        return "ends of a bone"
    if near_side == far_side and {near, far} in WHOLE_LIMBS:
        return "ends of a limb"
    return "others"


def trunk_normal(joints: Float[np.ndarray, "44 3"]) -> Float64[np.ndarray, "3"]:
    """Where the chest points, camera axes: z is negative for a chest seen from the front. Not of unit length."""
    left, right = (joints[[ROWS[f"{side}_shoulder"], ROWS[f"{side}_hip"]]].astype(np.float64) for side in SIDES)
    across = (left - right).mean(axis=0)
    down = ((left + right)[1] - (left + right)[0]) / 2
    return np.cross(down, across)


def score(person: MarkedPerson, answer: Answer) -> dict[str, tuple[int, int]]:
    """How often the answer is right, and of how many times, by name of the number; what cannot be asked is not there.

    Higher is better but for ``flips``, which count a front seen as a back and a back seen as a front.
    """
    rows = [*_joint_hits(person, answer), *_order_hits(person, answer)]
    if person.facing != "side":
        flipped = (trunk_normal(answer.joints)[2] < 0) != (person.facing == "front")
        rows += [("flips", flipped), (f"flips, seen from the {person.facing}", flipped)]
    if person.nearer_side is not None:
        depth = {side: answer.joints[[ROWS[f"{side}_shoulder"], ROWS[f"{side}_hip"]], 2].mean() for side in SIDES}
        rows.append(("nearer side", depth[person.nearer_side] < max(depth.values())))
    found: dict[str, tuple[int, int]] = {}
    for name, right in rows:
        hits, count = found.get(name, (0, 0))
        found[name] = (hits + int(right), count + 1)
    return found


def _joint_hits(person: MarkedPerson, answer: Answer) -> Iterator[tuple[str, bool]]:
    for name, (x, y, seen) in person.joints.items():
        distance = np.linalg.norm(answer.joints_2d[ROWS[name]] - np.array((x, y)))
        hit = bool(distance <= THRESHOLD * person.torso)
        part = name.split("_")[-1]
        group = next((group for group, parts in GROUPS.items() if part in parts), "head")
        yield "pck", hit
        yield f"pck, {group}", hit
        yield f"pck, {'head to foot' if person.whole else 'cut or hidden'}", hit
        if seen == 2:
            yield "pck, seen joints", hit


def _order_hits(person: MarkedPerson, answer: Answer) -> Iterator[tuple[str, bool]]:
    for near, far in person.nearer:
        right = bool(answer.joints[ROWS[near], 2] < answer.joints[ROWS[far], 2])
        yield "order", right
        yield f"order, {kind((near, far))}", right
        if person.order_sureness == "sure":
            yield "order, of those surely told", right


def shares(
    scores: Sequence[Mapping[str, tuple[int, int]]], *, draws: int = 2000, seed: int = 0
) -> dict[str, dict[str, float | int]]:
    """Each number over all people: hits of all in counts of all, with the 95 % interval of a bootstrap over people.

    Joints and pairs of one person are not independent, so people are drawn, never joints; a draw in which nobody has the
    number is left out.
    """
    names = dict.fromkeys(name for score_ in scores for name in score_)
    drawn = np.random.default_rng(seed).integers(len(scores), size=(draws, len(scores))) if scores else np.zeros((0, 0), int)
    found = {}
    for name in names:
        hits, counts = np.array([score_.get(name, (0, 0)) for score_ in scores], dtype=np.float64).T
        many = counts[drawn].sum(axis=1)
        ratios = hits[drawn].sum(axis=1)[many > 0] / many[many > 0]
        low, high = np.quantile(ratios, (0.025, 0.975))
        found[name] = {
            "share": float(hits.sum() / counts.sum()), "low": float(low), "high": float(high),
            "count": int(counts.sum()), "people": int((counts > 0).sum()),
        }  # fmt: skip
    return found
