"""Tables of names: which tensor of the public files is which of ours, one to one and total.

Public files are those of TokenHMR (``tokenizer.pth`` and a ``.ckpt``), of 4D-Humans (HMR2.0, with its discriminator) and of
ViTPose (a backbone alone). Their names and shapes are facts of those files; a table is made for the sizes at hand, so that
every released variant has one. What is neither in a table nor left out by name is refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tokenhmr.models.stored import State

Shape = tuple[int, ...]

# Left out by name: the licensed body that a checkpoint carries along, and Lightning's note that it has started.
LEFT_OUT = ("smpl.", "initialized")
BODY_IN_TOKENIZER = "body_model"  # older tokenizer files carry a body too


def as_ours(ours: Shape) -> Shape:
    """Laid out as our tensor is."""
    return tuple(ours)


def one_row(ours: Shape) -> Shape:
    """All numbers in one row of a matrix."""
    return (1, math.prod(ours))


def one_more(ours: Shape) -> Shape:
    """An axis of length one in front."""
    return (1, *ours)


def one_by_one(ours: Shape) -> Shape:
    """A matrix as a convolution of one cell."""
    return (*ours, 1, 1)


@dataclass(frozen=True)
class Row:
    """One tensor in both worlds."""

    theirs: str
    ours: str
    shape: Callable[[Shape], Shape] = as_ours  # of theirs, from that of ours


Table = list[Row]


def _layers(pairs: Iterable[tuple[str, str]], parts: tuple[str, ...] = ("weight", "bias")) -> Table:
    return [Row(f"{theirs}.{part}", f"{ours}.{part}") for theirs, ours in pairs for part in parts]


def tokenizer_table(numbers: Mapping[str, Any]) -> Table:
    """Of ``tokenizer.pth``: numbers as ``PoseTokenizer`` takes them. Activations and resizings take up indices too."""
    up, down, stages, depth = (numbers[name] for name in ("upsamplings", "downsamplings", "stages", "depth"))
    encoder, decoder = "encoder.encoder", "decoder.decoder"
    pairs = [(f"{encoder}.0", "encoder.first"), (f"{decoder}.0", "decoder.first")]
    pairs += [(f"{encoder}.{3 * (i + 1)}", f"encoder.grow.{i}") for i in range(up)]
    for i in range(down):
        pairs += [(f"{encoder}.{2 + 3 * up + i}.0", f"encoder.shrink.{i}.0")]
        pairs += _residual(f"{encoder}.{2 + 3 * up + i}.1.model", f"encoder.shrink.{i}.1", depth)
    pairs += [(f"{encoder}.{2 + 3 * up + down}", "encoder.last")]
    pairs += [(f"{decoder}.{3 * (i + 1)}", f"decoder.shrink.{i}") for i in range(stages)]
    pairs += _residual(f"{decoder}.{2 + 3 * stages}.0.model", "decoder.residual", depth)
    pairs += [(f"{decoder}.{2 + 3 * stages}.1", "decoder.mix"), (f"{decoder}.{3 + 3 * stages}", "decoder.last")]
    return [*_layers(pairs), Row("quantizer.codebook", "quantizer.codebook")]


def _residual(theirs: str, ours: str, depth: int) -> list[tuple[str, str]]:
    return [(f"{theirs}.{i}.{conv}", f"{ours}.{i}.{conv}") for i in range(depth) for conv in ("conv1", "conv2")]


def backbone_table(numbers: Mapping[str, Any], *, theirs: str = "backbone.", ours: str = "backbone.") -> Table:
    """Of a ViTPose backbone: numbers as ``build_backbone`` takes them; ViTPose's own file has no prefix."""
    names = ["patch_embed.proj", "last_norm"]
    parts = ("norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2")
    names += [f"blocks.{block}.{part}" for block in range(numbers["depth"]) for part in parts]
    return [Row(f"{theirs}pos_embed", f"{ours}pos_embed"), *_layers((theirs + name, ours + name) for name in names)]


def _decoder_table(numbers: Mapping[str, Any]) -> Table:
    head = "smpl_head.transformer"
    table = [Row(f"{head}.pos_embedding", "decoder.position", one_more)]
    table += _layers([(f"{head}.to_token_embedding", "decoder.to_token")])
    for i in range(numbers["depth"]):
        theirs, ours = f"{head}.transformer.layers.{i}", f"decoder.layers.{i}"
        table += _layers(
            [
                (f"{theirs}.0.norm", f"{ours}.norm_self"),
                (f"{theirs}.0.fn.to_out.0", f"{ours}.attend_self.to_out"),
                (f"{theirs}.1.norm", f"{ours}.norm_context"),
                (f"{theirs}.1.fn.to_out.0", f"{ours}.attend_context.to_out"),
                (f"{theirs}.2.norm", f"{ours}.norm_mlp"),
                (f"{theirs}.2.fn.net.0", f"{ours}.mlp.0"),
                (f"{theirs}.2.fn.net.3", f"{ours}.mlp.2"),
            ]
        )
        table += _layers(
            [
                (f"{theirs}.0.fn.to_qkv", f"{ours}.attend_self.to_qkv"),
                (f"{theirs}.1.fn.to_q", f"{ours}.attend_context.to_q"),
                (f"{theirs}.1.fn.to_kv", f"{ours}.attend_context.to_kv"),
            ],
            ("weight",),
        )
    return table


