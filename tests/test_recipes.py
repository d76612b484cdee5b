"""Every experiment composes, says what it should, is of the size it names, and trains one step at reduced width."""

import json

import numpy as np
import pytest
import torch
import yaml
from hydra import compose, initialize_config_dir
from hydra.errors import MissingConfigException
from hydra.utils import instantiate

from tests.conftest import ROOT
from tests.finder_tools import write_wholes
from tests.pictures import sample_files, write_tar
from tokenhmr.body import load_body
from tokenhmr.data.mixtures import read_motion_list
from tokenhmr.entry import COMMANDS, check_command
from tokenhmr.losses.thresholds import SUPPLEMENT
from tokenhmr.models.hmr2 import build_hmr2
from tokenhmr.models.pretrained import save_pretrained
from tokenhmr.models.tokenizer import PoseTokenizer
from tokenhmr.resources import config_folder, data_list_path
from tokenhmr.train import build, train
from tokenhmr.train_finder import train as train_finder
from tokenhmr.training.bodies import read_real_bodies
from tokenhmr.training.optim import adamw, constant
from tokenizer_train.train import train as train_tokenizer

EXPERIMENTS = sorted(path.stem for path in (ROOT / "configs" / "experiment").glob("*.yaml"))
ENTRIES = {
    name: {"tokenizer": "tokenizer_train", "finder": "train_finder"}.get(name.split("_")[0], "train") for name in EXPERIMENTS
}
TOKENIZERS, IMAGES = ([name for name in EXPERIMENTS if ENTRIES[name] == entry] for entry in ("tokenizer_train", "train"))
PUBLIC = ["tokenhmr_release", "tokenhmr_paper", "tokenhmr_bedlam", "hmr2"]
TRAINABLE = dict.fromkeys(PUBLIC[:3], 681_199_967) | {"hmr2": 672_266_656}

NARROW = [
    "body=open", "model.backbone.width=32", "model.backbone.depth=1", "model.backbone.heads=2", "model.decoder.width=16",
    "model.decoder.depth=1", "model.decoder.heads=1", "model.decoder.head_width=16", "model.decoder.mlp_width=16", "steps=1",
    "batch_size=4", "workers=0", "precision='no'", "log_every=1", "evaluate_every=1", "save_every=1", "picture_every=2",
    "init=null", "learn_from=pictures", "joints=null", "freeze=[]",
]  # fmt: skip
NARROW_TOKENIZER = [
    "tokenizer.width=8", "tokenizer.codes=16", "tokenizer.code_width=4", "steps=1", "batch_size=8", "log_every=1",
    "save_every=1", "evaluate_every=1", "precision='no'",
]  # fmt: skip


def composed(experiment, *overrides):
    with initialize_config_dir(version_base="1.3", config_dir=str(config_folder())):
        return compose(ENTRIES[experiment], [f"experiment={experiment}", *overrides])


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    """A tokenizer, a list of pictures half of which are trusted, real bodies, motion."""
    folder = tmp_path_factory.mktemp("material")
    torch.manual_seed(0)
    save_pretrained(PoseTokenizer(width=8, codes=16, code_width=4, upsamplings=1, stages=2, depth=1), folder / "tokenizer")
    files = {}
    for number in range(6):
        files |= sample_files(number, trusted=number % 2 == 0)
    write_tar(folder / "pictures.tar", files)
    source = {"name": "noise", "shards": "pictures.tar", "weight": 1.0, "trusted": True, "licence": "none", "origin": "test"}
    (folder / "list.yaml").write_text(yaml.safe_dump({"sources": [source]}))
    generator = np.random.default_rng(0)
    np.savez(folder / "cmu_mocap.npz", body_pose=generator.normal(size=(9, 72)), betas=generator.normal(size=(9, 10)))
    return folder


