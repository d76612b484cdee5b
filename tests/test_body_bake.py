"""How the open body is made: laws of every step on small shapes, the packaged body's own numbers, the command."""

import sys

import numpy as np
import pytest
import roma
import torch

from tokenhmr.body import bake
from tokenhmr.body.baking import landmarks, source
from tokenhmr.body.baking.people import draw_people, mirror_of, shape_space, symmetric
from tokenhmr.body.baking.rig import JOINT, MIRROR_JOINTS, PARENT, TRUNK, Rig, joint_heads, joints_of_heads, skin_of_bone
from tokenhmr.body.baking.skin import Mesh, joint_regressor, mean_of_points, skin_of_joints, strongest
from tokenhmr.body.baking.smaller import seam_of, smaller
from tokenhmr.body.baking.straighten import straighten, turn_about, turn_between
from tokenhmr.body.files import OPEN_BODY
from tokenhmr.skeleton import EXTRA_JOINTS, SMPL_JOINTS

LIMB = {  # one side: bone -> its parent and where its head is, metres, with lowered arms
    "clavicle": ("spine01", (0.03, 1.45, 0.0)), "shoulder01": ("clavicle", (0.10, 1.44, 0.0)),
    "upperarm01": ("shoulder01", (0.18, 1.42, 0.0)), "upperarm02": ("upperarm01", (0.255, 1.3, 0.005)),
    "lowerarm01": ("upperarm02", (0.33, 1.18, 0.01)), "lowerarm02": ("lowerarm01", (0.38, 1.08, 0.045)),
    "wrist": ("lowerarm02", (0.43, 0.98, 0.08)), "finger2-1": ("wrist", (0.47, 0.9, 0.13)),
    "finger3-1": ("wrist", (0.48, 0.89, 0.1)), "finger5-1": ("wrist", (0.47, 0.9, 0.05)),
    "upperleg01": ("root", (0.1, 0.95, 0.0)), "upperleg02": ("upperleg01", (0.12, 0.7, 0.01)),
    "lowerleg01": ("upperleg02", (0.14, 0.5, 0.02)), "lowerleg02": ("lowerleg01", (0.15, 0.3, 0.0)),
    "foot": ("lowerleg02", (0.16, 0.08, -0.02)),
} | {f"toe{toe}-1": ("foot", (0.22 - 0.02 * toe, 0.02, 0.12)) for toe in range(1, 6)}  # fmt: skip
TRUNK_BONES = {
    "root": (None, (0.0, 0.95, 0.0)), "spine04": ("root", (0.0, 1.0, 0.0)), "spine03": ("spine04", (0.0, 1.1, 0.0)),
    "spine02": ("spine03", (0.0, 1.2, 0.0)), "spine01": ("spine02", (0.0, 1.3, 0.0)), "neck01": ("spine01", (0.0, 1.5, 0.0)),
    "neck02": ("neck01", (0.0, 1.55, 0.0)), "head": ("neck02", (0.0, 1.6, 0.0)),
}  # fmt: skip


@pytest.fixture(scope="module")
def stick():
    """A rig of Anny's names with one vertex at the head of each bone."""
    bones = dict(TRUNK_BONES)
    for letter, side in (("L", 1), ("R", -1)):
        for name, (parent, (x, y, z)) in LIMB.items():
            above = f"{parent}.{letter}" if parent in LIMB else parent
            bones[f"{name}.{letter}"] = (above, (side * x, y, z))
    names = tuple(bones)
    parents = tuple(-1 if parent is None else names.index(parent) for parent, _ in bones.values())
    faces = np.array([[0, 1, 2]])
    rig = Rig(bones=names, parents=parents, skinning=np.eye(len(names)), faces=faces)
    return rig, np.array([head for _, head in bones.values()])[None]


def test_every_joint_is_a_mean_of_heads(stick):
    assert list(joint_heads()) != [] and set(joint_heads()) == set(SMPL_JOINTS)
    assert joints_of_heads(stick[0]).sum(axis=1) == pytest.approx(1)
    with pytest.raises(ValueError, match=r"no bone 'foot\.L': the open body was made with 0\.6\.2"):
        Rig(bones=("root",), parents=(-1,), skinning=np.ones((1, 1)), faces=np.zeros((1, 3), np.int64)).bone("foot.L")


