"""Pickles of others are read without being run: what they hold comes back, what they try is refused."""

import collections
import os
import pathlib
import pickle
import random
import struct
import sys

import numpy as np
import pytest
import torch

from tests.fake_modules import fake
from tokenhmr.safefile import Record, SparseMatrix, as_array, loads, plain, read_pickle


class Ch:
    def __init__(self, x):
        self.x = np.asarray(x)
        self._dirty_vars = set()
        self._cache = {"r": None}


class Select:
    def __init__(self, a, idxs, shape):
        self.a, self.idxs, self.preferred_shape = a, idxs, shape


SAMPLE = {
    "array": np.arange(12.0).reshape(3, 4).T,
    "objects": np.array([{"x": 1}, [2], None], dtype=object),
    "number": np.float32(3),
    "text": np.array(["ab", "c"]),
    "big-endian": np.arange(3, dtype=">i2"),
    "ordered": collections.OrderedDict(a=1),
    "default": collections.defaultdict(list, {1: [2]}),
    "set": {1, 2},
    "frozen": frozenset("ab"),
    "bytes": b"x\xff",
    "bytearray": bytearray(b"q"),
    "long": 2**100,
    "tuple": (1, 2.5, True, None),
    "unicode": "ä",
    "empty": np.zeros((0, 3)),
    "path": pathlib.PurePosixPath("/a/b"),
}


def same(one, other):
    if isinstance(one, np.ndarray):
        return type(other) is np.ndarray and one.dtype == other.dtype and one.shape == other.shape and (one == other).all()
    return one == other


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_data_comes_back_as_it_went(protocol):
    back = loads(pickle.dumps(SAMPLE, protocol))
    path = back.pop("path")
    assert pathlib.PurePosixPath(path) == SAMPLE["path"]
    for name, value in back.items():
        assert same(value, SAMPLE[name]), name
    assert back["array"].flags.writeable and type(back["number"]) is np.float32


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_sparse_matrices_come_back_without_scipy(protocol):
    sparse = pytest.importorskip("scipy.sparse", reason="scipy comes with the extra [dev]")
    dense = np.array([[0, 2.5, 0], [1, 0, 0]])
    for kind in (sparse.csc_matrix, sparse.csr_matrix, sparse.coo_matrix, sparse.csr_array, sparse.coo_array):
        back = loads(pickle.dumps(kind(dense), protocol))
        assert isinstance(back, SparseMatrix) and np.array_equal(back.toarray(), dense)
        # An entry outside would write into memory that is not the matrix's.
    wrong = sparse.csc_matrix(dense)
    wrong.indices = np.array([7, 0], dtype=np.int32)
    with pytest.raises(ValueError, match="an entry outside"):
        loads(pickle.dumps(wrong, protocol))


@pytest.mark.parametrize("protocol", [0, 1, 2])
def test_chumpy_is_never_called_and_its_arrays_are_there(protocol, tmp_path):
    with fake(chumpy__ch=[Ch], chumpy__reordering=[Select]):
        whole = Ch(np.arange(12.0).reshape(4, 3))
        part = Select(whole, np.array([3, 4, 5]), (1, 3))
        (tmp_path / "m.pkl").write_bytes(pickle.dumps({"v": whole, "s": part}, protocol))
    back = read_pickle(tmp_path / "m.pkl")
    assert isinstance(back["v"], Record) and back["v"].name == "chumpy.ch.Ch"
    assert np.array_equal(as_array(back["v"]), np.arange(12.0).reshape(4, 3))
    assert np.array_equal(as_array(back["s"]), [[3, 4, 5]])
    back["s"].state["idxs"] = np.array([99])
    with pytest.raises(ValueError, match=r"chumpy\.reordering\.Select that does not fit"):
        as_array(back["s"])
    with pytest.raises(ValueError, match=r"a chumpy\.ch\.Ch that holds \[\] is no array"):
        as_array(Record("chumpy.ch.Ch"))


