"""Who may import whom (CONTRIBUTING.md, 'Floors'): read from the syntax tree, so nothing is imported to find out."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

FLOORS = [
    {"structs", "rotations", "camera", "skeleton", "rectangles", "device", "safefile", "resources", "wholefile"},
    {"body", "mesh"},
    {"models", "losses", "data", "render"},
    {"training", "evaluation", "synthesis"},
    {"demo", "train", "train_finder", "convert", "doctor", "tokenizer_train", "entry"},
]
FLOOR = {room: height for height, rooms in enumerate(FLOORS) for room in rooms}
ROOF = len(FLOORS) - 1

# Inside models: blocks, then tokenizers, then model files (all that is not named), then what loads them.
BLOCKS = (
    "vit", "resnet", "hrnet", "transformer", "mixer", "convolution", "locator", "places", "quantizer", "parts", "discriminator",
    "public_weights", "stored",
)  # fmt: skip
MODEL_STAGE = dict.fromkeys(BLOCKS, 0) | {
    "tokenizer": 1,
    "pct": 1,
    "pretrained": 3,
    "onnx_export": 3,
    "exchange": 3,
    "flip_test": 3,
    "soup": 4,
    "__init__": 3,
}

# One gate for each outside library: the only files or rooms that may import it. "entry" is every file of the roof but demo.
GATES = {
    "hydra": {"entry"},
    "omegaconf": {"entry"},
    "accelerate": {"entry", "training"},
    "webdataset": {"data/shards"},
    "smplx": {"body"},
    "chumpy": {"body"},
    "numba": {"render", "synthesis"},
    "pytorch3d": {"render"},
    "onnx": {"models/onnx_export"},
    "onnxruntime": {"models/onnx_export"},
    "av": {"demo"},
    "simplejpeg": {"data/crop"},
    "cv2": {"data/crop", "data/disturb", "data/shards", "data/writer", "data/prepare", "render", "synthesis", "demo"},
}
LIGHT_ROOMS = FLOORS[0] | FLOORS[1] | {"models"}
LIGHT = {"torch", "numpy", "einops", "roma", "jaxtyping", "safetensors"}

FILES = sorted([*(ROOT / "tokenhmr").rglob("*.py"), *(ROOT / "tokenizer_train").rglob("*.py")])


def module_name(path: Path) -> str:
    """tokenhmr/data/crop.py -> data/crop; a room's __init__ keeps its name."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return "/".join(parts[1:] if parts[0] == "tokenhmr" else parts)


def is_entry(module: str) -> bool:
    room = module.partition("/")[0]
    called = module.endswith("__main__") or module in {"data/prepare", "body/bake"}
    return called or (FLOOR.get(room) == ROOF and room != "demo") or module == "__init__"  # the door stands on top


def room_of(module: str) -> str:
    return "entry" if is_entry(module) else module.partition("/")[0]


