import inspect
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from tokenhmr.body import load_body
from tokenhmr.models import mixer, transformer, vit
from tokenhmr.models.mixer import TokenClassifier
from tokenhmr.models.tokenhmr import Heads, TokenHMR, build_tokenhmr
from tokenhmr.models.tokenizer import PoseTokenizer
from tokenhmr.models.transformer import CrossAttention, QueryDecoder, SelfAttention
from tokenhmr.models.vit import GRID, ConvStem, PatchEmbed, ViT, residual
from tokenhmr.rotations import matrix_to_rows, rows_to_matrix

CONFIGS = Path(__file__).parents[1] / "configs" / "model"


@pytest.fixture(scope="module")
def body():
    return load_body("open")


def small_tokenizer():
    return PoseTokenizer(width=16, codes=32, code_width=8, upsamplings=1, downsamplings=1, stages=2, depth=1)


def small_model(body, *, stem="patch", drop_path=0.0, seed=0):
    torch.manual_seed(seed)
    return build_tokenhmr(
        backbone={"stem": stem, "width": 64, "depth": 2, "heads": 2, "drop_path": drop_path},
        decoder={"width": 32, "depth": 1, "heads": 2, "head_width": 16},
        classifier={"hidden": 8, "token_hidden": 8, "channel_hidden": 8, "layers": 1},
        tokenizer=small_tokenizer(),
        body=body,
    )


def instantiate(name, tokenizer, body):
    hydra, omegaconf = pytest.importorskip("hydra.utils"), pytest.importorskip("omegaconf")
    return hydra.instantiate(omegaconf.OmegaConf.load(CONFIGS / f"{name}.yaml"), tokenizer=tokenizer, body=body)


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


# Released numbers: facts of the public checkpoints, counted from their tensors.


def test_the_released_size_has_the_released_parameters(body):
    with torch.device("meta"):
        model = instantiate("tokenhmr", PoseTokenizer(), body)
    assert count(model.backbone) == 630_912_000
    assert count(model.backbone.patch_embed) == 984_320
    assert count(model.backbone.blocks[7]) == 19_677_440
    assert count(model.decoder) == 39_386_112
    assert count(model.heads.classifier) == 10_870_080
    assert count(model.decoder) + count(model.heads) == 50_287_967
    assert model.parameter_counts() == {"trainable": 681_199_967, "frozen": 13_136_134}
    rates = [block.drop_path for block in model.backbone.blocks]
    assert rates[0] == 0 and rates[-1] == 0.55 and rates == sorted(rates)


@pytest.mark.parametrize(("name", "most"), [("tokenhmr_small", 12_000_000), ("tokenhmr_base", 110_000_000)])
def test_the_other_sizes_are_built_by_their_yaml_and_keep_their_numbers(name, most, body):
    with torch.device("meta"):
        model = instantiate(name, PoseTokenizer(), body)
        again = {key: value for key, value in model.numbers.items() if key != "tokenizer"}
        twin = build_tokenhmr(**again, tokenizer=PoseTokenizer(**model.numbers["tokenizer"]), body=body)
    assert model.parameter_counts()["trainable"] <= most
    shapes = {key: value.shape for key, value in model.state_dict().items()}
    assert shapes == {key: value.shape for key, value in twin.state_dict().items()}
    assert type(model.numbers["backbone"]) is dict  # plain numbers, ready for JSON


def test_an_unknown_number_fails_when_the_model_is_built(body):
    numbers = {"decoder": {"width": 32, "depth": 1, "heads": 2}, "classifier": {}, "tokenizer": small_tokenizer(), "body": body}
    with pytest.raises(TypeError, match="layers"):
        build_tokenhmr(backbone={"stem": "patch", "width": 64, "depth": 2, "heads": 2, "layers": 2}, **numbers)
    with pytest.raises(ValueError, match="patch, conv, not 'linear'"):
        build_tokenhmr(backbone={"stem": "linear", "width": 64, "depth": 2, "heads": 2}, **numbers)


def test_modules_take_keywords_only():
    rooms = (vit, transformer, mixer)
    modules = [
        kind for room in rooms for kind in vars(room).values() if inspect.isclass(kind) and kind.__module__ == room.__name__
    ]
    assert len(modules) >= 10
    for kind in (*modules, TokenHMR, Heads):
        parameters = list(inspect.signature(kind.__init__).parameters.values())[1:]
        assert all(parameter.kind is parameter.KEYWORD_ONLY for parameter in parameters), kind


# The backbone.


@pytest.mark.parametrize("stem", [PatchEmbed, ConvStem])
def test_both_stems_give_the_same_grid_in_reading_order(stem):
    torch.manual_seed(0)
    embed = stem(width=64).eval()
    image = torch.randn(1, 3, 256, 192, requires_grad=True)
    features = embed(image)
    assert features.shape == (1, GRID[0] * GRID[1], 64)
    # What moves the feature of a cell are pixels of that very cell (group normalisation adds a faint rest everywhere).
    row, column = 3, 7
    features[0, row * GRID[1] + column].square().sum().backward()
    influence = image.grad.square().sum(dim=(0, 1))
    influence = influence / influence.sum()
    center = [(influence.sum(dim=1 - axis) * torch.arange(influence.shape[axis])).sum().item() for axis in (0, 1)]
    assert center == pytest.approx([row * 16 + 8, column * 16 + 8], abs=12)


