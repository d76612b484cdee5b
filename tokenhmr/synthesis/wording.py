"""New poses said in the words of the packaged tokenizer: somebody else's words in a stretch of slots, and close synonyms.

The slots of a pose stand in a row along its joints, so a stretch of them is a part of a body. What comes out is held within
the joints' limits and kept only if the tokenizer says it again about as it was said. It does so with real poses, not with
made-up ones (docs/tokenizer_card.md, strangeness).
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int
from torch import Tensor

from tokenhmr.body.key_poses import joint_limits
from tokenhmr.models.pretrained import load_tokenizer
from tokenhmr.models.tokenizer import PoseTokenizer
from tokenhmr.rotations import axis_angle_to_matrix, geodesic_angle, matrix_to_axis_angle

STRETCH = (1 / 8, 1 / 2)  # of the slots of a pose, that another body's words replace
SYNONYMS = 0.15  # share of the slots whose word gives way to a neighbour of it
NEAREST = 8  # codes that count as neighbours of a code, itself among them
RESTORED = np.radians(2.0)  # mean angle between a pose and what the tokenizer makes of it: 95 in 100 frames of motion lie below

Bodies = Float32[np.ndarray, "person 21 3"]


def reword(body: Bodies, lender: Bodies, generator: np.random.Generator) -> tuple[Bodies, Bool[np.ndarray, " person"]]:
    """Axis-angles of SMPL joints 1 to 21, each with some of its ``lender``'s words, and which of them are new.

    No joint leaves its limits further than one of the two real poses does. A body whose new pose is refused comes back as it
    was.
    """
    if not len(body):
        return body, np.zeros(0, dtype=bool)
    tokenizer = _tokenizer()
    with torch.inference_mode():
        said, lent = (tokenizer.encode(axis_angle_to_matrix(torch.from_numpy(poses))) for poses in (body, lender))
        words = _synonyms(_exchange(said, lent, generator), generator)
        new = matrix_to_axis_angle(tokenizer.decode(words)).numpy()
        low, high = joint_limits()
        new = np.clip(new, np.minimum(low, np.minimum(body, lender)), np.maximum(high, np.maximum(body, lender)))
        pose = axis_angle_to_matrix(torch.from_numpy(new))
        lost = geodesic_angle(pose, tokenizer.decode(tokenizer.encode(pose))).mean(dim=-1).numpy()
    kept = lost < RESTORED
    return np.where(kept[:, None, None], new, body), kept


def _exchange(
    said: Int[Tensor, "person token"], lent: Int[Tensor, "person token"], generator: np.random.Generator
) -> Int[Tensor, "person token"]:
    """A stretch of every row from another body, each word in the slot in which it was said."""
    people, slots = said.shape
    length = np.rint(slots * generator.uniform(*STRETCH, size=(people, 1)))
    first = np.floor(generator.random((people, 1)) * (slots - length + 1))
    slot = np.arange(slots)
    return torch.where(torch.from_numpy((slot >= first) & (slot < first + length)), lent, said)


def _synonyms(words: Int[Tensor, "person token"], generator: np.random.Generator) -> Int[Tensor, "person token"]:
    """Some words replaced by a neighbour in the codebook."""
    rank = torch.from_numpy(generator.integers(1, NEAREST, size=words.shape))
    changed = torch.from_numpy(generator.random(words.shape) < SYNONYMS)
    return torch.where(changed, _neighbours()[words].gather(-1, rank[..., None])[..., 0], words)


@cache
def _tokenizer() -> PoseTokenizer:
    return load_tokenizer("default").eval()


@cache
def _neighbours() -> Int[Tensor, "code near"]:
    """Of every code the nearest ones, itself first."""
    book = _tokenizer().quantizer.codebook
    return torch.cdist(book, book).topk(NEAREST, largest=False).indices
