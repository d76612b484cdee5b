"""NumPy in, NumPy out: a picture and boxes to people. Borrows the crop of training and the same forward."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64, UInt8
from torch import nn

from tokenhmr.camera import view_of, view_translation
from tokenhmr.data.crop import crop, crop_matrix, square_side
from tokenhmr.demo.camera import Camera, assumed_camera, said_camera, turns_to_rays
from tokenhmr.demo.detector import Numbers, as_boxes, as_scores, check_inside
from tokenhmr.rotations import matrix_to_axis_angle
from tokenhmr.structs import Prediction, asks_view, normalise


@dataclass(frozen=True, kw_only=True)
class Person:
    """One body in one picture. Camera axes: x right, y down, z forward; metres, radians, pixels.

    3D fields leave the translation out, as SMPL layers do: add it (or take ``placed_vertices``) to stand before the camera.
    """

    vertices: Float32[np.ndarray, "vertex 3"]
    joints: Float32[np.ndarray, "44 3"]  # skeleton.JOINTS44
    joints_2d: Float32[np.ndarray, "44 2"]  # pixels of the picture
    camera: Float32[np.ndarray, "3"]  # (scale, tx, ty) of the crop
    translation: Float32[np.ndarray, "3"]  # in front of the picture's camera
    focal: float  # pixels; known or assumed, see Predictor
    box: Float32[np.ndarray, "4"]  # left, top, right, bottom, as given
    score: float  # of the box, as given

    # What models of meshes do not say.
    skeleton: Float32[np.ndarray, "24 3"] | None = None  # skeleton.SMPL_JOINTS
    skeleton_2d: Float32[np.ndarray, "24 2"] | None = None
    global_orient: Float32[np.ndarray, "3 3"] | None = None
    body_pose: Float32[np.ndarray, "23 3 3"] | None = None  # SMPL joints 1 to 23, each relative to its parent
    axis_angle: Float32[np.ndarray, "24 3"] | None = None  # the 24 rotations as radians times unit axis
    betas: Float32[np.ndarray, " shape"] | None = None

    @property
    def placed_vertices(self) -> Float32[np.ndarray, "vertex 3"]:
        """The mesh where it stands in front of the camera, metres."""
        return self.vertices + self.translation


@dataclass(frozen=True, kw_only=True)
class Question:
    """People to be looked at in one picture, of which nothing is kept but their crops."""

    crops: Sequence[UInt8[np.ndarray, "256 256 3"]]
    boxes: Float[np.ndarray, "person 4"]  # left, top, right, bottom, pixels
    scores: Float[np.ndarray, " person"]
    camera: Camera
    held: int  # bytes of the picture: the tag may hold it
    tag: Any = None  # comes back with the answer

    @staticmethod
    def cut(
        image: UInt8[np.ndarray, "height width 3"],  # RGB
        boxes: Float[np.ndarray, "person 4"],
        scores: Float[np.ndarray, " person"],
        camera: Camera,
        *,
        zoom: float = 1.0,  # pixels of ``image`` for one of ``boxes`` and ``camera``: a huge picture is read smaller
        tag: Any = None,
    ) -> Question:
        """The question about these boxes. Whatever can be wrong with one picture is raised here, not while batches run."""
        squares = (_square(box) for box in boxes)
        crops = [crop(image, crop_matrix(center * zoom, side * zoom)) for center, side in squares]
        return Question(crops=crops, boxes=boxes, scores=scores, camera=camera, held=image.nbytes, tag=tag)


@dataclass(frozen=True, kw_only=True)
class _Waiting:
    """A question and its people as far as they are known."""

    question: Question
    people: list[Person]

    @property
    def missing(self) -> int:
        return len(self.question.crops) - len(self.people)


class Predictor:
    """Holds a model; is not one. People of several pictures go through it together."""

    MOST_HELD = 256 * 2**20  # bytes of pictures that wait for a batch to be full

    def __init__(self, model: nn.Module, *, batch_size: int = 16) -> None:
        if not isinstance(model, nn.Module):
            given = f"{model!r:.60}" if isinstance(model, str) else type(model).__name__
            raise ValueError(f'a Predictor holds a model, tokenhmr.Predictor(tokenhmr.load("default")), not {given}')
        if isinstance(batch_size, bool) or not isinstance(batch_size, Integral) or batch_size < 1:
            raise ValueError(f"people are looked at 1 or more at a time, a whole number, not {batch_size!r}")
        self.model = model.eval()
        self.batch_size = batch_size

    @property
    def asks_view(self) -> bool:
        """Whether the model has to be told the camera."""
        return asks_view(self.model)

    def __call__(
        self,
        image: UInt8[np.ndarray, "height width 3"],  # RGB
        boxes: Numbers,  # (people, 4): left, top, right, bottom, pixels; four numbers alone are one person
        *,
        scores: Numbers | None = None,  # (people)
        focal: float | None = None,  # pixels; None: what ``assumed_camera`` says
        camera: Camera | None = None,  # in place of focal: the whole camera
    ) -> list[Person]:
        """The person in each box, in the order of the boxes. Raises ``ValueError`` for pictures and boxes that are none.

        With ``focal`` alone the optical axis is taken to meet the middle of the picture. Where the camera is known, a body
        is turned from the view of its crop into the camera's axes; under the assumed camera the two differ by little, and
        bodies stay as the official demo leaves them. A model that is told the camera speaks in its axes already.
        """
        check_picture(image)
        boxes = as_boxes(boxes)
        size = (image.shape[1], image.shape[0])
        check_inside(boxes, size)
        if focal is not None and camera is not None:
            raise ValueError("focal stands in place of a camera: one of them")
        if camera is None:
            camera = assumed_camera(size, wide=self.asks_view) if focal is None else said_camera(focal, size)
        told = np.ones(len(boxes)) if scores is None else as_scores(scores, len(boxes))
        ((_, people),) = self.stream([Question.cut(image, boxes, told, camera)])
        return people

    def stream(self, questions: Iterable[Question]) -> Iterator[tuple[Any, list[Person]]]:
        """The tag of each question and its people, in order. Batches are filled across questions."""
        waiting: list[_Waiting] = []
        count, held = 0, 0
        for question in questions:
            waiting.append(_Waiting(question=question, people=[]))
            count, held = count + len(question.crops), held + question.held
            if count >= self.batch_size or held > self.MOST_HELD:
                # A crowd may be larger than a batch; who is left over waits for the next pictures, unless memory says no.
                yield from self._answer(waiting, keep=count % self.batch_size if held <= self.MOST_HELD else 0)
                count, held = sum(each.missing for each in waiting), 0
        yield from self._answer(waiting, keep=0)

    def _answer(self, waiting: list[_Waiting], *, keep: int) -> Iterator[tuple[Any, list[Person]]]:
        """Look at all crops that wait but the last ``keep``; whole questions leave the list."""
        todo = [(each, row) for each in waiting for row in range(len(each.people), len(each.question.crops))]
        todo = todo[: len(todo) - keep]
        for first in range(0, len(todo), self.batch_size):
            some = todo[first : first + self.batch_size]
            for (each, _), person in zip(some, self._some(some), strict=True):
                each.people.append(person)
        while waiting and not waiting[0].missing:
            each = waiting.pop(0)
            yield each.question.tag, each.people

    @torch.inference_mode()
    def _some(self, rows: Sequence[tuple[_Waiting, int]]) -> list[Person]:
        device = next(self.model.parameters()).device
        pixels = np.stack([each.question.crops[row] for each, row in rows])
        images = normalise(torch.from_numpy(pixels).permute(0, 3, 1, 2).to(device))
        views = np.stack([_view(each.question, row) for each, row in rows]).astype(np.float32)
        prediction: Prediction = (
            self.model(images, torch.from_numpy(views).to(device)) if self.asks_view else self.model(images)
        )
        columns = _columns(prediction)
        return [
            _place({name: column[number] for name, column in columns.items()}, each.question, row, turn=not self.asks_view)
            for number, (each, row) in enumerate(rows)
        ]


def _square(box: Float[np.ndarray, "4"]) -> tuple[Float64[np.ndarray, "2"], float]:
    """Middle and side of the crop around a box, pixels."""
    box = box.astype(np.float64)
    return (box[:2] + box[2:]) / 2, square_side(box[2:] - box[:2])


def _view(question: Question, row: int) -> Float64[np.ndarray, "3"]:
    """Where the crop is looked from (camera.py). In focal lengths, so that pixels need not be square."""
    middle, side = _square(question.boxes[row])
    focal, axis = torch.tensor(question.camera.focal).double(), torch.tensor(question.camera.center).double()
    return view_of(torch.from_numpy(middle), torch.tensor(side).double(), focal, axis).numpy()


def _place(said: dict[str, np.ndarray], question: Question, row: int, *, turn: bool) -> Person:
    """One person of the crop's camera before the camera of the picture; ``turn``: bodies are as the crop shows them."""
    camera, box, view = question.camera, question.boxes[row], _view(question, row)
    translation = view_translation(torch.from_numpy(said["camera"]), torch.from_numpy(view.astype(np.float32))).numpy()
    said = said | {"translation": translation}
    if turn and camera.known and "skeleton" in said:
        said |= _turned(said, np.array([*view[:2], 1.0]))
    flat = {"joints_2d": "joints", "skeleton_2d": "skeleton"}
    said |= {name: _pixels(said[of] + said["translation"], camera) for name, of in flat.items() if of in said}
    if "global_orient" in said:
        rotations = np.concatenate([said["global_orient"][None], said["body_pose"]])
        said["axis_angle"] = matrix_to_axis_angle(torch.from_numpy(rotations)).numpy()
    return Person(**said, box=box.astype(np.float32), focal=camera.focal[0], score=float(question.scores[row]))


