"""The options of ``python -m tokenhmr.data.prepare``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from tokenhmr.data.motion.clips import Sampling
from tokenhmr.data.motion.convert import RELEASED
from tokenhmr.data.readers import READERS
from tokenhmr.data.writer import Storage

EPILOG = """\
examples:
  python -m tokenhmr.data.prepare amass AMASS --list tokenizer_amass --out motion     all sets of a list, split and thinned out
  python -m tokenhmr.data.prepare amass AMASS/CMU --out motion/train/train_CMU.npz    one set
  python -m tokenhmr.data.prepare bvh walks/ --out motion/train/walks.npz             BVH of any skeleton that we have a map of
  python -m tokenhmr.data.prepare amc subjects/01 --out motion/train                  clips in AMASS's layout
  python -m tokenhmr.data.prepare pictures labels.json --out shards                   your own pictures (docs/data.md)
  python -m tokenhmr.data.prepare shards h36m-train/*.tar --format 4dhumans --out shards    another format, cut out for speed
  python -m tokenhmr.data.prepare check shards/*.tar                                  is all of it readable, do labels fit?
  python -m tokenhmr.data.prepare stats synthetic --root shards --out stats           pose, shape, scale and occlusion

Each command has its own --help; docs/data.md shows the layouts. Exit status: 0; 1 when check found what
cannot be read; 2 when nothing could be done.
"""


def parser() -> argparse.ArgumentParser:
    """The options of all commands."""
    options = argparse.ArgumentParser(
        prog="python -m tokenhmr.data.prepare",
        description="Data of others to our layouts, and a look at what came out.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = options.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, what in (("amass", "AMASS (SMPL+H or SMPL-X)"), ("moyo", "MOYO")):
        add = commands.add_parser(name, help=f"{what} to the tokenizer's npz").add_argument
        add("source", type=Path, metavar="FOLDER", help="what was unpacked; without --list all of it is one set")
        add("--list", metavar="NAME|FILE", help="sets to make, with their splits: a name in data_lists, or a yaml like them")
        add("--out", type=Path, required=True, metavar="DIR|FILE.npz", help="the data folder with --list, else the set's file")
        _add_sampling(add, RELEASED[name])
        _add_common(add)
    for name, what in (("bvh", "BVH files"), ("amc", "AMC files with their ASF")):
        add = commands.add_parser(name, help=f"{what} of any skeleton to SMPL's joints").add_argument
        add("inputs", nargs="+", type=Path, metavar="INPUT", help="files, and folders that are searched through")
        add("--out", type=Path, required=True, metavar="DIR|FILE.npz", help="FILE.npz: a set; DIR: clips in AMASS's layout")
        add(
            "--skeleton",
            metavar="NAME|FILE",
            help="map from its joints to SMPL's: a name in data_lists/skeletons, or a yaml like them (default: what fits)",
        )
        if name == "amc":
            add("--asf", type=Path, metavar="FILE", help="the skeleton (default: the .asf beside each .amc)")
            add("--source-fps", type=float, metavar="X", help="frames a second of the files (default: what the map says)")
        add("--fps", type=float, default=30.0, metavar="X", help="frames a second to keep (default: %(default)g)")
        add(
            "--cut",
            type=float,
            default=60.0,
            metavar="DEGREES",
            help="cut a clip where a joint turns more in a thirtieth of a second (feet, wrists: 2.5 times); 0: nowhere "
            "(default: %(default)g)",
        )
        add("--body", default="open", metavar="NAME|FILE", help="the body whose bones are turned (default: %(default)s)")
        _add_sampling(add, Sampling())
        _add_common(add)
    _add_picture_commands(commands.add_parser)
    return options


def _add_picture_commands(new: Callable[..., argparse.ArgumentParser]) -> None:
    add = new("shards", help="annotated pictures of any format to shards of ours").add_argument
    _add_sources(add)
    add("--out", type=Path, required=True, metavar="DIR", help="folder of the shards; each set has its name in front")
    _add_storage(add)
    _add_common(add)
    add = new("pictures", help="your own pictures and labels to shards of ours").add_argument
    add("labels", type=Path, metavar="LABELS.json", help="{picture (JPEG or PNG): [people]}, see docs/data.md")
    add("--pictures", type=Path, metavar="DIR", help="where the pictures are (default: beside the labels)")
    add("--out", type=Path, required=True, metavar="DIR", help="folder of the shards")
    add("--name", default="own", help="what the set is called; its shards are NAME-000000.tar and so on (default: %(default)s)")
    _add_storage(add)
    _add_common(add)
    add = new("check", help="look through shards: schema, ranges, joints, unreadable members; a contact sheet").add_argument
    _add_sources(add)
    add(
        "--sheet",
        type=Path,
        default=Path("check.png"),
        metavar="FILE",
        help="contact sheet, .png or .jpg (default: %(default)s)",
    )
    add("--people", type=int, default=48, metavar="N", help="on the sheet, drawn by chance; 0: no sheet (default: %(default)s)")
    add("--names", type=int, default=3, metavar="N", help="examples named of each kind of remark (default: %(default)s)")
    _add_common(add)
    add = new("stats", help="histograms of pose, shape, scale and occlusion").add_argument
    _add_sources(add)
    add("--out", type=Path, default=Path("stats"), metavar="DIR", help="for stats.json and stats.png (default: %(default)s)")
    _add_common(add)


def _add_sources(add: Callable[..., object]) -> None:
    add("inputs", nargs="+", metavar="INPUT", help="a data list (its name in data_lists, or a yaml), or files of one set")
    add("--format", help=f"of the files: {', '.join(READERS)} (default: tokenhmr)")
    add("--name", help="what the files' set is called (default: after the first file)")
    add("--root", type=Path, default=Path(), metavar="DIR", help="where relative paths of a list start (default: here)")
    add("--pictures", type=Path, metavar="DIR", help="where table formats find their pictures (default: --root)")
    add("--untrusted", action="store_true", help="the labels of the files are fitted, not measured")
    add("--body", default="open", metavar="NAME|FILE", help="the body that poses and shapes speak of (default: %(default)s)")


def _add_storage(add: Callable[..., object]) -> None:
    plain = Storage()
    add("--side", type=int, default=plain.side, metavar="PIXELS", help="of what is kept of a picture (default: %(default)s)")
    add(
        "--margin",
        type=float,
        default=round(plain.margin, 3),
        help="how far around a person, in sides of the crop: 1.414 lets it turn without black corners (default: %(default)s)",
    )
    add("--quality", type=int, default=plain.quality, help="of the JPEGs (default: %(default)s)")
    add("--per-shard", type=int, default=plain.per_shard, metavar="N", help="people in a tar (default: %(default)s)")


def _add_sampling(add: Callable[..., object], default: Sampling) -> None:
    add("--trim", type=float, metavar="SHARE", help=f"share of each clip cut off at both ends (default: {default.trim:g})")
    add("--every", type=int, metavar="N", help=f"keep every N-th frame of the rest (default: {default.every})")


def _add_common(add: Callable[..., object]) -> None:
    add("--quiet", action="store_true", help="say only what went wrong")
    add("--debug", action="store_true", help="show the traceback of an error")
