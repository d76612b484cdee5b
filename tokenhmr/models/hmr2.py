"""HMR2.0: one crop to an SMPL body by plain regression (Goel et al., "Humans in 4D", ICCV 2023), the baseline of TokenHMR.

Backbone, decoder, camera and body are TokenHMR's; what differs is the head. All 24 rotations are six numbers each, read as
two columns of the matrix (TokenHMR: rows) and added to the mean pose. The released size has 672,266,656 parameters, of which
1,807,619 are the discriminator's.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from tokenhmr.body import Body
from tokenhmr.models.discriminator import BodyDiscriminator
from tokenhmr.models.parts import FACING, IDENTITY, MEAN_CAMERA, build_backbone, look
from tokenhmr.models.tokenizer import PoseTokenizer
from tokenhmr.models.transformer import QueryDecoder
from tokenhmr.rotations import axis_angle_to_matrix, columns_to_matrix, matrix_to_columns, rows_to_matrix
from tokenhmr.structs import Judgement, Pose, Prediction, RealBodies


class RegressedBody(NamedTuple):
    """What is said of the person."""

    columns: Float[Tensor, "batch 24 6"]  # two columns of each rotation, before Gram-Schmidt; the mean is in it
    betas: Float[Tensor, "batch shape"]
    camera: Float[Tensor, "batch 3"]


class RegressionHeads(nn.Module):
    """Pose, shape and camera as plain numbers, each a residual on a mean."""

    mean_pose: Tensor
    mean_betas: Tensor
    mean_camera: Tensor

    def __init__(
        self,
        *,
        width: int,
        shape: int,  # shape directions of the body
        mean_body: Float[Tensor, "23 6"],  # 6D columns of SMPL joints 1 to 23
    ) -> None:
        super().__init__()
        self.pose = nn.Linear(width, 144)
        self.shape = nn.Linear(width, shape)
        self.camera = nn.Linear(width, 3)
        mean_body = mean_body.detach().clone().to(torch.float32)
        self.register_buffer("mean_pose", torch.cat([mean_body.new_tensor([FACING]), mean_body]))
        self.register_buffer("mean_betas", torch.zeros(shape))
        self.register_buffer("mean_camera", torch.tensor(MEAN_CAMERA))

    def forward(self, token: Float[Tensor, "batch width"]) -> RegressedBody:
        """Everything that one token knows, in float32."""
        return RegressedBody(
            columns=rearrange(self.pose(token).float(), "b (joint c) -> b joint c", c=6) + self.mean_pose,
            betas=self.shape(token).float() + self.mean_betas,
            camera=self.camera(token).float() + self.mean_camera,
        )


class HMR2(nn.Module):
    """Crop to body. In training, and where it was given real bodies, its discriminator judges what it says."""

    body: Body
    real_pose: Tensor | None
    real_betas: Tensor | None
    numbers: dict[str, Any]  # what build_hmr2 was given: config.json repeats it
    card: dict[str, Any]  # config.json of the weights, when they came from a folder

    def __init__(
        self,
        *,
        backbone: nn.Module,
        decoder: nn.Module,
        heads: RegressionHeads,
        body: Body,
        discriminator: BodyDiscriminator | None = None,
        real: RealBodies | None = None,
    ) -> None:
        super().__init__()
        if real is not None and discriminator is None:
            raise ValueError("real bodies are for a discriminator, and this model has none")
        self.backbone = backbone
        self.decoder = decoder
        self.heads = heads
        self.body = body
        # Without real bodies nothing can be learnt of them: then it is carried along as it came.
        self.discriminator = discriminator if discriminator is None else discriminator.requires_grad_(real is not None)
        self.register_buffer("real_pose", None if real is None else real.body, persistent=False)
        self.register_buffer("real_betas", None if real is None else real.betas, persistent=False)
        self.numbers, self.card = {}, {}

    def parameter_counts(self) -> dict[str, int]:
        """How many numbers are ``trainable`` and how many are ``frozen`` (a discriminator without real bodies)."""
        counts = {"trainable": 0, "frozen": 0}
        for parameter in self.parameters():
            counts["trainable" if parameter.requires_grad else "frozen"] += parameter.numel()
        return counts

    def forward(self, image: Float[Tensor, "batch 3 height width"]) -> Prediction:
        """Normalised crops of 256x256 to bodies in camera axes, metres, without translation (``camera`` has that)."""
        features = look(self.backbone, image)
        said = self.heads(self.decoder(features))

        # Geometry stays in float32, autocast or not: bfloat16 moves vertices by about a millimetre.
        with torch.autocast(device_type=image.device.type, enabled=False):
            rotations = columns_to_matrix(said.columns)
            pose = Pose(global_orient=rotations[:, 0], body=rotations[:, 1:], betas=said.betas)
            posed = self.body(pose)
            judged = self.judge(pose) if self.training and self.real_pose is not None else None
        return Prediction(
            vertices=posed.vertices,
            joints=posed.joints,
            skeleton=posed.skeleton,
            camera=said.camera,
            pose=pose,
            judged=judged,
        )

    def judge(self, pose: Pose) -> Judgement:
        """The discriminator's answers to these bodies and to as many real ones, drawn by torch's generator."""
        if self.discriminator is None or self.real_pose is None or self.real_betas is None:
            raise ValueError("this model has no discriminator with real bodies to judge by")
        drawn = torch.randint(len(self.real_pose), (len(pose.betas),)).to(self.real_pose.device)
        real = axis_angle_to_matrix(self.real_pose[drawn])
        return Judgement(
            for_model=self.discriminator.as_it_is(pose.body, pose.betas),
            made_up=self.discriminator(pose.body.detach(), pose.betas.detach()),
            real=self.discriminator(real, self.real_betas[drawn]),
        )


def mean_columns(tokenizer: PoseTokenizer | None) -> Float[Tensor, "23 6"]:
    """Where the 23 body joints start: the mean of the motion that a tokenizer has seen, else the pose of rest."""
    mean = torch.tensor([IDENTITY]).repeat(23, 1)
    known = tokenizer is not None and not tokenizer.mean_pose.is_meta and bool(tokenizer.mean_pose.any())
    if tokenizer is not None and known:
        mean[:21] = matrix_to_columns(rows_to_matrix(tokenizer.mean_pose.detach().float().cpu()))
    return mean


def build_hmr2(
    *,
    backbone: Mapping[str, Any],  # as parts.build_backbone reads it
    decoder: Mapping[str, Any],  # width, depth, heads, head_width, mlp_width
    body: Body,
    discriminator: bool = False,
    real: RealBodies | None = None,  # what the discriminator learns from; None: it stays as it is
    tokenizer: PoseTokenizer | None = None,  # only its mean pose is used: public weights bring a mean of their own
) -> HMR2:
    """The model from plain numbers: what configs/model/hmr2.yaml and config.json say."""
    vit = build_backbone(backbone)
    query = QueryDecoder(context_width=vit.width, **decoder)
    heads = RegressionHeads(width=query.width, shape=body.shape_count, mean_body=mean_columns(tokenizer))
    judge = BodyDiscriminator(shape=body.shape_count) if discriminator else None
    model = HMR2(backbone=vit, decoder=query, heads=heads, body=body, discriminator=judge, real=real)
    model.numbers = copy.deepcopy({"backbone": dict(backbone), "decoder": dict(decoder), "discriminator": discriminator})
    return model
