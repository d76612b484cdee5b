"""HMR2.0, the baseline: released sizes, rotations as columns, a discriminator that teaches one side at a time, its folder."""

import dataclasses

import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.conftest import ROOT
from tokenhmr.body import load_body
from tokenhmr.losses.adversarial import fooling, telling
from tokenhmr.models.discriminator import BodyDiscriminator
from tokenhmr.models.hmr2 import build_hmr2, mean_columns
from tokenhmr.models.pretrained import load, load_tokenizer, save_pretrained
from tokenhmr.models.tokenizer import PoseTokenizer
from tokenhmr.rotations import columns_to_matrix, matrix_to_rows
from tokenhmr.structs import Batch, Pose, RealBodies

SMALL = {
    "backbone": {"stem": "patch", "width": 32, "depth": 1, "heads": 2},
    "decoder": {"width": 32, "depth": 1, "heads": 2, "head_width": 16},
}


@pytest.fixture(scope="module")
def body():
    return load_body("open")


def small_model(body, **options):
    torch.manual_seed(0)
    return build_hmr2(**SMALL, body=body, **options)


def adversaries(body, rows=6):
    real = RealBodies(body=0.3 * torch.randn(rows, 23, 3), betas=torch.randn(rows, 10))
    return small_model(body, discriminator=True, real=real).train()


def some_rotations(count):
    turns = torch.linalg.qr(torch.randn(count, 3, 3))[0]
    return turns * torch.det(turns).sign()[:, None, None]


def a_batch(rows):
    """The adversarial terms look at what was judged and at nothing that is annotated."""
    still = torch.eye(3).expand(rows, 24, 3, 3)
    nothing = torch.zeros(rows, dtype=torch.bool)
    return Batch(
        image=torch.zeros(rows, 3, 8, 8), keypoints_2d=torch.zeros(rows, 44, 3), keypoints_3d=torch.zeros(rows, 44, 4),
        pose=Pose(global_orient=still[:, 0], body=still[:, 1:], betas=torch.zeros(rows, 10)), has_pose=nothing,
        has_betas=nothing, trusted=nothing, box_center=torch.zeros(rows, 2), box_size=torch.ones(rows),
        image_size=torch.ones(rows, 2),
    )  # fmt: skip


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_the_released_size_has_the_released_parameters(body):
    """Counted from the tensors of the public checkpoint."""
    utils, omegaconf = pytest.importorskip("hydra.utils"), pytest.importorskip("omegaconf")
    config = omegaconf.OmegaConf.load(ROOT / "configs" / "model" / "hmr2.yaml")
    with torch.device("meta"):
        model = utils.instantiate(config, tokenizer=PoseTokenizer(), body=body)
    assert count(model.backbone) == 630_912_000
    assert count(model.decoder) + count(model.heads) == 39_547_037
    assert count(model.discriminator) == 1_807_619
    assert count(model) == 672_266_656
    assert model.parameter_counts() == {"trainable": 672_266_656 - 1_807_619, "frozen": 1_807_619}


def test_six_numbers_are_two_columns(body):
    model, turns = small_model(body).eval(), some_rotations(24)
    nn.init.zeros_(model.heads.pose.weight)
    nn.init.zeros_(model.heads.pose.bias)
    columns = [[float(turn[row, column]) for column in (0, 1) for row in (0, 1, 2)] for turn in turns]
    model.heads.mean_pose.copy_(torch.tensor(columns))
    pose = model(torch.randn(1, 3, 256, 256)).pose
    torch.testing.assert_close(torch.cat([pose.global_orient[:, None], pose.body], dim=1)[0], turns)


def test_a_new_model_starts_from_the_mean_of_the_tokenizers_motion(body):
    tokenizer, turns = PoseTokenizer(width=8, codes=8, code_width=4, upsamplings=1, stages=2, depth=1), some_rotations(21)
    assert torch.equal(columns_to_matrix(mean_columns(tokenizer)), torch.eye(3).expand(23, 3, 3)), "no motion seen: at rest"
    tokenizer.mean_pose.copy_(matrix_to_rows(turns))
    model = small_model(body, tokenizer=tokenizer)
    torch.testing.assert_close(columns_to_matrix(model.heads.mean_pose[1:22]), turns)
    # Upright in camera axes (y down) and facing the camera (z forward).
    torch.testing.assert_close(columns_to_matrix(model.heads.mean_pose[0]), torch.diag(torch.tensor([1.0, -1.0, -1.0])))


