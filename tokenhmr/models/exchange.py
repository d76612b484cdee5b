"""Public weights to a folder of ours and back: read without running anything, checked whole, then written.

Every function returns what there is to say about it, line by line.
"""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tokenhmr.body import Body, stand_in
from tokenhmr.models import public_sizes as sizes
from tokenhmr.models import public_weights as public
from tokenhmr.models.finder import PersonFinder
from tokenhmr.models.hmr2 import HMR2, build_hmr2
from tokenhmr.models.mae import mae_names
from tokenhmr.models.parts import build_backbone
from tokenhmr.models.pretrained import load_any, save_pretrained
from tokenhmr.models.public_weights import State, Table
from tokenhmr.models.tokenhmr import TokenHMR, build_tokenhmr
from tokenhmr.models.tokenizer import PoseTokenizer
from tokenhmr.models.vit import ViT
from tokenhmr.safefile import plain, read_torch
from tokenhmr.structs import asks_view

LICENCES = {
    "official": "TokenHMR licence (Max Planck): non-commercial scientific research only",
    "hmr2": "of their owners (4D-Humans); trained on data for non-commercial research",
    "vitpose": "of their owners (ViTPose, 4D-Humans)",
    "mae": "of their owners",
}
DATA_LICENCE = "of its owners (AMASS, MOYO, BEDLAM, Human3.6M and others): non-commercial research"
SMPL_LICENCE = "SMPL licence (Max Planck), from its owners; the body itself is not in these files"
LIGHTNING = "1.8.1"  # the version that wrote the public checkpoints; its readers want to know one


def convert_tokenizer(tokenizer: Path, out: Path, *, dtype: str = "float32") -> list[str]:
    """``tokenizer.pth`` alone to a folder that ``load_tokenizer`` opens. Raises ``FileNotFoundError`` or ``ValueError``."""
    numbers, state = _read_tokenizer(tokenizer)
    model = _filled(lambda: PoseTokenizer(**numbers), state)
    return _save(model, out, "official", [tokenizer], dtype, [_words(numbers, model)])


def convert_official(
    tokenizer: Path, checkpoint: Path, out: Path, *, config: Mapping[str, Any] | None = None, heads: int | None = None,
    dtype: str = "float32",
) -> list[str]:  # fmt: skip
    """The two files of TokenHMR to a folder that ``load`` opens, with the tokenizer inside.

    ``config`` takes the place of what the checkpoint says of itself. Raises ``FileNotFoundError``, or one ``ValueError`` that
    names the file and all in it that does not fit; then nothing is written.
    """
    name = str(checkpoint)
    words, inside = _read_tokenizer(tokenizer)
    state, notes = _read_checkpoint(checkpoint)
    if "smpl_head.decpose.weight" in state:
        raise ValueError(f"{name} is a checkpoint of HMR2.0: convert it with hmr2")
    decoder = sizes.check_config(name, config if config is not None else notes)
    classifier, tokens, codes = sizes.classifier_numbers(name, state)
    known = PoseTokenizer.count_tokens(words)
    if (tokens, codes) != (known, words["codes"]):
        raise ValueError(
            f"{name} speaks in {tokens} tokens of {codes} codes, {tokenizer} has {known} of {words['codes']}: "
            "they do not belong together"
        )
    numbers: dict[str, Any] = {
        "backbone": sizes.backbone_numbers(name, state, prefix="backbone.", heads=heads),
        "decoder": sizes.decoder_numbers(name, state, decoder),
        "classifier": classifier,
    }
    body = _body(sizes.shape_count(name, state))
    model = _laid_out(name, lambda: build_tokenhmr(**numbers, tokenizer=PoseTokenizer(**words), body=body))
    ours = public.to_ours(name, state, public.tokenhmr_table(numbers), _shapes(model))
    ours |= {f"tokenizer.{key}": value for key, value in inside.items()}
    model.load_state_dict(ours, strict=True, assign=True)
    said = [_words(words, model.tokenizer), _size(model)]
    return _save(model, out, "official", [tokenizer, checkpoint], dtype, said)


def convert_hmr2(
    checkpoint: Path, out: Path, *, config: Mapping[str, Any] | None = None, heads: int | None = None, dtype: str = "float32"
) -> list[str]:
    """A checkpoint of HMR2.0, with its discriminator if it has one, to a folder that ``load`` opens; raises as above."""
    name = str(checkpoint)
    state, notes = _read_checkpoint(checkpoint)
    if "smpl_head.decpose_grot.weight" in state:
        raise ValueError(f"{name} is a checkpoint of TokenHMR: convert it with official")
    numbers: dict[str, Any] = {
        "backbone": sizes.backbone_numbers(name, state, prefix="backbone.", heads=heads),
        "decoder": sizes.decoder_numbers(name, state, sizes.check_config(name, config if config is not None else notes)),
        "discriminator": any(key.startswith("discriminator.") for key in state),
    }
    body = _body(sizes.shape_count(name, state))
    model = _laid_out(name, lambda: build_hmr2(**numbers, body=body))
    model.load_state_dict(public.to_ours(name, state, public.hmr2_table(numbers), _shapes(model)), strict=True, assign=True)
    return _save(model, out, "hmr2", [checkpoint], dtype, [_size(model)])


