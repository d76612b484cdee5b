"""Protocols on pictures. They differ by data, not by code: each is a yaml in ``configs/protocol``, all of one class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, final

from tokenhmr.evaluation.gather import GENDERED, gather_pictures
from tokenhmr.evaluation.joint_sets import JOINT_SETS, REGRESSORS, rows_of
from tokenhmr.evaluation.measure import Rules, look, measure
from tokenhmr.evaluation.people import UNITS
from tokenhmr.evaluation.protocol import Findings, Material, Settings
from tokenhmr.evaluation.report import check_others, make_report

TRUTHS = {
    "annotated": "joints of the annotation",
    "regressed": "joints of the annotated body's mesh, made as those of the prediction",
}
GENDERS = {
    "neutral": "the neutral body, whatever the annotation says",
    "male_else_female": "the male body where the annotation says male, the female one otherwise",
}
_ALLOWED = {
    "joints": JOINT_SETS, "regressor": REGRESSORS, "truth": TRUTHS, "gender": GENDERS, "boxes": ("wide", "square"),
}  # fmt: skip


@final
@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """A protocol. Every field is part of its hash, and so are how the data are read and the hashes of the files used.

    Raises ``ValueError`` for a word that it does not know.
    """

    dataset: str
    split: str
    source: str  # who measures so
    data_list: str  # in data_lists/: files, format, filter of frames, members
    frames: str  # the filter of frames, in words
    boxes: str  # annotated boxes; wide: grown to 192:256 before the square around them is cut out, square: not
    box_scale: float  # of the annotated box before that, as the reader of the format applies it
    body: str  # that predictions speak of
    gender: str  # which body the truth's mesh is of: GENDERS
    joints: str  # that are scored: JOINT_SETS
    regressor: str  # how joints come from a predicted body: REGRESSORS
    truth: str  # where true joints come from: TRUTHS
    alignment: Sequence[str]  # joints whose mean is the origin for MPJPE
    mesh_alignment: Sequence[str]  # for PVE
    metrics: Sequence[str]
    units: str
    assets: Mapping[str, str | None]  # files, with the sha256 that is expected, or null where none is published

    def __post_init__(self) -> None:
        for name, allowed in _ALLOWED.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is {getattr(self, name)!r}, it should be one of {', '.join(allowed)}")
        unknown = [name for name in self.metrics if name not in UNITS]
        if unknown or not self.metrics:
            raise ValueError(f"metrics {', '.join(unknown) or 'are none'}; there are {', '.join(UNITS)}")
        for names in (JOINT_SETS[self.joints], self.alignment, self.mesh_alignment):
            rows_of(names, self.regressor)
        if not self.alignment or not self.mesh_alignment:
            raise ValueError("alignment and mesh_alignment should name a joint each, or several whose mean is meant")

    def gather(self, settings: Settings) -> Material:
        """See ``gather.gather_pictures``."""
        return gather_pictures(
            settings,
            data_list=self.data_list,
            body=self.body,
            boxes=self.boxes,
            genders=GENDERED if self.gender == "male_else_female" else (),
            regressor=self.regressor,
            assets=self.assets,
        )

    def __call__(self, material: Material) -> Findings:
        """A table for the screen, and the files of ``report.make_report``; a ``ValueError`` when no row can be measured."""
        words = self.words() | {"used": dict(material.used)}
        check_others(words, material)
        rows, notes = measure(self.rules(), material)
        return make_report(
            rows,
            words=words,
            material=material,
            joints=JOINT_SETS[self.joints],
            notes=notes,
            look=partial(look, self.gender, material),
        )

    def rules(self) -> Rules:
        """What decides about numbers."""
        return Rules(
            joints=self.joints,
            regressor=self.regressor,
            truth=self.truth,
            gender=self.gender,
            alignment=tuple(self.alignment),
            mesh_alignment=tuple(self.mesh_alignment),
            metrics=tuple(self.metrics),
        )

    def words(self) -> dict[str, Any]:
        """All that the protocol says, as plain data."""
        said = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            name: list(value) if isinstance(value, tuple | list) else dict(value) if isinstance(value, Mapping) else value
            for name, value in said.items()
        }
