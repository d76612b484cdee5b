"""Beyond synthetic pictures: marked people in photographs, what an answer costs, and poses never trained on."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Mapping
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import photo_people
import torch
from demo_speed import seconds

from tokenhmr.body import Body
from tokenhmr.demo.pictures import sample_folder
from tokenhmr.models.onnx_export import export_onnx
from tokenhmr.rotations import axis_angle_to_matrix

MANY = 11  # pictures in the longer of two runs of the demo
THREADS = 2


def photographs(weights: str, folder: Path, work: Path, *, draws: int, seed: int) -> dict[str, Any]:
    """The columns of ``benchmarks/photo_people.py``, as the pictures are and as a mirror shows them."""
    found = {}
    for way, mirrored in (("as they are", False), ("mirrored", True)):
        given = argparse.Namespace(
            photos=folder, marks=photo_people.MARKS, weights=weights, mirrored=mirrored, draws=draws, seed=seed,
            out=work / way.replace(" ", "_"),
        )  # fmt: skip
        with redirect_stdout(StringIO()):
            found[way] = photo_people.measure(given)
    return found


def speed(weights: str, *, rounds: int) -> dict[str, str]:
    """The demo as people run it, in processor time of one thread; and the network alone through onnxruntime, by the clock."""
    one = sample_folder() / "skimage_astronaut.jpg"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "many").mkdir()
        for number in range(MANY):
            (folder / "many" / f"{number}.jpg").write_bytes(one.read_bytes())
        rest = ("--weights", weights, "--detector", "full", "--out", str(folder / "out"), "--force")
        took = [(seconds(str(one), *rest), seconds(str(folder / "many"), *rest)) for _ in range(rounds)]
        first, all_ = (min(times) for times in zip(*took, strict=True))
        person = (all_ - first) / (MANY - 1)
        found = {
            "start-up of the demo, processor time": f"{first - person:.1f} s",
            "each person, all files of the demo written, processor time": f"{person:.2f} s",
        }
        return found | onnx_speed(weights, folder / "model.onnx")


def onnx_speed(weights: str, path: Path) -> dict[str, str]:
    """Milliseconds of a crop, alone; the median of 30. Says what is missing where onnx or onnxruntime is not installed."""
    words = f"network through ONNX, one crop, {THREADS} threads"
    try:
        import onnxruntime

        export_onnx(weights, path)
    except (ImportError, ValueError) as reason:
        return {words: f"not measured: {reason}"}
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    crop = np.random.default_rng(0).integers(0, 256, (1, 256, 256, 3), dtype=np.uint8)
    first, *more = (given.name for given in session.get_inputs())
    asked = {first: crop} | {name: np.array([[0.0, 0.0, 0.25]], dtype=np.float32) for name in more}
    took = []
    for _ in range(30):
        start = time.perf_counter()
        session.run(None, asked)
        took.append(time.perf_counter() - start)
    return {words: f"{1000 * float(np.median(took)):.0f} ms"}


def unseen(labels: Mapping[str, Mapping[str, Any]], motion: Path, body: Body, *, every: int = 2) -> dict[str, float]:
    """How far the nearest training pose, or its mirror, is from the pose of each picture: mean joint distance, mm.

    Root and shape are left out. Every so manieth training frame is looked at.
    """
    from card.measures import frames_of, joints_of, nearest_apart, with_mirrored

    from tokenhmr.data.mocap import read_motion

    book = joints_of(with_mirrored(frames_of(read_motion(motion / "train")).every(every).rotations), body)
    turns = np.array([row["pose"] for row in labels.values()], dtype=np.float32)[:, 1:22]
    found = nearest_apart(axis_angle_to_matrix(torch.from_numpy(turns)), book, body)
    return dict(zip(labels, found.tolist(), strict=True))
