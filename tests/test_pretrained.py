import json
import os
import shutil
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

import tokenhmr
from tokenhmr.body import load_body
from tokenhmr.body.files import ASSETS
from tokenhmr.models import pretrained
from tokenhmr.models.pretrained import load, load_tokenizer, read_config, save_pretrained
from tokenhmr.models.tokenhmr import TokenHMR, build_tokenhmr
from tokenhmr.models.tokenizer import PoseTokenizer


def small_tokenizer():
    tokenizer = PoseTokenizer(width=16, codes=32, code_width=8, upsamplings=1, downsamplings=1, stages=2, depth=1)
    tokenizer.mean_pose.normal_()
    return tokenizer


def small_model():
    torch.manual_seed(0)
    return build_tokenhmr(
        backbone={"stem": "conv", "width": 64, "depth": 1, "heads": 2},
        decoder={"width": 32, "depth": 1, "heads": 2, "head_width": 16},
        classifier={"hidden": 8, "token_hidden": 8, "channel_hidden": 8, "layers": 1},
        tokenizer=small_tokenizer(),
        body=load_body("open"),
    ).eval()


@pytest.fixture(scope="module")
def model():
    return small_model()


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory):
    metadata = {"licences": {"data": "CC0-1.0"}, "training": {"steps": 0}}
    return save_pretrained(model, tmp_path_factory.mktemp("weights") / "model", metadata=metadata)


@pytest.fixture
def copy(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "copy")


def edit_config(folder, **changes):
    config = json.loads((folder / "config.json").read_text()) | changes
    (folder / "config.json").write_text(json.dumps(config))


def test_a_model_comes_back_as_it_went(model, saved):
    again = load(saved)
    assert not again.training and isinstance(again, TokenHMR)
    assert again.numbers == model.numbers
    theirs = again.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in model.state_dict().items())
    image = torch.randn(2, 3, 256, 256)
    with torch.no_grad():
        assert torch.equal(again(image).vertices, model(image).vertices)
    assert again.parameter_counts() == model.parameter_counts(), "the tokenizer must come back frozen"
    # And it is a model like any other: it can be trained further.
    again.train()(image).vertices.sum().backward()


def test_the_two_files_say_what_they_are(saved):
    assert sorted(path.name for path in saved.iterdir()) == ["config.json", "model.safetensors"]
    config = read_config(saved)
    assert config["kind"] == "tokenhmr" and config["body"] == "open" and config["tokenhmr"] == tokenhmr.__version__
    assert config["licences"]["code"] == "Apache-2.0" and config["licences"]["data"] == "CC0-1.0" and config["licences"]["body"]
    assert load(saved).card["training"] == {"steps": 0}


def test_the_same_numbers_have_the_same_id(model, saved, tmp_path):
    again = save_pretrained(load(saved), tmp_path / "again")
    assert read_config(again)["id"] == read_config(saved)["id"]
    other = load(saved)
    with torch.no_grad():
        other.heads.camera.bias[0] += 1e-3
    assert read_config(save_pretrained(other, tmp_path / "other"))["id"] != read_config(saved)["id"]


def test_half_precision_halves_the_file_and_loads_as_float32(model, saved, tmp_path):
    half = save_pretrained(model, tmp_path / "half", dtype="float16")
    assert (half / "model.safetensors").stat().st_size < 0.6 * (saved / "model.safetensors").stat().st_size
    again = load(half)
    assert all(parameter.dtype == torch.float32 for parameter in again.parameters())
    for name, value in again.state_dict().items():
        torch.testing.assert_close(value, model.state_dict()[name], rtol=1e-3, atol=1e-3)


def test_what_float16_cannot_hold_stays_float32(tmp_path):
    tokenizer = small_tokenizer()
    tokenizer.quantizer.total.fill_(1e6)
    again = load_tokenizer(save_pretrained(tokenizer, tmp_path / "t", dtype="float16"))
    assert torch.equal(again.quantizer.total, tokenizer.quantizer.total)


