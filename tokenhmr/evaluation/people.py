"""A person's numbers under a protocol, and what many people's numbers say: means with bootstrap intervals by person."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

# Name in rows -> unit in tables.
UNITS = {
    "mpjpe": "mm", "pa_mpjpe": "mm", "pve": "mm", "pa_pve": "mm", "mpjae": "degrees", "global_orient": "degrees",
    "pck3d@150": "share", "auc3d@150": "share", "pck2d@0.1": "share", "auc2d@0.1": "share", "accel": "mm/frame^2",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Row:
    """One picture of one person."""

    key: str
    person: str  # whom the bootstrap draws: never a frame of somebody
    numbers: dict[str, float]  # names of UNITS; what the row has no label for is not there
    traits: dict[str, float]  # what slices are made by
    joint_mm: list[float]  # of the joints that the protocol scores
    said: list[list[float]]  # 24 joints, metres from the pelvis, camera axes; empty where there are none
    meant: list[list[float]]
    frame: int | None = None  # number of the picture in the person's recording, for protocols on video
    scored: list[list[list[float]]] = field(default_factory=list)  # for those too: the scored joints, said and meant, metres


def digest(numbers: Mapping[str, Any]) -> str:
    """Twelve digits of SHA-256 over sorted JSON: the name of a protocol's every word, whatever their order."""
    return hashlib.sha256(json.dumps(numbers, sort_keys=True).encode()).hexdigest()[:12]


def rows_text(rows: Sequence[Row], *, protocol: str, name: str) -> str:
    """Rows as JSON, to be put together with those of other processes."""
    return json.dumps({"protocol": protocol, "name": name, "rows": [asdict(row) for row in rows]}) + "\n"


def read_rows(text: str, *, protocol: str, name: str) -> list[Row]:
    """Rows of ``rows_text``; a ``ValueError`` when they are of another protocol, other weights or other data."""
    try:
        found = json.loads(text)
        rows = [Row(**row) for row in found["rows"]]
        given = (found["protocol"], found["name"])
    except (ValueError, KeyError, TypeError) as reason:
        raise ValueError(f"no rows of an evaluation: {reason}") from reason
    for what, mine, other in zip(("protocol", "measurement"), (protocol, name), given, strict=True):
        if mine != other:
            raise ValueError(f"rows of {what} {other} are not put together with those of {mine}")
    return rows


def together(rows: Sequence[Row]) -> list[Row]:
    """Rows in the order of their keys, so that who measured them leaves no trace; a ``ValueError`` for a key seen twice."""
    keys = [row.key for row in rows]
    if len(set(keys)) < len(keys):
        raise ValueError(f"{len(keys) - len(set(keys))} pictures were measured twice: is each shard of the work given once?")
    return sorted(rows, key=lambda row: row.key)


def summary(rows: Sequence[Row], *, draws: int, seed: int) -> dict[str, dict[str, Any]]:
    """For each number its mean over rows, the 95 % interval of a bootstrap over persons, and how many had it."""
    found = {}
    for name, unit in UNITS.items():
        having = [row for row in rows if name in row.numbers]
        if having:
            persons = {person: place for place, person in enumerate(sorted({row.person for row in having}))}
            place = np.array([persons[row.person] for row in having])
            value = np.array([row.numbers[name] for row in having])
            low, high = _interval(np.bincount(place, value), np.bincount(place), draws, seed)
            found[name] = {
                "mean": float(value.mean()), "low": low, "high": high, "unit": unit,
                "rows": len(having), "persons": len(persons),
            }  # fmt: skip
    return found


def _interval(sums: np.ndarray, counts: np.ndarray, draws: int, seed: int) -> tuple[float, float]:
    drawn = np.random.default_rng(seed).integers(len(sums), size=(draws, len(sums)))
    low, high = np.quantile(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1), (0.025, 0.975))
    return float(low), float(high)


def thirds(rows: Sequence[Row], trait: str) -> dict[str, list[Row]]:
    """Rows in three parts of (nearly) one size, from the least of a trait to the most."""
    ordered = sorted((row for row in rows if trait in row.traits), key=lambda row: (row.traits[trait], row.key))
    parts = np.array_split(np.arange(len(ordered)), 3)
    return {name: [ordered[place] for place in part] for name, part in zip(("low", "middle", "high"), parts, strict=True)}
