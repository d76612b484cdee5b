"""Motion capture files as others write them, made from known rotations."""

import numpy as np
from scipy.spatial.transform import Rotation

from tokenhmr.skeleton import SMPL_JOINTS, SMPL_PARENTS

# CMU's skeletons: bone, direction, frame of axes (degrees about x, y, z), degrees of freedom.
CMU_BONES = """lhipjoint|.57 -.75 .35|0 0 0|
lfemur|.342 -.94 0|0 0 20|rx ry rz
ltibia|.342 -.94 0|0 0 20|rx
lfoot|.067 -.183 .981|-90 7.6e-016 20|rx rz
ltoes|0 0 1|-90 7.6e-016 20|rx
rhipjoint|-.55 -.76 .35|0 0 0|
rfemur|-.342 -.94 0|0 0 -20|rx ry rz
rtibia|-.342 -.94 0|0 0 -20|rx
rfoot|-.068 -.188 .98|-90 -7.6e-016 -20|rx rz
rtoes|0 0 1|-90 -7.6e-016 -20|rx
lowerback|.01 1 -.09|0 0 0|rx ry rz
upperback|.03 1 -.02|0 0 0|rx ry rz
thorax|.02 1 .02|0 0 0|rx ry rz
lowerneck|-.03 .99 .1|0 0 0|rx ry rz
upperneck|.06 1 -.07|0 0 0|rx ry rz
head|.02 1 -.04|0 0 0|rx ry rz
lclavicle|.94 .34 -.09|0 0 0|ry rz
lhumerus|1 0 0|180 -30 -90|rx ry rz
lradius|1 0 0|180 -30 -90|rx
lwrist|1 0 0|9e-015 90 90|ry
lhand|1 0 0|1.9e-014 90 90|rx rz
lfingers|1 0 0|3.8e-014 90 90|rx
lthumb|.707 0 .707|-90 45 -3.8e-014|rx rz
rclavicle|-.91 .4 -.12|0 0 0|ry rz
rhumerus|-1 0 0|180 30 90|rx ry rz
rradius|-1 0 0|180 30 90|rx
rwrist|-1 0 0|9e-015 -90 -90|ry
rhand|-1 0 0|1.9e-014 -90 -90|rx rz
rfingers|-1 0 0|3.8e-014 -90 -90|rx
rthumb|-.707 0 .707|-90 -45 3.8e-014|rx rz"""
CMU_TREE = """root lhipjoint rhipjoint lowerback
lhipjoint lfemur
lfemur ltibia
ltibia lfoot
lfoot ltoes
rhipjoint rfemur
rfemur rtibia
rtibia rfoot
rfoot rtoes
lowerback upperback
upperback thorax
thorax lowerneck lclavicle rclavicle
lowerneck upperneck
upperneck head
lclavicle lhumerus
lhumerus lradius
lradius lwrist
lwrist lhand lthumb
lhand lfingers
rclavicle rhumerus
rhumerus rradius
rradius rwrist
rwrist rhand rthumb
rhand rfingers"""
CMU_HEAD = """# AST/ASF file generated using VICON BodyLanguage
:version 1.10
:name VICON
:units
  mass 1.0
  length 0.45
  angle deg
:documentation
   .ast/.asf automatically generated
:root
   order TX TY TZ RX RY RZ
   axis XYZ
   position 0 0 0
   orientation 0 0 0
:bonedata
"""


def cmu_bones():
    """Name -> direction, axes, degrees of freedom; all bones are two units long."""
    rows = (line.split("|") for line in CMU_BONES.splitlines())
    return {name: (np.fromstring(way, sep=" "), np.fromstring(axes, sep=" "), dof.split()) for name, way, axes, dof in rows}


def cmu_parents():
    return {child: line.split()[0] for line in CMU_TREE.splitlines() for child in line.split()[1:]}


def write_asf(path):
    text = CMU_HEAD
    for number, line in enumerate(CMU_BONES.splitlines(), start=1):
        name, way, axes, dof = line.split("|")
        text += f"  begin\n     id {number} \n     name {name}\n     direction {way} \n     length 2 \n     axis {axes}  XYZ\n"
        if dof:
            limits = "(-160.0 20.0)\n           " * len(dof.split())
            text += f"    dof {dof}\n    limits {limits.rstrip()}\n"
        text += "  end\n"
    tree = "".join(f"    {line}\n" for line in CMU_TREE.splitlines())
    path.write_text(f"{text}:hierarchy\n  begin\n{tree}  end\n")


