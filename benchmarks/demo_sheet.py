"""What the demo made, on one sheet: overlay and side view of every picture.

python -m tokenhmr.demo PHOTOS --out demo_out && python benchmarks/demo_sheet.py demo_out sheet.jpg
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

from tokenhmr.render import contact_sheet


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("results", type=Path, help="folder that the demo wrote")
    options.add_argument("sheet", type=Path, help="picture to write")
    options.add_argument("--names", nargs="*", help="only these pictures, in this order (default: all)")
    options.add_argument("--columns", type=int, default=4, help="pictures in a row (default: %(default)s)")
    options.add_argument("--cell", type=int, default=256, help="pixels of a view (default: %(default)s)")
    given = options.parse_args()
    folders = [given.results / name for name in given.names] if given.names else sorted(given.results.iterdir())
    views = []
    for folder in folders:
        if (folder / "overlay.png").is_file():
            views += [cv2.imread(str(folder / name))[..., ::-1] for name in ("overlay.png", "side.png")]
        if (folder / "people.npz").is_file():
            with np.load(folder / "people.npz") as people:
                print(f"{folder.name}: {len(people['box'])} people, boxes: {people['source']}")
    if not views:
        raise SystemExit(f"{given.results}: no results of the demo here")
    sheet = contact_sheet(views, columns=2 * given.columns, cell=(given.cell, given.cell))
    given.sheet.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(given.sheet), sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])


if __name__ == "__main__":
    main()