def test_strings_of_python_2():
    # What Python 2 wrote for {'a': '\xe9', 'b': array([1.5])}, in protocols 0 and 2.
    old = (
        b"(dp0\nS'a'\np1\nS'\\xe9'\np2\nsS'b'\np3\ncnumpy.core.multiarray\n_reconstruct\np4\n(cnumpy\nndarray\np5\n(I0\ntp6\n"
        b"S'b'\np7\ntp8\nRp9\n(I1\n(I1\ntp10\ncnumpy\ndtype\np11\n(S'f8'\np12\nI0\nI1\ntp13\nRp14\n(I3\nS'<'\np15\nNNNI-1\n"
        b"I-1\nI0\ntp16\nbI00\nS'\\x00\\x00\\x00\\x00\\x00\\x00\\xf8?'\np17\ntp18\nbs."
    )
    assert loads(old)["a"] == "é" and loads(old)["b"].tolist() == [1.5]
    assert loads(old, encoding="bytes")[b"a"] == b"\xe9"
    with pytest.raises(ValueError, match="STRING at byte"):
        loads(old, encoding="ascii")
    assert loads(b"\x80\x02U\x01\xe9q\x01.") == "é"


def test_joblib_puts_arrays_between_opcodes():
    # As joblib writes: a description, then the bytes of the array, then the pickle goes on.
    with fake(joblib__numpy_pickle=[type("NumpyArrayWrapper", (), {})]):
        wrapper = sys.modules["joblib.numpy_pickle"].NumpyArrayWrapper()
        wrapper.__dict__ |= {
            "subclass": np.ndarray,
            "shape": (2, 3),
            "order": "C",
            "dtype": np.dtype("<f8"),
            "allow_mmap": True,
        }
        wrapper.__dict__ |= {"numpy_array_alignment_bytes": 16}
        described = pickle.dumps(wrapper, 3)
    values = np.arange(6.0).reshape(2, 3)
    back = loads(described[:-1] + b"\x02\xff\xff" + values.tobytes() + b".")
    assert np.array_equal(back, values)
    with pytest.raises(ValueError, match="an array of"):
        loads(described[:-1] + b"\x02\xff\xff" + values.tobytes()[:20])


# What a pickle tries.


class Evil:
    def __init__(self, call, *args):
        self.call, self.args = call, args

    def __reduce__(self):
        return self.call, self.args


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_call_is_refused_and_named(protocol, tmp_path):
    canary = tmp_path / "canary"
    for call, args, name in (
        (os.system, (f"touch {canary}",), "posix.system"),
        (eval, (f"open({str(canary)!r}, 'w')",), "builtin"),
        (getattr, ("", "upper"), "getattr"),
        (np.fromfile, (str(canary),), "numpy.*fromfile"),
        (torch.load, (str(canary),), r"torch\.serialization\.load"),
    ):
        (tmp_path / "evil.pkl").write_bytes(pickle.dumps([SAMPLE, Evil(call, *args)], protocol))
        with pytest.raises(
            ValueError, match=rf"evil\.pkl was refused and nothing in it run: (STACK_)?GLOBAL at byte \d+ .*{name}"
        ):
            read_pickle(tmp_path / "evil.pkl")
    assert not canary.exists()


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (b"\x82\x01.", "EXT1 at byte 0"),
        (b"Pother\n.", "PERSID at byte 0 points outside"),
        (b"(ios\nsystem\n.", "INST at byte 1"),
        (b"(cbuiltins\ndict\no.", "OBJ at byte"),
        (b"cnumpy\ndtype\n}b.", "BUILD at byte 14 sets the state of a Named"),
        (b"]}b.", "BUILD at byte 2 sets the state of a list"),
        (b"](K\x01tR.", "REDUCE at byte 5 calls a list"),
        (b"(K\x01K\x02cyacs.config\nx\ns.", "SETITEM at byte 20 puts entries into a int"),
        (b"\x97.", "NEXT_BUFFER"),
        (b"\x80\x04\x8c\x08builtins\x8c\x10getattr.__call__\x93.", "STACK_GLOBAL at byte 30 asks for"),
        # Lengths that are not there, places that would need terabytes, numbers that take hours.
        (b"\x8e" + struct.pack("<Q", 2**62) + b"x.", "BINBYTES8 at byte 0"),
        (b"\x8b" + struct.pack("<i", 2**31 - 1) + b"x.", "LONG4 at byte 0"),
        (b"I" + b"9" * 100_000 + b"\n.", "INT at byte 0"),
        (b"\x96" + struct.pack("<Q", 2**62) + b"x.", "BYTEARRAY8 at byte 0"),
        (b"N", "cannot be read: opcode at byte 1: the file ends too early"),
        (b"", "the file ends too early"),
        (b"\xff", "no opcode"),
        (b".", "STOP at byte 0"),
        (b"}]K\x01s.", "SETITEM at byte 4: a list cannot be a key"),
    ],
)
def test_an_opcode_that_is_not_needed_is_refused(program, words):
    with pytest.raises(ValueError, match=words):
        loads(program)


