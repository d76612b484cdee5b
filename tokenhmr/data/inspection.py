"""A look through picture sets: what cannot be read, what can be read but looks wrong, and how the labels are spread."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from tokenhmr.data.annotation import Annotation
from tokenhmr.data.crop import square_side
from tokenhmr.data.given import MOST_BOX
from tokenhmr.data.opened import open_scene
from tokenhmr.data.scene import Scene
from tokenhmr.data.sources import Source
from tokenhmr.data.upright import AS_STORED, orientation
from tokenhmr.skeleton import SMPL_JOINTS

# Beyond these a label is hardly meant so. Shapes of SMPL fits lie within 3 as a rule (4D-Humans drops what lies outside).
_MOST_BETA = 5.0
_TALLEST, _SMALLEST = 3.5, 0.2  # metres between a person's joints
_TURNED = "EXIF says that the picture is turned, which goes unheard (labels should be of the picture as stored)"
_BOX_ROOM = 0.2  # how far, in box sides, joints may lie outside their box


@dataclass
class Findings:
    """What was found in one set."""

    name: str
    people: int = 0
    pictures: int = 0
    poses: int = 0  # people with a pose
    shapes: int = 0
    trusted: int = 0
    joints: int = 0  # 2D joints with a confidence
    outside: int = 0  # of them, those outside their picture
    problems: dict[str, str] = field(default_factory=dict)  # what cannot be read -> why
    remarks: dict[str, list[str]] = field(default_factory=dict)  # what looks wrong -> people

    def skip(self, what: str, why: str) -> None:
        """Something that training would leave out."""
        self.problems[what] = " ".join(why.split())

    def count(self, person: Annotation, name: str) -> None:
        """A person who can be read."""
        self.people += 1
        self.poses += person.has_pose
        self.shapes += person.has_betas
        self.trusted += person.trusted
        sure, inside = seen_joints(person)
        self.joints += int(sure.sum())
        self.outside += int((sure & ~inside).sum())
        for remark in remarks_on(person):
            self.remark(remark, name)

    def remark(self, what: str, name: str) -> None:
        """Something that can be read and looks wrong."""
        self.remarks.setdefault(what, []).append(name)

    def lines(self, *, names: int = 3) -> Iterator[str]:
        """The findings in words, each kind with its first ``names`` examples."""
        share = self.outside / max(self.joints, 1)
        yield (
            f"{self.name}: {self.people} people in {self.pictures} pictures, {self.poses} with pose, {self.shapes} with shape, "
            f"{self.trusted} trusted; of {self.joints} joints {share:.1%} outside their picture"
        )
        for what, why in self.problems.items():
            yield f"  cannot be read: {what}: {why}"
        for remark, people in self.remarks.items():
            more = f" and {len(people) - names} more" if len(people) > names else ""
            yield f"  {remark}: {', '.join(people[:names])}{more}"


def look_through(source: Source, findings: Findings, *, decode: bool) -> Iterator[tuple[Scene, int, Annotation]]:
    """Every person of a set who can be read, with the scene and their row in it; pictures are decoded only when asked for."""
    for number in range(len(source.shards)):
        for scene in source.scenes(number, skip=findings.skip):
            try:
                people = _decoded(scene, findings) if decode else scene.people()
            except (ValueError, OSError) as reason:
                findings.skip(scene.name, str(reason))
                continue
            findings.pictures += 1
            for row, person in enumerate(people):
                findings.count(person, scene.name if len(people) == 1 else f"{scene.name} #{row}")
                yield scene, row, person


def _decoded(scene: Scene, findings: Findings) -> tuple[Annotation, ...]:
    """The people of a picture that can be decoded; a tag for its orientation that goes unheard is remarked on."""
    data = scene.picture()
    people = open_scene(dataclasses.replace(scene, picture=lambda: data)).people
    if orientation(data) not in (AS_STORED, scene.orientation):
        findings.remark(_TURNED, scene.name)
    return people


def seen_joints(person: Annotation) -> tuple[Bool[np.ndarray, "44"], Bool[np.ndarray, "44"]]:
    """Which 2D joints have a confidence, and which lie inside the picture."""
    points = person.keypoints_2d[:, :2]
    inside = np.all((points >= 0) & (points <= person.image_size), axis=1)
    return person.keypoints_2d[:, 2] > 0, inside


def remarks_on(person: Annotation) -> list[str]:
    """What of a person's labels can be read and still is hardly meant so."""
    found = []
    sure, inside = seen_joints(person)
    low, high = person.box_center - person.box_size / 2, person.box_center + person.box_size / 2
    if np.any(high <= 0) or np.any(low >= person.image_size):
        return ["the box lies outside the picture"]
    if person.box_size.max() > MOST_BOX * person.image_size.max():
        return [f"the box is more than {MOST_BOX} times as large as the picture"]
    points, room = person.keypoints_2d[sure & inside, :2], _BOX_ROOM * person.box_size
    if len(points) and np.all((points >= low - room) & (points <= high + room), axis=1).mean() < 0.5:
        found.append("most joints lie outside the box")
    angles = np.linalg.norm(person.pose, axis=1)
    if person.has_pose and angles.max() > 2 * np.pi:
        found.append("a joint turns more than a full turn (degrees in place of radians?)")
    if person.has_pose and not angles[1:].any():
        found.append("every joint of the pose is at rest (a pose that is not there?)")
    if person.has_betas and np.abs(person.betas).max() > _MOST_BETA:
        found.append(f"a shape beyond {_MOST_BETA:g}")
    space = person.keypoints_3d[person.keypoints_3d[:, 3] > 0, :3]
    if len(space) > 1:
        span = float(np.ptp(space, axis=0).max())
        if not _SMALLEST <= span <= _TALLEST:
            found.append(f"3D joints that span less than {_SMALLEST:g} or more than {_TALLEST:g} m (millimetres?)")
    if not sure.any() and not person.has_pose and not len(space):
        found.append("nothing is annotated but the box")
    return found


