"""The formulas of the public models, said once more: functions of the public names alone, in double precision.

Written from the architectures as published (TokenHMR section 3 and supplement, HMR2.0 section 3, ViT, ViTPose, PCT), in the
most obvious way, with nothing of the package: what it says, converted weights have to say too.
"""

import math

import torch
from torch.nn import functional as f


class Weights(dict):
    """A public state in double precision, with the layers that use it."""

    def __init__(self, state):
        super().__init__({name: value.double() for name, value in state.items()})

    def linear(self, name, x):
        return x @ self[f"{name}.weight"].T + self.get(f"{name}.bias", 0)

    def norm(self, name, x, eps):
        mean = x.mean(dim=-1, keepdim=True)
        spread = (x - mean).square().mean(dim=-1, keepdim=True)
        return (x - mean) / (spread + eps).sqrt() * self[f"{name}.weight"] + self[f"{name}.bias"]

    def conv(self, name, x, **how):
        return f.conv1d(x, self[f"{name}.weight"], self[f"{name}.bias"], **how)


def gelu(x):
    return x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))


def gram_schmidt(six, stack):
    """``stack``: -2 where the six numbers are two rows, -1 where they are two columns."""
    first = six[..., :3] / six[..., :3].norm(dim=-1, keepdim=True)
    second = six[..., 3:] - (first * six[..., 3:]).sum(dim=-1, keepdim=True) * first
    second = second / second.norm(dim=-1, keepdim=True)
    return torch.stack([first, second, torch.cross(first, second, dim=-1)], dim=stack)


# The tokenizer: joints are what is convolved along, (pose, channel, place).


def residual_blocks(net, name, x):
    for block, dilation in ((0, 3), (1, 1)):
        inner = net.conv(f"{name}.model.{block}.conv1", x.relu(), padding=dilation, dilation=dilation)
        x = x + net.conv(f"{name}.model.{block}.conv2", inner.relu())
    return x


def encode(net, rotations):
    """(pose, 21, 3, 3) to (pose, 160) indices."""
    x = rotations.double()[:, :, :2].flatten(start_dim=2).transpose(1, 2)
    x = net.conv("encoder.encoder.0", x, padding=1).relu()
    for index, size in ((3, 40), (6, 80), (9, 160), (12, 320)):
        x = net.conv(f"encoder.encoder.{index}", f.interpolate(x, size=size, mode="nearest"), padding=1).relu()
    x = net.conv("encoder.encoder.14.0", x, stride=2, padding=1)
    x = net.conv("encoder.encoder.15", residual_blocks(net, "encoder.encoder.14.1", x), padding=1)
    differences = x.transpose(1, 2)[:, :, None] - net["quantizer.codebook"]
    return differences.square().sum(dim=-1).argmin(dim=-1)


def decode_6d(net, codes):
    """(pose, 160, channel) to (pose, 21, 6)."""
    x = net.conv("decoder.decoder.0", codes.transpose(1, 2), padding=1).relu()
    for index, size in ((3, 125), (6, 90), (9, 55), (12, 21)):
        x = net.conv(f"decoder.decoder.{index}", f.interpolate(x, size=size, mode="nearest"), padding=1).relu()
    x = net.conv("decoder.decoder.14.1", residual_blocks(net, "decoder.decoder.14.0", x), padding=1)
    return net.conv("decoder.decoder.15", x, padding=1).transpose(1, 2)


def decode(net, index):
    return gram_schmidt(decode_6d(net, net["quantizer.codebook"][index]), -2)


# The picture.


def attention(query, key, value, heads):
    """(row, place, channel) each; one head after the other."""
    out = []
    for q, k, v in zip(query.chunk(heads, dim=-1), key.chunk(heads, dim=-1), value.chunk(heads, dim=-1), strict=True):
        scores = q @ k.transpose(1, 2) / math.sqrt(q.shape[-1])
        out.append(scores.softmax(dim=-1) @ v)
    return torch.cat(out, dim=-1)


def backbone(state, image, *, heads, prefix="backbone."):
    """(picture, 3, 256, 256) to (picture, 192, channel), row by row."""
    weight, bias = state[f"{prefix}patch_embed.proj.weight"], state[f"{prefix}patch_embed.proj.bias"]
    patches = f.conv2d(image.double()[..., 32:224], weight, bias, stride=16, padding=2)
    x = patches.flatten(start_dim=2).transpose(1, 2)
    x = x + state[f"{prefix}pos_embed"][:, 1:] + state[f"{prefix}pos_embed"][:, :1]
    for block in range(sum(name.startswith(f"{prefix}blocks.") and name.endswith("qkv.bias") for name in state)):
        name = f"{prefix}blocks.{block}"
        query, key, value = state.linear(f"{name}.attn.qkv", state.norm(f"{name}.norm1", x, 1e-6)).chunk(3, dim=-1)
        x = x + state.linear(f"{name}.attn.proj", attention(query, key, value, heads))
        x = x + state.linear(f"{name}.mlp.fc2", gelu(state.linear(f"{name}.mlp.fc1", state.norm(f"{name}.norm2", x, 1e-6))))
    return state.norm(f"{prefix}last_norm", x, 1e-6)


