"""Weights by folder: ``model.safetensors`` and ``config.json``, nothing else and no pickle.

A folder is refused whole or loaded whole: every tensor's name and shape is compared with the model that ``config.json``
describes before any of them is read. The model is laid out on the meta device first, so that nothing is initialised only
to be thrown away.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from tokenhmr import __version__
from tokenhmr.body import Body
from tokenhmr.body.files import ASSETS
from tokenhmr.models.bodies import matching_body
from tokenhmr.models.finder import PersonFinder
from tokenhmr.models.hmr2 import HMR2, build_hmr2
from tokenhmr.models.parts import build_backbone, in_precision
from tokenhmr.models.stored import SCALE, State, packed, unpacked
from tokenhmr.models.tokenhmr import TokenHMR, build_tokenhmr
from tokenhmr.models.tokenizer import PoseTokenizer
from tokenhmr.models.undrawn import Undrawn
from tokenhmr.models.vit import ViT

WEIGHTS, CONFIG = "model.safetensors", "config.json"
FORMAT = 1  # raised when config.json changes its meaning
IMAGE_MODELS = {"tokenhmr": TokenHMR, "hmr2": HMR2}  # by the kind that config.json names
TOKENIZER, BACKBONE, FINDER = "pose_tokenizer", "backbone", "person_finder"
PREFIX = {TOKENIZER: "tokenizer.", BACKBONE: "backbone."}  # of a part's tensors inside an image model
KINDS = (*IMAGE_MODELS, *PREFIX, FINDER)
LARGEST_NUMBER = 2**16  # a width or depth beyond this is no model but an attack on the memory

ImageModel = TokenHMR | HMR2


def _folder(name_or_dir: str | os.PathLike[str]) -> Path:
    """``default`` is the folder inside the package; anything else is a path."""
    folder = ASSETS / "default" if str(name_or_dir) == "default" else Path(name_or_dir)
    missing = [name for name in (CONFIG, WEIGHTS) if not (folder / name).is_file()]
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder of weights at {folder}")
    if missing:
        raise FileNotFoundError(f"{folder} is no folder of weights: it has no {' and no '.join(missing)}")
    return folder


def read_config(name_or_dir: str | os.PathLike[str]) -> dict[str, Any]:
    """What ``config.json`` says of the weights: kind, numbers, body, licences, training notes, id.

    Raises ``FileNotFoundError``, or a ``ValueError`` that says what is wrong with the file.
    """
    path = _folder(name_or_dir) / CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(config, dict) or not isinstance(config.get("numbers"), dict):
        raise ValueError(f"{path} does not describe a model: it has no numbers")
    if config.get("format") != FORMAT:
        raise ValueError(f"{path} is of format {config.get('format')!r}, this version of tokenhmr reads {FORMAT}")
    if config.get("kind") not in KINDS:
        raise ValueError(f"{path} is of kind {config.get('kind')!r}, known are {', '.join(KINDS)}")
    _check_numbers(config["numbers"], path)
    return config


def _check_numbers(numbers: Mapping[str, Any], path: Path) -> None:
    """Sizes come from a file of unknown origin: refuse the absurd before a model is laid out."""
    for name, value in numbers.items():
        if isinstance(value, Mapping):
            _check_numbers(value, path)
        elif isinstance(value, (int, float)) and not (math.isfinite(value) and 0 <= value <= LARGEST_NUMBER):
            raise ValueError(f"{path} has {name} = {value}, which is no size of a model")


def _digest(state: State) -> str:
    """A name for exactly these numbers."""
    digest = hashlib.blake2b(digest_size=8)
    for name in sorted(state):
        digest.update(f"{name} {state[name].dtype} {tuple(state[name].shape)}".encode())
        digest.update(state[name].reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    """Write beside the target and rename: whoever reads sees the old file or the new one, never half of one."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        write(temporary)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def save_pretrained(
    model: nn.Module,  # TokenHMR, HMR2 or PoseTokenizer
    directory: str | os.PathLike[str],
    *,
    metadata: Mapping[str, Any] | None = None,  # into config.json: "licences", "training", "metrics", ...
    dtype: str = "float32",
) -> Path:
    """Write the two files and return their folder.

    ``dtype="float16"`` halves the file; numbers too large for it stay float32. ``"int8"`` quarters it but for vectors, tables
    and a tokenizer inside an image model, which become float16 (``stored.py``). Raises ``ValueError`` for a model that was not
    made from numbers, for another dtype, for numbers that are not finite and for metadata that JSON cannot hold.
    """
    config: dict[str, Any] = _describe(model) | {"dtype": dtype}
    config |= _metadata(metadata or {}, config)

    state = packed(model.state_dict(), dtype)
    config["id"] = _digest(state)
    try:
        text = json.dumps(config, indent=2, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"metadata does not fit into JSON: {error}") from error

    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    _replace(folder / WEIGHTS, lambda path: save_file(state, path, metadata={"format": "pt", "id": config["id"]}))
    _replace(folder / CONFIG, lambda path: path.write_text(text + "\n", encoding="utf-8"))
    return folder


