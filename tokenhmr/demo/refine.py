"""Fit bodies to joints that are known in the picture, without leaving the vocabulary of poses.

What moves is what the model itself says: a distribution over the codes of every token, the turn of the root, shape, and where
the body stands. The pose is always what the tokenizer decodes from a distribution, as it is in TokenHMR (Dwivedi et al.,
CVPR 2024, section 3.2), and distributions are drawn towards single codes and towards what was said at first: so that a wrong
keypoint bends the body as far as poses go, and no farther. Keypoints count by their confidence, and less the less they fit
(Geman and McClure, 1987; the error function of SMPLify, Bogo et al., 2016).
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from tokenhmr.body import Body
from tokenhmr.demo.keypoints import KeypointFile, assign
from tokenhmr.demo.light_body import JointBody
from tokenhmr.demo.scene import People, Scene
from tokenhmr.models.tokenizer import PoseTokenizer
from tokenhmr.rotations import axis_angle_to_matrix, matrix_to_rows, rows_to_matrix
from tokenhmr.structs import Pose

TOGETHER = 32  # people that are fitted at a time
FORGIVING = 20.0  # how much larger ``Weights.robust`` is at first, while all keypoints may be far off
LEAST = 3  # keypoints without which nobody is moved


@dataclass(frozen=True, kw_only=True)
class Weights:
    """How strongly things pull. Keypoint errors are in hundredths of the keypoints' own extent."""

    robust: float = 10.0  # error at which a keypoint begins to count for less
    shape: float = 0.02  # squared coefficients
    stay: float = 0.02  # divergence from what the first tokens said, natural units a token
    single: float = 0.02  # entropy, natural units a token
    turn: float = 1.0  # squared angle away from the first orientation, radians


@dataclass(frozen=True, kw_only=True)
class _Target:
    """What some people are fitted to, one row each."""

    points: Float[Tensor, "row 44 2"]  # pixels
    weight: Float[Tensor, "row 44"]  # adds up to one
    extent: Float[Tensor, " row"]  # pixels
    focal: Float[Tensor, "row 2"]
    center: Float[Tensor, "row 2"]


class _Fit(torch.nn.Module):
    """The numbers that move, and the bodies they make. Starts where the model left off."""

    first_said: Tensor

    def __init__(self, people: People, tokenizer: PoseTokenizer, body: JointBody) -> None:
        super().__init__()
        self.tokenizer, self.body = tokenizer, body
        rotations = torch.from_numpy(people.rotations).to(body.moment.device)
        translation = torch.from_numpy(people.translation).to(rotations)
        self.first_orient, self.hands = rotations[:, 0], rotations[:, 22:]
        logits = first_logits(tokenizer, rotations[:, 1:22])
        self.register_buffer("first_said", logits.log_softmax(dim=-1))
        self.logits = torch.nn.Parameter(logits.clone())
        self.turn = torch.nn.Parameter(torch.zeros_like(translation))
        self.betas = torch.nn.Parameter(torch.from_numpy(people.betas).to(rotations))
        # Across the line of sight, and the logarithm of the depth: what a picture shows well, and what it does not.
        place = torch.cat([translation[:, :2] / translation[:, 2:], translation[:, 2:].log()], dim=1)
        self.place = torch.nn.Parameter(place)

    def groups(self) -> list[dict[str, object]]:
        """Parameters with the step that suits their units."""
        return [
            {"params": [self.logits], "lr": 0.3},
            {"params": [self.turn], "lr": 0.02},
            {"params": [self.betas], "lr": 0.02},
            {"params": [self.place], "lr": 0.01},
        ]

    def pose(self) -> Pose:
        raw = self.tokenizer.decode_6d(self.logits.softmax(dim=-1))
        rotations = rows_to_matrix(raw + self.tokenizer.mean_pose)
        orient = axis_angle_to_matrix(self.turn) @ self.first_orient
        return Pose(global_orient=orient, body=torch.cat([rotations, self.hands], dim=1), betas=self.betas)

    def translation(self) -> Float[Tensor, "row 3"]:
        depth = self.place[:, 2:].exp()
        return torch.cat([self.place[:, :2] * depth, depth], dim=1)

    def pixels(self, target: _Target) -> Float[Tensor, "row 44 2"]:
        points = self.body(self.pose()) + self.translation()[:, None]
        return points[..., :2] / points[..., 2:].clamp_min(0.05) * target.focal[:, None] + target.center[:, None]

    def loss(self, target: _Target, weights: Weights, *, robust: float) -> Float[Tensor, ""]:
        error = 100 * (self.pixels(target) - target.points) / target.extent[:, None, None]
        squared = error.square().sum(dim=-1)
        bent = squared * robust**2 / (squared + robust**2)
        fit = (target.weight * bent).sum(dim=1)
        said = self.logits.log_softmax(dim=-1)
        share = said.exp()
        entropy = -(share * said).sum(dim=-1).sum(dim=-1)
        moved = (share * (said - self.first_said)).sum(dim=-1).sum(dim=-1)
        prior = weights.shape * self.betas.square().sum(dim=-1) + weights.turn * self.turn.square().sum(dim=-1)
        return (fit + prior + weights.single * entropy + weights.stay * moved).sum()


