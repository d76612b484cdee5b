"""From the rows of a measurement to what is read: lines for a screen, rows.json, report.json, report.html and report.png."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tokenhmr.evaluation.cases import Look, choose, draw_cases
from tokenhmr.evaluation.clips import with_acceleration
from tokenhmr.evaluation.compare import compare, same_protocol
from tokenhmr.evaluation.page import page
from tokenhmr.evaluation.people import SCHEMA, Measurement, Row, digest, joined, joint_table, read_rows, rows_text, summary
from tokenhmr.evaluation.poster import poster
from tokenhmr.evaluation.protocol import Findings, Material
from tokenhmr.evaluation.sheet import lines
from tokenhmr.evaluation.slices import slice_table
from tokenhmr.skeleton import SMPL_JOINTS


def check_others(words: Mapping[str, Any], material: Material) -> None:
    """Refuse files of other processes and of another model before anything is measured, where they can be refused already.

    Raises ``FileNotFoundError`` for one that is not there, ``ValueError`` for one that is of another protocol or no rows.
    """
    protocol = digest(words)
    share = Measurement(protocol=protocol, name=material.name, rows=[])
    joined(share, [read_rows(Path(path)) for path in material.reporting.beside])
    if material.reporting.compare is not None:
        same_protocol(share, read_rows(Path(material.reporting.compare)))


def make_report(
    mine: Sequence[Row],
    *,
    words: Mapping[str, Any],
    material: Material,
    joints: Sequence[str] = SMPL_JOINTS,
    notes: Sequence[str] = (),
    look: Look | None = None,
) -> Findings:
    """The whole report of these rows, of those of other processes, and, where asked for, beside another model's.

    ``words`` are all that the protocol says; their hash names it. ``joints`` are the names of ``Row.joint_mm``; ``notes`` are
    for the screen and the report. ``look`` says again what was measured of a batch of one: with it, cases are drawn. A
    ``ValueError`` when there is no row, and for rows of other files that are of another protocol, of other weights, of the same
    pictures, or, for a comparison, of other people.
    """
    how = material.reporting
    share = Measurement(protocol=digest(words), name=material.name, rows=list(mine))
    shares = joined(share, [read_rows(Path(path)) for path in how.beside])
    measured = replace(shares, rows=with_acceleration(shares.rows))
    if not measured.rows:
        raise ValueError("no row with pose and shape: there is nothing to measure")
    chance = {"draws": how.draws, "seed": how.seed}
    chosen = choose(measured.rows)
    report = {
        "schema": SCHEMA,
        "measured": measured.name,
        "notes": list(notes),
        "protocol": {**words, "hash": measured.protocol},
        "rows": len(measured.rows),
        "clusters": len({row.person for row in measured.rows}),
        "bootstrap": chance,
        "numbers": summary(measured.rows, **chance),
        "joints": joint_table(measured.rows, joints, **chance),
        "slices": slice_table(measured.rows, **chance),
        "cases": {name: [{"key": row.key, "numbers": row.numbers, "traits": row.traits} for row in rows]
                  for name, rows in chosen.items()},
        "comparison": None if how.compare is None else compare(measured, read_rows(Path(how.compare)), **chance),
    }  # fmt: skip
    pictures = {}
    if look is not None and material.again is not None:
        keys = [row.key for rows in chosen.values() for row in rows]
        pictures = draw_cases(keys, again=material.again, look=look, faces=material.body.faces.cpu().numpy())
    return Findings(
        lines=tuple(lines(report)),
        files={
            "rows.json": rows_text(measured),
            "report.json": json.dumps(report, indent=1) + "\n",
            "report.html": page(report, pictures),
            "report.png": poster(report, pictures),
        },
    )
