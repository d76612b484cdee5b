"""How much memory the demo takes for a short and for a long video: its largest resident size, every two seconds.

python benchmarks/demo_memory.py --frames 100 2000

Made-up videos of 640x480, one box, the packaged weights or --weights DIR; Linux only (it reads /proc).
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from tokenhmr.demo.video import VideoWriter

SIZE, RATE, PAGE = (640, 480), Fraction(30), 4096


def write_clip(path: Path, frames: int) -> None:
    """A bright disc that walks over grey."""
    with VideoWriter(path, size=SIZE, rate=RATE) as video:
        for number in range(frames):
            image = np.full((SIZE[1], SIZE[0], 3), 90, dtype=np.uint8)
            cv2.circle(image, (20 + number % (SIZE[0] - 40), SIZE[1] // 2), 15, (250, 250, 250), -1)
            video.write(image, number / RATE)


def largest(command: list[str]) -> int:
    """Run it; bytes."""
    process, most = subprocess.Popen(command, stdout=subprocess.DEVNULL), 0
    while process.poll() is None:
        try:
            most = max(most, int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * PAGE)
        except (OSError, IndexError):
            break
        time.sleep(2)
    if process.wait():
        raise SystemExit(f"it ended with {process.returncode}")
    return most


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--frames", type=int, nargs="+", default=[100, 2000], help="lengths to try (default: 100 2000)")
    options.add_argument("--weights", default="default", help="as the demo takes it (default: %(default)s)")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for frames in given.frames:
            clip = folder / f"clip_{frames}.mp4"
            write_clip(clip, frames)
            (folder / "boxes.json").write_text(json.dumps({clip.name: [[50, 20, 300, 460]]}))
            command = [sys.executable, "-m", "tokenhmr.demo", str(clip), "--boxes", str(folder / "boxes.json")]
            most = largest([*command, "--out", str(folder / "out"), "--weights", given.weights])
            print(f"{frames} frames: {most / 2**20:.0f} MiB")


if __name__ == "__main__":
    main()