def test_a_prediction_is_a_body_and_geometry_stays_in_float32(body):
    model = small_model(body).eval()
    image = torch.randn(2, 3, 256, 256)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        prediction = model(image)
    assert prediction.token_logits is None and prediction.judged is None
    exact = body(prediction.pose)
    torch.testing.assert_close(prediction.vertices, exact.vertices, atol=1e-6, rtol=0)
    rotations = torch.cat([prediction.pose.global_orient[:, None], prediction.pose.body], dim=1)
    assert rotations.dtype == torch.float32
    torch.testing.assert_close(rotations @ rotations.mT, torch.eye(3).expand(2, 24, 3, 3), atol=1e-5, rtol=0)
    assert prediction.joints.shape == (2, 44, 3) and prediction.camera.shape == (2, 3)


def test_the_discriminator_agrees_with_1x1_convolutions(body):
    """As the public weights are laid out: a joint is a place, its nine numbers are channels."""
    torch.manual_seed(0)
    judge, turns, betas = BodyDiscriminator(), some_rotations(46).view(2, 23, 3, 3), torch.randn(2, 10)
    for parameter in judge.parameters():
        nn.init.normal_(parameter, std=0.1)
    x = turns.reshape(2, 23, 1, 9).permute(0, 3, 1, 2)
    for layer in (judge.joint_first, judge.joint_second):
        x = functional.conv2d(x, layer.weight[..., None, None], layer.bias).relu()
    joints = [head(x[:, :, joint, 0]) for joint, head in enumerate(judge.judge_joint)]
    whole = judge.judge_pose(judge.pose_second(judge.pose_first(x.reshape(2, -1)).relu()).relu())
    shape = judge.judge_shape(judge.shape_second(judge.shape_first(betas).relu()).relu())
    torch.testing.assert_close(judge(turns, betas), torch.cat([*joints, shape, whole], dim=1))
    assert judge(turns, betas).shape == (2, 25)


def test_each_side_is_taught_by_its_own_term_alone(body):
    model = adversaries(body)
    image = torch.randn(2, 3, 256, 256)
    of_model = [model.heads.pose.weight, model.heads.shape.weight, model.decoder.position]
    of_judge = list(model.discriminator.parameters())
    fooling(model(image), a_batch(len(image))).backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in of_model)
    assert all(parameter.grad is None for parameter in of_judge)
    model.zero_grad()
    telling(model(image), a_batch(len(image))).backward()
    assert all(parameter.grad is None for parameter in of_model)
    assert all(parameter.grad is not None for parameter in of_judge)


def test_least_squares_by_hand(body):
    prediction = adversaries(body)(torch.randn(3, 3, 256, 256))
    judged = prediction.judged
    torch.testing.assert_close(judged.for_model, judged.made_up)
    told = sum((answer - 1) ** 2 for row in judged.for_model.tolist() for answer in row) / 3
    assert fooling(prediction, a_batch(3)).item() == pytest.approx(told, rel=1e-5)
    told = sum((answer - 1) ** 2 for row in judged.real.tolist() for answer in row) / 3
    told += sum(answer**2 for row in judged.made_up.tolist() for answer in row) / 3
    assert telling(prediction, a_batch(3)).item() == pytest.approx(told, rel=1e-5)


def test_one_optimiser_teaches_both_sides(body):
    model = adversaries(body)
    image = torch.randn(4, 3, 256, 256)
    optimizer = torch.optim.AdamW(model.discriminator.parameters(), lr=1e-3)
    first = None
    for _ in range(30):
        torch.manual_seed(1)
        loss = telling(model(image), a_batch(len(image)))
        first = first or loss.item()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.7 * first, "real bodies and a model's are easily told apart at first"


def test_without_real_bodies_nobody_judges(body):
    model = small_model(body, discriminator=True).train()
    prediction = model(torch.randn(2, 3, 256, 256))
    assert prediction.judged is None
    assert not any(parameter.requires_grad for parameter in model.discriminator.parameters())
    with pytest.raises(ValueError, match="real bodies"):
        fooling(prediction, a_batch(3))
    with pytest.raises(ValueError, match="has none"):
        small_model(body, real=RealBodies(body=torch.zeros(1, 23, 3), betas=torch.zeros(1, 10)))
    judged = adversaries(body)(torch.randn(2, 3, 256, 256)).judged
    assert dataclasses.replace(prediction, judged=judged).judged is judged
    assert adversaries(body).eval()(torch.randn(2, 3, 256, 256)).judged is None


def test_its_folder_opens_as_any_other(body, tmp_path):
    model = adversaries(body).eval()
    again = load(save_pretrained(model, tmp_path / "hmr2"))
    assert again.numbers == model.numbers and again.card["kind"] == "hmr2"
    theirs = again.state_dict()
    assert theirs.keys() == model.state_dict().keys(), "real bodies are data, not weights"
    assert all(torch.equal(value, theirs[name]) for name, value in model.state_dict().items())
    image = torch.randn(1, 3, 256, 256)
    with torch.no_grad():
        torch.testing.assert_close(again(image).vertices, model(image).vertices)
    with pytest.raises(ValueError, match="no tokenizer"):
        load_tokenizer(tmp_path / "hmr2")
