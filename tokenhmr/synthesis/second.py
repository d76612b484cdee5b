"""A second look at the same people: other cameras, light, places, shader and sensor, for tests of what the first look taught.

Nothing of it is ever trained on: what a network loses between the looks says how much it leans on the first one's renderer.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, Int32, UInt8

from tokenhmr.render import rasterize
from tokenhmr.render.rasterize import extent
from tokenhmr.synthesis.picture import HIDDEN, VISIBLE, Clothed, Photograph, Shot, put_on, sight
from tokenhmr.synthesis.scene import FRAME, PICTURE, Camera, Light, View
from tokenhmr.synthesis.second_kernels import paint_second
from tokenhmr.synthesis.second_world import surroundings
from tokenhmr.synthesis.sightings import Sightings
from tokenhmr.synthesis.tailor import Tailor

# Focal lengths that lenses are sold with, millimetres before 36 by 24 mm of film; phones have the first two.
_LENSES = (24.0, 28.0, 35.0, 50.0, 85.0, 135.0)
_SHORT_SIDE = 24.0
_MOST_HIDDEN = 0.6


def second_view(generator: np.random.Generator) -> View:
    """Any heading, and the pitch of somebody who stands, kneels or climbs and looks at people; hardly any roll."""
    heading, roll = generator.uniform(-np.pi, np.pi), np.radians(generator.normal(0, 2))
    pitch = np.arctan2(generator.normal(0.45, 0.45), np.exp(generator.uniform(np.log(1.5), np.log(8))))
    forward = np.array([np.sin(heading) * np.cos(pitch), -np.sin(pitch), np.cos(heading) * np.cos(pitch)])
    side = np.cross(forward, [0.0, 1.0, 0.0])
    side /= np.linalg.norm(side)
    down = np.cross(forward, side)
    level = np.stack([side, down, forward])
    cosine, sine = np.cos(roll), np.sin(roll)
    turned = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]]) @ level
    return View(world_to_camera=turned, up=turned[:, 1].copy())


def second_camera(
    vertices: Float[np.ndarray, "vertex 3"], joints: Float[np.ndarray, "44 3"], generator: np.random.Generator
) -> Camera:
    """A lens, then a distance at which the body, or what is above a cut, fills a share of a photograph; a frame around it."""
    lens = float(generator.choice(_LENSES))
    # Of the photograph's shorter side.
    filled = generator.uniform(0.35, 0.95)
    cut = generator.uniform(0.3, 0.75) if generator.random() < 0.3 else 1.0
    low, high = extent(vertices)
    tall = float((high - low)[:2].max()) * cut
    distance = float(np.clip(tall / filled * lens / _SHORT_SIDE, 1.3, 14.0))
    middle = (low + high) / 2
    middle[1] -= (1 - cut) / 2 * (high - low)[1]
    place = np.array([0.0, 0.0, distance]) - middle * [1, 1, 0]
    focal = FRAME * generator.uniform(0.7, 0.95) / tall * distance
    # Where in the photograph people are decides from what side the lens sees them.
    half = FRAME / 2 * (1 / filled - 1)
    off = generator.uniform(-1, 1, size=2) * [1.5 * half, half] * 0.5
    center = np.array([PICTURE / 2, PICTURE / 2]) + off
    place[:2] -= off / focal * distance
    return Camera(focal=float(focal), center=(float(center[0]), float(center[1])), translation=place)


def second_light(view: View, generator: np.random.Generator) -> Light:
    """Three-point light: a key with a shadow, a fill opposite and a light from behind, in a dome; warm against cold."""
    side, height = generator.uniform(-1.2, 1.2), generator.uniform(0.3, 1.2)
    key = np.array([np.sin(side), 0.0, -np.cos(side)]) + view.up * height
    fill = np.array([-np.sin(side), 0.0, -np.cos(side)]) + view.up * generator.uniform(0, 0.6)
    warm = np.array([1.08, 1.0, 0.9]) ** generator.normal(0, 1)
    strength, ratio = generator.uniform(0.4, 1.6), generator.uniform(1.5, 10)
    dome = np.exp(generator.uniform(np.log(0.12), np.log(0.9)))
    return Light(
        direction=(key / np.linalg.norm(key)).astype(np.float32),
        lamp=(strength * warm).astype(np.float32),
        sky=(dome / warm).astype(np.float32),
        ground=(dome * generator.uniform(0.2, 0.7) * np.ones(3)).astype(np.float32),
        rim=(max(generator.normal(0.2, 0.4), 0) / warm).astype(np.float32),
        fill_direction=(fill / np.linalg.norm(fill)).astype(np.float32),
        fill=(strength / ratio / warm).astype(np.float32),
        softness=0.3,
        indoors=True,
    )


def second_photograph(
    shot: Shot, faces: Int32[np.ndarray, "face 3"], tailor: Tailor, generator: np.random.Generator
) -> Photograph:
    """Take the picture."""
    bare, camera = shot.person.vertices, shot.camera
    everybody = [put_on(one, faces, tailor, shot.light) for one in (shot.person, *shot.company)]
    person = everybody[0]
    floor = float((bare @ shot.view.up.astype(np.float32)).min())
    picture, name = surroundings(shot.view, camera, shot.light, floor, [one.lamp for one in everybody], generator)
    if generator.random() < 0.6:
        picture = cv2.GaussianBlur(picture, (0, 0), float(generator.uniform(0.5, 4)))
    body = rasterize(bare, faces, focal=camera.focal, center=camera.center, width=PICTURE, height=PICTURE, both_sides=False)
    hidden, sightings = np.zeros_like(body.covered), Sightings()
    for number, someone in sorted(enumerate(everybody), key=lambda one: -one[1].depth):
        nearer, layer = someone.depth < person.depth, picture.copy()
        cover = _paint(layer, someone, shot, generator)
        if nearer and ((hidden | cover) & body.covered).sum() > _MOST_HIDDEN * body.covered.sum():
            continue
        picture = layer
        sightings.lay(number, cover)
        if nearer:
            hidden |= cover
    things = _foreground(picture, body.covered, generator)
    sightings.hide(things)
    mask = np.where(body.covered, VISIBLE, 0).astype(np.uint8)
    mask[body.covered & (hidden | things)] = HIDDEN
    people = sightings.boxes(len(everybody))
    return Photograph(pixels=_develop(picture, generator), mask=mask, background=f"second-{name}", people=people)


def _paint(
    picture: Float32[np.ndarray, "height width 3"], someone: Clothed, shot: Shot, generator: np.random.Generator
) -> Bool[np.ndarray, "height width"]:
    """Lay a clothed body over the picture, in place; true where it is."""
    cover, seen, light = np.zeros(picture.shape[:2], dtype=bool), sight(someone, shot.camera), shot.light
    if seen is None:
        return cover
    back = np.array([-light.direction[0], 0.0, 0.9]) + 0.5 * shot.view.up
    lamps = [[light.direction, light.lamp], [light.fill_direction, light.fill], [back / np.linalg.norm(back), light.rim]]
    paint_second(
        seen.fragments.face,
        seen.fragments.bary,
        someone.faces,
        someone.vertices,
        someone.normals,
        seen.attributes,
        someone.look.textures,
        generator.uniform(0.35, 0.95, len(someone.look.gloss)).astype(np.float32),
        np.array(lamps, dtype=np.float32),
        np.stack([light.sky, light.ground, shot.view.up]).astype(np.float32),
        picture[seen.window],
    )
    cover[seen.window] = seen.fragments.covered[::2, ::2]
    return cover


def _foreground(
    picture: Float32[np.ndarray, "height width 3"], body: Bool[np.ndarray, "height width"], generator: np.random.Generator
) -> Bool[np.ndarray, "height width"]:
    """Something near the lens, out of focus, over one border of the frame, in place; true where it hides more than half."""
    nothing = np.zeros(body.shape, dtype=bool)
    if generator.random() >= 0.25:
        return nothing
    edge, reach = int(generator.integers(3)), generator.uniform(0.15, 0.42) * PICTURE
    row, column = np.mgrid[:PICTURE, :PICTURE].astype(np.float32)
    far = (PICTURE - row, column, PICTURE - column)[edge]
    along = (column, row, row)[edge]
    line = reach * (1 + 0.3 * np.sin(along / PICTURE * generator.uniform(1, 9) + generator.uniform(0, 6)))
    cover = np.clip((line - far) / generator.uniform(2, 12) + 0.5, 0, 1)
    hides = cover > 0.5
    if (hides & body).sum() > _MOST_HIDDEN * body.sum():
        return nothing
    colour = np.exp(generator.normal(-1.8, 0.8)) * generator.normal(1, 0.2, 3)
    picture += cover[..., None] * (np.maximum(colour, 0.01).astype(np.float32) - picture)
    return hides


def _develop(
    picture: Float32[np.ndarray, "height width 3"], generator: np.random.Generator
) -> UInt8[np.ndarray, "height width 3"]:
    """Exposed for the highlights, the film's curve in Narkowicz's fit (ACES filmic tone mapping curve, 2015), sRGB."""
    exposed = picture * np.float32(generator.uniform(0.22, 0.6) / max(float(np.percentile(picture, 95)), 1e-3))
    row, column = np.mgrid[-1 : 1 : PICTURE * 1j, -1 : 1 : PICTURE * 1j]
    exposed = exposed * (1 - generator.uniform(0, 0.25) * (row**2 + column**2) / 2)[..., None]
    spread = generator.uniform(0.002, 0.02)
    exposed = np.maximum(exposed + spread * np.sqrt(exposed + 0.01) * generator.standard_normal(exposed.shape), 0)
    film = np.clip(exposed * (2.51 * exposed + 0.03) / (exposed * (2.43 * exposed + 0.59) + 0.14), 0, 1)
    # IEC 61966-2-1.
    shown = np.where(film <= 0.0031308, 12.92 * film, 1.055 * film ** (1 / 2.4) - 0.055)
    return np.round(shown * 255).astype(np.uint8)
