"""A little motion capture for the tests of the synthesis."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def write_motion(folder: Path) -> Path:
    """Three small splits of motion by three subjects, standing in a world with z up."""
    for number, split in enumerate(("train", "val", "test")):
        (folder / split).mkdir()
        generator = np.random.default_rng(number)
        poses = np.zeros((30, 156), dtype=np.float32)
        poses[:, 0] = np.pi / 2
        poses[:, 3:66] = 0.25 * generator.standard_normal((30, 63))
        np.savez(folder / split / f"CMU_{10 + number}_01.npz", poses=poses, trans=np.zeros((30, 3)))
    return folder
