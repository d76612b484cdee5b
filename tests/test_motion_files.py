"""BVH and ASF/AMC files: what is read is what was written, and what is wrong is named with its place."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tests.motion_tools import cmu_bones, cmu_parents, random_amc_frames, random_smpl_world, write_amc, write_asf, write_bvh
from tokenhmr.data.motion.asf import read_amc, read_asf
from tokenhmr.data.motion.bvh import read_bvh
from tokenhmr.skeleton import SMPL_JOINTS, SMPL_PARENTS


def generator():
    return np.random.default_rng(5)


@pytest.mark.parametrize("order", ["ZYX", "XYZ", "YXZ", "ZXY"])
def test_a_bvh_gives_back_the_rotations_it_was_written_from(tmp_path, order):
    _, world = random_smpl_world(6, generator())
    offsets, root = generator().normal(0, 1, (24, 3)), generator().normal(0, 9, (6, 3))
    write_bvh(
        tmp_path / "walk.bvh", names=SMPL_JOINTS, parents=SMPL_PARENTS, offsets=offsets, world=world, root=root, order=order
    )
    read = read_bvh(tmp_path / "walk.bvh")
    rows = [read.joints.index(name) for name in SMPL_JOINTS]
    np.testing.assert_allclose(read.rotations[:, rows], world, atol=1e-6)
    np.testing.assert_allclose(read.root, root, atol=1e-6)
    assert read.fps == pytest.approx(120, rel=1e-4)
    assert (read.name, len(read.joints), sum(name.endswith("_end") for name in read.joints)) == ("walk", 29, 5)
    # Slow twin of the positions: up the chain, one joint at a time.
    for frame in range(6):
        for joint, name in enumerate(SMPL_JOINTS):
            place, at = np.zeros(3), joint
            while SMPL_PARENTS[at] >= 0:
                place, at = place + world[frame, SMPL_PARENTS[at]] @ offsets[at], SMPL_PARENTS[at]
            np.testing.assert_allclose(read.positions()[frame, read.joints.index(name)], place + root[frame], atol=1e-4)


def test_bvh_of_few_or_many_channels_and_odd_spelling(tmp_path):
    """One rotation channel, none, six on a joint that is no root, a root without places, braces on the line."""
    (tmp_path / "odd.bvh").write_text(
        "HIERARCHY\r\nRoot my hips {\r\n Offset 1 2 3\r\n channels 1 zROTATION\r\n"
        "Joint a {\n OFFSET 0 1 0\n CHANNELS 6 Xposition Yposition Zposition Xrotation Yrotation Zrotation\n"
        "JOINT b { OFFSET 0 1 0\n JOINT c { OFFSET 0 1 0\n CHANNELS 3 Yrotation Xrotation Zrotation\n"
        "End Site { OFFSET 0 1 0 } } } } }\n"
        "MOTION\nFrames:\t2\nFrame Time:\t0.04\n90 5 6 7 0 0 0 0 0 0\n0 5 6 7 90 0 0 0 90 0\n"
    )
    read = read_bvh(tmp_path / "odd.bvh")
    assert (read.joints, read.parents, read.fps) == (("my hips", "a", "b", "c", "c_end"), (-1, 0, 1, 2, 3), 25.0)
    np.testing.assert_allclose(read.root, [[1, 2, 3], [1, 2, 3]])
    np.testing.assert_allclose(read.positions()[0, 4], [1 - 4, 2, 3], atol=1e-12)  # z turns all of it to -x
    np.testing.assert_allclose(
        read.positions()[1, 4], [1, 3 - 1, 3 + 2], atol=1e-12
    )  # a and b bend forward as one, c once more
    np.testing.assert_allclose(read.rotations[1, 2], read.rotations[1, 1])


def test_an_amc_turns_bones_about_their_own_axes(tmp_path):
    """Slow twin with scipy: one frame and bone at a time, C R C^-1 with the angles about fixed axes."""
    frames = random_amc_frames(4, generator())
    write_asf(tmp_path / "07.asf")
    write_amc(tmp_path / "07_01.amc", frames)
    read = read_amc(tmp_path / "07_01.amc", read_asf(tmp_path / "07.asf"), fps=120.0)
    bones, parents = cmu_bones(), cmu_parents()

    def world(bone, frame):
        if bone == "root":
            return Rotation.from_euler("xyz", frame["root"][3:], degrees=True), np.array(frame["root"][:3])
        turn, place = world(parents[bone], frame)
        above = np.zeros(3) if parents[bone] == "root" else 2 * bones[parents[bone]][0]
        _, axes, dof = bones[bone]
        angles = dict(zip(dof, frame.get(bone, ()), strict=True))
        own, own_axes = Rotation.identity(), Rotation.from_euler("xyz", axes, degrees=True)
        for axis in "xyz":
            own = Rotation.from_euler(axis, angles.get(f"r{axis}", 0.0), degrees=True) * own
        return turn * own_axes * own * own_axes.inv(), place + turn.apply(above)

    for number, frame in enumerate(frames):
        for bone in bones:
            turn, place = world(bone, frame)
            np.testing.assert_allclose(read.rotations[number, read.joints.index(bone)], turn.as_matrix(), atol=1e-4)
            np.testing.assert_allclose(read.positions()[number, read.joints.index(bone)], place, atol=1e-3)
    tips = {name for name in read.joints if name.endswith("_end")}
    assert tips == {"head_end", *(f"{side}{part}_end" for side in "lr" for part in ("toes", "thumb", "fingers"))}


GOOD = "HIERARCHY\nROOT a\n{\nOFFSET 0 0 0\nCHANNELS 1 Xrotation\n}\nMOTION\nFrames: 2\nFrame Time: 0.1\n1\n2\n"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("HIERARCHY", "", "is no BVH"),
        ("MOTION", "", "is no BVH"),
        ("OFFSET 0 0 0", "OFFSET 0 0", "line 4: an offset of 2 numbers"),
        ("OFFSET 0 0 0", "OFFSET 0 0 left", "line 4"),
        ("OFFSET 0 0 0\n", "", r"without an offset: \['a'\]"),
        ("1 Xrotation", "2 Xrotation", "line 5: channels 2 Xrotation"),
        ("1 Xrotation", "1 Wrotation", "line 5: channels 1 Wrotation"),
        ("OFFSET", "LENGTH", "line 4: 'LENGTH' is no word"),
        ("}", "", "1 braces are open"),
        ("}", "}}", "closed that was never opened"),
        ("}", "JOINT a\n{\nOFFSET 0 0 0\n}\n}", "named twice: .'a'"),
        ("}", "}\nROOT b\n{\nOFFSET 0 0 0\n}", "a second ROOT"),
        ("1\n2\n", "1\n", "has 1 numbers, 2 frames of 1 channels are 2"),
        ("1\n2\n", "1\nnan\n", "1 of 2 frames have values that are not finite, the first is 1"),
        ("1\n2\n", "1\ntwo\n", "only numbers, but"),
        ("0.1", "0", "frames of 0.0 s"),
        ("Frames: 2", "Frames: 0", "it has 0 frames"),
        ("Frame Time:", "", "'Frame Time:'|0 frames"),
    ],
)
def test_a_wrong_bvh_is_refused_by_name_and_line(tmp_path, old, new, message):
    assert old in GOOD
    (tmp_path / "bad.bvh").write_text(GOOD.replace(old, new, 1))
    with pytest.raises(ValueError, match=message) as refusal:
        read_bvh(tmp_path / "bad.bvh")
    assert "bad.bvh" in str(refusal.value)


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("x.asf", ":hierarchy", ":anarchy", "no ASF: it has no :hierarchy"),
        ("x.asf", "axis XYZ", "axis XYQ", "its root cannot be read"),
        ("x.asf", "order TX TY TZ RX RY RZ", "order TX TY RX RY RZ", "should name tx ty tz"),
        ("x.asf", "dof rx ry rz", "dof rx ry rw", "bone .'lfemur'. cannot be read"),
        ("x.asf", "length 2", "length long", "bone .'lhipjoint'. cannot be read"),
        ("x.asf", "    ltibia lfoot\n", "", "do not agree on lfoot"),
        ("x.asf", "root lhipjoint", "root", "do not agree on lhipjoint"),
        ("x.amc", "lradius", "lradiant", "frame 1 of 2: it does not fit the skeleton in lradiant, lradius"),
        ("x.amc", "lradius ", "lradius 3 ", "does not fit the skeleton in lradius"),
        ("x.amc", "lradius ", "lradius x", "could not convert"),
        ("x.amc", "lradius ", "lradius nan#", "could not convert"),
        ("x.amc", "\n1\n", "\n", "before the number of a frame"),
    ],
)
def test_a_wrong_asf_or_amc_is_refused_by_name(tmp_path, file, old, new, message):
    write_asf(tmp_path / "x.asf")
    write_amc(tmp_path / "x.amc", random_amc_frames(2, generator()))
    text = (tmp_path / file).read_text()
    assert old in text
    (tmp_path / file).write_text(text.replace(old, new, 1))
    with pytest.raises(ValueError, match=message) as refusal:
        read_amc(tmp_path / "x.amc", read_asf(tmp_path / "x.asf"), fps=120.0)
    assert file in str(refusal.value)


def test_a_file_that_is_not_there_or_no_text(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.bvh"):
        read_bvh(tmp_path / "nowhere.bvh")
    (tmp_path / "x.bvh").write_bytes(b"HIERARCHY\0\xff\xfe MOTION")
    with pytest.raises(ValueError, match="no text file"):
        read_bvh(tmp_path / "x.bvh")
    (tmp_path / "x.bvh").write_bytes(GOOD.replace("ROOT a", "ROOT ä").encode("latin-1"))
    assert read_bvh(tmp_path / "x.bvh").joints == ("ä",)
