"""From rows to a batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from tokenhmr.data.augment import Sample
from tokenhmr.rotations import axis_angle_to_matrix
from tokenhmr.structs import Batch, Pose


def collate(samples: Sequence[Sample]) -> Batch:
    """Stack rows; all axis-angles become matrices in one call, and turned roots are turned here."""
    rows = [sample.annotation for sample in samples]
    rotations = axis_angle_to_matrix(torch.from_numpy(np.stack([sample.pose for sample in samples])))
    about_z = torch.zeros(len(samples), 3)
    about_z[:, 2] = torch.tensor([sample.turn for sample in samples])
    return Batch(
        image=torch.from_numpy(np.stack([sample.image for sample in samples])),
        keypoints_2d=torch.from_numpy(np.stack([sample.keypoints_2d for sample in samples])),
        keypoints_3d=torch.from_numpy(np.stack([sample.keypoints_3d for sample in samples])),
        pose=Pose(
            global_orient=axis_angle_to_matrix(about_z) @ rotations[:, 0],
            body=rotations[:, 1:],
            betas=torch.from_numpy(np.stack([row.betas for row in rows])),
        ),
        has_pose=torch.tensor([row.has_pose for row in rows]),
        has_betas=torch.tensor([row.has_betas for row in rows]),
        trusted=torch.tensor([row.trusted for row in rows]),
        box_center=torch.from_numpy(np.stack([sample.box_center for sample in samples])),
        box_size=torch.tensor([sample.box_side for sample in samples]),
        image_size=torch.from_numpy(np.stack([row.image_size for row in rows])),
        view=torch.from_numpy(np.stack([sample.view for sample in samples])),
        mask=_masks(samples),
        key=tuple(row.key for row in rows),
        dataset=tuple(row.dataset for row in rows),
        gender=tuple(row.gender for row in rows),
        track=tuple(row.track for row in rows),
        frame=tuple(row.frame for row in rows),
    )


def _masks(samples: Sequence[Sample]) -> Bool[Tensor, "batch height width"] | None:
    """Masks where any row has one; a row without says nothing against any pixel (4D-Humans: all ones)."""
    if all(sample.mask is None for sample in samples):
        return None
    everywhere = np.ones(samples[0].image.shape[1:], dtype=bool)
    return torch.from_numpy(np.stack([everywhere if sample.mask is None else sample.mask for sample in samples]))