@pytest.mark.parametrize(
    "bone", ["root", "spine05", "neck01", "eye.L", "metacarpal2.R", "finger1-1.L", "finger4-2.R", "foot.L"]
)
def test_every_bone_gives_its_skin_away(bone):
    shares = skin_of_bone(bone)
    assert sum(shares.values()) == pytest.approx(1) and set(shares) <= {*SMPL_JOINTS, TRUNK}
    with pytest.raises(ValueError, match="bone 'tail' that no joint of SMPL takes over"):
        skin_of_bone("tail")


def test_turns_are_the_rotations_they_say():
    chance = np.random.default_rng(0)
    start, angle = chance.normal(size=(5, 3)), chance.normal(size=5)
    end = np.array([0.3, -1.0, 0.2])
    turn = turn_between(start, end)
    turned = np.einsum("bij,bj->bi", turn, start) / np.linalg.norm(start, axis=1, keepdims=True)
    np.testing.assert_allclose(turned, np.broadcast_to(end / np.linalg.norm(end), (5, 3)), atol=1e-12)
    np.testing.assert_allclose(turn @ turn.transpose(0, 2, 1), np.broadcast_to(np.eye(3), (5, 3, 3)), atol=1e-12)
    for axis in range(3):
        vector = torch.from_numpy(angle[:, None] * np.eye(3)[axis])
        np.testing.assert_allclose(turn_about(axis, angle), roma.rotvec_to_rotmat(vector).numpy(), atol=1e-12)


def test_straight_bodies_stand_in_t_pose(stick):
    rig, heads = stick
    vertices, placed = straighten(heads, heads, rig)
    np.testing.assert_allclose(vertices, placed, atol=1e-12)  # a vertex at the head of a bone goes where the head goes
    at = {name: placed[0, rig.bone(name)] for name in rig.bones}
    before = {name: heads[0, rig.bone(name)] for name in rig.bones}
    for letter, side in (("L", 1.0), ("R", -1.0)):
        elbow = at[f"lowerarm01.{letter}"]
        arm = [at[f"{bone}.{letter}"] - elbow for bone in ("upperarm01", "wrist")]
        for part, direction in zip(arm, (-side, side), strict=True):
            np.testing.assert_allclose(part / np.linalg.norm(part), [direction, 0, 0], atol=1e-9)
        assert (at[f"finger2-1.{letter}"] - at[f"finger5-1.{letter}"])[2] > 0.05  # the palm looks down
        toes = np.mean([at[f"toe{toe}-1.{letter}"] for toe in range(1, 6)], axis=0) - at[f"foot.{letter}"]
        assert np.degrees(np.arctan2(toes[0], toes[2])) == pytest.approx(12 * side)
    for name, parent in zip(rig.bones, rig.parents, strict=True):
        if parent >= 0:
            length = np.linalg.norm(before[name] - before[rig.bones[parent]])
            assert np.linalg.norm(at[name] - at[rig.bones[parent]]) == pytest.approx(length)


def test_people_are_adults_alike_on_both_sides():
    labels = ["gender", "age", "height", "african", "asian", "caucasian"]
    parts = ["l-upperarm-fat", "r-upperarm-fat", "head-fat", "stomach-pregnant", "hip-trans-in", "torso-scale"]
    whole, local = draw_people(300, labels=labels, parts=parts, seed=4)
    again, _ = draw_people(300, labels=labels, parts=parts, seed=4)
    assert list(whole) == labels and list(local) == ["l-upperarm-fat", "r-upperarm-fat", "torso-scale"]
    assert all(np.array_equal(whole[name], again[name]) for name in labels)
    assert np.array_equal(local["l-upperarm-fat"], local["r-upperarm-fat"])
    assert whole["age"][1:].min() > 0.6 and whole["age"].max() <= 1
    assert sum(whole[name] for name in labels[3:]) == pytest.approx(1)
    assert [whole["gender"][0], whole["age"][0], local["torso-scale"][0]] == [0.5, 0.7, 0]


def cloud(count=40, seed=0):
    """A symmetric cloud of points, its mirror, and people in it with two shapes of different spread."""
    chance = np.random.default_rng(seed)
    half = chance.uniform(0.05, 1, (count, 3))
    points = np.concatenate([half, half * [-1, 1, 1]])
    shapes = chance.normal(size=(2, count, 3)) * np.array([0.05, 0.01])[:, None, None]
    shapes = np.concatenate([shapes, shapes * [-1, 1, 1]], axis=1)
    betas = chance.normal(size=(200, 2))
    return (points + np.einsum("nk,kvi->nvi", betas, shapes)).astype(np.float32)


