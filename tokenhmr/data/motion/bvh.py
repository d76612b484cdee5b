"""BVH (Biovision hierarchy): joints with offsets and named channels, then a row of numbers for each frame.

Angles are degrees about axes that turn along, in the order in which the channels are listed. A joint's translation channels
replace its offset; only the root's are read, because bones that change their length have no place on a body.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from tokenhmr.data.motion.recording import TIP, Recording, chain, check_finite, euler, read_text

_AXES = "XYZ"
_CHANNELS = {f"{axis}{kind}" for axis in _AXES for kind in ("position", "rotation")}


@dataclass
class _Skeleton:
    """What is known of the hierarchy so far."""

    joints: list[str] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    offsets: list[list[float]] = field(default_factory=list)
    channels: list[tuple[str, ...]] = field(default_factory=list)
    open: list[int] = field(default_factory=list)  # joints whose brace is not closed yet

    def add(self, name: str) -> None:
        self.parents.append(self.open[-1] if self.open else -1)
        self.joints.append(name)
        self.offsets.append([])
        self.channels.append(())
        self.open.append(len(self.joints) - 1)


def read_bvh(path: Path) -> Recording:
    """All frames of a file. A ``ValueError`` names the file, the line and what is wrong there."""
    head, found, motion = read_text(path).partition("MOTION")
    if not found or "HIERARCHY" not in head:
        raise ValueError(f"{path} is no BVH: it lacks HIERARCHY or MOTION")
    skeleton = _hierarchy(path, head)
    values, fps = _motion(path, motion, sum(len(channels) for channels in skeleton.channels))
    local, root = _local(skeleton, values)
    return Recording(
        name=path.stem,
        joints=tuple(skeleton.joints),
        parents=tuple(skeleton.parents),
        offsets=np.array(skeleton.offsets, dtype=np.float64),
        rotations=chain(local, skeleton.parents),
        root=root,
        fps=fps,
    )


def _words(head: str) -> Iterator[tuple[int, list[str]]]:
    """Lines as words, a brace always alone."""
    for number, line in enumerate(head.splitlines(), start=1):
        for part in line.replace("{", "\n{\n").replace("}", "\n}\n").splitlines():
            if part.strip():
                yield number, part.split()


def _hierarchy(path: Path, head: str) -> _Skeleton:
    skeleton = _Skeleton()
    for number, words in _words(head):
        try:
            _take(skeleton, words)
        except (ValueError, IndexError) as reason:
            raise ValueError(f"{path}, line {number}: {reason}") from reason
    if skeleton.open or not skeleton.joints:
        raise ValueError(f"{path}: the hierarchy is not closed, {len(skeleton.open)} braces are open at MOTION")
    missing = [name for name, offset in zip(skeleton.joints, skeleton.offsets, strict=True) if not offset]
    twice = {name for name in skeleton.joints if skeleton.joints.count(name) > 1}
    if missing or twice:
        raise ValueError(f"{path}: joints without an offset: {missing}; joints named twice: {sorted(twice)}")
    return skeleton


def _take(skeleton: _Skeleton, words: list[str]) -> None:
    """One statement of the hierarchy."""
    keyword = words[0].upper()
    if keyword in ("ROOT", "JOINT"):
        if keyword == "ROOT" and skeleton.joints:
            raise ValueError("a second ROOT: files with several skeletons are not read, split it")
        skeleton.add(" ".join(words[1:]))
    elif keyword == "END":
        skeleton.add(skeleton.joints[skeleton.open[-1]] + TIP)
    elif keyword == "OFFSET":
        skeleton.offsets[skeleton.open[-1]] = _offset(words[1:])
    elif keyword == "CHANNELS":
        skeleton.channels[skeleton.open[-1]] = _channels(words[1:])
    elif keyword == "}":
        if not skeleton.open:
            raise ValueError("a brace is closed that was never opened")
        skeleton.open.pop()
    elif keyword not in ("{", "HIERARCHY"):
        raise ValueError(f"{words[0]!r} is no word of a BVH hierarchy")


def _offset(words: list[str]) -> list[float]:
    if len(words) != 3:
        raise ValueError(f"an offset of {len(words)} numbers, it should be 3")
    return [float(word) for word in words]


def _channels(words: list[str]) -> tuple[str, ...]:
    names = tuple(word[0].upper() + word[1:].lower() for word in words[1:])
    if int(words[0]) != len(names) or not set(names) <= _CHANNELS:
        raise ValueError(f"channels {' '.join(words)}: a count and as many of {', '.join(sorted(_CHANNELS))}")
    return names


def _motion(path: Path, text: str, channels: int) -> tuple[Float64[np.ndarray, "frame channel"], float]:
    head, found, body = text.partition("Time:")
    try:
        count = int(head.split("Frames:")[1].split()[0]) if found else 0
        step, *numbers = body.split()
        seconds, values = float(step), np.array(numbers, dtype=np.float64)
    except (ValueError, IndexError) as reason:
        raise ValueError(f"{path}: after MOTION come 'Frames:', 'Frame Time:' and only numbers, but {reason}") from reason
    if count < 1 or seconds <= 0:
        raise ValueError(f"{path} says it has {count} frames of {seconds} s: nothing can be done with that")
    if len(values) != count * channels:
        raise ValueError(f"{path} has {len(values)} numbers, {count} frames of {channels} channels are {count * channels}")
    values = values.reshape(count, channels)
    check_finite(path, values)
    return values, 1 / seconds


def _local(
    skeleton: _Skeleton, values: Float64[np.ndarray, "frame channel"]
) -> tuple[Float64[np.ndarray, "frame joint 3 3"], Float64[np.ndarray, "frame 3"]]:
    local = np.tile(np.eye(3), (len(values), len(skeleton.joints), 1, 1))
    root = np.tile(np.array(skeleton.offsets[0]), (len(values), 1))
    first = 0
    for joint, names in enumerate(skeleton.channels):
        columns = values[:, first : first + len(names)]
        first += len(names)
        turns = [place for place, name in enumerate(names) if name.endswith("rotation")]
        local[:, joint] = euler("".join(names[place][0] for place in turns), columns[:, turns])
        if joint == 0:
            for place, name in enumerate(names):
                if name.endswith("position"):
                    root[:, _AXES.index(name[0])] = columns[:, place]
    return local, root
