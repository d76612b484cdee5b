"""What a picture is like, and how an answer goes wrong: what slices of a measurement are made by.

All of the first kind come from the labels alone, so that two models are sliced alike. Camera axes, metres; x right, y down,
z away from the camera.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Integer
from torch import Tensor

from tokenhmr.body.key_poses import KEY_POSES, key_pose
from tokenhmr.camera import CROP_FOCAL
from tokenhmr.evaluation.image import weak_camera
from tokenhmr.evaluation.metrics import inside, joint_angles, pa_mpjpe
from tokenhmr.render.rasterize import Fragments, rasterize
from tokenhmr.rotations import axis_angle_to_matrix, mirror_axis_angle
from tokenhmr.skeleton import BODY_JOINTS, SMPL_JOINTS, flip_permutation
from tokenhmr.structs import Batch, BodyOutput

# Upper end, lower end: the bones whose sign in depth a picture shows worst.
_PAIRS = (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"))
LIMBS = tuple(
    tuple(SMPL_JOINTS.index(f"{side}_{end}") for end in pair) for side in ("left", "right") for pair in _PAIRS
)  # fmt: skip
_LEFT_HIP, _RIGHT_HIP, _PELVIS, _NECK = (SMPL_JOINTS.index(name) for name in ("left_hip", "right_hip", "pelvis", "neck"))

TILTED = 0.5  # a limb that leaves the picture plane by 30 degrees or more (its sine) can be told to point near or far
EXACT = 1e-3  # of the crop's side: 2D joints that a camera meets within this are the picture of the 3D ones
_GRID = 128  # pixels of the crop in which bodies hide themselves
_BEHIND = 0.04  # metres; skin that far behind what a pixel shows is hidden
_DIGITS = 6  # behind the point, of traits
_FEW = 8  # points; a camera of six numbers wants 3 at least


@dataclass(frozen=True, kw_only=True)
class Pinhole:
    """A camera in units of the crop's side, with (0, 0) in the crop's middle: where points are seen, and from how far."""

    focal: float
    center: tuple[float, float]
    translation: Float64[np.ndarray, "3"]  # metres, added to points
    exact: bool  # it carries the 3D labels onto the 2D ones; otherwise it is the weak-perspective camera that comes nearest

    def pixels(self, side: int) -> tuple[float, tuple[float, float]]:
        """Focal length and centre in pixels of a crop of that many."""
        return self.focal * side, ((self.center[0] + 0.5) * side, (self.center[1] + 0.5) * side)


def find_camera(points: Float[Tensor, "point 3"], seen: Float[Tensor, "point 3"]) -> Pinhole:
    """The camera that saw ``points`` (metres, camera axes, any origin) at ``seen`` (crop coordinates, confidence).

    Multiplied out, u (Z + t_z) = f (X + t_x) + c_x (Z + t_z) is linear in t_z, f, c_x, c_y, f t_x + c_x t_z and
    f t_y + c_y t_z: labels that are exact give their camera back. Where it misses a joint by more than ``EXACT`` the labels
    are not exact, and the weak-perspective camera nearest to them stands in, as far away as the crop's camera is.
    """
    known = seen[:, 2] > 0
    x, y, z = points[known].double().unbind(dim=1)
    u, v = seen[known, :2].double().unbind(dim=1)
    none, one = torch.zeros_like(z), torch.ones_like(z)
    rows = torch.cat([torch.stack([-u, x, one, none, z, none], dim=1), torch.stack([-v, y, none, one, none, z], dim=1)])
    if len(z) >= _FEW:
        depth, focal, a, b, c_x, c_y = torch.linalg.lstsq(rows, torch.cat([u * z, v * z])[:, None]).solution[:, 0].tolist()
        if focal > 0 and depth + float(z.min()) > 0:
            found = Pinhole(
                focal=focal,
                center=(c_x, c_y),
                translation=np.array([(a - c_x * depth) / focal, (b - c_y * depth) / focal, depth]),
                exact=True,
            )
            missed = _project(found, torch.stack([x, y, z], dim=1)) - torch.stack([u, v], dim=1)
            if float(missed.abs().max()) <= EXACT:
                return found
    scale, t_x, t_y = weak_camera(points[None], seen[None])[0].tolist()
    return Pinhole(focal=CROP_FOCAL, center=(0.0, 0.0), translation=np.array([t_x, t_y, 2 * CROP_FOCAL / scale]), exact=False)


def _project(camera: Pinhole, points: Float64[Tensor, "point 3"]) -> Float64[Tensor, "point 2"]:
    placed = points + torch.from_numpy(camera.translation)
    return camera.focal * placed[:, :2] / placed[:, 2:] + torch.tensor(camera.center, dtype=torch.float64)


def label_traits(batch: Batch, truth: BodyOutput, faces: Integer[np.ndarray, "face 3"]) -> dict[str, float]:
    """The traits of a batch of one, from its labels and their body alone; what the labels do not say is not there.

    ``crop``: share of the 24 joints outside the picture. ``distance``: metres from the camera to the pelvis joint, along z.
    ``occlusion``: share of the body in the picture that its mask does not show, where there is a mask. ``self_occlusion``:
    share of the skin turned to the camera that the body itself hides. ``rarity``: mean angle of the 21 joints to the nearest
    key pose or its mirror, degrees. ``foreshortening``: mean 2D length of the limbs' bones over their 3D length, 1 in the
    picture plane. ``ambiguity``: PA-MPJPE between the skeleton and its mirror in depth, which has the same weak-perspective
    2D joints, mm. ``facing``: degrees from facing the camera (0) to turning the back on it (180).
    """
    camera = find_camera(truth.joints[0], batch.keypoints_2d[0])
    skeleton = truth.skeleton.double()
    vertices = truth.vertices[0].double().numpy() + camera.translation
    drawn = draw_once(vertices, faces, camera)
    crops = _project(camera, skeleton[0]).to(batch.box_size.dtype)
    pixels = batch.box_center[:, None] + crops[None] * batch.box_size[:, None, None]
    found = {
        "crop": 1 - inside(pixels, batch.image_size).double().mean().item(),
        "self_occlusion": hidden_share(vertices, faces, camera, drawn),
        "rarity": pose_rarity(batch.pose.body[0]),
        "foreshortening": limb_ratios(skeleton)[0].mean().item(),
        "ambiguity": depth_ambiguity(skeleton)[0].item(),
        "facing": facing(skeleton)[0].item(),
    }
    if batch.mask is not None and not batch.mask[0].all():  # all ones: a row of a set without masks
        found |= {"occlusion": unseen_share(batch, drawn.covered)}
    if camera.exact:
        found["distance"] = float(camera.translation[2] + skeleton[0, _PELVIS, 2])
    # Least squares may end on another last bit in another process; a report does not.
    return {name: round(value, _DIGITS) for name, value in found.items()}


def answer_numbers(
    said: Float[Tensor, "batch 24 3"], meant: Float[Tensor, "batch 24 3"]
) -> dict[str, Float64[Tensor, " batch"]]:
    """How answers go wrong, for skeletons seen from their pelvis; a limb counts where it truly leaves the picture plane.

    ``across`` and ``depth``: mean distance in the picture plane and along the line of sight, mm. ``turned``: 1 where the body
    faces more than 90 degrees away from where it should, else 0. ``limb_flip``: share of the tilted limbs that point to the
    camera in place of away from it, or the reverse; not a number where none is tilted.
    """
    error = 1000 * (said.double() - meant.double())
    cosine = (_forward(said) * _forward(meant)).sum(dim=-1)
    told, true = _limb_bones(said), _limb_bones(meant)
    tilted = true[..., 2].abs() > TILTED * true.norm(dim=-1)
    flipped = tilted & (told[..., 2] * true[..., 2] < 0)
    return {
        "across": error[..., :2].norm(dim=-1).mean(dim=-1),
        "depth": error[..., 2].abs().mean(dim=-1),
        "turned": (cosine < 0).double(),
        "limb_flip": flipped.double().sum(dim=-1) / tilted.double().sum(dim=-1),
    }


def limb_ratios(skeleton: Float[Tensor, "batch 24 3"]) -> Float64[Tensor, "batch 8"]:
    """2D over 3D length of each of ``LIMBS``, in [0, 1]."""
    bones = _limb_bones(skeleton)
    return bones[..., :2].norm(dim=-1) / bones.norm(dim=-1)


def depth_ambiguity(skeleton: Float[Tensor, "batch 24 3"]) -> Float64[Tensor, " batch"]:
    """PA-MPJPE between a skeleton and its mirror in depth, mm: 0 for a flat one, whose reversal is itself."""
    return pa_mpjpe(skeleton * skeleton.new_tensor([1.0, 1.0, -1.0]), skeleton)


def facing(skeleton: Float[Tensor, "batch 24 3"]) -> Float64[Tensor, " batch"]:
    """Angle between where the trunk faces and the way to the camera, degrees."""
    return torch.rad2deg(torch.arccos((-_forward(skeleton)[..., 2]).clamp(-1, 1)))


def pose_rarity(body: Float[Tensor, "23 3 3"]) -> float:
    """Mean angle of the 21 joints to the nearest of ``body.key_poses`` or its mirror, degrees."""
    known = _key_rotations()
    return joint_angles(body[: len(BODY_JOINTS)].expand(len(known), -1, -1, -1).float(), known).mean(dim=-1).min().item()


@functools.cache
def _key_rotations() -> Float[Tensor, "pose 21 3 3"]:
    plain = torch.from_numpy(np.stack([key_pose(name) for name in KEY_POSES]))
    mirrors = mirror_axis_angle(plain)[:, flip_permutation(BODY_JOINTS)]
    return axis_angle_to_matrix(torch.cat([plain, mirrors]))


def _limb_bones(skeleton: Float[Tensor, "batch 24 3"]) -> Float64[Tensor, "batch 8 3"]:
    upper, lower = ([limb[end] for limb in LIMBS] for end in (0, 1))
    return skeleton[:, lower].double() - skeleton[:, upper].double()


def _forward(skeleton: Float[Tensor, "batch 24 3"]) -> Float64[Tensor, "batch 3"]:
    """Where the trunk faces: across from right hip to left, then up from pelvis to neck, and the third axis of the two."""
    points = skeleton.double()
    across, up = points[:, _LEFT_HIP] - points[:, _RIGHT_HIP], points[:, _NECK] - points[:, _PELVIS]
    return torch.nn.functional.normalize(torch.linalg.cross(across, up), dim=-1)


def draw_once(vertices: Float[np.ndarray, "vertex 3"], faces: Integer[np.ndarray, "face 3"], camera: Pinhole) -> Fragments:
    """A body that stands before the camera, coarsely, as far as it lies in the crop.

    Triangles run against the clock on the screen when seen from outside.
    """
    focal, center = camera.pixels(_GRID)
    return rasterize(vertices, faces, focal=focal, center=center, width=_GRID, height=_GRID, both_sides=False)


def hidden_share(
    vertices: Float[np.ndarray, "vertex 3"], faces: Integer[np.ndarray, "face 3"], camera: Pinhole, drawn: Fragments
) -> float:
    """Share of the skin turned to the camera, and in the crop, that other parts of the body hide; by area."""
    focal, center = camera.pixels(_GRID)
    corners = vertices[faces]
    middle = corners.mean(axis=1)
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    pixel = np.floor(focal * middle[:, :2] / middle[:, 2:] + np.array(center)).astype(int)
    counts = ((normal * middle).sum(axis=1) < 0) & ((pixel >= 0) & (pixel < _GRID)).all(axis=1)
    column, row = pixel[counts].T
    area = np.linalg.norm(normal[counts], axis=1)
    hidden = middle[counts, 2] > drawn.depth[row, column] + _BEHIND
    return float(area[hidden].sum() / max(area.sum(), np.finfo(float).tiny))


def unseen_share(batch: Batch, body: Bool[np.ndarray, "height width"]) -> float:
    """Share of a body's pixels inside crop and picture that the mask of a batch of one does not show; 0 for a body outside."""
    assert batch.mask is not None
    middles = (np.arange(_GRID) + 0.5) / _GRID
    rows, columns = ((middles * side).astype(int) for side in batch.mask.shape[1:])
    mask = batch.mask[0].numpy()[np.ix_(rows, columns)]
    across, down = (float(batch.box_center[0, axis]) + (middles - 0.5) * float(batch.box_size[0]) for axis in (0, 1))
    wide, high = batch.image_size[0].tolist()
    inner = body & ((across >= 0) & (across < wide))[None] & ((down >= 0) & (down < high))[:, None]
    return float((inner & ~mask).sum() / max(inner.sum(), 1))
