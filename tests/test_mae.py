"""Backbones in MAE's names: every number arrives or is named as left out."""

import pytest
import torch

from tests.official_files import backbone_shapes, filled
from tokenhmr.convert import main
from tokenhmr.models.mae import spread
from tokenhmr.models.pretrained import load_backbone, read_config
from tokenhmr.models.public_weights import backbone_table


def mae_state(*, side=14, width=48, depth=2):
    """As MAE publishes encoders, with a class token; and the decoder of its full checkpoints."""
    shapes = backbone_shapes(width, depth) | {"pos_embed": (1, 1 + side**2, width), "cls_token": (1, 1, width)}
    shapes |= {"mask_token": (1, 1, 8), "decoder_embed.weight": (8, width), "decoder_blocks.0.norm1.weight": (8,)}
    return {key.replace("last_norm", "norm"): value for key, value in filled(shapes, 3).items()}


def convert(folder, state, capsys, *, inside="model"):
    torch.save({inside: state} if inside else state, folder / "mae.pth")
    status = main(["mae", "--checkpoint", str(folder / "mae.pth"), "--heads", "3", "--out", str(folder / "out")])
    return status, "".join(capsys.readouterr())


@pytest.mark.parametrize("inside", ["model", None])
def test_every_tensor_arrives_or_is_named(inside, tmp_path, capsys):
    state = mae_state()
    status, said = convert(tmp_path, state, capsys, inside=inside)
    assert status == 0
    assert "left out: cls_token, mask_token, decoder_embed.weight, decoder_blocks.0.norm1.weight\n" in said
    assert "positions of 14x14 cells spread over 16x12\n" in said
    backbone = load_backbone(tmp_path / "out")
    ours = backbone.state_dict()
    for row in backbone_table(backbone.numbers, theirs="", ours=""):
        if row.ours != "pos_embed":
            assert torch.equal(ours[row.ours].flatten(), state[row.theirs.replace("last_norm", "norm")].flatten()), row.ours
    assert ours["pos_embed"].shape == (1, 193, 48) and torch.equal(ours["pos_embed"][:, 0], state["pos_embed"][:, 0])
    assert read_config(tmp_path / "out")["source"]["from"] == "mae"
    assert backbone(torch.randn(1, 3, 256, 256)).isfinite().all()


def test_positions_stay_where_they_are_in_the_picture():
    """A plane over the square is the same plane over our grid, away from the border, to a tenth of a cell (bicubic)."""
    rows, columns = torch.meshgrid((torch.arange(14) + 0.5) / 14, (torch.arange(14) + 0.5) / 14, indexing="ij")
    plane = torch.stack([rows, columns], dim=-1).reshape(1, 196, 2)
    found = spread(torch.cat([torch.full((1, 1, 2), 7.0), plane], dim=1))
    assert (found[:, 0] == 7.0).all()
    grid = found[0, 1:].reshape(16, 12, 2)
    wanted = torch.stack(torch.meshgrid((torch.arange(16) + 0.5) / 16, (torch.arange(12) + 0.5) / 12, indexing="ij"), dim=-1)
    torch.testing.assert_close(grid[3:-3, 3:-3], wanted[3:-3, 3:-3], rtol=0, atol=0.1 / 16)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"pos_embed": torch.zeros(1, 194, 48)}, "pos_embed is [1, 194, 48]; wanted (1, 1 + cells of a square, width)"),
        ({"pos_embed": None}, "pos_embed is not there"),
        ({"patch_embed.proj.weight": torch.zeros(48, 3, 14, 14)}, "patch_embed.proj.weight is [48, 3, 14, 14]"),
        ({"blocks.0.gamma": torch.zeros(48)}, "1 surplus: blocks.0.gamma"),
        ({"norm.weight": None}, "1 missing: last_norm.weight"),
    ],
    ids=["no square", "no positions", "patches of 14", "a tensor more", "a tensor less"],
)
def test_what_does_not_fit_is_named(change, words, tmp_path, capsys):
    state = {key: value for key, value in (mae_state() | change).items() if value is not None}
    status, said = convert(tmp_path, state, capsys)
    assert status == 2 and words in said and said.count("\n") == 1 and not (tmp_path / "out").exists()