_MEANS = [
    Row("smpl_head.init_body_pose", "heads.mean_pose", one_row),
    Row("smpl_head.init_betas", "heads.mean_betas", one_row),
    Row("smpl_head.init_cam", "heads.mean_camera", one_row),
]
_SHAPE_AND_CAMERA = [("smpl_head.decshape", "heads.shape"), ("smpl_head.deccam", "heads.camera")]


def tokenhmr_table(numbers: Mapping[str, Any]) -> Table:
    """Of a TokenHMR checkpoint, whose tokenizer is not in it: numbers as ``build_tokenhmr`` takes them."""
    theirs, ours = "smpl_head.decpose", "heads.classifier"
    words = [
        (f"{theirs}.mixer_trans.ff.0", f"{ours}.spread.0"),
        (f"{theirs}.mixer_trans.ff.1", f"{ours}.spread.1"),
        (f"{theirs}.mixer_norm_layer.ff.0", f"{ours}.gather.0"),
        (f"{theirs}.mixer_norm_layer.ff.1", f"{ours}.gather.1"),
        (f"{theirs}.class_pred_layer", f"{ours}.classify"),
    ]
    for i in range(numbers["classifier"]["layers"]):
        mixer, layer = f"{theirs}.mixer_head.{i}", f"{ours}.layers.{i}"
        words += [
            (f"{mixer}.layernorm1", f"{layer}.norm_tokens"),
            (f"{mixer}.MLP_token.ff.0", f"{layer}.mix_tokens.0"),
            (f"{mixer}.MLP_token.ff.3", f"{layer}.mix_tokens.2"),
            (f"{mixer}.layernorm2", f"{layer}.norm_channels"),
            (f"{mixer}.MLP_channel.ff.0", f"{layer}.mix_channels.0"),
            (f"{mixer}.MLP_channel.ff.3", f"{layer}.mix_channels.2"),
        ]
    words += [("smpl_head.decpose_grot", "heads.orient"), ("smpl_head.decpose_hands", "heads.hands"), *_SHAPE_AND_CAMERA]
    return [*backbone_table(numbers["backbone"]), *_decoder_table(numbers["decoder"]), *_layers(words), *_MEANS]


def hmr2_table(numbers: Mapping[str, Any]) -> Table:
    """Of an HMR2.0 checkpoint: numbers as ``build_hmr2`` takes them."""
    table = [*backbone_table(numbers["backbone"]), *_decoder_table(numbers["decoder"]), *_MEANS]
    table += _layers([("smpl_head.decpose", "heads.pose"), *_SHAPE_AND_CAMERA])
    return table + (_DISCRIMINATOR if numbers["discriminator"] else [])


_DISCRIMINATOR = _layers(
    [
        ("discriminator.betas_fc1", "discriminator.shape_first"),
        ("discriminator.betas_fc2", "discriminator.shape_second"),
        ("discriminator.betas_out", "discriminator.judge_shape"),
        ("discriminator.D_alljoints_fc1", "discriminator.pose_first"),
        ("discriminator.D_alljoints_fc2", "discriminator.pose_second"),
        ("discriminator.D_alljoints_out", "discriminator.judge_pose"),
        *((f"discriminator.pose_out.{joint}", f"discriminator.judge_joint.{joint}") for joint in range(23)),
    ]
)
_DISCRIMINATOR += [
    Row("discriminator.D_conv1.weight", "discriminator.joint_first.weight", one_by_one),
    Row("discriminator.D_conv1.bias", "discriminator.joint_first.bias"),
    Row("discriminator.D_conv2.weight", "discriminator.joint_second.weight", one_by_one),
    Row("discriminator.D_conv2.bias", "discriminator.joint_second.bias"),
]


def to_ours(name: str, state: Mapping[str, Any], table: Table, shapes: Mapping[str, Shape]) -> State:
    """A public state in our names and shapes; ``shapes`` are those of our model.

    ``name`` is that of the file. Raises one ``ValueError`` that lists all that is missing, surplus or of another shape.
    """
    problems = []
    wanted = {row.theirs: (row, row.shape(shapes[row.ours])) for row in table}
    missing = [key for key in wanted if key not in state]
    surplus = [key for key in state if key not in wanted]
    misshapen = []
    for key, (_, shape) in wanted.items():
        value = state.get(key)
        if isinstance(value, Tensor) and value.is_floating_point() and tuple(value.shape) == tuple(shape):
            continue
        if key not in missing:
            found = f"{list(value.shape)} of {value.dtype}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
            misshapen.append(f"{key} is {found} and should be {list(shape)}")
    for keys, kind in ((missing, "missing"), (surplus, "surplus"), (misshapen, "of another shape")):
        problems += [f"{len(keys)} {kind}: {listed(keys)}"] if keys else []
    if problems:
        raise ValueError(f"{name} does not fit: {'; '.join(problems)}")
    return {row.ours: state[key].reshape(tuple(shapes[row.ours])).float() for key, (row, _) in wanted.items()}


def to_public(state: Mapping[str, Any], table: Table) -> State:
    """Our state in public names and shapes, each tensor in memory of its own."""
    found = {row.theirs: state[row.ours].detach().cpu().reshape(row.shape(tuple(state[row.ours].shape))) for row in table}
    return {key: value.clone(memory_format=torch.contiguous_format) for key, value in found.items()}


def listed(names: list[str], most: int = 20) -> str:
    """The names, of many only the first."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
