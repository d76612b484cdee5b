"""Samples a second of one core, from pictures to batches: ``python benchmarks/data.py [--rounds 11] [--pictures DIR]``.

Pictures of 1280x720 pixels with 1.7 people on average, in the layout of 4D-Humans' shards, with masks and without. A plain
reader (data_plain.py) and ours take turns, both with the full augmentation; they must give the same crops before they are
timed. Then our own shards alone, the memory of a worker and the time to the first batch. Without ``--pictures`` noise is
drawn that weighs as much as photographs. Processor time, one thread: other work on the machine slows both alike.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import itertools
import json
import multiprocessing
import os
import pickle
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from data_plain import plain_batches, plain_pictures, plain_sample
from rounds import contest

from tokenhmr.data import crop
from tokenhmr.data.augment import Augmentation, prepare
from tokenhmr.data.batches import train_batches
from tokenhmr.data.opened import open_scene
from tokenhmr.data.readers.fourdhumans import FourDHumans
from tokenhmr.data.sources import Source
from tokenhmr.structs import IMAGE_MEAN, IMAGE_STD, Batch, Pose
from tokenhmr.synthesis import synthesize

WIDTH, HEIGHT = 1280, 720
BATCH = 24
SETS = 8  # in a mixture such as TokenHMR's
CROWDS = (1, 2, 1, 3, 1, 2, 2, 1, 3, 1)  # people in a picture


def write_shard(path: Path, *, count: int, masks: bool, photographs: list[Path]) -> int:
    """A shard of 4D-Humans' layout; the number of people in it."""
    total = 0
    with tarfile.open(path, "w") as tar:
        for number in range(count):
            generator = np.random.default_rng(number)
            people = [a_person(generator, row) for row in range(CROWDS[number % len(CROWDS)])]
            total += len(people)
            files = {"jpg": a_picture(number, photographs), "data.pyd": pickle.dumps(people)}
            if masks:
                drawn = np.zeros((len(people), HEIGHT, WIDTH), dtype=np.uint8)
                for mask, person in zip(drawn, people, strict=True):
                    middle, half = person["center"].astype(int).tolist(), (person["scale"] * 90).astype(int).tolist()
                    cv2.ellipse(mask, middle, half, 0, 0, 360, 1, -1)
                packed = io.BytesIO()
                np.savez_compressed(packed, masks=drawn > 0)
                files["detection.npz"] = packed.getvalue()
            for ending, data in files.items():
                member = tarfile.TarInfo(f"p{number:05d}.{ending}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    return total


def a_person(generator: np.random.Generator, row: int) -> dict[str, Any]:
    """Standing somewhere, 200 to 680 pixels high."""
    high = generator.uniform(200, 680)
    size = np.array([high * generator.uniform(0.3, 0.8), high])
    center = generator.uniform(size / 2, np.maximum([WIDTH, HEIGHT] - size / 2, size / 2 + 1))
    points = center + generator.uniform(-0.5, 0.5, (44, 2)) * size
    sure = np.ones((44, 1))
    return {
        "keypoints_2d": np.hstack([points, sure]).astype(np.float32),
        "keypoints_3d": np.hstack([generator.normal(size=(44, 3)), sure]).astype(np.float32),
        "center": center, "scale": size / 200, "body_pose": generator.normal(scale=0.3, size=72).astype(np.float32),
        "betas": generator.uniform(-2, 2, 10).astype(np.float32), "has_body_pose": np.array(1.0), "has_betas": np.array(1.0),
        "extra_info": {"detection_npz_idx": row},
    }  # fmt: skip


def a_picture(number: int, photographs: list[Path]) -> bytes:
    """JPEG of quality 90, 1280x720."""
    if photographs:
        photograph = cv2.imread(str(photographs[number % len(photographs)]))
        pixels = cv2.resize(photograph, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    else:
        noise = np.random.default_rng(number).normal(size=(HEIGHT, WIDTH, 3)).astype(np.float32)
        fine, coarse = cv2.GaussianBlur(noise, (0, 0), 1.0), cv2.GaussianBlur(noise, (0, 0), 12.0)
        pixels = np.clip(128 + 45 * fine + 900 * coarse, 0, 255).astype(np.uint8)
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()


def source(shard: Path, *, masks: bool, name: str = "people") -> Source:
    return Source(name=name, shards=(shard,), reader=FourDHumans(masks=masks))


def check(shard: Path) -> None:
    """Both make the same crops and labels of the same people with the same chance."""
    scenes = source(shard, masks=False).scenes(0, skip=lambda what, why: sys.exit(f"{what}: {why}"))
    usual, generator = Augmentation(), np.random.default_rng(0)
    for scene, (frame, _, people) in zip(itertools.islice(scenes, 12), plain_pictures(shard), strict=False):
        opened = open_scene(scene)
        for annotation, person in zip(opened.people, people, strict=True):
            # A mirrored crop starts from another pixel in either program: half a pixel more or less of the crop.
            change = dataclasses.replace(usual.draw(generator), colour=(1.0, 1.0, 1.0))
            ours = prepare(opened.pixels, annotation, change)
            theirs = plain_sample(frame, np.ones(frame.shape[:2], dtype=bool), person, change)
            limit = 1 / 256 * (256 / ours.box_side) + 1e-4 if change.flip else 1e-4
            assert np.abs(ours.keypoints_2d - theirs["keypoints_2d"]).max() < limit, scene.name
            assert np.abs(ours.keypoints_3d - theirs["keypoints_3d"]).max() < 1e-4, scene.name
            if ours.box_side < 500 and not change.flip:  # larger ones we blur, so that they do not alias
                mean, std = (np.array(values, dtype=np.float32)[:, None, None] for values in (IMAGE_MEAN, IMAGE_STD))
                difference = (theirs["image"] * std + mean) * 255 - ours.image
                assert np.abs(difference).max() < 8 and np.abs(difference).mean() < 0.01, scene.name


def bytes_of(batch: Batch | Pose) -> int:
    """What travels to the device."""
    values = [getattr(batch, field.name) for field in dataclasses.fields(batch)]
    return sum(bytes_of(v) if isinstance(v, Pose) else v.nbytes for v in values if isinstance(v, Pose | torch.Tensor))


def compare(shards: dict[bool, Path], rounds: int) -> None:
    """The table."""
    print("| shard | read by us | ours, samples/cpu-s | plain | ours / plain | KB a sample, ours | plain |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for in_shard, asked in ((False, False), (True, False), (True, True)):
        ours = iter(train_batches(sources=[source(shards[in_shard], masks=asked)], batch_size=BATCH, buffer=64))
        plain = plain_batches(shards[in_shard], batch_size=BATCH)
        weights = bytes_of(next(ours)), sum(v.nbytes for v in next(plain).values())
        result = contest(lambda: next(ours), lambda: next(plain), rounds=rounds)  # noqa: B023
        row = ["with masks" if in_shard else "without masks", "masks too" if asked else "no masks"]
        row += [f"{1e3 * BATCH / result.ours:.0f}", f"{1e3 * BATCH / result.theirs:.0f}"]
        row += [f"{result.ratio:.2f} ({result.low:.2f} to {result.high:.2f})", *(f"{w / BATCH / 1e3:.0f}" for w in weights)]
        print("| " + " | ".join(row) + " |", flush=True)


def rate(batches: Iterator[Batch], rounds: int) -> tuple[float, float]:
    """Samples a second of processor time: median and best of the rounds."""
    next(batches)
    found = []
    for _ in range(rounds):
        start = time.process_time()
        count = sum(len(batch.image) for batch in itertools.islice(batches, 8))
        found.append(count / (time.process_time() - start))
    return float(np.median(found)), max(found)


def worker_report(shard: Path) -> None:
    """In a process of its own: a worker on a mixture of as many sets as TokenHMR's, its first batch and its largest memory."""
    start = time.perf_counter()
    mixture = [source(shard, masks=False, name=f"set {number}") for number in range(SETS)]
    batches = iter(train_batches(sources=mixture, batch_size=48, workers=1))
    next(batches)
    first = time.perf_counter() - start
    for _ in range(20):
        next(batches)
    (worker,) = multiprocessing.active_children()
    said = dict(line.split(":", 1) for line in Path(f"/proc/{worker.pid}/status").read_text().splitlines())
    print(json.dumps({"first": first, "peak": int(said["VmHWM"].split()[0]) / 1024}))


def decoder() -> str:
    return "OpenCV" if crop.simplejpeg is None else f"simplejpeg {crop.simplejpeg.__version__}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--count", type=int, default=100, help="pictures in a shard (default: %(default)s)")
    parser.add_argument("--pictures", type=Path, help="folder of photographs (*.jpg) to use in place of noise")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)  # the shard that a process of its own reads
    options = parser.parse_args()
    torch.set_num_threads(1)
    crop.one_thread()
    if options.worker is not None:
        return worker_report(options.worker)
    photographs = [] if options.pictures is None else sorted(options.pictures.glob("*.jpg"))
    with tempfile.TemporaryDirectory() as folder:
        shards = {masks: Path(folder) / f"masks-{masks}.tar" for masks in (False, True)}
        for masks, path in shards.items():
            people = write_shard(path, count=options.count, masks=masks, photographs=photographs)
        size = shards[False].stat().st_size / options.count / 1e3
        print(f"{options.count} pictures with {people} people, {size:.0f} KB each, decoded by {decoder()}")
        print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        check(shards[False])
        compare(shards, options.rounds)
        own = Source(name="synthetic", shards=tuple(synthesize(Path(folder), count=options.count)))
        middle, best = rate(iter(train_batches(sources=[own], batch_size=BATCH, buffer=64)), options.rounds)
        print(f"\nown shards, 320x320: {middle:.0f} samples a second of processor time (best {best:.0f})")
        command = [sys.executable, __file__, "--worker", str(shards[True])]
        said = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        print(f"a worker on {SETS} sets: first batch of 48 after {said['first']:.2f} s, at most {said['peak']:.0f} MB")
    return None


if __name__ == "__main__":
    main()