def test_the_mirror_and_symmetric_bodies():
    pytest.importorskip("scipy")
    people = cloud()
    mirror = mirror_of(people.mean(0))
    assert np.array_equal(mirror, np.r_[40:80, 0:40])
    crooked = people + np.random.default_rng(1).normal(0, 1e-4, people.shape).astype(np.float32)
    straight, joints = symmetric(crooked, np.random.default_rng(2).normal(size=(200, 24, 3)), mirror)
    assert np.array_equal(straight[:, mirror] * np.float32([-1, 1, 1]), straight)
    np.testing.assert_allclose(joints[:, MIRROR_JOINTS] * [-1, 1, 1], joints, atol=1e-15)
    with pytest.raises(ValueError, match="the mean body is not symmetric: a mirrored vertex lies"):
        mirror_of(people.mean(0)[:60])


def test_the_shape_space_says_everybody_again():
    people = cloud()
    mean, directions, betas, variance = shape_space(people, 2)
    np.testing.assert_allclose(mean + np.einsum("vik,nk->nvi", directions, betas), people, atol=1e-5)
    assert betas.std(axis=0, ddof=1) == pytest.approx(1, abs=1e-3) and abs(np.corrcoef(betas.T)[0, 1]) < 1e-3
    assert variance[:2].sum() / variance.sum() == pytest.approx(1, abs=1e-4) and (np.diff(variance) <= 1e-9).all()
    assert (directions[mean[:, 1].argmax(), 1] >= directions[mean[:, 1].argmin(), 1]).all()


def test_four_joints_move_a_vertex_and_a_spine_bends_by_height(stick):
    weights = strongest(np.random.default_rng(0).dirichlet(np.ones(24), 30))
    assert ((weights > 0).sum(axis=1) == 4).all() and weights.sum(axis=1) == pytest.approx(1)
    rig, heads = stick
    joints = joints_of_heads(rig) @ heads[0]
    mirror = np.array([rig.bones.index(bone.translate(str.maketrans("LR", "RL"))) for bone in rig.bones])
    skin = skin_of_joints(rig, heads[0], joints, mirror)
    np.testing.assert_allclose(skin[mirror][:, MIRROR_JOINTS], skin, atol=1e-12)
    chain = skin[[rig.bone("root"), rig.bone("spine02")]][:, [JOINT["pelvis"], JOINT["spine1"], JOINT["spine2"]]]
    assert chain[0, 0] > 0.9 and chain[1, 0] < 0.2 < chain[1, 1]
    assert skin[rig.bone("lowerarm02.R"), JOINT["right_elbow"]] == 1


def test_a_mean_of_points_stays_with_its_target():
    pytest.importorskip("scipy")
    chance = np.random.default_rng(0)
    points, directions, shares = chance.normal(size=(30, 3)), chance.normal(size=(30, 3, 2)), chance.dirichlet(np.ones(30))
    weights = mean_of_points(points, directions, shares @ points, np.einsum("v,vck->ck", shares, directions), least=1e-4)
    assert (weights >= 0).all() and weights.sum() == pytest.approx(1)
    np.testing.assert_allclose(weights @ points, shares @ points, atol=1e-2)
    np.testing.assert_allclose(
        np.einsum("v,vck->ck", weights, directions), np.einsum("v,vck->ck", shares, directions), atol=1e-2
    )


@pytest.fixture(scope="module")
def packaged():
    with np.load(OPEN_BODY) as file:
        return {name: file[name] for name in file.files}


def mesh_of(arrays):
    return Mesh(
        template=arrays["v_template"], shapedirs=arrays["shapedirs"].astype(np.float64),
        skinning=arrays["weights"].astype(np.float64), faces=arrays["f"].astype(np.int64),
        mirror=arrays["mirror"].astype(np.int64), outer=arrays["outer"],
    )  # fmt: skip


