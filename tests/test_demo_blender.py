"""What Blender makes of the files, where TOKENHMR_BLENDER names a Python that has bpy (pip install bpy)."""

import os
import subprocess
from fractions import Fraction

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.scene_tools import by_frame, scene, track
from tokenhmr.demo.bvh import write_bvh
from tokenhmr.demo.gltf import write_glb
from tokenhmr.skeleton import SMPL_JOINTS

FRAMES = 8


@pytest.mark.parametrize("name", ["people.glb", "person_0.bvh"])
def test_blender_sees_the_same_bodies(tmp_path, name):
    python = os.environ.get("TOKENHMR_BLENDER")
    if not python:
        pytest.skip("set TOKENHMR_BLENDER to a Python that has bpy to read the files with Blender")
    seen = scene(frames=FRAMES, rate=Fraction(30))
    people = by_frame(track(0, range(FRAMES)), track(1, range(2, 6), number=1))
    write_glb(people, seen, tmp_path)
    write_bvh(people, seen, tmp_path)
    reader = ROOT / "tests" / "blender_reader.py"
    command = [python, str(reader), str(tmp_path / name), str(tmp_path / "read.npz"), "30", str(FRAMES)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    posed = seen.posed(people.rows(people.track == 0))
    with np.load(tmp_path / "read.npz") as found:
        for row, joint in enumerate(SMPL_JOINTS):
            assert np.abs(found[f"bone person_0 {joint}"] - posed.skeleton[:, row] * [1, -1, -1]).max() < 1e-4
        if name.endswith(".glb"):
            assert np.abs(found["mesh person_0_mesh"] - posed.vertices * [1, -1, -1]).max() < 1e-4
