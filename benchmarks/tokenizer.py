"""A tokenizer on held-out motion beside two baselines on the same split: ``python benchmarks/tokenizer.py --motion DIR``.

``DIR`` has ``train`` and ``test`` folders of AMASS-layout npz, split by subject. Every test frame counts once, without noise;
zero root, zero betas, open body. Bits a pose are what it costs to write the code down without entropy coding.
"""

import argparse
import math
from pathlib import Path

import numpy as np
import torch

from tokenhmr.body import Body, load_body
from tokenhmr.data.mocap import Motion, read_motion
from tokenhmr.evaluation.tokenizer import END_JOINTS, evaluate_tokenizer, pose_errors
from tokenhmr.models.pretrained import load_tokenizer
from tokenhmr.rotations import axis_angle_to_matrix, matrix_to_rows, rows_to_matrix
from tokenhmr.skeleton import SMPL_JOINTS

CHUNK = 512
PASSES = (2, 3, 5)  # of the encoder over a pose


def as_matrices(motion: Motion) -> torch.Tensor:
    return axis_angle_to_matrix(torch.from_numpy(motion.body_pose))


def mean_errors(found: torch.Tensor, truth: torch.Tensor, body: Body) -> dict[str, float]:
    """The same means as for the tokenizer, for any reconstruction."""
    parts = [pose_errors(a, b, body) for a, b in zip(found.split(CHUNK), truth.split(CHUNK), strict=True)]
    joint = torch.cat([part["joint_mm"] for part in parts]).double().mean(dim=0)
    scores = {"joint_mm": float(joint.mean()), "vertex_mm": float(torch.cat([p["vertex_mm"] for p in parts]).double().mean())}
    scores["angle_deg"] = float(torch.cat([part["angle_deg"] for part in parts]).double().mean())
    return scores | {f"{name}_mm": float(joint[SMPL_JOINTS.index(name) - 1]) for name in END_JOINTS}


def nearest_training_pose(train: torch.Tensor, test: torch.Tensor) -> torch.Tensor:
    """For each test pose the training pose with the nearest rotation matrices (squared Frobenius distance)."""
    book, rows = train.flatten(start_dim=1), test.flatten(start_dim=1)
    bias = -0.5 * book.square().sum(dim=1)
    chosen = torch.cat([torch.addmm(bias, part, book.T).argmax(dim=1) for part in rows.split(CHUNK)])
    return train[chosen]


def water_filling(variance: np.ndarray, bits: int) -> np.ndarray:
    """Whole bits for each component: one after the other to where the expected error is largest."""
    allocated = np.zeros(len(variance), dtype=int)
    error = variance.copy()
    for _ in range(bits):
        worst = int(error.argmax())
        allocated[worst] += 1
        error[worst] = variance[worst] / 4.0 ** allocated[worst]
    return allocated


def quantised_pca(train: torch.Tensor, test: torch.Tensor, bits: int) -> torch.Tensor:
    """PCA of the 6D rows, each component in uniform steps between its extremes in training."""
    data, rows = matrix_to_rows(train).flatten(start_dim=1).double(), matrix_to_rows(test).flatten(start_dim=1).double()
    mean = data.mean(dim=0)
    values, vectors = torch.linalg.eigh((data - mean).T @ (data - mean) / len(data))
    allocated = torch.from_numpy(water_filling(values.clamp_min(0).numpy(), bits))
    inside = (data - mean) @ vectors
    low, high = inside.amin(dim=0), inside.amax(dim=0)
    step = (high - low) / 2.0**allocated
    index = (((rows - mean) @ vectors - low) / step).floor().clamp_min(0).minimum(2.0**allocated - 1)
    coded = torch.where(allocated > 0, low + (index + 0.5) * step, inside.mean(dim=0))
    return rows_to_matrix((coded @ vectors.T + mean).view(-1, 21, 6).float())


def table(rows: list[tuple[str, float, dict[str, float]]]) -> str:
    ends = [f"{name.replace('_', ' ')} mm" for name in END_JOINTS]
    head = ["", "bits a pose", "joints mm", "vertices mm", "angle deg", *ends]
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for name, bits, scores in rows:
        values = [scores["joint_mm"], scores["vertex_mm"], scores["angle_deg"], *(scores[f"{end}_mm"] for end in END_JOINTS)]
        lines.append("| " + " | ".join([name, f"{bits:.0f}", *(f"{value:.1f}" for value in values)]) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--motion", type=Path, required=True, help="folder with train/ and test/")
    parser.add_argument("--weights", default="default", help="tokenizer folder, or an image model's")
    parser.add_argument("--out", type=Path, help="also write the tables here")
    options = parser.parse_args()
    torch.set_grad_enabled(False)
    tokenizer, body = load_tokenizer(options.weights), load_body()
    train, test = read_motion(options.motion / "train"), read_motion(options.motion / "test")
    book, truth = as_matrices(train), as_matrices(test)

    whole = evaluate_tokenizer(tokenizer, body, truth)
    bits = tokenizer.tokens * math.log2(tokenizer.codes)
    rows = [("tokenizer", bits, whole)]
    for passes in PASSES:
        restored = torch.cat([tokenizer.decode(tokenizer.encode(part, passes=passes)) for part in truth.split(CHUNK)])
        rows.append((f"tokenizer, {passes} passes", bits, mean_errors(restored, truth, body)))
    rows.append(("nearest training pose", math.log2(len(book)), mean_errors(nearest_training_pose(book, truth), truth, body)))
    for rate in (50, 100, 200, int(bits)):
        rows.append(("scalar-quantised PCA", rate, mean_errors(quantised_pca(book, truth, rate), truth, body)))
    moving = [name for name in SMPL_JOINTS[1:22] if "collar" not in name]

    report = [
        f"{len(truth)} test frames of {len(set(test.subjects))} subjects; {len(book)} training frames of "
        f"{len(set(train.subjects))} others.",
        "",
        table(rows),
        "",
        f"Codes hit on test: {whole['codes_hit']:.1%} of {tokenizer.codes}; perplexity {whole['perplexity']:.0f}. Angles over "
        f"all 21 joints; {len(moving)} of them move in this data (the collars do not).",
        "",
    ]
    subjects = np.array(test.subjects)[test.clip]
    by_subject = [
        (subject, bits, evaluate_tokenizer(tokenizer, body, truth[torch.from_numpy(subjects == subject)]))
        for subject in sorted(set(test.subjects))
    ]
    report += ["By subject:", "", table(by_subject), ""]
    text = "\n".join(report)
    print(text)
    if options.out:
        options.out.write_text(text)


if __name__ == "__main__":
    main()
