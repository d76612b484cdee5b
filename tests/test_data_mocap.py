"""Motion files in, rotations out; what is no motion is refused by name."""

import numpy as np
import pytest

from tokenhmr.data.mocap import read_clip, read_motion


def write(path, frames=5, *, dtype=np.float32, **arrays):
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = np.arange(frames * 156, dtype=dtype).reshape(frames, 156) / 1000
    np.savez(path, **(arrays or {"poses": columns, "trans": np.zeros((frames, 3))}))
    return columns


def test_the_body_joints_are_the_columns_behind_the_root(tmp_path):
    columns = write(tmp_path / "CMU_07_02_p3.npz", dtype=np.float64)
    motion = read_motion(tmp_path / "CMU_07_02_p3.npz")
    assert motion.body_pose.dtype == np.float32
    for joint in range(21):
        np.testing.assert_allclose(motion.body_pose[:, joint], columns[:, 3 + 3 * joint : 6 + 3 * joint], rtol=1e-6)
    assert (motion.names, motion.subjects, motion.clip.tolist()) == (("CMU_07_02_p3",), ("CMU_07",), [0] * 5)


def test_the_prepared_layout_is_the_same_motion(tmp_path):
    columns = write(tmp_path / "amass.npz")
    write(tmp_path / "prepared.npz", pose_body=columns[:, 3:66].astype(np.float64))
    np.testing.assert_array_equal(read_clip(tmp_path / "amass.npz"), read_clip(tmp_path / "prepared.npz"))


def test_a_folder_is_read_in_order_with_its_subjects(tmp_path, caplog):
    write(tmp_path / "CMU" / "b" / "walk_poses.npz", 2)
    write(tmp_path / "CMU" / "a" / "run_poses.npz", 3)
    write(tmp_path / "CMU" / "a" / "shape.npz", betas=np.zeros(16))
    write(tmp_path / "KIT_3_jump.npz", 4)
    (tmp_path / "notes.txt").write_text("no motion")
    motion = read_motion(tmp_path)
    assert motion.names == ("CMU/a/run_poses", "CMU/b/walk_poses", "KIT_3_jump")
    assert motion.subjects == ("CMU/a", "CMU/b", "KIT_3")
    assert np.bincount(motion.clip).tolist() == [3, 2, 4]
    assert "shape.npz has neither poses nor pose_body" in caplog.text


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"poses": np.zeros((4, 63))}, r"poses is \(4, 63\), it should be \(frames, 66 or more\)"),
        ({"pose_body": np.zeros((4, 66))}, r"pose_body is \(4, 66\), it should be \(frames, 63\)"),
        ({"poses": np.zeros((0, 156))}, "no frames"),
        ({"poses": np.full((4, 156), np.nan)}, "4 of 4 frames with values that are not finite"),
        ({"poses": np.zeros((4, 156), dtype=int)}, "they should be floats"),
        ({"betas": np.zeros(3)}, "neither poses nor pose_body, only betas"),
        ({"poses": np.array([{"a": 1}])}, "cannot be read as npz: Object arrays"),
    ],
)
def test_what_is_no_motion_is_refused_by_name(tmp_path, arrays, message):
    write(tmp_path / "clip.npz", **arrays)
    with pytest.raises(ValueError, match=message):
        read_clip(tmp_path / "clip.npz")


def test_missing_damaged_and_empty_are_told_apart(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_motion(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"no \.npz with motion below"):
        read_motion(tmp_path)
    write(tmp_path / "cut.npz")
    whole = (tmp_path / "cut.npz").read_bytes()
    for damaged in (whole[:200], b"text", b""):
        (tmp_path / "cut.npz").write_bytes(damaged)
        with pytest.raises(ValueError, match=r"cut\.npz"):
            read_motion(tmp_path / "cut.npz")


def test_real_motion(data_folder):
    test, val = (read_motion(data_folder / "mocap" / split) for split in ("test", "val"))
    assert set(test.subjects) == {"CMU_17", "CMU_49", "CMU_135"}
    assert not set(test.subjects) & set(val.subjects)
    assert len(test.body_pose) == len(test.clip) > 10_000
    assert np.linalg.norm(test.body_pose, axis=-1).max() < 2 * np.pi
