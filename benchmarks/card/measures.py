"""The numbers of the tokenizer card. Joints: SMPL's 1 to 21 on the mean open body with zero root; distances in millimetres."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from card.priors import Components, Prior, in_parts
from jaxtyping import Bool, Float, Int
from tokenizer import quantised_pca
from torch import Tensor

from tokenhmr.body import Body
from tokenhmr.body.key_poses import joint_limits
from tokenhmr.data.mocap import Motion, recording_of
from tokenhmr.evaluation.tokenizer import pose_errors, zero_root_pose
from tokenhmr.evaluation.tokenizer_prior import coded_bits, count_codes, motion_limits, outside, separation, turned
from tokenhmr.models.quantizer import perplexity
from tokenhmr.models.tokenizer import PoseTokenizer
from tokenhmr.rotations import axis_angle_to_matrix, geodesic_angle, matrix_to_axis_angle
from tokenhmr.skeleton import BODY_JOINTS
from tokenhmr.training.motion import mirror_body

Poses = Float[Tensor, "pose 21 3 3"]
Index = Int[Tensor, "pose token"]
NOISE = (0.0, 5.0, 10.0, 20.0)  # degrees
STRANGE = (5.0, 10.0, 20.0)
BEYOND = (15.0, 45.0)  # degrees by which a limit is broken


@dataclass(frozen=True)
class Frames:
    """Body rotations and the clip and subject that each is of."""

    rotations: Poses
    clip: np.ndarray
    subject: np.ndarray

    def every(self, stride: int) -> Frames:
        return Frames(self.rotations[::stride], self.clip[::stride], self.subject[::stride])


def frames_of(motion: Motion) -> Frames:
    rotations = axis_angle_to_matrix(torch.from_numpy(motion.body_pose))
    _, place = np.unique([recording_of(name) for name in motion.names], return_inverse=True)
    return Frames(rotations, place[motion.clip], np.array(motion.subjects)[motion.clip])


def with_mirrored(rotations: Poses) -> Poses:
    return torch.cat([rotations, mirror_body(rotations)])


def joints_of(rotations: Poses, body: Body) -> Float[Tensor, "pose 21 3"]:
    """Millimetres."""
    return 1000 * in_parts(lambda part: body.skeleton(zero_root_pose(part, body))[:, 1:22])(rotations)


def apart(one: Poses, other: Poses, body: Body) -> Float[Tensor, "pose 21"]:
    return (joints_of(one, body) - joints_of(other, body)).norm(dim=-1)


def drawn_clips(clip: np.ndarray, draws: int, seed: int = 0) -> np.ndarray:
    """Weights of clips in each draw of a bootstrap by clip: rows are draws, columns the clips in order of their number."""
    count = len(np.unique(clip))
    return np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=draws)


def interval(values: np.ndarray, clip: np.ndarray, *, draws: int = 2000) -> list[float]:
    """Mean, and the 95 % interval of the mean when clips are drawn anew with replacement."""
    _, place = np.unique(clip, return_inverse=True)
    sums, counts = np.bincount(place, weights=values), np.bincount(place)
    weight = drawn_clips(clip, draws)
    low, high = np.quantile((weight @ sums) / (weight @ counts), (0.025, 0.975))
    return [float(values.mean()), float(low), float(high)]


def reconstruction(model: PoseTokenizer, sets: Mapping[str, Frames], body: Body) -> dict[str, Any]:
    """By set, and for ``test`` by subject: joints, vertices and angles with intervals by clip; and every joint."""
    found: dict[str, Any] = {}
    for name, frames in sets.items():
        parts = []
        for rotations in frames.rotations.split(256):
            parts.append(pose_errors(model.decode(model.encode(rotations)), rotations, body))
        whole = {key: torch.cat([part[key] for part in parts]).double().numpy() for key in parts[0]}
        found[name] = described(whole, frames.clip)
        for subject in np.unique(frames.subject) if name == "test" else ():
            rows = frames.subject == subject
            found[f"{name}, {subject}"] = described({key: part[rows] for key, part in whole.items()}, frames.clip[rows])
    return found


def described(errors: Mapping[str, np.ndarray], clip: np.ndarray) -> dict[str, Any]:
    """Errors by pose in numbers for a table."""
    whole = errors["joint_mm"].mean(axis=1)
    joints = {
        joint: {"mm": interval(mm, clip), "p95_mm": float(np.quantile(mm, 0.95)), "deg": float(deg.mean())}
        for joint, mm, deg in zip(BODY_JOINTS, errors["joint_mm"].T, errors["angle_deg"].T, strict=True)
    }
    return {
        "frames": len(clip),
        "clips": len(np.unique(clip)),
        "joint_mm": interval(whole, clip),
        "vertex_mm": interval(errors["vertex_mm"][:, 0], clip),
        "angle_deg": interval(errors["angle_deg"].mean(axis=1), clip),
        "p95_mm": float(np.quantile(whole, 0.95)),
        "joints": joints,
    }


def vocabulary(model: PoseTokenizer, learnt: Index, test: Poses) -> dict[str, Any]:
    """Which codes are used, over all slots and in each, and what a pose costs with and without entropy coding."""
    index = {"train": learnt, "test": in_parts(model.encode)(test)}
    count = {name: count_codes(rows, model.codes) for name, rows in index.items()}
    said: dict[str, Any] = {"tokens": model.tokens, "codes": model.codes, "fixed_bits": model.tokens * math.log2(model.codes)}
    for name, table in count.items():
        slots = perplexity(table)
        said[name] = {
            "poses": len(index[name]),
            "perplexity": float(perplexity(table.sum(dim=0))),
            "dead_codes": int((table.sum(dim=0) == 0).sum()),
            "slot_perplexity": slots.tolist(),
            "slot_codes": (table > 0).sum(dim=1).tolist(),
            "coded_bits": float(coded_bits(index[name], count["train"]).mean()),
        }
    return said


def entropy_coded_pca(train: Poses, test: Poses, step: float) -> tuple[float, Poses]:
    """All 126 components in equal steps under an ideal entropy code with the histograms of training; bits a pose, and poses."""
    components = Components(train, kept=126)
    learnt, wanted = ((components.inside(poses) / step).round().long() for poses in (train, test))
    low = torch.minimum(learnt.amin(dim=0), wanted.amin(dim=0))
    codes = int(torch.maximum(learnt.amax(dim=0), wanted.amax(dim=0)).sub(low).max()) + 1
    bits = coded_bits(wanted - low, count_codes(learnt - low, codes))
    return float(bits.mean()), components.poses(wanted.double() * step)


def rates(
    tokenizers: Mapping[str, PoseTokenizer], learnt: Mapping[str, Index], train: Poses, test: Frames, body: Body
) -> list[dict[str, Any]]:
    """Bits a pose against millimetres: tokenizers with the tokens of training, and PCA in fixed and in entropy-coded steps."""
    points: list[dict[str, Any]] = []

    def add(kind: str, name: str, bits: float, coded: float | None, poses: Poses) -> None:
        error = apart(poses, test.rotations, body).mean(dim=1).double().numpy()
        points.append({"kind": kind, "name": name, "bits": bits, "coded_bits": coded, "mm": interval(error, test.clip)})

    for name, model in tokenizers.items():
        index, count = in_parts(model.encode)(test.rotations), count_codes(learnt[name], model.codes)
        bits = model.tokens * math.log2(model.codes)
        add("tokenizer", name, bits, float(coded_bits(index, count).mean()), in_parts(model.decode)(index))
    for bits in (50, 100, 200, 300, 400, 600, 800):
        add("PCA, fixed steps", f"{bits} bits", bits, None, quantised_pca(train, test.rotations, bits))
    for step in (0.8, 0.4, 0.2, 0.1, 0.05):
        bits, poses = entropy_coded_pca(train, test.rotations, step)
        add("PCA, entropy coded", f"steps of {step}", bits, bits, poses)
    return points


def limits(train: Poses) -> tuple[Float[Tensor, "joint 3"], Float[Tensor, "joint 3"]]:
    """The wider of two: the 0.1 and 99.9 percentiles of (mirrored) training motion, and the limits of the embedded poses."""
    low, high = motion_limits(train)
    authored = [torch.from_numpy(side) for side in joint_limits()]
    return torch.minimum(low, authored[0]), torch.maximum(high, authored[1])


def broken(rotations: Poses, low: Tensor, high: Tensor, generator: torch.Generator) -> Poses:
    """One joint of each pose, any but the collars, bent beyond one of its limits by 15 to 45 degrees."""
    angles = matrix_to_axis_angle(rotations).clone()
    allowed = torch.tensor([row for row, name in enumerate(BODY_JOINTS) if "collar" not in name])
    everyone = torch.arange(len(angles))
    joint = allowed[torch.randint(len(allowed), (len(angles),), generator=generator)]
    axis = torch.randint(3, (len(angles),), generator=generator)
    extra = torch.empty(len(angles)).uniform_(*(math.radians(value) for value in BEYOND), generator=generator)
    above = torch.rand(len(angles), generator=generator) < 0.5
    angles[everyone, joint, axis] = torch.where(above, high[joint, axis] + extra, low[joint, axis] - extra)
    return axis_angle_to_matrix(angles)


def shuffled(rotations: Poses, generator: torch.Generator) -> Poses:
    """Each joint from another pose: every joint is real, the whole is nobody's."""
    order = torch.stack([torch.randperm(len(rotations), generator=generator) for _ in BODY_JOINTS], dim=1)
    return rotations[order, torch.arange(len(BODY_JOINTS))]


