"""Converted public weights: tables are total, and models say what the formulas say."""

import hashlib
import math

import pytest
import torch

from tests import official_twin as twin
from tests.official_files import (
    RELEASED,
    RELEASED_TOKENIZER,
    SMALL,
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
from tokenhmr.body import load_body, stand_in
from tokenhmr.models import exchange, public_weights
from tokenhmr.models.hmr2 import build_hmr2
from tokenhmr.models.pretrained import load, load_backbone, load_tokenizer
from tokenhmr.models.tokenhmr import build_tokenhmr
from tokenhmr.models.tokenizer import PoseTokenizer
from tokenhmr.rotations import axis_angle_to_matrix

BUDGET = {"atol": 1e-4, "rtol": 0.0}
FILLED_IN = {"mean_pose", "quantizer.count", "quantizer.total", "quantizer.started"}

# Of the sorted lines "name [shape]" of the released files, without the licensed body: facts of those files.
DIGESTS = {
    "tokenizer": (45, "795f1785616331f565ae5e0d7cfa53f8ac0484bd1901904e50b34512a0783467"),
    "tokenhmr": (563, "643613ce87390b24ae19b75dbcdfc72613297f60a5df3d8a69943f04ec410daf"),
    "hmr2": (565, "bafce9194057029e15a6b87332992e6b45f2f458fbbf5548d62905bf3e4d0a99"),
}
BACKBONE = {"stem": "patch", "width": 1280, "depth": 32, "heads": 16}
DECODER = {"width": 1024, "depth": 6, "heads": 8}


def released(kind):
    """The model at its released size, without memory, and its table."""
    body = stand_in("smpl", betas=10)
    with torch.device("meta"):
        tokenizer = PoseTokenizer()
        if kind == "tokenizer":
            return tokenizer, public_weights.tokenizer_table(tokenizer.numbers)
        if kind == "hmr2":
            model = build_hmr2(backbone=BACKBONE, decoder=DECODER, discriminator=True, body=body)
            return model, public_weights.hmr2_table(model.numbers)
        numbers = {"backbone": BACKBONE, "decoder": DECODER, "classifier": {"layers": 4}}
        return build_tokenhmr(**numbers, tokenizer=tokenizer, body=body), public_weights.tokenhmr_table(numbers)


@pytest.mark.parametrize("kind", sorted(DIGESTS))
def test_tables_are_total_and_one_to_one_on_the_released_files(kind):
    model, table = released(kind)
    ours = {name: tuple(value.shape) for name, value in model.state_dict().items() if not name.startswith("tokenizer.")}
    assert len({row.theirs for row in table}) == len({row.ours for row in table}) == len(table)
    assert {row.ours for row in table} == set(ours) - (FILLED_IN if kind == "tokenizer" else set())
    shapes = {row.theirs: tuple(row.shape(ours[row.ours])) for row in table}
    assert all(math.prod(shapes[row.theirs]) == math.prod(ours[row.ours]) for row in table)
    lines = sorted(f"{name} {list(shape)}" for name, shape in shapes.items())
    assert (len(lines), hashlib.sha256("\n".join(lines).encode()).hexdigest()) == DIGESTS[kind]
    # The files of these tests are public ones in small.
    made = {"tokenizer": tokenizer_shapes(**RELEASED_TOKENIZER), "hmr2": hmr2_shapes(**RELEASED)}
    assert made.get(kind, tokenhmr_shapes(**RELEASED)) == shapes


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Small public files with the numbers they hold, and our folders."""
    folder = tmp_path_factory.mktemp("official")
    states = {
        "tokenizer": filled(tokenizer_shapes(**SMALL_TOKENIZER), 1),
        "tokenhmr": filled(tokenhmr_shapes(**SMALL, codes=SMALL_TOKENIZER["codes"]), 2),
        "hmr2": filled(hmr2_shapes(**SMALL), 3),
        "vitpose": filled(backbone_shapes(SMALL["vit"], SMALL["depth"]), 4),
    }
    write_tokenizer(folder / "tokenizer.pth", states["tokenizer"])
    write_checkpoint(folder / "tokenhmr.ckpt", with_body(states["tokenhmr"]))
    write_checkpoint(folder / "hmr2.ckpt", with_body(states["hmr2"]))
    torch.save({"state_dict": states["vitpose"]}, folder / "vitpose_backbone.pth")
    exchange.convert_official(folder / "tokenizer.pth", folder / "tokenhmr.ckpt", folder / "tokenhmr", heads=SMALL_HEADS)
    exchange.convert_hmr2(folder / "hmr2.ckpt", folder / "hmr2", heads=SMALL_HEADS)
    exchange.convert_vitpose(folder / "vitpose_backbone.pth", folder / "vitpose", heads=SMALL_HEADS)
    exchange.convert_tokenizer(folder / "tokenizer.pth", folder / "tokenizer")
    return folder, {name: twin.Weights(state) for name, state in states.items()}


@pytest.fixture(scope="module")
def image():
    return torch.randn(2, 3, 256, 256, generator=torch.Generator().manual_seed(5))


def some_rotations(*shape):
    return axis_angle_to_matrix(torch.randn(*shape, 3, generator=torch.Generator().manual_seed(6)))


def test_the_tokenizer_says_what_the_formulas_say(files):
    folder, states = files
    tokenizer, net = load_tokenizer(folder / "tokenizer"), states["tokenizer"]
    rotations = some_rotations(8, 21)
    index = tokenizer.encode(rotations)
    assert index.shape == (8, 160) and len(index.unique()) > 10
    assert torch.equal(index, twin.encode(net, rotations))
    torch.testing.assert_close(tokenizer.decode(index).double(), twin.decode(net, index), **BUDGET)
    share = torch.rand(3, 160, SMALL_TOKENIZER["codes"]).softmax(dim=-1)
    expected = twin.decode_6d(net, share.double() @ net["quantizer.codebook"])
    torch.testing.assert_close(tokenizer.decode_6d(share).double(), expected, **BUDGET)
    # It can go on learning: its statistics stand for the codebook that it came with.
    quantizer = tokenizer.quantizer
    assert quantizer.started and torch.equal(quantizer.total / quantizer.count[:, None], quantizer.codebook)


def test_backbones_say_what_the_formulas_say(files, image):
    folder, states = files
    for name, prefix in (("tokenhmr", "backbone."), ("hmr2", "backbone."), ("vitpose", "")):
        features = load_backbone(folder / name)(image)
        assert features.shape == (2, SMALL["vit"], 16, 12)
        expected = twin.backbone(states[name], image, heads=SMALL_HEADS, prefix=prefix)
        torch.testing.assert_close(features.flatten(start_dim=2).mT.double(), expected, **BUDGET)


def test_tokenhmr_says_what_the_formulas_say(files, image):
    folder, states = files
    said = load(folder / "tokenhmr")(image)
    expected = twin.tokenhmr(states["tokenhmr"], states["tokenizer"], image, vit_heads=SMALL_HEADS, heads=2)
    rotations = torch.cat([said.pose.global_orient[:, None], said.pose.body], dim=1)
    for mine, theirs in zip((rotations, said.pose.betas, said.camera, said.token_logits.softmax(-1)), expected, strict=True):
        torch.testing.assert_close(mine.double(), theirs, **BUDGET)
    assert expected[3].max() > 2 / SMALL_TOKENIZER["codes"], "words that are all alike would prove nothing"
    assert (rotations[0] - rotations[1]).abs().max() > 1e-2, "two pictures, two poses"


def test_hmr2_and_its_discriminator_say_what_the_formulas_say(files, image):
    folder, states = files
    model = load(folder / "hmr2")
    said = model(image)
    expected = twin.hmr2(states["hmr2"], image, vit_heads=SMALL_HEADS, heads=2)
    rotations = torch.cat([said.pose.global_orient[:, None], said.pose.body], dim=1)
    for mine, theirs in zip((rotations, said.pose.betas, said.camera), expected, strict=True):
        torch.testing.assert_close(mine.double(), theirs, **BUDGET)
    body, betas = some_rotations(5, 23), torch.randn(5, 10, generator=torch.Generator().manual_seed(7))
    judged = twin.discriminator(states["hmr2"], body, betas)
    torch.testing.assert_close(model.discriminator(body, betas).double(), judged, **BUDGET)


def test_the_way_back_gives_the_same_files(files, tmp_path):
    folder, states = files
    for name, written, key in (
        ("tokenizer", "tokenizer.pth", "net"),
        ("tokenhmr", "model.ckpt", "state_dict"),
        ("hmr2", "model.ckpt", "state_dict"),
        ("vitpose", "vitpose_backbone.pth", "state_dict"),
    ):
        exchange.to_official(folder / name, tmp_path / name)
        back = torch.load(tmp_path / name / written, weights_only=True)[key]
        back.pop("initialized", None)
        assert back.keys() == states[name].keys()
        assert all(torch.equal(value.double(), states[name][key]) for key, value in back.items())
    # And there again: the numbers of the head travel in the file.
    again = tmp_path / "again"
    exchange.convert_official(
        tmp_path / "tokenhmr" / "tokenizer.pth", tmp_path / "tokenhmr" / "model.ckpt", again, heads=SMALL_HEADS
    )
    assert load(again).card["id"] == load(folder / "tokenhmr").card["id"]


# The body that public weights speak of.


def test_without_an_smpl_file_the_open_body_is_drawn_and_one_line_says_so(files, image, caplog, tmp_path, monkeypatch):
    folder, _ = files
    monkeypatch.chdir(tmp_path)
    model = load(folder / "tokenhmr")
    (line,) = caplog.messages
    assert "'smpl'" in line and "rotations are right" in line and "betas do not transfer" in line
    assert model.body.shown_as == "open for smpl" and model.body.shape_count == 10
    said = model(image)
    assert said.pose.betas.abs().max() > 0
    posed = load_body("open")
    shapeless = posed(type(said.pose)(global_orient=said.pose.global_orient, body=said.pose.body, betas=torch.zeros(2, 10)))
    torch.testing.assert_close(said.vertices, shapeless.vertices)
    # Trained on and saved, these are still weights for SMPL.
    exchange.save_pretrained(model, tmp_path / "on")
    assert load(tmp_path / "on").card["body"] == "smpl"
    with pytest.raises(ValueError, match="their numbers do not transfer"):
        load(folder / "tokenhmr", body=load_body("open"))


def test_with_the_users_own_body_nothing_is_said(files, caplog):
    folder, _ = files
    body = stand_in("smpl", betas=10)
    assert load(folder / "tokenhmr", body=body).body is body
    assert caplog.messages == []
    assert "non-commercial" in load(folder / "tokenhmr", body=body).card["licences"]["weights"]


@pytest.mark.slow
def test_files_of_the_released_size_go_there_and_back(tmp_path):
    shapes = {"tokenizer.pth": tokenizer_shapes(**RELEASED_TOKENIZER), "model.ckpt": tokenhmr_shapes(**RELEASED)}
    write_tokenizer(tmp_path / "tokenizer.pth", filled(shapes["tokenizer.pth"], 1))
    write_checkpoint(tmp_path / "model.ckpt", filled(shapes["model.ckpt"], 2), config={"MODEL": {"IMAGE_SIZE": 256}})
    exchange.convert_official(tmp_path / "tokenizer.pth", tmp_path / "model.ckpt", tmp_path / "ours")
    model = load(tmp_path / "ours")
    assert model.parameter_counts() == {"trainable": 681_199_967, "frozen": 13_136_134}
    image = torch.randn(1, 3, 256, 256, generator=torch.Generator().manual_seed(5))
    with torch.inference_mode():
        said = model(image)
        del model
        net, state = (twin.Weights(filled(shapes[name], seed)) for name, seed in (("tokenizer.pth", 1), ("model.ckpt", 2)))
        expected = twin.tokenhmr(state, net, image, vit_heads=16, heads=8)
        del state
    rotations = torch.cat([said.pose.global_orient[:, None], said.pose.body], dim=1)
    for mine, theirs in zip((rotations, said.pose.betas, said.camera, said.token_logits.softmax(-1)), expected, strict=True):
        torch.testing.assert_close(mine.double(), theirs, **BUDGET)
    exchange.to_official(tmp_path / "ours", tmp_path / "back")
    for name, key, seed in (("tokenizer.pth", "net", 1), ("model.ckpt", "state_dict", 2)):
        back = torch.load(tmp_path / "back" / name, weights_only=True, mmap=True)[key]
        assert all(torch.equal(back[tensor], value) for tensor, value in filled(shapes[name], seed).items())
