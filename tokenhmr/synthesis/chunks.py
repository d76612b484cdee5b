"""Thirty-two people at once: posed, dressed, photographed and labelled, from nothing but a seed and a number."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import roma
import torch
from jaxtyping import Float32, Float64

from tokenhmr.body import Body, load_body
from tokenhmr.structs import Pose
from tokenhmr.synthesis.company import MOST, gather
from tokenhmr.synthesis.figure import Figure, figures_of
from tokenhmr.synthesis.labels import Person, exact, pseudo
from tokenhmr.synthesis.looks import LOOKS
from tokenhmr.synthesis.people import clothe
from tokenhmr.synthesis.picture import Shot
from tokenhmr.synthesis.poses import MotionPoses, Poses, Shares, read_poses, sample_key_poses
from tokenhmr.synthesis.scene import View
from tokenhmr.synthesis.shapes import sample_shape, stature_and_build, traits
from tokenhmr.synthesis.tailor import Tailor, measure

SPLITS = ("train", "val", "test")
CHUNK = 32  # people skinned at once; fixed, since the rounding of a matrix product depends on its size


@dataclass(frozen=True, kw_only=True)
class Order:
    """What a worker has to know. Small: it travels with every chunk."""

    seed: int
    split: str
    motion: Path | None  # folder with train, val and test
    pseudo: bool
    shares: Shares  # of the training people with motion
    look: str = "first"  # of looks.LOOKS


class Sample(NamedTuple):
    """The files of one sample."""

    key: str
    jpg: bytes
    json: bytes
    mask: bytes


class Cast(NamedTuple):
    """The people of a chunk before their cameras, undressed; metres, camera axes, no translation."""

    generators: list[np.random.Generator]  # what decides the rest of each picture
    pose: Float64[np.ndarray, "person 24 3"]  # axis-angle, row 0 into camera axes
    betas: Float32[np.ndarray, "person 10"]
    source: tuple[str, ...]  # who lent the pose
    views: list[View]
    figures: list[Figure]
    joints: Float32[np.ndarray, "person 44 3"]


def cast(order: Order, chunk: int) -> Cast:
    """Pose and shape ``CHUNK`` people."""
    body, _, _ = _body()
    generators = [picture_generator(order, index) for index in range(chunk * CHUNK, (chunk + 1) * CHUNK)]
    poses = _poses(order, np.random.default_rng(_seed(order, chunk, "poses")))
    betas = np.stack([sample_shape(generator) for generator in generators])
    views = [LOOKS[order.look].view(generator) for generator in generators]
    roots = np.stack([view.world_to_camera @ root for view, root in zip(views, poses.root, strict=True)])
    full = np.zeros((CHUNK, 24, 3))
    full[:, 0] = roma.rotmat_to_rotvec(torch.from_numpy(roots)).numpy()
    full[:, 1:22] = poses.body
    # What is written is what is drawn: rounding comes before skinning.
    full, betas = np.round(full, 5), np.round(betas, 5)
    matrices = roma.rotvec_to_rotmat(torch.from_numpy(full)).float()
    with torch.inference_mode():
        pose = Pose(global_orient=matrices[:, 0], body=matrices[:, 1:], betas=torch.from_numpy(betas))
        posed = body(pose)
        figures = figures_of(body, pose, posed)
    return Cast(generators, full, betas, poses.source, views, figures, posed.joints.numpy())


def make_chunk(order: Order, chunk: int, limit: int) -> list[Sample]:
    """The first ``limit`` of ``CHUNK`` samples, from nothing but the order and the chunk's number."""
    (body, tailor, faces), eye = _body(), LOOKS[order.look]
    generators, full, betas, source, views, figures, joints44 = cast(order, chunk)
    with torch.inference_mode():
        statures = stature_and_build(body, betas)
    samples: list[Sample] = []
    for row, generator in enumerate(generators[:limit]):
        index, vertices, joints = chunk * CHUNK + row, figures[row].vertices, joints44[row]
        camera = eye.camera(vertices, joints, generator)
        person = Person(
            key=f"synthetic-{order.split}-{index:08d}",
            split=order.split,
            axis_angle=full[row],
            betas=betas[row],
            vertices=vertices,
            joints=joints,
            camera=camera,
        )
        own = figures[row].moved(camera.translation)
        # Whoever keeps company is a neighbour in the chunk, in other clothes, turned from the neighbour's camera to this one.
        near = [(row + step) % CHUNK for step in range(1, MOST + 1)]
        others = [figures[n].turned(views[row].world_to_camera @ views[n].world_to_camera.T) for n in near]
        shot = Shot(
            person=clothe(own, views[row].up, tailor, generator),
            company=gather(own, others, views[row], tailor, generator),
            camera=camera,
            view=views[row],
            light=eye.light(views[row], generator),
        )
        photo = eye.photograph(shot, faces, tailor, generator)
        labels = pseudo(person, np.random.default_rng(_seed(order, index, "labels"))) if order.pseudo else exact(person)
        labels |= {
            "background": f"{photo.background}-{order.seed}-{order.split}-{index}",
            "outfit": shot.person.look.outfit,
            "traits": traits(shot.person.look, *statures[row]),
            "people": photo.people,
            "motion": source[row],
            "seed": order.seed,
            "look": order.look,
        }
        quality = int(generator.integers(60, 96))
        samples.append(
            Sample(
                key=person.key,
                jpg=_encode(".jpg", photo.pixels[..., ::-1], cv2.IMWRITE_JPEG_QUALITY, quality),
                json=json.dumps(labels, separators=(",", ":")).encode(),
                mask=_encode(".png", photo.mask, cv2.IMWRITE_PNG_COMPRESSION, 3),
            )
        )
    return samples


def _seed(order: Order, number: int, use: str) -> np.random.SeedSequence:
    """Streams that never meet: of splits, of pictures, of uses."""
    uses = ("picture", "poses", "labels")
    return np.random.SeedSequence(order.seed, spawn_key=(SPLITS.index(order.split), uses.index(use), number))


def picture_generator(order: Order, index: int) -> np.random.Generator:
    """What decides one picture."""
    return np.random.default_rng(_seed(order, index, "picture"))


@cache
def _body() -> tuple[Body, Tailor, np.ndarray]:
    body = load_body("open")
    return body, measure(body), body.faces.numpy().astype(np.int32)


@cache
def _motion(folder: Path) -> MotionPoses:
    return read_poses(folder)


def _poses(order: Order, generator: np.random.Generator) -> Poses:
    """A chunk's poses. Held-out ones are as captured; training ones are varied, and some are key poses."""
    authored = sample_key_poses(CHUNK, generator)
    if order.motion is None:
        return authored
    training = order.split == "train"
    captured = _motion(order.motion / order.split).sample(CHUNK, generator, vary=order.shares if training else None)
    if not training:
        return captured
    chosen = generator.random(CHUNK) < order.shares.key_poses
    return Poses(
        body=np.where(chosen[:, None, None], authored.body, captured.body),
        root=np.where(chosen[:, None, None], authored.root, captured.root),
        source=tuple(a if c else b for a, b, c in zip(authored.source, captured.source, chosen, strict=True)),
    )


def _encode(kind: str, pixels: np.ndarray, setting: int, value: int) -> bytes:
    done, data = cv2.imencode(kind, np.ascontiguousarray(pixels), [setting, value])
    assert done, kind
    return data.tobytes()
