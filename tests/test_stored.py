"""Weights in eight bits: what rounding may cost, what stays as it was, and files that say less than they should."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.test_pretrained import small_model, small_tokenizer
from tokenhmr.models.pretrained import load, load_backbone, load_tokenizer, save_pretrained
from tokenhmr.models.stored import SCALE, packed, unpacked


@pytest.fixture(scope="module")
def model():
    return small_model()


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    return save_pretrained(model, tmp_path_factory.mktemp("weights") / "int8", dtype="int8")


def rewritten(folder, target, change):
    """The folder again, its tensors changed in place; beyond the id nobody signs them."""
    target.mkdir()
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, target / "model.safetensors")
    (target / "config.json").write_text((folder / "config.json").read_text())
    return target


def test_no_number_moves_by_more_than_half_a_step():
    value = torch.randn(5, 7, 3, 3) * torch.tensor([1e-6, 1.0, 1e4, 1e-30, 0.0]).view(-1, 1, 1, 1)
    stored = packed({"x.weight": value}, "int8")
    again = unpacked(stored["x.weight"], stored["x.weight" + SCALE])
    step = stored["x.weight" + SCALE].view(-1, 1, 1, 1)
    assert ((again - value).abs() <= step * 0.5001).all() and not again[4].any()
    assert stored["x.weight"].abs().flatten(1).amax(1).tolist() == [127, 127, 127, 127, 0]  # each row uses all of its range
    assert torch.equal(packed({"x.weight": -value}, "int8")["x.weight"], -stored["x.weight"])


def test_rounding_what_was_rounded_changes_no_step():
    stored = packed({"x.weight": torch.randn(40, 60)}, "int8")
    again = packed({"x.weight": unpacked(stored["x.weight"], stored["x.weight" + SCALE])}, "int8")
    assert torch.equal(again["x.weight"], stored["x.weight"])
    torch.testing.assert_close(again["x.weight" + SCALE], stored["x.weight" + SCALE], rtol=1e-6, atol=0)


def test_a_model_comes_back_in_float32_matrices_rounded_the_rest_as_from_float16(model, folder, tmp_path):
    whole, half = (save_pretrained(model, tmp_path / dtype, dtype=dtype) for dtype in ("float32", "float16"))
    sizes = [(path / "model.safetensors").stat().st_size for path in (folder, half, whole)]
    assert sizes[0] < 0.85 * sizes[1] < 0.5 * sizes[2]  # the tokenizer, a third of this small model, is halved only
    again, halved, before = load(folder).state_dict(), load(half).state_dict(), model.state_dict()
    stored = load_file(folder / "model.safetensors")
    rounded = {name.removesuffix(SCALE) for name in stored if name.endswith(SCALE)}
    assert {"backbone.blocks.0.attn.qkv.weight", "heads.camera.weight"} <= rounded
    for name, value in again.items():
        assert value.dtype == before[name].dtype
        if name in rounded:
            assert stored[name].dtype == torch.int8 and not name.startswith("tokenizer.")
            assert (value - before[name]).abs().max() <= before[name].abs().max() / 250
        else:
            assert torch.equal(value, halved[name]), name


def test_parts_of_it_open_alone(model, folder, tmp_path):
    assert torch.equal(load_backbone(folder).state_dict()["pos_embed"], model.backbone.state_dict()["pos_embed"].half().float())
    inside = load_tokenizer(folder)
    rotations = torch.linalg.qr(torch.randn(5, 21, 3, 3))[0]
    alone = load_tokenizer(save_pretrained(small_tokenizer(), tmp_path / "tokenizer", dtype="int8"))
    assert torch.isfinite(alone.decode(alone.encode(rotations))).all()
    assert inside.state_dict().keys() == alone.state_dict().keys()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda tensors: tensors.pop("heads.camera.weight.scale"), r"1 missing: heads\.camera\.weight\.scale"),
        (lambda tensors: tensors.update({"heads.camera.weight.scale": torch.ones(2)}), r"scale is \[2\] and should be \[3\]"),
        (lambda tensors: tensors.update({"heads.camera.bias.scale": torch.ones(3)}), r"1 surplus: heads\.camera\.bias\.scale"),
        (lambda tensors: tensors.update({"heads.camera.weight": torch.ones(3, 2).int()}), "heads.camera.weight"),
    ],
)  # fmt: skip
def test_a_file_that_says_less_or_more_than_it_should_is_refused(folder, tmp_path, change, words):
    with pytest.raises(ValueError, match=words):
        load(rewritten(folder, tmp_path / "changed", change))
