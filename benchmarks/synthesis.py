"""Pictures a second: ``python benchmarks/synthesis.py [--motion DIR] [--count 1000]``.

Wall time with 1, 2, ... processes, starting them included and not, and where the CPU time of one picture goes. On a machine
that does other work at the same time only the CPU times mean something.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import tempfile
import time
from pathlib import Path

from tokenhmr.synthesis import synthesize
from tokenhmr.synthesis.chunks import CHUNK, Order, make_chunk
from tokenhmr.synthesis.poses import Shares

STAGES = {
    "behind": "place", "throw": "shadows", "before": "things before", "settle": "setting", "dress": "clothes",
    "sample_camera": "camera", "_paint": "body, shaded, 2x2 samples, shadows",
    "hide": "occluders", "expose": "lens and sensor", "exact": "labels",
    "_encode": "JPEG and PNG", "forward": "skinning", "_poses": "poses",
}  # fmt: skip


def stages(order: Order) -> None:
    make_chunk(order, 0, CHUNK)
    profile = cProfile.Profile(time.process_time)
    chunks = range(1, 5)
    start = time.process_time()
    for chunk in chunks:
        make_chunk(order, chunk, CHUNK)
    plain = 1e3 * (time.process_time() - start) / (CHUNK * len(chunks))
    profile.enable()
    for chunk in chunks:
        make_chunk(order, chunk, CHUNK)
    profile.disable()
    print(f"CPU time of one picture: {plain:.1f} ms; with the profiler on:")
    found = {}
    for (file, _, name), (_, _, _, total, _) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        if name in STAGES and "tokenhmr" in file:
            found[STAGES[name]] = found.get(STAGES[name], 0.0) + 1e3 * total / (CHUNK * len(chunks))
    for name, cost in sorted(found.items(), key=lambda item: -item[1]):
        print(f"  {name:40s}{cost:6.2f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--motion", type=Path)
    parser.add_argument("--count", type=int, default=1000)
    options = parser.parse_args()
    stages(Order(seed=0, split="train", motion=options.motion, pseudo=False, shares=Shares()))
    print(f"load of the machine before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    for workers in range(1, (os.cpu_count() or 1) + 1):
        arrivals: list[float] = []
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            synthesize(
                Path(folder),
                count=options.count,
                motion=options.motion,
                workers=workers,
                progress=lambda _: arrivals.append(time.perf_counter()),  # noqa: B023
            )
            whole = time.perf_counter() - start
        # From the first chunk to the last: what a long run sees.
        steady = (len(arrivals) - CHUNK) / (arrivals[-1] - arrivals[CHUNK - 1])
        print(f"{workers} processes: {options.count / whole:6.1f} pictures/s with starting them, {steady:6.1f} without")


if __name__ == "__main__":
    main()
