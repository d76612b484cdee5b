"""What is compared, how large, and by which rule it is judged: fixed before any result was looked at."""

from __future__ import annotations

from dataclasses import dataclass, field

# Heads share trunk, mixer and the linear layers of orientation, shape and camera; only what says the body pose differs.
HEADS = ("continuous", "adversarial", "latents", "tokens")
LOSSES = ("plain", "tals_paper", "tals_release", "filtered")
# Where the labels of untrusted rows come from, and through which camera 2D joints are compared.
CONTROLS = ("true_camera", "unbiased", "heavy_2d", "exact", "true_loss_camera")
CONTROL_HEADS = ("continuous", "tokens")

WEIGHT_2D = {"heavy_2d": 0.1}  # in place of the released 0.01

# Does more learning change the picture? A few cells again, so many times as long; they judge nothing.
LONGER = 4
LONGER_CELLS = tuple(
    (head, loss, control)
    for loss, control in (("plain", ""), ("tals_release", ""), ("filtered", ""), ("plain", "true_camera"))
    for head in CONTROL_HEADS
)

LEARNING_RATES = (3e-4, 1e-3)
KEPT_SHARES = (0.5, 0.8)  # of the fitted rows, by residual: what the all-or-nothing filter may choose from
ADVERSARIAL_WEIGHTS = (1e-5, 1e-3)  # the first is the release's (0.0005 beside sums over 48 rows)

TRUSTED = 0.28  # share of training rows with exact labels: Human3.6M and BEDLAM in TokenHMR's mixture
KEYPOINT_NOISE = 0.01  # standard deviation of annotated 2D joints, sides of the crop (2.6 pixels)
DISTANCES = (1.2, 5.0)  # metres from the camera to the body

MARGIN_MM = 2.0  # PA-MPJPE; differences surely smaller than this count as none
DRAWS = 4000  # of the bootstrap
BINS = ((1.2, 2.0), (2.0, 3.2), (3.2, 5.0))  # metres: three parts of about one size on the log scale


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much of everything."""

    name: str
    pictures: dict[str, int] = field(hash=False)  # of each split
    start_steps: int  # of each head, on lifted bodies
    start_batch: int
    steps: int  # of each network
    batch: int
    evaluations: int  # points of a learning curve
    seeds: int
    longer_seeds: int
    fit_steps: int
    tokenizer_steps: int  # of each point of the sweep
    tokenizer_width: int
    tokenizer_points: tuple[tuple[int, int, int], ...]  # codes, upsamplings, downsamplings
    probe: int  # rows for the other fits of the page


FULL = Size(
    name="full",
    pictures={"train": 6016, "val": 384, "thresholds": 256, "test": 1024},
    start_steps=500, start_batch=128, steps=120, batch=48, evaluations=3, seeds=5, longer_seeds=2, fit_steps=120,
    tokenizer_steps=300, tokenizer_width=64,
    tokenizer_points=((64, 2, 1), (256, 2, 1), (1024, 2, 1), (256, 1, 1), (256, 1, 2), (1024, 1, 2)), probe=256,
)  # fmt: skip
TINY = Size(
    name="tiny",
    pictures={"train": 12, "val": 4, "thresholds": 4, "test": 6},
    start_steps=2, start_batch=8, steps=2, batch=4, evaluations=1, seeds=1, longer_seeds=1, fit_steps=3,
    tokenizer_steps=2, tokenizer_width=8, tokenizer_points=((8, 1, 1), (16, 1, 2)), probe=4,
)  # fmt: skip
SIZES = {size.name: size for size in (FULL, TINY)}