def imported(source: str) -> Iterator[str]:
    """Dotted names of all that is imported, anywhere in the file, also for type checking only."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute: an entry run as a script knows no package"
            below = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from below if node.module == "tokenhmr" or (node.module or "").count(".") == 1 else [node.module]


def own_modules(source: str) -> set[str]:
    """Modules of ours that a file imports, as 'room' or 'room/file'; the version is free for all."""
    names = {name for name in imported(source) if name.partition(".")[0] in {"tokenhmr", "tokenizer_train"}}
    return {name.removeprefix("tokenhmr.").replace(".", "/") for name in names - {"tokenhmr.__version__"}}


def broken_floors(module: str, source: str) -> set[str]:
    """What this module imports and may not."""
    room, wrong = room_of(module), set()
    for target in own_modules(source):
        other = "entry" if target == "tokenhmr" else room_of(target)
        if other == room and other != "entry":
            continue
        allowed_on_the_roof = other == "demo" or target.partition("/")[0] == "entry"  # what entries share
        if FLOOR.get(other, ROOF) >= FLOOR[room] and not (room == "entry" and allowed_on_the_roof):
            wrong.add(target)
    return wrong


def broken_stages(module: str, source: str) -> set[str]:
    """Inside models: what a file imports from a stage above its own, or from another model file."""
    stage = MODEL_STAGE.get(module.partition("/")[2], 2)
    others = {target.split("/")[1] for target in own_modules(source) if target.startswith("models/")}
    return {other for other in others if MODEL_STAGE.get(other, 2) > stage or MODEL_STAGE.get(other, 2) == stage == 2}


def broken_gates(module: str, source: str) -> set[str]:
    """Outside libraries that this module imports past their gate."""
    names = {name.partition(".")[0] for name in imported(source)}
    keys = {module, room_of(module), module.partition("/")[0]}  # an entry inside a room has the room's keys too
    return {name for name in names & set(GATES) if not keys & GATES[name]}


def top_level_outsiders(source: str) -> set[str]:
    """Outside libraries that are loaded as soon as the file is."""
    tree = ast.parse(source)
    tree.body = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {name.partition(".")[0] for name in imported(ast.unparse(tree))}
    return names - set(sys.stdlib_module_names) - {"tokenhmr"}


def import_effects(source: str) -> list[int]:
    """Lines at module level that do something rather than name something."""
    calls = [n for n in ast.parse(source).body if isinstance(n, ast.Expr) and not isinstance(n.value, ast.Constant)]
    return [node.lineno for node in calls]


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_a_file_keeps_the_floors(path):
    module, source = module_name(path), path.read_text(encoding="utf-8")
    assert room_of(module) in FLOOR, f"{module} stands on no floor: name its room in FLOORS"
    assert broken_floors(module, source) == set()
    assert broken_gates(module, source) == set()
    assert import_effects(source) == []
    if module.startswith("models/"):
        assert broken_stages(module, source) == set()
    if room_of(module) in LIGHT_ROOMS:
        assert top_level_outsiders(source) <= LIGHT


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("losses/pose", "from tokenhmr.models.tokenizer import PoseTokenizer"),
        ("losses/pose", "from tokenhmr.data import crop"),
        ("structs", "from tokenhmr import body"),
        ("structs", "from tokenhmr.rotations import rows_to_matrix"),
        ("body/model", "import tokenhmr.training.loop"),
        ("data/crop", "from tokenhmr.data.prepare import main"),
        ("training/loop", "from tokenhmr.train import main"),
        ("demo/predictor", "from tokenhmr.demo.__main__ import main"),
        ("models/vit", "import tokenhmr"),
        ("render/picture", "from tokenhmr import Predictor"),
        ("training/loop", "from tokenhmr.entry import run_hydra"),
        ("tokenizer_train/train", "from tokenhmr.train import main"),
    ],
)
def test_the_floors_refuse(module, line):
    assert broken_floors(module, line)


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("models/vit", "from tokenhmr import __version__"),
        ("models/tokenhmr", "from tokenhmr.body.model import Body"),
        ("training/loop", "from tokenhmr.losses.objective import Objective"),
        ("demo/__main__", "from tokenhmr.demo.predictor import Predictor"),
        ("train", "from tokenhmr.synthesis.write import synthesize"),
        ("tokenizer_train/train", "from tokenhmr.models.tokenizer import PoseTokenizer"),
        ("tokenizer_train/train", "from tokenhmr.entry import run_hydra"),
    ],
)
def test_the_floors_allow(module, line):
    assert broken_floors(module, line) == set()


def test_the_stages_of_models_refuse_siblings_and_what_is_above():
    assert broken_stages("models/quantizer", "from tokenhmr.models.tokenizer import PoseTokenizer") == {"tokenizer"}
    assert broken_stages("models/hmr2", "from tokenhmr.models.tokenhmr import TokenHMR") == {"tokenhmr"}
    assert broken_stages("models/tokenhmr", "from tokenhmr.models.pretrained import load") == {"pretrained"}
    assert broken_stages("models/tokenhmr", "from tokenhmr.models import vit, tokenizer") == set()


@pytest.mark.parametrize("library", sorted(GATES))
def test_every_gate_is_shut_to_the_ground_floor(library):
    assert broken_gates("camera", f"def later():\n    from {library} import thing") == {library}


def test_an_import_with_an_effect_is_seen():
    assert import_effects('"""Words."""\nimport torch\ntorch.set_num_threads(1)\n') == [3]
