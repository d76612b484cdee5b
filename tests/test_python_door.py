"""Nobody, other types, other bodies: taken where they mean something, named in one line where they do not."""

import pytest
import torch
from jaxtyping import TypeCheckError

import tokenhmr
from tokenhmr.body import load_body
from tokenhmr.rotations import axis_angle_to_matrix, is_rotation
from tokenhmr.structs import Pose


@pytest.fixture(scope="module")
def tokenizer():
    return tokenhmr.load_tokenizer()


@pytest.fixture(scope="module")
def body():
    return load_body("open")


def pose_of(*batch, dtype=torch.float32, betas=10):
    turns = axis_angle_to_matrix(0.3 * torch.randn(*batch, 24, 3, generator=torch.Generator().manual_seed(0))).to(dtype)
    return Pose(global_orient=turns[..., 0, :, :], body=turns[..., 1:, :, :], betas=torch.zeros(*batch, betas, dtype=dtype))


@pytest.mark.parametrize("batch", [(0,), (2, 0), (3, 0, 2)])
def test_nobody_is_no_error(batch, body, tokenizer):
    posed = body(pose_of(*batch))
    assert posed.vertices.shape == (*batch, body.vertex_count, 3) and posed.joints.shape == (*batch, 44, 3)
    assert body.skeleton(pose_of(*batch)).shape == (*batch, 24, 3)
    words = tokenizer.encode(pose_of(*batch).body[..., :21, :, :])
    assert words.shape == (*batch, 80)
    assert tokenizer.decode(words).shape == (*batch, 21, 3, 3)


def test_a_model_that_is_shown_nobody_says_nobody(body):
    model = tokenhmr.load()
    said = model(torch.zeros(0, 3, 256, 256), torch.zeros(0, 3))
    assert said.vertices.shape == (0, body.vertex_count, 3) and said.token_logits.shape == (0, 80, 1024)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_the_skeleton_is_taken_in_any_precision_that_the_body_is(dtype, body):
    given = pose_of(2, dtype=dtype)
    posed = body(given)
    assert torch.equal(body.skeleton(given), posed.skeleton) and posed.skeleton.dtype == torch.float32
    assert torch.equal(body.transforms(given)[1], posed.skeleton)


@pytest.mark.parametrize("betas", [5, 20])
@pytest.mark.parametrize("asked", ["__call__", "skeleton", "transforms"])
def test_the_shape_of_another_body_is_named(betas, asked, body):
    with pytest.raises(ValueError, match=f"{betas} betas for a body of 10 shape directions"):
        getattr(body, asked)(pose_of(2, betas=betas))


def test_a_body_of_joints_alone_is_none_for_smplx(body):
    with pytest.raises(ValueError, match="smplx wants a whole mesh"):
        body.of_joints().to_smplx()


def test_rotations_are_told_from_other_matrices(tokenizer):
    turns = pose_of(5).body[:, :21]
    assert is_rotation(turns).all()
    assert is_rotation(turns.half()).all() and is_rotation(turns.bfloat16()).all(), "rounding is no fault"
    for wrong in (-turns, 1.1 * turns, torch.zeros_like(turns), turns.flip(dims=(-1,)), turns + 0.1, turns * float("inf")):
        assert not is_rotation(wrong).any()
        with pytest.raises(ValueError, match="105 of these 105 matrices are not finite or no rotations"):
            tokenizer.encode(wrong)
    one = turns.clone()
    one[2, 3] = 0
    with pytest.raises(ValueError, match="1 of these 105"):
        tokenizer.encode(one)


def test_tokens_are_whole_numbers_of_any_width(tokenizer):
    words = tokenizer.encode(pose_of(2).body[:, :21])
    for kind in (torch.int16, torch.int32):
        assert torch.equal(tokenizer.decode(words.to(kind)), tokenizer.decode(words))
    for wrong in (words.float(), words > 3):
        with pytest.raises((ValueError, TypeCheckError), match=r"whole numbers|index"):
            tokenizer.decode(wrong)
    for given in (tokenizer.encode, tokenizer.decode):
        with pytest.raises((TypeError, TypeCheckError)):
            given([[1, 2]])


def test_what_is_saved_and_how_it_opens_is_said_at_the_door(tokenizer, tmp_path):
    folder = tokenhmr.save_pretrained(tokenizer, tmp_path / "t", metadata={"licences": {"data": "CC0-1.0"}})
    with pytest.raises(ValueError, match=r"holds a pose_tokenizer: open it with tokenhmr\.models\.pretrained\.load_tokenizer"):
        tokenhmr.load(folder)
    for metadata in ({"licences": "mine"}, [1]):
        with pytest.raises((ValueError, TypeCheckError), match=r"licences|metadata"):
            tokenhmr.save_pretrained(tokenizer, tmp_path / "x", metadata=metadata)
    with pytest.raises(ValueError, match=r"a DataParallel is none of .*: give \.module of it"):
        tokenhmr.save_pretrained(torch.nn.DataParallel(tokenizer), tmp_path / "x")
    with pytest.raises((TypeError, TypeCheckError), match=r"load_body|body"):
        tokenhmr.load(body="open")
    assert not (tmp_path / "x").exists()
