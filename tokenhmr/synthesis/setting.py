"""The world around the people of a picture: where they stand in it, what is behind them, what is before them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Float64

from tokenhmr.render.rasterize import extent
from tokenhmr.synthesis.backgrounds import background
from tokenhmr.synthesis.daylight import sample_sky
from tokenhmr.synthesis.lamp import LampView, Shade, throw
from tokenhmr.synthesis.obstacles import hold, obstruct
from tokenhmr.synthesis.places import OUTDOORS
from tokenhmr.synthesis.props import Spot, made_of
from tokenhmr.synthesis.rooms import room
from tokenhmr.synthesis.scene import PICTURE, Camera, Light, View
from tokenhmr.synthesis.stage import Stage, see

# Share of pictures before a painted backdrop without depth; with something on the ground before the person; with something
# in a hand; out of whose focus the surroundings are; least height of the camera above the ground, metres.
_BACKDROP, _OBSTACLE, _HELD, _SHALLOW, _LEAST_HEIGHT = 0.12, 0.3, 0.12, 0.45, 0.25
MOST_HIDDEN = 0.6  # of the body, by things or by people

Picture = Float32[np.ndarray, "height width 3"]  # linear RGB


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A place with people in it. Its axes: y up, the origin on the ground under the person, turned any way."""

    place_to_camera: Float64[np.ndarray, "3 3"]
    origin: Float64[np.ndarray, " 3"]  # of the place, camera axes
    spot: Spot
    camera: Camera
    light: Light
    shade: Shade

    def to_place(self, point: Float32[np.ndarray, " 3"]) -> Float64[np.ndarray, " 3"]:
        """From camera axes."""
        return (point - self.origin) @ self.place_to_camera


def settle(
    view: View,
    camera: Camera,
    light: Light,
    bodies: list[Float32[np.ndarray, "_ 3"]],  # camera axes; the person first
    lamps: list[LampView],
    generator: np.random.Generator,
) -> Setting:
    """Lay the ground under the person's lowest point, or so low that the camera stays above it."""
    up, person = view.up, bodies[0]
    heights = person @ up.astype(np.float32)
    low, high = extent(person)
    middle = (low + high).astype(np.float64) / 2
    floor = min(float(heights.min()), -_LEAST_HEIGHT)
    turn = generator.uniform(0, 2 * np.pi)
    cosine, sine = np.cos(turn), np.sin(turn)
    place_to_camera = view.world_to_camera @ np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])
    origin = middle + up * (floor - float(middle @ up))
    spot = Spot(camera=-origin @ place_to_camera, top=float(heights.max()) - floor)
    shade = throw(lamps, bodies, place_to_camera, origin, light, generator)
    return Setting(place_to_camera=place_to_camera, origin=origin, spot=spot, camera=camera, light=light, shade=shade)


def behind(setting: Setting, focus: float, generator: np.random.Generator) -> tuple[Picture, str]:
    """The picture without anybody, ``focus`` metres being sharp, and the name of its kind."""
    picture, light, stage, sky = np.zeros((PICTURE, PICTURE, 3), dtype=np.float32), setting.light, Stage(), None
    if generator.random() < _BACKDROP:
        shown, name = background(generator, PICTURE)
        picture = np.square(shown / 255) * np.float32((light.sky + 0.5 * light.lamp).mean())
        if generator.random() < 0.5:
            stage.flat(-40.0, -40.0, 40.0, 40.0, 0.0, made_of(generator, 0.015, "ground", "planks", "tiles", "plaster"))
    elif light.indoors:
        name = "room"
        room(stage, setting.spot, generator)
    else:
        name = str(generator.choice(list(OUTDOORS)))
        hills = OUTDOORS[name](stage, setting.spot, generator)
        sky = sample_sky(light, setting.place_to_camera, generator, ridges=hills)
    if stage.quads:
        seen = see(stage, setting.camera, setting.place_to_camera, setting.origin, light, setting.shade, sky, picture)
        nearness = seen.nearness
        # One look a pixel leaves stairs at edges; lenses have none.
        picture = cv2.GaussianBlur(picture, (0, 0), 0.55)
    else:
        nearness = np.zeros(picture.shape[:2])
    if generator.random() < _SHALLOW:
        picture = _shallow(picture, nearness, focus, float(np.exp(generator.uniform(np.log(0.7), np.log(6)))))
    return picture, name


def _shallow(picture: Picture, nearness: Float64[np.ndarray, "height width"], focus: float, most: float) -> Picture:
    """Blur by the distance from what is in focus; ``most`` pixels (standard deviation) at the horizon."""
    off = cv2.GaussianBlur(np.minimum(np.abs(nearness * focus - 1), 1.5).astype(np.float32), (0, 0), 1.5)[..., None]
    little, much = (cv2.GaussianBlur(picture, (0, 0), max(size, 0.3)) for size in (0.4 * most, most))
    first, second = np.clip(off * 2.5, 0, 1), np.clip((off - 0.4) / 0.6, 0, 1)
    picture = picture + (little - picture) * first
    return picture + (much - picture) * second


def before(
    setting: Setting,
    hands: Float32[np.ndarray, "hand 3"],  # a place in every hand, camera axes
    nearness: Float64[np.ndarray, "height width"],  # of the bare body, 1/metres
    picture: Picture,
    generator: np.random.Generator,
) -> Bool[np.ndarray, "height width"]:
    """Put things before the person, in place; true where they hide what is behind them."""
    stage = Stage()
    if generator.random() < _OBSTACLE:
        obstruct(stage, setting.spot, generator)
    if generator.random() < _HELD:
        hold(stage, setting.to_place(hands[generator.integers(len(hands))]), generator)
    nothing = np.zeros(nearness.shape, dtype=bool)
    if not stage.quads:
        return nothing
    shown = np.zeros_like(picture)
    seen = see(stage, setting.camera, setting.place_to_camera, setting.origin, setting.light, setting.shade, None, shown)
    body = nearness > 0
    cover = seen.covered & (seen.nearness > nearness)
    if (cover & body).sum() > MOST_HIDDEN * body.sum():
        return nothing
    rows, columns = np.flatnonzero(cover.any(axis=1)), np.flatnonzero(cover.any(axis=0))
    if not len(rows):
        return nothing
    window = np.s_[max(rows[0] - 3, 0) : rows[-1] + 4, max(columns[0] - 3, 0) : columns[-1] + 4]
    # The same softness of edges as the body's.
    soft = cv2.GaussianBlur(np.dstack([shown * cover[..., None], cover])[window].astype(np.float32), (0, 0), 0.6)
    picture[window] *= 1 - soft[..., 3:]
    picture[window] += soft[..., :3]
    return cover
