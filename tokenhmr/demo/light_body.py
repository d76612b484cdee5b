"""The 44 joints of a body without its mesh: what a fit asks for hundreds of times.

A joint that is regressed from the skin is linear in the bones' transforms: with skinning weights s and regressor r it is
``sum_j T_j sum_v r_v s_vj (v, 1)``. The inner sums are made once, for the template and for each shape direction. Exact for
bodies without pose correctives; with them (SMPL) the correctives are left out, which moves such joints by millimetres.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from tokenhmr.body import Body
from tokenhmr.structs import Pose


class JointBody(nn.Module):
    """Pose to the joints of ``skeleton.JOINTS44``."""

    mass: Tensor
    moment: Tensor
    moment_dirs: Tensor

    def __init__(self, body: Body) -> None:
        super().__init__()
        self.body = body
        skinning = body.skinning.double().T
        surface = functional.one_hot(body.surface_vertices, body.vertex_count).double()
        regressor = torch.cat([surface, body.extra_regressor.double()])
        template = body.rest_vertices.double()
        dirs = body.basis[: body.shape_count].double().view(body.shape_count, 3, -1)
        self.register_buffer("mass", (regressor @ skinning).float())
        self.register_buffer("moment", torch.einsum("rv,vj,vc->rjc", regressor, skinning, template).float())
        self.register_buffer("moment_dirs", torch.einsum("rv,vj,kcv->krjc", regressor, skinning, dirs).float())

    def forward(self, pose: Pose) -> Float[Tensor, "batch 44 3"]:
        """Joints in metres, without translation; one leading batch axis."""
        transforms, skeleton = self.body.transforms(pose)
        moment = self.moment + torch.einsum("bk,krjc->brjc", pose.betas, self.moment_dirs)
        skin = torch.einsum("bjxc,brjc->brx", transforms[..., :3], moment)
        skin = skin + torch.einsum("bjx,rj->brx", transforms[..., 3], self.mass)
        count = len(self.body.surface_vertices)
        openpose = torch.cat([skeleton, skin[:, :count]], dim=1).index_select(1, self.body.joint_source)
        return torch.cat([openpose, skin[:, count:]], dim=1)