def write_amc(path, frames):
    """``frames``: for each, bone -> its numbers."""
    text = "#!OML:ASF H:\\Somebody.ASF\n:FULLY-SPECIFIED\n:DEGREES\n"
    for number, frame in enumerate(frames, start=1):
        rows = "".join(f"{bone} {' '.join(f'{value:.6g}' for value in values)}\n" for bone, values in frame.items())
        text += f"{number}\n{rows}"
    path.write_text(text)


def random_amc_frames(count, generator):
    """A person who moves all that an AMC file can say, in CMU's units."""
    moving = {name: len(dof) for name, (_, _, dof) in cmu_bones().items() if dof}
    return [
        {"root": [*generator.normal(0, 10, 3), *generator.uniform(-90, 90, 3)]}
        | {name: generator.uniform(-60, 60, size) for name, size in moving.items()}
        for _ in range(count)
    ]


def write_bvh(path, *, names, parents, offsets, world, root, fps=120.0, order="ZYX", tips=None):
    """A BVH of world rotations (frame, joint, 3, 3) and root positions, its channels in CMU's layout; ``tips`` end chains."""
    children = {joint: [c for c, parent in enumerate(parents) if parent == joint] for joint in range(len(names))}
    lines, columns = ["HIERARCHY"], [root]

    def joint_lines(joint, depth):
        pad = "\t" * depth
        turns = " ".join(f"{axis}rotation" for axis in order)
        channels = f"6 Xposition Yposition Zposition {turns} " if depth == 0 else f"3 {turns}"
        lines.extend([
            f"{pad}{'JOINT' if depth else 'ROOT'} {names[joint]}", f"{pad}{{",
            f"{pad}\tOFFSET {' '.join(f'{value:.6f}' for value in offsets[joint])}", f"{pad}\tCHANNELS {channels}",
        ])  # fmt: skip
        parent = parents[joint]
        local = world[:, joint] if parent < 0 else np.swapaxes(world[:, parent], 1, 2) @ world[:, joint]
        columns.append(Rotation.from_matrix(local).as_euler(order, degrees=True))
        for child in children[joint]:
            joint_lines(child, depth + 1)
        if not children[joint]:
            tip = (tips or {}).get(names[joint], (0, 0, 1))
            lines.extend([f"{pad}\tEnd Site", f"{pad}\t{{", f"{pad}\t\tOFFSET {' '.join(map(str, tip))}", f"{pad}\t}}"])
        lines.append(f"{pad}}}")

    joint_lines(0, 0)
    rows = "\n".join(" ".join(f"{value:.6f}" for value in row) for row in np.concatenate(columns, axis=1))
    path.write_text("\n".join(lines) + f"\nMOTION\nFrames: {len(root)}\nFrame Time: {1 / fps:.7f}\n{rows}\n")


def random_smpl_world(count, generator, *, spread=0.7):
    """Random rotations of SMPL's 24 joints and what they are in world axes (y up)."""
    local = Rotation.from_rotvec(generator.normal(0, spread, (count * 24, 3))).as_matrix().reshape(count, 24, 3, 3)
    local[:, 22:] = np.eye(3)  # hands are no bones of a motion file
    world = local.copy()
    for joint, parent in enumerate(SMPL_PARENTS):
        if parent >= 0:
            world[:, joint] = world[:, parent] @ local[:, joint]
    return local, world


def smpl_offsets(rest_joints, rest_turns):
    """From each joint's parent, in a rest pose in which bone j stands turned by ``rest_turns[j]``."""
    offsets = np.zeros((24, 3))
    for joint, parent in enumerate(SMPL_PARENTS):
        if parent >= 0:
            offsets[joint] = rest_turns[parent] @ (rest_joints[joint] - rest_joints[parent])
    return offsets


def write_smpl_bvh(path, *, rest_joints, rest_turns, world, root, unit=1.0, turn=None, **options):
    """SMPL's own bones as a BVH whose rest pose is another and whose axes are turned: world rotations stay what they mean."""
    turn = np.eye(3) if turn is None else turn
    given = world @ np.swapaxes(rest_turns, -1, -2)
    write_bvh(
        path, names=SMPL_JOINTS, parents=SMPL_PARENTS, offsets=smpl_offsets(rest_joints, rest_turns) @ turn.T / unit,
        world=turn @ given @ turn.T, root=root @ turn.T / unit, **options,
    )  # fmt: skip
