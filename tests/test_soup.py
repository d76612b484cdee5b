"""The mean of weights is that of their numbers; what has no mean is refused, and nobody's licence is lost."""

import json

import pytest
import torch

from tests.test_pretrained import small_model, small_tokenizer
from tokenhmr.convert import DTYPES, main
from tokenhmr.models import stored
from tokenhmr.models.pretrained import load, read_config, save_pretrained


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two legs of one training."""
    place, found = tmp_path_factory.mktemp("legs"), []
    for name in ("one", "two"):
        model = small_model()
        if name == "two":
            with torch.no_grad():
                for part in (model.backbone, model.heads):
                    for parameter in part.parameters():
                        parameter.add_(torch.randn_like(parameter) * 0.01)
        about = {"licences": {"data": f"data of {name}"}, "training": {"steps": 5}, "name": name}
        found.append(str(save_pretrained(model, place / name, metadata=about)))
    return found


def mean(capsys, *words):
    status = main(["mean", *words])
    return status, capsys.readouterr()


def test_every_number_is_the_mean_and_all_licences_are_kept(folders, tmp_path, capsys):
    status, said = mean(capsys, *folders, "--shares", "1", "3", "--out", str(tmp_path / "mean"))
    assert status == 0 and said.out.startswith(f"25% of {folders[0]}\n75% of {folders[1]}\n")
    one, two, both = (load(folder).state_dict() for folder in (*folders, tmp_path / "mean"))
    for name, value in both.items():
        wanted = 0.25 * one[name] + 0.75 * two[name] if value.is_floating_point() else one[name]
        torch.testing.assert_close(value, wanted, rtol=1e-6, atol=1e-7)
    config = read_config(tmp_path / "mean")
    assert config["licences"]["data"] == "data of one; data of two" and config["licences"]["code"] == "Apache-2.0"
    assert [(part["weights"], part["share"]) for part in config["mean_of"]] == [
        (read_config(folders[0])["id"], 0.25), (read_config(folders[1])["id"], 0.75),
    ]  # fmt: skip
    assert "name" not in config and "training" not in config  # which were one's


def test_of_one_it_is_the_same_in_another_form(folders, tmp_path, capsys):
    assert mean(capsys, folders[0], "--dtype", "int8", "--out", str(tmp_path / "small"))[0] == 0
    direct = save_pretrained(load(folders[0]), tmp_path / "direct", dtype="int8")
    assert read_config(tmp_path / "small")["id"] == read_config(direct)["id"]
    assert read_config(tmp_path / "small")["training"] == {"steps": 5}
    assert DTYPES == stored.DTYPES


def test_what_has_no_mean_is_refused_in_a_line(folders, tmp_path, capsys):
    torch.manual_seed(1)
    other, tokenizer = small_model(), save_pretrained(small_tokenizer(), tmp_path / "tokenizer")
    other.tokenizer.mean_pose.add_(1.0)
    spoken = save_pretrained(other, tmp_path / "spoken")
    changed = json.loads((spoken / "config.json").read_text())
    changed["numbers"]["decoder"]["depth"] = 2
    (tmp_path / "larger").mkdir()
    (tmp_path / "larger" / "config.json").write_text(json.dumps(changed))
    (tmp_path / "larger" / "model.safetensors").write_bytes(b"")
    for words, why in (
        ([folders[0], str(spoken)], "their tokenizers differ"),
        ([folders[0], str(tokenizer)], "unlike kind, numbers"),
        ([folders[0], str(tmp_path / "larger")], "unlike numbers"),
        ([str(tokenizer), str(tokenizer)], "a code of one is none of another"),
        ([*folders, "--shares", "1"], "a share above zero for each of 2 weights"),
        ([*folders, "--shares", "1", "nan"], "a share above zero"),
        ([*folders, "--shares", "1", "0"], "a share above zero"),
    ):
        status, said = mean(capsys, *words, "--out", str(tmp_path / "out"))
        assert status == 2 and why in said.err and said.err.count("\n") == 1
    assert not (tmp_path / "out").exists()
