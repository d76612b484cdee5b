"""Is it worth telling a model the picture's camera? ``python benchmarks/camera.py --data DIR --out docs/camera.md``.

``DIR`` has ``train`` and ``test`` folders of AMASS-layout npz, split by subject. From joints in a crop, without pictures, the
packaged image model's half behind its joint locator goes on learning, three ways from the same weights on the same people:
``untold`` (as it is), ``turned`` (it learns what an eye turned to the crop sees; its bodies are turned back by the known
camera, as the demo does) and ``told`` (``camera_token``). All are judged on other people, in the picture's camera. Numbers go
to a JSON beside the page.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from card.page import table, within, write_results
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from jaxtyping import Float
from torch import Tensor, nn

from tokenhmr.body import Body
from tokenhmr.data.augment import Augmentation
from tokenhmr.data.mocap import recording_of
from tokenhmr.demo.camera import turns_to_rays
from tokenhmr.evaluation.intervals import estimate
from tokenhmr.evaluation.metrics import joint_angles, mpjpe, pa_mpjpe
from tokenhmr.models.pretrained import load
from tokenhmr.models.tokenhmr import TokenHMR, build_tokenhmr
from tokenhmr.resources import config_folder
from tokenhmr.rotations import axis_angle_to_matrix
from tokenhmr.structs import Batch, Pose, ask
from tokenhmr.synthesis.chunks import CHUNK, Order, cast
from tokenhmr.synthesis.joints import make_joints
from tokenhmr.training.drawn import DrawnBatches
from tokenhmr.training.lifting import HALF_HEIGHT, HALF_WIDTH, SURE, JointBatches, Lifter, as_found
from tokenhmr.training.optim import adamw, cosine

WAYS = ("untold", "turned", "told")
JOINTS = ("found", "exact")  # with the errors of a locator, or without any
NUMBERS = ("MPJPE", "PA-MPJPE", "orientation")  # millimetres, millimetres, degrees
SLICES = {"under 10": (0.0, 10.0), "10 to 25": (10.0, 25.0), "over 25": (25.0, 90.0)}  # degrees from the optical axis
AT_ONCE = 128
FROZEN = ("backbone", "locator.score", "locator.look")  # what looks at pictures
CLIP = 5.0


class People(NamedTuple):
    """Joints and parameters, by ``training.drawn.FIELDS``, and the recording that each pose is of."""

    arrays: dict[str, Tensor]
    recording: np.ndarray


def options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder with train/ and test/")
    add("--out", type=Path, default=Path("docs/camera.md"), help="the page (default: %(default)s)")
    add("--train", type=int, default=20000, help="people to learn from (default: %(default)s)")
    add("--test", type=int, default=1920, help="people to be judged on (default: %(default)s)")
    add("--steps", type=int, default=640, help="of each training (default: %(default)s)")
    add("--batch-size", type=int, default=64, help="people in a step (default: %(default)s)")
    add("--lr", type=float, default=5e-4, help="learning rate (default: %(default)s)")
    add("--seeds", type=int, default=3, help="trainings of each way (default: %(default)s)")
    add("--draws", type=int, default=2000, help="of the bootstrap (default: %(default)s)")
    add("--bf16", action="store_true", help="train under autocast, faster on processors that have bfloat16")
    return parser.parse_args(arguments)


def draw(motion: Path, split: str, count: int, seed: int) -> People:
    """People of the package's synthetic pictures, at the places and under the lenses that those have."""
    order = Order(seed=seed, split=split, motion=motion, pseudo=False, key_pose_share=0.0)
    chunks = range(-(-count // CHUNK))
    parts = [make_joints(order, chunk, CHUNK) for chunk in chunks]
    arrays = {name: torch.from_numpy(np.concatenate([part[name] for part in parts])[:count]) for name in parts[0]}
    if split != "test":
        return People(arrays, np.array([]))
    names = [recording_of(source.rpartition(":")[0]) for chunk in chunks for source in cast(order, chunk).source]
    return People(arrays, np.array(names[:count]))


def packaged(*, camera_token: bool) -> TokenHMR:
    """The packaged model; a camera that it is told changes nothing yet."""
    known = load()
    assert isinstance(known, TokenHMR)
    numbers = known.numbers or known.card["numbers"]
    model = build_tokenhmr(
        **{**numbers, "tokenizer": known.tokenizer, "camera_token": camera_token}, body=known.body
    )  # fmt: skip
    lacks = model.load_state_dict(known.state_dict(), strict=False)
    assert not lacks.unexpected_keys and all("camera" in name for name in lacks.missing_keys), lacks
    for name, parameter in model.named_parameters():
        if name.startswith(FROZEN):
            parameter.requires_grad_(False)
    return model


def eyes(view: Float[Tensor, "row 3"]) -> Float[Tensor, "row 3 3"]:
    """The turn of an eye from the optical axis to the middle of each crop."""
    rays = torch.cat([view[:, :2], torch.ones(len(view), 1)], dim=1)
    return torch.from_numpy(turns_to_rays(rays.numpy())).to(view)


def as_the_eye_sees(batch: Batch) -> Batch:
    """Labels in the axes of an eye that is turned to the crop."""
    assert batch.view is not None
    back = eyes(batch.view).mT
    points, sure = batch.keypoints_3d[..., :3], batch.keypoints_3d[..., 3:]
    pose = dataclasses.replace(batch.pose, global_orient=back @ batch.pose.global_orient)
    return dataclasses.replace(batch, keypoints_3d=torch.cat([points @ back.mT, sure], dim=-1), pose=pose)


def trained(way: str, people: People, objective: nn.Module, chosen: argparse.Namespace, seed: int) -> Lifter:
    torch.manual_seed(seed)
    lifter = Lifter(model=packaged(camera_token=way == "told")).train()
    learnt = [parameter for parameter in lifter.parameters() if parameter.requires_grad]
    optimizer = adamw(lifter, lr=chosen.lr, weight_decay=0.02, betas=(0.9, 0.99))
    schedule = cosine(optimizer, steps=chosen.steps, warmup=min(50, chosen.steps))
    augmentation = Augmentation(scale=0.2, turn_degrees=15.0, turn_chance=0.4)
    drawn = DrawnBatches(arrays=people.arrays, augmentation=augmentation, batch_size=chosen.batch_size, seed=seed)
    for batch in islice(JointBatches(batches=drawn, seed=seed), chosen.steps):
        shown = as_the_eye_sees(batch) if way == "turned" else batch
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=chosen.bf16):
            said = ask(lifter, shown)
        objective(said, shown).total.backward()
        nn.utils.clip_grad_norm_(learnt, CLIP)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
    return lifter.eval()


def shown_joints(keypoints: Float[Tensor, "row 44 3"], joints: str) -> Float[Tensor, "row 44 3"]:
    """What a lifter reads of them, the same for every lifter."""
    if joints == "found":
        return as_found(keypoints, torch.Generator().manual_seed(7))
    limit = torch.tensor([HALF_WIDTH, HALF_HEIGHT])
    return torch.cat([keypoints[..., :2].clamp(-limit, limit), torch.full_like(keypoints[..., 2:], SURE)], dim=-1)


@torch.inference_mode()
def judged(lifter: Lifter, way: str, people: People, body: Body) -> dict[str, dict[str, np.ndarray]]:
    """Every number of every row, by the joints that were shown."""
    found: dict[str, dict[str, np.ndarray]] = {}
    arrays = people.arrays
    for joints in JOINTS:
        places = shown_joints(arrays["keypoints_2d"], joints)
        parts = []
        for first in range(0, len(places), AT_ONCE):
            rows = slice(first, first + AT_ONCE)
            view, turns = arrays["view"][rows], axis_angle_to_matrix(arrays["pose"][rows])
            truth = Pose(global_orient=turns[:, 0], body=turns[:, 1:], betas=arrays["betas"][rows])
            said = lifter(places[rows], view) if lifter.asks_view else lifter(places[rows])
            skeleton, orient = said.skeleton, said.pose.global_orient
            if way == "turned":
                eye = eyes(view)
                skeleton, orient = skeleton @ eye.mT, eye @ orient
            one, other = (points - points[:, :1] for points in (skeleton, body.skeleton(truth)))
            angle = joint_angles(orient[:, None], truth.global_orient[:, None])[:, 0]
            parts.append(torch.stack([mpjpe(one, other), pa_mpjpe(one, other), angle]).double())
        found[joints] = dict(zip(NUMBERS, torch.cat(parts, dim=1).numpy(), strict=True))
    return found


def interval(values: np.ndarray, recording: np.ndarray, draws: int) -> list[float]:
    got = estimate(values, recording.tolist(), draws=draws, seed=0)
    assert got.low is not None and got.high is not None, "one recording alone has no interval"
    return [got.mean, got.low, got.high]


def compare(rows: dict[str, list[Any]], people: People, draws: int) -> dict[str, Any]:
    """Means over seeds of every row, then over rows, with intervals by recording; and differences row by row."""
    x, y, _ = people.arrays["view"].double().numpy().T
    away = np.degrees(np.arctan(np.hypot(x, y)))
    masks = {"all": away >= 0} | {name: (away >= low) & (away < high) for name, (low, high) in SLICES.items()}
    result: dict[str, Any] = {"people": {name: int(mask.sum()) for name, mask in masks.items()}}
    for joints in JOINTS:
        for number in NUMBERS:
            mean = {way: np.mean([seed[joints][number] for seed in seeds], axis=0) for way, seeds in rows.items()}
            columns = mean | {f"told less {way}": mean["told"] - mean[way] for way in ("untold", "turned")}
            result[f"{number}, {joints}"] = {
                slice_name: {name: interval(values[mask], people.recording[mask], draws) for name, values in columns.items()}
                for slice_name, mask in masks.items()
                if len(set(people.recording[mask])) > 1
            }
            result[f"{number}, {joints}"]["seeds"] = {
                way: [float(seed[joints][number].mean()) for seed in seeds] for way, seeds in rows.items()
            }
    return result


def blocks(found: dict[str, Any], ways: Sequence[str]) -> dict[str, str]:
    columns = [*ways, "told less untold", "told less turned"]
    made = {}
    for joints in JOINTS:
        lines = []
        for number in NUMBERS:
            for name in ("all", *SLICES):
                cells = found["judged"][f"{number}, {joints}"].get(name)
                if cells is not None:
                    where = name if name == "all" else f"{name}°"
                    lines.append([f"{number}, {where}", *(within(cells[column]) for column in columns)])
        made[joints] = table(["", *columns], lines)
    counts = found["judged"]["people"]
    made["people"] = table(["degrees from the axis", "people"], [[name, str(count)] for name, count in counts.items()])
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    chosen = options(arguments)
    for split in ("train", "test"):
        if not (chosen.data / split).is_dir():
            sys.stderr.write(f"error: no folder {chosen.data / split}: --data wants train and test of AMASS-layout npz\n")
            return 2
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        objective = instantiate(compose("train", ["loss=lift"]).loss)
    begun = time.process_time()
    learnt, asked = draw(chosen.data, "train", chosen.train, 11), draw(chosen.data, "test", chosen.test, 12)
    start = Lifter(model=packaged(camera_token=False)).eval()
    body = start.model.body
    rows: dict[str, list[Any]] = {"packaged": [judged(start, "untold", asked, body)]} | {way: [] for way in WAYS}
    for seed in range(chosen.seeds):
        for way in WAYS:
            rows[way].append(judged(trained(way, learnt, objective, chosen, seed), way, asked, body))
            last = {name: round(float(values.mean()), 2) for name, values in rows[way][-1]["found"].items()}
            print(f"{way}, seed {seed}: {last}, {time.process_time() - begun:.0f} s", flush=True)
    settings = {name: value for name, value in vars(chosen).items() if name not in ("data", "out")}
    found = {
        "settings": settings,
        "processor_seconds": time.process_time() - begun,
        "judged": compare(rows, asked, chosen.draws),
    }
    write_results(chosen.out, found, blocks(found, ["packaged", *WAYS]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
