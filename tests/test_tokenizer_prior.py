"""Laws of what the tokenizer card counts: codes by slot, bits, limits, noise, strangeness."""

import math

import pytest
import torch

from tokenhmr.evaluation.tokenizer_prior import (
    codebook_distance,
    coded_bits,
    count_codes,
    motion_limits,
    outside,
    separation,
    turned,
)
from tokenhmr.models.quantizer import perplexity
from tokenhmr.models.tokenizer import PoseTokenizer
from tokenhmr.rotations import axis_angle_to_matrix, geodesic_angle, matrix_to_rows


def poses(count: int = 50, scale: float = 0.4, seed: int = 0) -> torch.Tensor:
    return axis_angle_to_matrix(torch.randn(count, 21, 3, generator=torch.Generator().manual_seed(seed)) * scale)


@pytest.mark.parametrize("codes", [1, 7, 1024])
def test_codes_that_are_equally_frequent_have_a_perplexity_of_their_number(codes):
    torch.testing.assert_close(perplexity(torch.full((3, codes), 5.0)), torch.full((3,), float(codes)).double())
    torch.testing.assert_close(perplexity(torch.eye(codes)[0]), torch.tensor(1.0).double())


def test_perplexity_does_not_know_codes_by_name_and_grows_when_frequencies_are_mixed():
    count = torch.rand(64, generator=torch.Generator().manual_seed(0))
    other = count[torch.randperm(64, generator=torch.Generator().manual_seed(1))]
    torch.testing.assert_close(perplexity(count), perplexity(other))
    assert perplexity(count / count.sum() + other / other.sum()) > perplexity(count)


def test_codes_are_counted_where_they_stand():
    index = torch.randint(5, (40, 3), generator=torch.Generator().manual_seed(0))
    counted = [[int((index[:, slot] == code).sum()) for code in range(5)] for slot in range(3)]
    assert count_codes(index, 5).tolist() == counted
    with pytest.raises(ValueError, match="the codebook has 4 codes"):
        count_codes(index, 4)


def test_an_entropy_code_never_beats_the_entropy_and_reaches_it_with_the_right_frequencies():
    index = torch.randint(4, (4000, 2), generator=torch.Generator().manual_seed(0)).square() % 4  # 0 and 1, half each
    own = count_codes(index, 4)
    entropy = perplexity(own).log2().sum()
    assert coded_bits(index, own, prior=1e-9).mean() == pytest.approx(float(entropy), rel=1e-6)
    assert coded_bits(index, own.flip(1)).mean() > entropy + 5
    assert coded_bits(index, torch.zeros(2, 4)).tolist() == [4.0] * 4000  # nothing known: two slots of two bits


def test_what_the_codebook_says_itself_is_at_no_distance_from_it():
    torch.manual_seed(0)
    model = PoseTokenizer(width=16, codes=32, code_width=8, upsamplings=1).eval()
    rotations = poses(6)
    assert (codebook_distance(model, rotations) > 0).all()
    latent = model.encoder(matrix_to_rows(rotations)).detach().flatten(end_dim=1)
    model.quantizer.codebook.zero_()
    model.quantizer.codebook[1] = 1.0  # some spread
    far = codebook_distance(model, rotations)
    known = PoseTokenizer(width=16, codes=len(latent), code_width=8, upsamplings=1).eval()
    known.load_state_dict(
        {**known.state_dict(), **{k: v for k, v in model.state_dict().items() if not k.startswith("quantizer")}}
    )
    known.quantizer.codebook.copy_(latent)
    assert codebook_distance(known, rotations).max() < 1e-6 < far.min()
    torch.testing.assert_close(codebook_distance(model, rotations, batch_size=4), far)


@pytest.mark.parametrize("degrees", [0.0, 5.0, 20.0])
def test_noise_turns_every_joint_by_exactly_so_much(degrees):
    rotations = poses(8)
    found = turned(rotations, degrees, torch.Generator().manual_seed(3))
    angle = geodesic_angle(found.double(), rotations.double()).rad2deg()
    torch.testing.assert_close(angle, torch.full_like(angle, degrees), atol=0.02, rtol=0)


def test_limits_of_motion_hold_all_of_it_but_the_share_left_out():
    rotations = poses(1000)
    low, high = motion_limits(rotations, share=0.0)
    assert not outside(rotations, low, high, tolerance=1e-5).any()
    low, high = motion_limits(rotations, share=0.01)
    angles = (outside(rotations, low, high)).double().mean()
    assert 0.05 < float(angles) < 0.07  # three components, two sides, one per cent each, hardly ever two at once
    with pytest.raises(ValueError, match="a share"):
        motion_limits(rotations, share=0.5)


def test_a_joint_bent_beyond_its_limit_is_the_one_that_is_seen():
    low, high = torch.full((21, 3), -0.5), torch.full((21, 3), 0.5)
    angles = torch.zeros(1, 21, 3)
    angles[0, 4, 1] = 0.6
    assert outside(axis_angle_to_matrix(angles), low, high)[0].nonzero().tolist() == [[4]]
    assert not outside(axis_angle_to_matrix(angles), low, high, tolerance=0.2).any()


def test_separation_agrees_with_the_obvious_count_and_with_monotone_changes():
    generator = torch.Generator().manual_seed(0)
    one = torch.randint(6, (30,), generator=generator).float()
    other = torch.randint(6, (40,), generator=generator).float()
    obvious = sum((a > b) + 0.5 * (a == b) for a in one.tolist() for b in other.tolist()) / (30 * 40)
    assert separation(one, other) == pytest.approx(obvious)
    assert separation(other, one) == pytest.approx(1 - obvious)
    assert separation(one.exp(), other.exp()) == pytest.approx(obvious)
    assert separation(one + 100, other) == 1.0
    with pytest.raises(ValueError, match="neither may be none"):
        separation(one[:0], other)
    assert math.isclose(separation(one, one), 0.5)
