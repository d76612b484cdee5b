"""Tells bodies of motion capture from bodies that a network made up.

Kanazawa et al., "End-to-end Recovery of Human Shape and Pose" (HMR, 2018), section 3.2, in the size of the HMR2.0 weights:
1,807,619 parameters, 25 answers for each body.
"""

from __future__ import annotations

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

JOINTS = 23  # SMPL joints 1 to 23


class BodyDiscriminator(nn.Module):
    """One answer for each joint's rotation, one for the shape, one for the pose as a whole: 1 means real, 0 made up."""

    def __init__(self, *, shape: int = 10, channels: int = 32, hidden: int = 1024) -> None:
        super().__init__()
        # Public weights hold these two as 1x1 convolutions, (32, 9, 1, 1) and (32, 32, 1, 1): the same numbers.
        self.joint_first = nn.Linear(9, channels)
        self.joint_second = nn.Linear(channels, channels)
        self.judge_joint = nn.ModuleList(nn.Linear(channels, 1) for _ in range(JOINTS))
        self.shape_first = nn.Linear(shape, 10)
        self.shape_second = nn.Linear(10, 5)
        self.judge_shape = nn.Linear(5, 1)
        self.pose_first = nn.Linear(JOINTS * channels, hidden)
        self.pose_second = nn.Linear(hidden, hidden)
        self.judge_pose = nn.Linear(hidden, 1)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(
        self, body: Float[Tensor, "batch 23 3 3"], betas: Float[Tensor, "batch shape"]
    ) -> Float[Tensor, "batch answer"]:
        """Answers for the 23 joints, the shape and the pose, in this order; no sigmoid (least squares, Mao et al., 2017)."""
        x = functional.relu(self.joint_first(rearrange(body, "b j row column -> b j (row column)")))
        x = functional.relu(self.joint_second(x))
        joints = [judge(x[:, joint]) for joint, judge in enumerate(self.judge_joint)]
        shape = functional.relu(self.shape_second(functional.relu(self.shape_first(betas))))
        # Channel by channel, as the public weights read it.
        pose = functional.relu(self.pose_first(rearrange(x, "b j c -> b (c j)")))
        pose = functional.relu(self.pose_second(pose))
        return torch.cat([*joints, self.judge_shape(shape), self.judge_pose(pose)], dim=1)

    def as_it_is(
        self, body: Float[Tensor, "batch 23 3 3"], betas: Float[Tensor, "batch shape"]
    ) -> Float[Tensor, "batch answer"]:
        """The same answers; a gradient reaches the body and not this network's own parameters."""
        fixed = {name: parameter.detach() for name, parameter in self.named_parameters()}
        answers = functional_call(self, fixed, (body, betas))
        assert isinstance(answers, Tensor)
        return answers
