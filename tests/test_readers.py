"""Every format's fixture comes out as annotations that say what was written, through readers, batches and lists."""

import numpy as np
import pytest
import roma
import torch

from tests import fixtures_formats as made
from tokenhmr.body import load_body
from tokenhmr.data.batches import held_out_batches, train_batches
from tokenhmr.data.opened import open_scene
from tokenhmr.data.readers import READERS, make_reader, read_scenes
from tokenhmr.data.scene import EVERYTHING, Asked, Share
from tokenhmr.data.sources import read_data_list
from tokenhmr.skeleton import JOINTS44, OPENPOSE_JOINTS
from tokenhmr.structs import Pose

SIDE = made.SIDE


def row(name: str) -> int:
    return JOINTS44.index(name)


def read(folder, fixture, /, *, share=EVERYTHING, order=None, trusted=True, **options):
    """People by the names of their pictures, and what was skipped."""
    skipped = []
    asked = Asked(
        name="set", skip=lambda what, why: skipped.append((what, why)), share=share, order=order, trusted=trusted,
        pictures=folder / fixture.pictures,
    )  # fmt: skip
    given = fixture.options | options
    scenes = [s for shard in fixture.shards for s in read_scenes(fixture.format, str(folder / shard), asked, given)]
    return scenes, skipped


def people_of(folder, fixture, /, **asked):
    scenes, skipped = read(folder, fixture, **asked)
    assert skipped == []
    return [person for scene in scenes for person in scene.people()]


@pytest.mark.parametrize("name", made.FIXTURES)
def test_every_format_brings_everybody_with_a_picture_to_look_at(name, tmp_path):
    fixture = made.FIXTURES[name](tmp_path)
    scenes, skipped = read(tmp_path, fixture)
    assert skipped == []
    assert sum(scene.count for scene in scenes) == fixture.people
    for scene in scenes:
        opened = open_scene(scene)
        assert len(opened.people) == scene.count
        for person in opened.people:
            assert person.image_size.tolist() == [opened.pixels.shape[1], opened.pixels.shape[0]]
            assert (person.box_size > 1).all() and (person.box_size <= 200).all()  # a wrong unit would show
            assert person.keypoints_2d[:, 2].any() or person.keypoints_3d[:, 3].any() or person.has_pose
    keys = [person.key for scene in scenes for person in scene.people()]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("name", made.FIXTURES)
@pytest.mark.parametrize("order", [None, 7])
def test_shares_are_disjoint_and_hold_everybody(name, order, tmp_path):
    fixture = made.FIXTURES[name](tmp_path)
    whole = [p.key for p in people_of(tmp_path, fixture)]
    parts = [[p.key for p in people_of(tmp_path, fixture, share=Share(i, 3), order=order)] for i in range(3)]
    assert sorted(key for part in parts for key in part) == sorted(whole)


@pytest.mark.parametrize("name", ["3dpw", "spin", "tsv", "3doh"])
def test_tables_come_in_another_order_for_another_seed(name, tmp_path):
    fixture = made.FIXTURES[name](tmp_path)
    orders = {tuple(p.key for p in people_of(tmp_path, fixture, order=seed)) for seed in range(8)}
    assert len(orders) > 3
    assert {p.key for p in people_of(tmp_path, fixture, order=0)} == {p.key for p in people_of(tmp_path, fixture)}


def test_all_formats_at_once_go_through_lists_training_and_held_out_batches(tmp_path):
    fixtures = {name: write(tmp_path) for name, write in made.FIXTURES.items()}
    (tmp_path / "all.yaml").write_text(made.list_text(fixtures))
    sources = read_data_list(tmp_path / "all.yaml", root=tmp_path)
    held_out = held_out_batches(sources=sources, batch_size=8)
    batches = list(held_out)
    assert sum(len(batch.key) for batch in batches) == made.PEOPLE * len(fixtures)
    assert held_out.skipped == 0
    assert held_out.ledger.counts[:, 0].tolist() == [made.PEOPLE] * len(fixtures)
    assert {name for batch in batches for name in batch.dataset} == {"noise", *fixtures} - {"own"}
    trusted = {name for batch in batches for name, sure in zip(batch.dataset, batch.trusted.tolist(), strict=True) if sure}
    assert trusted == {"noise", *fixtures} - {"own", "spin", "cliff", "eft", "up3d"}  # fits to pictures are never exact
    training = train_batches(sources=sources, batch_size=60)
    batch = next(iter(training))
    assert len(batch.key) == 60 and torch.isfinite(batch.keypoints_3d).all()
    assert training.ledger.counts[:, 0].sum() == 60


