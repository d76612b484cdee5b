"""A model small enough to be made in a test, whose bodies stand in the middle of their boxes."""

import torch

from tokenhmr.body import load_body
from tokenhmr.models.tokenhmr import TokenHMR, build_tokenhmr
from tokenhmr.models.tokenizer import PoseTokenizer


def tiny_model(*, camera_token: bool = False) -> TokenHMR:
    torch.manual_seed(0)
    model = build_tokenhmr(
        backbone={"stem": "conv", "width": 64, "depth": 1, "heads": 2, "mlp_ratio": 2.0, "drop_path": 0.0},
        decoder={"width": 32, "depth": 1, "heads": 2, "head_width": 16, "mlp_width": 32},
        classifier={"hidden": 8, "token_hidden": 8, "channel_hidden": 8, "layers": 1},
        tokenizer=PoseTokenizer(width=16, codes=8, code_width=8, upsamplings=1),
        body=load_body(),
        camera_token=camera_token,
    )
    torch.nn.init.zeros_(model.heads.camera.weight)
    torch.nn.init.zeros_(model.heads.camera.bias)
    # Rest pose, more or less: what is said is a small residual on identity, not on the untrained tokenizer's zeros.
    model.heads.mean_pose[1:] = model.heads.mean_pose[-1]
    return model.eval()
