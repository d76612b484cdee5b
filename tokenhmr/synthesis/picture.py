"""One picture: a place, people in it with their shadows, what stands before them, and what a camera does to it all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int32, UInt8

from tokenhmr.render import rasterize
from tokenhmr.render.rasterize import Fragments, extent, project_to_screen
from tokenhmr.synthesis.daylight import harmonics
from tokenhmr.synthesis.kernels import paint, vertex_normals
from tokenhmr.synthesis.lamp import LampView, lit, see_from_lamp
from tokenhmr.synthesis.lens import expose, hide
from tokenhmr.synthesis.people import Dressed
from tokenhmr.synthesis.scene import PICTURE, Camera, Light, View
from tokenhmr.synthesis.setting import MOST_HIDDEN, before, behind, settle
from tokenhmr.synthesis.sightings import Sightings
from tokenhmr.synthesis.tailor import Tailor
from tokenhmr.synthesis.wardrobe import Look

# Values of the mask: body in sight, body behind something.
VISIBLE, HIDDEN = 255, 128


@dataclass(frozen=True, kw_only=True)
class Shot:
    """What one picture shows."""

    person: Dressed
    company: tuple[Dressed, ...]  # people without labels
    camera: Camera
    view: View
    light: Light


@dataclass(frozen=True, kw_only=True)
class Photograph:
    """A finished picture and where the bare body is in it."""

    pixels: UInt8[np.ndarray, "height width 3"]  # RGB
    mask: UInt8[np.ndarray, "height width"]  # 0, HIDDEN or VISIBLE
    background: str
    people: list[list[float]]  # ``Sightings.boxes`` of everybody, whom it is about first


def photograph(shot: Shot, faces: Int32[np.ndarray, "face 3"], tailor: Tailor, generator: np.random.Generator) -> Photograph:
    """Take the picture."""
    bare = shot.person.vertices
    person = put_on(shot.person, faces, tailor, shot.light)
    everybody = [person, *(put_on(someone, faces, tailor, shot.light) for someone in shot.company)]
    bodies, lamps = [one.vertices for one in everybody], [one.lamp for one in everybody]
    setting = settle(shot.view, shot.camera, shot.light, bodies, lamps, generator)
    picture, name = behind(setting, person.depth, generator)
    around = harmonics(picture, shot.view.up, shot.light)
    body = rasterize(
        bare, faces, focal=shot.camera.focal, center=shot.camera.center, width=PICTURE, height=PICTURE, both_sides=False
    )
    # The farthest first: whoever comes later hides those before.
    hidden, sightings = np.zeros_like(body.covered), Sightings()
    for number, someone in sorted(enumerate(everybody), key=lambda one: -one[1].depth):
        nearer = someone.depth < person.depth
        untouched = picture.copy() if nearer else picture
        cover = _paint(picture, someone, shot, around)
        if nearer and ((hidden | cover) & body.covered).sum() > MOST_HIDDEN * body.covered.sum():
            picture = untouched  # somebody so near that nothing is left to see steps out of the picture
            continue
        sightings.lay(number, cover)
        if nearer:
            hidden |= cover
    mask = np.where(body.covered, VISIBLE, 0).astype(np.uint8)
    hands = bare[tailor.hand > 0.9]
    things = before(setting, hands, body.nearness, picture, generator)
    if generator.random() < 0.08:
        things |= hide(picture, mask, generator)
    sightings.hide(things)
    mask[body.covered & (hidden | things)] = HIDDEN
    people = sightings.boxes(len(everybody))
    return Photograph(pixels=expose(picture, generator), mask=mask, background=name, people=people)


@dataclass(frozen=True, kw_only=True)
class Clothed:
    """A body with the thickness of its clothes and all that hangs on it, and its lamp."""

    vertices: Float32[np.ndarray, "vertex 3"]
    normals: Float32[np.ndarray, "vertex 3"]
    faces: Int32[np.ndarray, "face 3"]  # with the insides of sheets
    uv: Float32[np.ndarray, "vertex 2"]
    tint: Float32[np.ndarray, "vertex 3"]
    covers: Float32[np.ndarray, "vertex layer"]
    lamp: LampView
    look: Look
    depth: float  # metres, of the middle


def put_on(someone: Dressed, faces: Int32[np.ndarray, "face 3"], tailor: Tailor, light: Light) -> Clothed:
    """Move the skin out to the cloth, and look at it from the lamp."""
    look, extra, count = someone.look, someone.extra, len(someone.vertices)
    vertices = someone.vertices + vertex_normals(someone.vertices, faces) * look.thick[:, None]
    vertices = np.concatenate([vertices, extra.vertices])
    outer = np.concatenate([faces, extra.faces + np.int32(count)])
    return Clothed(
        vertices=vertices,
        normals=vertex_normals(vertices, outer),
        faces=np.concatenate([outer, extra.inside + np.int32(count)]),
        uv=np.concatenate([tailor.uv, extra.uv]),
        tint=np.concatenate([look.tint, np.ones_like(extra.vertices)]),
        covers=np.concatenate([look.covers, extra.covers]),
        lamp=see_from_lamp(vertices, outer, light),
        look=look,
        depth=float(vertices[:, 2].mean()),
    )


class Sight(NamedTuple):
    """What of a clothed body lies in the picture, two by two samples a pixel."""

    fragments: Fragments
    window: tuple[slice, slice]  # rows and columns that it touches
    attributes: Float32[np.ndarray, "vertex column"]  # cloth coordinates, tint, lamplight, layers: what shaders blend


def sight(someone: Clothed, camera: Camera) -> Sight | None:
    """Draw a clothed body; nothing where it lies beside the picture."""
    low, high = extent(project_to_screen(someone.vertices, focal=camera.focal, center=camera.center)[:, :2])
    left, top = (int(v) for v in np.clip(np.floor(low), 0, PICTURE))
    right, bottom = (int(v) for v in np.clip(np.ceil(high), 0, PICTURE))
    if right <= left or bottom <= top:
        return None
    fragments = rasterize(
        someone.vertices,
        someone.faces,
        focal=2 * camera.focal,
        center=(2 * (camera.center[0] - left), 2 * (camera.center[1] - top)),
        width=2 * (right - left),
        height=2 * (bottom - top),
        both_sides=False,
    )
    bright = lit(someone.vertices, someone.lamp)[:, None]
    attributes = np.concatenate([someone.uv, someone.tint, bright, someone.covers], axis=1).astype(np.float32)
    return Sight(fragments, (slice(top, bottom), slice(left, right)), attributes)


def _paint(
    picture: Float32[np.ndarray, "height width 3"],
    someone: Clothed,
    shot: Shot,
    around: Float32[np.ndarray, "9 3"],  # daylight.harmonics
) -> Bool[np.ndarray, "height width"]:
    """Lay a clothed body over the picture, in place; true where it is."""
    cover, seen, light = np.zeros(picture.shape[:2], dtype=bool), sight(someone, shot.camera), shot.light
    if seen is None:
        return cover
    lamps = (light.direction, light.lamp, light.fill_direction, light.fill, light.rim, shot.view.up)
    paint(
        seen.fragments.face,
        seen.fragments.bary,
        someone.faces,
        someone.normals,
        seen.attributes,
        someone.look.textures,
        someone.look.gloss,
        np.concatenate([np.stack(lamps), around]).astype(np.float32),
        picture[seen.window],
    )
    cover[seen.window] = seen.fragments.covered[::2, ::2]
    return cover
