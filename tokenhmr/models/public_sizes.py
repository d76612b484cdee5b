"""How large the model of a public file is: read from its tensors, and from its configuration only where tensors cannot say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

# Sizes of ViTPose (Xu et al., 2022): heads and the drop path of their training, by width. Tensors say neither.
VIT_HEADS = {384: 12, 768: 12, 1024: 16, 1280: 16}
VIT_DROP_PATH = {384: 0.1, 768: 0.3, 1024: 0.5, 1280: 0.55}
HEAD_WIDTH = 64  # of the decoder, in all released models
MOST_STAGES = 16  # each doubles or halves something
DILATION = 3  # of the tokenizer's residual blocks, as released


def _shape(name: str, state: Mapping[str, Any], key: str, axes: int) -> tuple[int, ...]:
    value = state.get(key)
    if not isinstance(value, Tensor) or value.ndim != axes or 0 in value.shape:
        found = f"is {list(value.shape)}" if isinstance(value, Tensor) else "is not there"
        raise ValueError(f"{name} does not fit: {key}, which tells the size of the model, {found}")
    return tuple(value.shape)


def _count(state: Mapping[str, Any], pattern: str) -> int:
    """One more than the largest index that stands in place of the group: what is left out in between is found missing later."""
    found = [int(match[1]) for match in (re.match(pattern, key) for key in state) if match]
    return min(1 + max(found, default=-1), 1 + len(state))


def tokenizer_numbers(name: str, net: Mapping[str, Any], arch: Mapping[str, Any]) -> dict[str, Any]:
    """What ``PoseTokenizer`` takes. Of ``ARCH`` only the dilation is used, which leaves no trace in any shape.

    ``NUM_TOKENS`` in particular is wrong in public files (10, or -1, for 160 tokens).
    """
    for key, expected in (("ROT_TYPE", "rot6d"), ("NB_JOINTS", 21)):
        if arch.get(key, expected) != expected:
            raise ValueError(f"{name} is a tokenizer with {key} {arch[key]!r}; known is {expected!r}")
    width, _, _ = _shape(name, net, "encoder.encoder.0.weight", 3)
    codes, code_width = _shape(name, net, "quantizer.codebook", 2)
    # The blocks that halve have two parts; before the first of them stand the convolutions that grow, in steps of three.
    blocks = sorted({int(match[1]) for match in (re.match(r"encoder\.encoder\.(\d+)\.0\.", key) for key in net) if match})
    mixed = sorted({int(match[1]) for match in (re.match(r"decoder\.decoder\.(\d+)\.1\.", key) for key in net) if match})
    grown = [] if not blocks or not mixed else [blocks[0] - 2, mixed[0] - 2]
    if not grown or any(place % 3 or not 0 < place <= 3 * MOST_STAGES for place in grown) or len(blocks) > MOST_STAGES:
        raise ValueError(f"{name} does not fit: its layers are not those of a pose tokenizer")
    dilation = arch.get("DILATION_RATE", DILATION)
    if type(dilation) is not int or not 1 <= dilation <= 16:
        raise ValueError(f"{name} says DILATION_RATE {dilation!r}, which is no dilation")
    return {
        "joints": 21,
        "width": width,
        "codes": codes,
        "code_width": code_width,
        "upsamplings": (blocks[0] - 2) // 3,
        "downsamplings": len(blocks),
        "stages": (mixed[0] - 2) // 3,
        "depth": _count(net, rf"decoder\.decoder\.{mixed[0]}\.0\.model\.(\d+)\."),
        "dilation": dilation,
    }


def backbone_numbers(name: str, state: Mapping[str, Any], *, prefix: str, heads: int | None) -> dict[str, Any]:
    """What ``build_backbone`` takes. ``heads`` is needed for a width that is none of ViTPose's."""
    width = _shape(name, state, f"{prefix}pos_embed", 3)[2]
    hidden = _shape(name, state, f"{prefix}blocks.0.mlp.fc1.weight", 2)[0]
    heads = heads or VIT_HEADS.get(width)
    if heads is None:
        known = ", ".join(map(str, VIT_HEADS))
        raise ValueError(f"{name} has a backbone of width {width}, known are {known}: say how many heads it has (--heads)")
    return {
        "stem": "patch",
        "width": width,
        "depth": _count(state, re.escape(prefix) + r"blocks\.(\d+)\."),
        "heads": heads,
        "mlp_ratio": hidden / width,
        "drop_path": VIT_DROP_PATH.get(width, 0.0),
    }


def decoder_numbers(name: str, state: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """What ``QueryDecoder`` takes; ``config`` is ``MODEL.SMPL_HEAD.TRANSFORMER_DECODER`` where there is one."""
    layer = "smpl_head.transformer.transformer.layers"
    width = _shape(name, state, "smpl_head.transformer.pos_embedding", 3)[2]
    inner = _shape(name, state, f"{layer}.0.1.fn.to_q.weight", 2)[0]
    head_width = config.get("dim_head", HEAD_WIDTH)
    heads = config.get("heads", inner // HEAD_WIDTH if type(head_width) is int else None)
    if type(heads) is not int or type(head_width) is not int or heads < 1 or heads * head_width != inner:
        raise ValueError(f"{name} attends with {inner} channels, which are not {heads} heads of {head_width}")
    return {
        "width": width,
        "depth": _count(state, re.escape(layer) + r"\.(\d+)\."),
        "heads": heads,
        "head_width": head_width,
        "mlp_width": _shape(name, state, f"{layer}.0.2.fn.net.0.weight", 2)[0],
    }


def classifier_numbers(name: str, state: Mapping[str, Any]) -> tuple[dict[str, Any], int, int]:
    """What ``TokenClassifier`` takes beside width, tokens and codes; then how many tokens and codes it speaks of."""
    head = "smpl_head.decpose"
    codes, hidden = _shape(name, state, f"{head}.class_pred_layer.weight", 2)
    token_hidden, tokens = _shape(name, state, f"{head}.mixer_head.0.MLP_token.ff.0.weight", 2)
    numbers = {
        "hidden": hidden,
        "token_hidden": token_hidden,
        "channel_hidden": _shape(name, state, f"{head}.mixer_head.0.MLP_channel.ff.0.weight", 2)[0],
        "layers": _count(state, re.escape(head) + r"\.mixer_head\.(\d+)\."),
    }
    return numbers, tokens, codes


def shape_count(name: str, state: Mapping[str, Any]) -> int:
    """How many betas the model says."""
    return _shape(name, state, "smpl_head.decshape.weight", 2)[0]


def check_config(name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Refuse a configuration of a model that computes something else; its ``TRANSFORMER_DECODER`` otherwise.

    Only what leaves no trace in the shapes is looked at; an interpolation that is not filled in says nothing.
    """
    for path, allowed in (
        ("MODEL.IMAGE_SIZE", (256,)),
        ("MODEL.SMPL_HEAD.IEF_ITERS", (1,)),
        ("MODEL.SMPL_HEAD.TRANSFORMER_INPUT", ("zero",)),
        ("EXTRA.FOCAL_LENGTH", (5000, 5000.0)),
    ):
        value = _at(config, path)
        if value is not None and not (isinstance(value, str) and "${" in value) and value not in allowed:
            raise ValueError(f"{name} has {path} {value!r}; models of this kind here have {allowed[0]!r}")
    decoder = _at(config, "MODEL.SMPL_HEAD.TRANSFORMER_DECODER")
    return dict(decoder) if isinstance(decoder, Mapping) else {}


def _at(config: Any, path: str) -> Any:
    for part in path.split("."):
        config = config.get(part) if isinstance(config, Mapping) else None
    return config
