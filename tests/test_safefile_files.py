"""Archives of arrays and files of torch.save: objects in them by the same rules, sizes checked before memory is taken."""

import collections
import io
import os
import pickle
import struct
import zipfile
import zlib

import numpy as np
import pytest
import torch

from tests.test_safefile import Evil
from tokenhmr.safefile import SparseMatrix, read_npy, read_npz, read_torch


def test_an_archive_comes_back_as_it_went(tmp_path):
    people = np.empty((2, 1), dtype=object)
    people[:, 0] = [{"betas": np.arange(3.0)}, None]
    arrays = {"a": np.arange(6.0).reshape(2, 3).T, "names": np.array(["x", "yy"]), "none": np.zeros((0, 3)), "people": people}
    arrays |= {"number": np.float32(2), "wide": np.zeros(3, dtype=[("x", "<f4"), ("y", "<i8")])}
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "a.npz", **arrays)
        back = read_npz(tmp_path / "a.npz")
        assert set(back) == set(arrays)
        for name in set(arrays) - {"people"}:
            assert back[name].dtype == arrays[name].dtype and np.array_equal(back[name], arrays[name]), name
        assert back["people"].shape == (2, 1) and np.array_equal(back["people"][0, 0]["betas"], np.arange(3.0))
    np.save(tmp_path / "a.npy", arrays["a"])
    assert np.array_equal(read_npy(tmp_path / "a.npy"), arrays["a"])


def test_sparse_matrices_in_an_archive(tmp_path):
    sparse = pytest.importorskip("scipy.sparse", reason="scipy comes with the extra [dev]")
    np.savez(tmp_path / "a.npz", D=np.array([sparse.coo_matrix(np.eye(4))], dtype=object))
    (matrix,) = read_npz(tmp_path / "a.npz")["D"]
    assert isinstance(matrix, SparseMatrix) and np.array_equal(matrix.toarray(), np.eye(4))
    huge = SparseMatrix(shape=(10**6, 10**6), row=np.zeros(1, int), column=np.zeros(1, int), value=np.ones(1))
    with pytest.raises(ValueError, match="too large to be written out"):
        huge.toarray()


def test_an_archive_that_runs_code_is_refused(tmp_path):
    canary = tmp_path / "canary"
    np.savez(tmp_path / "evil.npz", fine=np.zeros(2), x=np.array([Evil(os.system, f"touch {canary}")], dtype=object))
    with pytest.raises(ValueError, match=r"evil\.npz: x\.npy was refused and nothing in it run: .*GLOBAL at byte \d+"):
        read_npz(tmp_path / "evil.npz")
    assert not canary.exists()


def npy(shape, dtype, content):
    header = f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + content


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (npy((10**12,), "<f8", b""), "8000000000000 bytes; there are 0"),
        (npy((2,), "<f8", b"x" * 17), "16 bytes; there are 17"),
        (npy((-1,), "<f8", b""), "there are 0|shape"),
        (npy((1,), "|O", b""), "the file ends too early"),
        (npy((2,), "|O", pickle.dumps(np.array([None], dtype=object))), "no array of"),
        (npy((1,), "|O", pickle.dumps([1])), "no array of"),
        (npy((1,), [("a", "|O")], b"x" * 8), "there are 8"),
        (b"\x93NUMPY\x07\x00", "its format is|not a whole array"),
        (b"", "not a whole array file"),
        (b"plain text", "not a whole array file"),
    ],
)
def test_a_header_is_not_believed(content, words, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", content)
    with pytest.raises(ValueError, match=rf"a\.npz: x\.npy .*({words})"):
        read_npz(tmp_path / "a.npz")


def test_an_archive_that_unfolds_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("tokenhmr.safefile.arrays._LARGE", 10**5)
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros(10**5))
    with pytest.raises(ValueError, match=r"refused: x\.npy unpacks to 800\d\d\d bytes"):
        read_npz(tmp_path / "a.npz")