# --------------------------------------------------------------------------------------------- what each format says


def test_4d_humans_says_what_its_pickle_says(tmp_path):
    fixture = made.four_d(tmp_path)
    person = people_of(tmp_path, fixture)[2]
    wrote = made.four_d_person(2)
    np.testing.assert_allclose(person.keypoints_2d, wrote["keypoints_2d"])
    np.testing.assert_allclose(person.keypoints_3d, wrote["keypoints_3d"])
    np.testing.assert_allclose(person.box_size, [SIDE * 0.5, SIDE * 0.8], rtol=1e-6)
    np.testing.assert_allclose(person.pose.reshape(-1), wrote["body_pose"])
    assert (person.has_pose, person.has_betas, person.mask, person.key) == (True, True, None, "h36m-train/b.1")
    scenes, _ = read(tmp_path, fixture, masks=True)
    masks = scenes[1].masks()
    assert masks.shape == (2, SIDE, SIDE) and masks.dtype == bool
    assert scenes[1].people()[0].mask == 1


def filtered(tmp_path, changed, /, **options):
    made.four_d_tar(tmp_path / "one.tar", {"k": [made.four_d_person(0, **changed)]})
    return people_of(tmp_path, made.Fixture("4dhumans", ["one.tar"]), **options)


def test_the_filters_of_4d_humans(tmp_path):
    keypoints = made.flat(0, 44)
    keypoints[:40, 2] = 0.29
    assert filtered(tmp_path, {"keypoints_2d": keypoints}) == []  # four are left, more than four are wanted
    keypoints[39, 2] = 0.31
    (person,) = filtered(tmp_path, {"keypoints_2d": keypoints})
    assert (person.keypoints_2d[:, 2] > 0).sum() == 5
    assert filtered(tmp_path, {"extra_info": {"fitting_loss": np.array({"reprojection_loss": 31000.0})}}) == []
    assert len(filtered(tmp_path, {"extra_info": {"fitting_loss": np.array({"reprojection_loss": 30999.0})}})) == 1
    assert len(filtered(tmp_path, {"extra_info": {}})) == 1
    (wild,) = filtered(tmp_path, {"betas": np.array([3.1] + [0.0] * 9)})
    assert (wild.has_pose, wild.has_betas, np.abs(wild.betas).max()) == (False, True, 0.0)
    (wild,) = filtered(tmp_path, {"betas": np.array([3.1] + [0.0] * 9)}, mean_shape=False, both=False)
    assert (wild.has_pose, wild.has_betas) == (True, False)
    assert filtered(tmp_path, {"scale": np.array([0.1, 0.3])}, least_box=20.0) == []


def test_broken_keys_are_left_out(tmp_path):
    key = "aic-train-vitpose/0a047f0124ae48f8eee15a9506ce1449ee1ba669"
    made.four_d_tar(tmp_path / "aic.tar", {key: [made.four_d_person(0)], "x": [made.four_d_person(1)], "y": []})
    fixture = made.Fixture("4dhumans", ["aic.tar"])
    assert [p.key for p in people_of(tmp_path, fixture)] == ["x.0"]
    assert people_of(tmp_path, fixture, broken=["x"]) == []


def test_bedlam_joints_come_from_the_body_and_close_ups_stand_up(tmp_path):
    fixture = made.bedlam(tmp_path)
    scenes, _ = read(tmp_path, fixture)
    person, wrote = scenes[0].people()[0], made.bedlam_person(0)
    pose = roma.rotvec_to_rotmat(torch.from_numpy(wrote["pose_cam"][:72].reshape(1, 24, 3))).float()
    shape = torch.from_numpy(wrote["shape"][None, :10]).float()
    joints = load_body("open")(Pose(global_orient=pose[:, 0], body=pose[:, 1:], betas=shape)).joints[0].numpy()
    np.testing.assert_allclose(person.keypoints_3d[:, :3], joints, atol=1e-6)
    placed = joints + np.array([0.1, 0.0, 3.0])
    np.testing.assert_allclose(person.keypoints_2d[:, :2], placed[:, :2] / placed[:, 2:] * SIDE + SIDE / 2, atol=1e-3)
    assert [scene.orientation for scene in scenes] == [1, 6]
    stored, opened = made.picture(1, side=SIDE), open_scene(scenes[1]).pixels
    assert np.abs(opened.astype(int) - np.rot90(stored, -1)).mean() < 6  # but for the loss of JPEG


