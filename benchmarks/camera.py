"""Is it worth telling a model the picture's camera? ``python benchmarks/camera.py --data DIR --out docs/camera.md``.

``DIR`` has ``train`` and ``test`` folders of AMASS-layout npz, split by subject. Small networks go from joints in a crop to
joints in space and the turn of the body (``models.places.PlaceReader``, the part of a model that reads places), three ways, at
the same steps on the same people: ``untold``, ``turned`` (it learns what an eye turned to the crop sees; its answers are turned
back by the known camera, as the demo does) and ``told``. All are judged on other people, in the picture's camera. Numbers go
to a JSON beside the page, after every seed.
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
from card.seeded import interval
from jaxtyping import Float
from torch import Tensor, nn

from tokenhmr.data.augment import Augmentation
from tokenhmr.data.mocap import recording_of
from tokenhmr.demo.camera import turns_to_rays
from tokenhmr.evaluation.metrics import joint_angles, mpjpe, pa_mpjpe
from tokenhmr.models.parts import FACING
from tokenhmr.models.places import PlaceReader
from tokenhmr.rotations import axis_angle_to_matrix, rows_to_matrix
from tokenhmr.skeleton import EXTRA_JOINTS, JOINTS44, PELVIS44, subset
from tokenhmr.structs import Batch
from tokenhmr.synthesis.chunks import CHUNK, Order, cast
from tokenhmr.synthesis.joints import make_joints
from tokenhmr.synthesis.poses import Shares
from tokenhmr.training.drawn import Arrays, DrawnBatches, read_drawn
from tokenhmr.training.lifting import HALF_HEIGHT, HALF_WIDTH, SURE, as_found
from tokenhmr.training.optim import adamw, cosine

WAYS = ("untold", "turned", "told")
JOINTS = ("found", "exact")  # with the errors of a locator, or without any
NUMBERS = ("MPJPE", "PA-MPJPE", "orientation")  # millimetres, millimetres, degrees
SLICES = {"under 10": (0.0, 10.0), "10 to 25": (10.0, 25.0), "over 25": (25.0, 90.0)}  # degrees from the optical axis
SCORED = subset(EXTRA_JOINTS[:14], JOINTS44)  # the fourteen joints of LSP, from the pelvis
TURN = 0.3  # weight of the turn (squared difference of matrices) beside the joints (metres, summed)
CLIP = 5.0


class Said(NamedTuple):
    """A network's answer."""

    joints: Float[Tensor, "row 44 3"]  # metres, from the pelvis
    orient: Float[Tensor, "row 3 3"]


class Network(nn.Module):
    """Places, and where it is told the view, to joints and a turn; it starts from a body that faces the camera."""

    def __init__(self, *, camera: bool, hidden: int, layers: int) -> None:
        super().__init__()
        self.reader = PlaceReader(width=len(JOINTS44) * 3 + 6, hidden=hidden, layers=layers, camera=camera)
        self.camera = camera

    def forward(self, places: Float[Tensor, "row 44 3"], view: Float[Tensor, "row 3"]) -> Said:
        said = self.reader(places, view if self.camera else None)
        joints = said[:, 6:].unflatten(1, (-1, 3))
        return Said(joints - joints[:, PELVIS44, None], rows_to_matrix(said[:, None, :6] + said.new_tensor(FACING))[:, 0])


class People(NamedTuple):
    """Joints and parameters, by ``training.drawn.FIELDS``, and the recording that each pose is of."""

    arrays: Arrays
    recording: np.ndarray


