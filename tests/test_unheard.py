"""What is set and would go unheard is refused, in words that say what to do."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from jaxtyping import TypeCheckError
from omegaconf import OmegaConf

import tokenhmr
from tests.conftest import ROOT
from tokenhmr.data import prepare
from tokenhmr.data.mixtures import read_motion_list
from tokenhmr.data.sources import parse_data_list
from tokenhmr.data.writer import person
from tokenhmr.demo.boxes import read_boxes
from tokenhmr.demo.camera import read_cameras
from tokenhmr.device import working_device
from tokenhmr.entry import COMMANDS, check_settings, made_by
from tokenhmr.evaluation.protocol import Reporting, Settings
from tokenhmr.evaluation.thresholds import MeasureThresholds
from tokenhmr.losses.objective import Objective
from tokenhmr.models.pretrained import load_tokenizer
from tokenhmr.resources import config_folder
from tokenhmr.synthesis.__main__ import main as synthesis
from tokenhmr.training.best import Best
from tokenhmr.training.course import read_pace
from tokenhmr.training.motion import PoseBatches

EXPERIMENTS = sorted(path.stem for path in (ROOT / "configs" / "experiment").glob("*.yaml"))
PROTOCOLS = sorted(path.stem for path in (ROOT / "configs" / "protocol").glob("*.yaml"))


def composed(entry, *words):
    with initialize_config_dir(version_base="1.3", config_dir=str(config_folder())):
        return compose(entry, list(words))


# ------------------------------------------------------------------------------------------------ settings of hydra commands


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_of_ours_sets_what_its_command_has(name):
    command = OmegaConf.load(ROOT / "configs" / "experiment" / f"{name}.yaml").command
    check_settings(composed(command, f"experiment={name}"), command)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_protocol_sets_what_evaluation_has(name):
    check_settings(composed("evaluation", f"protocol={name}"), "evaluation")


@pytest.mark.parametrize("entry", COMMANDS)
def test_a_name_that_a_command_does_not_have_is_refused_and_the_nearest_said(entry):
    check_settings(composed(entry), entry)
    with pytest.raises(ValueError, match=r"has no setting batch_siz: did you mean batch_size\?"):
        check_settings(composed(entry, "+batch_siz=7"), entry)
    with pytest.raises(ValueError, match=r"has no setting xyzzy$"):
        check_settings(composed(entry, "+xyzzy=7"), entry)


def test_a_name_that_others_refer_to_is_known_where_they_do():
    check_settings(composed("train", "loss=tals_paper", "+thresholds=mine.yaml"), "train")
    with pytest.raises(ValueError, match="has no setting thresholds"):
        check_settings(composed("train", "+thresholds=mine.yaml"), "train")


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("steps=many", "steps is a whole number; it was set to many"), ("steps=1.5", "steps is a whole number"),
        ("freeze=backbone", "freeze is a list"), ("freeze=null", "freeze is a list"), ("best_by=pa_mpjpe", "best_by is a list"),
        ("compile=flase", "compile is true or false"), ("steps=true", "steps is a whole number"),
        ("optimizer.lr=1-e4", r"optimizer.lr is a number; it was set to 1-e4"), ("clip=null", "clip is a number"),
        ("synthetic.train=few", "synthetic.train is a whole number"),
    ],
)  # fmt: skip
def test_a_value_of_another_kind_is_refused(word, said):
    with pytest.raises(ValueError, match=said):
        check_settings(composed("train", word), "train")


def test_whole_numbers_may_be_written_with_an_exponent_and_rates_without_a_point():
    config = composed("train", "steps=1e3", "optimizer.lr=1", "picture_every=null", "evaluate_pictures=null", "clip=inf")
    check_settings(config, "train")
    assert config.steps == 1000 and isinstance(config.steps, int)
    # Of another function only itself knows the numbers.
    check_settings(composed("train", "schedule._target_=tokenhmr.training.optim.constant", "schedule.warmup=0"), "train")


def test_a_number_that_a_function_does_not_know_is_named():
    config = composed("train", "+optimizer.lrr=1")
    check_settings(config, "train")
    with pytest.raises(ValueError, match="adamw: got an unexpected keyword argument 'lrr'"):
        made_by(config.optimizer, torch.nn.Linear(1, 1))
    assert made_by(composed("train").optimizer, torch.nn.Linear(1, 1)).defaults["lr"] == 3e-4


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("clip=0", r"clip is .* above zero, not 0"), ("clip=-1", "above zero"), ("clip=nan", "above zero"),
        ("early_stop=-3", "early_stop is at least 1"), ("batch_size=0", "batch_size is at least 1"),
        ("evaluate_pictures=0", "evaluate_pictures is at least 1"),
    ],
)  # fmt: skip
def test_a_training_is_not_begun_with_numbers_that_no_training_has(word, said):
    with pytest.raises(ValueError, match=said):
        read_pace(composed("train", word))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["tokenhmr/train.py", "init=default", "model=tokenhmr"], "model says nothing beside init=..."),
        (["tokenizer_train/train.py", "init=default", "tokenizer.width=7"], "tokenizer.width says nothing beside init=..."),
        (["tokenhmr/train.py", "held_out=[a/x.yaml,b/x.yaml]", "data_root=."], "held_out names two lists alike"),
    ],
)
def test_what_the_weights_say_is_not_said_beside_them(words, said, tmp_path):
    command = [sys.executable, str(ROOT / words[0]), *words[1:], "trackers=[]"]
    done = subprocess.run(command, cwd=tmp_path, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert done.returncode == 2 and said in done.stderr and done.stderr.count("\n") == 1


# ------------------------------------------------------------------------------------------------ trainings and measuring


def test_augmentation_of_nobody_and_shares_that_are_none_are_refused():
    poses = torch.eye(3).expand(8, 21, 3, 3)
    for wrong, said in (
        ({"jitter_degrees": 8.0}, "and that is 0"), ({"mirror": 7}, "shares from 0 to 1"), ({"mix": -1}, "shares from 0 to 1"),
        ({"noise_period": -3}, "0 or more"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=said):
            PoseBatches(rotations=poses, batch_size=4, seed=0, **wrong)
    PoseBatches(rotations=poses, batch_size=4, seed=0, mix=0.5, jitter_degrees=8.0)


def test_no_metric_and_weights_that_learn_away_are_refused(tmp_path):
    with pytest.raises(ValueError, match="best_by names no metric"):
        Best(folder=tmp_path, metrics=[], patience=None, saved=None, save=lambda *_: None)
    for weight in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="finite and 0 or more"):
            Objective(terms={"a": lambda *_: torch.zeros(())}, weights={"a": weight})


def test_thresholds_are_not_measured_on_a_share():
    for settings, said in (
        (Settings(world=30), "one process"), (Settings(reporting=Reporting(beside=("x",))), "no rows"),
        (Settings(reporting=Reporting(compare="x")), "no rows"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=said):
            MeasureThresholds().gather(settings)


def test_a_device_that_is_not_here_is_said_in_a_line():
    assert working_device("cpu", said="device=").type == "cpu"
    with pytest.raises(ValueError, match="device=nodevice does not work here"):
        working_device("nodevice", said="device=")


# ------------------------------------------------------------------------------------------------ files


def test_lists_with_words_that_nobody_reads_are_refused(tmp_path):
    (tmp_path / "a.yaml").write_text("sources: [{name: a}]\nweights: {a: 3}\n")
    with pytest.raises(ValueError, match="beside sources stands weights"):
        parse_data_list(tmp_path / "a.yaml")
    (tmp_path / "b.yaml").write_text("sets: [{name: a}]\nrule: {}\n")
    with pytest.raises(ValueError, match="beside sets and rules stands rule"):
        read_motion_list(tmp_path / "b.yaml")
    with pytest.raises((ValueError, TypeCheckError), match="trusted"):
        person(key="p", dataset="d", picture=b"", box=(0, 0, 9, 9), trusted="false")


def test_a_list_says_itself_of_what_format_its_sets_are(tmp_path, capsys):
    (tmp_path / "a.yaml").write_text("sources: []\n")
    for wrong in (["--untrusted"], ["--format", "4dhumans"], ["--name", "x"], ["--pictures", "x"]):
        assert prepare.main(["check", str(tmp_path / "a.yaml"), *wrong]) == 2
        assert "leave --format, --name, --pictures and --untrusted out" in capsys.readouterr().err


def test_cameras_and_boxes_with_other_names_are_refused(tmp_path):
    camera, boxes = tmp_path / "camera.json", tmp_path / "boxes.json"
    camera.write_text(json.dumps({"focal": 500, "center": [9, 9], "T": [1, 2, 3]}))
    with pytest.raises(ValueError, match="a camera has no T; its fields are K, R, center, focal, frames, t"):
        read_cameras(camera)
    coco = {
        "images": [{"id": 1, "file_name": "a.jpg"}],
        "annotations": [
            {"image_id": 1, "category_id": 2, "bbox": [0, 0, 9, 9]}, {"image_id": 1, "category_id": 1, "bbox": [1, 1, 8, 8]},
        ],
        "categories": [{"id": 1, "name": "Person"}, {"id": 2, "name": "dog"}],
    }  # fmt: skip
    boxes.write_text(json.dumps(coco))
    assert read_boxes(boxes).boxes["a.jpg"].xyxy.tolist() == [[1, 1, 9, 9]]
    coco["categories"][0]["name"] = "cat"
    boxes.write_text(json.dumps(coco))
    with pytest.raises(ValueError, match="none of the categories is called person: cat, dog"):
        read_boxes(boxes)


def test_shares_of_nobody_are_refused(tmp_path, capsys):
    for words in (["--limb-share", "0.5"], ["--key-pose-share", "0.5", "--motion", "x", "--split", "test"]):
        assert synthesis(["--out", str(tmp_path / "x"), "--count", "2", *words]) == 2
        assert "is of the people of --motion in the train split" in capsys.readouterr().err
    assert synthesis(["--out", str(tmp_path / "x"), "--count", "2", "--contact-sheet", "sheet.txt"]) == 2
    assert capsys.readouterr().err == "error: sheet.txt cannot be written: it should end in .png or .jpg\n"
    assert not (tmp_path / "x").exists()


# ------------------------------------------------------------------------------------------------ the Python door


def test_the_tokenizer_refuses_what_is_no_pose():
    tokenizer = load_tokenizer()
    pose = torch.eye(3, dtype=torch.float64).expand(2, 21, 3, 3)
    words = tokenizer.encode(pose)
    assert words.shape == (2, 80) and torch.equal(words, tokenizer.encode(pose.float()))
    with pytest.raises(ValueError, match="not finite"):
        tokenizer.encode(pose * float("nan"))
    for wrong in (words - 2000, words + 1024):
        with pytest.raises(ValueError, match="tokens are from 0 to 1023"):
            tokenizer.decode(wrong)
    with pytest.raises(ValueError, match=r"a pose is 80 tokens, these are \(2, 79\)"):
        tokenizer.decode(words[:, 1:])


def test_the_predictor_refuses_what_would_be_cut_or_turned_round():
    model = tokenhmr.load("default")
    with pytest.raises(ValueError, match="1 or more at a time"):
        tokenhmr.Predictor(model, batch_size=0)
    predictor, image, boxes = tokenhmr.Predictor(model), np.zeros((40, 40, 3), dtype=np.uint8), np.array([[1.0, 1, 30, 39]])
    with pytest.raises((ValueError, TypeCheckError), match="scores"):
        predictor(image, boxes, scores=np.ones(2))
    for focal in (-500.0, 0.0, float("nan")):
        with pytest.raises(ValueError, match="focal is a number of pixels"):
            predictor(image, boxes, focal=focal)
