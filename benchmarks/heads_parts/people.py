"""People in pictures that the packaged eye looked at once, and what their labels say of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import torch
from heads_parts.networks import Seen
from jaxtyping import Float
from model_card_parts.columns import pictures_of, read_labels
from model_card_parts.outside import unseen
from torch import Tensor

from tokenhmr.body import Body
from tokenhmr.data.batches import held_out_batches
from tokenhmr.data.mocap import recording_of
from tokenhmr.evaluation.single import one_body, one_row
from tokenhmr.evaluation.traits import label_traits
from tokenhmr.models.parts import look
from tokenhmr.models.pretrained import load
from tokenhmr.models.tokenhmr import TokenHMR
from tokenhmr.structs import Batch, Pose, normalise

AT_ONCE = 50


class People(NamedTuple):
    """Labels in the picture's camera axes, metres, and what the eye says."""

    seen: Seen  # tokens in half precision
    keypoints_2d: Float[Tensor, "row 44 3"]
    keypoints_3d: Float[Tensor, "row 44 4"]
    global_orient: Float[Tensor, "row 3 3"]
    body: Float[Tensor, "row 23 3 3"]
    betas: Float[Tensor, "row 10"]
    traits: dict[str, Float[Tensor, " row"]]  # hidden, cut (shares) and apart (mm); only of people to be judged on
    clip: list[str]

    def batch(self, pick: Tensor) -> Batch:
        """Some rows, to learn from; ``image`` is empty, for nobody looks at it again."""
        known = torch.ones(len(pick), dtype=torch.bool)
        return Batch(
            image=torch.zeros(len(pick), 3, 1, 1), keypoints_2d=self.keypoints_2d[pick], keypoints_3d=self.keypoints_3d[pick],
            pose=Pose(global_orient=self.global_orient[pick], body=self.body[pick], betas=self.betas[pick]), has_pose=known,
            has_betas=known, trusted=known, box_center=torch.zeros(len(pick), 2), box_size=torch.ones(len(pick)),
            image_size=torch.ones(len(pick), 2), view=self.seen.view[pick],
        )  # fmt: skip

    def shown(self, pick: Tensor) -> Seen:
        return Seen(self.seen.tokens[pick].float(), self.seen.places[pick], self.seen.view[pick])


def packaged_model() -> TokenHMR:
    model = load("default")
    assert isinstance(model, TokenHMR)
    assert model.locator is not None
    return model.eval()


def look_at(folder: Path, split: str, *, motion: Path, judged: bool) -> People:
    """All pictures of a split; a ``FileNotFoundError`` where there are none. ``judged``: with traits, which takes a while."""
    source = pictures_of(folder, f"synthetic-{split}-*.tar")
    model = packaged_model()
    assert model.locator is not None
    labels = read_labels(source) if judged else {}
    apart = unseen(labels, motion, model.body) if judged else {}
    found: dict[str, list[Tensor]] = {}
    traits: dict[str, list[float]] = {"hidden": [], "cut": [], "apart": []}
    clips: list[str] = []
    for batch in held_out_batches(sources=[source], batch_size=AT_ONCE):
        with torch.inference_mode():
            located = model.locator(look(model.backbone, normalise(batch.image)))
        assert batch.view is not None
        part = {
            "tokens": located.tokens.half(), "places": located.places.float(), "view": batch.view,
            "keypoints_2d": batch.keypoints_2d, "keypoints_3d": batch.keypoints_3d,
            "global_orient": batch.pose.global_orient, "body": batch.pose.body, "betas": batch.pose.betas,
        }  # fmt: skip
        for name, value in part.items():
            found.setdefault(name, []).append(value)
        clips += [recording_of(track) for track in batch.track]
        if judged:
            _note(batch, model.body, apart, traits)
    whole = {name: torch.cat(parts) for name, parts in found.items()}
    seen = Seen(*(whole.pop(name) for name in Seen._fields))
    return People(seen=seen, **whole, traits={k: torch.tensor(v) for k, v in traits.items() if v}, clip=clips)


def _note(batch: Batch, body: Body, apart: dict[str, float], traits: dict[str, list[float]]) -> None:
    truth, faces = body(batch.pose), body.faces.numpy()
    for place, key in enumerate(batch.key):
        noted = label_traits(one_row(batch, place), one_body(truth, place), faces)
        traits["hidden"].append(noted.get("occlusion", 0.0))
        traits["cut"].append(noted["crop"])
        traits["apart"].append(apart[key.rpartition("/")[2]])


def kept(path: Path, folder: Path, split: str, *, motion: Path, judged: bool) -> People:
    """From a file, or looked at now and written there: whole or not at all."""
    if not path.is_file():
        people = look_at(folder, split, motion=motion, judged=judged)
        saved: dict[str, Any] = people._asdict() | {"seen": tuple(people.seen)}
        torch.save(saved, path.with_suffix(".unfinished"))
        os.replace(path.with_suffix(".unfinished"), path)
    fields = torch.load(path, weights_only=True, mmap=True)
    return People(**(fields | {"seen": Seen(*fields["seen"])}))
