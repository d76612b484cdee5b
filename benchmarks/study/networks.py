"""Four ways to say a body pose behind one trunk: which numbers leave the mixer, and what turns them into rotations.

``continuous``: six numbers for each joint, as HMR2.0. ``adversarial``: the same, judged by HMR2.0's discriminator.
``latents``: what a code of the tokenizer would be, free numbers, through the tokenizer's frozen decoder. ``tokens``: scores
over the codes, whose expected code goes through that decoder, as TokenHMR. Trunk, mixer and the linear layers of
orientation, shape and camera are the same in all.
"""

from __future__ import annotations

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from tokenhmr.demo.light_body import JointBody
from tokenhmr.models.discriminator import BodyDiscriminator
from tokenhmr.models.mixer import TokenClassifier
from tokenhmr.models.parts import FACING, MEAN_CAMERA
from tokenhmr.models.tokenizer import PoseTokenizer
from tokenhmr.models.transformer import QueryDecoder
from tokenhmr.rotations import axis_angle_to_matrix, rows_to_matrix
from tokenhmr.structs import Judgement, Pose, Prediction, RealBodies

WIDTH = 256  # of the trunk and of what the packaged locator says
MIXER = {"hidden": 64, "token_hidden": 64, "channel_hidden": 128, "layers": 1}


def make_trunk() -> QueryDecoder:
    """The packaged model's decoder, from nothing."""
    return QueryDecoder(context_width=WIDTH, width=WIDTH, depth=2, heads=4, head_width=64, mlp_width=2 * WIDTH)


class Network(nn.Module):
    """What the packaged locator found, to a body."""

    mean_pose: Tensor
    mean_camera: Tensor

    def __init__(
        self, *, head: str, trunk: QueryDecoder, tokenizer: PoseTokenizer, body: JointBody, real: RealBodies | None = None
    ) -> None:
        super().__init__()
        self.head, self.trunk, self.body = head, trunk, body
        self.tokenizer = tokenizer.requires_grad_(False).eval()
        codes = tokenizer.codes if head == "tokens" else tokenizer.width
        self.mixer = TokenClassifier(width=WIDTH, tokens=tokenizer.tokens, codes=codes, **MIXER)
        self.plain = nn.Linear(tokenizer.tokens * codes, 126) if head in ("continuous", "adversarial") else None
        self.discriminator = BodyDiscriminator() if head == "adversarial" else None
        self.real = real if head == "adversarial" else None
        self.orient, self.shape, self.camera = nn.Linear(WIDTH, 6), nn.Linear(WIDTH, 10), nn.Linear(WIDTH, 3)
        self.register_buffer("mean_pose", torch.cat([torch.tensor([FACING]), tokenizer.mean_pose.detach().clone()]))
        self.register_buffer("mean_camera", torch.tensor(MEAN_CAMERA))
        # Every head begins with small steps around one pose: near the mean, or what the mean code decodes to.
        if self.plain is not None:
            nn.init.normal_(self.plain.weight, std=1e-3)
            nn.init.zeros_(self.plain.bias)

    def train(self, mode: bool = True) -> Network:
        """As usual, but the tokenizer stays as it is."""
        super().train(mode)
        self.tokenizer.eval()
        return self

    def trainable(self) -> int:
        """Parameters that learn, without those of a discriminator."""
        return sum(
            value.numel() for name, value in self.named_parameters() if value.requires_grad and "discriminator" not in name
        )

    def forward(self, tokens: Float[Tensor, "row 44 width"]) -> Prediction:
        """Bodies with joints and skeleton; no vertices."""
        said = self.trunk(tokens)
        six = self._body(self.mixer(said)).float()
        with torch.autocast(device_type="cpu", enabled=False):
            orient = self.orient(said.float())[:, None]
            rotations = rows_to_matrix(torch.cat([orient, six], dim=1) + self.mean_pose)
            rest = torch.eye(3).expand(len(six), 2, 3, 3)
            pose = Pose(
                global_orient=rotations[:, 0], body=torch.cat([rotations[:, 1:], rest], dim=1), betas=self.shape(said.float())
            )
            return Prediction(
                vertices=six.new_zeros(len(six), 0, 3), joints=self.body(pose), skeleton=self.body.body.skeleton(pose),
                camera=self.camera(said.float()) + self.mean_camera, pose=pose, judged=self._judge(pose),
            )  # fmt: skip

    def _body(self, words: Float[Tensor, "row token number"]) -> Float[Tensor, "row 21 6"]:
        if self.plain is not None:
            return rearrange(self.plain(words.flatten(start_dim=1)), "b (j c) -> b j c", c=6)
        if self.head == "tokens":
            return self.tokenizer.decode_6d(words.softmax(dim=-1))
        return self.tokenizer.decoder(words + self.tokenizer.quantizer.codebook.mean(dim=0))

    def _judge(self, pose: Pose) -> Judgement | None:
        if self.discriminator is None or self.real is None or not self.training:
            return None
        drawn = torch.randint(len(self.real.body), (len(pose.betas),))
        return Judgement(
            for_model=self.discriminator.as_it_is(pose.body, pose.betas),
            made_up=self.discriminator(pose.body.detach(), pose.betas.detach()),
            real=self.discriminator(axis_angle_to_matrix(self.real.body[drawn]), self.real.betas[drawn]),
        )
