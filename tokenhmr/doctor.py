"""``python -m tokenhmr.doctor [FILE ...]``: what this machine and these files can do, and what is missing, in plain words."""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import json
import os
import platform
import shutil
import sys
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tokenhmr import __version__

FILES = "pictures, videos, body files, folders of weights, shards (.tar), boxes, cameras and joints for the demo (.json, .csv)"
GOOD, LACKING, BROKEN = "ok", "--", "NO"  # all is well; something optional is missing; something needed is missing

# Module, distribution, what it is for; needed where the demo on pictures does not run without it.
LIBRARIES = (
    ("numpy", "numpy", "", True),
    ("torch", "torch", "", True),
    ("safetensors", "safetensors", "weights", True),
    ("roma", "roma", "rotations", True),
    ("jaxtyping", "jaxtyping", "", True),
    ("cv2", "opencv-python-headless", "pictures", True),
    ("PIL", "pillow", "pictures", True),
    ("scipy", "scipy", "tracks and smoothing in videos", True),
    ("rich", "rich", "progress", True),
    ("av", "av", "videos", False),
    ("numba", "numba", "fast drawing (without it NumPy draws, several times slower)", False),
    ("accelerate", "accelerate", "training", False),
    ("hydra", "hydra-core", "training", False),
    ("webdataset", "webdataset", "training on pictures", False),
    ("tensorboard", "tensorboard", "pictures and curves of training", False),
    ("torchvision", "torchvision", "--detector torchvision", False),
    ("transformers", "transformers", "--detector rtdetr", False),
)
LEAST_DISK = 1e9  # bytes
# What is good for another command, by its ending.
ELSEWHERE = {
    **dict.fromkeys((".pth", ".pt", ".ckpt"), "weights of others: python -m tokenhmr.convert makes a folder of ours of them"),
    ".safetensors": "weights are looked at with their config.json: name the folder",
    ".yaml": "a list or a configuration: python -m tokenhmr.data.prepare check LIST.yaml looks through the data of a list",
}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line."""

    state: str  # GOOD, LACKING, BROKEN
    line: str


def _machine() -> Iterator[Finding]:
    python = sys.version_info[:2]
    state = GOOD if (3, 10) <= python < (3, 14) else BROKEN
    wanted = "" if state == GOOD else "; this package is for Python 3.10 to 3.13"
    yield Finding(state=state, line=f"Python {platform.python_version()} on {platform.system()} {platform.machine()}{wanted}")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Finding(state=GOOD, line=f"{cores} processor cores")
    free = shutil.disk_usage(Path.cwd()).free
    low = free < LEAST_DISK
    yield Finding(state=LACKING if low else GOOD, line=f"{free / 1e9:.1f} GB free here{': little for videos' if low else ''}")
    if not os.access(Path.cwd(), os.W_OK):
        yield Finding(state=LACKING, line=f"{Path.cwd()} cannot be written to: give --out a folder that can")


def _libraries() -> Iterator[Finding]:
    for module, distribution, purpose, needed in LIBRARIES:
        use = f" ({purpose})" if purpose else ""
        try:
            importlib.import_module(module)
            version = importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            yield Finding(state=GOOD, line=f"{module}{use}")
        except ImportError as error:
            missing = f"{distribution} is missing{use}: pip install {distribution}"
            broken = f"{distribution} does not start{use}: {' '.join(str(error).split())[:160]}"
            absent = isinstance(error, ModuleNotFoundError) and error.name == module
            yield Finding(state=BROKEN if needed else LACKING, line=missing if absent else broken)
        except Exception as error:  # a library that breaks on import is what a doctor is there to tell
            line = f"{distribution} breaks when it is loaded{use}: {type(error).__name__}: {' '.join(str(error).split())[:160]}"
            yield Finding(state=BROKEN if needed else LACKING, line=line)
        else:
            yield Finding(state=GOOD, line=f"{distribution} {version}{use}")


def _devices() -> Iterator[Finding]:
    import torch

    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            facts = torch.cuda.get_device_properties(number)
            yield Finding(state=GOOD, line=f"cuda:{number}: {facts.name}, {facts.total_memory / 2**30:.0f} GiB")
    else:
        built = "this PyTorch is built without CUDA" if torch.version.cuda is None else "CUDA sees none"
        yield Finding(state=LACKING, line=f"no GPU ({built}): everything runs on the processor, training takes long")


def _assets() -> Iterator[Finding]:
    from tokenhmr.body import load_body
    from tokenhmr.models.pretrained import load, load_finder
    from tokenhmr.resources import config_folder, data_list_folder

    def body() -> str:
        open_body = load_body("open")
        return (
            f"the open body: {open_body.vertex_count} vertices, {open_body.shape_count} shape directions; {open_body.licence}"
        )

    def weights() -> str:
        card = load("default").card
        return (
            f"the default weights {card.get('id', '')}: {'; '.join(f'{k}: {v}' for k, v in card.get('licences', {}).items())}"
        )

    def detector() -> str:
        count = sum(parameter.numel() for parameter in load_finder().parameters())
        return f"the finder of people that the demo looks with: {count:,} parameters"

    def tables() -> str:
        return f"configurations in {config_folder()}, lists of pictures in {data_list_folder()}"

    yield from (_try(check) for check in (body, weights, detector, tables))


def _try(check: Callable[[], str]) -> Finding:
    try:
        return Finding(state=GOOD, line=check())
    except Exception as error:  # whatever it is, it is told in one line, and the rest is looked at
        said = isinstance(error, (OSError, ValueError))  # of our own checks: a sentence, whose class says nothing more
        line = str(error) if said else f"{type(error).__name__}: {error}"
        return Finding(state=BROKEN, line=" ".join(line.split())[:300])


def _file(path: Path) -> Finding:
    """What a picture, video, body file, shard, JSON of the demo or folder of weights is good for."""

    def look() -> str:
        if not path.exists():
            raise FileNotFoundError("no such file or folder")
        if path.is_dir():
            return _weights_folder(path)
        ending = path.suffix.lower()
        if ending in ELSEWHERE:
            raise ValueError(ELSEWHERE[ending])
        if ending == ".tar":
            return _shard(path)
        if ending in {".json", ".csv"}:
            return _said_of_pictures(path)
        if ending in {".npz", ".pkl"}:
            from tokenhmr.body import load_body

            body = load_body(str(path))
            return f"a body of {body.vertex_count} vertices and {body.shape_count} shape directions; {body.licence}"
        return _picture_or_video(path)

    found = _try(look)
    return Finding(state=found.state, line=f"{path}: {found.line}")


def _weights_folder(path: Path) -> str:
    from tokenhmr.models.pretrained import load, load_tokenizer, read_config

    config = read_config(path)
    kind, size = config["kind"], 0
    model = load(path) if kind != "tokenizer" else load_tokenizer(path)
    size = sum(parameter.numel() for parameter in model.parameters())
    return f"weights of a {kind}, {size / 1e6:.1f} million numbers; {_licences(config)}"


def _licences(card: Mapping[str, Any]) -> str:
    return "; ".join(f"{what}: {licence}" for what, licence in card.get("licences", {}).items())


def _shard(path: Path) -> str:
    try:
        with tarfile.open(path) as tar:
            names = [member.name for member in tar if member.isfile()]
    except tarfile.TarError as error:
        raise ValueError(f"not a whole tar ({error})") from error
    labels = sum(name.endswith((".json", ".pyd")) for name in names)  # ours, and those of 4D-Humans
    if not labels:
        raise ValueError(f"a tar of {len(names)} files without labels: no shard of annotated pictures")
    return f"a shard with {labels} labels among {len(names)} files: python -m tokenhmr.data.prepare check {path} looks at each"


def _said_of_pictures(path: Path) -> str:
    """What a JSON or CSV file is to the demo: cameras, boxes or joints."""
    from tokenhmr.demo.boxes import read_boxes
    from tokenhmr.demo.camera import read_cameras
    from tokenhmr.demo.keypoints import read_keypoints

    if path.suffix.lower() == ".json":
        try:
            json.loads(path.read_text(encoding="utf-8-sig"))
        except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
            raise ValueError(f"no JSON ({error})") from error
        with suppress(ValueError):
            cameras = read_cameras(path)
            return (
                f"cameras for the demo (--camera): {len(cameras.by_frame)} by frame, {int(cameras.common is not None)} for all"
            )
        with suppress(ValueError):
            return f"joints for the demo (--refine), of {len(read_keypoints(path).frames)} pictures or clips"
    listed = read_boxes(path)
    if listed.wrong:
        raise ValueError(f"neither cameras nor joints nor boxes of the demo: {next(iter(listed.wrong.values()))}")
    return f"boxes for the demo (--boxes), of {len(listed.boxes)} pictures or frames"


def _picture_or_video(path: Path) -> str:
    from tokenhmr.demo.inputs import VIDEO_SUFFIXES, Input
    from tokenhmr.demo.pictures import open_picture
    from tokenhmr.demo.video import open_clip

    if path.suffix.lower() in VIDEO_SUFFIXES:
        clip = open_clip(Input(path=path, result=path.stem))
        first = next(clip.moments()).image
        frames = "an unknown number of" if clip.expected is None else clip.expected
        return f"a video of {frames} frames, {first.shape[1]}x{first.shape[0]}, {float(clip.rate):.3g} frames a second"
    picture = open_picture(path)
    focal = "its camera is not known" if picture.focal is None else f"focal length {picture.focal:.0f} pixels by its EXIF"
    return f"a picture of {picture.size[0]}x{picture.size[1]} pixels; {focal}"


def examine(files: Sequence[Path]) -> dict[str, list[Finding]]:
    """All findings, by heading. Each check is on its own: one that fails hides no other."""
    findings = {"machine": list(_machine()), "libraries": list(_libraries())}
    if all(finding.state != BROKEN for finding in findings["libraries"]):
        findings["devices"] = list(_devices())
        findings["this package"] = list(_assets())
    if files:
        findings["your files"] = [_file(path) for path in files]
    return findings


def verdict(findings: dict[str, list[Finding]]) -> tuple[bool, str]:
    """Whether the demo runs, and what to say of it."""
    bad = [finding for group in findings.values() for finding in group if finding.state == BROKEN]
    if not bad:
        return True, "The demo runs here: python -m tokenhmr.demo"
    return False, f"{len(bad)} of these must be mended first; they are marked {BROKEN}."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 where nothing needed is missing, else 2."""
    parser = argparse.ArgumentParser(
        prog="python -m tokenhmr.doctor",
        description="Say what this machine and your files can do, and what is missing.",
        epilog=f"{GOOD}: all is well; {LACKING}: not there, needed only for what the line says; {BROKEN}: has to be mended. "
        "Nothing is changed, downloaded or sent. Exit status: 0, or 2 where something has to be mended.",
    )
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help=FILES)
    parser.add_argument("--json", action="store_true", help="the same as one JSON object on standard output")
    options = parser.parse_args(arguments)
    findings = examine(options.files)
    well, line = verdict(findings)
    if options.json:
        groups = {name: [asdict(finding) for finding in group] for name, group in findings.items()}
        sys.stdout.write(json.dumps({"tokenhmr": __version__, "well": well, **groups}, ensure_ascii=False) + "\n")
    else:
        for name, group in findings.items():
            rows = "".join(f"  {finding.state}  {finding.line}\n" for finding in group)
            sys.stdout.write(f"{name}\n{rows}")
        sys.stdout.write(f"{line}\n")
    return 0 if well else 2


if __name__ == "__main__":
    sys.exit(main())