def test_only_the_middle_columns_are_looked_at():
    torch.manual_seed(0)
    backbone = ViT(patch_embed=PatchEmbed(width=32), width=32, depth=1, heads=2).eval()
    image = torch.randn(2, 3, 256, 256)
    features = backbone(image)
    assert features.shape == (2, 32, 16, 12)
    outside = image.clone()
    outside[..., :32] = outside[..., -32:] = 0
    assert torch.equal(backbone(outside), features)
    inside = image.clone()
    inside[..., 40] = 0
    assert not torch.equal(backbone(inside), features)
    with pytest.raises(ValueError, match=r"\(256, 192\) pixels, the model reads \(256, 256\)"):
        backbone(image[..., :192])


def test_slot_zero_is_added_to_every_patch():
    torch.manual_seed(0)
    backbone = ViT(patch_embed=PatchEmbed(width=32), width=32, depth=1, heads=2).eval()
    image = torch.randn(1, 3, 256, 256)
    features = backbone(image)
    shift = torch.randn(32)
    with torch.no_grad():
        backbone.pos_embed[:, 0] += shift
        backbone.pos_embed[:, 1:] -= shift
    torch.testing.assert_close(backbone(image), features)


def test_attention_agrees_with_the_obvious_way():
    torch.manual_seed(0)
    attention, x = vit.Attention(width=24, heads=3), torch.randn(2, 5, 24)
    query, key, value = (part.view(2, 5, 3, 8).transpose(1, 2) for part in attention.qkv(x).chunk(3, dim=-1))
    weights = (query @ key.mT / 8**0.5).softmax(dim=-1)
    obvious = attention.proj((weights @ value).transpose(1, 2).reshape(2, 5, 24))
    torch.testing.assert_close(attention(x), obvious)


def test_drop_path_skips_whole_samples_and_is_right_on_average():
    torch.manual_seed(0)
    x, seen = torch.randn(4000, 1, 3), []

    def branch(kept):
        seen.append(len(kept))
        return 2 * kept

    ratio = (residual(x, branch, 0.4) / x)[:, 0, 0]
    dropped = torch.isclose(ratio, torch.ones(()))
    assert torch.isclose(ratio[~dropped], torch.tensor(1 + 2 / 0.6)).all()
    assert seen == [int((~dropped).sum())], "what is dropped must not be computed"
    assert abs(dropped.float().mean() - 0.4) < 0.04
    assert abs(ratio.mean() - 3.0) < 0.2


def test_drop_path_acts_in_training_only_and_leaves_every_parameter_a_gradient():
    torch.manual_seed(0)
    backbone = ViT(patch_embed=PatchEmbed(width=32), width=32, depth=3, heads=2, drop_path=0.95)
    image = torch.randn(1, 3, 256, 256)
    assert torch.equal(backbone.eval()(image), backbone(image))
    for _ in range(4):  # with one sample, some of these passes drop a whole branch
        backbone.train().zero_grad()
        backbone(image).sum().backward()
        assert all(parameter.grad is not None for parameter in backbone.parameters())


# The decoder.


def plain_attention(query, key, value, heads):
    split = [part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in (query, key, value)]
    return functional.scaled_dot_product_attention(*split).transpose(1, 2).flatten(start_dim=2)


def test_one_query_attention_equals_the_plain_way():
    torch.manual_seed(0)
    cross = CrossAttention(width=20, context_width=12, heads=4, head_width=6).double()
    x, context = torch.randn(3, 20).double(), torch.randn(3, 9, 12).double().requires_grad_()
    key, value = cross.to_kv(context).chunk(2, dim=-1)
    plain = cross.to_out(plain_attention(cross.to_q(x)[:, None], key, value, 4))[:, 0]
    folded = cross(x, context)
    torch.testing.assert_close(folded, plain, rtol=1e-12, atol=1e-12)
    weights = [cross.to_q.weight, cross.to_kv.weight, context]
    gradients = [torch.autograd.grad(way.sin().sum(), weights) for way in (folded, plain)]
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-10, atol=1e-10)

    itself = SelfAttention(width=20, heads=4, head_width=6).double()
    query, key, value = itself.to_qkv(x)[:, None].chunk(3, dim=-1)
    torch.testing.assert_close(itself(x), itself.to_out(plain_attention(query, key, value, 4))[:, 0])


def test_the_decoder_does_not_care_in_which_order_it_reads_the_picture():
    torch.manual_seed(0)
    decoder = QueryDecoder(context_width=12, width=16, depth=2, heads=2, head_width=8)
    context = torch.randn(2, 30, 12)
    torch.testing.assert_close(decoder(context[:, torch.randperm(30)]), decoder(context))
    assert not torch.allclose(decoder(context + 1), decoder(context))