def convert_vitpose(checkpoint: Path, out: Path, *, heads: int | None = None, dtype: str = "float32") -> list[str]:
    """A ViTPose backbone to a folder that ``load_backbone`` opens; raises as above. What finds ViTPose's joints is left out."""
    name = str(checkpoint)
    state, _ = _read_checkpoint(checkpoint)
    prefix = "backbone." if "backbone.pos_embed" in state else ""
    state = {key: value for key, value in state.items() if not key.startswith("keypoint_head.")}
    numbers = sizes.backbone_numbers(name, state, prefix=prefix, heads=heads)
    model = _laid_out(name, lambda: build_backbone(numbers))
    table = public.backbone_table(numbers, theirs=prefix, ours="")
    model.load_state_dict(public.to_ours(name, state, table, _shapes(model)), strict=True, assign=True)
    return _save(model, out, "vitpose", [checkpoint], dtype, [_size(model)])


def convert_mae(checkpoint: Path, out: Path, *, heads: int | None = None, dtype: str = "float32") -> list[str]:
    """A ViT of 16x16 patches in MAE's or timm's names to a folder that ``load_backbone`` opens; raises as above.

    What has no place in our backbone is left out, and listed in what is returned.
    """
    name, content = str(checkpoint), read_torch(checkpoint)
    state = content.get("model", content) if isinstance(content, dict) else {}
    if not isinstance(state, dict) or not any(isinstance(value, torch.Tensor) for value in state.values()):
        raise ValueError(f"{name} is no checkpoint: it has no 'model' of tensors")
    renamed, said = mae_names(name, {str(key): value for key, value in state.items()})
    numbers = sizes.backbone_numbers(name, renamed, prefix="", heads=heads)
    model = _laid_out(name, lambda: build_backbone(numbers))
    table = public.backbone_table(numbers, theirs="", ours="")
    model.load_state_dict(public.to_ours(name, renamed, table, _shapes(model)), strict=True, assign=True)
    return _save(model, out, "mae", [checkpoint], dtype, [*said, _size(model)])


def to_official(weights: str | os.PathLike[str], out: Path) -> list[str]:
    """A folder of ours to the public files: ``tokenizer.pth``, ``model.ckpt`` or ``vitpose_backbone.pth``, as it holds them.

    Only the released architecture has public names: ``ValueError`` for a convolutional stem, a joint locator, a model that is
    told the picture's camera, and for a tokenizer with a mean pose, which the public file cannot say.
    """
    model = load_any(weights)
    if isinstance(model, PoseTokenizer):
        return [_write_tokenizer(model, out)]
    if isinstance(model, PersonFinder):
        raise ValueError(f"{weights} is a finder of people, of which there is no public one")
    backbone = model.numbers if isinstance(model, ViT) else model.numbers["backbone"]
    if backbone.get("stem") != "patch" or getattr(model, "locator", None) is not None:
        raise ValueError(f"{weights} has a convolutional stem or a joint locator, for which there are no public names")
    if asks_view(model):
        raise ValueError(f"{weights} is told the picture's camera, for which there are no public names")
    out.mkdir(parents=True, exist_ok=True)
    if isinstance(model, ViT):
        state = public.to_public(model.state_dict(), public.backbone_table(model.numbers, theirs="", ours=""))
        return [_write({"state_dict": state}, out / "vitpose_backbone.pth")]
    if isinstance(model, TokenHMR):
        return [_write_tokenizer(model.tokenizer, out), _write_checkpoint(model, public.tokenhmr_table(model.numbers), out)]
    return [_write_checkpoint(model, public.hmr2_table(model.numbers), out)]


def _read_tokenizer(path: Path) -> tuple[dict[str, Any], State]:
    """Numbers and state of a tokenizer file, in our names."""
    name, content = str(path), read_torch(path)
    if not isinstance(content, dict) or not isinstance(content.get("net"), dict):
        raise ValueError(f"{name} is no tokenizer.pth: it has no 'net'")
    hparams = plain(content.get("hparams"))
    arch = hparams.get("ARCH") if isinstance(hparams, dict) else None
    net = {key: value for key, value in content["net"].items() if public.BODY_IN_TOKENIZER not in str(key)}
    numbers = sizes.tokenizer_numbers(name, net, arch if isinstance(arch, dict) else {})
    model = _laid_out(name, lambda: PoseTokenizer(**numbers))
    state = public.to_ours(name, net, public.tokenizer_table(numbers), _shapes(model))
    codebook = state["quantizer.codebook"]
    # What the file does not hold: no mean pose, and a codebook that goes on learning as after its first step.
    state["mean_pose"] = torch.zeros(numbers["joints"], 6)
    state["quantizer.count"] = torch.ones(len(codebook))
    state["quantizer.total"] = codebook.clone()
    state["quantizer.started"] = torch.tensor(True)
    return numbers, state


