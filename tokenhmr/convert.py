"""``python -m tokenhmr.convert``: public weights to a folder of ours that ``tokenhmr.load`` opens, and back."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

KINDS = {
    "official": "TokenHMR: tokenizer.pth, and a checkpoint that needs it",
    "hmr2": "HMR2.0 of 4D-Humans, also as hmr2_pretrained.pth",
    "vitpose": "a ViTPose backbone, to start training from",
    "mae": "a ViT in MAE's or timm's names, patches of 16x16, to start training from",
}
BACK = {"official": ("tokenhmr", "pose_tokenizer"), "hmr2": ("hmr2",), "vitpose": ("backbone",)}  # kinds of ours
NEEDED = {"official": ("tokenizer",), "hmr2": ("checkpoint",), "vitpose": ("checkpoint",), "mae": ("checkpoint",)}

DTYPES = ("float32", "float16", "int8")  # models.stored.DTYPES, whose torch is not loaded for --help

EPILOG = """\
examples:
  python -m tokenhmr.convert official --tokenizer tokenizer.pth --checkpoint tokenhmr_model_latest.ckpt \\
                                      --config model_config.yaml --out weights/tokenhmr
  python -m tokenhmr.convert official --tokenizer tokenizer.pth --out weights/tokenizer       the tokenizer alone
  python -m tokenhmr.convert hmr2 --checkpoint 'epoch=35-step=1000000.ckpt' --out weights/hmr2
  python -m tokenhmr.convert vitpose --checkpoint vitpose_backbone.pth --out weights/vitpose
  python -m tokenhmr.convert mae --checkpoint mae_pretrain_vit_base.pth --out weights/mae
  python -m tokenhmr.convert onnx --out model.onnx                  the default model, for onnxruntime
  python -m tokenhmr.convert mean runs/a/weights runs/b/weights --out soup       two legs of a training, number by number
  python -m tokenhmr.convert official --to official --weights weights/tokenhmr --out back

Where the files come from, under which licence, and what is said when one is not what it should be: docs/official_weights.md.
Nothing in a file is run, and no package that wrote it has to be installed. A file with a tensor too many, too few or of another
shape is refused as a whole.

exit status: 0 when the folder was written, 2 when nothing was.
"""


def parser() -> argparse.ArgumentParser:
    """The options of the command."""
    options = argparse.ArgumentParser(
        prog="python -m tokenhmr.convert",
        description="Public weights to a folder that tokenhmr.load opens, and back.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = options.add_subparsers(dest="kind", required=True, metavar="official|hmr2|vitpose|mae|onnx|mean")
    for kind, words in KINDS.items():
        add = commands.add_parser(kind, help=words, description=f"Convert {words}.").add_argument
        add("--to", choices=("ours", "official"), default="ours", help="which way (default: %(default)s)")
        if kind == "official":
            add("--tokenizer", type=Path, metavar="FILE", help="tokenizer.pth")
        add("--checkpoint", type=Path, metavar="FILE", help="the public checkpoint")
        if kind not in ("vitpose", "mae"):
            add("--config", type=Path, metavar="FILE", help="model_config.yaml, in place of what the checkpoint says itself")
        add("--heads", type=int, metavar="N", help="of the backbone's attention, for a width that is none of ViTPose's")
        add("--weights", type=Path, metavar="DIR", help="with --to official: the folder to convert back")
        add("--dtype", choices=DTYPES, help="of our file (default: float32)")
        add("--out", type=Path, required=True, metavar="DIR", help="folder for the result")
        add("--debug", action="store_true", help="show the traceback of an error")
    words = "weights of ours to their mean (a model soup), or one folder to another --dtype"
    add = commands.add_parser("mean", help=words, description=f"Convert {words}.").add_argument
    add("weights", nargs="+", metavar="NAME|DIR", help="'default', or a folder of save_pretrained; of the same kind and size")
    add("--shares", nargs="+", type=float, metavar="S", help="how much each counts (default: all alike)")
    add("--dtype", choices=DTYPES, default="float32", help="of the result (default: %(default)s)")
    add("--out", type=Path, required=True, metavar="DIR", help="folder for the result")
    add("--debug", action="store_true", help="show the traceback of an error")
    words = "an image model of ours as one ONNX file, crop to parameters, joints and mesh, to be run without torch"
    add = commands.add_parser("onnx", help=words, description=f"Write {words}; run.py beside it is a runner.").add_argument
    add("--weights", default="default", metavar="NAME|DIR", help="'default', or a folder of save_pretrained")
    add("--out", type=Path, default=Path("model.onnx"), metavar="FILE", help="where to write (default: %(default)s)")
    add("--debug", action="store_true", help="show the traceback of an error")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status."""
    options = parser().parse_args(arguments)
    try:
        said = {"onnx": _write_onnx, "mean": _write_mean}.get(options.kind, _convert)(options)
    except (OSError, ValueError) as error:
        if options.debug:
            traceback.print_exc()
        sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
        return 2
    sys.stdout.write("".join(f"{line}\n" for line in said))
    return 0