def test_the_mixer_adds_both_of_its_steps():
    torch.manual_seed(0)
    layer, x = mixer.MixerLayer(tokens=5, hidden=4, token_hidden=3, channel_hidden=6), torch.randn(2, 5, 4)
    across = layer.mix_tokens(layer.norm_tokens(x).mT).mT
    along = layer.mix_channels(layer.norm_channels(x + across))
    torch.testing.assert_close(layer(x), x + across + along)
    assert TokenClassifier(width=6, tokens=5, codes=7, hidden=4)(torch.randn(2, 6)).shape == (2, 5, 7)


# The model.


@pytest.mark.parametrize("stem", ["patch", "conv"])
def test_a_prediction_is_a_body_of_proper_rotations(stem, body):
    model = small_model(body, stem=stem).eval()
    prediction = model(torch.randn(2, 3, 256, 256))
    assert prediction.token_logits.shape == (2, model.tokenizer.tokens, model.tokenizer.codes)
    assert prediction.camera.shape == (2, 3) and prediction.joints.shape == (2, 44, 3)
    assert prediction.vertices.shape == (2, body.vertex_count, 3)
    rotations = torch.cat([prediction.pose.global_orient[:, None], prediction.pose.body], dim=1)
    torch.testing.assert_close(rotations @ rotations.mT, torch.eye(3).expand(2, 24, 3, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.det(rotations), torch.ones(2, 24))
    posed = body(prediction.pose)
    torch.testing.assert_close(prediction.vertices, posed.vertices)
    torch.testing.assert_close(prediction.skeleton, posed.skeleton)


def test_a_model_that_says_nothing_predicts_the_mean(body):
    tokenizer = small_tokenizer()
    tokenizer.mean_pose.copy_(matrix_to_rows(torch.linalg.qr(torch.randn(21, 3, 3))[0]))
    model = small_model(body)
    heads = Heads(classifier=model.heads.classifier, width=32, shape=body.shape_count, mean_body=tokenizer.mean_pose)
    model = TokenHMR(backbone=model.backbone, decoder=model.decoder, heads=heads, tokenizer=tokenizer, body=body).eval()
    for module in (heads.orient, heads.hands, heads.shape, heads.camera, tokenizer.decoder.last):
        nn.init.zeros_(module.weight)
        nn.init.zeros_(module.bias)
    prediction = model(torch.randn(1, 3, 256, 256))
    torch.testing.assert_close(prediction.pose.body[0, :21], rows_to_matrix(tokenizer.mean_pose))
    torch.testing.assert_close(prediction.pose.body[0, 21:], torch.eye(3).expand(2, 3, 3))
    # Upright in camera axes (y down) and facing the camera (z forward).
    torch.testing.assert_close(prediction.pose.global_orient[0], torch.diag(torch.tensor([1.0, -1.0, -1.0])))
    assert prediction.camera[0].tolist() == pytest.approx([0.9, 0.0, 0.0])
    assert not prediction.pose.betas.any()


def test_every_person_is_judged_alone(body):
    model = small_model(body, stem="conv").eval()
    images = torch.randn(3, 3, 256, 256)
    together, alone = model(images), model(images[1:2])
    torch.testing.assert_close(together.vertices[1:2], alone.vertices, atol=1e-5, rtol=0)


def test_the_tokenizer_never_moves(body):
    model = small_model(body, drop_path=0.2)
    before = {name: value.clone() for name, value in model.tokenizer.state_dict().items()}
    optimizer = torch.optim.AdamW((p for p in model.parameters() if p.requires_grad), lr=1e-2, weight_decay=0.1)
    model.train()
    assert model.training and model.backbone.training and not model.tokenizer.training
    for _ in range(2):
        prediction = model(torch.randn(2, 3, 256, 256))
        (prediction.vertices.square().sum() + prediction.camera.sum()).backward()
        optimizer.step()
    assert all(torch.equal(value, before[name]) for name, value in model.tokenizer.state_dict().items())
    assert all(parameter.grad is None for parameter in model.tokenizer.parameters())
    # And yet the loss reaches the words through it; nothing that should learn is left out.
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)
    assert model.heads.classifier.classify.weight.grad.abs().max() > 0


def test_the_body_is_not_saved_and_the_tokenizer_is(body):
    names = set(small_model(body).state_dict())
    assert "tokenizer.quantizer.codebook" in names and "heads.mean_pose" in names
    assert not [name for name in names if name.startswith("body.")]


def test_geometry_stays_in_float32_under_autocast(body):
    model = small_model(body).eval()
    image = torch.randn(2, 3, 256, 256)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        prediction = model(image)
    for value in (prediction.vertices, prediction.joints, prediction.skeleton, prediction.camera, prediction.pose.body):
        assert value.dtype == torch.float32
    exact = body(prediction.pose)
    torch.testing.assert_close(prediction.vertices, exact.vertices, atol=1e-6, rtol=0)
    torch.testing.assert_close(prediction.joints, exact.joints, atol=1e-6, rtol=0)
    square = prediction.pose.body @ prediction.pose.body.mT
    torch.testing.assert_close(square, torch.eye(3).expand_as(square), atol=1e-5, rtol=0)