def strange_sets(test: Frames, low: Tensor, high: Tensor, seed: int) -> dict[str, Poses]:
    generator = torch.Generator().manual_seed(seed)
    made = {f"noise of {degrees:g} degrees": turned(test.rotations, degrees, generator) for degrees in STRANGE}
    made["a limit broken"] = broken(test.rotations, low, high, generator)
    made["joints of many poses"] = shuffled(test.rotations, generator)
    return made


def noise_curve(
    priors: Sequence[Prior], test: Frames, body: Body, low: Tensor, high: Tensor, seed: int
) -> list[dict[str, Any]]:
    """Poses with noise before and after each prior: how far joints are from the truth, angles, and joints outside limits."""
    found = []
    for degrees in NOISE:
        noisy = turned(test.rotations, degrees, torch.Generator().manual_seed(seed)) if degrees else test.rotations
        for name, poses in [("as it is", noisy), *((prior.name, prior.restore(noisy)) for prior in priors)]:
            error = apart(poses, test.rotations, body).mean(dim=1).double().numpy()
            angle = geodesic_angle(poses, test.rotations).rad2deg().mean(dim=1).double().numpy()
            beyond = outside(poses, low, high).double().mean(dim=1).numpy()
            found.append({
                "degrees": degrees, "name": name, "mm": interval(error, test.clip), "deg": interval(angle, test.clip),
                "outside": interval(beyond, test.clip),
            })  # fmt: skip
    return found


