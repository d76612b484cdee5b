"""The token cross-entropy: its target is what the tokenizer's encoder says of the true pose."""

import dataclasses
import math

import pytest
import torch

from tests.test_losses import ROWS, scene
from tokenhmr.losses.objective import Objective
from tokenhmr.losses.tokens import TokenCrossEntropy
from tokenhmr.models.pretrained import save_pretrained
from tokenhmr.models.tokenizer import PoseTokenizer
from tokenhmr.training.codes import taught_tokenizer


@pytest.fixture(scope="module")
def tokenizer():
    torch.manual_seed(0)
    return PoseTokenizer(width=16, codes=32, code_width=8, upsamplings=1, downsamplings=1, stages=2, depth=1)


def with_scores(prediction, logits):
    return dataclasses.replace(prediction, token_logits=logits)


def test_it_agrees_with_the_obvious_loop(tokenizer):
    prediction, batch = scene()
    logits = torch.randn(ROWS, tokenizer.tokens, tokenizer.codes)
    total = 0.0
    for row in range(ROWS):
        latent = tokenizer.encoder(batch.pose.body[row : row + 1, :21, :2].flatten(start_dim=2))[0]
        for token in range(tokenizer.tokens):
            distances = [(latent[token] - code).norm().item() for code in tokenizer.quantizer.codebook]
            code = min(range(tokenizer.codes), key=distances.__getitem__)
            scores = logits[row, token].double()
            nats = math.log(scores.exp().sum()) - scores[code].item()
            total += float(batch.has_pose[row]) * nats / tokenizer.tokens / ROWS
    term = TokenCrossEntropy(tokenizer=tokenizer)
    assert term(with_scores(prediction, logits), batch).item() == pytest.approx(total, rel=1e-5)


def test_sure_and_right_costs_nothing_and_a_guess_costs_the_logarithm_of_the_codes(tokenizer):
    prediction, batch = scene()
    term = TokenCrossEntropy(tokenizer=tokenizer)
    sure = 100.0 * torch.nn.functional.one_hot(tokenizer.encode(batch.pose.body[:, :21]), tokenizer.codes).float()
    assert term(with_scores(prediction, sure), batch).item() == pytest.approx(0, abs=1e-6)
    guess = torch.zeros_like(sure)
    share = batch.has_pose.float().mean().item()
    assert term(with_scores(prediction, guess), batch).item() == pytest.approx(share * math.log(tokenizer.codes), rel=1e-6)


def test_only_scores_of_rows_with_a_pose_learn_and_the_tokenizer_never_does(tokenizer):
    prediction, batch = scene()
    logits = torch.randn(ROWS, tokenizer.tokens, tokenizer.codes, requires_grad=True)
    objective = Objective(terms={"tokens": TokenCrossEntropy(tokenizer=tokenizer)}, weights={"tokens": 2.0}).train()
    before = {name: value.clone() for name, value in tokenizer.state_dict().items()}
    objective(with_scores(prediction, logits), batch).total.backward()
    assert logits.grad.flatten(start_dim=1).any(dim=1).tolist() == batch.has_pose.tolist()
    assert not tokenizer.training and not any(parameter.requires_grad for parameter in objective.parameters())
    assert all(torch.equal(value, before[name]) for name, value in tokenizer.state_dict().items())
    # It moves with the objective: the encoder runs where the batch is.
    assert {name.rpartition("tokenizer.")[2] for name, _ in objective.named_parameters()} >= {"encoder.first.weight"}


def test_a_model_of_another_tokenizer_or_of_none_is_told_so(tokenizer):
    prediction, batch = scene()
    term = TokenCrossEntropy(tokenizer=tokenizer)
    with pytest.raises(ValueError, match=r"7 tokens of 32 codes, the encoder has 20 of 32"):
        term(with_scores(prediction, torch.zeros(ROWS, 7, 32)), batch)
    with pytest.raises(ValueError, match="no tokens"):
        term(prediction, batch)


def test_the_taught_tokenizer_is_the_models_own(tokenizer, tmp_path):
    mine, other = save_pretrained(tokenizer, tmp_path / "mine"), tmp_path / "other"
    with torch.random.fork_rng():
        save_pretrained(PoseTokenizer(**tokenizer.numbers), other)
    for init, weights in ((None, str(mine)), (str(mine), str(other))):
        taught = taught_tokenizer(init=init, tokenizer_weights=weights)
        assert torch.equal(taught.quantizer.codebook, tokenizer.quantizer.codebook)
        assert not any(parameter.requires_grad for parameter in taught.parameters())
