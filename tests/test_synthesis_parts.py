"""Laws of the parts of the synthesis: poses, clothes, cameras, backgrounds, paint."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.synthesis_tools import write_motion
from tokenhmr.body import load_body
from tokenhmr.rotations import axis_angle_to_matrix
from tokenhmr.skeleton import SMPL_JOINTS, flip_permutation
from tokenhmr.structs import Pose
from tokenhmr.synthesis.backgrounds import KINDS, background
from tokenhmr.synthesis.kernels import LAYERS as FIRST_LAYER
from tokenhmr.synthesis.kernels import TEXELS, paint
from tokenhmr.synthesis.poses import read_poses
from tokenhmr.synthesis.scene import FRAME, MARGIN, sample_camera, sample_view
from tokenhmr.synthesis.tailor import LAYERS, measure
from tokenhmr.synthesis.wardrobe import dress


@pytest.fixture(scope="module")
def body():
    return load_body("open")


@pytest.mark.skipif("TOKENHMR_DATA" not in os.environ, reason="TOKENHMR_DATA does not say where the motion capture lies")
def test_subjects_of_the_real_motion_are_disjoint():
    folder = Path(os.environ["TOKENHMR_DATA"]) / "mocap"
    subjects = [set(read_poses(folder / split).subjects) for split in ("train", "val", "test")]
    assert all(subjects)
    assert not (subjects[0] & subjects[1] or subjects[0] & subjects[2] or subjects[1] & subjects[2])


def test_motion_stands_upright_and_its_mirror_image_is_a_mirror_image(body, tmp_path):
    poses = read_poses(write_motion(tmp_path) / "val")
    drawn = poses.sample(60, np.random.default_rng(0), vary=None)
    pose = Pose(
        global_orient=torch.from_numpy(drawn.root).float(),
        body=axis_angle_to_matrix(torch.cat([torch.from_numpy(drawn.body), torch.zeros(60, 2, 3)], dim=1)),
        betas=torch.zeros(60, 10),
    )
    joints = body.skeleton(pose)
    head, feet = SMPL_JOINTS.index("head"), [SMPL_JOINTS.index(f"{side}_ankle") for side in ("left", "right")]
    assert (joints[:, head, 1] > joints[:, feet, 1].amax(dim=1)).all()
    # Of a frame drawn twice, once mirrored, the joints are each other's mirror image.
    swap = list(flip_permutation(SMPL_JOINTS))
    found = 0
    for one in range(60):
        for other in range(one):
            if drawn.source[one] == drawn.source[other] and not np.array_equal(drawn.body[one], drawn.body[other]):
                mirrored = joints[other][swap] * torch.tensor([-1.0, 1.0, 1.0])
                assert (joints[one] - mirrored).abs().max() < 2e-3  # the body is symmetric to a millimetre
                found += 1
    assert found > 5


def test_everybody_is_dressed(body):
    """Chest, belly, hips and seat are covered whatever is drawn."""
    tailor = measure(body)
    rest = body.rest_vertices.numpy()
    modest = (np.abs(rest[:, 0]) < 0.1) & (
        ((rest[:, 1] > -0.17) & (rest[:, 1] < 0.0)) | ((rest[:, 1] > 0.29) & (rest[:, 1] < 0.36))
    )
    assert modest.sum() > 150
    for seed in range(150):
        look = dress(tailor, np.random.default_rng(seed))
        cloth = look.covers[:, [LAYERS.index(name) for name in ("legs", "top", "jacket")]].max(axis=1)
        assert (cloth[modest] > 0).all(), seed
        assert look.thick.min() >= 0 and look.thick.max() < 0.12
        face = tailor.face > 2
        assert (look.covers[face] < 0).all()


def test_most_cameras_are_level_and_all_headings_occur():
    views = [sample_view(np.random.default_rng(seed)) for seed in range(300)]
    matrices = np.stack([view.world_to_camera for view in views])
    np.testing.assert_allclose(matrices @ matrices.transpose(0, 2, 1), np.tile(np.eye(3), (300, 1, 1)), atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(matrices), 1, atol=1e-9)
    up = np.stack([view.up for view in views])
    assert (up[:, 1] < -0.8).mean() > 0.85
    assert (up[:, 2] < 0).mean() > 0.6  # more look down on people than up at them
    heading = np.arctan2(matrices[:, 0, 2], matrices[:, 2, 2])
    assert len(np.unique((heading // (np.pi / 4)).astype(int))) == 8


def test_the_body_fills_the_frame(body):
    pose = Pose(
        global_orient=torch.diag(torch.tensor([1.0, -1.0, -1.0])), body=torch.eye(3).expand(23, 3, 3), betas=torch.zeros(10)
    )
    standing = body(pose)
    vertices, joints = standing.vertices.contiguous().numpy(), standing.joints.numpy()
    share, inside = [], []
    for seed in range(120):
        camera = sample_camera(vertices, joints, np.random.default_rng(seed))
        pixels = camera.project(vertices)
        share.append(np.ptp(pixels, axis=0).max() / FRAME)
        inside.append(((pixels >= MARGIN) & (pixels < MARGIN + FRAME)).all(axis=1).mean())
        assert camera.translation[2] > 1
    whole = np.array(share) < 1
    assert 0.6 < whole.mean() < 0.9
    assert np.array(share)[whole].min() > 0.58 and np.array(share).max() < 8
    assert np.mean(np.array(inside)[whole] > 0.9) > 0.9
    assert min(inside) > 0.03


@pytest.mark.parametrize("kind", KINDS)
def test_backgrounds_are_pictures_of_their_own(kind):
    pictures = [KINDS[kind](np.random.default_rng(seed), 64) for seed in range(6)]
    assert {picture.shape for picture in pictures} == {(64, 64, 3)}
    assert all(np.isfinite(picture).all() and picture.std() > 0 for picture in pictures)
    assert len({picture.tobytes() for picture in pictures}) == 6
    drawn, name = background(np.random.default_rng(0), 64)
    assert name in KINDS and drawn.min() >= 0 and drawn.max() <= 255


def test_paint_follows_light_and_cloth():
    """A square facing the camera: light goes with albedo and lamp; cloth covers where it is positive."""
    face, bary = np.zeros((8, 8), dtype=np.int32), np.zeros((8, 8, 3), dtype=np.float32)
    face[:, :2] = -1
    bary[..., 0] = 1
    faces = np.array([[0, 1, 2]], dtype=np.int32)
    normals = np.tile(np.float32([0, 0, -1]), (3, 1))
    attributes = np.zeros((3, FIRST_LAYER + 1), dtype=np.float32)
    attributes[:, 2:6] = 1  # tint and lamplight
    gloss = np.zeros(2, dtype=np.float32)

    def painted(albedo: float, lamp: float, cover: float) -> np.ndarray:
        textures = np.stack([np.full((TEXELS, TEXELS, 3), value, dtype=np.float32) for value in (albedo, 0.25)])
        attributes[:, FIRST_LAYER] = cover
        light = np.zeros((15, 3), dtype=np.float32)
        light[0], light[1], light[5] = (0, 0, -1), lamp, (0, -1, 0)
        picture = np.full((4, 4, 3), 7, dtype=np.float32)
        paint(face, bary, faces, normals, attributes, textures, gloss, light, picture)
        return picture

    np.testing.assert_allclose(painted(0.16, 1.0, -1.0)[:, 1:], 0.16, rtol=1e-4)
    np.testing.assert_allclose(painted(0.16, 0.25, -1.0)[:, 1:], 0.04, rtol=1e-4)
    np.testing.assert_allclose(painted(0.16, 1.0, 1.0)[:, 1:], 0.25, rtol=1e-4)
    assert (painted(0.16, 1.0, 1.0)[:, 0] == 7).all()
