"""Mixtures of motion sets for a tokenizer: yaml lists like ``data_lists/tokenizer_amass.yaml``, where the format stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from jaxtyping import Float32, Int64

from tokenhmr.data.mocap import read_motion
from tokenhmr.data.motion.clips import Sampling

SPLITS = ("train", "val", "test")
_REQUIRED = ("name", "split", "motion", "weight", "licence", "origin")
_OPTIONAL = ("folders", "rule")


@dataclass(frozen=True, kw_only=True)
class MotionSet:
    """One set of a mixture."""

    name: str
    split: str
    motion: str  # its file or folder below the data folder
    weight: float  # how often it is drawn, relative to the other sets of its split
    licence: str
    origin: str
    folders: tuple[str, ...] = ()  # what the set's raw folder may be called: `prepare` takes the first that is there
    sampling: Sampling | None = None  # how `prepare` thins it out


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """The frames of the sets of one split, one set after the other."""

    body_pose: Float32[np.ndarray, "frame 21 3"]  # axis-angle, radians
    part: Int64[np.ndarray, " frame"]  # row of ``names`` and ``weights``
    names: tuple[str, ...]
    weights: tuple[float, ...]


def read_motion_list(path: Path) -> tuple[MotionSet, ...]:
    """The sets of a list. Raises ``FileNotFoundError`` or a ``ValueError`` that names the set and what is wrong with it."""
    if not path.is_file():
        raise FileNotFoundError(f"no list of motion sets at {path}")
    try:
        listed = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as reason:
        raise ValueError(f"{path} is no yaml: {reason}") from reason
    rows = listed.get("sets") if isinstance(listed, dict) else None
    if not isinstance(rows, list) or not rows:
        raise ValueError(f"{path} has no list called sets")
    surplus = sorted(str(name) for name in set(listed) - {"sets", "rules"})
    if surplus:
        raise ValueError(f"{path}: beside sets and rules stands {', '.join(surplus)}, which would go unheard")
    try:
        rules = {str(name): _rule(**values) for name, values in (listed.get("rules") or {}).items()}
    except (TypeError, ValueError, AttributeError) as reason:
        raise ValueError(f"{path}: rules: {reason}") from reason
    sets = tuple(_set(row, path, rules) for row in rows)
    names = [(entry.split, entry.name) for entry in sets]
    if len(set(names)) < len(names):
        raise ValueError(f"{path} names a set twice in a split")
    return sets


def read_mixture(sets: Sequence[MotionSet], split: str, root: Path) -> Mixture:
    """All frames of a split. Raises ``FileNotFoundError`` for a set that is not below ``root``, ``ValueError`` without any."""
    chosen = [entry for entry in sets if entry.split == split]
    if not chosen:
        raise ValueError(f"the list has no set for the split {split!r}")
    poses = []
    for entry in chosen:
        place = root / entry.motion
        if not place.exists():
            raise FileNotFoundError(f"no motion of {entry.name} at {place}: python -m tokenhmr.data.prepare makes it")
        poses.append(read_motion(place).body_pose)
    return Mixture(
        body_pose=np.concatenate(poses),
        part=np.repeat(np.arange(len(poses)), [len(rows) for rows in poses]),
        names=tuple(entry.name for entry in chosen),
        weights=tuple(entry.weight for entry in chosen),
    )


def _rule(*, trim: float | int = 0.0, every: int = 1) -> Sampling:
    return Sampling(trim=float(trim), every=every)


def _set(row: Any, path: Path, rules: Mapping[str, Sampling]) -> MotionSet:
    if not isinstance(row, dict):
        raise ValueError(f"{path}: a set is {type(row).__name__}, it should have {', '.join(_REQUIRED)}")
    name = row.get("name", "?")
    missing = [key for key in _REQUIRED if key not in row]
    unknown = [key for key in row if key not in (*_REQUIRED, *_OPTIONAL)]
    if missing or unknown:
        raise ValueError(f"{path}: set {name} lacks {missing} and has unknown {unknown}")
    weight, rule, folders = row["weight"], row.get("rule"), row.get("folders", [])
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < float("inf"):
        raise ValueError(f"{path}: weight of {name} is {weight!r}, it should be a positive number")
    if row["split"] not in SPLITS:
        raise ValueError(f"{path}: split of {name} is {row['split']!r}, there are {', '.join(SPLITS)}")
    if rule is not None and rule not in rules:
        raise ValueError(f"{path}: rule of {name} is {rule!r}, rules has {', '.join(rules) or 'none'}")
    if not isinstance(folders, list) or not all(isinstance(folder, str) for folder in folders):
        raise ValueError(f"{path}: folders of {name} is {folders!r}, it should be a list of names")
    return MotionSet(
        name=str(name), split=row["split"], motion=str(row["motion"]), weight=float(weight), licence=str(row["licence"]),
        origin=str(row["origin"]), folders=tuple(folders), sampling=None if rule is None else rules[rule],
    )  # fmt: skip
