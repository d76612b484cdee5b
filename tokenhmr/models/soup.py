"""The mean of several weights, number by number: often better than each of them, and no slower than one.

Wortsman et al., "Model soups: averaging weights of multiple fine-tuned models improves accuracy without increasing inference
time", ICML 2022. It holds for weights that went on from the same ones, such as two legs of one training: weights that started
apart have nothing in common, number by number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tokenhmr.models.pretrained import PREFIX, TOKENIZER, load_any, read_config, save_pretrained

_OF_THE_FILE = ("format", "tokenhmr", "kind", "numbers", "body", "shape", "licences", "dtype", "id")


def convert_mean(
    folders: Sequence[str], out: Path, *, shares: Sequence[float] | None = None, dtype: str = "float32"
) -> list[str]:
    """Write the mean of some folders of weights (of one: the same in ``dtype``) and say what was done.

    Licences of all are kept. Raises ``ValueError`` for weights of another kind or size, tokenizers that differ, and shares that
    are not above zero, one for each folder.
    """
    shares = [1.0] * len(folders) if shares is None else list(shares)
    if len(shares) != len(folders) or not all(math.isfinite(share) and share > 0 for share in shares):
        raise ValueError(f"a share above zero for each of {len(folders)} weights is needed, not {shares}")
    configs = [read_config(folder) for folder in folders]
    for folder, config in zip(folders, configs, strict=True):
        differ = [name for name in ("kind", "numbers", "body") if config.get(name) != configs[0].get(name)]
        if differ:
            raise ValueError(f"{folder} and {folders[0]} have no mean: unlike {', '.join(differ)}")
    if configs[0]["kind"] == TOKENIZER and len(folders) > 1:
        raise ValueError("tokenizers have no mean: a code of one is none of another")
    shares = [share / sum(shares) for share in shares]
    model = _mean(folders, shares)

    metadata: dict[str, Any] = {name: value for name, value in configs[0].items() if name not in _OF_THE_FILE}
    if len(folders) > 1:
        metadata = {
            "mean_of": [
                {"weights": config.get("id"), "share": share, "training": config.get("training")}
                for config, share in zip(configs, shares, strict=True)
            ]
        }
    save_pretrained(model, out, metadata=metadata | {"licences": _licences(configs)}, dtype=dtype)
    lines = [f"{share:.0%} of {folder}" for folder, share in zip(folders, shares, strict=True)]
    return [*lines, f"written to {out}, {dtype}"]


@torch.no_grad()
def _mean(folders: Sequence[str], shares: Sequence[float]) -> nn.Module:
    """One model of all; whole numbers and the tokenizer inside are those of the first, and have to be those of each."""
    model = load_any(folders[0])
    sums = {name: value * shares[0] if value.is_floating_point() else value for name, value in model.state_dict().items()}
    first = {name: value for name, value in model.state_dict().items() if name.startswith(PREFIX[TOKENIZER])}
    for folder, share in zip(folders[1:], shares[1:], strict=True):
        for name, value in load_any(folder).state_dict().items():
            if name in first:
                if not torch.equal(value, first[name]):
                    raise ValueError(f"{folder} and {folders[0]} have no mean: their tokenizers differ")
            elif value.is_floating_point():
                sums[name] = sums[name] + value * share
    model.load_state_dict(sums | first)
    return model


def _licences(configs: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Under each name what any of them says, each sentence once."""
    found: dict[str, list[str]] = {}
    for config in configs:
        for name, licence in config.get("licences", {}).items():
            said = found.setdefault(name, [])
            if licence not in said:
                said.append(licence)
    return {name: "; ".join(said) for name, said in found.items()}
