"""Files as the public ones are, made here: their names and shapes at any size, numbers from a seed, their containers."""

from collections import OrderedDict

import torch

from tests.fake_modules import fake

RELEASED_TOKENIZER = {"width": 512, "codes": 2048, "code_width": 256}
RELEASED = {"vit": 1280, "depth": 32, "width": 1024, "layers": 6, "inner": 512, "mixers": 4, "hidden": 64}
SMALL_TOKENIZER = {"width": 16, "codes": 48, "code_width": 8}
SMALL = {"vit": 48, "depth": 2, "width": 32, "layers": 2, "inner": 24, "mixers": 2, "hidden": 12}
SMALL_HEADS = 3  # of the backbone
SMALL_CONFIG = {
    "EXTRA": {"FOCAL_LENGTH": 5000, "PELVIS_IND": 39},
    "MODEL": {"IMAGE_SIZE": 256, "SMPL_HEAD": {"TRANSFORMER_DECODER": {"depth": 2, "heads": 2, "dim_head": 12}}},
    "paths": {"output_dir": "${hydra:runtime.output_dir}"},
}


def pairs(layers):
    """Weight and bias of each layer that is named with the shape of its weight."""
    return {f"{name}.{part}": shape if part == "weight" else shape[:1] for name, shape in layers for part in ("weight", "bias")}


def tokenizer_shapes(*, width, codes, code_width):
    layers = [("encoder.encoder.0", (width, 6, 3))]
    layers += [(f"encoder.encoder.{index}", (width, width, 3)) for index in (3, 6, 9, 12)]
    layers += [("encoder.encoder.14.0", (width, width, 4)), ("encoder.encoder.15", (code_width, width, 3))]
    layers += [("decoder.decoder.0", (width, code_width, 3))]
    layers += [(f"decoder.decoder.{index}", (width, width, 3)) for index in (3, 6, 9, 12)]
    layers += [("decoder.decoder.14.1", (width, width, 3)), ("decoder.decoder.15", (6, width, 3))]
    for stack in ("encoder.encoder.14.1", "decoder.decoder.14.0"):
        for block in (0, 1):
            layers += [(f"{stack}.model.{block}.conv1", (width, width, 3)), (f"{stack}.model.{block}.conv2", (width, width, 1))]
    return pairs(layers) | {"quantizer.codebook": (codes, code_width)}


def backbone_shapes(width, depth):
    layers = [("patch_embed.proj", (width, 3, 16, 16)), ("last_norm", (width,))]
    for block in range(depth):
        layers += [(f"blocks.{block}.norm1", (width,)), (f"blocks.{block}.norm2", (width,))]
        layers += [(f"blocks.{block}.attn.qkv", (3 * width, width)), (f"blocks.{block}.attn.proj", (width, width))]
        layers += [(f"blocks.{block}.mlp.fc1", (4 * width, width)), (f"blocks.{block}.mlp.fc2", (width, 4 * width))]
    return {"pos_embed": (1, 193, width)} | pairs(layers)


def _trunk_shapes(*, vit, depth, width, layers, inner, **_):
    """Backbone and decoder, which both models have."""
    shapes = {f"backbone.{name}": shape for name, shape in backbone_shapes(vit, depth).items()}
    head = "smpl_head.transformer"
    shapes |= {f"{head}.pos_embedding": (1, 1, width)} | pairs([(f"{head}.to_token_embedding", (width, 1))])
    for layer in range(layers):
        name = f"{head}.transformer.layers.{layer}"
        shapes |= {f"{name}.0.fn.to_qkv.weight": (3 * inner, width), f"{name}.1.fn.to_q.weight": (inner, width)}
        shapes |= {f"{name}.1.fn.to_kv.weight": (2 * inner, vit)}
        shapes |= pairs([(f"{name}.{part}.norm", (width,)) for part in (0, 1, 2)])
        shapes |= pairs([(f"{name}.{part}.fn.to_out.0", (width, inner)) for part in (0, 1)])
        shapes |= pairs([(f"{name}.2.fn.net.{part}", (width, width)) for part in (0, 3)])
    shapes |= pairs([("smpl_head.decshape", (10, width)), ("smpl_head.deccam", (3, width))])
    return shapes | {
        "smpl_head.init_body_pose": (1, 144),
        "smpl_head.init_betas": (1, 10),
        "smpl_head.init_cam": (1, 3),
    }


