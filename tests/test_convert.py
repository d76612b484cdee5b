"""The command that converts public weights: every container, every refusal, in one line and with nothing left behind."""

import pickle
import subprocess
import sys
import zipfile

import cv2
import numpy as np
import pytest
import torch

from tests.official_files import (
    SMALL,
    SMALL_CONFIG,
    SMALL_HEADS,
    SMALL_TOKENIZER,
    backbone_shapes,
    filled,
    hmr2_shapes,
    tokenhmr_shapes,
    tokenizer_shapes,
    with_body,
    write_checkpoint,
    write_tokenizer,
)
from tokenhmr.convert import main
from tokenhmr.models.pretrained import load, load_backbone, load_tokenizer, read_config

HEADS = ["--heads", str(SMALL_HEADS)]
TINY = SMALL | {"depth": 1, "layers": 1, "mixers": 1}


@pytest.fixture(scope="module")
def net():
    return filled(tokenizer_shapes(**SMALL_TOKENIZER), 1)


@pytest.fixture(scope="module")
def state():
    return filled(tokenhmr_shapes(**TINY, codes=SMALL_TOKENIZER["codes"]), 2)


@pytest.fixture
def files(tmp_path, net, state):
    write_tokenizer(tmp_path / "tokenizer.pth", net)
    write_checkpoint(tmp_path / "model.ckpt", with_body(state))
    return tmp_path


def convert(folder, *options, kind="official"):
    files = ["--tokenizer", folder / "tokenizer.pth"] if kind == "official" else []
    return main([kind, *map(str, [*files, "--checkpoint", folder / "model.ckpt", "--out", folder / "out", *HEADS, *options])])


def refused(capfd, status, folder):
    """The one line of a refusal, after which nothing may have been written."""
    said = capfd.readouterr()
    assert status == 2 and said.out == "" and said.err.startswith("error: ") and said.err.count("\n") == 1
    assert not (folder / "out").exists()
    return said.err


# Containers.


@pytest.mark.parametrize("container", ["omegaconf", "lightning", "yacs"])
def test_a_checkpoint_of_any_container_is_read_without_its_package(container, files, state, capfd, monkeypatch):
    if container == "omegaconf":
        pytest.importorskip("omegaconf", reason="omegaconf comes with hydra")
    write_checkpoint(files / "model.ckpt", with_body(state), container=container)
    for package in ("omegaconf", "yacs", "yacs.config", "pytorch_lightning", "lightning_fabric"):
        monkeypatch.setitem(sys.modules, package, None)  # whoever imports it now, fails
    assert convert(files) == 0
    said = capfd.readouterr().out
    # The file claims -1 tokens.
    assert "160 tokens of 48 codes" in said and "non-commercial" in said and "TokenHMR" in said
    card = read_config(files / "out")
    assert card["body"] == "smpl" and card["shape"] == 10 and card["source"]["from"] == "official"
    assert set(card["source"]["files"]) == {"tokenizer.pth", "model.ckpt"}
    # The two heads of 12 channels stand in the configuration only; by default they would have 64.
    assert card["numbers"]["decoder"]["heads"] == 2 and card["numbers"]["decoder"]["head_width"] == 12
    ours = load(files / "out").state_dict()
    assert torch.equal(ours["heads.orient.bias"], state["smpl_head.decpose_grot.bias"])


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("tokens", [10, -1])
def test_both_containers_of_torch_and_a_number_of_tokens_that_is_not_trusted(legacy, tokens, tmp_path, net):
    old = net | {"decoder.body_model.v_template": torch.zeros(3)}
    write_tokenizer(tmp_path / "t.pth", old, arch={"NUM_TOKENS": tokens, "DILATION_RATE": 3}, legacy=legacy)
    assert main(["official", "--tokenizer", str(tmp_path / "t.pth"), "--out", str(tmp_path / "out")]) == 0
    tokenizer = load_tokenizer(tmp_path / "out")
    assert tokenizer.tokens == 160 and torch.equal(tokenizer.quantizer.codebook, net["quantizer.codebook"])


def test_a_configuration_beside_the_checkpoint_takes_the_place_of_its_own(files, state, capfd):
    write_checkpoint(files / "model.ckpt", state, config={"MODEL": {"IMAGE_SIZE": 256}})
    assert "24 channels, which are not" in refused(capfd, convert(files), files)
    (files / "model_config.yaml").write_text(
        "MODEL:\n  SMPL_HEAD:\n    TRANSFORMER_DECODER: {heads: 2, dim_head: 12}\npaths:\n  root: ${oc.env:ROOT}\n"
    )
    assert convert(files, "--config", files / "model_config.yaml") == 0
    for text, words in (
        ("[1, 2]", "is no configuration"),
        ("a: [", "is not YAML"),
        ("EXTRA: {FOCAL_LENGTH: 1}", "FOCAL_LENGTH 1"),
    ):
        (files / "wrong.yaml").write_text(text)
        assert convert(files, "--config", files / "wrong.yaml") == 2
        assert words in capfd.readouterr().err


