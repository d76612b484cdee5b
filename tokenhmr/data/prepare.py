"""``python -m tokenhmr.data.prepare COMMAND``: data of others to our layouts, and a look at what came out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tokenhmr.body import load_body
from tokenhmr.data.mixtures import read_motion_list
from tokenhmr.data.motion.clips import Sampling
from tokenhmr.data.motion.convert import (
    RELEASED,
    Retargeting,
    list_files,
    prepare_list,
    prepare_set,
    retarget_files,
    write_motions,
)
from tokenhmr.data.motion.mapping import read_map
from tokenhmr.resources import data_list_folder

EPILOG = """\
examples:
  python -m tokenhmr.data.prepare amass AMASS --list tokenizer_amass --out motion     all sets of a list, split and thinned out
  python -m tokenhmr.data.prepare amass AMASS/CMU --out motion/train/train_CMU.npz    one set
  python -m tokenhmr.data.prepare bvh walks/ --out motion/train/walks.npz             BVH of any skeleton that we have a map of
  python -m tokenhmr.data.prepare amc subjects/01 --out motion/train                  clips in AMASS's layout

Each command has its own --help; docs/data.md shows the layouts. Exit status: 0, or 2 when nothing could be done.
"""


class Notes:
    """What is said on the way. Files that are left out are counted, and named on standard error."""

    def __init__(self, *, quiet: bool) -> None:
        self.quiet, self.skipped = quiet, 0

    def say(self, line: str) -> None:
        """A line for the person at the screen."""
        if not self.quiet:
            sys.stdout.write(f"{line}\n")

    def skip(self, what: str, why: str) -> None:
        """Name what is left out."""
        self.skipped += 1
        text = " ".join(why.split())
        sys.stderr.write(f"left out: {text if what in text else f'{what}: {text}'}\n")


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
    return options


def _add_sampling(add: Callable[..., object], default: Sampling) -> None:
    add("--trim", type=float, metavar="SHARE", help=f"share of each clip cut off at both ends (default: {default.trim:g})")
    add("--every", type=int, metavar="N", help=f"keep every N-th frame of the rest (default: {default.every})")


def _add_common(add: Callable[..., object]) -> None:
    add("--quiet", action="store_true", help="say only what went wrong")
    add("--debug", action="store_true", help="show the traceback of an error")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit status is 2 for what the user can mend, in one line."""
    options = parser().parse_args(arguments)
    try:
        return _COMMANDS[options.command](options, Notes(quiet=options.quiet))
    except (OSError, ValueError) as reason:
        if options.debug:
            raise
        sys.stderr.write(f"error: {' '.join(str(reason).split())}\n")
        return 2


def _listed(name: str, folder: Path) -> Path:
    """A file of ours by name, or a path."""
    ours = folder / f"{name}.yaml"
    return ours if ours.is_file() else Path(name)


def _sampling(options: argparse.Namespace, default: Sampling) -> Sampling:
    return Sampling(
        trim=default.trim if options.trim is None else options.trim,
        every=default.every if options.every is None else options.every,
    )


def _sequences(options: argparse.Namespace, notes: Notes) -> int:
    if options.list is not None:
        if options.trim is not None or options.every is not None:
            raise ValueError("a list has its own rules: leave --trim and --every out, or write a list")
        sets = read_motion_list(_listed(options.list, data_list_folder()))
        prepare_list(sets, options.source, options.out, say=notes.say, skip=notes.skip)
    else:
        if options.out.suffix != ".npz":
            raise ValueError(f"--out {options.out} should end in .npz; a folder needs --list, which says what goes where")
        sampling = _sampling(options, RELEASED[options.command])
        prepare_set(options.source, options.out, sampling, say=notes.say, skip=notes.skip)
    return 0


def _recordings(options: argparse.Namespace, notes: Notes) -> int:
    maps = data_list_folder() / "skeletons"
    how = Retargeting(
        skeleton=None if options.skeleton is None else read_map(_listed(options.skeleton, maps)),
        maps=maps,
        rest_joints=load_body(options.body).rest_joints.numpy(),
        fps=options.fps,
        source_fps=getattr(options, "source_fps", None),
        cut=options.cut,
    )
    files = list_files(options.inputs, options.command)
    sampling = _sampling(options, Sampling())
    motions = retarget_files(files, how, sampling, asf=getattr(options, "asf", None), skip=notes.skip)
    write_motions(motions, options.out, source=options.command, say=notes.say)
    return 0


_COMMANDS = {"amass": _sequences, "moyo": _sequences, "bvh": _recordings, "amc": _recordings}


if __name__ == "__main__":
    sys.exit(main())
