"""People drawn from Anny's controls (adults of every build), and the space of their shapes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Float64, Int64

from tokenhmr.body.baking.rig import MIRROR_JOINTS, MIRROR_X

# Centre and spread of each control of the whole body; clipped to what Anny was made for.
_NORMAL = {
    "muscle": (0.5, 0.2),
    "weight": (0.5, 0.22),
    "height": (0.40, 0.07),
    "proportions": (0.5, 0.2),
    "cupsize": (0.5, 0.15),
    "firmness": (0.5, 0.15),
}
_ORIGINS = ("african", "asian", "caucasian")
_ADULT = 2 / 3  # of Anny's age, which goes from newborn (0) to old (1)
# Controls of one part that change the body; those of the face are left alone.
_PARTS = (
    "arm", "leg", "hip", "torso", "stomach", "neck", "buttocks", "hand-scale", "foot-scale", "waist", "thigh", "knee", "calf",
    "chest", "shoulder", "bust", "breast-volume", "measure",
)  # fmt: skip
_NOT_SHAPE = ("trans", "pregnant")
MIRROR_LIMIT = 2e-3  # metres: how far a mirrored vertex may lie from its partner

Controls = dict[str, Float64[np.ndarray, " sample"]]


def draw_people(
    count: int, *, labels: Sequence[str], parts: Sequence[str], seed: int = 0
) -> tuple[Controls, Controls]:  # fmt: skip
    """Anny's controls of ``count`` adults: of the whole body (``labels``) and of parts; the first person is the neutral one."""
    generator = np.random.default_rng(seed)
    whole: Controls = {
        "gender": np.where(generator.random(count) < 0.5, generator.uniform(0, 0.15, count), generator.uniform(0.85, 1, count)),
        "age": _ADULT + generator.beta(1.1, 2.2, count) / 3 - 0.03 * generator.random(count),
    }
    for name, (centre, spread) in _NORMAL.items():
        whole[name] = np.clip(generator.normal(centre, spread, count), 0.02, 0.98)
    origins = generator.dirichlet([1, 1, 1], count)
    whole |= {name: origins[:, column] for column, name in enumerate(_ORIGINS)}
    whole = {name: values for name, values in whole.items() if name in labels}
    neutral = {"age": 0.7} | dict.fromkeys(_ORIGINS, 1 / 3)
    for name, values in whole.items():
        values[0] = neutral.get(name, 0.5)

    both_sides: Controls = {}
    of_parts: Controls = {}
    for label in parts:
        if not any(part in label for part in _PARTS) or any(word in label for word in _NOT_SHAPE):
            continue
        key = label[2:] if label[:2] in ("l-", "r-") else label
        if key not in both_sides:
            both_sides[key] = np.clip(generator.normal(0, 0.12, count), -0.4, 0.4)
            both_sides[key][0] = 0
        of_parts[label] = both_sides[key]
    return whole, of_parts


def mirror_of(vertices: Float32[np.ndarray, "vertex 3"]) -> Int64[np.ndarray, " vertex"]:
    """The vertex that takes each one's place in a mirror. Raises ``ValueError`` for a mesh that is not symmetric."""
    from scipy.spatial import KDTree

    distance, mirror = KDTree(vertices).query(vertices * MIRROR_X)
    if distance.max() >= MIRROR_LIMIT:
        raise ValueError(
            f"the mean body is not symmetric: a mirrored vertex lies {distance.max() * 1e3:.1f} mm from every other one"
        )
    return np.asarray(mirror, dtype=np.int64)


def symmetric(
    vertices: Float32[np.ndarray, "sample vertex 3"],
    joints: Float64[np.ndarray, "sample 24 3"],
    mirror: Int64[np.ndarray, " vertex"],
) -> tuple[Float32[np.ndarray, "sample vertex 3"], Float64[np.ndarray, "sample 24 3"]]:
    """Everybody averaged with their mirror image."""
    flip = MIRROR_X.astype(np.float32)
    return 0.5 * (vertices + vertices[:, mirror] * flip), 0.5 * (joints + joints[:, MIRROR_JOINTS] * MIRROR_X)


def shape_space(
    vertices: Float32[np.ndarray, "sample vertex 3"], count: int
) -> tuple[
    Float32[np.ndarray, "vertex 3"], Float64[np.ndarray, "vertex 3 shape"], Float64[np.ndarray, "sample shape"],
    Float64[np.ndarray, " sample"],
]:  # fmt: skip
    """Mean, the strongest ``count`` directions (metres for one standard deviation), everybody's betas, all variances.

    Principal components through the Gram matrix of the people, who are fewer than the coordinates. A direction points to
    where the body gets taller.
    """
    mean = vertices.mean(0)
    apart = (vertices - mean).reshape(len(vertices), -1)
    variance, people = np.linalg.eigh((apart @ apart.T).astype(np.float64))
    order = np.argsort(-variance)
    variance, people = variance[order] / (len(apart) - 1), people[:, order]
    top, bottom = mean[:, 1].argmax(), mean[:, 1].argmin()
    directions, betas = [], []
    for component in range(count):
        direction = people[:, component] @ apart
        direction = direction / np.linalg.norm(direction) * np.sqrt(variance[component])
        shape = direction.reshape(-1, 3)
        taller = 1 if shape[top, 1] - shape[bottom, 1] >= 0 else -1
        directions.append(shape * taller)
        betas.append((apart @ (direction * taller)) / np.sum(directions[-1] ** 2))
    return mean, np.stack(directions, axis=-1), np.stack(betas, axis=1), variance