def test_hmr2_with_and_without_its_discriminator_and_backbones(tmp_path, capfd):
    state = filled(hmr2_shapes(**TINY), 3)
    for kept in (state, {name: value for name, value in state.items() if not name.startswith("discriminator.")}):
        write_checkpoint(tmp_path / "model.ckpt", with_body(kept))
        assert convert(tmp_path, kind="hmr2") == 0
        assert (load(tmp_path / "out").discriminator is not None) == (kept is state)
    backbone = filled(backbone_shapes(SMALL["vit"], 1), 4)
    plain = {"state_dict": backbone}
    posed = {
        "state_dict": {f"backbone.{name}": value for name, value in backbone.items()} | {"keypoint_head.x": torch.zeros(1)}
    }
    for content in (plain, posed, backbone):
        torch.save(content, tmp_path / "model.ckpt")
        assert convert(tmp_path, kind="vitpose") == 0
        assert torch.equal(load_backbone(tmp_path / "out").state_dict()["pos_embed"], backbone["pos_embed"])
    capfd.readouterr()
    assert main(["vitpose", "--checkpoint", str(tmp_path / "model.ckpt"), "--out", str(tmp_path / "o")]) == 2
    assert "width 48, known are 384, 768, 1024, 1280: say how many heads it has (--heads)" in capfd.readouterr().err


# What does not fit is refused whole, and all of it is listed.


def test_missing_surplus_and_misshapen_tensors_are_all_listed(files, state, capfd):
    wrong = dict(state)
    del wrong["smpl_head.deccam.bias"], wrong["backbone.blocks.0.norm1.weight"]
    wrong |= {"smpl_head.ghost": torch.zeros(1), "smpl_head.decpose_grot.bias": torch.zeros(7)}
    wrong["smpl_head.decpose_grot.weight"] = torch.zeros(6, 32, dtype=torch.int64)
    write_checkpoint(files / "model.ckpt", wrong)
    line = refused(capfd, convert(files), files)
    for part in (
        "model.ckpt does not fit: 2 missing: ",
        "smpl_head.deccam.bias",
        "backbone.blocks.0.norm1.weight",
        "1 surplus: smpl_head.ghost",
        "2 of another shape: ",
        "smpl_head.decpose_grot.bias is [7] of torch.float32 and should be [6]",
        "smpl_head.decpose_grot.weight is [6, 32] of torch.int64",
    ):
        assert part in line


def test_two_files_that_do_not_belong_together(files, net, capfd):
    other = filled(tokenizer_shapes(**SMALL_TOKENIZER | {"codes": 40}), 1)
    write_tokenizer(files / "tokenizer.pth", other)
    line = refused(capfd, convert(files), files)
    assert "speaks in 160 tokens of 48 codes" in line and "has 160 of 40: they do not belong together" in line


@pytest.mark.parametrize(
    ("arch", "words"),
    [({"ROT_TYPE": "aa"}, "ROT_TYPE 'aa'"), ({"NB_JOINTS": 52}, "NB_JOINTS 52"), ({"DILATION_RATE": "x"}, "DILATION_RATE 'x'")],
)
def test_a_tokenizer_of_another_kind(arch, words, files, net, capfd):
    write_tokenizer(files / "tokenizer.pth", net, arch=arch)
    assert words in refused(capfd, convert(files), files)


def test_files_that_are_something_else(files, net, state, capfd):
    hmr2 = files / "hmr2.ckpt"
    write_checkpoint(hmr2, filled(hmr2_shapes(**TINY), 3))
    line = refused(capfd, convert(files, "--checkpoint", hmr2), files)
    assert "hmr2.ckpt is a checkpoint of HMR2.0: convert it with hmr2" in line
    assert "is a checkpoint of TokenHMR" in refused(capfd, convert(files, kind="hmr2"), files)
    for name, content, words in (
        ("list.pt", [1, 2], "holds a list, not a checkpoint"),
        ("empty.pt", {"state_dict": {}}, "no 'state_dict' of tensors"),
        ("net.pt", {"net": net}, "no 'state_dict' of tensors"),
        ("part.pt", {"state_dict": {"backbone.x": torch.zeros(1)}}, "which tells the size of the model, is not there"),
    ):
        torch.save(content, files / name)
        assert words in refused(capfd, convert(files, "--checkpoint", files / name), files)
    assert "is no tokenizer.pth: it has no 'net'" in refused(capfd, convert(files, "--tokenizer", files / "model.ckpt"), files)
    assert "no file at" in refused(capfd, convert(files, "--checkpoint", files / "nowhere"), files)
    (files / "nothing.pt").touch()
    assert "is empty" in refused(capfd, convert(files, "--checkpoint", files / "nothing.pt"), files)
    (files / "text.pt").write_text("<html>sign in</html>")
    assert "text.pt is not a file of torch.save" in refused(capfd, convert(files, "--checkpoint", files / "text.pt"), files)
    with zipfile.ZipFile(files / "other.pt", "w") as archive:
        archive.writestr("readme.txt", "no")
    line = refused(capfd, convert(files, "--checkpoint", files / "other.pt"), files)
    assert "is a zip archive, but not one of torch.save" in line