def test_archives_that_are_none(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file at"):
        read_npz(tmp_path / "nowhere.npz")
    np.savez(tmp_path / "a.npz", x=np.arange(100))
    whole = (tmp_path / "a.npz").read_bytes()
    for keep in (0, 10, len(whole) // 2, len(whole) - 5):
        (tmp_path / "a.npz").write_bytes(whole[:keep])
        with pytest.raises(ValueError, match=r"a\.npz is not a whole \.npz file"):
            read_npz(tmp_path / "a.npz")
    damaged = bytearray(whole)
    damaged[whole.index(np.arange(100).tobytes()) + 80] ^= 1
    (tmp_path / "a.npz").write_bytes(damaged)
    with pytest.raises(ValueError, match="CRC"):
        read_npz(tmp_path / "a.npz")


# torch.save, both containers.


@pytest.fixture(params=[True, False], ids=["zip", "legacy"])
def container(request):
    return {"_use_new_zipfile_serialization": request.param}


def test_tensors_come_back_as_they_went(container, tmp_path):
    weight = torch.randn(4, 5)
    state = collections.OrderedDict(weight=weight, turned=weight.T, part=weight[1:3], none=torch.zeros(0, 3))
    state.update(half=torch.randn(3).half(), brain=torch.randn(3).bfloat16(), whole=torch.tensor(3))
    state.update(truth=torch.tensor([True, False]), learnt=torch.nn.Parameter(torch.ones(2)))
    state._metadata = {"": {"version": 1}}
    torch.save(
        {"state_dict": state, "loss": np.float64(2), "size": weight.shape, "device": torch.device("cpu")},
        tmp_path / "a.pt",
        **container,
    )
    back = read_torch(tmp_path / "a.pt")
    assert back["loss"] == 2 and back["size"] == (4, 5)
    for name, value in state.items():
        assert torch.equal(back["state_dict"][name], value) and back["state_dict"][name].dtype == value.dtype, name
    # What shared memory shares it again, and changes do not reach the file.
    back["state_dict"]["weight"].zero_()
    assert not back["state_dict"]["turned"].any()
    assert torch.equal(read_torch(tmp_path / "a.pt")["state_dict"]["weight"], weight)


def test_every_way_to_cut_a_file_is_an_error(container, tmp_path):
    torch.save({"x": torch.arange(5.0), "y": torch.ones(2)}, tmp_path / "a.pt", **container)
    whole = (tmp_path / "a.pt").read_bytes()
    for keep in range(0, len(whole), 61):
        (tmp_path / "a.pt").write_bytes(whole[:keep])
        with pytest.raises(ValueError, match=r"a\.pt"):
            read_torch(tmp_path / "a.pt")


def test_a_tensor_cannot_reach_beyond_its_storage(container, tmp_path):
    torch.save(torch.arange(4.0), tmp_path / "a.pt", **container)
    whole = (tmp_path / "a.pt").read_bytes()
    for theirs, ours in (
        (b"K\x00K\x04\x85", b"K\x09K\x04\x85"),
        (b"K\x00K\x04\x85", b"K\x00K\x7f\x85"),
        (b"K\x01\x85", b"K\x05\x85"),
    ):
        assert whole.count(theirs) == 1
        changed = whole.replace(theirs, ours)
        if container["_use_new_zipfile_serialization"]:
            changed = with_checksums(changed)
        (tmp_path / "a.pt").write_bytes(changed)
        with pytest.raises(ValueError, match=r"a\.pt cannot be read: REDUCE at byte \d+"):
            read_torch(tmp_path / "a.pt")


def with_checksums(data):
    """The same archive, whose entries are uncompressed, with checksums that are right again."""
    out = bytearray(data)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        directory = archive.start_dir
        for member in archive.infolist():
            head = member.header_offset + 30
            start = head + sum(struct.unpack("<HH", data[head - 4 : head]))
            checksum = struct.pack("<I", zlib.crc32(data[start : start + member.file_size]))
            out[directory + 16 : directory + 20] = checksum
            lengths = struct.unpack("<HHH", data[directory + 28 : directory + 34])
            directory += 46 + sum(lengths)
    return bytes(out)