def _metadata(given: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """What is said beside ``config``; licences are added to those that are known."""
    if not isinstance(given, Mapping) or not isinstance(given.get("licences", {}), Mapping):
        raise ValueError('metadata is a dict, and its "licences" are one too: {"licences": {"data": "CC0-1.0"}}')
    clash = sorted(set(config) & set(given) - {"licences"})
    if clash:
        raise ValueError(f"metadata may not replace {', '.join(clash)}")
    return dict(given) | {"licences": config["licences"] | dict(given.get("licences", {}))}


def _describe(model: nn.Module) -> dict[str, Any]:
    licences = {"code": "Apache-2.0"}
    body: dict[str, Any] = {}
    if isinstance(model, ImageModel):
        kind = next(name for name, made in IMAGE_MODELS.items() if isinstance(model, made))
        body = {"body": model.body.kind, "shape": model.body.shape_count}
        licences["body"] = model.body.licence
    elif isinstance(model, PoseTokenizer | ViT | PersonFinder):
        kind = {PoseTokenizer: TOKENIZER, ViT: BACKBONE, PersonFinder: FINDER}[type(model)]
    else:
        known = "TokenHMR, HMR2, PoseTokenizer, ViT, PersonFinder"
        inside = next((f": give .{name} of it" for name in ("module", "_orig_mod") if hasattr(model, name)), "")
        raise ValueError(f"a {type(model).__name__} is none of {known}{inside}")
    if not model.numbers:
        raise ValueError("this model was put together by hand; only one made by build_tokenhmr or build_hmr2 knows its numbers")
    return {
        "format": FORMAT, "tokenhmr": __version__, "kind": kind, "numbers": model.numbers, **body, "licences": licences,
    }  # fmt: skip


def load(name_or_dir: str | os.PathLike[str] = "default", *, body: Body | None = None, precision: str = "fp32") -> ImageModel:
    """The image model of a folder, in evaluation mode, on the CPU.

    Weights that speak of another body than the open one take it from ``body``, or from the user's own file where ``load_body``
    finds it; without one they are shown on the open body in its mean shape, and a warning says so. ``precision`` is that of
    the backbone: fp32, bf16 or fp16 (docs/precision.md says what each costs in accuracy); heads and geometry stay in float32.
    Raises ``FileNotFoundError`` for a folder that is not there or not complete, and one ``ValueError`` that lists everything
    that does not fit.
    """
    config = read_config(name_or_dir)
    if config["kind"] not in IMAGE_MODELS:
        opener = f"tokenhmr.models.pretrained.load_{config['kind'].removeprefix('pose_')}"
        raise ValueError(f"{name_or_dir} holds a {config['kind']}: open it with {opener}")
    if body is not None and not isinstance(body, Body):
        raise TypeError(f"body is a Body, as tokenhmr.body.load_body gives it, not a {type(body).__name__}")
    body, numbers = matching_body(config, body), dict(config["numbers"])

    def build() -> ImageModel:
        if config["kind"] == "hmr2":
            return build_hmr2(**numbers, body=body)
        inside = PoseTokenizer(**numbers["tokenizer"])
        return build_tokenhmr(**{**numbers, "tokenizer": inside}, body=body)

    model = _assemble(build, _folder(name_or_dir), config, "")
    in_precision(model.backbone, precision)
    model.card = config
    return model


def load_tokenizer(name_or_dir: str | os.PathLike[str] = "default") -> PoseTokenizer:
    """The pose tokenizer of its own folder, or the one inside an image model's; in evaluation mode, on the CPU, float32.

    Raises as ``load`` does.
    """
    return _part(name_or_dir, TOKENIZER, "tokenizer", lambda numbers: PoseTokenizer(**numbers))


def load_backbone(name_or_dir: str | os.PathLike[str]) -> ViT:
    """The backbone of its own folder, or the one inside an image model's: where a training may start. Raises as ``load``."""
    return _part(name_or_dir, BACKBONE, "backbone", build_backbone)


def load_finder(name_or_dir: str | os.PathLike[str] = "default") -> PersonFinder:
    """The finder of people of a folder, or the packaged one; in evaluation mode, on the CPU, float32. Raises as ``load``."""
    folder = ASSETS / "finder" if str(name_or_dir) == "default" else name_or_dir
    config = read_config(folder)
    if config["kind"] != FINDER:
        raise ValueError(f"{folder} holds a {config['kind']}, no {FINDER}")
    return _assemble(lambda: PersonFinder(**config["numbers"]), Path(folder), config, "")


def load_any(name_or_dir: str | os.PathLike[str]) -> ImageModel | PoseTokenizer | ViT | PersonFinder:
    """Whatever a folder holds, by the kind that its ``config.json`` names; bodies that are not there are stood in for."""
    kind = read_config(name_or_dir)["kind"]
    openers: dict[str, Callable[[Any], Any]] = {
        TOKENIZER: load_tokenizer,
        BACKBONE: load_backbone,
        FINDER: load_finder,
    }
    return openers.get(kind, load)(name_or_dir)


def _part(name_or_dir: str | os.PathLike[str], kind: str, key: str, build: Callable[[dict[str, Any]], Any]) -> Any:
    config = read_config(name_or_dir)
    inside = config["kind"] != kind
    numbers = config["numbers"].get(key) if inside else config["numbers"]
    if not isinstance(numbers, dict):
        raise ValueError(f"{name_or_dir} holds a {config['kind']}, which has no {key}, or its {CONFIG} does not describe it")
    return _assemble(lambda: build(numbers), _folder(name_or_dir), config, PREFIX[kind] if inside else "")


def _assemble(build: Callable[[], Any], folder: Path, config: Mapping[str, Any], prefix: str) -> Any:
    """Lay the model out without memory, compare, then hang the file's tensors into it."""
    try:
        with torch.device("meta"), Undrawn():
            model = build()
    except (TypeError, ValueError, RuntimeError, KeyError, ZeroDivisionError, AttributeError) as error:
        raise ValueError(f"{folder / CONFIG} does not describe a {config['kind']}: {error}") from error
    state = _read(folder / WEIGHTS, model.state_dict(), config.get("id"), prefix)
    model.load_state_dict(state, strict=True, assign=True)
    return model.eval()


def _read(path: Path, expected: State, identity: Any, prefix: str) -> State:
    """The tensors under ``prefix``, in float32, once all of them are known to fit."""
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            owner = (file.metadata() or {}).get("id")
            found = {name.removeprefix(prefix): file.get_slice(name) for name in file.keys() if name.startswith(prefix)}  # noqa: SIM118
            # What is rounded to eight bits has the worth of a step beside it, one for each row.
            rounded = [name for name in expected if name in found and expected[name].ndim and found[name].get_dtype() == "I8"]
            shapes = {name: list(value.shape) for name, value in expected.items()}
            shapes |= {name + SCALE: shapes[name][:1] for name in rounded}
            problems = _differences(shapes, {name: found[name].get_shape() for name in found})
            if owner is not None and identity is not None and owner != identity:
                problems.insert(0, f"it belongs to weights {owner}, {CONFIG} beside it to {identity}")
            if problems:
                raise ValueError(f"{path} does not fit its {CONFIG}: {'; '.join(problems)}")
            state = {name: file.get_tensor(prefix + name) for name in shapes}
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is not a safetensors file: {error}") from error
    state = {name: unpacked(state[name], state.get(name + SCALE) if name in rounded else None) for name in expected}
    wrong = [name for name in expected if state[name].is_floating_point() != expected[name].is_floating_point()]
    if wrong:
        raise ValueError(f"{path} does not fit its {CONFIG}: numbers of another type in {_listed(wrong)}")
    return state


def _differences(expected: Mapping[str, list[int]], found: Mapping[str, list[int]]) -> list[str]:
    misshapen = [
        f"{name} is {list(found[name])} and should be {expected[name]}"
        for name in expected
        if name in found and list(found[name]) != expected[name]
    ]
    kinds = {
        "missing": [name for name in expected if name not in found],
        "surplus": [name for name in found if name not in expected],
        "of another shape": misshapen,
    }
    return [f"{len(names)} {kind}: {_listed(names)}" for kind, names in kinds.items() if names]


def _listed(names: list[str], most: int = 20) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
