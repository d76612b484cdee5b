"""TokenHMR: one crop to an SMPL body through a vocabulary of valid poses (Dwivedi et al., CVPR 2024)."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from tokenhmr.body import Body
from tokenhmr.models.locator import JointLocator, cell_centres
from tokenhmr.models.mixer import TokenClassifier
from tokenhmr.models.parts import FACING, IDENTITY, MEAN_CAMERA, build_backbone, look
from tokenhmr.models.places import CameraToken, PlaceReader
from tokenhmr.models.tokenizer import PoseTokenizer
from tokenhmr.models.transformer import QueryDecoder
from tokenhmr.rotations import rows_to_matrix
from tokenhmr.structs import Pose, Prediction


class HeadOutput(NamedTuple):
    """What is said of the person; rotations are residuals on the mean pose, before Gram-Schmidt."""

    token_logits: Float[Tensor, "batch token code"]
    global_orient: Float[Tensor, "batch 1 6"]
    hands: Float[Tensor, "batch 2 6"]
    betas: Float[Tensor, "batch shape"]
    camera: Float[Tensor, "batch 3"]


class Heads(nn.Module):
    """The body in words; orientation, hands, shape and camera as plain numbers. Knows the means all of them start from."""

    mean_pose: Tensor
    mean_betas: Tensor
    mean_camera: Tensor

    def __init__(
        self,
        *,
        classifier: nn.Module,
        width: int,
        shape: int,  # shape directions of the body
        mean_body: Float[Tensor, "21 6"],  # 6D rows of SMPL joints 1 to 21
    ) -> None:
        super().__init__()
        self.classifier = classifier
        self.orient = nn.Linear(width, 6)
        self.hands = nn.Linear(width, 12)
        self.shape = nn.Linear(width, shape)
        self.camera = nn.Linear(width, 3)
        mean_body = mean_body.detach().clone().to(torch.float32)
        mean = mean_body.new_tensor([FACING] + [IDENTITY] * 23)
        mean[1:22] = mean_body
        self.register_buffer("mean_pose", mean)
        self.register_buffer("mean_betas", torch.zeros(shape))
        self.register_buffer("mean_camera", torch.tensor(MEAN_CAMERA))

    def forward(self, token: Float[Tensor, "batch width"]) -> HeadOutput:
        """Everything that one token knows."""
        return HeadOutput(
            token_logits=self.classifier(token),
            global_orient=rearrange(self.orient(token), "b c -> b 1 c"),
            hands=rearrange(self.hands(token), "b (hand c) -> b hand c", hand=2),
            betas=self.shape(token) + self.mean_betas,
            camera=self.camera(token) + self.mean_camera,
        )


def always_before(camera: Float[Tensor, "batch 3"]) -> Float[Tensor, "batch 3"]:
    """(scale, tx, ty) with a scale above zero, equal and of equal slope at the mean: 0.9 exp(s / 0.9 - 1).

    In a picture's own camera close-ups want scales of up to seven, whose gradients soon throw others below zero: behind the
    camera, from where nothing leads back.
    """
    mean = MEAN_CAMERA[0]
    scale = mean * (camera[:, :1] / mean - 1).clamp(-3, 3).exp()
    return torch.cat([scale, camera[:, 1:]], dim=1)


class TokenHMR(nn.Module):
    """Crop to body. The tokenizer is a prior learnt earlier: saved with the model, never tuned in it."""

    heads: Heads
    tokenizer: PoseTokenizer
    body: Body
    numbers: dict[str, Any]  # what build_tokenhmr was given: config.json repeats it
    card: dict[str, Any]  # config.json of the weights, when they came from a folder

    def __init__(
        self,
        *,
        backbone: nn.Module,
        decoder: nn.Module,
        heads: Heads,
        tokenizer: PoseTokenizer,
        body: Body,
        locator: JointLocator | None = None,
        places: PlaceReader | None = None,
        camera_token: CameraToken | None = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.locator = locator
        self.places = places
        self.camera_token = camera_token
        self.decoder = decoder
        self.heads = heads
        self.tokenizer = tokenizer.requires_grad_(False).eval()
        self.body = body
        self.numbers, self.card = {}, {}

    def train(self, mode: bool = True) -> TokenHMR:
        """As usual, but the tokenizer stays in evaluation mode: freezing parameters alone lets its codebook move."""
        super().train(mode)
        self.tokenizer.eval()
        return self

    def parameter_counts(self) -> dict[str, int]:
        """How many numbers are ``trainable`` and how many are ``frozen`` (the tokenizer's parameters)."""
        counts = {"trainable": 0, "frozen": 0}
        for parameter in self.parameters():
            counts["trainable" if parameter.requires_grad else "frozen"] += parameter.numel()
        return counts

    @property
    def asks_view(self) -> bool:
        """Whether it has to be told the picture's camera."""
        return self.camera_token is not None

    def forward(
        self,
        image: Float[Tensor, "batch 3 height width"],
        view: Float[Tensor, "batch 3"] | None = None,  # camera.view_of; for models with a camera token, and only for these
    ) -> Prediction:
        """Normalised crops of 256x256 to bodies in camera axes, metres, without translation (``camera`` has that).

        A ``ValueError`` where the view is missing, or given to a model that has no use for it.
        """
        # Look at the picture.
        features = look(self.backbone, image)
        if self.locator is None:
            return self.answer(features, view)
        located = self.locator(features)
        # Places are given to the reader as they are: its slopes are steep, and through them bodies bend where joints are found.
        prediction = self.answer(located.tokens, view, places=located.places.detach())
        cells = cell_centres(self.locator.grid).to(image.device)
        return dataclasses.replace(
            prediction, located=located.points.float(), location_logits=located.logits.float(), cells=cells
        )

    def answer(
        self,
        context: Float[Tensor, "batch token width"],
        view: Float[Tensor, "batch 3"] | None = None,
        *,
        places: Float[Tensor, "batch 44 3"] | None = None,
        body: Body | None = None,
    ) -> Prediction:
        """From what the decoder reads (features, or joints found on them) to a body; ``view`` as in ``forward``.

        A reader of places reads ``places`` as well; ``body`` stands in for the model's own where fewer vertices will do.
        """
        if (view is None) == self.asks_view:
            wants = "reads the picture's camera: give it views (tokenhmr.camera.view_of)" if view is None else "reads no camera"
            raise ValueError(f"this model {wants}")
        if self.camera_token is not None and view is not None:
            context = context + self.camera_token(view)[:, None]
        token = self.decoder(context)
        if self.places is not None:
            assert places is not None, "a reader of places stands behind a locator"
            token = token + self.places(places.to(token.dtype), view)
        said = self.heads(token)

        # Say the pose in words of the codebook, and only the pose.
        spoken = self.tokenizer.decode_6d(said.token_logits.softmax(dim=-1))

        # Geometry stays in float32, autocast or not: bfloat16 moves vertices by about a millimetre.
        with torch.autocast(device_type=context.device.type, enabled=False):
            residual = torch.cat([said.global_orient.float(), spoken.float(), said.hands.float()], dim=1)
            rotations = rows_to_matrix(residual + self.heads.mean_pose)
            pose = Pose(global_orient=rotations[:, 0], body=rotations[:, 1:], betas=said.betas.float())
            posed = (body or self.body)(pose)
        return Prediction(
            vertices=posed.vertices,
            joints=posed.joints,
            skeleton=posed.skeleton,
            camera=said.camera.float() if view is None else always_before(said.camera.float()),
            pose=pose,
            token_logits=said.token_logits.float(),
            view=view,
        )


def build_tokenhmr(
    *,
    backbone: Mapping[str, Any],  # as parts.build_backbone reads it
    decoder: Mapping[str, Any],  # width, depth, heads, head_width, mlp_width
    classifier: Mapping[str, Any],  # hidden, token_hidden, channel_hidden, layers
    tokenizer: PoseTokenizer,
    body: Body,
    locator: bool = False,  # the decoder reads joints found on the features in place of the features; not in the release
    places: Mapping[str, Any] | None = None,  # hidden, layers of a reader of all places at once, which needs the locator
    camera_token: bool = False,  # the model is told the picture's camera; not in the release
) -> TokenHMR:
    """The model from plain numbers: what configs/model/*.yaml and config.json say. The mean pose is the tokenizer's.

    An unknown stem, or places without a locator, is a ``ValueError``; an unknown number is the ``TypeError`` of the constructor
    that does not know it.
    """
    if places is not None and not locator:
        raise ValueError("model.places reads where the locator found joints: it needs model.locator=true")
    vit = build_backbone(backbone)
    query = QueryDecoder(context_width=vit.width, **decoder)
    words = TokenClassifier(width=query.width, tokens=tokenizer.tokens, codes=tokenizer.codes, **classifier)
    heads = Heads(classifier=words, width=query.width, shape=body.shape_count, mean_body=tokenizer.mean_pose)
    finder = JointLocator(width=vit.width, grid=vit.grid) if locator else None
    reader = None if places is None else PlaceReader(width=query.width, camera=camera_token, **places)
    camera = CameraToken(width=vit.width) if camera_token else None
    model = TokenHMR(
        backbone=vit, decoder=query, heads=heads, tokenizer=tokenizer, body=body, locator=finder, places=reader,
        camera_token=camera,
    )  # fmt: skip
    model.numbers = copy.deepcopy(
        {"backbone": dict(backbone), "decoder": dict(decoder), "classifier": dict(classifier), "tokenizer": tokenizer.numbers}
    ) | {"locator": locator, "places": None if places is None else dict(places), "camera_token": camera_token}
    return model
