"""What the pose tokenizer is trained on: rotations, joints and skin of the body, and commitment to the codes.

The four terms and their weights are those of TokenHMR's tokenizer (Dwivedi et al., CVPR 2024, section 3.1 and its released
configuration). Everything is measured on the mean shape with identity root and hands, so that only the body counts.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokenhmr.body import Body
from tokenhmr.structs import Loss, Pose, PoseBatch, PoseReconstruction

BODY_JOINTS = slice(1, 22)  # of the 24: neither the pelvis, which does not move, nor the hands


def area_weights(body: Body) -> Float[Tensor, " vertex"]:
    """A weight for each vertex: the sum over its faces of the triangle's area, scaled to [0, 1] between the extremes."""
    corners = body.rest_vertices.double()[body.faces]
    area = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]).norm(dim=-1) / 2
    scaled = (area - area.min()) / (area.max() - area.min())
    weights = scaled.new_zeros(body.vertex_count)
    return weights.index_add(0, body.faces.flatten(), scaled.repeat_interleave(3)).float()


def skinning_factor(body: Body, weights: Float[Tensor, " vertex"]) -> Float[Tensor, "96 96"]:
    """``F`` with ``|d @ F|^2`` the weighted sum of squared vertex distances for a difference ``d`` of joint transforms.

    Without pose correctives a vertex is linear in the 24 transforms of 3x4, so the error over all vertices is a quadratic
    form in them: exact, and forty times cheaper on one core than skinning two meshes. ``d`` is (3, 96): one row per axis.
    """
    rest = torch.cat([body.rest_vertices, torch.ones(body.vertex_count, 1)], dim=1).double()
    features = (body.skinning.T.double()[:, :, None] * rest[:, None]).flatten(start_dim=1)
    values, vectors = torch.linalg.eigh(features.T @ (weights.double()[:, None] * features))
    return (vectors * values.clamp_min(0).sqrt()).float()


class TokenizerObjective(nn.Module):
    """The weighted sum of the four terms; the body stands outside the network and is never learnt."""

    factor: Tensor | None
    vertex_weights: Tensor

    def __init__(
        self, *, body: Body, rotation: float = 20.0, mesh: float = 100.0, joints: float = 100.0, commitment: float = 1.0
    ) -> None:
        super().__init__()
        self.body = body
        self.weights = {"rotation": rotation, "mesh": mesh, "joints": joints, "commitment": commitment}
        weights = area_weights(body)
        self.register_buffer("vertex_weights", weights, persistent=False)
        factor = None if body.has_pose_correctives else skinning_factor(body, weights)
        self.register_buffer("factor", factor, persistent=False)

    def forward(self, reconstruction: PoseReconstruction, batch: PoseBatch) -> Loss:
        """Means over the batch; ``notes["joint_mm"]`` is the mean distance of joints 1 to 21 in millimetres."""
        # Skin moves by about a millimetre in bfloat16: geometry is float32 whatever autocast says.
        with torch.autocast(device_type=batch.rotations.device.type, enabled=False):
            rotations, truth = reconstruction.rotations.float(), batch.rotations.float()
            joints, mesh, distance = self._geometry(rotations, truth)
            terms = {
                "rotation": (rotations - truth).square().mean(),
                "mesh": mesh,
                "joints": joints,
                "commitment": reconstruction.commitment.float(),
            }
            parts = {name: self.weights[name] * term for name, term in terms.items()}
            total = torch.stack(list(parts.values())).sum()
        notes = {"joint_mm": 1000 * distance.detach()}
        return Loss(total=total, parts={name: part.detach() for name, part in parts.items()}, notes=notes)

    def _geometry(
        self, rotations: Float[Tensor, "batch 21 3 3"], truth: Float[Tensor, "batch 21 3 3"]
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""], Float[Tensor, ""]]:
        """Mean squared error of joints and of weighted vertices, metres squared, and the mean joint distance, metres."""
        if self.factor is None:
            posed, wanted = self.body(self._pose(rotations)), self.body(self._pose(truth))
            skeletons = posed.skeleton, wanted.skeleton
            squared = (posed.vertices - wanted.vertices).square() * self.vertex_weights[:, None]
            mesh = squared.mean()
        else:
            moved, skeleton = self.body.transforms(self._pose(rotations))
            goal, wanted_skeleton = self.body.transforms(self._pose(truth))
            skeletons = skeleton, wanted_skeleton
            difference = (moved - goal).transpose(1, 2).flatten(start_dim=2)  # batch, axis, 24 x 4
            mesh = (difference @ self.factor).square().sum() / (len(difference) * 3 * self.body.vertex_count)
        offset = (skeletons[0] - skeletons[1])[:, BODY_JOINTS]
        return offset.square().mean(), mesh, offset.norm(dim=-1).mean()

    def _pose(self, rotations: Float[Tensor, "batch 21 3 3"]) -> Pose:
        still = torch.eye(3, dtype=rotations.dtype, device=rotations.device).expand(len(rotations), 3, 3, 3)
        return Pose(
            global_orient=still[:, 0],
            body=torch.cat([rotations, still[:, 1:]], dim=1),  # the two hands
            betas=rotations.new_zeros(len(rotations), self.body.shape_count),
        )
