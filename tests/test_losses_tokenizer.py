"""The tokenizer's objective: its short cut through the skin is exact."""

import dataclasses

import numpy as np
import pytest
import roma
import torch

from tokenhmr.body import Body, load_body
from tokenhmr.body.files import OPEN_BODY, read_body_file
from tokenhmr.losses.tokenizer import TokenizerObjective, area_weights
from tokenhmr.rotations import matrix_to_rows
from tokenhmr.structs import Pose, PoseBatch, PoseReconstruction

ROWS = 3


@pytest.fixture(scope="module")
def body() -> Body:
    return load_body()


def scene() -> tuple[PoseReconstruction, PoseBatch]:
    generator = torch.Generator().manual_seed(0)
    truth = roma.rotvec_to_rotmat(0.5 * torch.randn(ROWS, 21, 3, generator=generator))
    near = truth @ roma.rotvec_to_rotmat(0.1 * torch.randn(ROWS, 21, 3, generator=generator))
    reconstruction = PoseReconstruction(
        raw=matrix_to_rows(near),
        rotations=near.requires_grad_(),
        index=torch.zeros(ROWS, 4, dtype=torch.int64),
        commitment=torch.tensor(0.25),
    )
    return reconstruction, PoseBatch(rotations=truth, noisy=matrix_to_rows(truth))


def posed(body: Body, rotations: torch.Tensor):
    still = torch.eye(3).expand(ROWS, 3, 3, 3)
    turns = torch.cat([rotations, still[:, 1:]], dim=1)
    return body(Pose(global_orient=still[:, 0], body=turns, betas=torch.zeros(ROWS, 10)))


def test_every_part_agrees_with_its_definition(body):
    reconstruction, batch = scene()
    loss = TokenizerObjective(body=body)(reconstruction, batch)
    mine, theirs = posed(body, reconstruction.rotations.detach()), posed(body, batch.rotations)
    joints = (mine.skeleton - theirs.skeleton)[:, 1:22]
    skin = (mine.vertices - theirs.vertices).square()
    expected = {
        "rotation": 20 * (reconstruction.rotations - batch.rotations).square().mean().item(),
        "joints": 100 * joints.square().mean().item(),
        "mesh": 100 * (skin * area_weights(body)[:, None]).mean().item(),
        "commitment": 0.25,
    }
    assert {name: part.item() for name, part in loss.parts.items()} == pytest.approx(expected, rel=1e-4)
    assert loss.total.item() == pytest.approx(sum(expected.values()), rel=1e-4)
    assert loss.notes["joint_mm"].item() == pytest.approx(1000 * joints.norm(dim=-1).mean().item(), rel=1e-4)


def test_the_short_cut_has_the_gradient_of_the_skin(body):
    reconstruction, batch = scene()
    TokenizerObjective(body=body, rotation=0.0, joints=0.0)(reconstruction, batch).total.backward()
    quick = reconstruction.rotations.grad.clone()
    reconstruction.rotations.grad = None
    skin = (posed(body, reconstruction.rotations).vertices - posed(body, batch.rotations).vertices).square()
    (100 * (skin * area_weights(body)[:, None]).mean()).backward()
    torch.testing.assert_close(quick, reconstruction.rotations.grad, atol=1e-6, rtol=1e-3)


def test_a_body_with_pose_correctives_is_skinned_in_full():
    file = read_body_file(OPEN_BODY)
    correctives = 1e-2 * np.random.default_rng(0).normal(size=(len(file.v_template), 3, 207)).astype(np.float32)
    body = Body(file=dataclasses.replace(file, posedirs=correctives))
    reconstruction, batch = scene()
    loss = TokenizerObjective(body=body)(reconstruction, batch)
    skin = (posed(body, reconstruction.rotations.detach()).vertices - posed(body, batch.rotations).vertices).square()
    assert loss.parts["mesh"].item() == pytest.approx(100 * (skin * area_weights(body)[:, None]).mean().item(), rel=1e-4)
    plain = TokenizerObjective(body=load_body())(reconstruction, batch)
    assert loss.parts["mesh"].item() != pytest.approx(plain.parts["mesh"].item(), rel=1e-2)


def test_area_weights_are_the_sum_over_faces(body):
    rest, weights = body.rest_vertices.double().numpy(), area_weights(body)
    areas = [np.linalg.norm(np.cross(b - a, c - a)) / 2 for a, b, c in rest[body.faces.numpy()]]
    scaled = (np.array(areas) - min(areas)) / (max(areas) - min(areas))
    for vertex in (0, 17, 4000):
        around = (body.faces.numpy() == vertex).any(axis=1)
        assert weights[vertex].item() == pytest.approx(scaled[around].sum(), rel=1e-5)


def test_a_perfect_reconstruction_costs_only_its_commitment(body):
    reconstruction, batch = scene()
    perfect = dataclasses.replace(reconstruction, rotations=batch.rotations.clone().requires_grad_())
    loss = TokenizerObjective(body=body)(perfect, batch)
    loss.total.backward()
    assert loss.total.item() == pytest.approx(0.25)
    assert not perfect.rotations.grad.any()
    assert TokenizerObjective(body=body).state_dict() == {}
