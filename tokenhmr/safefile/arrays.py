"""Arrays from ``.npy`` and ``.npz``: numbers by numpy's own format, objects by the machine that runs nothing."""

from __future__ import annotations

import io
import os
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from tokenhmr.safefile.machine import Machine
from tokenhmr.safefile.vocabulary import PACKAGES, VOCABULARY

_LARGE, _STRETCH = 2**30, 100  # a member that unpacks to more than a GiB at over 100 times its size is no measurement
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def loads(data: bytes, *, encoding: str = "latin1", name: str = "pickle") -> Any:
    """The object of a pickle in memory, without anything in it being run; ``name`` is for messages.

    Classes come back as ``Record``, sparse matrices as ``SparseMatrix``, arrays and plain data as themselves. ``encoding`` is
    for the strings of Python 2: ``"latin1"``, ``"ascii"``, ``"utf-8"``, or ``"bytes"`` to leave them as they are. Raises one
    ``ValueError`` that names the opcode and its byte.
    """
    stream = io.BytesIO(data)
    return Machine(
        stream, name=name, size=len(data), vocabulary=VOCABULARY, packages=PACKAGES, encoding=encoding
    ).run()  # fmt: skip


def read_pickle(path: str | os.PathLike[str], *, encoding: str = "latin1") -> Any:
    """The object of a pickle file, as ``loads`` gives it. Raises ``FileNotFoundError`` or ``ValueError``, naming the file."""
    return loads(_existing(path).read_bytes(), encoding=encoding, name=str(path))


def read_npy(path: str | os.PathLike[str]) -> Shaped[np.ndarray, "..."]:
    """One array; objects in it as ``loads`` gives them. Raises ``FileNotFoundError`` or ``ValueError``, naming the file."""
    return _array(_existing(path).read_bytes(), str(path))


def read_npz(path: str | os.PathLike[str]) -> dict[str, Shaped[np.ndarray, "..."]]:
    """All arrays of an archive by name; objects in them as ``loads`` gives them.

    Raises ``FileNotFoundError`` or ``ValueError``, naming the file and the array.
    """
    name = str(path)
    try:
        with zipfile.ZipFile(_existing(path)) as archive:
            return {
                member.filename.removesuffix(".npy"): _array(_unpacked(archive, member, name), f"{name}: {member.filename}")
                for member in archive.infolist()
            }
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise ValueError(f"{name} is not a whole .npz file: {error}") from error


def _existing(path: str | os.PathLike[str]) -> Path:
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no file at {path}")
    return path


def _unpacked(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str) -> bytes:
    if member.file_size > max(_LARGE, _STRETCH * member.compress_size):
        raise ValueError(f"{name}: refused: {member.filename} unpacks to {member.file_size} bytes")
    return archive.read(member)


def _array(data: bytes, name: str) -> Shaped[np.ndarray, "..."]:
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        if version not in _HEADERS:
            raise ValueError(f"its format is {version}")
        shape, fortran, dtype = _HEADERS[version](stream)
        rest = data[stream.tell() :]
        if dtype == np.dtype(object):
            array = loads(rest, name=name)
            if not isinstance(array, np.ndarray) or array.shape != shape:
                raise ValueError(f"its objects are no array of {shape}")
            return array
        size = int(np.prod(shape, dtype=object)) * dtype.itemsize
        if dtype.hasobject or size != len(rest):
            raise ValueError(f"its header says {shape} {dtype}, {size} bytes; there are {len(rest)}")
        array = np.frombuffer(rest, dtype=dtype) if size else np.zeros(shape, dtype=dtype)
        return array.reshape(shape, order="F" if fortran else "C").copy(order="K")
    except (ValueError, SyntaxError, TypeError, EOFError) as error:
        if str(error).startswith(name):
            raise
        raise ValueError(f"{name} is not a whole array file: {error}") from error
