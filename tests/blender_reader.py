"""What Blender makes of a .glb or .bvh: run by an interpreter that has ``bpy``, by itself, not by pytest.

    python blender_reader.py FILE OUT.npz RATE FRAMES

Frames are counted from zero at RATE a second; vertices and joints come back in the file's own axes (x right, y up).
"""

import sys

import bpy
import numpy as np

FROM_BLENDER = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]])  # z up to y up: what its importers did, undone


def points(objects):
    graph = bpy.context.evaluated_depsgraph_get()
    found = {}
    for item in objects:
        if item.type == "MESH" and item.parent is not None:
            whole = item.evaluated_get(graph)
            corners = np.empty(3 * len(whole.data.vertices))
            whole.data.vertices.foreach_get("co", corners)
            matrix = np.array(whole.matrix_world)
            found[f"mesh {item.name}"] = (corners.reshape(-1, 3) @ matrix[:3, :3].T + matrix[:3, 3]) @ FROM_BLENDER.T
        if item.type == "ARMATURE":
            for bone in item.pose.bones:
                head = item.matrix_world @ bone.head
                found[f"bone {item.name} {bone.name}"] = np.array(head) @ FROM_BLENDER.T
    return found


def main(path, out, rate, count):
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    if path.endswith(".glb"):
        scene.render.fps = int(rate)  # Blender makes frames of seconds by the scene's own, whole, rate
        bpy.ops.import_scene.gltf(filepath=path)
        first = 0
    else:
        bpy.ops.import_anim.bvh(filepath=path, frame_start=1)
        first = 1
    frames = []
    for number in range(int(count)):
        scene.frame_set(first + number)
        frames.append(points(scene.objects))
    np.savez(out, **{name: np.stack([frame[name] for frame in frames]) for name in frames[0]})


main(*sys.argv[1:5])