def _read_checkpoint(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The tensors that are part of a model, and the configuration that the checkpoint carries along."""
    content = read_torch(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}, not a checkpoint")
    state = content.get("state_dict", content)
    if not isinstance(state, dict) or not any(isinstance(value, torch.Tensor) for value in state.values()):
        raise ValueError(f"{path} is no checkpoint: it has no 'state_dict' of tensors")
    hparams = plain(content.get("hyper_parameters"))
    config = hparams.get("cfg") if isinstance(hparams, dict) else None
    kept = {str(key): value for key, value in state.items() if not str(key).startswith(public.LEFT_OUT)}
    return kept, config if isinstance(config, dict) else {}


def _laid_out(name: str, build: Callable[[], Any]) -> Any:
    """A model without memory; sizes that no model can have are the file's fault."""
    try:
        with torch.device("meta"):
            return build()
    except (TypeError, ValueError, RuntimeError, ZeroDivisionError, OverflowError) as error:
        raise ValueError(f"{name} does not fit: its sizes are not those of a model: {error}") from error


def _filled(build: Callable[[], PoseTokenizer], state: State) -> PoseTokenizer:
    with torch.device("meta"):
        model = build()
    model.load_state_dict(state, strict=True, assign=True)
    return model


def _shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    return {key: tuple(value.shape) for key, value in model.state_dict().items()}


def _body(shape: int) -> Body:
    """Stands for SMPL while weights are written, of which only kind, licence and number of betas are asked."""
    body = stand_in("smpl", betas=shape)
    body.licence = SMPL_LICENCE
    return body


def _words(numbers: Mapping[str, Any], tokenizer: PoseTokenizer) -> str:
    return f"tokenizer: {tokenizer.tokens} tokens of {numbers['codes']} codes, by its tensors"


def _size(model: nn.Module) -> str:
    return f"{type(model).__name__}: {sum(value.numel() for value in model.parameters()):,} parameters"


def _save(model: nn.Module, out: Path, kind: str, files: list[Path], dtype: str, said: list[str]) -> list[str]:
    source = {"from": kind, "files": {path.name: _checksum(path) for path in files}}
    licences = {"weights": LICENCES[kind], "data": "of its owners" if kind == "mae" else DATA_LICENCE}
    save_pretrained(model, out, metadata={"licences": licences, "source": source}, dtype=dtype)
    need = "Their betas are SMPL's: put your own SMPL file where load_body finds it, or pass it to load."
    return [*said, f"written to {out}; {LICENCES[kind]}"] + ([need] if isinstance(model, (TokenHMR, HMR2)) else [])


def _checksum(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(2**22):
            digest.update(part)
    return f"sha256:{digest.hexdigest()}"


def _write(content: dict[str, Any], path: Path) -> str:
    temporary = path.with_name(f".{path.name}.part")
    try:
        torch.save(content, temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return f"written: {path}"


def _write_tokenizer(model: PoseTokenizer, out: Path) -> str:
    if bool(model.mean_pose.any()):
        raise ValueError("this tokenizer speaks of differences from its mean pose, which the public file cannot say")
    numbers = model.numbers
    arch = {
        "CODE_DIM": numbers["code_width"], "NB_CODE": numbers["codes"], "ROT_TYPE": "rot6d", "WIDTH": numbers["width"],
        "DOWN_T": numbers["downsamplings"], "DEPTH": numbers["depth"], "DILATION_RATE": numbers["dilation"],
        "TOKEN_SIZE_MUL": numbers["upsamplings"], "TOKEN_SIZE_DIV": numbers["stages"], "NB_JOINTS": numbers["joints"],
        "NUM_TOKENS": model.tokens,
    }  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    state = public.to_public(model.state_dict(), public.tokenizer_table(numbers))
    return _write({"net": OrderedDict(state), "hparams": {"ARCH": arch}}, out / "tokenizer.pth")


def _write_checkpoint(model: TokenHMR | HMR2, table: Table, out: Path) -> str:
    decoder = model.numbers["decoder"]
    head = {"depth": decoder["depth"], "heads": decoder["heads"], "dim_head": decoder["head_width"]}
    head |= {"mlp_dim": decoder["mlp_width"], "context_dim": model.numbers["backbone"]["width"]}
    config = {"MODEL": {"IMAGE_SIZE": 256, "SMPL_HEAD": {"TRANSFORMER_DECODER": head}}, "EXTRA": {"FOCAL_LENGTH": 5000}}
    state = OrderedDict(public.to_public(model.state_dict(), table)) | {"initialized": torch.tensor(True)}
    content = {"epoch": 0, "global_step": 0, "pytorch-lightning_version": LIGHTNING, "state_dict": state}
    return _write(content | {"hyper_parameters": {"cfg": config}}, out / "model.ckpt")
