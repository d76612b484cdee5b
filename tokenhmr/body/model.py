"""SMPL parameters to a posed mesh: one layer for every kind of body.

Linear blend skinning as in Loper et al., "SMPL: A Skinned Multi-Person Linear Model" (2015), equations 2 to 10. Vertices
are kept planar, (3, V), so that shape and pose correctives are one matrix product and skinning another.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokenhmr.body.arrays import SURFACE_NAMES, BodyFile
from tokenhmr.skeleton import JOINTS44, OPENPOSE_FROM_SMPL, OPENPOSE_JOINTS, SMPL_JOINTS, SMPL_PARENTS
from tokenhmr.structs import BodyOutput, Pose

if TYPE_CHECKING:
    import smplx

_SMPLX_SHAPES = 300  # smplx keeps at most ten shape directions of a file that has fewer


def _levels() -> list[list[int]]:
    """The joints of the kinematic tree by depth: all joints of a level are moved in one batched product."""
    depth = [0] * len(SMPL_PARENTS)
    for joint, parent in enumerate(SMPL_PARENTS):
        depth[joint] = 0 if parent < 0 else depth[parent] + 1
    return [[joint for joint, d in enumerate(depth) if d == level] for level in range(max(depth) + 1)]


class Body(nn.Module):
    """A skinned body. All of it are buffers: nothing here is learnt, nothing is saved with a model."""

    template: Tensor
    basis: Tensor
    rest_joints: Tensor
    rest_joint_dirs: Tensor
    joint_regressor: Tensor
    skinning: Tensor
    extra_regressor: Tensor
    surface_vertices: Tensor
    joint_source: Tensor
    faces: Tensor
    parents: Tensor
    by_level: Tensor
    by_joint: Tensor

    def __init__(self, *, file: BodyFile) -> None:
        super().__init__()
        self.kind = file.kind
        self.shown_as = file.shown_as or file.kind
        self.licence = file.licence
        self.shape_count = file.shapedirs.shape[2]
        self.vertex_count = len(file.v_template)
        self.has_pose_correctives = file.posedirs is not None
        self.vertex_ids = {SURFACE_NAMES[name]: vertex for name, vertex in file.surface.items()} | file.fingertips
        self._has_fingertips = bool(file.fingertips)
        levels = _levels()
        self._level_sizes = [len(level) for level in levels]
        order = torch.tensor([joint for level in levels for joint in level])

        template = torch.from_numpy(file.v_template)
        shapedirs = torch.from_numpy(file.shapedirs)
        regressor = torch.from_numpy(file.joint_regressor)
        dirs = shapedirs if file.posedirs is None else torch.cat([shapedirs, torch.from_numpy(file.posedirs)], dim=2)
        buffers = {
            "template": template.T.reshape(-1),  # planar: all x, all y, all z
            "basis": dirs.permute(2, 1, 0).reshape(dirs.shape[2], -1),
            # The regressor is linear, so joints at rest need no vertices (folded once, in double precision).
            "rest_joints": (regressor.double() @ template.double()).float(),
            "rest_joint_dirs": torch.einsum("jv,vck->kjc", regressor.double(), shapedirs.double()).float(),
            "joint_regressor": regressor,
            "skinning": torch.from_numpy(file.skinning).T.contiguous(),
            "extra_regressor": torch.from_numpy(file.extra_regressor),
            "surface_vertices": torch.tensor(list(file.surface.values())),
            "joint_source": self._joint_source(list(file.surface)),
            "faces": torch.from_numpy(file.faces),
            "parents": torch.tensor(SMPL_PARENTS).clamp_min(0),
            "by_level": order,
            "by_joint": order.argsort(),
        }
        for depth in range(1, len(levels)):
            # Where each joint's parent stands in the level above.
            buffers[f"above_{depth}"] = torch.tensor([levels[depth - 1].index(SMPL_PARENTS[joint]) for joint in levels[depth]])
        for name, value in buffers.items():
            self.register_buffer(name, value.contiguous(), persistent=False)

    @staticmethod
    def _joint_source(surface: list[str]) -> Tensor:
        """Where each OpenPose joint comes from: a row of (24 skeleton joints, then surface vertices)."""
        available = [*SMPL_JOINTS, *(f"surface {name}" for name in surface)]
        wanted = (OPENPOSE_FROM_SMPL.get(name, f"surface {name}") for name in OPENPOSE_JOINTS)
        return torch.tensor([available.index(name) for name in wanted])

    @property
    def rest_vertices(self) -> Float[Tensor, "vertex 3"]:
        """The mean shape in T-pose, metres, y up."""
        return self.template.view(3, -1).T

    def of_joints(self) -> Body:
        """The same body with only those vertices that ``joints`` are made of, and no faces: the same joints for less work."""
        weighed = (self.extra_regressor != 0).any(dim=0)
        weighed[self.surface_vertices] = True
        kept = weighed.nonzero()[:, 0]
        less = copy.deepcopy(self)
        less.vertex_count, less.vertex_ids, less._has_fingertips = len(kept), {}, False
        for name in ("template", "basis"):
            planar = self.get_buffer(name).unflatten(-1, (3, -1))
            setattr(less, name, planar[..., kept].flatten(start_dim=-2).contiguous())
        for name in ("joint_regressor", "skinning", "extra_regressor"):
            setattr(less, name, self.get_buffer(name)[:, kept].contiguous())
        less.surface_vertices = torch.searchsorted(kept, self.surface_vertices)
        less.faces = self.faces[:0]
        return less

    def forward(self, pose: Pose) -> BodyOutput:
        """Pose the body; any leading batch. No translation: the root joint stays where the shape puts it."""
        batch = pose.betas.shape[:-1]
        rotations, betas = self._flat(pose)
        # Skinning in bfloat16 moves vertices by about a millimetre: geometry is float32 whatever autocast says.
        with torch.autocast(device_type=betas.device.type, enabled=False):
            transforms, skeleton = self._chain(rotations, betas)
            vertices = self._skin(transforms, self._blend(rotations, betas))
            joints = self._joints44(vertices, skeleton)
        return BodyOutput(
            vertices=vertices.reshape(*batch, self.vertex_count, 3),
            skeleton=skeleton.reshape(*batch, 24, 3),
            joints=joints.reshape(*batch, len(JOINTS44), 3),
        )

    def skeleton(self, pose: Pose) -> Float[Tensor, "*batch 24 3"]:
        """Only the 24 joints: what most losses and metrics need, without a vertex being touched."""
        rotations, betas = self._flat(pose)
        with torch.autocast(device_type=betas.device.type, enabled=False):
            _, skeleton = self._chain(rotations, betas)
        return skeleton.reshape(*pose.betas.shape[:-1], 24, 3)

    def transforms(self, pose: Pose) -> tuple[Float[Tensor, "batch 24 3 4"], Float[Tensor, "batch 24 3"]]:
        """Each joint's transform from rest to posed space, metres, and the posed joints; one leading batch axis."""
        rotations, betas = self._flat(pose)
        with torch.autocast(device_type=betas.device.type, enabled=False):
            return self._chain(rotations, betas)

    def _flat(self, pose: Pose) -> tuple[Float[Tensor, "batch 24 3 3"], Float[Tensor, "batch shape"]]:
        """All rotations and the shape with one leading axis, in float32; ``ValueError`` for the shape of another body."""
        count = pose.betas.shape[-1]
        if count != self.shape_count:
            raise ValueError(f"{count} betas for a body of {self.shape_count} shape directions")
        rotations = torch.cat([pose.global_orient[..., None, :, :], pose.body], dim=-3)
        return rotations.reshape(-1, 24, 3, 3).float(), pose.betas.reshape(-1, count).float()

    def _chain(
        self, rotations: Float[Tensor, "batch 24 3 3"], betas: Float[Tensor, "batch shape"]
    ) -> tuple[Float[Tensor, "batch 24 3 4"], Float[Tensor, "batch 24 3"]]:
        """Transforms from rest to posed space as 3x4 (the row 0 0 0 1 says nothing), and the posed joints."""
        rest = self.rest_joints + torch.einsum("bk,kjc->bjc", betas, self.rest_joint_dirs)
        bones = rest - rest.index_select(1, self.parents)
        # One 3x4 for each joint, in the order of the levels: indexing joint by joint would cost more than the products.
        local = torch.cat([rotations, bones[..., None]], dim=-1).index_select(1, self.by_level)
        turned, placed = [rotations[:, :1]], [rest[:, :1]]
        for depth, level in enumerate(local.split(self._level_sizes, dim=1)[1:], start=1):
            above = self.get_buffer(f"above_{depth}")
            moved = turned[-1].index_select(1, above) @ level
            turned.append(moved[..., :3])
            placed.append(moved[..., 3] + placed[-1].index_select(1, above))
        turn, skeleton = (torch.cat(parts, dim=1).index_select(1, self.by_joint) for parts in (turned, placed))
        offset = skeleton[..., None] - turn @ rest[..., None]
        return torch.cat([turn, offset], dim=-1), skeleton

    def _blend(
        self, rotations: Float[Tensor, "batch 24 3 3"], betas: Float[Tensor, "batch shape"]
    ) -> Float[Tensor, "batch 3 vertex"]:
        """Template + shape + pose correctives in one product (SMPL, equations 8 and 9)."""
        coefficients = betas
        if self.has_pose_correctives:
            feature = rotations[:, 1:] - torch.eye(3, device=rotations.device)
            coefficients = torch.cat([betas, feature.flatten(start_dim=1)], dim=1)
        # Added last: a product of one or two rows that starts from the template rounds 217 times at a metre's grain (1e-6 m).
        return (coefficients @ self.basis).add_(self.template).view(betas.shape[0], 3, self.vertex_count)

    def _skin(
        self, transforms: Float[Tensor, "batch 24 3 4"], rest: Float[Tensor, "batch 3 vertex"]
    ) -> Float[Tensor, "batch vertex 3"]:
        per_joint = transforms.permute(0, 2, 3, 1).reshape(-1, 24)
        per_vertex = (per_joint @ self.skinning).view(rest.shape[0], 3, 4, self.vertex_count)
        posed = (per_vertex[:, :, :3] * rest[:, None]).sum(dim=2) + per_vertex[:, :, 3]
        return posed.transpose(1, 2)

    def _joints44(
        self, vertices: Float[Tensor, "batch vertex 3"], skeleton: Float[Tensor, "batch 24 3"]
    ) -> Float[Tensor, "batch 44 3"]:
        openpose = torch.cat([skeleton, vertices[:, self.surface_vertices]], dim=1)[:, self.joint_source]
        return torch.cat([openpose, self.extra_regressor @ vertices], dim=1)

    def to_smplx(self) -> smplx.SMPLLayer:
        """The same body as smplx's layer (installed with this package; its code is for non-commercial use), on the CPU.

        It takes rotation matrices: ``layer(global_orient=pose.global_orient[:, None], body_pose=pose.body,
        betas=pose.betas)``. Its joints are the 24 of SMPL, then nose, eyes, ears, toes and heels, then fingertips where the
        body has them. A body without pose correctives gets zeros. A ``ValueError`` for a body of joints alone (``of_joints``).
        """
        import smplx
        from smplx.utils import Struct

        if not self.vertex_ids:
            raise ValueError("smplx wants a whole mesh, and this body has kept those vertices alone that joints are made of")

        basis = self.basis.cpu().view(-1, 3, self.vertex_count).permute(2, 1, 0)
        shapes = np.zeros((self.vertex_count, 3, max(_SMPLX_SHAPES, self.shape_count)), dtype=np.float32)
        shapes[:, :, : self.shape_count] = basis[:, :, : self.shape_count].numpy()
        correctives = np.zeros((self.vertex_count, 3, 9 * (len(SMPL_PARENTS) - 1)), dtype=np.float32)
        if self.has_pose_correctives:
            correctives[:] = basis[:, :, self.shape_count :].numpy()
        arrays = Struct(
            v_template=self.rest_vertices.cpu().numpy().copy(),
            shapedirs=shapes,
            posedirs=correctives,
            J_regressor=self.joint_regressor.cpu().numpy().copy(),
            weights=self.skinning.cpu().numpy().T.copy(),
            kintree_table=np.stack([np.array(SMPL_PARENTS), np.arange(len(SMPL_PARENTS))]),
            f=self.faces.cpu().numpy().copy(),
        )
        return smplx.SMPLLayer(
            "", data_struct=arrays, num_betas=self.shape_count, vertex_ids=self.vertex_ids, use_hands=self._has_fingertips
        )
