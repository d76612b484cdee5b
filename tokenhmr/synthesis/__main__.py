"""``python -m tokenhmr.synthesis --out DIR``: write annotated pictures of bodies as webdataset shards."""

from __future__ import annotations

import argparse
import os
import sys
import tarfile
import time
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tokenhmr.render import check_picture_path, contact_sheet
from tokenhmr.synthesis.chunks import SPLITS
from tokenhmr.synthesis.looks import LOOKS
from tokenhmr.synthesis.poses import Shares
from tokenhmr.synthesis.shards import draw_joints, synthesize


def main(arguments: list[str] | None = None) -> int:
    """Run the command; the exit status is 2 for what the user can mend, in one line."""
    options = _parser().parse_args(arguments)
    try:
        return _run(options)
    except (FileNotFoundError, NotADirectoryError, PermissionError, ValueError, ImportError) as reason:
        if options.debug:
            raise
        sys.stderr.write(f"error: {reason}\n")
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tokenhmr.synthesis",
        description="Render clothed open bodies and write them as webdataset shards: picture, every annotation, mask.",
        epilog="The same seed gives the same bytes with any number of workers. Splits share no pose subject, seed or look.",
    )
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder for the shards; made if it is not there")
    add("--count", type=int, default=2000, help="how many pictures (default: %(default)s)")
    add("--seed", type=int, default=0, help="another seed, other pictures (default: %(default)s)")
    add("--look", choices=tuple(LOOKS), default="first", help="second: other cameras, light, shader, places; split test only")
    add("--split", choices=SPLITS, default="train", help="which split to make (default: %(default)s)")
    add("--motion", type=Path, help="folder with train, val and test of AMASS-layout .npz (default: the package's key poses)")
    add("--key-pose-share", type=float, help="key poses beside --motion in the train split (default: 0.2)")
    add(
        "--token-share",
        type=float,
        help="people of --motion in the train split whose pose is said anew in the packaged tokenizer's words, "
        "within limits and prior (default: 0.15)",
    )
    add(
        "--limb-share",
        type=float,
        help="people of --motion in the train split whose arms and legs each come from another frame (default: 0)",
    )
    add("--tilt-share", type=float, help="people of --motion in the train split who lean, up to upside down (default: 0)")
    add("--workers", type=int, default=os.cpu_count() or 1, help="processes; 0 works in this one (default: one for each core)")
    add("--per-shard", type=int, default=1000, help="pictures in a tar (default: %(default)s)")
    add("--pseudo", action="store_true", help="spoil the labels as fitted pseudo-labels are, and mark them as not trusted")
    add(
        "--joints-only",
        action="store_true",
        help="no pictures: joints and poses alone, for learn_from=joints",
    )
    add("--contact-sheet", type=Path, metavar="FILE", help="also write the first pictures as one picture (.png or .jpg)")
    add("--force", action="store_true", help="replace shards of the same name in the folder")
    add("--quiet", action="store_true", help="no progress bar, no summary")
    add("--debug", action="store_true", help="show the traceback of an error")
    return parser


def _shares(options: argparse.Namespace) -> Shares:
    """The shares asked for, others as they are by default; a ``ValueError`` where they are shares of nobody."""
    kinds = {"key_pose_share": "key_poses", "token_share": "tokens", "limb_share": "limbs", "tilt_share": "tilts"}
    given = {option: value for option in kinds if (value := getattr(options, option)) is not None}
    if given and (options.motion is None or options.split != "train"):
        option = "--" + next(iter(given)).replace("_", "-")
        raise ValueError(f"{option} is of the people of --motion in the train split: others stand as they do")
    return Shares(**{kinds[option]: value for option, value in given.items()})


def _run(options: argparse.Namespace) -> int:
    start = time.perf_counter()
    what = "people" if options.joints_only else "pictures"
    if options.joints_only and (options.pseudo or options.contact_sheet or options.look != "first"):
        raise ValueError("--joints-only draws no pictures and no pseudo-labels: leave out --pseudo, --look and --contact-sheet")
    if options.contact_sheet is not None:
        check_picture_path(options.contact_sheet)
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, disable=options.quiet, transient=True) as progress:
        task = progress.add_task(what, total=options.count)
        shares = _shares(options)
        make = partial(draw_joints, shares=shares)
        if not options.joints_only:
            make = partial(synthesize, pseudo=options.pseudo, look=options.look, shares=shares)
        paths = make(
            options.out,
            count=options.count,
            seed=options.seed,
            split=options.split,
            motion=options.motion,
            workers=options.workers,
            per_shard=options.per_shard,
            force=options.force,
            progress=lambda done: progress.update(task, completed=done),
        )
    seconds = time.perf_counter() - start
    if options.contact_sheet is not None:
        sheet = contact_sheet(read_pictures(paths[0], count=64), columns=8)
        if not cv2.imwrite(str(options.contact_sheet), sheet[..., ::-1]):
            raise ValueError(f"{options.contact_sheet} cannot be written: is the folder there?")
    if not options.quiet:
        rate = options.count / seconds
        sys.stdout.write(f"{options.count} {what} in {seconds:.1f} s ({rate:.0f}/s): {len(paths)} shards in {options.out}\n")
    return 0


def read_pictures(shard: Path, *, count: int) -> list[UInt8[np.ndarray, "height width 3"]]:
    """The first pictures of a shard, RGB."""
    pictures = []
    with tarfile.open(shard) as tar:
        for entry in tar:
            if entry.name.endswith(".jpg") and len(pictures) < count:
                file = tar.extractfile(entry)
                assert file is not None, entry.name
                pixels = cv2.imdecode(np.frombuffer(file.read(), np.uint8), cv2.IMREAD_COLOR)
                assert pixels is not None, entry.name
                pictures.append(pixels[..., ::-1])
    return pictures


if __name__ == "__main__":
    sys.exit(main())
