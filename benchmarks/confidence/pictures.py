"""The packaged image model on held-out synthetic pictures: as they are, and with something before the person and blur."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from confidence.lifters import MOVING
from confidence.ways import Answers, entropy, token_samples
from jaxtyping import Float, UInt8
from torch import Tensor

from tokenhmr.body import Body
from tokenhmr.data.batches import held_out_batches
from tokenhmr.data.disturb import blur_along, draw_occluders, draw_streak, occlude
from tokenhmr.data.sources import read_data_list
from tokenhmr.models.tokenhmr import TokenHMR
from tokenhmr.rotations import mirror_matrix
from tokenhmr.structs import Batch, Pose, ask
from tokenhmr.synthesis import synthesize
from tokenhmr.synthesis.poses import Shares
from tokenhmr.training.motion import mirror_body

SEED = 707
CAPTURED = Shares(key_poses=0.0)  # motion capture alone
MOST, LONGEST = 2, 9.0  # occluders in a picture; pixels of blur
SOURCE = {"name": "synthetic", "weight": 1.0, "trusted": True, "licence": "CC0-1.0", "origin": "python -m tokenhmr.synthesis"}


def write_pictures(folder: Path, motion: Path, count: int, split: str) -> Path:
    """Pictures with the poses of a split, once, and a list that reads them."""
    listed = folder / "pictures.yaml"
    if not listed.is_file():
        synthesize(folder, count=count, seed=SEED, split=split, motion=motion, shares=CAPTURED, workers=0, force=True)
        listed.write_text(json.dumps({"sources": [SOURCE | {"shards": f"synthetic-{split}-*.tar"}]}), encoding="utf-8")
    return listed


def batches_of(listed: Path, *, disturbed: bool) -> Iterator[Batch]:
    sources = read_data_list(listed, root=listed.parent)
    for number, batch in enumerate(held_out_batches(sources=sources, batch_size=32)):
        yield replace(batch, image=spoilt(batch.image, number)) if disturbed else batch


def spoilt(images: UInt8[Tensor, "row 3 side side"], number: int) -> UInt8[Tensor, "row 3 side side"]:
    """Each picture with one or two occluders and motion blur; the same for the same number of the batch."""
    generator = np.random.default_rng([SEED, number])
    found = []
    for picture in images.numpy():
        pixels = np.ascontiguousarray(picture.transpose(1, 2, 0))
        pixels = blur_along(occlude(pixels, draw_occluders(generator, most=MOST)), draw_streak(generator, longest=LONGEST))
        found.append(torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1))))
    return torch.stack(found)


def seen_joints(pose: Pose, body: Body) -> Float[Tensor, "row moving 3"]:
    """Moving joints from the pelvis, metres, camera axes."""
    skeleton = body.skeleton(pose)
    return (skeleton - skeleton[:, :1])[:, list(MOVING)]


def unmirrored(pose: Pose) -> Pose:
    """What was said of a mirrored picture, for the picture."""
    hands = mirror_matrix(pose.body[:, [22, 21]])
    turned = torch.cat([mirror_body(pose.body[:, :21]), hands], dim=1)
    return Pose(global_orient=mirror_matrix(pose.global_orient), body=turned, betas=pose.betas)


def packaged_answers(
    model: TokenHMR, listed: Path, body: Body, *, samples: int, seed: int, disturbed: bool = False
) -> tuple[Answers, np.ndarray]:
    """Errors as users meet them (joints from the pelvis, camera axes), spreads, and the clip of each picture."""
    found, generator, clips = Answers(), torch.Generator().manual_seed(seed), []
    for batch in batches_of(listed, disturbed=disturbed):
        shown = batch.to("cpu")
        across = torch.tensor([-1.0, 1.0, 1.0])  # a mirror moves the box to the other side of the camera's axis
        mirrored = replace(shown, image=shown.image.flip(-1), view=None if shown.view is None else shown.view * across)
        plain, flipped = ask(model, shown), ask(model, mirrored)
        assert plain.pose is not None and flipped.pose is not None and plain.token_logits is not None
        answer = seen_joints(plain.pose, body)
        twice = seen_joints(unmirrored(flipped.pose), body)
        drawn = token_samples(plain.token_logits, model.tokenizer, body, samples, generator)
        middle = drawn.mean(dim=1, keepdim=True)
        extra = {
            "token samples": (drawn - middle).norm(dim=-1).mean(dim=1),
            "flip": (twice - answer).norm(dim=-1),
            "token entropy": entropy(plain.token_logits),
        }
        found.add(seen_joints(batch.pose, body), answer, {}, extra)
        clips += list(batch.track or batch.key)
    return found, np.array(clips)