def options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder with train/ and test/")
    add("--out", type=Path, default=Path("docs/camera.md"), help="the page (default: %(default)s)")
    add("--train", type=int, default=20000, help="people to learn from (default: %(default)s)")
    add("--drawn", type=Path, help="folder of python -m tokenhmr.synthesis --joints-only to learn from, in place of --train")
    add("--test", type=int, default=1280, help="people to be judged on (default: %(default)s)")
    add("--steps", type=int, default=1500, help="of each training (default: %(default)s)")
    add("--batch-size", type=int, default=128, help="people in a step (default: %(default)s)")
    add("--lr", type=float, default=2e-3, help="learning rate (default: %(default)s)")
    add("--seeds", type=int, default=3, help="trainings of each way (default: %(default)s)")
    add("--draws", type=int, default=2000, help="of the bootstrap (default: %(default)s)")
    add("--hidden", type=int, default=256, help="width of a network (default: %(default)s)")
    add("--layers", type=int, default=2, help="residual steps of a network (default: %(default)s)")
    return parser.parse_args(arguments)


def draw(motion: Path, split: str, count: int, seed: int) -> People:
    """People of the package's synthetic pictures, at the places and under the lenses that those have."""
    order = Order(seed=seed, split=split, motion=motion, pseudo=False, shares=Shares(key_poses=0.0))
    chunks = range(-(-count // CHUNK))
    parts = [make_joints(order, chunk, CHUNK) for chunk in chunks]
    arrays = {name: torch.from_numpy(np.concatenate([part[name] for part in parts])[:count]) for name in parts[0]}
    if split != "test":
        return People(arrays, np.array([]))
    names = [recording_of(source.rpartition(":")[0]) for chunk in chunks for source in cast(order, chunk).source]
    return People(arrays, np.array(names[:count]))


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


def loss_of(said: Said, batch: Batch) -> Float[Tensor, ""]:
    points = batch.keypoints_3d[..., :3]
    joints = (said.joints - points + points[:, PELVIS44, None]).abs().sum(dim=(1, 2)).mean()
    return joints + TURN * (said.orient - batch.pose.global_orient).square().sum(dim=(1, 2)).mean()


def trained(people: Arrays, chosen: argparse.Namespace, seed: int) -> dict[str, Network]:
    """One network of each way, which all see the same people with the same errors in every step."""
    networks, optimizers, schedules = {}, {}, {}
    for way in WAYS:
        torch.manual_seed(seed)
        networks[way] = Network(camera=way == "told", hidden=chosen.hidden, layers=chosen.layers)
        optimizers[way] = adamw(networks[way], lr=chosen.lr, weight_decay=0.02, betas=(0.9, 0.99))
        schedules[way] = cosine(optimizers[way], steps=chosen.steps, warmup=min(100, chosen.steps))
    augmentation = Augmentation(scale=0.2, turn_degrees=15.0, turn_chance=0.4)
    drawn = DrawnBatches(arrays=people, augmentation=augmentation, batch_size=chosen.batch_size, seed=seed)
    chance = torch.Generator().manual_seed(seed)
    for batch in islice(drawn, chosen.steps):
        assert batch.view is not None
        places = as_found(batch.keypoints_2d, chance)
        for way, network in networks.items():
            optimizers[way].zero_grad(set_to_none=True)
            loss_of(network(places, batch.view), as_the_eye_sees(batch) if way == "turned" else batch).backward()
            nn.utils.clip_grad_norm_(network.parameters(), CLIP)
            optimizers[way].step()
            schedules[way].step()
    return networks


def shown_joints(keypoints: Float[Tensor, "row 44 3"], joints: str) -> Float[Tensor, "row 44 3"]:
    """What a lifter reads of them, the same for every lifter."""
    if joints == "found":
        return as_found(keypoints, torch.Generator().manual_seed(7))
    limit = torch.tensor([HALF_WIDTH, HALF_HEIGHT])
    return torch.cat([keypoints[..., :2].clamp(-limit, limit), torch.full_like(keypoints[..., 2:], SURE)], dim=-1)


@torch.inference_mode()
def judged(network: Network, way: str, people: People) -> dict[str, dict[str, np.ndarray]]:
    """Every number of every row, by the joints that were shown."""
    arrays, found = people.arrays, {}
    truth = arrays["keypoints_3d"] - arrays["keypoints_3d"][:, PELVIS44, None]
    turn = axis_angle_to_matrix(arrays["pose"][:, 0])
    for joints in JOINTS:
        said = network(shown_joints(arrays["keypoints_2d"], joints), arrays["view"])
        if way == "turned":
            eye = eyes(arrays["view"])
            said = Said(said.joints @ eye.mT, eye @ said.orient)
        one, other = said.joints[:, SCORED], truth[:, SCORED]
        angle = joint_angles(said.orient[:, None], turn[:, None])[:, 0]
        numbers = torch.stack([mpjpe(one, other), pa_mpjpe(one, other), angle.to(one.dtype)]).double().numpy()
        found[joints] = dict(zip(NUMBERS, numbers, strict=True))
    return found


def compare(rows: dict[str, list[Any]], people: People, draws: int) -> dict[str, Any]:
    """Means over trainings and rows, with intervals over trainings and recordings; and differences row by row."""
    x, y, _ = people.arrays["view"].double().numpy().T
    away = np.degrees(np.arctan(np.hypot(x, y)))
    masks = {"all": away >= 0} | {name: (away >= low) & (away < high) for name, (low, high) in SLICES.items()}
    result: dict[str, Any] = {"people": {name: int(mask.sum()) for name, mask in masks.items()}}
    for joints in JOINTS:
        for number in NUMBERS:
            every = {way: np.stack([seed[joints][number] for seed in seeds]) for way, seeds in rows.items()}
            columns = every | {f"told less {way}": every["told"] - every[way] for way in ("untold", "turned")}
            found: dict[str, Any] = {}
            for slice_name, mask in masks.items():
                recording = people.recording[mask]
                if len(set(recording)) > 1:
                    found[slice_name] = {
                        name: interval(values[:, mask], recording, draws=draws) for name, values in columns.items()
                    }
            result[f"{number}, {joints}"] = found
            result[f"{number}, {joints}"]["seeds"] = {
                way: [float(seed[joints][number].mean()) for seed in seeds] for way, seeds in rows.items()
            }
    return result


def blocks(found: dict[str, Any]) -> dict[str, str]:
    columns = [*WAYS, "told less untold", "told less turned"]
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


def write(chosen: argparse.Namespace, rows: dict[str, list[Any]], learnt: Arrays, asked: People, seconds: float) -> None:
    settings = {name: value for name, value in vars(chosen).items() if name not in ("data", "out", "drawn")}
    settings |= {"train": len(learnt["betas"]), "seeds": len(rows[WAYS[0]])}
    found = {"settings": settings, "processor_seconds": seconds, "judged": compare(rows, asked, chosen.draws)}
    write_results(chosen.out, found, blocks(found))


def main(arguments: Sequence[str] | None = None) -> int:
    chosen = options(arguments)
    for split in ("train", "test"):
        if not (chosen.data / split).is_dir():
            sys.stderr.write(f"error: no folder {chosen.data / split}: --data wants train and test of AMASS-layout npz\n")
            return 2
    begun = time.process_time()
    asked = draw(chosen.data, "test", chosen.test, 12)
    learnt = draw(chosen.data, "train", chosen.train, 11).arrays if chosen.drawn is None else read_drawn(chosen.drawn)
    rows: dict[str, list[Any]] = {way: [] for way in WAYS}
    for seed in range(chosen.seeds):
        for way, network in trained(learnt, chosen, seed).items():
            rows[way].append(judged(network.eval(), way, asked))
            last = {name: round(float(values.mean()), 2) for name, values in rows[way][-1]["found"].items()}
            print(f"{way}, seed {seed}: {last}, {time.process_time() - begun:.0f} s", flush=True)
        write(chosen, rows, learnt, asked, time.process_time() - begun)
    return 0


if __name__ == "__main__":
    sys.exit(main())