def test_a_tokenizer_has_a_folder_of_its_own_or_lives_in_the_models(model, saved, tmp_path):
    own = load_tokenizer(save_pretrained(model.tokenizer, tmp_path / "tokenizer"))
    inside = load_tokenizer(saved)
    rotations = torch.linalg.qr(torch.randn(5, 21, 3, 3))[0]
    for tokenizer in (own, inside):
        assert not tokenizer.training
        assert torch.equal(tokenizer.encode(rotations), model.tokenizer.encode(rotations))
        assert torch.equal(tokenizer.mean_pose, model.tokenizer.mean_pose)
    with pytest.raises(ValueError, match="load_tokenizer"):
        load(tmp_path / "tokenizer")


def test_loading_initialises_nothing(saved, monkeypatch):
    def never(tensor, *_, **__):
        assert tensor.is_meta, "a tensor in memory was initialised only to be overwritten"
        return tensor

    for name in ("trunc_normal_", "kaiming_uniform_", "uniform_"):
        monkeypatch.setattr(torch.nn.init, name, never)
    load(saved)


# What is not a folder of weights is refused whole, in one sentence.


def test_a_folder_that_is_not_there_or_not_complete(copy, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no folder of weights at .*nowhere"):
        load(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"no config\.json and no model\.safetensors"):
        load(tmp_path)
    (copy / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"it has no model\.safetensors"):
        load(copy)


def test_missing_surplus_and_misshapen_tensors_are_all_listed(copy):
    state = load_file(copy / "model.safetensors")
    state.pop("heads.camera.bias")
    state["heads.ghost"] = torch.zeros(2)
    state["heads.orient.bias"] = torch.zeros(7)
    save_file(state, copy / "model.safetensors")
    with pytest.raises(ValueError) as refusal:
        load(copy)
    for part in ("1 missing: heads.camera.bias", "1 surplus: heads.ghost", "heads.orient.bias is [7] and should be [6]"):
        assert part in str(refusal.value)
    # The tokenizer inside is whole, and only its own tensors are asked about.
    load_tokenizer(copy)
    save_file({"x": torch.zeros(1)}, copy / "model.safetensors")
    with pytest.raises(ValueError, match=r"missing: .* more"):
        load(copy)


def test_numbers_of_another_type_are_refused(copy):
    state = load_file(copy / "model.safetensors")
    state["heads.camera.bias"] = state["heads.camera.bias"].long()
    save_file(state, copy / "model.safetensors")
    with pytest.raises(ValueError, match=r"another type in heads\.camera\.bias"):
        load(copy)


@pytest.mark.parametrize("keep", [0, 5, 1000, -1])
def test_a_file_that_is_cut_short_is_refused(copy, keep):
    path = copy / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match="is not a safetensors file"):
        load(copy)


def test_a_pickle_is_refused_unread(copy):
    torch.save({"heads.camera.bias": torch.zeros(3)}, copy / "model.safetensors")
    with pytest.raises(ValueError, match="is not a safetensors file"):
        load(copy)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"numbers": 3}', "\x00", "[" * 100_000])
def test_a_config_that_is_no_description_is_refused(copy, text):
    (copy / "config.json").write_text(text)
    with pytest.raises(ValueError, match=r"config\.json"):
        load(copy)