# ------------------------------------------------------------------------------------------------ what they say


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_opens_with_command_and_expectation(name):
    text = (ROOT / "configs" / "experiment" / f"{name}.yaml").read_text(encoding="utf-8")
    head = text.split("\n", 1)[1].split("\n\n")[0]
    comments = "\n".join(line for line in head.splitlines() if line.startswith("#"))
    assert text.startswith("# @package _global_\n")
    if name in [*PUBLIC, "tokenizer_released", "tokenizer_amass"]:
        for word in ("accelerate launch", f"experiment={name}", "Numbers:", "Expected", "time:"):
            assert word in comments, word
    page = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
    assert f"experiment={name}`" in page or f"experiment={name} data" in page


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_is_for_one_command_and_others_say_so(name):
    own = ENTRIES[name]
    assert composed(name).command == own
    check_command([f"experiment={name}", "steps=1"], own)
    for other in set(COMMANDS) - {own}:
        with pytest.raises(ValueError, match=f"experiment={name} is for {COMMANDS[own]}, not for {COMMANDS[other]}"):
            check_command(["steps=1", f"experiment={name}"], other)


@pytest.mark.parametrize("entry", ["train", "tokenizer_train", "train_finder"])
def test_an_experiment_that_is_not_there_is_refused(entry):
    check_command(["experiment=synthetic_cmuu"], entry)  # nothing is known of it; composition names those that are there
    with initialize_config_dir(version_base="1.3", config_dir=str(config_folder())):
        assert "command" not in compose(entry)
        with pytest.raises(MissingConfigException, match="Could not find 'experiment/synthetic_cmuu'"):
            compose(entry, ["experiment=synthetic_cmuu"])


@pytest.mark.parametrize("name", PUBLIC)
def test_the_numbers_are_those_of_the_release(name):
    config = composed(name, *(["mocap=x.npz"] if name == "hmr2" else []))
    optimizer = config.optimizer
    rates = {"tokenhmr_release": 5e-7, "tokenhmr_paper": 5e-6, "tokenhmr_bedlam": 5e-6, "hmr2": 1e-5}
    steps = {"tokenhmr_release": 350_000, "tokenhmr_paper": 100_000, "tokenhmr_bedlam": 100_000, "hmr2": 1_000_000}
    lists = {"tokenhmr_release": "tokenhmr", "tokenhmr_paper": "tokenhmr", "tokenhmr_bedlam": "bedlam", "hmr2": "hmr2"}
    starts = {"tokenhmr_release": "weights/hmr2"}
    assert (optimizer.lr, config.steps, config.data_list) == (rates[name], steps[name], lists[name])
    assert data_list_path(config.data_list).is_file()
    assert config.init_backbone == starts.get(name, "weights/vitpose")
    assert (optimizer.weight_decay, optimizer.decay_vectors, config.clip) == (1e-4, True, float("inf"))
    assert config.batch_size % 48 == 0 and config.schedule["_target_"].endswith("constant")
    weights = {"keypoints_3d": 0.05, "keypoints_2d": 0.01, "global_orient": 0.001, "body_pose": 0.001, "betas": 0.0005}
    adversarial = {"fooling": 0.0005, "telling": 0.0005} if name == "hmr2" else {}
    assert dict(config.loss.weights) == weights | adversarial


# ------------------------------------------------------------------------------------------------ what they build


@pytest.mark.parametrize("name", PUBLIC)
def test_the_models_of_public_recipes_have_the_public_size(name):
    config = composed(name, *(["mocap=x.npz", "model.real=null"] if name == "hmr2" else []))
    with torch.device("meta"):
        model = instantiate(config.model, tokenizer=PoseTokenizer(), body=load_body("open"))
    own = sum(value.numel() for key, value in model.named_parameters() if not key.startswith("tokenizer."))
    assert own == TRAINABLE[name]


@pytest.mark.parametrize("name", TOKENIZERS)
def test_the_tokenizers_have_their_size(name):
    with torch.device("meta"):
        model = instantiate(composed(name, "data=x").tokenizer)
    count = sum(value.numel() for value in model.parameters())
    ours = name.startswith("tokenizer_cmu")
    assert count < 2e6 if ours else count == 13_136_134
    assert (model.tokens, model.codes) == ((80, 1024) if ours else (160, 2048))