def test_a_class_may_be_a_key_and_stays_a_name():
    (key,) = loads(b"}cpytorch_lightning.callbacks\nModelCheckpoint\nNs.")
    assert key.name == "pytorch_lightning.callbacks.ModelCheckpoint" and "pytorch_lightning" not in sys.modules


def test_a_place_in_the_memo_costs_nothing():
    assert loads(b"Nr\xff\xff\xff\x7f.") is None


def test_small_files_do_not_unfold_into_large_ones():
    raw = b"\x80\x02X\x00\x10\x00\x00" + b"a" * 4096 + b"q\x010"
    copies = b"c_codecs\nencode\nh\x01\x8c\x06latin1\x86R" * 2000
    with pytest.raises(ValueError, match=r"REDUCE at byte .* unfolds to far more"):
        loads(raw + b"(" + copies + b"t.")
    bomb = pickle.dumps(np.zeros(3), 2).replace(b"K\x03\x85", b"J\xff\xff\xff\x7f\x85")
    with pytest.raises(ValueError, match=r"an array of .* in 24 bytes"):
        loads(bomb)
    wide = b"(" + b"K\x01" * 60 + b"tq\x00" + b"".join(b"(" + b"h%c" % i * 60 + b"tq%c" % (i + 1) for i in range(5))
    with pytest.raises(ValueError, match="a tuple cannot be a key"):
        loads(wide + b"}h\x05Ns.")


def test_a_dtype_cannot_be_made_to_point_anywhere():
    # A record with an object inside whose flags deny it: numpy would follow eight bytes of the file as an address.
    record = np.dtype([("a", "O")])
    with pytest.raises(ValueError, match="dtype"):
        loads(pickle.dumps(np.zeros(1, dtype=record), 2))
    for state in (
        (3, "|", None, ("a",), {"a": (np.dtype("f8"), 0)}, 8, 1, 0),
        (3, "<", (np.dtype("f8"), (2,)), None, None, 8, 1, 0),
    ):
        made = pickle.dumps(Evil(np.dtype, "f8", False, True), 2)[:-1] + pickle.dumps(state, 2)[2:-1] + b"b."
        with pytest.raises(ValueError, match="a dtype with fields"):
            loads(made)
    for code in ("V8", "M8[ns]", "f9", "O,O"):
        with pytest.raises(ValueError, match="a dtype"):
            loads(pickle.dumps(Evil(np.dtype, code, False, True), 2))


def test_data_that_holds_itself_is_no_configuration():
    with pytest.raises(ValueError, match="holds itself"):
        plain(loads(b"]q\x00h\x00a."))


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_damaged_pickle_is_a_value_error(protocol):
    sample = {name: SAMPLE[name] for name in ("array", "text", "ordered", "set")}
    whole, chance = pickle.dumps(sample, protocol), random.Random(protocol)
    for cut in range(0, len(whole) - 1, 37):
        with pytest.raises(ValueError, match=r"pickle (cannot be read|was refused)"):
            loads(whole[:cut])
    refused = 0
    for _ in range(60):
        damaged = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        try:
            loads(bytes(damaged))
        except ValueError:
            refused += 1
    assert 15 < refused < 60, "changes of text go unseen, changes of the program do not"
