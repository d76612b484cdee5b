"""Shoulder girdles that move with the arms, as motion capture of few markers does not show them.

Above some 30 degrees of elevation about a third of an arm's rise comes from the shoulder blade on the trunk (Inman, Saunders
and Abbott, "Observations on the function of the shoulder joint", 1944: two degrees of the arm to one of the blade). SMPL's
collar joint stands for clavicle and blade together.
"""

from __future__ import annotations

import numpy as np
import roma
import torch
from jaxtyping import Float, Float32

from tokenhmr.skeleton import BODY_JOINTS

_SETTING = np.radians(30.0)  # of elevation: below it the blade stays where it is
_MOST = np.radians(24.0)  # a collar's rise never reaches this; key_poses allows 25
_FORWARD = 0.5  # how far a reach to the front turns the rise forwards, sine


def lift_shoulders(
    body: Float32[np.ndarray, "person 21 3"],  # axis-angle of SMPL joints 1 to 21
    rhythm: Float[np.ndarray, "person 2"],  # degrees of the collar to one of the elevation, left and right; about 1 / 3
    shrug: Float[np.ndarray, "person 2"],  # radians more of either collar
) -> Float32[np.ndarray, "person 21 3"]:
    """Raise collars with raised arms. Arms keep their directions, elbows and hands move with the shoulder.

    A collar that is as high already stays as it is.
    """
    result = body.copy()
    for column, (side, sign) in enumerate((("left", 1.0), ("right", -1.0))):
        rows = [BODY_JOINTS.index(f"{side}_{part}") for part in ("collar", "shoulder")]
        collar, shoulder = roma.rotvec_to_rotmat(torch.from_numpy(body[:, rows].astype(np.float64))).unbind(dim=1)
        arm = (collar @ shoulder)[:, :, 0].numpy() * sign
        elevation = np.arccos(np.clip(-arm[:, 1], -1, 1))
        wanted = np.maximum(elevation - _SETTING, 0) * rhythm[:, column] + shrug[:, column]
        risen = np.arcsin(np.clip(collar[:, 1, 0].numpy() * sign, -1, 1))
        rise = np.maximum(_MOST * np.tanh(wanted / _MOST) - np.maximum(risen, 0), 0)
        forward = _FORWARD * np.clip(arm[:, 2], 0, 1)
        turn = np.stack([0 * rise, -sign * forward * rise, sign * np.sqrt(1 - forward**2) * rise], axis=1)
        raised = roma.rotvec_to_rotmat(torch.from_numpy(turn)) @ collar
        kept = raised.mT @ collar @ shoulder
        result[:, rows] = roma.rotmat_to_rotvec(torch.stack([raised, kept], dim=1)).numpy()
    return result