def test_joints_outside_the_picture_count_in_bedlam_as_one_chooses(tmp_path):
    made.four_d_tar(tmp_path / "b.tar", {"k": [made.bedlam_person(0, trans_cam=np.array([0.9, 0.0, 1.0]))]})
    fixture = made.Fixture("bedlam", ["b.tar"])
    (released,), (visible,) = (people_of(tmp_path, fixture, outside=outside) for outside in ("release", "visible"))
    inside = (visible.keypoints_2d[:, :2] >= 0).all(axis=1) & (visible.keypoints_2d[:, :2] < SIDE).all(axis=1)
    assert released.keypoints_2d[:, 2].tolist() == [1.0] * 44
    assert 0 < inside.sum() < 44
    assert visible.keypoints_2d[:, 2].tolist() == inside.astype(float).tolist()


def test_3dpw_and_emdb_have_boxes_of_one_size_in_unlike_units(tmp_path):
    three, outdoor = made.three_dpw(tmp_path), made.emdb(tmp_path)
    (first, *_), (second, *_) = people_of(tmp_path, three), people_of(tmp_path, outdoor)
    np.testing.assert_allclose(first.box_size, second.box_size, rtol=1e-6)
    assert (first.gender, second.gender) == ("male", "male")
    # OpenPose's body joints of 3DPW are not believed in space; the nose and the 19 others are.
    assert first.keypoints_3d[:, 3].tolist() == [1.0] + [0.0] * 14 + [1.0] * 29
    assert second.keypoints_3d[:, 3].any() == False  # noqa: E712
    assert second.keypoints_2d[:, 2].all()


def test_subsets_of_3dpw(tmp_path):
    fixture = made.three_dpw(tmp_path)
    found = {name: [p.key.split("#")[0] for p in people_of(tmp_path, fixture, members=name)] for name in ("oc", "pc", "non-oc")}
    basketball, dancing, arguing, golf = made.THREE_DPW
    assert found == {"oc": [basketball, golf], "pc": [dancing], "non-oc": [arguing]}
    (tmp_path / "mine.txt").write_text("downtown_arguing_00/image_00007.jpg\n\n")
    assert [p.key for p in people_of(tmp_path, fixture, members=str(tmp_path / "mine.txt"))] == [f"{arguing}#2"]
    listed = '{"images": [{"id": 5, "sequence": "outdoors_golf_00", "file_name": "image_00000.jpg"}, '
    listed += '{"id": 6, "sequence": "x", "file_name": "y"}], "annotations": [{"id": 1, "image_id": 5}]}'
    (tmp_path / "3DPW_oc.json").write_text(listed)
    assert [p.key for p in people_of(tmp_path, fixture, members=str(tmp_path / "3DPW_oc.json"))] == [f"{golf}#3"]


def test_pseudo_labels_of_one_person_come_once(tmp_path):
    best, others = made.cliff(tmp_path), made.eft(tmp_path)
    columns = made.spin_columns([*made.COCO, made.COCO[0], made.COCO[0]])
    columns["center"][5] += SIDE  # somebody else in the first picture; row 4 is row 0 again
    made.npz(tmp_path / "spin.npz", **columns)
    spin = made.Fixture("spin", ["spin.npz"], pictures="coco")
    assert len(people_of(tmp_path, spin)) == 5
    assert [p.key for p in people_of(tmp_path, spin, besides=[str(tmp_path / best.shards[0])])] == [f"{made.COCO[0]}#5"]
    assert [p.key for p in people_of(tmp_path, spin, besides=[str(tmp_path / others.shards[0])])] == [f"{made.COCO[0]}#5"]
    (exact, *_) = people_of(tmp_path, spin, exact=True)
    assert exact.trusted and not people_of(tmp_path, spin)[0].trusted
    assert not people_of(tmp_path, spin, exact=True, trusted=False)[0].trusted


def test_face_points_of_data_sets_take_openpose_places_that_are_free(tmp_path):
    (person, *_) = people_of(tmp_path, made.spin(tmp_path))
    part = made.flat(0, 24)
    np.testing.assert_allclose(person.keypoints_2d[25:], part[:19], rtol=1e-6)
    np.testing.assert_allclose(person.keypoints_2d[row("nose")], part[19], rtol=1e-6)
    np.testing.assert_allclose(person.keypoints_2d[row("right_eye")], part[21], rtol=1e-6)
    assert person.keypoints_2d[row("mid_hip"), 2] == 0


