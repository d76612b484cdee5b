"""A person's numbers under a protocol, their file, and what many say: means with intervals by person or clip."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tokenhmr.evaluation.intervals import Estimate, estimate

SCHEMA = 2  # of rows.json and report.json; docs/evaluation_report.md describes it

# Name in rows -> unit in tables. More of a share is better, less of anything else; those of WORSE are shares of failures.
UNITS = {
    "mpjpe": "mm", "pa_mpjpe": "mm", "pve": "mm", "pa_pve": "mm", "mpjae": "degrees", "global_orient": "degrees",
    "pck3d@150": "share", "auc3d@150": "share", "pck2d@0.1": "share", "auc2d@0.1": "share", "accel": "mm/frame^2",
    "across": "mm", "depth": "mm", "turned": "share", "limb_flip": "share",
}  # fmt: skip
WORSE = ("turned", "limb_flip")
WORDS = {
    "mpjpe": "MPJPE", "pa_mpjpe": "PA-MPJPE", "pve": "PVE", "pa_pve": "PA-PVE", "mpjae": "MPJAE, joint angles in camera axes",
    "global_orient": "Global orientation", "pck3d@150": "PCK 3D at 150 mm", "auc3d@150": "AUC 3D, 0 to 150 mm",
    "pck2d@0.1": "PCK 2D at a tenth of the box", "auc2d@0.1": "AUC 2D, 0 to a tenth of the box",
    "accel": "Acceleration error", "across": "24 joints, across the line of sight",
    "depth": "24 joints, along the line of sight", "turned": "Front and back mixed up", "limb_flip": "Limbs reversed in depth",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Row:
    """One picture of one person."""

    key: str
    person: str  # whom the bootstrap draws, a person or a clip: never a frame of somebody
    numbers: dict[str, float]  # names of UNITS; what the row has no label for is not there
    traits: dict[str, float]  # what slices are made by: see traits.py
    joint_mm: list[float]  # of the joints of the protocol, aligned as it says
    said: list[list[float]]  # 24 joints, metres from the pelvis, camera axes; empty where there are none
    meant: list[list[float]]
    frame: int | None = None  # number of the picture in the person's recording, for protocols on video
    scored: list[list[list[float]]] = field(default_factory=list)  # for those too: the scored joints, said and meant, metres


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """Rows of one model by one protocol."""

    protocol: str  # its hash
    name: str  # of weights and data
    rows: list[Row]


def digest(numbers: Mapping[str, Any]) -> str:
    """Twelve digits of SHA-256 over sorted JSON: the name of a protocol's every word, whatever their order."""
    return hashlib.sha256(json.dumps(numbers, sort_keys=True).encode()).hexdigest()[:12]


def rows_text(measured: Measurement) -> str:
    """Rows as JSON, to be put together with those of other processes, or compared with those of another model."""
    return json.dumps({"schema": SCHEMA, **asdict(measured)}) + "\n"


def read_rows(path: Path) -> Measurement:
    """What ``rows_text`` wrote; a ``ValueError`` names a file that is something else."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        schema = found.pop("schema")
        if schema != SCHEMA:
            raise ValueError(f"schema {schema}, this version reads {SCHEMA}: measure again")
        return Measurement(**found | {"rows": [Row(**row) for row in found["rows"]]})
    except (ValueError, KeyError, TypeError, AttributeError) as reason:
        raise ValueError(f"{path} holds no rows of an evaluation: {reason}") from reason


def joined(mine: Measurement, others: Sequence[Measurement]) -> Measurement:
    """Shares of one measurement as a whole; a ``ValueError`` when they are of another protocol, other weights or other data."""
    for other in others:
        for what, wanted, given in (("protocol", mine.protocol, other.protocol), ("measurement", mine.name, other.name)):
            if wanted != given:
                raise ValueError(f"rows of {what} {given} are not put together with those of {wanted}")
    rows = together([row for measured in (mine, *others) for row in measured.rows])
    return Measurement(protocol=mine.protocol, name=mine.name, rows=rows)


def together(rows: Sequence[Row]) -> list[Row]:
    """Rows in the order of their keys, so that who measured them leaves no trace; a ``ValueError`` for a key seen twice."""
    keys = [row.key for row in rows]
    if len(set(keys)) < len(keys):
        raise ValueError(f"{len(keys) - len(set(keys))} pictures were measured twice: is each shard of the work given once?")
    return sorted(rows, key=lambda row: row.key)


def summary(rows: Sequence[Row], *, draws: int, seed: int) -> dict[str, dict[str, Any]]:
    """For each number of the rows its mean and interval (``intervals.estimate``), its unit, and how many rows had it."""
    found = {}
    for name, unit in UNITS.items():
        having = [row for row in rows if name in row.numbers]
        if having:
            values = np.array([row.numbers[name] for row in having])
            found[name] = told(estimate(values, [row.person for row in having], draws=draws, seed=seed)) | {"unit": unit}
    return found


def joint_table(rows: Sequence[Row], names: Sequence[str], *, draws: int, seed: int) -> dict[str, dict[str, Any]]:
    """For each joint of ``Row.joint_mm``, by its name, its mean error and interval, mm."""
    errors, persons = np.array([row.joint_mm for row in rows]), [row.person for row in rows]
    return {
        name: told(estimate(errors[:, joint], persons, draws=draws, seed=seed)) | {"unit": "mm"}
        for joint, name in enumerate(names)
    }


def told(found: Estimate) -> dict[str, Any]:
    """An estimate as JSON, ``small`` included."""
    return asdict(found) | {"small": found.small}
