"""TokenHMR's own claims on synthetic truth: ``python benchmarks/study.py --data MOTION``, about an hour of two cores.

Makes near synthetic people, fits pseudo ground truth to their 2D joints as the field does, trains four heads under four
losses and five controls with five seeds each, and writes the page docs/study_tokens_and_tals.md from what it found. Goes on
where it was stopped. ``--page`` remakes the page from the committed numbers and runs nothing. What is compared and how it
is judged stands in benchmarks/study/design.py.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")  # before torch is imported: workers are the parallelism

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

from benchmarks.study.design import SIZES  # noqa: E402
from benchmarks.study.page import read_found, write_page  # noqa: E402
from benchmarks.study.results import collect, write_found  # noqa: E402
from benchmarks.study.runner import Place, everything  # noqa: E402


def main(arguments: list[str] | None = None) -> int:
    """Run the command; the exit status is 2 for what the user can mend, in one line."""
    options = _parser().parse_args(arguments)
    try:
        return _run(options)
    except (FileNotFoundError, NotADirectoryError, ValueError) as reason:
        if options.debug:
            raise
        sys.stderr.write(f"error: {reason}\n")
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", type=Path, help="folder with train, val and test of AMASS-layout .npz (needed unless --size tiny or --page)")
    add(
        "--size", choices=SIZES, default="full", help="tiny: seconds, on the package's own poses, means nothing (default: full)"
    )
    add("--out", type=Path, default=ROOT / "runs" / "study", help="where pictures and results of single runs are kept")
    add("--docs", type=Path, default=ROOT / "docs", help="where the page, its pictures and its numbers are written")
    add("--workers", type=int, default=2, help="processes; 0 works in this one (default: %(default)s)")
    add("--minutes", type=float, default=1e6, help="begin no run of the comparison after so long (default: no limit)")
    add("--page", action="store_true", help="only write the page, from the numbers beside it")
    add("--debug", action="store_true", help="show the traceback of an error")
    return parser


def _run(options: argparse.Namespace) -> int:
    if options.workers < 0 or options.minutes < 0:
        raise ValueError(f"workers {options.workers} and minutes {options.minutes} should be 0 or more")
    if not options.page:
        size = SIZES[options.size]
        if options.data is None and size.name != "tiny":
            raise ValueError("the study wants real motion: --data FOLDER with train, val and test (or --size tiny)")
        if options.data is not None and not options.data.is_dir():
            raise FileNotFoundError(f"no folder {options.data}")
        folder = options.out / size.name
        folder.mkdir(parents=True, exist_ok=True)
        until = time.time() + 60 * options.minutes
        place = Place(folder=folder, motion=options.data, size=size, workers=options.workers, until=until)
        everything(place, _say)
        write_found(collect(place), options.docs)
    write_page(read_found(options.docs), options.docs)
    return 0


def _say(line: str) -> None:
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
