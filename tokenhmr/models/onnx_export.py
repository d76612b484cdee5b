"""``python -m tokenhmr.convert onnx``: the image model as one ONNX file, crop to parameters, for machines without torch.

The graph takes uint8 crops as ``data/crop.py`` cuts them, any number at a time, and their views (``camera.py``) if the model is
told the picture's camera. It holds the whole model: normalisation, backbone, heads, tokenizer's decoder and the body. It is
traced, with ordinary operators of opset 17 only. Beside it goes run.py, which cuts a crop and runs it with onnxruntime and
nothing of this package.
"""

from __future__ import annotations

import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from tokenhmr.camera import CROP_SIDE
from tokenhmr.models.pretrained import load
from tokenhmr.resources import asset_folder
from tokenhmr.structs import Prediction, asks_view, normalise

OPSET = 17
OUTPUTS = {
    "global_orient": "(batch, 3, 3) root to camera axes: x right, y down, z forward",
    "body_pose": "(batch, 23, 3, 3) SMPL joints 1 to 23, each relative to its parent",
    "betas": "(batch, shape) of the body named in 'body'",
    "camera": "(batch, 3) scale, tx, ty of the crop",
    "joints_24": "(batch, 24, 3) SMPL's joints, metres, camera axes, without translation",
    "joints_44": "(batch, 44, 3) OpenPose's 25 joints and 19 more",
    "vertices": "(batch, vertex, 3) the mesh, likewise",
}
VIEW = (
    "(batch, 3) the square's middle seen from the point where the optical axis meets the picture, x and y, and its side, all "
    "divided by the focal length in pixels (where it is not known, by the picture's diagonal)"
)
# How far onnxruntime may be from torch on the same crop. Measured on the default weights: 1e-5 rotations, 1 micrometre.
BUDGET = {
    "global_orient": 1e-3,
    "body_pose": 1e-3,
    "betas": 1e-3,
    "camera": 1e-3,
    "joints_24": 1e-4,
    "joints_44": 1e-4,
    "vertices": 1e-4,
}


class _CropToBody(nn.Module):
    """The model with pixels at one end and plain tensors at the other."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, crops: UInt8[Tensor, "batch 256 256 3"], view: Float[Tensor, "batch 3"] | None = None
    ) -> tuple[Float[Tensor, "..."], ...]:
        images = normalise(crops.permute(0, 3, 1, 2))
        said: Prediction = self.model(images) if view is None else self.model(images, view)
        assert said.pose is not None and said.skeleton is not None
        pose = said.pose
        return pose.global_orient, pose.body, pose.betas, said.camera, said.skeleton, said.joints, said.vertices


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What was written, and how far it is from torch where onnxruntime is there to ask."""

    file: Path
    runner: Path
    difference: dict[str, float] | None  # largest over random crops, by output; units as in ``OUTPUTS``


def write_onnx(weights: str, path: Path) -> list[str]:
    """Export, and what to say of it to the user. Raises as ``export_onnx`` does."""
    done = export_onnx(weights, path)
    lines = [f"{done.file} ({done.file.stat().st_size / 1e6:.1f} MB), {done.runner}"]
    if done.difference is None:
        return [*lines, "not compared with torch: onnxruntime is not installed (pip install 'tokenhmr[onnx]')"]
    worst = ", ".join(f"{name} {value:.1e}" for name, value in done.difference.items())
    return [*lines, f"largest difference to torch on random crops, batches of 1 and 3: {worst}"]


def export_onnx(weights: str, path: Path) -> Exported:
    """Write the graph and its runner; the graph is compared with torch before it takes its name.

    Raises ``ValueError`` without the package onnx, for weights that say no SMPL parameters, and for a graph that differs
    from torch by more than ``BUDGET``.
    """
    try:
        import onnx
    except ImportError as error:
        raise ValueError("this needs the package onnx: pip install 'tokenhmr[onnx]'") from error
    if path.suffix != ".onnx":
        raise ValueError(f"the file is called something.onnx, not {path.name}")
    model = load(weights)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    try:
        trace(_CropToBody(model).eval(), temporary, view=asks_view(model))
        _describe(onnx, temporary, model, weights)
        difference = compare(temporary, model)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    runner = path.with_name("run.py")
    shutil.copyfile(asset_folder() / "onnx" / "run.py.txt", runner)
    return Exported(file=path, runner=runner, difference=difference)


def trace(module: nn.Module, path: Path, *, view: bool = False) -> None:
    """Run the module once on a crop and write down what it did, for any number of crops; with ``view``, of crops and views."""
    # Two crops: an axis of one would be taken for one that is stretched to fit.
    given = {"crops": torch.zeros(2, CROP_SIDE, CROP_SIDE, 3, dtype=torch.uint8)}
    if view:
        given["view"] = torch.tensor([[0.0, 0.0, 0.5], [0.1, 0.1, 0.5]])
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of the tracer, about checks of shapes, which it takes for decisions
        torch.onnx.export(
            module,
            tuple(given.values()),
            str(path),
            input_names=list(given),
            output_names=list(OUTPUTS),
            dynamic_axes={name: {0: "batch"} for name in (*given, *OUTPUTS)},
            opset_version=OPSET,
            dynamo=False,  # the newer exporter takes ten times as long and fixes the batch
        )


def _describe(onnx: Any, path: Path, model: Any, weights: str) -> None:
    """Say in the file what comes out, and whose it is."""
    graph = onnx.load(str(path))
    licences = "; ".join(f"{what}: {licence}" for what, licence in model.card.get("licences", {}).items())
    words = {
        "crops": "(batch, 256, 256, 3) uint8 RGB: the square around a person's box of 3:4, black where the picture ends",
        **({"view": VIEW} if asks_view(model) else {}),
        **OUTPUTS,
        "body": model.body.kind,
        "weights": f"{weights if weights == 'default' else Path(weights).name} {model.card.get('id', '')}".strip(),
        "licences": licences,
    }
    onnx.helper.set_model_props(graph, words)
    onnx.checker.check_model(graph)
    onnx.save(graph, str(path))


def compare(path: Path, model: nn.Module, *, batches: tuple[int, ...] = (1, 3)) -> dict[str, float] | None:
    """Largest difference between onnxruntime and torch for each output; None without onnxruntime.

    Raises ``ValueError`` where it is beyond ``BUDGET``.
    """
    try:
        import onnxruntime
    except ImportError:
        return None
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found = dict.fromkeys(OUTPUTS, 0.0)
    chance = torch.Generator().manual_seed(0)
    for count in batches:
        crops = torch.randint(0, 256, (count, CROP_SIDE, CROP_SIDE, 3), dtype=torch.uint8, generator=chance)
        given = {"crops": crops}
        if asks_view(model):
            given["view"] = torch.rand(count, 3, generator=chance)
        with torch.no_grad():
            expected = _CropToBody(model)(**given)
        answers = session.run(None, {name: tensor.numpy() for name, tensor in given.items()})
        for name, one, other in zip(OUTPUTS, answers, expected, strict=True):
            if one.shape != tuple(other.shape):
                raise ValueError(
                    f"the graph gives {name} of {one.shape} for {count} crops, torch {tuple(other.shape)}: not written"
                )
            found[name] = max(found[name], float(np.abs(one - other.numpy()).max()))
    beyond = [f"{name} by {found[name]:.1e}" for name in OUTPUTS if found[name] > BUDGET[name]]
    if beyond:
        raise ValueError(f"the graph differs from torch in {', '.join(beyond)}: not written")
    return found
