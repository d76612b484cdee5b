"""Acclaim's pair of files: ASF, a skeleton with a frame of axes for each bone, and AMC, its angles (CMU's motion capture).

A bone's angles are about fixed axes of its own frame ``axis`` = C, in the order of ``dof``: it turns by C R C^-1 against its
parent. With all angles zero the skeleton stands as the bones' directions say. AMC knows no frame rate.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from tokenhmr.data.motion.recording import TIP, Recording, chain, check_finite, euler, read_text

_ROOT = "root"
_TURNS = ("rx", "ry", "rz")
_MOVES = ("tx", "ty", "tz")


@dataclass(frozen=True, kw_only=True)
class Bone:
    """A bone is called like the joint at its near end."""

    vector: Float64[np.ndarray, "3"]  # from its near end to its far end, file units, at rest
    axes: Float64[np.ndarray, "3 3"]  # C
    channels: tuple[str, ...]  # in the order of an AMC line, lower case
    order: str  # of the rotations, as ``euler`` wants it: about fixed axes


@dataclass(frozen=True, kw_only=True)
class Skeleton:
    """An ASF file."""

    bones: dict[str, Bone]  # parents before children
    parents: dict[str, str]
    degrees: bool  # the AMC's angles; otherwise radians


def read_asf(path: Path) -> Skeleton:
    """The skeleton of an ASF file. A ``ValueError`` names the file and the bone that cannot be read."""
    sections = _sections(path)
    units = dict(line.split()[:2] for line in sections.get("units", "").splitlines() if len(line.split()) > 1)
    in_degrees = units.get("angle", "deg").lower().startswith("deg")
    bones = {_ROOT: _root(path, sections["root"], in_degrees)}
    for block in re.findall(r"\bbegin\b(.*?)\bend\b", sections["bonedata"], re.DOTALL):
        fields = {line.split()[0]: line.split()[1:] for line in block.splitlines() if line.strip()}
        try:
            bones[" ".join(fields["name"])] = _bone(fields, in_degrees)
        except (KeyError, ValueError, IndexError) as reason:
            raise ValueError(f"{path}: bone {fields.get('name', '?')} cannot be read: {reason!r}") from reason
    parents: dict[str, str] = {}
    for line in sections["hierarchy"].splitlines():
        parent, *children = line.split() or [""]
        parents |= dict.fromkeys(children, parent)
    parents = {child: parent for child, parent in parents.items() if child != "end"}
    unknown = ({*parents, *parents.values()} - set(bones)) | (set(bones) - set(parents) - {_ROOT})
    if unknown:
        raise ValueError(f"{path}: bonedata and hierarchy do not agree on {', '.join(sorted(unknown))}")
    return Skeleton(bones={name: bones[name] for name in _downwards(path, parents)}, parents=parents, degrees=in_degrees)


def read_amc(path: Path, skeleton: Skeleton, *, fps: float) -> Recording:
    """All frames of an AMC file that belongs to ``skeleton``; ``fps`` is not in the file (CMU: 120)."""
    rows = _frames(path, skeleton)
    check_finite(path, rows)
    names = list(skeleton.bones)
    parents = [names.index(skeleton.parents[name]) if name in skeleton.parents else -1 for name in names]
    vectors = np.stack([bone.vector for bone in skeleton.bones.values()])
    local = np.empty((len(rows), len(names), 3, 3))
    root, first = np.zeros((len(rows), 3)), 0
    for number, bone in enumerate(skeleton.bones.values()):
        columns = rows[:, first : first + len(bone.channels)]
        first += len(bone.channels)
        turns = [bone.channels.index(f"r{axis}") for axis in bone.order]
        angles = columns[:, turns] if skeleton.degrees else np.degrees(columns[:, turns])
        local[:, number] = bone.axes @ euler(bone.order, angles) @ bone.axes.T
        for place, channel in enumerate(bone.channels):
            if number == 0 and channel in _MOVES:
                root[:, _MOVES.index(channel)] = columns[:, place]
    world = chain(local, parents)
    # A joint for each near end, and one for each far end that no bone begins at.
    tips = [number for number in range(1, len(names)) if number not in parents]
    offsets = [np.zeros(3) if parent < 0 else vectors[parent] for parent in parents]
    return Recording(
        name=path.stem,
        joints=(*names, *(names[number] + TIP for number in tips)),
        parents=(*parents, *tips),
        offsets=np.stack([*offsets, *(vectors[number] for number in tips)]),
        rotations=np.concatenate([world, world[:, tips]], axis=1),
        root=root,
        fps=fps,
    )


def _sections(path: Path) -> dict[str, str]:
    lines = [line for line in read_text(path).splitlines() if not line.lstrip().startswith("#")]
    parts = re.split(r"^\s*:(\w+)", "\n".join(lines), flags=re.MULTILINE)
    sections = dict(zip((name.lower() for name in parts[1::2]), parts[2::2], strict=True))
    missing = [name for name in ("root", "bonedata", "hierarchy") if name not in sections]
    if missing:
        raise ValueError(f"{path} is no ASF: it has no :{', :'.join(missing)}")
    return sections


def _axes(angles: list[str], order: str, in_degrees: bool) -> Float64[np.ndarray, "3 3"]:
    values = np.array([float(angle) for angle in angles])
    if len(values) != 3 or sorted(order) != ["x", "y", "z"]:
        raise ValueError(f"axis {' '.join(angles)} {order} should be three angles and an order of x, y, z")
    return euler(order, values if in_degrees else np.degrees(values))


def _root(path: Path, section: str, in_degrees: bool) -> Bone:
    fields = {line.split()[0].lower(): line.split()[1:] for line in section.splitlines() if line.strip()}
    try:
        channels = tuple(word.lower() for word in fields["order"])
        order = fields.get("axis", ["XYZ"])[0].lower()
        if sorted(channels) != sorted((*_MOVES, *_TURNS)):
            raise ValueError(f"order {' '.join(fields['order'])} should name tx ty tz rx ry rz")
        axes = _axes(fields.get("orientation", ["0", "0", "0"]), order, in_degrees)
    except (KeyError, ValueError, IndexError) as reason:
        raise ValueError(f"{path}: its root cannot be read: {reason!r}") from reason
    return Bone(vector=np.zeros(3), axes=axes, channels=channels, order=order)


def _bone(fields: dict[str, list[str]], in_degrees: bool) -> Bone:
    direction = np.array([float(word) for word in fields["direction"]])
    if direction.shape != (3,):
        raise ValueError(f"a direction of {len(direction)} numbers")
    channels = tuple(word.lower() for word in fields.get("dof", []))
    if not set(channels) <= {*_TURNS, *_MOVES, "l"}:
        raise ValueError(f"dof {' '.join(channels)}")
    return Bone(
        vector=direction * float(fields["length"][0]),
        axes=_axes(fields["axis"][:3], fields["axis"][3].lower(), in_degrees),
        channels=channels,
        order="".join(channel[1] for channel in channels if channel in _TURNS),
    )


def _downwards(path: Path, parents: dict[str, str]) -> list[str]:
    """Names with every parent before its children."""
    order = [_ROOT]
    for name in order:
        order += [child for child, parent in parents.items() if parent == name]
    if len(order) != len(parents) + 1:
        raise ValueError(f"{path}: {', '.join(sorted(set(parents) - set(order)))} hang on no root")
    return order


def _frames(path: Path, skeleton: Skeleton) -> Float64[np.ndarray, "frame channel"]:
    """The numbers of every frame in the order of the skeleton's bones."""
    frames: list[dict[str, list[str]]] = []
    for line in read_text(path).splitlines():
        words = line.split()
        if not words or words[0][0] in "#:":
            continue
        if len(words) == 1 and words[0].isdigit():
            frames.append({})
        elif frames:
            frames[-1][words[0]] = words[1:]
        else:
            raise ValueError(f"{path} is no AMC: {line.strip()!r} comes before the number of a frame")
    wanted = {name: len(bone.channels) for name, bone in skeleton.bones.items() if bone.channels}
    rows = np.empty((len(frames), sum(wanted.values())))
    for number, frame in enumerate(frames):
        found = {name: len(values) for name, values in frame.items()}
        if found != wanted:
            wrong = sorted({name for name in {*found, *wanted} if found.get(name) != wanted.get(name)})
            raise ValueError(f"{path}, frame {number + 1} of {len(frames)}: it does not fit the skeleton in {', '.join(wrong)}")
        try:
            rows[number] = [float(value) for name in wanted for value in frame[name]]
        except ValueError as reason:
            raise ValueError(f"{path}, frame {number + 1} of {len(frames)}: {reason}") from reason
    if not len(rows):
        raise ValueError(f"{path} has no frames")
    return rows