def test_human36m_turns_world_into_camera(tmp_path):
    fixture = made.h36m(tmp_path)
    first, second, third, _ = people_of(tmp_path, fixture)
    assert len(people_of(tmp_path, fixture, every=1)) == 5 and len(people_of(tmp_path, fixture, cameras=[4])) == 2
    turn = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])
    world = made.chance(0).normal(size=(17, 3)) * 300
    camera = world @ turn.T + [0, 0, 4000]
    pixels = camera[:, :2] / camera[:, 2:] * SIDE + SIDE / 2
    np.testing.assert_allclose(first.keypoints_2d[row("right_knee_lsp"), :2], pixels[2], rtol=1e-5)
    np.testing.assert_allclose(first.keypoints_3d[row("head_h36m"), :3], (camera[10] - camera[0]) / 1000, rtol=1e-4, atol=1e-6)
    turned = turn @ roma.rotvec_to_rotmat(torch.from_numpy(made.axis_angles(0)[:3])).numpy()
    np.testing.assert_allclose(roma.rotvec_to_rotmat(torch.from_numpy(first.pose[0])).numpy(), turned, atol=1e-6)
    np.testing.assert_allclose(second.pose[1:].reshape(-1), made.axis_angles(0)[3:], rtol=1e-5)
    assert first.has_pose and not third.has_pose  # that moment has no fit
    np.testing.assert_allclose(first.box_size, [72, 84])


def test_muco_takes_the_nearest_and_mistrusts_wild_shapes(tmp_path):
    fixture = made.muco(tmp_path)
    people = people_of(tmp_path, fixture)
    assert [p.key[-1] for p in people] == ["1", "3", "5", "7"]
    assert len(people_of(tmp_path, fixture, nearest=False)) == 8
    assert len(people_of(tmp_path, fixture, folder="augmented_set")) == 2
    assert not people[0].betas.any() and people[0].has_betas
    assert people[0].keypoints_3d[row("pelvis_mpii")].tolist() == [0, 0, 0, 1]
    assert (people[0].keypoints_2d[: len(OPENPOSE_JOINTS), 2] == 0).all()


def test_up3d_boxes_are_where_the_rendering_is(tmp_path):
    (person, *_) = people_of(tmp_path, made.up3d(tmp_path))
    assert (person.box_center.tolist(), person.box_size.tolist()) == ([50, 50], pytest.approx([48, 72]))
    np.testing.assert_allclose(person.keypoints_2d[25:39], made.flat(0, 14), rtol=1e-6)


def test_3doh_joints_are_as_large_as_life(tmp_path):
    (person, *_) = people_of(tmp_path, made.occluded(tmp_path))
    np.testing.assert_allclose(person.keypoints_3d[25:39], made.space(0, 14), rtol=1e-5)
    np.testing.assert_allclose(person.pose.reshape(-1), made.axis_angles(0), atol=1e-6)
    assert person.box_size.tolist() == pytest.approx([72, 84])


def test_tsv_sets_say_what_there_is(tmp_path):
    fixture = made.tsv(tmp_path)
    assert [p.key for p in people_of(tmp_path, fixture)] == [f"S1/0000{n}.jpg" for n in (4, 0, 1, 3)]
    labels = [made.tsv_label(n, has_smpl=0, has_3d_joints=n % 2) for n in range(5)]
    made.tsv(tmp_path, labels)
    people = people_of(tmp_path, fixture)
    assert [p.has_pose for p in people] == [False] * 4
    assert [bool(p.keypoints_3d.any()) for p in people] == [False, False, True, True]
    # Several files in one, without an index of lines and without a linelist for the second.
    for file in (tmp_path / "tsv").glob("*.lineidx"):
        file.unlink()
    (tmp_path / "tsv" / "pairs.tsv").write_text("1\t2\n0\t4\n")
    text = (
        "composite: true\nimg: [train.img.tsv, train.img.tsv]\nlabel: [train.label.tsv, train.label.tsv]\nlinelist: pairs.tsv\n"
    )
    (tmp_path / "tsv" / "both.yaml").write_text(text)
    both = people_of(tmp_path, made.Fixture("tsv", ["tsv/both.yaml"]))
    assert [p.key for p in both] == ["S1/00002.jpg", "S1/00004.jpg"]


# --------------------------------------------------------------------------------------------- names and options


def test_an_unknown_format_or_option_is_refused_with_what_there_is():
    with pytest.raises(ValueError, match="no format called 'hmr9000'; there are tokenhmr, 4dhumans"):
        make_reader("hmr9000")
    with pytest.raises(ValueError, match="format bedlam has no option inside; it has outside, masks"):
        make_reader("bedlam", {"inside": 1})
    with pytest.raises(ValueError, match="outside is 'both', it should be release or visible"):
        make_reader("bedlam", {"outside": "both"})
    with pytest.raises(ValueError, match="option largest_beta of format 4dhumans is 'three'"):
        make_reader("4dhumans", {"largest_beta": "three"})
    for name in READERS:
        make_reader(name)
