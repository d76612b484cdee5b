"""Which of a skeleton's joints stand for SMPL's, and how its rest pose differs: a yaml file for each family of skeletons.

The format stands in ``data_lists/skeletons/cmu_bvh.yaml``. A new skeleton is a new file, no code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from tokenhmr.skeleton import SMPL_JOINTS, SMPL_PARENTS

LIMBS = tuple(f"{side}_{joint}" for joint in ("hip", "knee", "shoulder", "elbow") for side in ("left", "right"))
AXES = {f"{sign}{axis}": (place, -1 if sign == "-" else 1) for sign in ("", "-") for place, axis in enumerate("xyz")}

Angles = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class SkeletonMap:
    """One family of skeletons."""

    joints: dict[str, str]  # SMPL joint -> joint of the file; what is missing turns with its parent
    align: tuple[str, ...] = LIMBS  # SMPL joints whose bone is laid along the file's: the rest-pose correction
    turns: dict[str, Angles] = field(default_factory=dict)  # SMPL joint -> degrees about x, y, z: T-pose to the file's rest
    rest: int | None = None  # the frame that shows the rest pose; None: all channels zero
    skip: int = 0  # frames at the start that are no motion
    up: str = "y"  # axes of the file
    forward: str = "z"  # where the skeleton looks at rest
    metres: float | None = None  # of one unit; None: legs are as long as the body's
    fps: float | None = None  # for files that do not say
    even: tuple[tuple[str, str], ...] = ()  # pairs of joints that share their turn half and half
    twist: dict[str, float] = field(default_factory=dict)  # joint -> share of its twist that the bone before it takes

    def sources(self, present: Sequence[str]) -> dict[str, int]:
        """SMPL joint -> row of a file's joint; prefixes up to a colon (``mixamorig:``) do not count."""
        bare = [name.rpartition(":")[2] for name in present]
        return {joint: bare.index(name) for joint, name in self.joints.items()}

    def lacking(self, present: Sequence[str]) -> list[str]:
        """Joints that the map names and a file does not have."""
        bare = {name.rpartition(":")[2] for name in present}
        return [name for name in self.joints.values() if name not in bare]


def child_of(joint: str) -> str:
    """The joint at the other end of an SMPL bone that has only one."""
    row = SMPL_JOINTS.index(joint)
    children = [SMPL_JOINTS[child] for child, parent in enumerate(SMPL_PARENTS) if parent == row]
    if len(children) != 1:
        raise ValueError(f"{joint} has {len(children)} bones, only a joint with one can be aligned")
    return children[0]


def read_map(path: Path) -> SkeletonMap:
    """A map from its yaml. Raises ``FileNotFoundError``, or ``ValueError`` naming the key that is wrong."""
    if not path.is_file():
        raise FileNotFoundError(f"no skeleton map at {path}")
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as reason:
        raise ValueError(f"{path} is no yaml: {reason}") from reason
    known = {entry.name for entry in fields(SkeletonMap)}
    if not isinstance(given, dict) or "joints" not in given or set(given) - known:
        raise ValueError(
            f"{path} should have joints and may have {', '.join(sorted(known - {'joints'}))}, it has {given!r:.80}"
        )
    try:
        return _checked(given)
    except (TypeError, ValueError, AttributeError, KeyError) as reason:
        raise ValueError(f"{path}: {reason}") from reason


def find_map(present: Sequence[str], folder: Path) -> SkeletonMap:
    """The first map of a folder whose joints a file all has. Raises ``ValueError`` when none fits."""
    maps = {path.stem: read_map(path) for path in sorted(folder.glob("*.yaml"))}
    for skeleton in maps.values():
        if not skeleton.lacking(present):
            return skeleton
    lacking = ", ".join(f"{name} lacks {skeleton.lacking(present)[0]}" for name, skeleton in maps.items())
    raise ValueError(
        f"a skeleton that none of our maps fits ({lacking}): write one, see docs/data.md, and name it by --skeleton"
    )


def _checked(given: dict[str, Any]) -> SkeletonMap:
    values = dict(given)
    joints = {str(smpl): str(name) for smpl, name in values.pop("joints").items()}
    align = tuple(values.pop("align", LIMBS))
    turns = {joint: _three(joint, angles) for joint, angles in values.pop("turns", {}).items()}
    even = tuple((first, second) for first, second in values.pop("even", ()))
    twist = {joint: float(share) for joint, share in values.pop("twist", {}).items()}
    named = {*joints, *align, *turns, *twist, *(joint for pair in even for joint in pair)}
    if named - set(SMPL_JOINTS):
        raise ValueError(
            f"no SMPL joint called {', '.join(sorted(named - set(SMPL_JOINTS)))}; there are {', '.join(SMPL_JOINTS)}"
        )
    if "pelvis" not in joints:
        raise ValueError("nothing stands for the pelvis")
    short = [joint for joint in align if joint not in joints or child_of(joint) not in joints]
    if short:
        raise ValueError(f"to align {', '.join(short)}, both ends of the bone must be in joints")
    for name in ("metres", "fps"):
        if values.get(name) is not None:
            values[name] = _positive(name, values[name])
    for name in ("skip", "rest"):
        if not isinstance(values.get(name, 0), int) or values.get(name, 0) < 0:
            raise ValueError(f"{name} is {values[name]!r}, it should be a number of frames, 0 or more")
    up, forward = values.get("up", "y"), values.get("forward", "z")
    if {up, forward} - set(AXES) or AXES[up][0] == AXES[forward][0]:
        raise ValueError(f"up {up!r} and forward {forward!r} should be two of {', '.join(AXES)}")
    return SkeletonMap(joints=joints, align=align, turns=turns, even=even, twist=twist, **values)


def _positive(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, float | int) or not 0 < value < float("inf"):
        raise ValueError(f"{name} is {value!r}, it should be a positive number")
    return float(value)


def _three(joint: str, angles: Any) -> Angles:
    x, y, z = (float(angle) for angle in angles) if len(angles) == 3 else (float("nan"),) * 3
    if not abs(x + y + z) < float("inf"):
        raise ValueError(f"turns of {joint} are {angles!r}, they should be three angles")
    return x, y, z
