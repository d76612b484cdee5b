"""How long the numbers of 35,000 people take: ``python benchmarks/metrics.py``; joints of all, meshes of a part of them."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor

from tokenhmr.evaluation.metrics import (
    acceleration_error,
    auc,
    joint_angles,
    joint_errors,
    mpjpe,
    pa_mpjpe,
    pck,
    procrustes,
    pve,
)  # fmt: skip

VERTICES, AT_ONCE = 6890, 256


def timed(name: str, people: int, measure: Callable[[], Tensor]) -> None:
    """One line: what, how many people, seconds of wall and processor time."""
    start, busy = time.perf_counter(), time.process_time()
    measure()
    wall, spent = time.perf_counter() - start, time.process_time() - busy
    sys.stdout.write(f"{name:28s} {people:7d} people {wall:8.2f} s {spent:8.2f} s of a processor\n")


def main(arguments: list[str] | None = None) -> None:
    """Chance for joints and rotations; meshes in batches, as they come in an evaluation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=35000, help="(default: %(default)s)")
    parser.add_argument("--meshes", type=int, default=2048, help="people with a mesh (default: %(default)s)")
    said = parser.parse_args(arguments)
    count, generator = said.people, torch.Generator().manual_seed(0)
    truth = torch.randn(count, 14, 3, generator=generator) * 0.4
    found = truth + 0.05 * torch.randn(count, 14, 3, generator=generator)
    turns = torch.linalg.qr(torch.randn(count, 24, 3, 3, generator=generator)).Q
    timed("MPJPE", count, lambda: mpjpe(found, truth))
    timed("PA-MPJPE", count, lambda: pa_mpjpe(found, truth))
    timed("MPJAE (24 rotations)", count, lambda: joint_angles(turns, turns.roll(1, dims=0)))
    timed("AUC 3D", count, lambda: auc(joint_errors(found, truth)))
    counts = torch.ones(count, 14, dtype=torch.bool)
    timed("PCK 2D", count, lambda: pck(found[..., :2], truth[..., :2], counts=counts, box_size=torch.ones(count)))
    timed("acceleration error", count, lambda: acceleration_error(found, truth))
    skin = torch.randn(AT_ONCE, VERTICES, 3, generator=generator) * 0.4
    other = skin + 0.05 * torch.randn(AT_ONCE, VERTICES, 3, generator=generator)
    rounds = -(-said.meshes // AT_ONCE)
    timed("PVE", rounds * AT_ONCE, lambda: torch.stack([pve(other, skin) for _ in range(rounds)]))
    timed("PA-PVE", rounds * AT_ONCE, lambda: torch.stack([procrustes(other, skin).mean() for _ in range(rounds)]))


if __name__ == "__main__":
    main()
