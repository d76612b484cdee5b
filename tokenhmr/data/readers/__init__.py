"""Every format that the field trains on and measures with, read into one ``Annotation``: a table of names and one function.

    for scene in read_scenes("4dhumans", "h36m-train/000000.tar", Asked(name="h36m", skip=print)):
        picture, people = scene.picture(), scene.people()

A format's class has the options that a data list may set as its fields. Nothing is unpickled but by ``tokenhmr.safefile``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from tokenhmr.data.readers.bedlam import Bedlam
from tokenhmr.data.readers.evaluation import EvaluationNpz
from tokenhmr.data.readers.fourdhumans import FourDHumans
from tokenhmr.data.readers.human36m import Human36M
from tokenhmr.data.readers.muco import MuCo
from tokenhmr.data.readers.occluded import Occluded
from tokenhmr.data.readers.pseudo import PseudoLabels
from tokenhmr.data.readers.tsv import Tsv
from tokenhmr.data.readers.up3d import Up3d
from tokenhmr.data.scene import Asked, Reader, Scene
from tokenhmr.data.shards import OwnShards

# What a data list may call a format. Several names for one reader differ in the values that its options have by default.
READERS: dict[str, Any] = {
    "tokenhmr": OwnShards,  # tars of ours, from tokenhmr.synthesis or tokenhmr.data.prepare
    "4dhumans": FourDHumans,
    "bedlam": Bedlam,
    "3dpw": EvaluationNpz,
    "emdb": partial(EvaluationNpz, scale_unit="200"),
    "evaluation": EvaluationNpz,  # h36m_val_p2.npz, coco_val.npz and others of that layout
    "h36m": Human36M,
    "muco": MuCo,
    "up3d": Up3d,
    "spin": PseudoLabels,
    "cliff": PseudoLabels,
    "eft": PseudoLabels,
    "mocap-spin": partial(PseudoLabels, exact=True),  # Human3.6M, MPI-INF-3DHP in SPIN's layout
    "3doh": Occluded,
    "tsv": Tsv,
}


def make_reader(format: str, options: Mapping[str, Any] | None = None) -> Reader:
    """The reader of a format; a ``ValueError`` names the formats, or the options, that there are."""
    if format not in READERS:
        raise ValueError(f"no format called {format!r}; there are {', '.join(READERS)}")
    made, given = READERS[format], dict(options or {})
    kind: Any = made.func if isinstance(made, partial) else made
    fields = {field.name: field for field in dataclasses.fields(kind)}
    unknown = [name for name in given if name not in fields]
    if unknown:
        raise ValueError(f"format {format} has no option {', '.join(unknown)}; it has {', '.join(fields) or 'none'}")
    for name, value in given.items():
        default = fields[name].default
        if isinstance(default, tuple) and isinstance(value, list):
            given[name] = tuple(value)
        elif not _fits(value, default):
            raise ValueError(f"option {name} of format {format} is {value!r}, it should be like {default!r}")
    return made(**given)


def _fits(value: Any, default: Any) -> bool:
    """Whether a value is of an option's kind; None by default stands for text that need not be given."""
    if default is None or isinstance(default, str):
        return isinstance(value, str) or value is default
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    return isinstance(value, int | float if isinstance(default, float) else type(default))


def rooted(reader: Reader, root: Path) -> Reader:
    """The reader with those of its options that are files below ``root`` said in full."""
    assert dataclasses.is_dataclass(reader) and not isinstance(reader, type)

    def full(value: str) -> str:
        return str(root / value) if value and (root / value).is_file() else value

    changed: dict[str, Any] = {}
    for field in dataclasses.fields(reader):
        value = getattr(reader, field.name)
        if isinstance(value, str):
            changed[field.name] = full(value)
        elif isinstance(value, tuple) and value and all(isinstance(item, str) for item in value):
            changed[field.name] = tuple(full(item) for item in value)
    return dataclasses.replace(reader, **changed)


def read_scenes(format: str, path: str, asked: Asked, options: Mapping[str, Any] | None = None) -> Iterator[Scene]:
    """The scenes of one file. What in it cannot be read is handed to ``asked.skip``; a file that cannot be read at all, too.

    Raises ``ValueError`` only for a format or an option that does not exist.
    """
    return guarded(make_reader(format, options), path, asked)


def guarded(reader: Reader, path: str, asked: Asked) -> Iterator[Scene]:
    """``reader.read``, with a file as a whole that cannot be read skipped like a picture."""
    try:
        yield from reader.read(path, asked)
    except (OSError, ValueError, KeyError, TypeError, IndexError) as reason:
        said = f"has no {reason.args[0]}" if isinstance(reason, KeyError) else str(reason)
        asked.skip(path, said)
