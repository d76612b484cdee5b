"""Laws of the house that need a program to check: lint, types, light imports, shapes in signatures, what a wheel carries."""

import ast
import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tokenhmr import resources

PACKAGE_FILES = sorted([*(ROOT / "tokenhmr").rglob("*.py"), *(ROOT / "tokenizer_train").rglob("*.py")])
SHAPED = {"Float", "Float16", "Float32", "Float64", "Int", "Int32", "Int64", "Integer", "UInt8", "Bool", "Shaped", "Num"}
BARE = {"Tensor", "ndarray"}
HEAVY = {"hydra", "omegaconf", "cv2", "accelerate", "webdataset", "smplx", "numba", "tensorboard", "matplotlib"}

# A folder of one machine, or the address of a package registry: neither means anything to anyone else.
MACHINE_PATH = re.compile(r"(?<![\w.~}/-])/(?:work|root|home|opt|farm|mnt|Users)/[a-zA-Z.]")
REGISTRY = re.compile(r"(?:index-url|find-links|/simple\b)|https?://(?:localhost|\d+\.\d+\.\d+\.\d+)", re.IGNORECASE)
TEXT = {".py", ".md", ".toml", ".yaml", ".yml", ".json", ".txt", ".cfg", ".sh", ""}


def run(*command: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def tracked() -> list[Path]:
    """What is, or is about to be, in the repository."""
    listed = run("git", "ls-files", "--cached", "--others", "--exclude-standard")
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).is_file()]


@pytest.mark.parametrize("task", [("check",), ("format", "--check")], ids=" ".join)
def test_ruff_is_content(task):
    ruff = pytest.importorskip("ruff", reason="ruff comes with the extra [dev]")
    done = run(sys.executable, "-m", ruff.__name__, *task, "--no-cache", ".")
    assert done.returncode == 0, done.stdout + done.stderr


def test_pyright_is_content():
    pytest.importorskip("pyright", reason="pyright comes with the extra [dev]")
    if run(sys.executable, "-m", "pyright", "--version").returncode:
        pytest.skip("pyright is installed but does not start (it needs node, or the network once)")
    done = run(sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "--outputjson")
    report = json.loads(done.stdout)
    errors = [d for d in report["generalDiagnostics"] if d["severity"] == "error"]
    assert report["summary"]["filesAnalyzed"] >= len(PACKAGE_FILES)
    assert not errors, "\n".join(f"{d['file']}:{d['range']['start']['line'] + 1} {d['message']}" for d in errors)


def loaded_by(module: str) -> tuple[set[str], float]:
    """Top-level packages that an import loads in a fresh interpreter, and its seconds."""
    program = (
        "import json, sys, time; before = set(sys.modules); start = time.perf_counter(); "
        f"import {module}; seconds = time.perf_counter() - start; "
        "print(json.dumps([sorted({m.partition('.')[0] for m in set(sys.modules) - before}), seconds]))"
    )
    done = run(sys.executable, "-c", program)
    assert done.returncode == 0, done.stderr
    names, seconds = json.loads(done.stdout)
    return set(names), seconds


def test_the_door_opens_at_once():
    names, _ = loaded_by("tokenhmr")
    assert names & {"torch", "numpy", "jaxtyping"} == set()
    # The fastest of three: another program on the machine is no fault of ours.
    assert min(loaded_by("tokenhmr")[1] for _ in range(3)) < 0.1


def test_models_need_no_training_or_picture_library():
    # Loading and saving stands above all models and the body: what it imports, they import.
    names, _ = loaded_by("tokenhmr.models.pretrained")
    assert names & HEAVY == set()
    assert {"torch", "roma"} <= names


def shapeless(annotation: ast.expr | None) -> bool:
    """Whether a tensor is named without a shape; what a callable takes is said where it is defined."""
    if annotation is None:
        return False
    if isinstance(annotation, ast.Subscript):
        name = annotation.value.attr if isinstance(annotation.value, ast.Attribute) else getattr(annotation.value, "id", "")
        return name not in {*SHAPED, "Callable"} and shapeless(annotation.slice)
    if isinstance(annotation, ast.Attribute):
        return annotation.attr in BARE
    if isinstance(annotation, ast.Name):
        return annotation.id in BARE
    return any(shapeless(child) for child in ast.iter_child_nodes(annotation) if isinstance(child, ast.expr))


def public_functions(tree: ast.Module) -> list[ast.FunctionDef]:
    scopes = [tree, *(node for node in tree.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_"))]
    found = [node for scope in scopes for node in scope.body if isinstance(node, ast.FunctionDef)]
    return [node for node in found if not node.name.startswith("_") or node.name in {"__init__", "__call__"}]


def bare_tensors(source: str) -> list[str]:
    wrong = []
    for function in public_functions(ast.parse(source)):
        arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
        wrong += [f"{function.name}({argument.arg})" for argument in arguments if shapeless(argument.annotation)]
        wrong += [f"{function.name} ->"] if shapeless(function.returns) else []
    return wrong


@pytest.mark.parametrize("path", PACKAGE_FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_public_tensors_say_their_shape(path):
    assert bare_tensors(path.read_text(encoding="utf-8")) == []


def test_a_tensor_without_a_shape_is_seen():
    source = "def f(x: Tensor | None, y: list[np.ndarray], z: Float[Tensor, 'n']) -> dict[str, torch.Tensor]: ..."
    assert bare_tensors(source) == ["f(x)", "f(y)", "f ->"]


def test_no_file_names_one_machine():
    own = Path(__file__).resolve()
    files = [path for path in tracked() if path.suffix in TEXT and path.resolve() != own]
    seen = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in files
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1)
        if MACHINE_PATH.search(line) or REGISTRY.search(line)
    ]
    assert seen == []


def test_resources_are_where_they_are_said_to_be():
    assert resources.config_folder().is_absolute()
    assert list(resources.config_folder().rglob("*.yaml"))
    assert list(resources.data_list_folder().iterdir())
    assert (resources.asset_folder() / "body" / "open.npz").is_file()


def test_a_wheel_carries_configs_lists_and_assets(tmp_path):
    pytest.importorskip("setuptools.build_meta", reason="setuptools builds the wheel")
    copy = tmp_path / "checkout"
    for path in tracked():
        target = copy / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    build = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"
    done = run(sys.executable, "-c", build, str(tmp_path), cwd=copy)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("tokenhmr-*.whl")
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if "dist-info" not in name}

    names = {path.relative_to(ROOT).as_posix() for path in tracked()}
    code_and_assets = {name for name in names if name.startswith("tokenhmr/")}
    tables = {f"tokenhmr/_{name}" for name in names if name.startswith(("configs/", "data_lists/"))}
    trainer = {f"tokenhmr/_{name}" for name in names if name.startswith("tokenizer_train/")}
    assert inside == code_and_assets | tables | trainer


def test_papers_point_to_what_exists():
    link = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")
    papers = [path for path in tracked() if path.suffix == ".md"]
    gone = [
        f"{path.relative_to(ROOT)}: {target}"
        for path in papers
        for target in link.findall(path.read_text(encoding="utf-8"))
        if not (path.parent / target).exists()
    ]
    assert gone == []


def test_readme_shows_the_two_commands_that_the_machine_runs():
    readme, script = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", ".ci/run"))
    assert "pip install -e . && python -m tokenhmr.demo" in readme
    assert "pip install -e '.[dev]' && pytest" in readme
    assert "pip install --quiet -e '.[dev]'" in script and "-m pytest" in script