def decoder(state, features, *, heads):
    """(picture, 192, channel) to the one token, (picture, width)."""
    head = "smpl_head.transformer"
    x = state.linear(f"{head}.to_token_embedding", features.new_zeros(len(features), 1, 1)) + state[f"{head}.pos_embedding"]
    for layer in range(sum(name.endswith(".1.fn.to_q.weight") for name in state)):
        name = f"{head}.transformer.layers.{layer}"
        query, key, value = state.linear(f"{name}.0.fn.to_qkv", state.norm(f"{name}.0.norm", x, 1e-5)).chunk(3, dim=-1)
        x = x + state.linear(f"{name}.0.fn.to_out.0", attention(query, key, value, heads))
        query = state.linear(f"{name}.1.fn.to_q", state.norm(f"{name}.1.norm", x, 1e-5))
        key, value = state.linear(f"{name}.1.fn.to_kv", features).chunk(2, dim=-1)
        x = x + state.linear(f"{name}.1.fn.to_out.0", attention(query, key, value, heads))
        inner = gelu(state.linear(f"{name}.2.fn.net.0", state.norm(f"{name}.2.norm", x, 1e-5)))
        x = x + state.linear(f"{name}.2.fn.net.3", inner)
    return x[:, 0]


def probabilities(state, token):
    """Of each code for each of the 160 places."""
    head = "smpl_head.decpose"
    hidden = state[f"{head}.class_pred_layer.weight"].shape[1]
    x = state.norm(f"{head}.mixer_trans.ff.1", state.linear(f"{head}.mixer_trans.ff.0", token), 1e-5).relu()
    x = x.reshape(len(token), -1, hidden)
    for mixer in range(sum(name.endswith("MLP_token.ff.0.bias") for name in state)):
        name = f"{head}.mixer_head.{mixer}"
        places = state.norm(f"{name}.layernorm1", x, 1e-5).transpose(1, 2)
        y = state.linear(f"{name}.MLP_token.ff.3", gelu(state.linear(f"{name}.MLP_token.ff.0", places))).transpose(1, 2)
        channels = state.norm(f"{name}.layernorm2", x + y, 1e-5)
        z = state.linear(f"{name}.MLP_channel.ff.3", gelu(state.linear(f"{name}.MLP_channel.ff.0", channels)))
        x = x + y + z
    x = state.norm(f"{head}.mixer_norm_layer.ff.1", state.linear(f"{head}.mixer_norm_layer.ff.0", x), 1e-5).relu()
    return state.linear(f"{head}.class_pred_layer", x).softmax(dim=-1)


def shape_and_camera(state, token):
    betas = state.linear("smpl_head.decshape", token) + state["smpl_head.init_betas"]
    return betas, state.linear("smpl_head.deccam", token) + state["smpl_head.init_cam"]


def tokenhmr(state, net, image, *, vit_heads, heads):
    """Rotations (picture, 24, 3, 3), betas, camera and the probabilities of the words."""
    token = decoder(state, backbone(state, image, heads=vit_heads), heads=heads)
    share = probabilities(state, token)
    body = decode_6d(net, share @ net["quantizer.codebook"]).flatten(start_dim=1)
    orient, hands = (state.linear(f"smpl_head.decpose_{part}", token) for part in ("grot", "hands"))
    six = torch.cat([orient, body, hands], dim=1) + state["smpl_head.init_body_pose"]
    return gram_schmidt(six.reshape(-1, 24, 6), -2), *shape_and_camera(state, token), share


def hmr2(state, image, *, vit_heads, heads):
    token = decoder(state, backbone(state, image, heads=vit_heads), heads=heads)
    six = state.linear("smpl_head.decpose", token) + state["smpl_head.init_body_pose"]
    return gram_schmidt(six.reshape(-1, 24, 6), -1), *shape_and_camera(state, token)


def discriminator(state, body, betas):
    """(body, 23, 3, 3) and betas to 25 answers: joints, shape, the pose as a whole."""
    grid = body.double().flatten(start_dim=2).transpose(1, 2)[..., None]
    for name in ("D_conv1", "D_conv2"):
        grid = f.conv2d(grid, state[f"discriminator.{name}.weight"], state[f"discriminator.{name}.bias"]).relu()
    joints = [state.linear(f"discriminator.pose_out.{joint}", grid[:, :, joint, 0]) for joint in range(23)]
    shape = betas.double()
    for name in ("betas_fc1", "betas_fc2"):
        shape = state.linear(f"discriminator.{name}", shape).relu()
    pose = grid.flatten(start_dim=1)
    for name in ("D_alljoints_fc1", "D_alljoints_fc2"):
        pose = state.linear(f"discriminator.{name}", pose).relu()
    answers = [*joints, state.linear("discriminator.betas_out", shape), state.linear("discriminator.D_alljoints_out", pose)]
    return torch.cat(answers, dim=1)