def first_logits(
    tokenizer: PoseTokenizer, rotations: Float[Tensor, "row 21 3 3"], *, sharpness: float = 8.0
) -> Float[Tensor, "row token code"]:
    """Scores under which the codes nearest to what the encoder says of a pose are the likeliest.

    ``sharpness``: natural units by which a code as far away as the codes are from one another on average falls behind.
    """
    latent = tokenizer.encoder(matrix_to_rows(rotations)).float()
    codebook = tokenizer.quantizer.codebook
    squared = torch.cdist(latent, codebook[None].expand(len(latent), -1, -1)).square()
    spread = 2 * codebook.var(dim=0).sum()
    return -sharpness * squared / spread


class Refiner:
    """Moves people onto keypoints. ``steps`` of Adam (Kingma and Ba, 2015), the first quarter without pose and shape."""

    def __init__(self, *, tokenizer: PoseTokenizer, body: Body, steps: int = 150, weights: Weights | None = None) -> None:
        # A copy of its own: the tokenizer is asked for gradients, never for a change.
        self.tokenizer = copy.deepcopy(tokenizer).requires_grad_(False).eval()
        self.body, self.steps = JointBody(body), steps
        self.weights = weights or Weights()

    def __call__(
        self,
        people: People,
        scene: Scene,
        keypoints: Float32[np.ndarray, "row 44 3"],  # skeleton.JOINTS44; pixels of the picture, confidence (0: not known)
    ) -> People:
        """The same people, fitted. Rows with fewer than three keypoints stay as they are."""
        known = (keypoints[..., 2] > 0) & np.isfinite(keypoints).all(axis=-1)
        rows = np.flatnonzero(known.sum(axis=1) >= LEAST)
        fitted = {name: getattr(people, name).copy() for name in ("rotations", "betas", "translation")}
        for start in range(0, len(rows), TOGETHER):
            some = rows[start : start + TOGETHER]
            mine = people.rows(some)
            better = self._fit(mine, self._target(mine, scene, np.where(known[some, :, None], keypoints[some], 0)))
            for name, column in fitted.items():
                column[some] = getattr(better, name)
        return replace(people, **fitted)

    def _target(self, people: People, scene: Scene, keypoints: Float32[np.ndarray, "row 44 3"]) -> _Target:
        device = self.body.moment.device
        cameras = [scene.frames[frame].camera for frame in people.frame]
        points, weight = torch.from_numpy(keypoints[..., :2]).to(device), torch.from_numpy(keypoints[..., 2]).to(device)
        here = weight[..., None] > 0
        low = torch.where(here, points, torch.inf).amin(dim=1)
        high = torch.where(here, points, -torch.inf).amax(dim=1)
        return _Target(
            points=points,
            weight=weight / weight.sum(dim=1, keepdim=True),
            extent=(high - low).norm(dim=1).clamp_min(1.0),
            focal=torch.tensor([camera.focal for camera in cameras], dtype=torch.float32, device=device),
            center=torch.tensor([camera.center for camera in cameras], dtype=torch.float32, device=device),
        )

    def _fit(self, people: People, target: _Target) -> People:
        # Callers may be in inference mode, whose tensors have no gradients.
        with torch.inference_mode(False), torch.enable_grad():
            fit = _Fit(people, self.tokenizer, self.body)
            optimizer = torch.optim.Adam(fit.groups())
            for step in range(self.steps):
                # First the camera and the turn, which are far off more often than the pose.
                early = step < self.steps // 4
                fit.logits.requires_grad_(not early)
                fit.betas.requires_grad_(not early)
                optimizer.zero_grad(set_to_none=True)
                robust = self.weights.robust * (FORGIVING if early else 1.0)
                fit.loss(target, self.weights, robust=robust).backward()
                optimizer.step()
        with torch.no_grad():
            pose, translation = fit.pose(), fit.translation()
            rotations = torch.cat([pose.global_orient[:, None], pose.body], dim=1)
        return replace(
            people,
            rotations=rotations.cpu().numpy(),
            betas=pose.betas.detach().cpu().numpy(),
            translation=translation.cpu().numpy(),
        )


@dataclass(frozen=True, kw_only=True)
class Refinement:
    """A file of keypoints, and the fit to it: what a run asks of every picture and clip."""

    keypoints: KeypointFile
    refiner: Refiner

    def __call__(self, people: People, scene: Scene) -> People:
        """People of a scene that the file speaks of, fitted; others as they are."""
        frames = self.keypoints.of(scene.source or scene.name)
        return people if frames is None or not len(people) else self.refiner(people, scene, assign(people, scene, frames))
