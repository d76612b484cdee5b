"""Protocols on tokenizers: poses encoded to tokens and decoded again, on a body with zero root, hands and betas."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from tokenhmr.body import Body, load_body
from tokenhmr.data.mixtures import read_motion_list
from tokenhmr.data.mocap import read_motion, recording_of
from tokenhmr.evaluation.assets import check, hashes_of, missing, sha256
from tokenhmr.evaluation.gather import DATA
from tokenhmr.evaluation.measure import in_camera
from tokenhmr.evaluation.metrics import joint_angles, joint_errors, pa_mpjpe
from tokenhmr.evaluation.people import Row
from tokenhmr.evaluation.protocol import Findings, Material, Settings
from tokenhmr.evaluation.report import check_others, make_report
from tokenhmr.evaluation.tokenizer import code_use, zero_root_pose
from tokenhmr.models.pretrained import load_tokenizer
from tokenhmr.models.tokenizer import PoseTokenizer
from tokenhmr.resources import data_list_path
from tokenhmr.rotations import axis_angle_to_matrix, matrix_to_rows
from tokenhmr.skeleton import BODY_JOINTS

_SCORED = slice(1, 22)  # of the 24: no root, no hands


@final
@dataclass(frozen=True, kw_only=True)
class Frames:
    """Poses of held-out motion, and whose they are."""

    material: Material
    tokenizer: PoseTokenizer
    rotations: Float[Tensor, "frame 21 3 3"]
    keys: tuple[str, ...]
    clips: tuple[str, ...]  # one for each frame


@final
@dataclass(frozen=True, kw_only=True)
class Reconstruction:
    """A protocol. Every field is part of its hash, and so are the hashes of the files used.

    MPJPE is over joints 1 to 21 and PVE over all vertices, neither aligned: the root is the same on both sides. MPJAE is the
    mean angle of the 24 rotations as seen from the root.
    """

    dataset: str
    split: str
    source: str
    data_list: str  # in data_lists/: motion sets with their rules of sampling
    sets: Sequence[str]
    frames: str
    body: str
    joints: str
    alignment: str
    units: str
    assets: Mapping[str, str | None]

    def gather(self, settings: Settings) -> Frames:
        """Tokenizer, motion and body. Raises ``ValueError`` or ``FileNotFoundError``."""
        if settings.data_root is None:
            raise ValueError("no motion: data_root=FOLDER names the folder that the sets of data_list start at")
        root, folder = Path(settings.data_root), Path(settings.body_folder)
        kind, listed = settings.body or self.body, settings.data_list or self.data_list
        assets = {name: wanted for name, wanted in self.assets.items() if name != DATA and name != self.body}
        hashes = hashes_of(assets | {kind: self.assets.get(kind)}, folder)
        chosen = [entry for entry in read_motion_list(data_list_path(listed)) if (entry.split, entry.name) in self._wanted()]
        if len(chosen) != len(self.sets):
            raise ValueError(f"{listed} has no {self.split} sets {', '.join(self.sets)}, only {len(chosen)} of them")
        poses, keys, clips = [], [], []
        for entry in chosen:
            place = root / entry.motion
            if not place.is_file():
                raise missing(
                    entry.motion,
                    place,
                    origin=f"{entry.origin}, by python -m tokenhmr.data.prepare amass FOLDER --list {listed}",
                    expected=self.assets.get(DATA),
                )
            motion = read_motion(place)
            poses.append(torch.from_numpy(motion.body_pose))
            keys += [f"{entry.name}/{frame:06d}" for frame in range(len(motion.body_pose))]
            clips += [f"{entry.name}/{recording_of(motion.names[clip])}" for clip in motion.clip]
        hashes[DATA] = check("the motion", sha256([root / entry.motion for entry in chosen]), self.assets.get(DATA))
        tokenizer = load_tokenizer(settings.weights).to(settings.device).eval()
        share = slice(settings.rank, None, settings.world)
        return Frames(
            material=Material(
                model=tokenizer,
                batches=(),
                body=load_body(kind, folder=folder).to(settings.device),
                device=settings.device,
                name=f"{listed} with weights {settings.weights}",
                used={"body": kind, "assets": hashes},
                one_by_one=settings.one_by_one,
                reporting=settings.reporting,
            ),
            tokenizer=tokenizer,
            rotations=axis_angle_to_matrix(torch.cat(poses))[share],
            keys=tuple(keys[share]),
            clips=tuple(clips[share]),
        )

    def _wanted(self) -> set[tuple[str, str]]:
        return {(self.split, name) for name in self.sets}

    def __call__(self, material: Frames) -> Findings:
        """The report of ``report.make_report``, by clip, with the use of the codes in this process's share."""
        given = material.material
        said = asdict(self)
        words = said | {"sets": list(self.sets), "assets": dict(self.assets), "used": dict(given.used)}
        check_others(words, given)
        used = torch.zeros(material.tokenizer.codes)
        rows = list(reconstructed(material, used))
        use = code_use(used)
        note = f"codes in use: {100 * use['codes_hit']:.1f} %, perplexity {use['perplexity']:.1f} (of this process's frames)"
        whole = not given.reporting.beside
        return make_report(rows, words=words, material=given, joints=BODY_JOINTS, notes=[note] if whole else [])


def reconstructed(frames: Frames, used: Float[Tensor, " code"]) -> Iterator[Row]:
    """A row for each frame; how often each code came is added to ``used``."""
    given, step = frames.material, 1 if frames.material.one_by_one else 256
    for start in range(0, len(frames.keys), step):
        truth = frames.rotations[start : start + step].to(given.device)
        with torch.inference_mode():
            found = frames.tokenizer(matrix_to_rows(truth))
        used += torch.bincount(found.index.flatten().cpu(), minlength=len(used))
        yield from _rows(frames, start, found.rotations, truth, given.body)


def _rows(
    frames: Frames, start: int, found: Float[Tensor, "batch 21 3 3"], truth: Float[Tensor, "batch 21 3 3"], body: Body
) -> Iterator[Row]:
    with torch.inference_mode():
        poses = [zero_root_pose(rotations, body) for rotations in (found, truth)]
        said, meant = (body(pose).to("cpu") for pose in poses)
    errors = joint_errors(said.skeleton[:, _SCORED], meant.skeleton[:, _SCORED])
    numbers = {
        "mpjpe": errors.mean(dim=1),
        "pa_mpjpe": pa_mpjpe(said.skeleton[:, _SCORED], meant.skeleton[:, _SCORED]),
        "pve": joint_errors(said.vertices, meant.vertices).mean(dim=1),
        "mpjae": joint_angles(in_camera(poses[0]).cpu(), in_camera(poses[1]).cpu()).mean(dim=1),
    }
    for place in range(len(found)):
        yield Row(
            key=frames.keys[start + place],
            person=frames.clips[start + place],
            numbers={name: float(values[place]) for name, values in numbers.items()},
            traits={},
            joint_mm=errors[place].tolist(),
            said=[],
            meant=[],
        )
