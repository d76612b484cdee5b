"""What a smaller file of weights costs: ``python benchmarks/stored.py --data DIR --model FOLDER``.

An image model in float32 is written in every form of ``tokenhmr/models/stored.py``, read again and measured on the held-out
synthetic pictures of ``DIR`` as the model card measures (``python -m tokenhmr.synthesis --split test``). Beside each number
stands what it is apart from float32's, person by person, with an interval (95 %) over whole clips of motion.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from model_card_parts.columns import FIRST_LOOK, pictures_of, read_batches, rows_of, values
from model_card_parts.draws import Draws

from tokenhmr.models.pretrained import WEIGHTS, load, read_config, save_pretrained
from tokenhmr.models.stored import DTYPES

NUMBERS = {"mpjpe": ("MPJPE, mm", 1), "pa_mpjpe": ("PA-MPJPE, mm", 1), "pve": ("PVE, mm", 1), "pck2d@0.1": ("PCK@0.1, %", 100)}


@torch.no_grad()
def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path, required=True, help="folder of synthetic-test-*.tar")
    options.add_argument("--model", required=True, help="folder of weights in float32")
    options.add_argument("--count", type=int, help="look at the first so many pictures (default: at all)")
    given = options.parse_args()
    stored = read_config(given.model).get("dtype")
    if stored != DTYPES[0]:
        options.error(f"{given.model} is in {stored}: what that cost is no longer to be seen; --model wants {DTYPES[0]}")
    whole = load(given.model)
    batches = read_batches(pictures_of(given.data, FIRST_LOOK), given.count)
    print(f"| file | MB | {' | '.join(f'{title} | less float32' for title, _ in NUMBERS.values())} |", flush=True)
    exact = None
    for dtype in DTYPES:
        with tempfile.TemporaryDirectory() as folder:
            written = save_pretrained(whole, folder, dtype=dtype) / WEIGHTS
            rows = rows_of(load(folder), batches, whole.body)
            cells = [dtype, f"{written.stat().st_size / 1e6:.1f}"]
        exact = exact or rows
        draws = Draws([row.person for row in rows], count=2000, seed=0)
        for name, (_, unit) in NUMBERS.items():
            (found, clips), (before, _) = values(rows, name), values(exact, name)
            mean, low, high = draws.mean(unit * (found - before), clips)
            cells += [
                f"{unit * np.mean(found):.2f}",
                f"{mean:+.3f}" + (f" ({low:+.3f} to {high:+.3f})" if low is not None else ""),
            ]
        print(f"| {' | '.join(cells)} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
