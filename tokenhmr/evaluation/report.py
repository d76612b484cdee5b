"""From the rows of a measurement to what is read: lines, rows.json, report.json and a page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tokenhmr.evaluation.clips import with_acceleration
from tokenhmr.evaluation.people import Row, digest, read_rows, rows_text, summary, thirds, together
from tokenhmr.evaluation.protocol import Findings, Material
from tokenhmr.evaluation.sheet import page, table
from tokenhmr.skeleton import SMPL_JOINTS

TRAITS = {
    "crop": "share of the joints that lie outside the picture",
    "near": "side of the box in the picture's longer side: large where the person is near",
    "foreshortening": "mean share of a bone's length that is lost in depth",
    "rarity": "mean angle of the 23 body joints from the rest pose, degrees",
}


def make_report(
    mine: Sequence[Row],
    *,
    words: Mapping[str, Any],
    material: Material,
    joints: Sequence[str] = SMPL_JOINTS,
    notes: Sequence[str] = (),
) -> Findings:
    """A table for the screen, and rows.json, report.json and report.html, of these rows and those of other processes.

    ``words`` are all that the protocol says; their hash names it. ``joints`` names those of ``Row.joint_mm``; ``notes`` are for
    the screen and the report. A ``ValueError`` when there is no row, or when the rows of
    other processes are of another protocol, of other weights or of the same pictures.
    """
    name, how, protocol = material.name, material.reporting, digest(words)
    others = [
        row for path in how.beside for row in read_rows(Path(path).read_text(encoding="utf-8"), protocol=protocol, name=name)
    ]
    rows = with_acceleration(together([*mine, *others]))
    if not rows:
        raise ValueError("no row with pose and shape: there is nothing to measure")
    whole = summary(rows, draws=how.draws, seed=how.seed)
    slices = {
        trait: {part: summary(some, draws=how.draws, seed=how.seed) for part, some in thirds(rows, trait).items()}
        for trait in TRAITS
    }
    errors = np.array([row.joint_mm for row in rows]).mean(axis=0)
    report = {
        "protocol": {**words, "hash": protocol}, "measured": name, "summary": whole, "slices": slices,
        "joints_mm": dict(zip(joints, errors.tolist(), strict=True)), "notes": list(notes),
    }  # fmt: skip
    ranked = sorted(rows, key=lambda row: (row.numbers["pa_mpjpe"], row.key))
    middle = len(ranked) // 2
    cases = {"best": ranked[:4], "median": ranked[middle : middle + 4], "worst": ranked[-4:]}
    return Findings(
        lines=(f"{name}, protocol {protocol}, {len(rows)} pictures", *table(whole), *notes),
        files={
            "rows.json": rows_text(mine, protocol=protocol, name=name),
            "report.json": json.dumps(report, indent=1) + "\n",
            "report.html": page(report, cases, TRAITS),
        },
    )
