"""Finding people: ``python benchmarks/finder.py --photos DIR [--data DIR] --out docs/finder.md [--sheet FILE]``.

On photographs with boxes drawn by hand (``photo_boxes.json``): how many of the people each of the package's detectors finds,
how many boxes it says beside them, and the processor time of a photograph, all detectors in turn on the same photographs. With
``--data`` also on held-out synthetic pictures (``python -m tokenhmr.synthesis --split test``). Intervals (95 %) draw whole
photographs. ``--sheet`` draws what the packaged detector said: right boxes green, wrong ones red, missed people white.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

HAND_DRAWN = Path(__file__).with_name("photo_boxes.json")


def options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--photos", type=Path, required=True, help="folder of photographs")
    add("--boxes", type=Path, default=HAND_DRAWN, help="boxes by photograph (default: the hand-drawn ones)")
    add("--data", type=Path, help="folder with synthetic-test-*.tar")
    add("--weights", default="default", help="folder of a finder's weights (default: those of the package)")
    add("--out", type=Path, default=Path("docs/finder.md"), help="the page (default: %(default)s)")
    add("--sheet", type=Path, help="a picture with what was found in each photograph")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    given = options(arguments)
    from finder_parts.finding import measure  # torch comes with it, and a wrong option need not wait for that

    return measure(given)


if __name__ == "__main__":
    sys.exit(main())
