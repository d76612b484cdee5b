"""How many tokens, codes and channels: ``python benchmarks/tokenizer_sizes.py --data DIR --out docs/tokenizer_sizes.md``.

Trains a tokenizer of each size by the package's own command, all for as many steps of as many poses
(``experiment=tokenizer_cmu`` otherwise), and sets them beside one another on test motion: joint error, what they make of noisy
poses, size, and processor time of a step. Sizes are kept in ``--work``, so that a command that was interrupted goes on.
``--trained NAME=FOLDER`` adds tokenizers that were trained for longer. ``DIR`` has ``train``, ``val`` and ``test`` of
AMASS-layout npz, split by subject.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from card.measures import Frames, apart, frames_of, interval
from card.page import no_motion, table, within, write_results
from card.priors import in_parts

from tokenhmr.body import Body, load_body
from tokenhmr.data.mocap import read_motion
from tokenhmr.evaluation.tokenizer_prior import turned
from tokenhmr.models.pretrained import load_tokenizer
from tokenhmr.models.tokenizer import PoseTokenizer

ROOT = Path(__file__).resolve().parents[1]
NOISE = (5.0, 10.0)  # degrees


class Size(NamedTuple):
    """What is told apart. A pose has 10, 20, 40, ... tokens after 0, 1, 2, ... upsamplings (and the one downsampling)."""

    upsamplings: int
    codes: int
    width: int

    @property
    def name(self) -> str:
        return f"{10 * 2**self.upsamplings} x {self.codes}, width {self.width}"


# One thing changes at a time around the middle.
MIDDLE = Size(3, 1024, 192)
SIZES = [
    *(MIDDLE._replace(upsamplings=number) for number in (1, 2, 3, 4)),
    MIDDLE._replace(codes=256),
    *(MIDDLE._replace(width=number) for number in (96, 288)),
]


def options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder with train/, val/ and test/")
    add("--out", type=Path, default=Path("docs/tokenizer_sizes.md"), help="the page (default: %(default)s)")
    add("--work", type=Path, default=Path("runs/tokenizer_sizes"), help="where tokenizers are kept (default: %(default)s)")
    add("--steps", type=int, default=600, help="of training for each size (default: %(default)s)")
    add("--batch-size", type=int, default=64, help="poses in a step (default: %(default)s)")
    add("--precision", default="bf16", help="of the trainings (default: %(default)s)")
    add("--stride", type=int, default=24, help="every so manieth test frame is asked about (default: %(default)s)")
    add("--only", type=int, help="no more than so many sizes")
    add("--trained", action="append", default=[], metavar="NAME=FOLDER", help="weights that were trained for longer")
    given = parser.parse_args(arguments)
    for words in given.trained:
        if not all(words.partition("=")):
            parser.error(f"--trained takes NAME=FOLDER, not {words!r}")
    return given


def train(size: Size, given: argparse.Namespace) -> Path:
    """Weights of this size; what is there already is not trained again. Processor seconds of a step lie beside them."""
    folder = given.work / f"{size.upsamplings}-{size.codes}-{size.width}"
    if not (folder / "seconds.json").is_file():
        command = [
            sys.executable, str(ROOT / "tokenizer_train" / "train.py"), "experiment=tokenizer_cmu", "resume=none",
            f"data={given.data.resolve()}", f"out={folder.resolve()}", f"precision={given.precision}",
            f"steps={given.steps}", f"batch_size={given.batch_size}", f"widen_from={given.steps // 2}", "schedule.warmup=50",
            f"evaluate_every={given.steps}", f"save_every={given.steps}", "picture_every=null",
            f"tokenizer.upsamplings={size.upsamplings}", f"tokenizer.codes={size.codes}", f"tokenizer.width={size.width}",
        ]  # fmt: skip
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": "1"})
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        (folder / "seconds.json").write_text(json.dumps(spent / given.steps))
    return folder


def measured(model: PoseTokenizer, test: Frames, body: Body) -> dict[str, Any]:
    """A row of the table."""
    restore = in_parts(lambda part: model.decode(model.encode(part)))
    found: dict[str, Any] = {
        "bits": model.tokens * math.log2(model.codes),
        "parameters": sum(parameter.numel() for parameter in model.parameters()) + model.quantizer.codebook.numel(),
    }
    for degrees in (0.0, *NOISE):
        noisy = turned(test.rotations, degrees, torch.Generator().manual_seed(0)) if degrees else test.rotations
        error = apart(restore(noisy), test.rotations, body).mean(dim=1).double().numpy()
        found[f"{degrees:g}"] = interval(error, test.clip)
    return found


def as_table(rows: Sequence[dict[str, Any]]) -> str:
    lines = []
    for row in rows:
        seconds = f"{row['seconds'] / rows[0]['seconds']:.2f}" if "seconds" in row else ""
        lines.append([
            row["name"], f"{row['bits']:.0f}", f"{row['parameters'] / 1e6:.2f}", f"{2 * row['parameters'] / 1e6:.1f}", seconds,
            *(within(row[f"{degrees:g}"]) for degrees in (0.0, *NOISE)),
        ])  # fmt: skip
    head = ["tokens x codes", "bits a pose", "million parameters", "MB as fp16", "a step's processor time, over the first's"]
    return table([*head, "test joints mm", *(f"after {degrees:g} degrees of noise mm" for degrees in NOISE)], lines)


@torch.no_grad()
def main(arguments: Sequence[str] | None = None) -> int:
    given = options(arguments)
    if words := no_motion(given.data):
        sys.stderr.write(words)
        return 2
    body, test = load_body("open"), frames_of(read_motion(given.data / "test")).every(given.stride)
    rows = []
    for size in SIZES[: given.only]:
        folder = train(size, given)
        seconds = json.loads((folder / "seconds.json").read_text())
        rows.append({"name": size.name, "seconds": seconds} | measured(load_tokenizer(folder / "best"), test, body))
        print(f"{size.name}: {rows[-1]['0'][0]:.1f} mm", flush=True)
    for name, _, place in (words.partition("=") for words in given.trained):
        rows.append({"name": name} | measured(load_tokenizer(place), test, body))
    found = {"steps": given.steps, "batch_size": given.batch_size, "rows": rows}
    write_results(given.out, found, {"sizes": as_table(rows)})
    return 0


if __name__ == "__main__":
    sys.exit(main())
