"""What a file is, whatever it is called: its container by the first bytes, its content by the arrays in it."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from tokenhmr.safefile import Record, as_array, read_npy, read_npz, read_pickle

Content = dict[str, Any]  # arrays by name, or what safefile makes of other things

# First bytes of what people have in place of a body -> what to say of it.
_NO_ARRAYS = (
    (b"version https://git-lfs", "a Git LFS pointer: the file itself was not fetched"),
    (b"\x1f\x8b", "a gzip archive: unpack it first"),
    (b"Rar!", "a RAR archive: unpack it first"),
    (b"7z\xbc\xaf", "a 7z archive: unpack it first"),
    (b"\x89HDF", "an HDF5 file, not a pickle or .npz"),
    (b"Kaydara FBX", "an FBX scene for animation programs: take the model for Python"),
    (b"glTF", "a glTF scene for viewers: take the model for Python"),
)
_NPY = b"\x93NUMPY"
# A pickle begins with its protocol, or, of protocol 0 and 1, with the opcode of a container or a name; it ends with STOP.
_PICKLES, _STOP = (b"\x80", b"(", b"}", b"]", b")", b"c"), b"."

# The models of the family by their number of joints.
FAMILY = {24: "SMPL", 52: "SMPL-H", 55: "SMPL-X", 16: "MANO, a hand", 5: "FLAME, a head", 33: "SMAL, an animal", 75: "SUPR"}
_STAR = (24, 93)  # SMPL's joints with pose correctives of its own: 23 quaternions and a beta
# Content that is no body: the names that give it away, all of them.
_KNOWN = (
    ({"pose", "shape", "cam"}, "SPIN's mean parameters (smpl_mean_params.npz)"),
    ({"poses", "trans"}, "recorded motion, as AMASS stores it"),
    ({"pose_body", "root_orient"}, "recorded motion, as AMASS stores it"),
    ({"state_dict"}, "the weights of a network"),
    ({"net", "hparams"}, "the weights of a tokenizer"),
    ({"imgname"}, "annotations of pictures"),
)


def read_content(path: Path) -> Content | Shaped[np.ndarray, "..."]:
    """What is in a pickle, ``.npz`` or ``.npy``, told apart by its bytes and not its name; nothing in it is run.

    Arrays by name, or one array. Raises ``FileNotFoundError``, or one ``ValueError`` that says what the file is instead.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no file at {path}")
    with path.open("rb") as file:
        start = file.read(1024)
    _refuse_other_files(path, start)
    if start.startswith(b"PK"):
        return _archive(path)
    if start.startswith(_NPY):
        return read_npy(path)
    _refuse_other_than_pickles(path, start)
    found = read_pickle(path)
    if isinstance(found, np.ndarray):
        return found
    if isinstance(found, Record) and found.entries:
        found = found.entries
    if not isinstance(found, dict):
        what = found.name if isinstance(found, Record) else type(found).__name__
        raise ValueError(f"{path} is the pickle of a {what}, not of arrays")
    return {name.decode("latin1") if isinstance(name, bytes) else str(name): value for name, value in found.items()}


def _refuse_other_files(path: Path, start: bytes) -> None:
    if not start:
        raise ValueError(f"{path} is empty: download it again")
    head = start.lstrip().lower()
    if head.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise ValueError(f"{path} is a web page, as a download without login leaves it: log in and download it again")
    for magic, what in _NO_ARRAYS:
        if start.startswith(magic):
            raise ValueError(f"{path} is {what}")


def _refuse_other_than_pickles(path: Path, start: bytes) -> None:
    if start[:1] not in _PICKLES:
        raise ValueError(f"{path} is no pickle, .npz or .npy: it begins with {start[:16]!r}")
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        if file.read() != _STOP:
            raise ValueError(f"{path} is cut short: a pickle without its end; download it again")


def _archive(path: Path) -> Content:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile as error:
        raise ValueError(f"{path} is cut short: an .npz without its end; download it again") from error
    if any(name.endswith("data.pkl") for name in names):
        raise ValueError(f"{path} is a PyTorch checkpoint, not a body: python -m tokenhmr.convert reads those")
    if not names or not all(name.endswith(".npy") for name in names):
        inside = ", ".join(names[:3]) or "nothing"
        raise ValueError(f"{path} is a zip archive that holds {inside}, not an .npz of arrays: unpack it first")
    return dict(read_npz(path))


def describe(content: Content | Shaped[np.ndarray, "..."]) -> str:
    """In words, what this is: a model of the family, or something known that is none."""
    if isinstance(content, np.ndarray):
        return _describe_array(content)
    names = set(content)
    for signs, what in _KNOWN:
        if signs <= names:
            return what
    if "v_template" not in names:
        some = ", ".join(sorted(names)[:6])
        return f"no body: it holds {some or 'nothing'}"
    vertices, joints = _length(content["v_template"]), joint_count(content)
    if (joints, _last(content.get("posedirs"))) == _STAR:
        return f"STAR ({joints} joints, {vertices} vertices)"
    return f"{FAMILY.get(joints, 'a body of another kind')} ({joints} joints, {vertices} vertices)"


def array_in(value: Any) -> Shaped[np.ndarray, "..."]:
    """An array of what a body file stores as one, out of the box of one object that ``np.savez`` puts sparse matrices into.

    Raises ``ValueError`` for anything else.
    """
    boxed = isinstance(value, np.ndarray) and value.dtype == object and value.size == 1
    return as_array(value.item() if boxed else value)


def joint_count(content: Mapping[str, Any]) -> int:
    """The joints that a file of arrays speaks of; 0 where it has none."""
    weights, tree = _shape(content.get("weights")), _shape(content.get("kintree_table"))
    if len(weights) == 2:
        return weights[1]
    return tree[1] if len(tree) == 2 else 0


def _describe_array(array: Shaped[np.ndarray, "..."]) -> str:
    known = {19: "SMPL_to_J19.pkl", 17: "J_regressor_h36m"}
    name = known.get(array.shape[0]) if array.ndim == 2 else None
    return f"one array of {array.shape}" + (f", as {name} is: a joint regressor, not a body" if name else ", not a body")


def _shape(value: Any) -> tuple[int, ...]:
    if value is None:
        return ()
    try:
        return array_in(value).shape
    except ValueError:
        return ()


def _length(value: Any) -> int:
    return (*_shape(value), 0)[0]


def _last(value: Any) -> int:
    return (0, *_shape(value))[-1]
