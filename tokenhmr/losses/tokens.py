"""Which words the true pose has: cross-entropy between a model's token scores and the codes of the tokenizer's encoder.

TokenHMR's released code contains this loss and never calls it: there the pose is learnt through the soft decoding alone.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from tokenhmr.structs import Batch, Prediction

SPOKEN = 21  # of the 23 body joints: the tokenizer does not speak of the hands


def word_notes(logits: Float[Tensor, "batch token code"]) -> dict[str, Float[Tensor, ""]]:
    """How sure a model is of its words, and how many it uses: for reading, not for learning.

    ``token_entropy``: of each token's distribution over the codes, nats, the mean. ``token_perplexity``: of the mean of all
    distributions, so how many codes the batch is said with; one picture after another said alike brings it down.
    """
    scores = logits.detach().float().log_softmax(dim=-1)
    shares = scores.exp()
    mean = shares.mean(dim=(0, 1))
    return {
        "token_entropy": -(shares * scores).sum(dim=-1).mean(),
        "token_perplexity": (-(mean * mean.clamp_min(1e-12).log()).sum()).exp(),
    }


@runtime_checkable
class Encoder(Protocol):
    """What this room asks of a tokenizer; it comes from outside, since losses know no models."""

    codes: int

    def encode(self, rotations: Float[Tensor, "*batch joint 3 3"]) -> Int[Tensor, "*batch token"]:
        """Rotations of SMPL joints 1 to 21 to indices of codes."""
        ...


class TokenCrossEntropy(nn.Module):
    """Mean over tokens, and over the rows of the batch; rows without an annotated pose have neither value nor gradient.

    The encoder is frozen, runs here, on the device of the batch and in float32, and must be the one of the model's own
    tokenizer: the same codebook in another order would be another language.
    """

    def __init__(self, *, tokenizer: nn.Module) -> None:
        super().__init__()
        assert isinstance(tokenizer, Encoder)
        self.tokenizer = tokenizer.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> TokenCrossEntropy:
        """As usual, but the tokenizer stays in evaluation mode: its codebook must not move."""
        super().train(mode)
        self.tokenizer.eval()
        return self

    def forward(self, prediction: Prediction, batch: Batch) -> Float[Tensor, ""]:
        """The term, unweighted."""
        logits = prediction.token_logits
        if logits is None:
            raise ValueError("this model has no tokens: take the term tokens out of its objective")
        assert isinstance(self.tokenizer, Encoder)
        wanted = self.tokenizer.encode(batch.pose.body[:, :SPOKEN])
        if (logits.shape[1], logits.shape[2]) != (wanted.shape[1], self.tokenizer.codes):
            raise ValueError(
                f"the model scores {logits.shape[1]} tokens of {logits.shape[2]} codes, the encoder has {wanted.shape[1]} of "
                f"{self.tokenizer.codes}: they are of different tokenizers"
            )
        entropy = functional.cross_entropy(logits.float().transpose(1, 2), wanted, reduction="none").mean(dim=1)
        return (entropy * batch.has_pose).sum() / len(entropy)
