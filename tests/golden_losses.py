"""Twenty steps of the tokenizer and of an image model whose losses are kept in ``tests/golden``: a refactor must not move them.

Nothing here is drawn by a library: pictures, poses and first weights come from ``noise``, which is integer arithmetic, so that
neither torch's generators nor decoders nor compilers have a say; models are reduced, everything else is what is trained with.

    python -m tests.golden_losses          says how far the losses of this machine are from those that are kept
    python -m tests.golden_losses --write  keeps those of this machine: after a change that is meant to move them, and the
                                           change log says so
"""

import json
import platform
import sys
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from tests.conftest import ROOT
from tokenhmr.body import load_body
from tokenhmr.models.tokenhmr import build_tokenhmr
from tokenhmr.models.tokenizer import PoseTokenizer
from tokenhmr.resources import config_folder
from tokenhmr.rotations import axis_angle_to_matrix, matrix_to_rows
from tokenhmr.structs import Batch, Pose, PoseBatch
from tokenhmr.training.loop import fit
from tokenhmr.training.optim import adamw, cosine

FOLDER = ROOT / "tests" / "golden"
STEPS = 20
KINDS = ("tokenizer", "image")


def noise(*shape, seed):
    """Numbers in [-1, 1) that any machine makes the same: splitmix64 (Steele, Lea and Flood, OOPSLA 2014) of 1, 2, 3, ..."""
    state = (np.arange(1, 1 + int(np.prod(shape)), dtype=np.uint64) + np.uint64(seed << 32)) * np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    state ^= state >> np.uint64(31)
    return torch.from_numpy((state >> np.uint64(40)).astype(np.float32) / 2**23 - 1).reshape(shape)


@torch.no_grad()
def fill(model):
    """First weights: matrices with the spread of the usual initialisation, norms near one, biases small."""
    for number, (name, value) in enumerate(model.named_parameters()):
        drawn = noise(*value.shape, seed=1000 + number)
        if value.ndim > 1:
            value.copy_(drawn * (3 / value[0].numel()) ** 0.5)
        else:
            value.copy_(0.1 * drawn + (1.0 if name.endswith("weight") else 0.0))
    return model


def make_tokenizer():
    # No code is revived: that is drawn by chance.
    model = fill(PoseTokenizer(width=16, codes=32, code_width=8, upsamplings=1, stages=2, depth=1, revive_below=0.0))
    quantizer = model.quantizer
    quantizer.codebook.copy_(0.5 * noise(32, 8, seed=1))
    quantizer.total.copy_(quantizer.codebook)
    quantizer.started.fill_(True)
    model.mean_pose.copy_(torch.tensor([1.0, 0, 0, 0, 1, 0]).expand(21, 6))
    return model


def make_image_model(body):
    return fill(
        build_tokenhmr(
            backbone={
                "stem": "conv", "blocks": [1, 1, 1], "width": 32, "depth": 1, "heads": 2, "mlp_ratio": 2.0, "drop_path": 0.0,
            },
            decoder={"width": 32, "depth": 1, "heads": 2, "head_width": 16, "mlp_width": 32},
            classifier={"hidden": 16, "token_hidden": 16, "channel_hidden": 16, "layers": 1},
            tokenizer=make_tokenizer(), body=body, locator=True,
        )
    )  # fmt: skip


def pose_batches():
    for step in range(STEPS):
        rotations = axis_angle_to_matrix(0.6 * noise(16, 21, 3, seed=2000 + step))
        yield PoseBatch(rotations=rotations, noisy=matrix_to_rows(rotations))


def picture_batches(body):
    rows = 4
    for step in range(STEPS):
        seed = 3000 + 10 * step
        turns = axis_angle_to_matrix(0.5 * noise(rows, 24, 3, seed=seed))
        pose = Pose(global_orient=turns[:, 0], body=turns[:, 1:], betas=noise(rows, 10, seed=seed + 1))
        joints, sure = body(pose).joints, torch.ones(rows, 44, 1)
        camera = torch.tensor([0.4, -0.4])
        # Blocks of eight pixels: a picture that convolutions see something in.
        blocks = (127.5 * (noise(rows, 3, 32, 32, seed=seed + 2) + 1)).to(torch.uint8)
        yield Batch(
            image=blocks.repeat_interleave(8, dim=2).repeat_interleave(8, dim=3),
            keypoints_2d=torch.cat([joints[..., :2] * camera + 0.02 * noise(rows, 44, 2, seed=seed + 3), sure], dim=-1),
            keypoints_3d=torch.cat([joints, sure], dim=-1), pose=pose,
            has_pose=torch.tensor([True, True, True, False]), has_betas=torch.tensor([True, True, False, True]),
            trusted=torch.tensor([True, False, True, False]), box_center=torch.full((rows, 2), 128.0),
            box_size=torch.full((rows,), 256.0), image_size=torch.full((rows, 2), 256.0),
        )  # fmt: skip


def golden_run(kind):
    """Loss and norm of the gradient at each step, through the loop, loss, optimizer and schedule of the commands."""
    body = load_body("open")
    with initialize_config_dir(version_base="1.3", config_dir=str(config_folder())):
        config = compose("tokenizer_train" if kind == "tokenizer" else "train")
    if kind == "tokenizer":
        model, batches, objective = make_tokenizer(), pose_batches(), instantiate(config.loss, body=body)
    else:
        model, batches, objective = make_image_model(body), picture_batches(body), instantiate(config.loss)
    optimizer = adamw(model, lr=1e-3, weight_decay=0.01)
    told = {"loss": [], "gradient": []}

    def report(step, loss, scalars):
        told["loss"].append(float(loss.total))
        told["gradient"].append(scalars["gradient"])

    def wrong(bad):
        raise AssertionError(f"step {bad.step} was not finite")

    fit(
        accelerator=Accelerator(cpu=True), model=model, objective=objective, batches=batches, optimizer=optimizer,
        schedule=cosine(optimizer, steps=STEPS, warmup=5), steps=STEPS, clip=1.0, seed=0, save_every=STEPS,
        evaluate_every=STEPS, report=report, save=lambda _: None, evaluate=lambda _: True, bad_step=wrong,
    )  # fmt: skip
    return told


def kept(kind):
    return json.loads((FOLDER / f"{kind}.json").read_text())


def furthest(found, wanted):
    """Relative differences of two runs, by name: at the first step, and the largest."""
    apart = {name: [abs(a / b - 1) for a, b in zip(found[name], wanted[name], strict=True)] for name in ("loss", "gradient")}
    return {name: (steps[0], max(steps)) for name, steps in apart.items()}


def main():
    for kind in KINDS:
        found = golden_run(kind)
        if "--write" in sys.argv:
            file = Path(FOLDER / f"{kind}.json")
            about = {name: kept(kind)[name] for name in ("tolerance", "measured") if file.is_file()}
            made = {
                "torch": torch.__version__,
                "python": platform.python_version(),
                "by": "python -m tests.golden_losses --write",
            }
            file.write_text(json.dumps(about | {"made": made} | found, indent=1) + "\n")
        print(kind, json.dumps(furthest(found, kept(kind))))


if __name__ == "__main__":
    main()