@pytest.mark.parametrize("legacy", [False, True])
def test_a_file_that_is_cut_short_or_damaged(legacy, files, net, capfd):
    write_tokenizer(files / "whole.pth", net, legacy=legacy)
    whole = (files / "whole.pth").read_bytes()
    for keep in (100, len(whole) // 2, len(whole) - 10):
        (files / "tokenizer.pth").write_bytes(whole[:keep])
        line = refused(capfd, convert(files), files)
        assert "tokenizer.pth" in line and ("whole" in line or "cannot be read" in line or "not a file" in line)
    if not legacy:  # the older container has no checksums
        damaged = bytearray(whole)
        damaged[whole.index(net["quantizer.codebook"].numpy().tobytes()) + 5] ^= 1
        (files / "tokenizer.pth").write_bytes(damaged)
        assert "does not have its checksum" in refused(capfd, convert(files), files)


class Evil:
    def __reduce__(self):
        return exec, ("raise SystemExit('run')",)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_file_that_tries_to_run_code_is_refused_with_its_opcode(legacy, files, state, capfd):
    content = {"state_dict": state, "callbacks": Evil()}
    torch.save(content, files / "model.ckpt", _use_new_zipfile_serialization=not legacy)
    line = refused(capfd, convert(files), files)
    assert "model.ckpt was refused and nothing in it run: GLOBAL at byte" in line and "builtin" in line and "exec" in line
    (files / "model.ckpt").write_bytes(pickle.dumps(Evil()))
    assert "GLOBAL at byte" in refused(capfd, convert(files), files)


def test_numbers_that_are_not_finite_are_refused(files, state, capfd):
    write_checkpoint(files / "model.ckpt", state | {"smpl_head.deccam.bias": torch.tensor([1.0, float("nan"), 0])})
    assert "heads.camera.bias holds numbers that are not finite" in refused(capfd, convert(files), files)


# The command.


def test_what_a_direction_needs_is_said(tmp_path, capfd):
    for options, words in (
        (["official"], "needs --tokenizer (a TokenHMR checkpoint does not hold its tokenizer)"),
        (["hmr2"], "needs --checkpoint"),
        (["vitpose", "--to", "official"], "needs --weights"),
        (["official", "--to", "official", "--weights", str(tmp_path)], "no config.json and no model.safetensors"),
        (["official", "--to", "official", "--weights", "default"], "a convolutional stem or a joint locator"),
    ):
        assert words in refused(capfd, main([*options, "--out", str(tmp_path / "out")]), tmp_path)


def test_back_by_the_command(files, state, net, capfd):
    assert convert(files) == 0
    assert main(["official", "--to", "official", "--weights", str(files / "out"), "--out", str(files / "back")]) == 0
    assert sorted(path.name for path in (files / "back").iterdir()) == ["model.ckpt", "tokenizer.pth"]
    back = torch.load(files / "back" / "model.ckpt", weights_only=True)
    assert torch.equal(back["state_dict"]["smpl_head.deccam.weight"], state["smpl_head.deccam.weight"])
    assert back["hyper_parameters"]["cfg"]["MODEL"]["SMPL_HEAD"]["TRANSFORMER_DECODER"]["dim_head"] == 12
    assert SMALL_CONFIG["MODEL"]["IMAGE_SIZE"] == back["hyper_parameters"]["cfg"]["MODEL"]["IMAGE_SIZE"]
    assert torch.load(files / "back" / "tokenizer.pth", weights_only=True)["hparams"]["ARCH"]["NUM_TOKENS"] == 160


def test_half_precision_halves_the_folder(files):
    assert convert(files) == 0
    large = (files / "out" / "model.safetensors").stat().st_size
    assert convert(files, "--dtype", "float16") == 0
    assert (files / "out" / "model.safetensors").stat().st_size < 0.6 * large


def test_the_demo_draws_the_open_body_and_says_so_in_one_line(files, caplog, monkeypatch):
    from tokenhmr.demo.__main__ import main as demo

    assert convert(files) == 0
    monkeypatch.chdir(files)
    cv2.imwrite("grey.png", (np.random.default_rng(0).random((80, 60, 3)) * 255).astype(np.uint8))
    assert demo(["grey.png", "--weights", "out", "--detector", "full", "--no-pictures", "--out", "demo"]) == 0
    (line,) = [message for message in caplog.messages if "body" in message]
    assert "betas do not transfer" in line
    (people,) = files.glob("demo/**/people.npz")
    with np.load(people) as arrays:
        assert "open for smpl" in str(arrays["body"]) and "non-commercial" in str(arrays["licences"])


def test_a_real_process_says_its_error_in_one_line(files, capfd):
    arguments = ["official", "--tokenizer", str(files / "model.ckpt"), "--out", "x"]
    command = [sys.executable, "-m", "tokenhmr.convert", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=files)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "is no tokenizer.pth" in done.stderr
    assert main([*arguments, "--debug"]) == 2
    assert "Traceback" in capfd.readouterr().err