OBJECTIVES = sorted(path.stem for path in (ROOT / "configs" / "loss").glob("*.yaml") if path.stem != "tokenizer")


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_is_built_by_its_yaml(name, material):
    with initialize_config_dir(version_base="1.3", config_dir=str(config_folder())):
        config = compose("train", [f"loss={name}", f"tokenizer_weights={material / 'tokenizer'}"])
    objective = instantiate(config.loss)
    assert set(objective.terms) == set(objective.weights) == set(config.loss.weights)
    assert ("tokens" in objective.terms) == (name == "tokens")


@pytest.mark.parametrize("name", ["tals_paper", "tals_release"])
def test_a_measured_table_takes_the_place_of_the_published_one(name, tmp_path):
    named = SUPPLEMENT.named() | {"origin": "mine"}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(named))
    with initialize_config_dir(version_base="1.3", config_dir=str(config_folder())):
        found = [compose("train", [f"loss={name}", *more]) for more in ([], [f"+thresholds={tmp_path / 'mine.yaml'}"])]
    for config, origin in zip(found, (SUPPLEMENT.origin, "mine"), strict=True):
        terms = instantiate(config.loss).terms
        for term in (terms["keypoints_2d"].rule, terms["keypoints_3d"].rule, terms["global_orient"], terms["body_pose"]):
            assert term.table.origin == origin


# ------------------------------------------------------------------------------------------------ what they do


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_recipe_trains_one_step_at_reduced_width(name, material, tmp_path):
    paths = [f"data_root={material}", f"data_list={material / 'list.yaml'}", f"held_out={material / 'list.yaml'}"]
    paths += [f"tokenizer_weights={material / 'tokenizer'}", f"out={tmp_path / 'run'}"]
    only = ["init_backbone=null", f"mocap={material / 'cmu_mocap.npz'}"] if name == "hmr2" else []
    only += ["init_backbone=null"] if name in PUBLIC else []
    train(composed(name, *NARROW, *paths, *only))
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    (step,) = (row for row in rows if "loss" in row)
    parts = {key.removeprefix("loss/"): value for key, value in step.items() if key.startswith("loss/")}
    assert sum(parts.values()) == pytest.approx(step["loss"], rel=1e-4)
    assert step["gradient"] > 0 and (name != "hmr2" or parts["telling"] > 0)
    assert (tmp_path / "run" / "weights" / "model.safetensors").is_file()


@pytest.mark.parametrize("name", TOKENIZERS)
def test_a_tokenizer_recipe_trains_one_step_at_reduced_width(name, tmp_path):
    """On a few frames of every set that its list names."""
    listed = composed(name, "data=x").get("data_list")
    files = [f"{split}/CMU_1_01.npz" for split in ("train", "val", "test")]
    if listed is not None:
        files = [entry.motion for entry in read_motion_list(data_list_path(listed))]
    for number, file in enumerate(files):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        np.savez(tmp_path / file, poses=0.3 * np.random.default_rng(number).standard_normal((12, 156)))
    train_tokenizer(composed(name, f"data={tmp_path}", f"out={tmp_path / 'run'}", *NARROW_TOKENIZER))
    assert (tmp_path / "run" / "best" / "model.safetensors").is_file()
    assert ("MOYO" in " ".join(files)) == (name == "tokenizer_released")


def test_the_finder_recipe_trains_one_step_at_reduced_width(tmp_path):
    for split in ("train", "test"):
        write_wholes(tmp_path / f"synthetic-{split}-0.tar", 4)
    small = ["model.width=32", "model.head=16", "start_from=null", "freeze=[fine]", "batch_size=4", "steps=1", "workers=0"]
    train_finder(composed("finder_cmu", f"data={tmp_path}", f"out={tmp_path / 'run'}", *small, "precision='no'", "log_every=1"))
    assert (tmp_path / "run" / "best" / "model.safetensors").is_file()


