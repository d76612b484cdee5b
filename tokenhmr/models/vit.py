"""Vision transformer that looks at a person: ViTPose's backbone at any size.

Dosovitskiy et al., "An Image is Worth 16x16 Words" (2021); Xu et al., "ViTPose" (2022), whose sizes and padding the
released HMR2.0 and TokenHMR weights have (ViT-H: width 1280, depth 32, 16 heads, drop path 0.55).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, final

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from tokenhmr.camera import CROP_SIDE

PATCH = 16  # pixels
NORM_GROUPS = 8  # of the convolutional stem
MARGIN = 32  # columns cut off on either side of the square crop: people are upright more often than not
GRID = (CROP_SIDE // PATCH, (CROP_SIDE - 2 * MARGIN) // PATCH)  # 16 rows of 12 patches


@final
class PatchEmbed(nn.Module):
    """One linear map of each patch of 16x16 pixels, as released (the padding of 2 shifts the patches, the grid stays)."""

    def __init__(self, *, width: int) -> None:
        super().__init__()
        self.grid = GRID
        self.proj = nn.Conv2d(3, width, kernel_size=PATCH, stride=PATCH, padding=2)

    def forward(self, image: Float[Tensor, "batch 3 256 192"]) -> Float[Tensor, "batch 192 width"]:
        """Patches in reading order."""
        return rearrange(self.proj(image), "b c h w -> b (h w) c")


class ChannelNorm(nn.GroupNorm):
    """Groups of a picture's channels, not of the batch: what is said of one picture never depends on others."""

    def __init__(self, *, channels: int) -> None:
        super().__init__(NORM_GROUPS, channels)

    def forward(self, input: Float[Tensor, "batch channel row column"]) -> Float[Tensor, "batch channel row column"]:
        """As torch's, behind frozen layers too."""
        if torch.is_grad_enabled() and self.weight.requires_grad and not input.requires_grad:
            # Where its input wants no slope, that of channels-last features crashes torch 2.13 on CPUs.
            input = input.detach().requires_grad_()
        return super().forward(input)


def convolve(channels: int, to: int, *, stride: int = 1) -> nn.Sequential:
    """A convolution over three by three cells of what is normalised and rectified."""
    conv = nn.Conv2d(channels, to, kernel_size=3, stride=stride, padding=1)
    return nn.Sequential(ChannelNorm(channels=channels), nn.ReLU(), conv)


class ResidualConv(nn.Module):
    """x + convolution(relu(norm(x)))."""

    def __init__(self, *, channels: int) -> None:
        super().__init__()
        self.change = convolve(channels, channels)

    def forward(self, x: Float[Tensor, "batch channel row column"]) -> Float[Tensor, "batch channel row column"]:
        """One residual step."""
        return x + self.change(x)


@final
class ConvStem(nn.Module):
    """Convolutions in place of the patches: learns from few pictures what a linear patch needs millions for.

    Xiao et al., "Early Convolutions Help Transformers See Better" (2021), as the hybrid of the ViT paper. The picture shrinks
    to 64x48, 32x24 and 16x12 cells of a quarter, a half and all of the width, with so many residual convolutions at each.
    """

    def __init__(self, *, width: int, blocks: Sequence[int] = (1, 1, 1)) -> None:
        super().__init__()
        if width % (4 * NORM_GROUPS):
            raise ValueError(f"the convolutional stem needs a width divisible by {4 * NORM_GROUPS}, not {width}")
        if len(blocks) != 3:
            raise ValueError(f"the stem has residual convolutions at 3 sizes, not at {len(blocks)}")
        self.grid = GRID
        widths = (width // 4, width // 2, width)
        layers: list[nn.Module] = []
        for place, (channels, count) in enumerate(zip(widths, blocks, strict=True)):
            patches = nn.Conv2d(3, channels, kernel_size=4, stride=4)
            layers.append(convolve(widths[place - 1], channels, stride=2) if place else patches)
            layers += [ResidualConv(channels=channels) for _ in range(count)]
        self.layers = nn.Sequential(*layers)
        for module in self.layers.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    def forward(self, image: Float[Tensor, "batch 3 256 192"]) -> Float[Tensor, "batch 192 width"]:
        """Cells in reading order."""
        cells = self.layers(image.contiguous(memory_format=torch.channels_last))
        return rearrange(cells, "b c h w -> b (h w) c")


class Attention(nn.Module):
    """Multi-head self-attention; query, key and value come from one product."""

    def __init__(self, *, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"a width of {width} does not divide into {heads} heads")
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Float[Tensor, "batch token width"]) -> Float[Tensor, "batch token width"]:
        """Every token looks at every token."""
        query, key, value = rearrange(self.qkv(x), "b n (three h d) -> three b h n d", three=3, h=self.heads)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        return self.proj(rearrange(mixed, "b h n d -> b n (h d)"))


