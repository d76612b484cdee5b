"""Tensors from files of ``torch.save``, both containers, without torch's own unpickler and without the classes in them."""

from __future__ import annotations

import io
import math
import mmap
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tokenhmr.safefile.machine import Machine
from tokenhmr.safefile.records import Named
from tokenhmr.safefile.vocabulary import PACKAGES, VOCABULARY

_DTYPES = {
    "Double": torch.float64, "Float": torch.float32, "Half": torch.float16, "BFloat16": torch.bfloat16, "Long": torch.int64,
    "Int": torch.int32, "Short": torch.int16, "Char": torch.int8, "Byte": torch.uint8, "Bool": torch.bool,
}  # fmt: skip
_STORAGES = {f"torch.{name}Storage": dtype for name, dtype in _DTYPES.items()} | {"torch.storage.UntypedStorage": torch.uint8}
# Of the older container: a number, a version and a note about the machine, each a pickle of its own, then the object.
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_ZIP_ENTRY = b"PK\x03\x04"

Storages = Callable[[str, torch.dtype, int], Tensor | None]


def read_torch(path: str | os.PathLike[str]) -> Any:
    """What ``torch.save`` wrote, on the CPU and without anything in it being run; objects as ``loads`` gives them.

    Tensors of large files are read when they are used: the file is mapped, changes stay in memory. Raises
    ``FileNotFoundError``, or one ``ValueError`` that names the file and what is wrong in it.
    """
    path, name = Path(path), str(path)
    if not path.is_file():
        raise FileNotFoundError(f"no file at {path}")
    if not path.stat().st_size:
        raise ValueError(f"{name} is empty")
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    return _read_zip(path, mapped, name) if mapped[:4] == _ZIP_ENTRY else _read_legacy(mapped, name)


