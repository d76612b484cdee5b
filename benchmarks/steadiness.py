"""How much an answer moves with the box: ``python benchmarks/steadiness.py --data DIR --out docs/steadiness.md``.

``DIR`` has ``synthetic-test-*.tar``. Everybody is asked for once with the box of the labels and again with it moved, made
larger, in the mirror, or in the same picture at twice the size; the two answers are compared with each other, not with the
truth. Intervals (95 %) are over motion clips.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from card.page import table, within, write_results
from jaxtyping import Float, UInt8
from model_card_parts.columns import FIRST_LOOK, pictures_of
from torch import Tensor

import tokenhmr
from tokenhmr.data.mocap import recording_of
from tokenhmr.data.scene import Asked
from tokenhmr.data.shards import tar_samples
from tokenhmr.evaluation.intervals import estimate
from tokenhmr.evaluation.metrics import pa_mpjpe
from tokenhmr.skeleton import JOINTS44, flip_permutation

Picture = UInt8[np.ndarray, "height width 3"]
Box = Float[np.ndarray, "4"]  # left, top, right, bottom, pixels
Change = Callable[[Picture, Box], tuple[Picture, Box]]  # what is shown in place of a picture and its box


class Person(NamedTuple):
    """A person to ask for."""

    picture: Picture
    box: Box
    clip: str


def moved(share: float) -> Change:
    """To the right, by a share of the longer side."""
    return lambda picture, box: (picture, box + share * side_of(box) * np.array([1.0, 0.0, 1.0, 0.0]))


def grown(share: float) -> Change:
    """To all sides alike, longer by a share."""
    return lambda picture, box: (picture, box + share / 2 * side_of(box) * np.array([-1.0, -1.0, 1.0, 1.0]))


def mirrored(picture: Picture, box: Box) -> tuple[Picture, Box]:
    width = picture.shape[1]
    return np.ascontiguousarray(picture[:, ::-1]), np.array([width - box[2], box[1], width - box[0], box[3]])


def doubled(picture: Picture, box: Box) -> tuple[Picture, Box]:
    return cv2.resize(picture, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR), 2 * box


def side_of(box: Box) -> float:
    return float(max(box[2] - box[0], box[3] - box[1]))


CHANGES: dict[str, Change] = {
    "box moved by 0.1 % of its side": moved(0.001), "by 0.5 %": moved(0.005), "by 2 %": moved(0.02), "by 5 %": moved(0.05),
    "box larger by 5 %": grown(0.05), "in the mirror, turned back": mirrored, "the picture at twice the size": doubled,
}  # fmt: skip


def people_of(folder: Path) -> Iterator[Person]:
    """Everybody of the test shards, with the box of the labels."""
    source = pictures_of(folder, FIRST_LOOK)
    asked = Asked(name=source.name, skip=lambda what, why: sys.stderr.write(f"skipped {what}: {why}\n"))
    for sample in (sample for shard in source.shards for sample in tar_samples(str(shard), asked, needs="json")):
        labels, picture = json.loads(sample.files["json"].read()), sample.picture()
        assert picture is not None
        pixels = cv2.imdecode(np.frombuffer(picture.read(), dtype=np.uint8), cv2.IMREAD_COLOR)
        assert pixels is not None, sample.name
        center, half = np.array(labels["box_center"]), np.array(labels["box_size"]) / 2
        source, _, frame = str(labels.get("motion", "")).rpartition(":")  # frames of motion have a number, key poses none
        clip = recording_of(source) if frame.isdigit() else sample.key
        yield Person(np.ascontiguousarray(pixels[..., ::-1]), np.concatenate([center - half, center + half]), clip)


def answer(predictor: tokenhmr.Predictor, picture: Picture, box: Box) -> Float[Tensor, "1 44 3"]:
    """Joints in metres."""
    (person,) = predictor(picture, box[None])
    return torch.from_numpy(person.joints)[None].float()


def turned_back(joints: Float[Tensor, "1 44 3"]) -> Float[Tensor, "1 44 3"]:
    """What was said of a mirror image, of the picture."""
    return joints[:, list(flip_permutation(JOINTS44))] * torch.tensor([-1.0, 1.0, 1.0])


def measure(weights: str, people: Sequence[Person], draws: int) -> dict[str, Any]:
    """PA-MPJPE (mm) between both answers after each change, with its interval over clips, and its 95th percentile."""
    predictor, clips = tokenhmr.Predictor(tokenhmr.load(weights)), [person.clip for person in people]
    first = [answer(predictor, person.picture, person.box) for person in people]
    found: dict[str, Any] = {}
    for name, change in CHANGES.items():
        apart = []
        for person, before in zip(people, first, strict=True):
            after = answer(predictor, *change(person.picture, person.box))
            apart.append(float(pa_mpjpe(turned_back(after) if change is mirrored else after, before)))
        known = estimate(np.array(apart), clips, draws=draws, seed=0)
        found[name] = {"mm": [known.mean, known.low, known.high], "p95": float(np.quantile(apart, 0.95))}
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with synthetic-test-*.tar")
    parser.add_argument("--weights", default="default", help="folder of weights (default: the packaged ones)")
    parser.add_argument("--count", type=int, default=200, help="people (default: %(default)s)")
    parser.add_argument("--draws", type=int, default=2000, help="of the bootstrap (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("docs/steadiness.md"), help="the page (default: %(default)s)")
    chosen = parser.parse_args(arguments)
    try:
        people = list(islice(people_of(chosen.data), chosen.count))
    except FileNotFoundError as absent:
        sys.stderr.write(f"error: {absent}\n")
        return 2
    found = measure(chosen.weights, people, chosen.draws)
    rows = [[name, within(one["mm"]), f"{one['p95']:.1f}"] for name, one in found.items()]
    block = table(["change", "PA-MPJPE between both answers, mm", "95th percentile of people"], rows)
    write_results(chosen.out, {"people": len(people), "found": found}, {"steadiness": block})
    return 0


if __name__ == "__main__":
    sys.exit(main())
