"""What the demo can write, by name. To add a format: a function ``write(people, scene, folder)`` and a line here.

The functions are found by name when they are needed, so that ``--help`` and wrong options cost no second of loading.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenhmr.demo.scene import Writer


@dataclass(frozen=True, kw_only=True)
class Output:
    """One format."""

    module: str  # in tokenhmr.demo
    function: str  # (people, scene, folder) -> None; folder is there, each file is replaced as a whole (export.replace_file)
    files: str  # what it leaves, for --help
    usual: bool = False  # written unless --save says otherwise
    of: tuple[str, ...] = ("picture", "clip")


OUTPUTS = {
    "npz": Output(module="export", function="write_npz", usual=True,
                  files="people.npz: SMPL parameters, camera, joints with names, boxes; its entry 'fields' explains each"),
    "overlay": Output(module="export", function="write_overlay", usual=True, of=("picture",),
                      files="overlay.png: bodies over the picture, the nearer in front"),
    "video": Output(module="clips", function="write_video", usual=True, of=("clip",),
                    files="overlay.mp4: bodies over the video, with its times"),
    "side": Output(module="export", function="write_side", usual=True, of=("picture",),
                   files="side.png: the same bodies from the side"),
    "obj": Output(module="export", function="write_meshes", usual=True, of=("picture",),
                  files="person_0.obj ...: a mesh for each person in camera space"),
    "glb": Output(module="gltf", function="write_glb",
                  files="people.glb: everyone as skinned, animated meshes (Blender, Unity, three.js, ...); y up"),
    "bvh": Output(module="bvh", function="write_bvh", files="person_0.bvh ...: the skeleton in motion; metres, y up"),
    "amass": Output(module="amass", function="write_amass",
                    files="person_0.amass.npz ...: parameters in AMASS's layout; z up"),
    "csv": Output(module="tables", function="write_csv", files="joints.csv: every joint of everyone in 3D and in pixels"),
    "viewer": Output(module="viewer", function="write_viewer",
                     files="viewer.html: picture beside the bodies in 3D; opens in any browser, needs no network"),
}  # fmt: skip


def chosen_outputs(text: str | None) -> tuple[str, ...]:
    """Names out of ``a,b,c``; ``None``: the usual ones; ``all``: all. Raises ``ValueError`` for a name that is none."""
    if text is None:
        return tuple(name for name, output in OUTPUTS.items() if output.usual)
    if text == "all":
        return tuple(OUTPUTS)
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = sorted(set(names) - set(OUTPUTS))
    if unknown or not names:
        raise ValueError(f"no output called {', '.join(unknown) or repr(text)}; there are {', '.join(OUTPUTS)} and all")
    return tuple(name for name in OUTPUTS if name in names)


def find_writers(names: Iterable[str], *, kind: str) -> list[Writer]:
    """The functions behind these names that write a ``picture`` or a ``clip``."""
    wanted = [OUTPUTS[name] for name in names if kind in OUTPUTS[name].of]
    return [getattr(import_module(f"tokenhmr.demo.{output.module}"), output.function) for output in wanted]
