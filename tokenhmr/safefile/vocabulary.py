"""The allow-list: what a name in a pickle stands for. Functions here take the machine and the arguments that were pickled."""

from __future__ import annotations

import math
import re
from functools import partial
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import Shaped

from tokenhmr.safefile.machine import Machine
from tokenhmr.safefile.records import Named, Record, SparseMatrix, Unfinished, check_key

# Configurations, trainers' notes and lazy arrays: every class of these packages becomes a Record.
PACKAGES = frozenset(
    {"yacs", "omegaconf", "pytorch_lightning", "lightning", "lightning_fabric", "lightning_utilities", "chumpy"}
)
_DTYPE = re.compile(r"(b1|[iu][1248]|f(?:2|4|8|16)|c(?:8|16|32)|O(?:4|8)?|[SUa]\d{1,9})")
_ARRAY_KINDS = {"numpy.ndarray", "numpy.matrix", "numpy.memmap"}
_JOBLIB = "joblib.numpy_pickle.NumpyArrayWrapper"


def checked_array(shape: Any, dtype: np.dtype, raw: bytes | bytearray, order: str) -> Shaped[np.ndarray, "..."]:
    """Bytes to an array of its own, once the two agree in size."""
    if not (isinstance(shape, tuple) and len(shape) <= 32 and all(type(side) is int and 0 <= side < 2**40 for side in shape)):
        raise ValueError("an array without a proper shape")
    if math.prod(shape) * dtype.itemsize != len(raw):
        raise ValueError(f"an array of {shape} {dtype} in {len(raw)} bytes")
    if not math.prod(shape):
        return np.zeros(shape, dtype=dtype)
    return np.frombuffer(raw, dtype=dtype).reshape(shape, order="F" if order == "F" else "C").copy(order="K")


def _to_bytes(raw: Any) -> bytes | bytearray:
    raw = raw.encode("latin1") if isinstance(raw, str) else raw
    if not isinstance(raw, (bytes, bytearray)):
        raise ValueError(f"a {type(raw).__name__} in place of bytes")
    return raw


def _plain_dtype(dtype: Any) -> np.dtype:
    if not isinstance(dtype, np.dtype):
        raise ValueError(f"a {type(dtype).__name__} in place of a dtype")
    return dtype


def _dtype(machine: Machine, code: Any, *_: Any) -> Unfinished:
    """Numbers, text and objects; no records of fields, which can be made to point anywhere in memory."""
    code = code.decode("latin1") if isinstance(code, bytes) else code
    if not (isinstance(code, str) and _DTYPE.fullmatch(code)):
        raise ValueError(f"a dtype {code!a:.40}")
    return Unfinished(_ordered_dtype, np.dtype(object) if code[0] == "O" else np.dtype(code.replace("a", "S")))


def _ordered_dtype(machine: Machine, dtype: np.dtype, state: Any) -> np.dtype:
    order = state[1] if isinstance(state, tuple) and len(state) > 4 else None
    order = order.decode("latin1") if isinstance(order, bytes) else order
    if order not in ("<", ">", "|", "=") or state[2:5] != (None, None, None):
        raise ValueError("a dtype with fields")
    return dtype.newbyteorder(order)


def _array(machine: Machine, kind: Any = None, *_: Any) -> Unfinished:
    if not isinstance(kind, Named) or kind.name not in _ARRAY_KINDS:
        raise ValueError("an array of a kind of its own")
    return Unfinished(_filled_array)


def _filled_array(machine: Machine, given: None, state: Any) -> Any:
    _, shape, dtype, fortran, raw = state if len(state) == 5 else (None, *state)
    dtype = _plain_dtype(dtype)
    if dtype.hasobject:
        return _object_array(machine, shape, raw, fortran)
    raw = _to_bytes(raw)
    machine.spend(len(raw))
    return checked_array(shape, dtype, raw, "F" if fortran else "C")


def _object_array(machine: Machine, shape: Any, items: Any, fortran: Any) -> np.ndarray:
    if not (isinstance(items, list) and isinstance(shape, tuple) and all(type(side) is int and side >= 0 for side in shape)):
        raise ValueError("an array of objects without its list")
    if math.prod(shape) != len(items):
        raise ValueError(f"an array of {shape} objects with {len(items)}")
    machine.spend(8 * len(items))
    array = np.empty(len(items), dtype=object)
    for place, item in enumerate(items):
        array[place] = item
    return array.reshape(shape, order="F" if fortran else "C")


def _scalar(machine: Machine, dtype: Any, raw: Any) -> Any:
    dtype = _plain_dtype(dtype)
    if dtype.hasobject:
        raise ValueError("a scalar that is an object")
    machine.spend(len(raw))
    return checked_array((), dtype, _to_bytes(raw), "C")[()]