def test_the_packaged_body_follows_from_its_own_parts(packaged):
    names, regressor = list(packaged["coco_names"]), packaged["J_regressor"].astype(np.float64)
    head_top = dict(zip(packaged["vertex_id_names"], packaged["vertex_id"], strict=True))["headtop"]
    extra = landmarks.extra_regressor(regressor, names, packaged["coco_regressor"].astype(np.float64), int(head_top))
    assert extra.shape[0] == len(EXTRA_JOINTS)
    np.testing.assert_allclose(extra, packaged["J_regressor_extra19"], atol=1e-7)
    assert np.array_equal(packaged["kintree_table"][0], PARENT)
    np.testing.assert_allclose(strongest(packaged["weights"].astype(np.float64)), packaged["weights"], atol=1e-6)
    mirrored = packaged["v_template"][packaged["mirror"]] * np.float32([-1, 1, 1])
    assert np.array_equal(mirrored, packaged["v_template"])


def test_joints_of_the_packaged_mesh_are_found_again(packaged):
    pytest.importorskip("scipy")
    mesh, joints = mesh_of(packaged), packaged["joint_ref"].astype(np.float64)
    dirs = np.einsum("jv,vik->jik", packaged["J_regressor"], packaged["shapedirs"]).astype(np.float64)
    found = joint_regressor(mesh, joints, dirs, candidates=200)
    assert np.linalg.norm(found @ mesh.template - joints, axis=1).max() < 2e-3
    np.testing.assert_allclose(found[MIRROR_JOINTS][:, mesh.mirror], found, atol=1e-12)


def test_a_smaller_mesh_is_symmetric_and_closed_in_the_middle(packaged):
    for library in ("fast_simplification", "trimesh", "rtree", "scipy"):
        pytest.importorskip(library, reason=f"{library} comes with the extra [bake]")
    mesh = smaller(mesh_of(packaged), 1500)
    assert 1400 < len(mesh.template) <= 1500
    assert np.array_equal(mesh.template[mesh.mirror] * [-1, 1, 1], mesh.template)
    assert mesh.skinning.sum(axis=1) == pytest.approx(1)
    np.testing.assert_allclose(np.ptp(mesh.template, axis=0), np.ptp(packaged["v_template"], axis=0), atol=5e-3)
    # Both halves meet all along the middle: what is open there is the mouth, as in the packaged mesh.
    assert len(seam_of(mesh.template, mesh.faces)) <= len(seam_of(packaged["v_template"], packaged["f"])) < 10


def test_differences_are_said_array_by_array(packaged):
    other = dict(packaged) | {"f": packaged["f"][:-1], "v_template": packaged["v_template"] + np.float32(0.5)}
    del other["outer"]
    lines = bake.differences(packaged, other)
    assert len(lines) == len(packaged) and "weights: equal" in lines and "outer: only in the new body" in lines
    assert "f: (13714, 3) here, (13713, 3) there" in lines
    assert any(line.startswith("v_template: 100.00% of the numbers differ, by 0.5") for line in lines)


def test_the_command_says_in_one_line_what_is_wrong(tmp_path, capsys, monkeypatch):
    with pytest.raises(SystemExit) as stop:
        bake.main(["--help"])
    shown = capsys.readouterr().out
    assert stop.value.code == 0 and all(option in shown for option in ("--out", "--people", "--cache", "--compare", "[bake]"))
    for arguments, message in (
        (["--out", str(tmp_path / "nowhere" / "a.npz")], "no folder"),
        (["--out", str(tmp_path / "a.npz"), "--people", "8"], "8 people span no 10 shape directions"),
        (["--out", str(tmp_path / "a.npz"), "--compare", str(tmp_path / "b.npz")], "no body to compare with"),
    ):
        assert bake.main(arguments) == 2
        line = capsys.readouterr().err
        assert message in line and line.count("\n") == 1
    monkeypatch.setattr(source, "missing_packages", lambda: ["anny", "rtree"])
    assert bake.main(["--out", str(tmp_path / "a.npz"), "--quiet"]) == 2
    assert capsys.readouterr().err == "error: baking needs anny, rtree: pip install 'tokenhmr[bake]'\n"
    assert "anny" not in sys.modules and not (tmp_path / "a.npz").exists()


@pytest.mark.slow
def test_the_packaged_body_is_made_again(tmp_path, packaged):
    """Some minutes with Anny's cache warm, ten without it."""
    lacking = source.missing_packages()
    if lacking:
        pytest.skip(f"needs the extra [bake]: no {', '.join(lacking)}")
    assert bake.main(["--out", str(tmp_path / "again.npz"), "--quiet"]) == 0
    with np.load(tmp_path / "again.npz") as file:
        again = {name: file[name] for name in file.files}
    assert bake.differences(again, packaged) == [f"{name}: equal" for name in sorted(packaged)]
