"""What the demo costs to start, and for each person, all its usual outputs written.

python benchmarks/demo_speed.py --rounds 5

The clock is processor time of the whole command (user and system, all threads, one OpenMP thread), the least of the rounds:
wall time says more of the machine's other work. A person costs what a run on many pictures takes more than a run on one.
"""

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tokenhmr.demo.pictures import sample_folder


def seconds(*arguments: str) -> float:
    """Processor time of one command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tokenhmr.demo", *arguments]
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=5, help="the least of so many counts (default: %(default)s)")
    options.add_argument("--pictures", type=int, default=21, help="of one person each, 512x512 (default: %(default)s)")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "many").mkdir()
        for number in range(given.pictures):
            shutil.copy(sample_folder() / "skimage_astronaut.jpg", folder / "many" / f"{number}.jpg")
        out = ("--out", str(folder / "out"), "--force")
        least = min(seconds("--help") for _ in range(given.rounds))
        sys.stdout.write(f"--help: {least:.2f} s\n")
        for detector in ("full", "own", "hog"):
            ways = {"one": folder / "many" / "0.jpg", "many": folder / "many"}
            took = {way: [] for way in ways}
            for _ in range(given.rounds):  # in turns, so that both see the same neighbours
                for way, path in ways.items():
                    took[way].append(seconds(str(path), "--detector", detector, *out))
            one, many = min(took["one"]), min(took["many"])
            person = (many - one) / (given.pictures - 1)
            sys.stdout.write(f"--detector {detector}: start {one - person:.2f} s, each person {person:.3f} s\n")


if __name__ == "__main__":
    main()