def _turned(said: dict[str, np.ndarray], ray: Float64[np.ndarray, "3"]) -> dict[str, np.ndarray]:
    """A body as the crop shows it, looked at along ``ray`` and not along the optical axis.

    The crop says how a body looks to an eye that is turned to it. What it says is therefore turned with that eye, about the
    point of the ray where the crop's middle is; parameters turn about the root joint, so the translation takes up the rest.
    """
    turn = turns_to_rays(ray[None])[0].astype(np.float32)
    root = said["skeleton"][0]
    within = np.append(said["camera"][1:], np.float32(0))  # from the crop's middle to the body's origin
    turned = {name: (said[name] - root) @ turn.T + root for name in ("vertices", "joints", "skeleton")}
    turned["translation"] = said["translation"] - within + turn @ (root + within) - root
    if "global_orient" in said:
        turned["global_orient"] = turn @ said["global_orient"]
    return turned


def _pixels(points: Float32[np.ndarray, "point 3"], camera: Camera) -> Float32[np.ndarray, "point 2"]:
    return (points[:, :2] / points[:, 2:] * np.array(camera.focal) + np.array(camera.center)).astype(np.float32)


def _columns(prediction: Prediction) -> dict[str, np.ndarray]:
    """What the model says, as arrays with one row a person; what it does not say is left out."""
    said = {"vertices": prediction.vertices, "joints": prediction.joints, "camera": prediction.camera}
    if prediction.skeleton is not None:
        said["skeleton"] = prediction.skeleton
    if prediction.pose is not None:
        pose = prediction.pose
        said |= {"global_orient": pose.global_orient, "body_pose": pose.body, "betas": pose.betas}
    return {name: value.float().cpu().numpy() for name, value in said.items()}


def check_picture(image: UInt8[np.ndarray, "height width 3"]) -> None:
    """Refuse what is no RGB picture of eight bits, naming what it is."""
    if not isinstance(image, np.ndarray):
        raise ValueError(
            f"a picture is a uint8 RGB array (height, width, 3), this is of type {type(image).__name__}: "
            "np.asarray(PIL.Image.open(path).convert('RGB')) is one"
        )
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ValueError(f"a picture is uint8 of shape (height, width, 3), this is {image.dtype} of {image.shape}")