class Histograms:
    """Pose, shape, scale and occlusion of many people, counted in bins; what lies beyond the last bin counts in it."""

    edges: dict[str, Float[np.ndarray, " edge"]]

    def __init__(self) -> None:
        self.people = 0
        self.edges = {
            "turn of a joint (degrees)": np.linspace(0, 180, 37),
            "shape coefficient": np.linspace(-5, 5, 41),
            "box side (pixels)": np.linspace(0, 1280, 41),
            "box side (share of the picture's longer side)": np.linspace(0, 1.5, 31),
            "joints not seen (share of 44)": np.linspace(0, 1, 23),
        }
        self.counts: dict[str, dict[str, Any]] = {kind: {} for kind in self.edges}

    def add(self, person: Annotation) -> None:
        """Count a person, what is annotated of them."""
        self.people += 1
        pose, shape, side, share, unseen = self.edges
        if person.has_pose:
            angles = np.degrees(np.linalg.norm(person.pose, axis=1)) % 360
            for name, angle in zip(SMPL_JOINTS, np.minimum(angles, 360 - angles), strict=True):
                self._count(pose, name, float(angle))
        if person.has_betas:
            for number, beta in enumerate(person.betas):
                self._count(shape, f"beta {number}", float(beta))
        length = square_side(person.box_size)
        self._count(side, "all", length)
        self._count(share, "all", length / float(person.image_size.max()))
        sure, inside = seen_joints(person)
        self._count(unseen, "all", 1 - float((sure & inside).mean()))

    def table(self) -> dict[str, Any]:
        """Edges of the bins and counts by kind and name: plain lists."""
        return {
            kind: {"edges": edges.tolist(), "counts": {name: rows.tolist() for name, rows in self.counts[kind].items()}}
            for kind, edges in self.edges.items()
        }

    def _count(self, kind: str, name: str, value: float) -> None:
        edges = self.edges[kind]
        rows = self.counts[kind].setdefault(name, np.zeros(len(edges) - 1, dtype=np.int64))
        rows[int(np.clip(np.searchsorted(edges, value, side="right") - 1, 0, len(rows) - 1))] += 1


def plot(histograms: dict[str, Histograms], path: Path) -> None:
    """One picture of all sets, each curve a share of its set. ``ImportError`` says what to install without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError as reason:
        raise ImportError("plots need matplotlib: pip install 'tokenhmr[plots]'") from reason
    kinds = list(next(iter(histograms.values())).edges)
    figure = Figure(figsize=(14, 12), layout="constrained")
    grid = figure.add_gridspec(3, 2)
    _draw_joints(figure.add_subplot(grid[0, :]), kinds[0], histograms)
    for place, kind in enumerate(kinds[1:]):
        axes = figure.add_subplot(grid[1 + place // 2, place % 2])
        for name, made in histograms.items():
            total = sum(made.counts[kind].values(), np.zeros(len(made.edges[kind]) - 1))
            axes.stairs(total / max(total.sum(), 1), made.edges[kind], label=name)
        axes.set(xlabel=kind, ylabel="share")
        axes.legend(fontsize=7)
    figure.savefig(path, dpi=90)


def _draw_joints(axes: Any, kind: str, histograms: dict[str, Histograms]) -> None:
    """The middle and the spread of every joint's turn, set by set."""
    width = 0.8 / len(histograms)
    for number, (name, made) in enumerate(histograms.items()):
        middles = (made.edges[kind][1:] + made.edges[kind][:-1]) / 2
        rows = [made.counts[kind].get(joint) for joint in SMPL_JOINTS]
        spread = np.array([_quantiles(row, middles) for row in rows])
        places = np.arange(len(SMPL_JOINTS)) + (number + 0.5) * width - 0.4
        error = np.stack([spread[:, 1] - spread[:, 0], spread[:, 2] - spread[:, 1]])
        axes.errorbar(places, spread[:, 1], yerr=error, fmt="o", markersize=3, label=f"{name} ({made.people} people)")
    axes.set_xticks(range(len(SMPL_JOINTS)), SMPL_JOINTS, rotation=45, ha="right", fontsize=8)
    axes.set(ylabel=f"{kind}: 10 %, median, 90 %")
    axes.legend(fontsize=7)


def _quantiles(counts: Any, middles: Float[np.ndarray, " bin"], at: Sequence[float] = (0.1, 0.5, 0.9)) -> list[float]:
    if counts is None:
        return [float("nan")] * len(at)
    reached = np.cumsum(counts) / counts.sum()
    return [float(middles[int(np.searchsorted(reached, share))]) for share in at]
