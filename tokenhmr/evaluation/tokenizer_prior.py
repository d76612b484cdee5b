"""A tokenizer's vocabulary and the tokenizer as a prior: use of codes by slot, bits after entropy coding, limits, strangeness.

Everything is about body rotations relative to the parent joint (SMPL joints 1 to 21); nothing is posed here.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from tokenhmr.models.tokenizer import PoseTokenizer
from tokenhmr.rotations import axis_angle_to_matrix, matrix_to_axis_angle, matrix_to_rows


def count_codes(index: Int[Tensor, "pose token"], codes: int) -> Float[Tensor, "token code"]:
    """How often each code stands in each slot, as float64 so that counts of processes can be added."""
    tokens = index.shape[1]
    if len(index) and not 0 <= int(index.min()) <= int(index.max()) < codes:
        raise ValueError(f"tokens between {int(index.min())} and {int(index.max())}: the codebook has {codes} codes")
    place = torch.arange(tokens, device=index.device) * codes + index
    return torch.bincount(place.flatten(), minlength=tokens * codes).view(tokens, codes).double()


def coded_bits(
    index: Int[Tensor, "pose token"], learnt: Float[Tensor, "token code"], *, prior: float = 0.5
) -> Float[Tensor, " pose"]:
    """Bits of each pose under an ideal entropy code that knows each slot's frequencies ``learnt`` elsewhere, and no more.

    ``prior`` is added to every count (Krichevsky and Trofimov, 1981), so that what was never seen can be written too.
    """
    share = (learnt + prior) / (learnt + prior).sum(dim=1, keepdim=True)
    chosen = share.log2()[torch.arange(index.shape[1], device=index.device), index]
    return -chosen.sum(dim=1)


@torch.no_grad()
def codebook_distance(
    model: PoseTokenizer, rotations: Float[Tensor, "pose 21 3 3"], *, batch_size: int = 512
) -> Float[Tensor, " pose"]:
    """The out-of-codebook score: squared distance from what the encoder says of a pose to the nearest codes.

    Mean over tokens, in units of the codebook's own spread (mean squared distance of its codes from their mean), so that
    tokenizers of different widths can be compared: 0 is a pose whose latents are codes, 1 is as far as codes are from their
    middle.
    """
    spread = model.quantizer.codebook.var(dim=0, correction=0).sum()
    device = model.mean_pose.device
    found = []
    for rows in rotations.split(batch_size):
        latent = model.encoder(matrix_to_rows(rows.to(device))).float()
        nearest = model.quantizer.codebook[model.quantizer.nearest(latent.flatten(end_dim=1))].view_as(latent)
        found.append((latent - nearest).square().sum(dim=-1).mean(dim=1) / spread)
    return torch.cat(found)


def turned(
    rotations: Float[Tensor, "pose joint 3 3"], degrees: float, generator: torch.Generator
) -> Float[Tensor, "pose joint 3 3"]:
    """Every joint turned by exactly ``degrees`` about a random axis of its own, drawn evenly from the sphere."""
    axis = torch.randn(*rotations.shape[:2], 3, generator=generator).to(rotations)
    axis = axis / axis.norm(dim=-1, keepdim=True)
    return rotations @ axis_angle_to_matrix(math.radians(degrees) * axis)


def motion_limits(
    rotations: Float[Tensor, "pose joint 3 3"], *, share: float = 0.001
) -> tuple[Float[Tensor, "joint 3"], Float[Tensor, "joint 3"]]:
    """Lowest and highest axis-angle components (radians) of motion, but for a ``share`` of the poses on either side."""
    if not 0 <= share < 0.5:
        raise ValueError(f"a share of poses on either side lies in [0, 0.5), not {share}")
    ordered = matrix_to_axis_angle(rotations).sort(dim=0).values
    skipped = int(share * len(ordered))
    return ordered[skipped], ordered[len(ordered) - 1 - skipped]


def outside(
    rotations: Float[Tensor, "pose joint 3 3"],
    low: Float[Tensor, "joint 3"],  # radians
    high: Float[Tensor, "joint 3"],
    *,
    tolerance: float = 0.0,  # radians
) -> Bool[Tensor, "pose joint"]:
    """Which joints have an axis-angle component beyond its limits by more than a tolerance."""
    angles = matrix_to_axis_angle(rotations)
    return ((angles < low - tolerance) | (angles > high + tolerance)).any(dim=-1)


def separation(strange: Float[Tensor, " one"], real: Float[Tensor, " other"]) -> float:
    """Area under the ROC curve: how often a strange pose scores higher than a real one, ties counting half.

    Mann and Whitney (1947). Not a number where a score is not finite.
    """
    if not len(strange) or not len(real):
        raise ValueError(f"{len(strange)} strange and {len(real)} real poses: neither may be none")
    ordered = real.double().sort().values
    below = torch.searchsorted(ordered, strange.double(), right=False)
    not_above = torch.searchsorted(ordered, strange.double(), right=True)
    return float((below + not_above).double().mean()) / (2 * len(real))
