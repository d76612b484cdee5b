"""The pose tokenizer: sizes, the codebook that learns, soft decoding."""

import itertools

import numpy as np
import pytest
import torch
from torch.nn import functional

from tokenhmr.body.key_poses import sample
from tokenhmr.models.pretrained import load_tokenizer
from tokenhmr.models.quantizer import NearestCode
from tokenhmr.models.tokenizer import PoseTokenizer, decoder_sizes
from tokenhmr.rotations import axis_angle_to_matrix, matrix_to_rows, rows_to_matrix

SMALL = {"width": 16, "codes": 32, "code_width": 8, "upsamplings": 2}


def poses(count: int = 6, scale: float = 0.4) -> torch.Tensor:
    return axis_angle_to_matrix(torch.randn(count, 21, 3) * scale)


def test_the_released_size():
    with torch.device("meta"):
        tokenizer = PoseTokenizer()
    parts = (tokenizer.encoder, tokenizer.decoder)
    assert [sum(p.numel() for p in part.parameters()) for part in parts] == [6_699_264, 6_436_870]
    assert sum(p.numel() for p in tokenizer.parameters()) == 13_136_134
    assert (tokenizer.tokens, tuple(tokenizer.quantizer.codebook.shape)) == (160, (2048, 256))
    assert decoder_sizes(21, 160, 4) == [125, 90, 55, 21]


@pytest.mark.parametrize("numbers", [SMALL, SMALL | {"upsamplings": 3, "downsamplings": 2}, SMALL | {"stages": 2, "depth": 3}])
def test_any_size_goes_there_and_back(numbers):
    torch.manual_seed(0)
    tokenizer = PoseTokenizer(**numbers).eval()
    rotations = poses().view(2, 3, 21, 3, 3)
    index = tokenizer.encode(rotations)
    assert index.shape == (2, 3, tokenizer.tokens)
    decoded = tokenizer.decode(index)
    assert decoded.shape == rotations.shape
    torch.testing.assert_close(decoded @ decoded.mT, torch.eye(3).expand_as(decoded), atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.linalg.det(decoded), torch.ones(2, 3, 21), atol=1e-5, rtol=0)


def lost(tokenizer, rotations, passes):
    return (tokenizer.decode(tokenizer.encode(rotations, passes=passes)) - rotations).square().sum(dim=(-3, -2, -1))


def test_more_passes_never_lose_more_of_a_pose_and_of_real_ones_much_less():
    torch.manual_seed(0)
    tokenizer, rotations = PoseTokenizer(**SMALL).eval(), poses(20).view(4, 5, 21, 3, 3)
    losses = [lost(tokenizer, rotations, passes) for passes in (1, 2, 3, 6)]
    assert all((less <= more).all() for more, less in itertools.pairwise(losses))
    alone = torch.stack([tokenizer.encode(pose, passes=3) for pose in rotations[0]])
    assert (alone == tokenizer.encode(rotations, passes=3)[0]).float().mean() > 0.99  # but for rounding
    with pytest.raises(ValueError, match="1 pass or more, not in 0"):
        tokenizer.encode(rotations, passes=0)
    packaged = load_tokenizer().eval()
    authored = axis_angle_to_matrix(torch.from_numpy(sample(24, np.random.default_rng(0))))
    assert lost(packaged, authored, 3).mean() < 0.8 * lost(packaged, authored, 1).mean()


def test_certain_probabilities_decode_to_what_their_tokens_decode_to():
    torch.manual_seed(0)
    tokenizer = PoseTokenizer(**SMALL).eval()
    tokenizer.mean_pose.copy_(torch.randn(21, 6))
    index = tokenizer.encode(poses())
    soft = rows_to_matrix(tokenizer.decode_6d(functional.one_hot(index, 32).float()) + tokenizer.mean_pose)
    torch.testing.assert_close(soft, tokenizer.decode(index), atol=1e-5, rtol=1e-5)


def test_training_forward_says_the_same_as_encode_and_decode():
    torch.manual_seed(0)
    tokenizer = PoseTokenizer(**SMALL).eval()
    rotations = poses()
    found = tokenizer(matrix_to_rows(rotations))
    assert torch.equal(found.index, tokenizer.encode(rotations))
    torch.testing.assert_close(found.rotations, tokenizer.decode(found.index), atol=1e-5, rtol=1e-4)


def test_nearest_code_agrees_with_the_obvious_search():
    torch.manual_seed(0)
    quantizer, latent = NearestCode(codes=8, width=3).eval(), torch.randn(2, 5, 3)
    obvious = [[min(range(8), key=lambda k: (z - quantizer.codebook[k]).norm().item()) for z in row] for row in latent]
    assert quantizer(latent).index.tolist() == obvious
    assert torch.equal(quantizer.nearest(latent.flatten(end_dim=1), chunk=3), quantizer(latent).index.flatten())


def test_the_codebook_follows_a_slow_twin_written_from_the_formula():
    torch.manual_seed(0)
    quantizer = NearestCode(codes=4, width=2, decay=0.9, revive_below=0.0)
    quantizer(torch.randn(3, 4, 2))  # starts it
    book, count, total = quantizer.codebook.clone(), quantizer.count.clone(), quantizer.total.clone()
    latent = torch.randn(3, 4, 2)
    index = quantizer(latent).index.flatten()
    rows = latent.flatten(end_dim=1)
    for code in range(4):
        mine = [row for row, chosen in zip(rows, index, strict=True) if chosen == code]
        count[code] = 0.9 * count[code] + 0.1 * len(mine)
        total[code] = 0.9 * total[code] + 0.1 * sum(mine, torch.zeros(2))
        book[code] = total[code] / count[code]
    torch.testing.assert_close(quantizer.codebook, book)


def test_dead_codes_come_back_as_encoder_outputs_and_evaluation_moves_nothing():
    torch.manual_seed(0)
    quantizer = NearestCode(codes=16, width=2, decay=0.5, revive_below=0.5)
    latent = torch.randn(4, 4, 2)
    quantizer(latent)
    quantizer.codebook[3] = 1e6  # nothing is near: it dies within a few steps
    quantizer.total[3], quantizer.count[3] = 1e6 * quantizer.count[3], quantizer.count[3]
    for _ in range(4):
        quantizer(latent)
    assert quantizer.codebook.abs().max() < 10
    before = {name: value.clone() for name, value in quantizer.state_dict().items()}
    quantizer.eval()(torch.randn(4, 4, 2))
    assert all(torch.equal(value, before[name]) for name, value in quantizer.state_dict().items())


def test_a_saved_codebook_goes_on_learning_where_it_was():
    torch.manual_seed(0)
    one, latents = NearestCode(codes=8, width=3, revive_below=0.0), [torch.randn(4, 6, 3) for _ in range(6)]
    for latent in latents[:3]:
        one(latent)
    other = NearestCode(codes=8, width=3, revive_below=0.0)
    other.load_state_dict(one.state_dict())
    for latent in latents[3:]:
        one(latent)
        other(latent)
    assert torch.equal(one.codebook, other.codebook)


def test_the_gradient_passes_straight_through():
    torch.manual_seed(0)
    quantizer, latent = NearestCode(codes=8, width=3).eval(), torch.randn(2, 5, 3, requires_grad=True)
    weight = torch.randn(2, 5, 3)
    (quantizer(latent).codes * weight).sum().backward()
    torch.testing.assert_close(latent.grad, weight)
