"""Token classifier: one feature vector to scores of every code for every token.

Geng et al., "Human Pose as Compositional Tokens" (PCT, 2023), with mixer layers of Tolstikhin et al., "MLP-Mixer" (2021);
the released size has 10,870,080 parameters.
"""

from __future__ import annotations

from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn


def _projection(width: int, to: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, to), nn.LayerNorm(to), nn.ReLU())


def _mlp(width: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))


class MixerLayer(nn.Module):
    """Tokens speak to one another, then each thinks by itself."""

    def __init__(self, *, tokens: int, hidden: int, token_hidden: int, channel_hidden: int) -> None:
        super().__init__()
        self.norm_tokens = nn.LayerNorm(hidden)
        self.mix_tokens = _mlp(tokens, token_hidden)
        self.norm_channels = nn.LayerNorm(hidden)
        self.mix_channels = _mlp(hidden, channel_hidden)

    def forward(self, x: Float[Tensor, "batch token hidden"]) -> Float[Tensor, "batch token hidden"]:
        """Two residual steps."""
        across = rearrange(self.norm_tokens(x), "b t c -> b c t")
        x = x + rearrange(self.mix_tokens(across), "b c t -> b t c")
        return x + self.mix_channels(self.norm_channels(x))


class TokenClassifier(nn.Module):
    """Which word of the codebook stands at each place."""

    def __init__(
        self,
        *,
        width: int,  # of the feature vector
        tokens: int,
        codes: int,
        hidden: int = 64,
        token_hidden: int = 64,
        channel_hidden: int = 256,
        layers: int = 4,
    ) -> None:
        super().__init__()
        self.tokens = tokens
        self.spread = _projection(width, tokens * hidden)
        self.layers = nn.Sequential(
            *(
                MixerLayer(tokens=tokens, hidden=hidden, token_hidden=token_hidden, channel_hidden=channel_hidden)
                for _ in range(layers)
            )
        )
        self.gather = _projection(hidden, hidden)
        self.classify = nn.Linear(hidden, codes)

    def forward(self, feature: Float[Tensor, "batch width"]) -> Float[Tensor, "batch token code"]:
        """Logits; their softmax goes to the tokenizer's soft decoding."""
        x = rearrange(self.spread(feature), "b (t c) -> b t c", t=self.tokens)
        return self.classify(self.gather(self.layers(x)))