def _from_buffer(machine: Machine, raw: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    dtype, raw = _plain_dtype(dtype), _to_bytes(raw)
    if dtype.hasobject:
        raise ValueError("objects in place of numbers")
    machine.spend(len(raw))
    return checked_array(shape, dtype, raw, order)


def _joblib_array(machine: Machine, *_: Any) -> Unfinished:
    """joblib puts the bytes of an array into the stream, right behind the opcode that finishes its description."""
    return Unfinished(_array_from_stream)


def _array_from_stream(machine: Machine, given: None, state: Any) -> Any:
    dtype = _plain_dtype(state["dtype"])
    if dtype.hasobject:
        inner = Machine(
            machine.stream, name=machine.name, size=0, vocabulary=VOCABULARY, packages=PACKAGES, encoding=machine.encoding
        )
        inner.budget = machine.budget
        return inner.run()
    if state.get("numpy_array_alignment_bytes"):
        machine.stream.read(machine.stream.read(1)[0])
    count = math.prod(state["shape"]) * dtype.itemsize
    return checked_array(state["shape"], dtype, machine.stream.read(count), state["order"])


def _sparse(style: str, machine: Machine, *_: Any) -> Unfinished:
    return Unfinished(_sparse_matrix, style)


def _sparse_matrix(machine: Machine, style: str, state: Any) -> SparseMatrix:
    state = next(part for part in state if part) if isinstance(state, tuple) else state
    rows, columns = (int(side) for side in state["_shape" if "_shape" in state else "shape"])
    value = state["data"]
    if style == "coo":
        row, column = state["coords"] if "coords" in state else (state["row"], state["col"])
    else:
        major, starts = state["indices"], np.diff(state["indptr"])
        if (starts < 0).any() or starts.sum() != len(major):
            raise ValueError("a sparse matrix whose rows do not add up")
        minor = np.repeat(np.arange(len(starts)), starts)
        row, column = (minor, major) if style == "csr" else (major, minor)
    kinds = [part.dtype.kind if isinstance(part, np.ndarray) and part.ndim == 1 else "" for part in (row, column, value)]
    if not (kinds[0] in ("i", "u") and kinds[1] in ("i", "u") and kinds[2] in tuple("biufc")):
        raise ValueError("a sparse matrix that is not made of numbers")
    if not len(row) == len(column) == len(value):
        raise ValueError("a sparse matrix with a place for some entries and not for others")
    if len(row) and (min(row.min(), column.min()) < 0 or row.max() >= rows or column.max() >= columns):
        raise ValueError(f"a sparse matrix of ({rows}, {columns}) with an entry outside")
    machine.spend(8 * len(row))
    return SparseMatrix(shape=(rows, columns), row=row, column=column, value=value)


def _reconstruct(machine: Machine, kind: Any, base: Any, state: Any) -> Any:
    """``copyreg._reconstructor``: an object of Python 2, or of protocol 0 and 1."""
    made = machine.apply(kind, ())
    if isinstance(made, Record) and isinstance(state, dict):
        made.entries.update(state)
    elif isinstance(made, Record) and isinstance(state, list):
        made.elements.extend(state)
    return made


def _encode(machine: Machine, text: Any, codec: Any = "latin1") -> bytes:
    """How bytes travel in protocols of Python 2."""
    if not isinstance(text, str) or codec not in ("latin1", "latin-1"):
        raise ValueError("no text, or another codec than latin1")
    machine.spend(len(text))
    return text.encode("latin1")


def _collection(kind: type, machine: Machine, items: Any = (), *_: Any) -> Any:
    if not isinstance(items, (list, tuple, set, frozenset, dict)):
        raise ValueError(f"a {kind.__name__} of a {type(items).__name__}")
    machine.spend(64 * len(items))
    if kind is dict:
        pairs = items.items() if isinstance(items, dict) else items
        return {check_key(key): value for key, value in pairs}
    return kind([check_key(item) for item in items]) if kind in (set, frozenset) else kind(items)


def _default_dict(machine: Machine, *_: Any) -> dict[Any, Any]:
    return {}


def _path(machine: Machine, *parts: Any) -> str:
    texts = [part for part in parts if isinstance(part, str)]
    machine.spend(sum(len(text) for text in texts))
    return str(PurePosixPath(*texts))


def _bytes(kind: type, machine: Machine, raw: Any = b"", *_: Any) -> Any:
    raw = _to_bytes(raw)
    machine.spend(len(raw))
    return kind(raw)


def _vocabulary() -> dict[str, Named]:
    """Every name, in the spellings of Python 2 and 3, of numpy 1 and 2, of old and new scipy."""
    table: dict[str, Any] = {
        "_codecs.encode": _encode,
        "numpy.dtype": _dtype,
        "collections.OrderedDict": partial(_collection, dict),
        "collections.Counter": partial(_collection, dict),
        "collections.defaultdict": _default_dict,
        "collections.deque": partial(_collection, list),
        _JOBLIB: _joblib_array,
    }
    for core in ("numpy.core", "numpy._core"):
        table[f"{core}.multiarray._reconstruct"] = _array
        table[f"{core}.multiarray.scalar"] = _scalar
        table[f"{core}.numeric._frombuffer"] = _from_buffer
    for module in ("copy_reg", "copyreg"):
        table[f"{module}._reconstructor"] = _reconstruct
    for module in ("__builtin__", "builtins"):
        for kind in (dict, list, tuple, set, frozenset):
            table[f"{module}.{kind.__name__}"] = partial(_collection, kind)
        table |= {f"{module}.{kind.__name__}": partial(_bytes, kind) for kind in (bytes, bytearray)}
        # Named as the type of a field, never called.
        table |= dict.fromkeys([f"{module}.{name}" for name in ("object", "int", "float", "str", "bool")])
    for kind in ("Path", "PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath"):
        table |= {f"pathlib.{kind}": _path, f"pathlib._local.{kind}": _path}
    for style in ("csc", "csr", "coo"):
        for module in (style, f"_{style}"):
            for kind in ("matrix", "array"):
                table[f"scipy.sparse.{module}.{style}_{kind}"] = partial(_sparse, style)
    table |= dict.fromkeys(["typing.Any", "typing.Union", "argparse.Namespace", "datetime.timedelta", "datetime.datetime"])
    names = {name: Named(name, make) for name, make in table.items()}
    # An array's class is never called, only handed to _reconstruct; these are plain arrays here.
    aliases = {"numpy.matrixlib.defmatrix.matrix": "numpy.matrix", "numpy.core.memmap.memmap": "numpy.memmap"}
    names |= {name: Named(name) for name in _ARRAY_KINDS}
    return names | {name: Named(kind) for name, kind in aliases.items()}


VOCABULARY = _vocabulary()
