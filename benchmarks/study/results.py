"""From the JSON of single runs to one small file that the page is made from: sums by clip, curves, and the labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import yaml
from jaxtyping import Float
from torch import Tensor

from tokenhmr.camera import project_to_crop
from tokenhmr.demo.light_body import JointBody
from tokenhmr.evaluation.metrics import aligned_on, mpjpe, pa_mpjpe
from tokenhmr.evaluation.thresholds import best_crop_camera
from tokenhmr.rotations import axis_angle_to_matrix
from tokenhmr.skeleton import SMPL_JOINTS
from tokenhmr.structs import Pose

from .design import BINS, KEPT_SHARES
from .fits import fit
from .material import TRUTH, Labels, Rows, joint_body, pose_prior, read_material
from .runner import Place, comparison, longer
from .training import MEASURED

FILE = "study_tokens_and_tals.json"
_SIDES = ("left", "right")


def collect(place: Place) -> dict[str, Any]:
    """Everything that was found; runs that are not there are left out, and the page says how many seeds a cell has."""
    chosen = json.loads((place.folder / "chosen.json").read_text(encoding="utf-8"))
    results = {
        path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted((place.folder / "results").glob("*.json"))
    }
    mine = [results[run.name] for run in comparison(place.size, chosen) if run.name in results]
    long = [results[run.name] for run in longer(place.size, chosen) if run.name in results]
    if not mine:
        raise ValueError(f"no finished run of the comparison below {place.folder}")
    first = mine[0]["test"]
    material = read_material(place.folder)
    return {
        "size": {
            "steps": place.size.steps, "batch": place.size.batch, "seeds": place.size.seeds, "pictures": place.size.pictures,
            "lifted": place.size.start_steps * place.size.start_batch, "tokenizer_steps": place.size.tokenizer_steps,
        },
        "chosen": chosen, "clips": first["clips"], "counts": first["counts"], "runs": [_kept(result) for result in mine],
        "longer": [_kept(result) for result in long],
        "tuning": [
            {"name": name, "val": result["val"]}
            for name, result in results.items()
            if result["run"]["stage"] not in MEASURED
        ],
        "labels": about_labels(material["train"]), "starts": about_starts(place, material["train"]),
        "camera": about_camera(material["test"]),
        "left_out": {f"{kept:g}": left_out(material["train"], kept) for kept in KEPT_SHARES},
        "thresholds": yaml.safe_load(place.thresholds.read_text(encoding="utf-8")),
        "codes": [json.loads(path.read_text(encoding="utf-8")) for path in sorted((place.folder / "codes").glob("*.json"))],
    }  # fmt: skip


def write_found(found: dict[str, Any], docs: Path) -> None:
    docs.mkdir(parents=True, exist_ok=True)
    (docs / FILE).write_text(json.dumps(found, separators=(",", ":")) + "\n", encoding="utf-8")


def _kept(result: dict[str, Any]) -> dict[str, Any]:
    run = {name: result["run"][name] for name in ("head", "loss", "control", "seed", "rate", "kept")}
    test = {"sums": result["test"]["sums"], "bins": result["test"]["bins"]}
    return run | {
        "parameters": result["parameters"],
        "cpu_seconds": result["cpu_seconds"],
        "curve": result["curve"],
        "test": test,
    }


def by_distance(rows: Rows, pick: Tensor, columns: dict[str, Float[Tensor, " row"]]) -> dict[str, dict[str, float]]:
    """Means over picked rows, all of them and by the camera's distance."""
    distance = rows.people.translation[pick, 2]
    masks = {"all": torch.ones_like(distance, dtype=torch.bool)}
    masks |= {f"{low:g}-{high:g}": (distance >= low) & (distance < high) for low, high in BINS}
    return {
        name: {"rows": int(mask.sum())} | {column: round(float(value[mask].mean()), 3) for column, value in columns.items()}
        for name, mask in masks.items()
        if mask.any()
    }


def about_labels(rows: Rows) -> dict[str, Any]:
    """For each kind of pseudo ground truth its error against the truth, mm, and which way it leans, degrees."""
    body, pick = joint_body(), (~rows.trusted).nonzero().flatten()
    truth = skeleton(body, rows.labels[TRUTH], pick)
    straight = posture(truth)
    clips = sorted(set(rows.people.clip))
    place = torch.tensor([clips.index(rows.people.clip[row]) for row in pick.tolist()])
    found = {}
    for kind in ("fitted", "fitted_true_camera", "unbiased"):
        said = skeleton(body, rows.labels[kind], pick)
        columns = errors(said, truth) | {
            name: value - straight[name] for name, value in posture(said).items()
        }  # fmt: skip
        sums = {
            name: [round(x, 2) for x in torch.zeros(len(clips)).double().index_add_(0, place, value.double()).tolist()]
            for name, value in columns.items()
        }
        found[kind] = {"distance": by_distance(rows, pick, columns), "sums": sums}
    return found | {
        "counts": torch.bincount(place, minlength=len(clips)).tolist(),
        "residual_2d": 100 * float(rows.residual[pick].mean()),
    }


