"""``python -m tokenhmr.body.bake --out FILE``: make the open body anew from Anny (extra ``[bake]``)."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Float64, Shaped

from tokenhmr.body.baking import landmarks
from tokenhmr.body.baking.people import mirror_of, shape_space, symmetric
from tokenhmr.body.baking.rig import PARENT, joints_of_heads
from tokenhmr.body.baking.skin import Mesh, joint_regressor, skin_of_joints
from tokenhmr.body.baking.smaller import smaller
from tokenhmr.body.baking.source import MADE_WITH, Anny
from tokenhmr.body.files import OPEN_BODY

Arrays = dict[str, Shaped[np.ndarray, "..."]]
Say = Callable[[str], None]


def main(arguments: list[str] | None = None) -> int:
    """Run the command; the exit status is 2 for what the user can mend, in one line."""
    options = _parser().parse_args(arguments)
    try:
        return _run(options)
    except (OSError, ValueError, ImportError) as reason:
        if options.debug:
            raise
        sys.stderr.write(f"error: {' '.join(str(reason).split())}\n")
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tokenhmr.body.bake",
        description=(
            "Make the open body anew: draw adults with Anny, bring them into T-pose, and write mesh, 24 joints in SMPL's "
            "order, shape directions, skinning weights and regressors in the arrays of an SMPL file."
        ),
        epilog=(
            f"Needs the extra [bake]. The packaged body was made with Anny {MADE_WITH} and the defaults. Anny's first start on "
            "a machine takes minutes and about 1 GB of cache; then this takes some minutes and 3 GB of memory on a CPU."
        ),
    )
    add = parser.add_argument
    add("--out", type=Path, required=True, help="the .npz to write")
    add("--people", type=int, default=600, help="adults that the shape space is made of (default: %(default)s)")
    add("--seed", type=int, default=0, help="another seed, other people (default: %(default)s)")
    add("--betas", type=int, default=10, help="shape directions (default: %(default)s)")
    add("--vertices", type=int, default=6890, help="at most so many (default: %(default)s, SMPL's number)")
    add("--cache", type=Path, metavar="DIR", help="folder for Anny's cache (default: Anny's own, below the home folder)")
    one = parser.add_mutually_exclusive_group().add_argument
    one("--compare", type=Path, metavar="FILE", help="say how far the result is from this body, array by array")
    one("--packaged", action="store_const", dest="compare", const=OPEN_BODY, help="the same for the body in the package")
    add("--quiet", action="store_true", help="say nothing but errors")
    add("--debug", action="store_true", help="show the traceback of an error")
    return parser


def _run(options: argparse.Namespace) -> int:
    if options.betas < 1 or options.people <= options.betas:
        raise ValueError(f"{options.people} people span no {options.betas} shape directions: there must be more people")
    if options.out.suffix != ".npz":
        raise ValueError(f"--out {options.out} should end in .npz")
    if not options.out.parent.is_dir():
        raise FileNotFoundError(f"no folder {options.out.parent} to write to")
    reference = None if options.compare is None else _read(options.compare)
    start = time.perf_counter()

    def say(line: str) -> None:
        if not options.quiet:
            sys.stdout.write(f"{time.perf_counter() - start:6.0f} s  {line}\n")
            sys.stdout.flush()

    say("Anny is being built (minutes at the first time)")
    anny = Anny(options.cache)
    if anny.version != MADE_WITH:
        say(f"this is Anny {anny.version}; the packaged body was made with {MADE_WITH}")
    arrays = bake(anny, people=options.people, seed=options.seed, betas=options.betas, vertices=options.vertices, say=say)
    np.savez_compressed(options.out, **arrays)  # pyright: ignore[reportArgumentType]
    say(f"{options.out}: {len(arrays['v_template'])} vertices, {options.out.stat().st_size / 1e6:.2f} MB")
    if reference is not None:
        for line in differences(arrays, reference):
            say(line)
    return 0


def bake(anny: Anny, *, people: int, seed: int, betas: int, vertices: int, say: Say = lambda line: None) -> Arrays:
    """The arrays of the open body (metres, y up, facing +z, pelvis at the origin), by their names in the file."""
    bodies, heads = anny.people(people, seed=seed, progress=lambda done: say(f"{done} of {people} people"))
    joints = np.einsum("jk,bki->bji", joints_of_heads(anny.rig), heads)
    bodies -= joints[:, :1].astype(np.float32)
    joints -= joints[:, :1]
    mirror = mirror_of(bodies.mean(0))
    bodies, joints = symmetric(bodies, joints, mirror)
    mean, directions, shapes, variance = shape_space(bodies, betas)
    say(f"{betas} shape directions hold {variance[:betas].sum() / variance.sum():.4f} of the variance")

    joint_mean = joints.mean(0)
    # How the joints move with the betas, by least squares over all people.
    joint_dirs = np.einsum("bji,bk->jik", joints - joint_mean, np.linalg.pinv(shapes).T)
    full = Mesh(
        template=mean,
        shapedirs=directions,
        skinning=skin_of_joints(anny.rig, mean, joint_mean, mirror),
        faces=anny.rig.faces,
        mirror=mirror,
        outer=anny.outer_vertices(),
    )
    pelvis = joint_regressor(full, joint_mean, joint_dirs, candidates=1500)[0] @ mean
    pelvis[0] = 0  # by symmetry; rounding would leave 1e-20
    full = _moved(full, -pelvis)
    mesh = smaller(full, vertices)
    regressor = joint_regressor(mesh, joint_mean - pelvis, joint_dirs, candidates=1200)
    _say_joint_errors(mesh, regressor, joint_mean - pelvis, joint_dirs, say)

    names, keypoints = anny.keypoints()
    places = dict(zip(names, keypoints @ full.template, strict=True))
    ids = landmarks.carry_points(landmarks.surface_points(full, anny.rig, places), full, mesh)
    keypoints = landmarks.carry_keypoints(names, keypoints, full, mesh)
    id_names, id_vertices = landmarks.as_arrays(ids)
    return {
        "v_template": mesh.template.astype(np.float32),
        "shapedirs": mesh.shapedirs.astype(np.float32),
        "J_regressor": regressor.astype(np.float32),
        "weights": mesh.skinning.astype(np.float32),
        "kintree_table": np.stack([PARENT, np.arange(len(PARENT))]).astype(np.int64),
        "f": mesh.faces.astype(np.int32),
        "mirror": mesh.mirror.astype(np.int32),
        "outer": mesh.outer,
        "joint_ref": (joint_mean - pelvis).astype(np.float32),
        "J_regressor_extra19": landmarks.extra_regressor(regressor, names, keypoints, ids["headtop"]).astype(np.float32),
        "coco_regressor": keypoints.astype(np.float32),
        "coco_names": np.array(names),
        "vertex_id_names": id_names,
        "vertex_id": id_vertices,
    }


def differences(
    found: Mapping[str, Shaped[np.ndarray, "..."]], reference: Mapping[str, Shaped[np.ndarray, "..."]]
) -> list[str]:  # fmt: skip
    """One line for each array: equal, or by how much it differs at most."""
    lines = []
    for name in sorted(found.keys() | reference.keys()):
        if name not in found or name not in reference:
            lines.append(f"{name}: only in the {'new' if name in found else 'other'} body")
        elif found[name].shape != reference[name].shape:
            lines.append(f"{name}: {found[name].shape} here, {reference[name].shape} there")
        elif np.array_equal(found[name], reference[name]):
            lines.append(f"{name}: equal")
        elif found[name].dtype.kind in "fiu":
            apart = np.abs(found[name].astype(np.float64) - reference[name].astype(np.float64))
            lines.append(f"{name}: {(apart > 0).mean():.2%} of the numbers differ, by {apart.max():.3g} at most")
        else:
            lines.append(f"{name}: {(found[name] != reference[name]).mean():.2%} differ")
    return lines


def _moved(mesh: Mesh, offset: Float64[np.ndarray, "3"]) -> Mesh:
    return Mesh(
        template=mesh.template + offset,
        shapedirs=mesh.shapedirs,
        skinning=mesh.skinning,
        faces=mesh.faces,
        mirror=mesh.mirror,
        outer=mesh.outer,
    )


def _say_joint_errors(
    mesh: Mesh,
    regressor: Float64[np.ndarray, "24 vertex"],
    joints: Float64[np.ndarray, "24 3"],
    joint_dirs: Float64[np.ndarray, "24 3 shape"],
    say: Say,
) -> None:
    error = np.linalg.norm(regressor @ mesh.template - joints, axis=1) * 1e3
    moved = np.linalg.norm(np.einsum("jv,vik->jik", regressor, mesh.shapedirs) - joint_dirs, axis=1) * 1e3
    say(
        f"joints from {len(mesh.template)} vertices: {error.mean():.2f} mm off on average, {error.max():.2f} at most; "
        f"{moved.max():.2f} mm at most for one beta"
    )


def _read(path: Path) -> dict[str, Float32[np.ndarray, "..."]]:
    if not path.is_file():
        raise FileNotFoundError(f"no body to compare with at {path}")
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


if __name__ == "__main__":
    sys.exit(main())