class Mlp(nn.Module):
    """Two linear layers with a GELU between."""

    def __init__(self, *, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch width"]:
        """Each token by itself."""
        return self.fc2(functional.gelu(self.fc1(x)))


def residual(
    x: Float[Tensor, "batch token width"],
    branch: Callable[[Tensor], Tensor],
    drop: float,
) -> Float[Tensor, "batch token width"]:
    """x + branch(x), skipped for a random share ``drop`` of the samples and scaled up for the others.

    Huang et al., "Deep Networks with Stochastic Depth" (2016). The branch runs on kept samples only, so what is dropped
    costs nothing. When none is kept it still runs, on zero samples: its parameters then have a gradient (zero), which
    training on several processes waits for.
    """
    if drop == 0:
        return x + branch(x)
    # Drawn on the CPU: how many are kept must be known there, and asking a GPU would stop it.
    kept = (torch.rand(len(x)) >= drop).nonzero()[:, 0].to(x.device, non_blocking=True)
    change = branch(x[kept]) / (1 - drop)
    return x.index_add(0, kept, change.to(x.dtype))


class Block(nn.Module):
    """Pre-norm transformer block."""

    def __init__(self, *, width: int, heads: int, mlp_ratio: float, drop_path: float) -> None:
        super().__init__()
        self.drop_path = drop_path
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width=width, heads=heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = Mlp(width=width, hidden=int(width * mlp_ratio))

    def forward(self, x: Float[Tensor, "batch token width"]) -> Float[Tensor, "batch token width"]:
        """Look around, then think."""
        drop = self.drop_path if self.training else 0.0
        x = residual(x, lambda kept: self.attn(self.norm1(kept)), drop)
        return residual(x, lambda kept: self.mlp(self.norm2(kept)), drop)


class ViT(nn.Module):
    """Square crop to a grid of features, of which the middle 256x192 pixels are looked at."""

    def __init__(
        self,
        *,
        patch_embed: PatchEmbed | ConvStem,  # (batch, 3, 256, 192) -> (batch, cells of its grid, width)
        width: int,
        depth: int,
        heads: int,
        mlp_ratio: float = 4.0,
        drop_path: float = 0.0,  # of the last block; grows linearly from 0 at the first
    ) -> None:
        super().__init__()
        if not 0 <= drop_path < 1:
            raise ValueError(f"drop_path is a share in [0, 1), not {drop_path}")
        self.width = width
        self.numbers: dict[str, Any] = {}  # what build_backbone was given
        self.patch_embed = patch_embed
        self.grid = patch_embed.grid
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + self.grid[0] * self.grid[1], width))
        rates = [drop_path * index / max(depth - 1, 1) for index in range(depth)]
        self.blocks = nn.ModuleList(Block(width=width, heads=heads, mlp_ratio=mlp_ratio, drop_path=rate) for rate in rates)
        self.last_norm = nn.LayerNorm(width, eps=1e-6)
        self._initialise()

    def _initialise(self) -> None:
        """Xavier, since ViT's usual normal of 0.02 suits a width of 1280 only; each branch of a block starts at zero.

        So the features of the stem pass at first, and blocks add to them as they learn.
        """
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        for module in self.blocks.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        for block in self.blocks:
            assert isinstance(block, Block)
            nn.init.zeros_(block.attn.proj.weight)
            nn.init.zeros_(block.mlp.fc2.weight)

    def forward(self, image: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch channel rows columns"]:
        """Features of a crop of 256x256 normalised pixels; ``ValueError`` for any other size."""
        if image.shape[-2:] != (CROP_SIDE, CROP_SIDE):
            raise ValueError(f"the crop is {tuple(image.shape[-2:])} pixels, the model reads {(CROP_SIDE, CROP_SIDE)}")
        patches = self.patch_embed(image[..., MARGIN:-MARGIN])
        # Slot 0 once belonged to a class token; released weights add it to every patch.
        x = patches + self.pos_embed[:, 1:] + self.pos_embed[:, :1]
        for block in self.blocks:
            x = block(x)
        return rearrange(self.last_norm(x), "b (h w) c -> b c h w", h=self.grid[0])
