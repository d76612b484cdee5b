"""pytorch3d is imported only by the renderer that is asked for by its name; all else is the same with it installed or not."""

import ast
import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT

FILES = sorted(path for folder in ("tokenhmr", "tokenizer_train", "benchmarks") for path in (ROOT / folder).rglob("*.py"))
ON_REQUEST = "tokenhmr/render/with_pytorch3d.py"  # and there inside a function: rasterize(..., backend="pytorch3d")

PROGRAM = """
import hashlib, sys, torch
from tokenhmr import rotations
from tokenhmr.body import load_body
from tokenhmr.losses.pose import squared_frobenius
from tokenhmr.structs import Pose
torch.manual_seed(0)
vectors, six = torch.randn(4, 24, 3), torch.randn(4, 24, 6)
turns = rotations.axis_angle_to_matrix(vectors)
posed = load_body()(Pose(global_orient=turns[:, 0], body=turns[:, 1:], betas=torch.randn(4, 10)))
found = [turns, rotations.matrix_to_axis_angle(turns), rotations.rows_to_matrix(six), rotations.columns_to_matrix(six)]
found += [rotations.geodesic_angle(turns[:2], turns[2:]), squared_frobenius(turns[:2], turns[2:]), posed.joints]
digest = hashlib.blake2b()
for tensor in found:
    digest.update(tensor.contiguous().numpy().tobytes())
print(digest.hexdigest(), "pytorch3d" in sys.modules)
"""


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("pytorch3d."):
            yield node.value  # import_module("pytorch3d...")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_file_imports_it_unasked(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if path.relative_to(ROOT).as_posix() == ON_REQUEST:
        tree.body = [node for node in tree.body if not isinstance(node, ast.FunctionDef)]
    assert not [name for name in imported(tree) if name.partition(".")[0] == "pytorch3d"]


def test_an_import_would_be_seen():
    for source in ("import pytorch3d.ops", "from pytorch3d.transforms import x", "import_module('pytorch3d.ops')"):
        assert list(imported(ast.parse(source)))


def test_results_are_the_same_with_it_installed_or_not(tmp_path, one_thread, capsys):
    """In a process that finds a package of that name, which breaks when it is touched, and in this one."""
    (tmp_path / "pytorch3d").mkdir()
    (tmp_path / "pytorch3d" / "__init__.py").write_text("raise ImportError('touched')\n")
    alone = {"PYTHONPATH": os.pathsep.join(map(str, [tmp_path, ROOT])), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=os.environ | alone, capture_output=True, text=True, check=True)
    exec(PROGRAM, {})
    digest, loaded = done.stdout.split()
    assert digest == capsys.readouterr().out.split()[0]
    assert loaded == "False"
