"""Our body layer against smplx's skinning on the same arrays: ``python benchmarks/body.py [--rounds 9]``.

smplx (installed with this package, code for non-commercial use only) is measured at its core, ``smplx.lbs.lbs``: vertices
and 24 joints from rotation matrices. Ours gives the 44 joints of the losses besides. Float32, one thread; backward is the
gradient of rotations and betas. Vertices and joints must be equal to 1e-6 m first, in every body and batch.

Bodies: the open one, which has no pose correctives (smplx has no way to leave them out: it multiplies by zeros); the same
with the zeros given to both; random arrays of SMPL's size with pose correctives.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from rounds import contest
from smplx.lbs import lbs
from torch import Tensor

from tokenhmr.body import Body, BodyFile, read_body_file
from tokenhmr.body.files import OPEN_BODY
from tokenhmr.rotations import axis_angle_to_matrix
from tokenhmr.skeleton import SMPL_PARENTS
from tokenhmr.structs import Pose

BATCHES = (1, 16, 64)
CORRECTIVES = 207  # 9 numbers of 23 rotations
SMPL_VERTICES = 6890
METRES = 1e-6

Outputs = tuple[Tensor, ...]
Layer = Callable[[Tensor, Tensor], Outputs]  # rotations (batch, 24, 3, 3), betas (batch, 10) -> vertices, 24 joints


def random_body(file: BodyFile) -> BodyFile:
    """Arrays of SMPL's size and of a person's: vertices near a joint, moved by it, its parents and one other."""
    chance = np.random.default_rng(0)
    joints = file.joint_regressor @ file.v_template
    home = np.sort(chance.integers(0, 24, SMPL_VERTICES))
    up = np.maximum(np.array(SMPL_PARENTS), 0)
    movers = np.stack([home, up[home], up[up[home]], chance.integers(0, 24, SMPL_VERTICES)], axis=1)
    skinning = np.zeros((SMPL_VERTICES, 24))
    np.add.at(skinning, (np.arange(SMPL_VERTICES)[:, None], movers), chance.dirichlet((4, 2, 1, 1), SMPL_VERTICES))
    regressor = (home == np.arange(24)[:, None]) * chance.random((24, SMPL_VERTICES))
    return replace(
        file,
        kind="random",
        v_template=(joints[home] + chance.normal(0, 0.05, (SMPL_VERTICES, 3))).astype(np.float32),
        shapedirs=chance.normal(0, 0.01, (SMPL_VERTICES, 3, 10)).astype(np.float32),
        posedirs=chance.normal(0, 0.003, (SMPL_VERTICES, 3, CORRECTIVES)).astype(np.float32),
        joint_regressor=(regressor / regressor.sum(axis=1, keepdims=True)).astype(np.float32),
        skinning=skinning.astype(np.float32),
        extra_regressor=chance.dirichlet(np.full(SMPL_VERTICES, 0.01), 19).astype(np.float32),
        surface={name: row for row, name in enumerate(file.surface)},
    )


def our_layer(file: BodyFile) -> Layer:
    body = Body(file=file)

    def run(rotations: Tensor, betas: Tensor) -> Outputs:
        found = body(Pose(global_orient=rotations[:, 0], body=rotations[:, 1:], betas=betas))
        return found.vertices, found.skeleton

    return run


def smplx_layer(file: BodyFile) -> Layer:
    posedirs = np.zeros((*file.v_template.shape, CORRECTIVES), np.float32) if file.posedirs is None else file.posedirs
    flat = np.ascontiguousarray(posedirs.reshape(-1, CORRECTIVES).T)
    arrays = [torch.from_numpy(array) for array in (file.v_template, file.shapedirs, flat, file.joint_regressor)]
    parents, skinning = torch.tensor(SMPL_PARENTS), torch.from_numpy(file.skinning)

    def run(rotations: Tensor, betas: Tensor) -> Outputs:
        return lbs(betas, rotations, *arrays, parents, skinning, pose2rot=False)

    return run


def with_gradients(layer: Layer, rotations: Tensor, betas: Tensor) -> Callable[[], Outputs]:
    inputs = [rotations.clone().requires_grad_(), betas.clone().requires_grad_()]
    generator = torch.Generator().manual_seed(1)
    directions = [torch.randn(out.shape, generator=generator) for out in layer(rotations, betas)]
    return lambda: torch.autograd.grad(layer(*inputs), inputs, directions)


def forward_only(layer: Layer, rotations: Tensor, betas: Tensor) -> Callable[[], Outputs]:
    def run() -> Outputs:
        with torch.no_grad():
            return layer(rotations, betas)

    return run


def assert_equal(found: Outputs, wanted: Outputs, *, within: float, relative: bool) -> None:
    for one, other in zip(found, wanted, strict=True):
        error = float((one - other).abs().max() / (other.abs().max() if relative else 1.0))
        assert error < within, f"the two differ by {error:.1e}"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=9, help="turns of both (default: %(default)s)")
    given = options.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    plain = read_body_file(OPEN_BODY)
    zeros = replace(plain, posedirs=np.zeros((*plain.v_template.shape, CORRECTIVES), np.float32))
    print("one thread; ms of processor time a batch, median of turns")
    print(f"{'body':16s} {'batch':>5s} {'':18s} {'ours':>8s} {'smplx':>8s} {'ratio':>6s} (quartiles)")
    for name, file in (("open", plain), ("open with zeros", zeros), ("random 6890", random_body(plain))):
        ours, theirs = our_layer(file), smplx_layer(file)
        for batch in BATCHES:
            inputs = axis_angle_to_matrix(0.4 * torch.randn(batch, 24, 3)), torch.randn(batch, 10)
            for what, prepare in (("forward", forward_only), ("forward, backward", with_gradients)):
                jobs = prepare(ours, *inputs), prepare(theirs, *inputs)
                if what == "forward":
                    assert_equal(jobs[0](), jobs[1](), within=METRES, relative=False)
                else:
                    assert_equal(jobs[0](), jobs[1](), within=1e-4, relative=True)
                print(f"{name:16s} {batch:5d} {what:18s} {contest(*jobs, rounds=given.rounds)}", flush=True)


if __name__ == "__main__":
    main()