# ------------------------------------------------------------------------------------------------ their parts


def test_a_training_may_start_from_a_backbone_alone(material, tmp_path):
    body, small = load_body("open"), {"decoder": {"width": 16, "depth": 1, "heads": 1, "head_width": 16}}
    sizes = {"stem": "patch", "width": 32, "depth": 1, "heads": 2, "mlp_ratio": 4.0, "drop_path": 0.0}
    source = build_hmr2(backbone=sizes, body=body, **small)
    folder = save_pretrained(source, tmp_path / "hmr2")
    paths = [f"tokenizer_weights={material / 'tokenizer'}", f"init_backbone={folder}", "held_out=x"]
    model = build(composed("tokenhmr_release", *NARROW, *paths), body)
    given = source.backbone.state_dict()
    assert all(torch.equal(value, given[name]) for name, value in model.backbone.state_dict().items())
    assert not torch.equal(model.decoder.position, source.decoder.position), "nothing else is taken"
    assert all(parameter.requires_grad for parameter in model.backbone.parameters())
    with pytest.raises(ValueError, match=r"another size than the model's: blocks\.1"):
        build(composed("tokenhmr_release", *NARROW, *paths, "model.backbone.depth=2"), body)
    with pytest.raises(ValueError, match="no backbone"):
        build(composed("tokenhmr_release", *NARROW, *paths, f"init_backbone={material / 'tokenizer'}"), body)


def test_real_bodies_are_read_from_both_layouts_and_nothing_else(material, tmp_path):
    real = read_real_bodies(material / "cmu_mocap.npz")
    with np.load(material / "cmu_mocap.npz") as file:
        np.testing.assert_allclose(real.body.flatten(start_dim=1), file["body_pose"][:, 3:], rtol=1e-6)
    poses = np.random.default_rng(0).standard_normal((5, 156)).astype(np.float32)
    np.savez(tmp_path / "CMU_1_01.npz", poses=poses)
    for path in (tmp_path, tmp_path / "CMU_1_01.npz"):
        real = read_real_bodies(path)
        np.testing.assert_array_equal(real.body[:, :21].flatten(start_dim=1), poses[:, 3:66])
        assert not real.body[:, 21:].any() and real.betas.shape == (5, 10)
        assert torch.equal(real.betas, read_real_bodies(path).betas)
    for wrong, words in (
        ({"body_pose": np.zeros((3, 72)), "betas": np.zeros((2, 10))}, r"betas \(2, 10\)"),
        ({"body_pose": np.full((3, 72), np.nan), "betas": np.zeros((3, 10))}, "not finite"),
        ({"wings": np.zeros(3)}, "neither poses nor pose_body"),
    ):
        np.savez(tmp_path / "wrong.npz", **wrong)
        with pytest.raises(ValueError, match=words):
            read_real_bodies(tmp_path / "wrong.npz")
    with pytest.raises(FileNotFoundError):
        read_real_bodies(tmp_path / "nowhere")


def test_public_recipes_decay_everything_and_ours_no_vectors():
    model = torch.nn.Linear(3, 2)
    for everything, wanted in ((True, {0.1}), (False, {0.1, 0.0})):
        groups = adamw(model, lr=1.0, weight_decay=0.1, decay_vectors=everything).param_groups
        assert {group["weight_decay"] for group in groups} == wanted
        assert sum(len(group["params"]) for group in groups) == 2


def test_a_constant_rate_stays():
    optimizer = adamw(torch.nn.Linear(3, 2), lr=1.0, weight_decay=0.0)
    schedule, rates = constant(optimizer, steps=5, warmup=2), []
    for _ in range(5):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert rates == [0.5, 1.0, 1.0, 1.0, 1.0]
    optimizer = adamw(torch.nn.Linear(3, 2), lr=1.0, weight_decay=0.0)
    assert set(constant(optimizer, steps=5, warmup=0).get_last_lr()) == {1.0}