def _read_zip(path: Path, mapped: mmap.mmap, name: str) -> Any:
    """One member a storage beside ``data.pkl``, all in one folder, nothing compressed."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = {member.filename: member for member in archive.infolist()}
    except (zipfile.BadZipFile, EOFError, OSError, ValueError, NotImplementedError, struct.error) as error:
        raise ValueError(f"{name} is not a whole file of torch.save: {error}") from error
    pickles = [member for member in members if member.endswith("/data.pkl") and member.count("/") == 1]
    if len(pickles) != 1:
        raise ValueError(f"{name} is a zip archive, but not one of torch.save: it has {len(pickles)} entries data.pkl")
    folder = pickles[0].removesuffix("data.pkl")

    def content(member: str) -> memoryview:
        if member not in members:
            raise ValueError(f"{name} is not whole: it has no {member}")
        return _content(mapped, members[member], name)

    if f"{folder}byteorder" in members and bytes(content(f"{folder}byteorder")) != b"little":
        raise ValueError(f"{name} was written on a big-endian machine")

    def storage(key: str, dtype: torch.dtype, count: int) -> Tensor:
        raw = content(f"{folder}data/{key}")
        if len(raw) != count * dtype.itemsize:
            raise ValueError(f"the storage {key} of {len(raw)} bytes should have {count} {dtype}")
        return _numbers(raw, dtype)

    data = bytes(content(pickles[0]))
    return _machine(io.BytesIO(data), name, len(data), storage).run()


def _content(mapped: mmap.mmap, member: zipfile.ZipInfo, name: str) -> memoryview:
    if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
        raise ValueError(f"{name}: {member.filename} is compressed, which torch.save does not do")
    head = mapped[member.header_offset : member.header_offset + 30]
    if head[:4] != _ZIP_ENTRY or len(head) < 30:
        raise ValueError(f"{name} is not whole: {member.filename} has no header")
    start = member.header_offset + 30 + sum(struct.unpack("<HH", head[26:]))
    raw = memoryview(mapped)[start : start + member.file_size]
    if len(raw) != member.file_size or zlib.crc32(raw) != member.CRC:
        raise ValueError(f"{name} is damaged: {member.filename} does not have its checksum")
    return raw


def _read_legacy(mapped: mmap.mmap, name: str) -> Any:
    """Pickles one after the other, then the storages: the object is built last, when these are known."""
    size = len(mapped)
    try:
        if _machine(mapped, name, size, None).run() != _LEGACY_MAGIC:
            raise ValueError("a pickle, but not one of torch.save")
    except ValueError as error:
        raise ValueError(f"{name} is not a file of torch.save: {error}") from error
    note = [_machine(mapped, name, size, None).run() for _ in range(2)][1]
    if not isinstance(note, dict) or note.get("little_endian") is not True:
        raise ValueError(f"{name} was not written on a little-endian machine")
    place = mapped.tell()
    types: dict[str, tuple[torch.dtype, int]] = {}

    def declare(key: str, dtype: torch.dtype, count: int) -> None:
        if types.setdefault(key, (dtype, count)) != (dtype, count):
            raise ValueError(f"the storage {key} is described in two ways")

    _machine(mapped, name, size, declare, rebuild=lambda machine, *_: None).run()
    keys = _machine(mapped, name, size, None).run()
    if not isinstance(keys, list) or sorted(map(str, keys)) != sorted(types):
        raise ValueError(f"{name} is not whole: its storages are not those of its tensors")
    storages: dict[str, Tensor] = {}
    for key in keys:
        dtype, count = types[str(key)]
        head = mapped.read(8)
        raw = memoryview(mapped)[mapped.tell() : mapped.tell() + count * dtype.itemsize]
        if len(head) < 8 or struct.unpack("<q", head)[0] != count or len(raw) != count * dtype.itemsize:
            raise ValueError(f"{name} is not whole: the storage {key} ends too early")
        storages[str(key)] = _numbers(raw, dtype)
        mapped.seek(len(raw), os.SEEK_CUR)
    mapped.seek(place)
    return _machine(mapped, name, size, lambda key, dtype, count: storages[key]).run()


def _numbers(raw: memoryview, dtype: torch.dtype) -> Tensor:
    """The bytes themselves where they are aligned, else a copy."""
    if not len(raw):
        return torch.zeros(0, dtype=dtype)
    flat = torch.frombuffer(raw, dtype=torch.uint8)
    return (flat if flat.data_ptr() % dtype.itemsize == 0 else flat.clone()).view(dtype)


def _machine(stream: Any, name: str, size: int, storage: Storages | None, rebuild: Any = None) -> Machine:
    found: dict[str, Any] = {}

    def persistent(identity: Any) -> Any:
        """``("storage", type, key, device, count)``, and in the older container a view, which has not been used for long."""
        if not (isinstance(identity, tuple) and len(identity) in (5, 6) and identity[0] == "storage" and storage is not None):
            raise ValueError("points to something that is no storage of a tensor")
        _, kind, key, _, count = identity[:5]
        if not (isinstance(kind, Named) and kind.name in _STORAGES and isinstance(key, str) and type(count) is int):
            raise ValueError("a storage of an unknown kind")
        if identity[5:] not in ((), (None,)):
            raise ValueError("a storage that is a view of another, as before PyTorch 0.4")
        if key not in found:
            found[key] = storage(key, _STORAGES[kind.name], max(count, 0))
        return found[key]

    vocabulary = VOCABULARY | _TORCH_NAMES
    if rebuild is not None:
        vocabulary[_REBUILD] = Named(_REBUILD, rebuild)
    return Machine(
        stream,
        name=name,
        size=size,
        vocabulary=vocabulary,
        packages=PACKAGES,
        persistent=None if storage is None else persistent,
    )


def _tensor(machine: Machine, storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Tensor:
    """A view of its storage; ``requires_grad`` and hooks are let go."""
    lengths = (*size, *stride, offset)
    if not isinstance(storage, Tensor) or len(size) != len(stride) or not all(type(n) is int and n >= 0 for n in lengths):
        raise ValueError("a tensor without a storage, a size and a stride")
    if math.prod(size) > len(storage):
        raise ValueError(f"a tensor of {tuple(size)} on {len(storage)} numbers")
    return storage.as_strided(tuple(size), tuple(stride), offset)


def _parameter(machine: Machine, value: Any, *_: Any) -> Any:
    return value


def _size(machine: Machine, sides: Any = ()) -> tuple[Any, ...]:
    return tuple(sides)


_REBUILD = "torch._utils._rebuild_tensor_v2"
_TORCH_NAMES = {name: Named(name) for name in (*_STORAGES, "torch.device")}
_TORCH_NAMES |= {f"torch.{kind}": Named(f"torch.{kind}") for kind in ("float32", "float16", "bfloat16", "float64", "int64")}
_TORCH_NAMES |= {
    _REBUILD: Named(_REBUILD, _tensor),
    "torch._utils._rebuild_parameter": Named("torch._utils._rebuild_parameter", _parameter),
    "torch.Size": Named("torch.Size", _size),
}