def about_starts(place: Place, rows: Rows) -> dict[str, Any]:
    """The same fits begun elsewhere, on a few people: at the truth, and at the mean pose with the true orientation."""
    body, pick = joint_body(), (~rows.trusted).nonzero().flatten()[: place.size.probe]
    people = type(rows.people)(*(one if isinstance(one, tuple) else one[pick] for one in rows.people))
    prior = pose_prior(place.motion)
    mean = people.rotations.clone()
    mean[:, 1:22] = axis_angle_to_matrix(prior.mean.view(1, 21, 3)).expand(len(mean), -1, -1, -1)
    truth = skeleton(body, rows.labels[TRUTH], pick)
    found = {}
    for start, rotations in (("truth", people.rotations), ("mean pose", mean)):
        for camera, known in (("crop", None), ("true", people)):
            done = fit(body, rows.keypoints[pick], people.seen, rotations, prior, people=known, steps=place.size.fit_steps)
            said = body.body.skeleton(_pose(done.rotations, done.betas))
            found[f"{start}, {camera} camera"] = {name: round(float(v.mean()), 2) for name, v in errors(said, truth).items()}
    return found


def about_camera(rows: Rows) -> dict[str, Any]:
    """How far true joints are from where the crop's camera, at its best, puts them: hundredths of the crop's side."""
    joints, seen = rows.labels[TRUTH].joints, rows.people.keypoints
    camera = best_crop_camera(joints, seen, torch.ones_like(seen[..., 0]))
    distance = 100 * (project_to_crop(joints.double(), camera) - seen.double()).norm(dim=-1).mean(dim=1)
    return by_distance(rows, torch.arange(len(seen)), {"error_2d": distance})


def left_out(rows: Rows, kept: float) -> dict[str, Any]:
    """The share of fitted people that a filter leaves out, by the camera's distance."""
    pick = (~rows.trusted).nonzero().flatten()
    residual = rows.residual[pick]
    return by_distance(rows, pick, {"share": (residual > torch.quantile(residual, kept)).float()})


def errors(said: Float[Tensor, "row 24 3"], truth: Float[Tensor, "row 24 3"]) -> dict[str, Float[Tensor, " row"]]:
    aligned = mpjpe(aligned_on(said, said[:, 0]), aligned_on(truth, truth[:, 0]))
    return {"pa_mpjpe": pa_mpjpe(said, truth), "mpjpe": aligned}


def posture(skeletons: Float[Tensor, "row 24 3"]) -> dict[str, Float[Tensor, " row"]]:
    """Degrees: how far knees are bent, and how far trunk and legs lean out of the picture's plane, upper end to the camera."""
    at = {name: skeletons[:, row] for row, name in enumerate(SMPL_JOINTS)}
    knees, legs = [], []
    for side in _SIDES:
        thigh, shank = at[f"{side}_knee"] - at[f"{side}_hip"], at[f"{side}_ankle"] - at[f"{side}_knee"]
        cosine = torch.cosine_similarity(thigh, shank, dim=-1)
        knees.append(torch.rad2deg(torch.acos(cosine.clamp(-1, 1))))
        legs.append(_lean(at[f"{side}_hip"] - at[f"{side}_ankle"]))
    trunk = _lean(at["neck"] - at["pelvis"])
    return {
        "knee flexion": sum(knees) / 2, "trunk towards camera": trunk, "legs towards camera": sum(legs) / 2,
    }  # fmt: skip  # pyright: ignore


def _lean(bone: Float[Tensor, "row 3"]) -> Float[Tensor, " row"]:
    return torch.rad2deg(torch.asin((-bone[:, 2] / bone.norm(dim=-1)).clamp(-1, 1)))


def skeleton(body: JointBody, labels: Labels, pick: Tensor) -> Float[Tensor, "row 24 3"]:
    return body.body.skeleton(_pose(labels.rotations[pick], labels.betas[pick]))


def _pose(rotations: Float[Tensor, "row 24 3 3"], betas: Float[Tensor, "row 10"]) -> Pose:
    return Pose(global_orient=rotations[:, 0], body=rotations[:, 1:], betas=betas)
