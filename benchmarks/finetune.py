"""Pictures of one's "own" for docs/finetune.md: ``python benchmarks/finetune.py --motion MOTION --out DIR [--count 600]``.

MOTION is a folder of AMASS-layout npz with train/ and test/. Synthetic pictures of those motions are turned into what a bad
camera at night would show (grey, dim, unsharp, noisy), which the packaged weights have never seen. Training pictures keep
what a person could click: COCO's 17 joints in 2D, off by about a hundredth of the person. Held-out pictures keep the truth, so
that 3D errors can be measured. DIR gets pictures/, labels.json and heldout.json, as ``python -m tokenhmr.data.prepare
pictures`` reads them.
"""

from __future__ import annotations

import argparse
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tokenhmr.skeleton import JOINTS44, subset
from tokenhmr.synthesis import synthesize
from tokenhmr.synthesis.poses import Shares

COCO = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow",
    "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip
OFF = 0.01  # of the larger side of the box: how far a click is from the joint (sigma)
CAPTURED = Shares(key_poses=0.0)  # motion capture alone


def night(picture: bytes, generator: np.random.Generator) -> bytes:
    """A JPEG as a bad camera without light shows it."""
    grey = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_GRAYSCALE).astype(np.float32)
    unsharp = cv2.GaussianBlur(grey, (0, 0), float(generator.uniform(1.0, 2.0)))
    dim = unsharp * generator.uniform(0.2, 0.45) + generator.normal(0, 9, size=grey.shape)
    done, data = cv2.imencode(".jpg", dim.clip(0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 70])
    assert done
    return data.tobytes()


def rows_of(shards: list[Path]) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Picture and label of each sample."""
    for shard in shards:
        with tarfile.open(shard) as tar:
            for member in tar.getmembers():
                if member.name.endswith(".json"):
                    both = [tar.extractfile(member.name.removesuffix(".json") + ending) for ending in (".jpg", ".json")]
                    picture, label = (file.read() for file in both if file is not None)
                    yield picture, json.loads(label)


def clicked(label: dict[str, Any], generator: np.random.Generator, *, off: float) -> dict[str, list[float]]:
    """The joints that lie in the picture, by name."""
    points = np.array(label["keypoints_2d"])[list(subset(COCO, of=JOINTS44))]
    points[:, :2] += generator.normal(0, off * max(label["box_size"]), size=(len(points), 2))
    return {name: [round(x, 2), round(y, 2)] for name, (x, y, seen) in zip(COCO, points.tolist(), strict=True) if seen > 0}


def make(motion: Path, out: Path, *, split: str, count: int, seed: int, labels: str) -> None:
    """One JSON of labels and its pictures; exact ones for the test split."""
    drawn = synthesize(out / "drawn", count=count, seed=seed, split=split, motion=motion, shares=CAPTURED, force=True)
    (out / "pictures").mkdir(exist_ok=True)
    generator, people = np.random.default_rng(seed), {}
    for number, (picture, label) in enumerate(rows_of(drawn)):
        name = f"{split}_{number:05d}.jpg"
        (out / "pictures" / name).write_bytes(night(picture, generator))
        row: dict[str, Any] = {"joints_2d": clicked(label, generator, off=0.0 if split == "test" else OFF)}
        if split == "test":
            row |= {"pose": label["pose"], "betas": label["betas"], "trusted": True}
        people[name] = [row] if len(row["joints_2d"]) >= 2 else []
    (out / labels).write_text(json.dumps(people))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--motion", type=Path, required=True, help="folder with train/ and test/")
    options.add_argument("--out", type=Path, required=True)
    options.add_argument("--count", type=int, default=600, help="pictures to train on (default: %(default)s)")
    options.add_argument("--held-out", type=int, default=300, help="pictures to measure on (default: %(default)s)")
    given = options.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    make(given.motion, given.out, split="train", count=given.count, seed=11, labels="labels.json")
    make(given.motion, given.out, split="test", count=given.held_out, seed=12, labels="heldout.json")


if __name__ == "__main__":
    main()