def tokenhmr_shapes(*, tokens=160, codes=2048, **sizes):
    width, hidden = sizes["width"], sizes["hidden"]
    head, spread = "smpl_head.decpose", tokens * hidden
    layers = [("smpl_head.decpose_grot", (6, width)), ("smpl_head.decpose_hands", (12, width))]
    layers += [(f"{head}.mixer_trans.ff.0", (spread, width)), (f"{head}.mixer_trans.ff.1", (spread,))]
    for mixer in range(sizes["mixers"]):
        name = f"{head}.mixer_head.{mixer}"
        layers += [(f"{name}.layernorm1", (hidden,)), (f"{name}.layernorm2", (hidden,))]
        layers += [(f"{name}.MLP_token.ff.0", (64, tokens)), (f"{name}.MLP_token.ff.3", (tokens, 64))]
        layers += [(f"{name}.MLP_channel.ff.0", (256, hidden)), (f"{name}.MLP_channel.ff.3", (hidden, 256))]
    layers += [(f"{head}.mixer_norm_layer.ff.0", (hidden, hidden)), (f"{head}.mixer_norm_layer.ff.1", (hidden,))]
    return _trunk_shapes(**sizes) | pairs([*layers, (f"{head}.class_pred_layer", (codes, hidden))])


def hmr2_shapes(**sizes):
    judge = "discriminator"
    layers = [("smpl_head.decpose", (144, sizes["width"]))]
    layers += [(f"{judge}.D_conv1", (32, 9, 1, 1)), (f"{judge}.D_conv2", (32, 32, 1, 1))]
    layers += [(f"{judge}.pose_out.{joint}", (1, 32)) for joint in range(23)]
    layers += [(f"{judge}.betas_fc1", (10, 10)), (f"{judge}.betas_fc2", (5, 10)), (f"{judge}.betas_out", (1, 5))]
    layers += [(f"{judge}.D_alljoints_fc1", (1024, 736)), (f"{judge}.D_alljoints_fc2", (1024, 1024))]
    return _trunk_shapes(**sizes) | pairs([*layers, (f"{judge}.D_alljoints_out", (1, 1024))])


def filled(shapes, seed):
    """Numbers at which activations neither die nor explode."""
    chance = torch.Generator().manual_seed(seed)
    state = OrderedDict()
    for name, shape in shapes.items():
        value = torch.randn(shape, generator=chance)
        fan = value[0].numel() if value.ndim > 1 and name.endswith("weight") else 1
        value *= (1.6 / fan) ** 0.5 if fan > 1 else 0.2
        is_norm = value.ndim == 1 and name.endswith("weight")
        state[name] = value + 1 if is_norm else value
    return state


def with_body(state):
    """As checkpoints carry it along: Lightning's mark and the buffers of a licensed body (here: none of its numbers)."""
    extra = {"initialized": torch.tensor(True), "smpl.v_template": torch.zeros(4, 3), "smpl.parents": torch.arange(24)}
    return OrderedDict(extra) | state


# The containers.


def write_tokenizer(path, net, *, arch=None, legacy=False):
    """``{"net", "hparams"}`` with yacs's class, which is a dict with attributes of its own."""
    kind = type("CfgNode", (dict,), {})

    def node(content):
        made = kind({key: node(value) if isinstance(value, dict) else value for key, value in content.items()})
        made.__dict__ |= {"__immutable__": False, "__deprecated_keys__": {"OLD"}, "__new_allowed__": False}
        return made

    arch = {"CODE_DIM": 8, "DILATION_RATE": 3, "NUM_TOKENS": -1, "ROT_TYPE": "rot6d", "NB_JOINTS": 21} if arch is None else arch
    with fake(yacs__config=[kind]):
        hparams = node({"ARCH": arch, "EXP": {"NAME": "x"}})
        torch.save({"net": net, "hparams": hparams}, path, _use_new_zipfile_serialization=not legacy)


def write_checkpoint(path, state, *, config=None, container="omegaconf"):
    """Lightning's dict, with hyper-parameters as omegaconf's nodes, as Lightning's own dict of them, or as yacs's."""
    content = {"epoch": 35, "global_step": 1_000_000, "pytorch-lightning_version": "1.8.1", "state_dict": state, "loops": {}}
    config = SMALL_CONFIG if config is None else config
    if container == "omegaconf":
        from omegaconf import OmegaConf

        torch.save(content | {"hyper_parameters": {"cfg": OmegaConf.create(config), "is_train_state": False}}, path)
        return
    module, name = {"lightning": ("lightning_fabric__utilities__data", "AttributeDict"), "yacs": ("yacs__config", "CfgNode")}[
        container
    ]
    kind = type(name, (dict,), {})
    with fake(**{module: [kind]}):
        made = kind({key: kind(value) if isinstance(value, dict) else value for key, value in config.items()})
        notes = kind({"cfg": made}) if container == "lightning" else {"cfg": made}
        torch.save(content | {"hyper_parameters": notes, "hparams_name": "cfg"}, path)