def nearest_apart(queries: Poses, book: Float[Tensor, "pose 21 3"], body: Body) -> Float[Tensor, " query"]:
    """Mean joint distance to the pose of the book whose joints are nearest in the sum of squares."""
    flat = book.flatten(start_dim=1)
    bias = -0.5 * flat.square().sum(dim=1)
    found = []
    for part in joints_of(queries, body).split(128):
        chosen = torch.addmm(bias, part.flatten(start_dim=1), flat.T).argmax(dim=1)
        found.append((book[chosen] - part).norm(dim=-1).mean(dim=1))
    return torch.cat(found)


def made_up(
    priors: Sequence[Prior], train: Poses, test: Frames, body: Body, low: Tensor, high: Tensor, *, count: int, seed: int
) -> list[dict[str, Any]]:
    """Poses that each prior makes up: how far the nearest training pose is, how different they are from one another, limits."""
    book = joints_of(train, body)

    def row(name: str, way: str, poses: Poses) -> dict[str, Any]:
        distance = nearest_apart(poses, book, body)
        beyond: Bool[Tensor, "pose 21"] = outside(poses, low, high)
        half = len(poses) // 2
        return {
            "name": name, "way": way, "nearest_mm": distance.quantile(torch.tensor([0.5, 0.05, 0.95])).tolist(),
            "apart_mm": float(apart(poses[:half], poses[half : 2 * half], body).mean()),
            "outside": float(beyond.double().mean()), "any_outside": float(beyond.any(dim=1).double().mean()),
        }  # fmt: skip

    generator = torch.Generator().manual_seed(seed)
    chosen = test.rotations[torch.randperm(len(test.rotations), generator=generator)[:count]]
    found = [row("test motion", "real", chosen)]
    for prior in priors:
        found += [row(prior.name, way, draw(count, generator)) for way, draw in prior.draws.items()]
    return found


def strangeness(priors: Sequence[Prior], test: Frames, made: Mapping[str, Poses], *, draws: int = 200) -> list[dict[str, Any]]:
    """How well each score tells real test poses from each strange set: area under the ROC curve, interval by clip."""
    _, place = np.unique(test.clip, return_inverse=True)
    weight = drawn_clips(test.clip, draws)
    rows_of = [np.flatnonzero(place == number) for number in range(weight.shape[1])]
    drawn = [
        torch.from_numpy(np.concatenate([np.tile(rows_of[number], times) for number, times in enumerate(line) if times]))
        for line in weight
    ]
    found = []
    for prior in priors:
        for kind, score in prior.scores.items():
            real = score(test.rotations).double()
            for name, poses in made.items():
                strange = score(poses).double()
                some = [separation(strange[rows], real[rows]) for rows in drawn]
                low, high = np.quantile(some, (0.025, 0.975))
                found.append(
                    {
                        "name": prior.name,
                        "score": kind,
                        "set": name,
                        "auc": [separation(strange, real), float(low), float(high)],
                    }
                )
    return found
