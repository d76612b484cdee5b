"""The model as an ONNX file: same numbers as torch, any batch, and a runner that needs nothing of ours."""

import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch

from tests.demo_tools import tiny_model
from tokenhmr.convert import main
from tokenhmr.demo.pictures import sample_folder
from tokenhmr.demo.predictor import Predictor
from tokenhmr.models import onnx_export
from tokenhmr.models.pretrained import save_pretrained

onnx = pytest.importorskip("onnx", reason="onnx comes with the extra [onnx]")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime comes with the extra [onnx]")

BOX = np.array([[40.0, 10.0, 400.0, 500.0]])


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("onnx")
    save_pretrained(tiny_model(), folder / "weights", metadata={"licences": {"data": "none, made up"}})
    return onnx_export.export_onnx(str(folder / "weights"), folder / "new" / "model.onnx")


def test_the_graph_says_what_torch_says(exported):
    assert exported.difference is not None
    assert all(exported.difference[name] <= onnx_export.BUDGET[name] for name in onnx_export.OUTPUTS)
    session = onnxruntime.InferenceSession(str(exported.file), providers=["CPUExecutionProvider"])
    crops = np.random.default_rng(1).integers(0, 256, (5, 256, 256, 3), dtype=np.uint8)
    together = session.run(None, {"crops": crops})
    alone = [session.run(None, {"crops": crop[None]}) for crop in crops]
    for column, name in enumerate(onnx_export.OUTPUTS):
        assert np.allclose(together[column], np.concatenate([one[column] for one in alone]), atol=onnx_export.BUDGET[name])
    assert not np.allclose(together[1][0], together[1][1], atol=1e-5), "the crop does not reach the pose"


def test_only_ordinary_operators_and_the_licences_inside(exported):
    graph = onnx.load(str(exported.file))
    assert {one.domain for one in graph.opset_import} == {""} and graph.opset_import[0].version == onnx_export.OPSET
    words = {entry.key: entry.value for entry in graph.metadata_props}
    assert words["body"] == "open" and "none, made up" in words["licences"]
    assert {output.name for output in graph.graph.output} == set(onnx_export.OUTPUTS) <= set(words)


def test_the_runner_has_twenty_lines_and_finds_the_same_body(exported, tmp_path):
    source = exported.runner.read_text()
    assert (
        len([line for line in source.splitlines() if line.strip()]) <= 20
        and "tokenhmr" not in source
        and "torch\n" not in source
    )
    picture = sample_folder() / "skimage_astronaut.jpg"
    command = [sys.executable, str(exported.runner), str(exported.file), str(picture), *map(str, BOX[0])]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    image = cv2.cvtColor(cv2.imread(str(picture)), cv2.COLOR_BGR2RGB)
    (person,) = Predictor(tiny_model())(image, BOX)
    with np.load(tmp_path / "body.npz") as body:
        assert np.abs(body["vertices"][0] - person.vertices).max() < 1e-3
        assert np.abs(body["body_pose"][0] - person.body_pose).max() < 1e-3


def test_a_model_that_is_told_the_camera_has_one_more_input(tmp_path):
    model = tiny_model(camera_token=True)
    torch.nn.init.normal_(model.camera_token.say)
    save_pretrained(model, tmp_path / "weights")
    made = onnx_export.export_onnx(str(tmp_path / "weights"), tmp_path / "model.onnx")  # compares both inputs with torch
    assert made.difference is not None
    session = onnxruntime.InferenceSession(str(made.file), providers=["CPUExecutionProvider"])
    assert [entry.name for entry in session.get_inputs()] == ["crops", "view"]
    picture = sample_folder() / "skimage_astronaut.jpg"
    image = cv2.cvtColor(cv2.imread(str(picture)), cv2.COLOR_BGR2RGB)
    for focal in (None, 400.0):
        command = [
            sys.executable,
            str(made.runner),
            str(made.file),
            str(picture),
            *map(str, [*BOX[0], *([focal] if focal else [])]),
        ]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        (person,) = Predictor(model)(image, BOX, focal=focal)
        with np.load(tmp_path / "body.npz") as body:
            assert np.abs(body["global_orient"][0] - person.global_orient).max() < 1e-3


def test_a_graph_that_says_something_else_is_not_written(exported):
    other = tiny_model()
    with torch.no_grad():
        other.heads.camera.bias += 0.1
    with pytest.raises(ValueError, match="differs from torch in camera"):
        onnx_export.compare(exported.file, other)


def test_the_command_says_what_it_wrote(exported, tmp_path, capsys):
    weights = str(exported.file.parent.parent / "weights")
    assert main(["onnx", "--weights", weights, "--out", str(tmp_path / "here.onnx")]) == 0
    said = capsys.readouterr().out
    assert "here.onnx" in said and "largest difference to torch" in said
    assert {path.name for path in tmp_path.iterdir()} == {"here.onnx", "run.py"}


def test_another_name_is_refused_in_one_line(exported, tmp_path, capsys):
    weights = str(exported.file.parent.parent / "weights")
    assert main(["onnx", "--weights", weights, "--out", str(tmp_path / "model.pt")]) == 2
    assert capsys.readouterr().err.count("\n") == 1 and list(tmp_path.iterdir()) == []
