"""Milliseconds to draw one body: ``python benchmarks/rendering.py``. One thread; best and middle of several runs."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch

from tokenhmr.body import load_body
from tokenhmr.render import overlay, rasterize
from tokenhmr.render.shading import vertex_normals


def milliseconds(job: Callable[[], object], runs: int) -> str:
    job()  # compiling and first touches are not counted
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        job()
        times.append(1e3 * (time.perf_counter() - start))
    return f"{min(times):8.2f} {float(np.median(times)):8.2f}"


def main() -> None:
    torch.set_num_threads(1)
    body = load_body("open")
    faces = body.faces.numpy().astype(np.int32)
    turn = torch.tensor([1.0, -1.0, -1.0])
    vertices = (body.rest_vertices * turn).numpy().astype(np.float32) + np.float32([0, 0.1, 5])
    print(f"{len(vertices)} vertices, {len(faces)} triangles, T-pose filling three quarters of the picture\n")
    print(f"{'':44s}{'best':>8s} {'middle':>8s}  ms")
    print(f"{'vertex normals (NumPy)':44s}{milliseconds(lambda: vertex_normals(vertices, faces), 20)}")
    for side in (256, 512, 1024):
        lens = {"focal": 2.2 * side, "center": (side / 2, side / 2), "width": side, "height": side}
        for backend, runs in (("numba", 30), ("numpy", 5)):
            for both in (True, False):
                name = f"rasterize {side} {backend}, {'both sides' if both else 'outside only'}"
                job = lambda: rasterize(vertices, faces, both_sides=both, backend=backend, **lens)  # noqa: B023, E731
                print(f"{name:44s}{milliseconds(job, runs)}")
        image = np.zeros((side, side, 3), dtype=np.uint8)
        job = lambda: overlay(image, [vertices], faces, focal=2.2 * side, center=(side / 2, side / 2))  # noqa: B023, E731
        print(f"{f'overlay {side}, 2x2 samples, shaded':44s}{milliseconds(job, 5)}")


if __name__ == "__main__":
    main()