def test_configs_of_other_models_are_refused(copy):
    numbers = read_config(copy)["numbers"]
    for changes, words in (
        ({"format": 99}, "format 99"),
        ({"kind": "spaghetti"}, "kind 'spaghetti'"),
        ({"numbers": numbers | {"backbone": numbers["backbone"] | {"width": 10**12}}}, "width = 1000000000000"),
        ({"numbers": numbers | {"backbone": numbers["backbone"] | {"width": float("nan")}}}, "width = nan"),
        ({"numbers": numbers | {"backbone": numbers["backbone"] | {"width": "wide"}}}, "does not describe a tokenhmr"),
        ({"numbers": numbers | {"backbone": numbers["backbone"] | {"exec": 1}}}, "exec"),
        ({"numbers": numbers | {"backbone": []}}, "does not describe a tokenhmr"),
        ({"numbers": numbers | {"decoder": numbers["decoder"] | {"depth": 2}}}, r"missing: decoder\.layers\.1"),
        ({"numbers": {name: value for name, value in numbers.items() if name != "tokenizer"}}, "tokenizer"),
        ({"body": "mine"}, "body 'mine': pass it"),
        ({"body": "smpl", "shape": "ten"}, "'ten' shape directions"),
        ({"shape": 300}, "300 shape directions"),
    ):
        original = (copy / "config.json").read_text()
        edit_config(copy, **changes)
        with pytest.raises(ValueError, match=words):
            load(copy)
        (copy / "config.json").write_text(original)
    load(copy)


def test_files_of_two_models_do_not_mix(model, copy, tmp_path):
    other = load(copy)
    with torch.no_grad():
        other.heads.camera.bias[0] += 1
    shutil.copy(save_pretrained(other, tmp_path / "other") / "model.safetensors", copy)
    with pytest.raises(ValueError, match="it belongs to weights"):
        load(copy)


# Saving.


def test_a_failed_save_leaves_the_old_files_whole(model, copy, monkeypatch):
    def full(*_, **__):
        raise OSError("No space left on device")

    monkeypatch.setattr(pretrained, "save_file", full)
    with pytest.raises(OSError, match="No space"):
        save_pretrained(model, copy)
    assert sorted(path.name for path in copy.iterdir()) == ["config.json", "model.safetensors"]
    load(copy)


def test_what_cannot_be_loaded_is_not_saved(model, tmp_path):
    for metadata, words in (
        ({"kind": "x"}, "may not replace kind"),
        ({"training": {1, 2}}, "JSON"),
        ({"mpjpe": float("nan")}, "JSON"),
    ):
        with pytest.raises(ValueError, match=words):
            save_pretrained(model, tmp_path / "m", metadata=metadata)
    with pytest.raises(ValueError, match="float32, float16 or int8, not 'int4'"):
        save_pretrained(model, tmp_path / "m", dtype="int4")
    with pytest.raises(ValueError, match="Linear"):
        save_pretrained(torch.nn.Linear(2, 2), tmp_path / "m")
    sick = small_tokenizer()
    with torch.no_grad():
        sick.decoder.last.bias[0] = float("nan")
    with pytest.raises(ValueError, match=r"decoder\.last\.bias holds numbers that are not finite"):
        save_pretrained(sick, tmp_path / "m")
    by_hand = TokenHMR(
        backbone=model.backbone, decoder=model.decoder, heads=model.heads, tokenizer=model.tokenizer, body=model.body
    )
    with pytest.raises(ValueError, match="build_tokenhmr"):
        save_pretrained(by_hand, tmp_path / "m")
    assert not (tmp_path / "m").exists()


@pytest.mark.skipif(not (ASSETS / "default" / "model.safetensors").is_file(), reason="no default weights in this checkout")
def test_the_default_weights_open():
    model = load("default")
    assert load().card["id"] == model.card["id"]
    with torch.inference_mode():
        prediction = model(torch.zeros(1, 3, 256, 256), torch.tensor([[0.0, 0.0, 0.5]]) if model.asks_view else None)
    assert prediction.vertices.isfinite().all()
    assert torch.equal(load_tokenizer("default").quantizer.codebook, model.tokenizer.quantizer.codebook)


def test_loading_does_not_wait_for_torchs_compiler(tmp_path):
    """It takes a second of every start, and nothing here asks for it."""
    words = "import sys, tokenhmr; tokenhmr.load('default'); print('torch._dynamo' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", words], cwd=tmp_path, env=os.environ, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "False"), done.stderr
