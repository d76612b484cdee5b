"""What the named protocols need, made on the spot: random bodies in SMPL's layout, regressors, data, a tiny model."""

import pickle
import shutil
from pathlib import Path

import numpy as np
import torch

from tests import fixtures_formats as made
from tests.body_tools import body_arrays, extra_regressor, few
from tests.pictures import write_shard
from tokenhmr.body import load_body
from tokenhmr.models.pretrained import save_pretrained
from tokenhmr.models.tokenhmr import build_tokenhmr
from tokenhmr.models.tokenizer import PoseTokenizer

GENDERS = ("neutral", "male", "female")


def write_bodies(folder: Path) -> Path:
    """Three bodies (without pose correctives: they are large) and both regressors."""
    (folder / "smpl").mkdir(parents=True)
    for number, gender in enumerate(GENDERS):
        arrays = body_arrays(seed=number)
        del arrays["posedirs"]
        arrays["f"][30:] = 0  # triangles across a random body cover every picture, and drawing them takes long
        np.savez(folder / "smpl" / f"SMPL_{gender.upper()}.npz", **arrays)
    (folder / "SMPL_to_J19.pkl").write_bytes(pickle.dumps(extra_regressor()))
    np.save(folder / "J_regressor_h36m.npy", few(np.random.default_rng(17), 17, 6890))
    return folder


def small_tokenizer() -> PoseTokenizer:
    return PoseTokenizer(width=16, codes=32, code_width=8, upsamplings=1, downsamplings=1, stages=2, depth=1)


def write_weights(folder: Path, body) -> Path:
    torch.manual_seed(0)
    model = build_tokenhmr(
        backbone={"stem": "conv", "width": 64, "depth": 1, "heads": 2},
        decoder={"width": 32, "depth": 1, "heads": 2, "head_width": 16},
        classifier={"hidden": 8, "token_hidden": 8, "channel_hidden": 8, "layers": 1},
        tokenizer=small_tokenizer(),
        body=body,
    )
    with torch.no_grad():
        for head in (model.heads.orient, model.heads.shape):
            torch.nn.init.normal_(head.weight, std=0.3)  # so that pictures differ
    return save_pretrained(model.eval(), folder)


def write_data(root: Path) -> Path:
    """The data of every named protocol on pictures below one folder, as the lists in ``data_lists`` look for them."""
    made.three_dpw(root)
    made.emdb(root)
    made.h36m(root / "Human36M")
    notes = root / "Human36M" / "annotations"
    for path in sorted(notes.iterdir()):
        for subject in (9, 11):
            name = path.name.replace("subject1", f"subject{subject}")
            text = path.read_text().replace("s_01_", f"s_{subject:02d}_")
            (notes / name).write_text(text)
    pictures = root / "Human36M" / "images"
    for folder in sorted(pictures.iterdir()):
        for subject in (9, 11):
            for picture in folder.iterdir():
                made.put(pictures / folder.name.replace("s_01_", f"s_{subject:02d}_") / picture.name.replace(
                    "s_01_", f"s_{subject:02d}_"), picture.read_bytes())  # fmt: skip
    made.occluded(root)
    (root / "3DOH50K").mkdir()
    shutil.move(root / "3doh", root / "3DOH50K" / "testset")
    made.bedlam(root / "bedlam_val" / "scene")
    write_shard(root / "synthetic-test-000000.tar", range(4))
    return root


def everything(root: Path) -> dict[str, Path]:
    """Data, bodies, weights for SMPL and weights for the open body."""
    bodies = write_bodies(root / "bodies")
    return {
        "data": write_data(root / "data"),
        "bodies": bodies,
        "smpl": write_weights(root / "weights_smpl", load_body("smpl", folder=bodies)),
        "open": write_weights(root / "weights_open", load_body("open")),
    }