def _write_onnx(options: argparse.Namespace) -> list[str]:
    from tokenhmr.models.onnx_export import write_onnx  # torch comes with it: only now is it needed

    return write_onnx(options.weights, options.out)


def _write_mean(options: argparse.Namespace) -> list[str]:
    from tokenhmr.models.soup import convert_mean  # torch comes with it: only now is it needed

    return convert_mean(options.weights, options.out, shares=options.shares, dtype=options.dtype)


def _convert(options: argparse.Namespace) -> list[str]:
    _check(options)
    from tokenhmr.models import exchange  # torch comes with it: only now is it needed

    if options.to == "official":
        _check_kind(options.kind, options.weights)
        return exchange.to_official(options.weights, options.out)
    dtype = options.dtype or "float32"
    if options.kind == "vitpose":
        return exchange.convert_vitpose(options.checkpoint, options.out, heads=options.heads, dtype=dtype)
    if options.kind == "mae":
        return exchange.convert_mae(options.checkpoint, options.out, heads=options.heads, dtype=dtype)
    config = None if options.config is None else read_config(options.config)
    if options.kind == "hmr2":
        return exchange.convert_hmr2(options.checkpoint, options.out, config=config, heads=options.heads, dtype=dtype)
    if options.checkpoint is None:
        return exchange.convert_tokenizer(options.tokenizer, options.out, dtype=dtype)
    return exchange.convert_official(
        options.tokenizer, options.checkpoint, options.out, config=config, heads=options.heads, dtype=dtype
    )


def read_config(path: Path) -> dict[str, Any]:
    """A ``model_config.yaml``; interpolations stay as they are written. Raises ``FileNotFoundError`` or ``ValueError``."""
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is not YAML: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} is no configuration of a model")
    return content


def _check(options: argparse.Namespace) -> None:
    if options.to == "official" and options.kind == "mae":
        raise ValueError("convert mae: there is no way back to MAE's names; vitpose --to official writes a backbone")
    needed = ("weights",) if options.to == "official" else NEEDED[options.kind]
    missing = [f"--{name}" for name in needed if getattr(options, name) is None]
    if missing:
        why = " (a TokenHMR checkpoint does not hold its tokenizer)" if missing == ["--tokenizer"] else ""
        raise ValueError(f"convert {options.kind} --to {options.to} needs {', '.join(missing)}{why}")
    unheard = {"weights": "is for --to official"}
    if options.to == "official":
        unheard = dict.fromkeys(("tokenizer", "checkpoint", "config", "heads", "dtype"), "says nothing beside --to official")
    elif options.checkpoint is None:
        unheard |= dict.fromkeys(("config", "heads"), "says nothing of a tokenizer alone")
    for name, why in unheard.items():
        if getattr(options, name, None) is not None:
            raise ValueError(f"convert {options.kind}: --{name} {why}: leave it out")


def _check_kind(kind: str, weights: Path) -> None:
    """What is written goes by the folder; a ``ValueError`` where the command names another kind."""
    from tokenhmr.models.pretrained import read_config  # torch comes with it

    held = read_config(weights)["kind"]
    right = next((name for name, kinds in BACK.items() if held in kinds), kind)
    if right != kind:
        raise ValueError(f"{weights} holds a {held}: convert {right} --to official --weights {weights}")


if __name__ == "__main__":
    sys.exit(main())
