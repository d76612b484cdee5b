"""``python -m tokenhmr.data.prepare COMMAND``: data of others to our layouts, and a look at what came out."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from tokenhmr.body import load_body
from tokenhmr.data.annotation import Annotation
from tokenhmr.data.inspection import Findings, Histograms, look_through, plot
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
from tokenhmr.data.opened import open_scene
from tokenhmr.data.options import parser
from tokenhmr.data.own import read_labels
from tokenhmr.data.readers import make_reader
from tokenhmr.data.scene import Scene
from tokenhmr.data.sources import Source, find_shards, read_data_list
from tokenhmr.data.writer import Storage, write_people, write_scenes
from tokenhmr.evaluation.labels import label_sheet
from tokenhmr.render import check_picture_path
from tokenhmr.resources import data_list_folder, data_list_path

WHOLE = ("tokenhmr", "4dhumans", "bedlam", "tsv")  # formats with the pictures in their files


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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit status is 2 for what the user can mend, in one line."""
    options = parser().parse_args(arguments)
    try:
        return _COMMANDS[options.command](options, Notes(quiet=options.quiet))
    except (OSError, ValueError, ImportError) as reason:
        if options.debug:
            raise
        sys.stderr.write(f"error: {' '.join(str(reason).split())}\n")
        return 2


def _skeleton(name: str) -> Path:
    """A skeleton map of ours by name, or a path."""
    ours = data_list_path(f"skeletons/{name}")
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
        sets = read_motion_list(data_list_path(options.list))
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
        skeleton=None if options.skeleton is None else read_map(_skeleton(options.skeleton)),
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


def _sources(options: argparse.Namespace) -> tuple[Source, ...]:
    """The sets of a data list, or the files given as one set."""
    first = options.inputs[0]
    listed = data_list_path(first)
    if len(options.inputs) == 1 and listed.suffix in (".yaml", ".yml"):
        if options.format is not None or options.name is not None or options.untrusted or options.pictures is not None:
            raise ValueError(f"{first} says of each set what it is: leave --format, --name, --pictures and --untrusted out")
        return read_data_list(listed, root=options.root, body=options.body)
    name, kind = options.name or Path(first).stem, options.format or "tokenhmr"
    if options.pictures is not None and kind in WHOLE:
        raise ValueError(f"--pictures says nothing beside format {kind}, whose files hold their pictures: leave it out")
    return (
        Source(
            name=name,
            shards=find_shards(options.inputs, root=Path()),
            trusted=not options.untrusted,
            reader=make_reader(kind),
            pictures=options.root / (options.pictures or Path()),
            body=options.body,
        ),
    )


def _storage(options: argparse.Namespace) -> Storage:
    return Storage(side=options.side, margin=options.margin, quality=options.quality, per_shard=options.per_shard)


def _shards(options: argparse.Namespace, notes: Notes) -> int:
    storage = _storage(options)
    for source in _sources(options):
        scenes = (scene for number in range(len(source.shards)) for scene in source.scenes(number, skip=notes.skip))
        made = write_scenes(scenes, options.out, name=source.name, skip=notes.skip, storage=storage)
        notes.say(f"{source.name}: {made.people} people in {len(made.paths)} shards in {options.out}")
    return 0


def _pictures(options: argparse.Namespace, notes: Notes) -> int:
    folder = options.pictures or options.labels.parent
    labelled = read_labels(options.labels, folder, dataset=options.name, skip=notes.skip)
    paths = write_people(labelled, options.out, name=options.name, skip=notes.skip, storage=_storage(options))
    notes.say(f"{options.name}: {len(paths)} shards in {options.out}")
    return 0


def _check(options: argparse.Namespace, notes: Notes) -> int:
    if options.people > 0:
        check_picture_path(options.sheet)
    sources = _sources(options)
    body = load_body(options.body)
    problems, drawn = 0, _Lot(options.people)
    for source in sources:
        findings = Findings(source.name)
        for scene, row, _ in look_through(source, findings, decode=True):
            drawn.offer(scene, row)
        problems += len(findings.problems) + (not findings.people)
        for line in findings.lines(names=options.names):
            notes.say(line)
    if drawn.kept:
        _write_picture(options.sheet, label_sheet(drawn.open(), body))
        notes.say(f"{len(drawn.kept)} of the people: {options.sheet}")
    return 1 if problems else 0


def _stats(options: argparse.Namespace, notes: Notes) -> int:
    made = {}
    for source in _sources(options):
        made[source.name] = Histograms()
        findings = Findings(source.name)
        for _, _, person in look_through(source, findings, decode=False):
            made[source.name].add(person)
        for what, why in findings.problems.items():
            notes.skip(what, why)
    if not any(histograms.people for histograms in made.values()):
        raise ValueError(f"nobody can be read in {', '.join(made)}")
    options.out.mkdir(parents=True, exist_ok=True)
    table = {name: {"people": histograms.people, **histograms.table()} for name, histograms in made.items()}
    (options.out / "stats.json").write_text(json.dumps(table, indent=1), encoding="utf-8")
    notes.say(f"{', '.join(f'{name}: {one.people} people' for name, one in made.items())}; {options.out / 'stats.json'}")
    plot({name: one for name, one in made.items() if one.people}, options.out / "stats.png")
    notes.say(str(options.out / "stats.png"))
    return 0


class _Lot:
    """Some of many people, each with the same chance, always the same ones; pictures are not kept."""

    def __init__(self, size: int) -> None:
        self.size, self.seen = size, 0
        self.kept: list[tuple[Scene, int]] = []
        self.generator = np.random.default_rng(0)

    def offer(self, scene: Scene, row: int) -> None:
        self.seen += 1
        place = int(self.generator.integers(self.seen))
        if len(self.kept) < self.size:
            self.kept.append((scene, row))
        elif place < self.size:
            self.kept[place] = (scene, row)

    def open(self) -> list[tuple[np.ndarray, Annotation]]:
        opened = ((open_scene(scene), row) for scene, row in self.kept)
        return [(scene.pixels, scene.people[row]) for scene, row in opened]


def _write_picture(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        done = cv2.imwrite(str(path), pixels[..., ::-1])
    except cv2.error:
        done = False
    if not done:
        raise ValueError(f"{path} cannot be written: it should end in .png or .jpg")


_COMMANDS = {
    "amass": _sequences, "moyo": _sequences, "bvh": _recordings, "amc": _recordings,
    "shards": _shards, "pictures": _pictures, "check": _check, "stats": _stats,
}  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
