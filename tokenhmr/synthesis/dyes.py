"""The colours of what is worn: which layers share cloth, and what cloth suits which outfit."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32

from tokenhmr.synthesis.fabrics import TEXELS, Colour, denim, dye, hair_colour, skin_colour, weave
from tokenhmr.synthesis.tailor import LAYERS

_PLAIN = {"shoes", "sole", "gloves", "hair"}
_ALWAYS = {"legs", "top", "jacket", "shoes"}  # whose colours others take over
_SIGNAL = np.array([(1.0, 0.42, 0.05), (0.86, 0.95, 0.1), (0.95, 0.2, 0.1)])  # colours of vests that want to be seen


def colour_layers(
    outfit: str, worn: set[str], hair: str, generator: np.random.Generator
) -> tuple[Float32[np.ndarray, "material 64 64 3"], Float32[np.ndarray, " material"], int]:
    """Textures and gloss of the skin and of ``LAYERS``, and the skin's place on its scale."""
    skin, tone = skin_colour(generator)
    dyes: dict[str, Colour] = {layer: _unlike(skin, generator) for layer in LAYERS if layer in worn | _ALWAYS}
    _match(outfit, dyes, skin, generator)
    dyes["hair"] = hair_colour(generator)
    dyes["sole"] = np.full(3, generator.choice((0.03, 0.25, 0.75))) if generator.random() < 0.8 else dyes["shoes"]
    if hair == "hidden" and generator.random() < 0.5:
        dyes["hat"] = dyes["jacket"] if "jacket" in worn else dyes["top"]
    textures = np.zeros((1 + len(LAYERS), TEXELS, TEXELS, 3), dtype=np.float32)
    textures[0] = weave(skin, generator, plain=True, contrast=0.07)
    jeans = outfit in ("casual", "coat", "skirt", "dungarees") and generator.random() < 0.4
    for row, layer in enumerate(LAYERS, start=1):
        if layer not in worn:
            continue
        if jeans and layer in ("legs", "skirt"):
            textures[row] = denim(generator)
        elif layer == "hair":
            textures[row] = weave(dyes[layer], generator, plain=True, contrast=generator.uniform(0.15, 0.4))
        elif layer == "print":
            pattern = str(generator.choice(("letters", "blotches", "rings", "flowers"))) if generator.random() < 0.6 else None
            textures[row] = weave(dyes[layer], generator, plain=True, pattern=pattern)
        else:
            plain = layer in _PLAIN or outfit in ("suit", "work")
            bold = layer == "top" and outfit in ("dress", "robe") and generator.random() < 0.3
            textures[row] = weave(dyes[layer], generator, plain=plain, pattern="flowers" if bold else None)
    if jeans and "jacket" in worn and generator.random() < 0.1:
        textures[1 + LAYERS.index("jacket")] = textures[1 + LAYERS.index("legs")]
    shine = {"shoes": 0.12, "hair": 0.12, "gloves": 0.2, "hat": 0.12, "held": 0.25, "bag": 0.12}
    most = np.array([0.12, *(shine.get(layer, 0.05) for layer in LAYERS)])
    gloss = generator.uniform(0, 1, len(most)) * most
    return textures, gloss.astype(np.float32), tone


def _match(outfit: str, dyes: dict[str, Colour], skin: Colour, generator: np.random.Generator) -> None:
    """What belongs together is of one cloth."""
    if outfit == "suit":
        dyes["jacket"] = dyes["legs"] = dye(generator) * generator.uniform(0.05, 0.35)
        dyes["top"] = dye(generator) ** 0.3
    elif outfit == "work":
        dyes["jacket"] = _SIGNAL[generator.integers(len(_SIGNAL))]
        dyes["hat"] = _SIGNAL[generator.integers(len(_SIGNAL))] if generator.random() < 0.5 else np.full(3, 0.8)
        dyes["print"] = np.full(3, 0.7)
        if generator.random() < 0.5:
            dyes["legs"] = dyes["top"]
    elif outfit in ("dress", "skirt", "robe"):  # over bare legs, stockings or trousers
        kind = generator.random()
        dyes["legs"] = skin if kind < 0.6 and outfit != "robe" else dyes["legs"] * (0.2 if kind < 0.85 else 1.0)
    elif generator.random() < 0.08:
        dyes["legs"] = dyes["top"]


def _unlike(skin: Colour, generator: np.random.Generator) -> Colour:
    """A dye that nobody takes for skin."""
    colour = dye(generator)
    while np.abs(np.sqrt(colour) - np.sqrt(skin)).max() < 0.15:
        colour = dye(generator)
    return colour
