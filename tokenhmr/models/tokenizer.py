"""Pose tokenizer: 21 body rotations to discrete tokens and back (Dwivedi et al., TokenHMR, CVPR 2024, section 3.1).

A one-dimensional convolutional VQ-VAE in which the joints are the axis that is convolved and the six numbers of a
rotation (rows) are its channels.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from tokenhmr.models.convolution import Convolution, NearestResize
from tokenhmr.models.quantizer import NearestCode
from tokenhmr.rotations import is_rotation, matrix_to_rows, rows_to_matrix
from tokenhmr.structs import PoseReconstruction


def decoder_sizes(joints: int, tokens: int, stages: int) -> list[int]:
    """Lengths through which the decoder comes down from tokens to joints: 125, 90, 55, 21 as released."""
    return [int(size) for size in torch.linspace(joints, tokens, stages + 1, dtype=torch.float64, device="cpu")[:-1].flip(0)]


def three_wide(channels: int, out: int) -> Convolution:
    """A convolution over three neighbours that keeps the length."""
    return Convolution(channels, out, kernel_size=3, padding=1)


class ResidualBlock(nn.Module):
    """x + conv1(relu(conv3 dilated(relu(x))))."""

    def __init__(self, *, width: int, dilation: int) -> None:
        super().__init__()
        self.conv1 = Convolution(width, width, kernel_size=3, padding=dilation, dilation=dilation)
        self.conv2 = Convolution(width, width, kernel_size=1)

    def forward(self, x: Float[Tensor, "batch length width"]) -> Float[Tensor, "batch length width"]:
        """One residual step."""
        return x + self.conv2(functional.relu(self.conv1(functional.relu(x))))


def residual_stack(*, width: int, depth: int, dilation: int) -> nn.Sequential:
    """Residual blocks from the widest dilation to the narrowest."""
    return nn.Sequential(*(ResidualBlock(width=width, dilation=dilation**level) for level in reversed(range(depth))))


class PoseEncoder(nn.Module):
    """Joints x 6 to tokens x code width."""

    def __init__(
        self, *, joints: int, width: int, code_width: int, upsamplings: int, downsamplings: int, depth: int, dilation: int
    ) -> None:
        super().__init__()
        # Twice the joints rounded down to tens, then doubled: 40, 80, 160, 320 as released.
        sizes = [2 * joints // 10 * 10 * 2**level for level in range(upsamplings)]
        self.first = three_wide(6, width)
        self.resize = nn.ModuleList(NearestResize(length=a, size=b) for a, b in pairwise([joints, *sizes]))
        self.grow = nn.ModuleList(three_wide(width, width) for _ in sizes)
        self.shrink = nn.ModuleList(
            nn.Sequential(
                Convolution(width, width, kernel_size=4, stride=2, padding=1),
                residual_stack(width=width, depth=depth, dilation=dilation),
            )
            for _ in range(downsamplings)
        )
        self.last = three_wide(width, code_width)

    def forward(self, six: Float[Tensor, "batch joint 6"]) -> Float[Tensor, "batch token width"]:
        """Latents before quantisation."""
        x = functional.relu(self.first(six))
        for resize, conv in zip(self.resize, self.grow, strict=True):
            x = functional.relu(conv(resize(x)))
        for block in self.shrink:
            x = block(x)
        return self.last(x)


class PoseDecoder(nn.Module):
    """Tokens x code width to joints x 6."""

    def __init__(
        self, *, joints: int, tokens: int, width: int, code_width: int, stages: int, depth: int, dilation: int
    ) -> None:
        super().__init__()
        sizes = decoder_sizes(joints, tokens, stages)
        self.first = three_wide(code_width, width)
        self.resize = nn.ModuleList(NearestResize(length=a, size=b) for a, b in pairwise([tokens, *sizes]))
        self.shrink = nn.ModuleList(three_wide(width, width) for _ in sizes)
        self.residual = residual_stack(width=width, depth=depth, dilation=dilation)
        self.mix = three_wide(width, width)
        self.last = three_wide(width, 6)

    def forward(self, codes: Float[Tensor, "batch token width"]) -> Float[Tensor, "batch joint 6"]:
        """Six raw numbers a joint."""
        x = functional.relu(self.first(codes))
        for resize, conv in zip(self.resize, self.shrink, strict=True):
            x = functional.relu(conv(resize(x)))
        return self.last(self.mix(self.residual(x)))


class PoseTokenizer(nn.Module):
    """The vocabulary of valid poses.

    The defaults are the released size (13,136,134 parameters, 160 tokens of 2048 codes). What the decoder says is a
    residual on ``mean_pose``; in the released weights that is zero, in ours the mean 6D of the training motion, so
    that an image model which adds the mean pose speaks of the same poses as ``decode``.
    """

    mean_pose: Tensor

    def __init__(
        self,
        *,
        joints: int = 21,
        width: int = 512,  # channels of the convolutions
        codes: int = 2048,
        code_width: int = 256,
        upsamplings: int = 4,  # TOKEN_SIZE_MUL of the release
        downsamplings: int = 1,  # DOWN_T
        stages: int = 4,  # TOKEN_SIZE_DIV
        depth: int = 2,
        dilation: int = 3,
        decay: float = 0.99,
        revive_below: float = 1.0,
    ) -> None:
        super().__init__()
        self.numbers = {name: value for name, value in locals().items() if name not in {"self", "__class__"}}
        self.joints, self.codes, self.width = joints, codes, code_width
        self.tokens = self.count_tokens(self.numbers)
        self.encoder = PoseEncoder(
            joints=joints, width=width, code_width=code_width, upsamplings=upsamplings, downsamplings=downsamplings,
            depth=depth, dilation=dilation,
        )  # fmt: skip
        self.decoder = PoseDecoder(
            joints=joints, tokens=self.tokens, width=width, code_width=code_width, stages=stages, depth=depth, dilation=dilation
        )
        self.quantizer = NearestCode(codes=codes, width=code_width, decay=decay, revive_below=revive_below)
        self.register_buffer("mean_pose", torch.zeros(joints, 6))

    @staticmethod
    def count_tokens(numbers: Mapping[str, int | float]) -> int:
        """How many tokens a pose has, by what the constructor takes: 160 as released."""
        return int(numbers["joints"]) // 10 * 10 * 2 ** int(numbers["upsamplings"]) // 2 ** int(numbers["downsamplings"])

    def forward(self, six: Float[Tensor, "batch joint 6"]) -> PoseReconstruction:
        """Through the bottleneck and back, for training; in training mode the codebook learns."""
        quantized = self.quantizer(self.encoder(six))
        raw = self.decoder(quantized.codes).float()
        return PoseReconstruction(
            raw=raw,
            rotations=rows_to_matrix(raw + self.mean_pose),
            index=quantized.index,
            commitment=quantized.commitment,
        )

    @torch.no_grad()
    def encode(self, rotations: Float[Tensor, "*batch joint 3 3"], *, passes: int = 1) -> Int[Tensor, "*batch token"]:
        """Rotations relative to the parent joint, SMPL joints 1 to 21, to token indices.

        One pass is the paper's: the encoder's latents to their nearest codes. Each further one encodes the pose with half of
        what was lost in restoring added to it, and every pose keeps the tokens of its best pass, by squared distance of
        rotation matrices. So tokens say poses that the encoder has not seen nearly as well as those that it has
        (docs/tokenizer.md); what is noise in a pose they say as well. A ``ValueError`` for what are no rotations.
        """
        if passes < 1:
            raise ValueError(f"a pose is encoded in 1 pass or more, not in {passes}")
        if not isinstance(rotations, Tensor):
            raise TypeError(f"poses are a torch.Tensor, not a {type(rotations).__name__}")
        if rotations.shape[-3:] != (self.joints, 3, 3):
            raise ValueError(f"poses are rotation matrices (..., {self.joints}, 3, 3), these are {tuple(rotations.shape)}")
        wrong = ~is_rotation(rotations)
        if wrong.any():
            some = f"{int(wrong.sum())} of these {wrong.numel()} matrices"
            raise ValueError(f"{some} are not finite or no rotations: rows of length one at right angles, right-handed")
        rotations = rotations.to(self.mean_pose.dtype)
        batch = rotations.shape[:-3]
        wanted = rotations.reshape(-1, self.joints, 3, 3)
        six = asked = matrix_to_rows(wanted)
        best = self._nearest_tokens(six)
        if passes == 1:
            return best.view(*batch, self.tokens)
        restored = self.decode(best)
        least = (restored - wanted).square().sum(dim=(1, 2, 3))
        for _ in range(passes - 1):
            asked = asked + (six - matrix_to_rows(restored)) / 2
            index = self._nearest_tokens(asked)
            restored = self.decode(index)
            lost = (restored - wanted).square().sum(dim=(1, 2, 3))
            best = torch.where((lost < least)[:, None], index, best)
            least = torch.minimum(least, lost)
        return best.view(*batch, self.tokens)

    def decode(self, index: Int[Tensor, "*batch token"]) -> Float[Tensor, "*batch joint 3 3"]:
        """Token indices to rotations. ``ValueError`` for another number of tokens, or tokens that are none."""
        if not isinstance(index, Tensor):
            raise TypeError(f"tokens are a torch.Tensor, not a {type(index).__name__}")
        if index.is_floating_point() or index.dtype == torch.bool:
            raise ValueError(f"tokens are whole numbers, these are {str(index.dtype).removeprefix('torch.')}")
        if index.shape[-1:] != (self.tokens,):
            raise ValueError(f"a pose is {self.tokens} tokens, these are {tuple(index.shape)}")
        if index.numel() and not 0 <= int(index.min()) <= int(index.max()) < self.codes:
            raise ValueError(f"tokens are from 0 to {self.codes - 1}, these from {int(index.min())} to {int(index.max())}")
        return rows_to_matrix(self._raw(functional.embedding(index.long(), self.quantizer.codebook)) + self.mean_pose)

    def decode_6d(self, probabilities: Float[Tensor, "*batch token code"]) -> Float[Tensor, "*batch joint 6"]:
        """Soft decoding: the expected code of each token, then the decoder. Raw 6D, a residual on the mean pose."""
        return self._raw(probabilities @ self.quantizer.codebook.to(probabilities.dtype))

    def _nearest_tokens(self, six: Float[Tensor, "pose joint 6"]) -> Int[Tensor, "pose token"]:
        latent = self.encoder(six).float()
        return self.quantizer.nearest(latent.flatten(end_dim=1)).view(-1, self.tokens)

    def _raw(self, codes: Float[Tensor, "*batch token width"]) -> Float[Tensor, "*batch joint 6"]:
        batch = codes.shape[:-2]
        raw = self.decoder(codes.reshape(-1, self.tokens, self.width)).float()
        return raw.view(*batch, self.joints, 6)
