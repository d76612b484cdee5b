"""Body files with random numbers in the exact layout of the licensed ones, written as Python 2, chumpy and scipy wrote them."""

import io
import pickle
import struct
from typing import ClassVar

import numpy as np

from tokenhmr import skeleton

VERTICES = 6890
PARENTS = np.array(skeleton.SMPL_PARENTS)
HAND_PARENTS = [parent for wrist, first in ((20, 22), (21, 37)) for finger in range(5) for parent in (
    wrist, first + 3 * finger, first + 3 * finger + 1)]  # fmt: skip


class Elsewhere:
    """An object that is pickled under the name of a class that need not exist."""

    pickled_as: tuple[str, str]

    def __init__(self, **state):
        self.__dict__.update(state)


class Ch(Elsewhere):
    pickled_as = ("chumpy.ch", "Ch")


class Select(Elsewhere):
    pickled_as = ("chumpy.reordering", "Select")


class CscMatrix(Elsewhere):
    pickled_as = ("scipy.sparse.csc", "csc_matrix")


class Python2Pickler(pickle._Pickler):
    """Writes what Python 2 wrote: text and bytes are both ``str``, numpy's core is where it was."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_string(self, value):
        raw = value.encode("latin1") if isinstance(value, str) else value
        if self.proto == 0:
            self.write(b"S" + repr(raw)[1:].encode("ascii") + b"\n")
        elif len(raw) < 256:
            self.write(b"U" + struct.pack("<B", len(raw)) + raw)
        else:
            self.write(b"T" + struct.pack("<i", len(raw)) + raw)
        self.memoize(value)

    def save_global(self, obj, name=None):
        module = getattr(obj, "__module__", "") or ""
        if hasattr(obj, "pickled_as"):
            module, name = obj.pickled_as
        elif module.startswith("numpy._core"):
            module, name = module.replace("numpy._core", "numpy.core"), obj.__name__
        else:
            super().save_global(obj, name)
            return
        self.write(f"c{module}\n{name}\n".encode())
        self.memoize(obj)

    dispatch[str] = dispatch[bytes] = save_string
    dispatch[type] = save_global
    dispatch[type(len)] = dispatch[type(lambda: None)] = save_global


def python2_pickle(value, protocol=2):
    stream = io.BytesIO()
    Python2Pickler(stream, protocol=protocol).dump(value)
    return stream.getvalue()


def chumpy(array):
    """``chumpy.ch.Ch`` as it pickles itself: the array and what it keeps beside it."""
    return Ch(_dirty_vars=set(), _itr=None, _parents={}, _cache={"r": None, "drs": {}}, _depends_on_deps={}, x=array)


def chumpy_select(array):
    """A ``Select`` of a larger ``Ch``, as SMPL files keep the first shape directions of many."""
    larger = np.concatenate([array, np.full((*array.shape[:2], 2), 9.0)], axis=2)
    rows = np.arange(larger.size).reshape(larger.shape)[:, :, : array.shape[2]]
    return Select(a=chumpy(larger), idxs=rows.ravel(), preferred_shape=array.shape)


def sparse(matrix):
    """A compressed-column matrix of scipy's, by hand."""
    column, row = np.nonzero(matrix.T)
    starts = np.searchsorted(column, np.arange(matrix.shape[1] + 1)).astype(np.int32)
    return CscMatrix(_shape=matrix.shape, maxprint=50, data=matrix[row, column], indices=row.astype(np.int32), indptr=starts)


def few(chance, rows, columns, count=6):
    """A regressor: each row a mean of a few columns."""
    matrix = np.zeros((rows, columns))
    for row in matrix:
        row[chance.choice(columns, count, replace=False)] = chance.dirichlet(np.ones(count))
    return matrix


def body_arrays(joints=24, shapes=10, seed=0, vertices=VERTICES):
    """Random arrays under the names and in the shapes of SMPL (24 joints) or SMPL-H (52)."""
    chance = np.random.default_rng(seed)
    parents = PARENTS if joints == 24 else np.concatenate([PARENTS[:22], HAND_PARENTS])
    weights = np.zeros((vertices, joints))
    for rank in chance.permuted(np.tile(np.arange(joints), (vertices, 1)), axis=1)[:, :4].T:
        weights[np.arange(vertices), rank] = chance.random(vertices)
    arrays = {
        "v_template": chance.normal(0, 0.4, (vertices, 3)),
        "shapedirs": chance.normal(0, 0.02, (vertices, 3, shapes)),
        "posedirs": chance.normal(0, 0.01, (vertices, 3, 9 * (joints - 1))).astype(np.float32),
        "J_regressor": few(chance, joints, vertices),
        "weights": weights / weights.sum(axis=1, keepdims=True),
        "kintree_table": np.stack([parents % 2**32, np.arange(joints)]).astype(np.uint32),
        "f": chance.integers(0, vertices, (13776, 3)).astype(np.uint32),
    }
    if joints == 52:
        for side in "lr":
            arrays[f"hands_components{side}"], arrays[f"hands_mean{side}"] = np.eye(45), chance.normal(0, 0.3, 45)
    return arrays


def extra_regressor(seed=5, vertices=VERTICES):
    return few(np.random.default_rng(seed), 19, vertices).astype(np.float32)


def as_published(arrays):
    """The dictionary of a licensed pickle: chumpy and scipy objects, and entries that nobody needs."""
    return arrays | {
        "v_template": chumpy(arrays["v_template"]),
        "shapedirs": chumpy_select(arrays["shapedirs"]),
        "weights": chumpy(arrays["weights"]),
        "J_regressor": sparse(arrays["J_regressor"]),
        "bs_style": "lbs",
        "bs_type": "lrotmin",
        "vert_sym_idxs": np.arange(5),
    }
