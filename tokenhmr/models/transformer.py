"""Transformer decoder that asks one question of a picture.

Goel et al., "Humans in 4D" (HMR2.0, 2023), section 3; the released size is width 1024, 6 layers, 8 heads of 64 channels
and 39,386,112 parameters on a context of 1280. Pre-norm, no dropout; the context is not normalised.

With a single query two pieces of attention simplify exactly: it can attend to nothing but itself, so self-attention
is its value; and cross-attention needs no keys or values of the context, since q.(W_k c) = (W_k^T q).c and the mean of
W_v c is W_v of the mean of c. The parameters stay those of the plain way.
"""

from __future__ import annotations

import torch
from einops import einsum, rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional


class SelfAttention(nn.Module):
    """Attention of one token on itself: whatever the query and key are, all of its weight goes to its own value."""

    def __init__(self, *, width: int, heads: int, head_width: int) -> None:
        super().__init__()
        self.inner = heads * head_width
        self.to_qkv = nn.Linear(width, 3 * self.inner, bias=False)
        self.to_out = nn.Linear(self.inner, width)

    def forward(self, x: Float[Tensor, "batch width"]) -> Float[Tensor, "batch width"]:
        """The value of the token; query and key rows of the weight have no effect and no gradient, as in the plain way."""
        value = functional.linear(x, self.to_qkv.weight[2 * self.inner :])
        return self.to_out(value)


class CrossAttention(nn.Module):
    """Attention of one query on a context."""

    def __init__(self, *, width: int, context_width: int, heads: int, head_width: int) -> None:
        super().__init__()
        self.heads, self.scale = heads, head_width**-0.5
        inner = heads * head_width
        self.to_q = nn.Linear(width, inner, bias=False)
        self.to_kv = nn.Linear(context_width, 2 * inner, bias=False)  # keys, then values
        self.to_out = nn.Linear(inner, width)

    def forward(
        self, x: Float[Tensor, "batch width"], context: Float[Tensor, "batch token context"]
    ) -> Float[Tensor, "batch width"]:
        """What the query finds in the context."""
        to_key, to_value = rearrange(self.to_kv.weight, "(two h d) c -> two h d c", two=2, h=self.heads)
        query = rearrange(self.to_q(x), "b (h d) -> b h d", h=self.heads) * self.scale
        wanted = einsum(query, to_key, "b h d, h d c -> b h c")
        share = torch.softmax(einsum(wanted, context, "b h c, b n c -> b h n"), dim=-1)
        seen = einsum(share.to(context.dtype), context, "b h n, b n c -> b h c")
        return self.to_out(einsum(seen, to_value, "b h c, h d c -> b h d").flatten(start_dim=1))


class Layer(nn.Module):
    """Self-attention, cross-attention and a small network, each added to the token."""

    def __init__(self, *, width: int, context_width: int, heads: int, head_width: int, mlp_width: int) -> None:
        super().__init__()
        self.norm_self = nn.LayerNorm(width)
        self.attend_self = SelfAttention(width=width, heads=heads, head_width=head_width)
        self.norm_context = nn.LayerNorm(width)
        self.attend_context = CrossAttention(width=width, context_width=context_width, heads=heads, head_width=head_width)
        self.norm_mlp = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, mlp_width), nn.GELU(), nn.Linear(mlp_width, width))

    def forward(
        self, x: Float[Tensor, "batch width"], context: Float[Tensor, "batch token context"]
    ) -> Float[Tensor, "batch width"]:
        """One round of question and answer."""
        x = x + self.attend_self(self.norm_self(x))
        x = x + self.attend_context(self.norm_context(x), context)
        return x + self.mlp(self.norm_mlp(x))


class QueryDecoder(nn.Module):
    """One learnt query and what it finds in a picture."""

    def __init__(
        self,
        *,
        context_width: int,
        width: int,
        depth: int,
        heads: int,
        head_width: int = 64,
        mlp_width: int | None = None,  # default: as wide as the token
    ) -> None:
        super().__init__()
        self.width = width
        # The release feeds the number zero through this layer, so of its parameters only the bias says anything.
        self.to_token = nn.Linear(1, width)
        # The query starts small, so that from the first step the answer is about the picture: with the release's normal of
        # one, 0.7 % of a fresh token's variance tells two pictures apart; so, 4 %.
        nn.init.zeros_(self.to_token.bias)
        self.position = nn.Parameter(torch.randn(1, width).mul_(0.02))
        self.layers = nn.ModuleList(
            Layer(width=width, context_width=context_width, heads=heads, head_width=head_width, mlp_width=mlp_width or width)
            for _ in range(depth)
        )

    def forward(self, context: Float[Tensor, "batch token context"]) -> Float[Tensor, "batch width"]:
        """The answer token; no final normalisation."""
        x = self.to_token(context.new_zeros(context.shape[0], 1)) + self.position
        for layer in self.layers:
            x = layer(x, context)
        return x
