"""Pictures of bodies: over a photograph, from the side, as a silhouette; points; sheets of many pictures.

Bodies come as vertices in camera axes (x right, y down, z forward, metres). Edges are smoothed by two by two samples a pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float, Integer, UInt8

from tokenhmr.render.rasterize import NEAR, extent, project_to_screen, rasterize
from tokenhmr.render.shading import halve, shade, vertex_normals

# Told apart also by people who see few colours: light first, then by hue (after Okabe and Ito's palette).
COLOURS = (
    (0.65, 0.74, 0.86), (0.96, 0.71, 0.37), (0.50, 0.80, 0.62), (0.90, 0.58, 0.72), (0.96, 0.90, 0.48), (0.55, 0.62, 0.92),
    (0.87, 0.50, 0.36), (0.60, 0.86, 0.88),
)  # fmt: skip
PAPER = (242, 242, 240)
MOST_SAMPLES = 6_000_000  # drawn at a time

Colour = tuple[float, float, float]


def overlay(
    image: UInt8[np.ndarray, "height width 3"],
    vertices: Sequence[Float[np.ndarray, "vertex 3"]],
    faces: Integer[np.ndarray, "face 3"],
    *,
    focal: float,
    center: tuple[float, float],
    colours: Sequence[Colour] | None = None,
    opacity: float = 1.0,
    backend: str = "auto",
) -> UInt8[np.ndarray, "height width 3"]:
    """The picture (RGB) with bodies drawn over it, the nearer in front; ``focal`` and ``center`` in pixels.

    One colour for each body, RGB in [0, 1]; people beyond the list start it again. ``backend``: one of ``rasterize.BACKENDS``.
    """
    height, width = image.shape[:2]
    bodies = [body for body in vertices if len(body)]
    window = _window(bodies, focal=focal, center=center, width=width, height=height)
    if window is None:
        return image.copy()
    left, top, right, bottom = window
    result = image.copy()
    # In bands, so that a huge picture takes no more memory than a large one.
    band = max(1, MOST_SAMPLES // (4 * (right - left)))
    for start in range(top, bottom, band):
        end = min(start + band, bottom)
        layer = _draw(
            bodies,
            faces,
            focal=focal,
            center=(center[0] - left, center[1] - start),
            width=right - left,
            height=end - start,
            colours=colours or COLOURS,
            backend=backend,
        )
        below = image[start:end, left:right].astype(np.float32)
        over = layer[..., :3] * 255 * opacity + below * (1 - opacity * layer[..., 3:])
        result[start:end, left:right] = np.clip(over + 0.5, 0, 255).astype(np.uint8)
    return result


def side_view(
    vertices: Sequence[Float[np.ndarray, "vertex 3"]],
    faces: Integer[np.ndarray, "face 3"],
    *,
    width: int,
    height: int,
    colours: Sequence[Colour] | None = None,
    degrees: float = 90.0,
    backend: str = "auto",
) -> UInt8[np.ndarray, "height width 3"]:
    """The same bodies turned about the vertical through their common middle, on paper, filling the frame.

    At 90 degrees what was nearest to the camera is at the left. A long lens: lengths can be compared. Nobody: empty paper.
    """
    paper = np.full((height, width, 3), PAPER, dtype=np.uint8)
    bodies = [body.astype(np.float64) for body in vertices if len(body)]
    if not bodies:
        return paper
    everyone = np.concatenate(bodies)
    middle = (everyone.min(axis=0) + everyone.max(axis=0)) / 2
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    turned = [(body - middle) @ turn.T for body in bodies]
    span = np.ptp(np.concatenate(turned), axis=0)
    distance = 30 * max(float(span.max()), 0.1)
    focal = 0.9 * distance * min(width / max(span[0], 1e-3), height / max(span[1], 1e-3))
    placed = [body + np.array([0, 0, distance + span[2] / 2]) for body in turned]
    return overlay(paper, placed, faces, focal=focal, center=(width / 2, height / 2), colours=colours, backend=backend)


def silhouette(
    vertices: Float[np.ndarray, "vertex 3"],
    faces: Integer[np.ndarray, "face 3"],
    *,
    focal: float,
    center: tuple[float, float],
    width: int,
    height: int,
) -> Bool[np.ndarray, "height width"]:
    """Which pixels have their middle inside the body."""
    return rasterize(vertices, faces, focal=focal, center=center, width=width, height=height).covered


def draw_points(
    image: UInt8[np.ndarray, "height width 3"],
    points: Float[np.ndarray, "point 2"],
    *,
    colour: tuple[int, int, int] = (255, 80, 60),
    radius: int = 2,
    limbs: Sequence[tuple[int, int]] = (),
) -> UInt8[np.ndarray, "height width 3"]:
    """A copy with a dot at each point (pixels) and a line for each pair in ``limbs``; what is not finite is left out."""
    result = np.ascontiguousarray(image).copy()
    eighths = 3  # OpenCV's fixed point: positions to an eighth of a pixel, its pixels have their middle at whole numbers
    finite = np.all(np.abs(np.nan_to_num(points, nan=np.inf)) < 1e5, axis=1)
    place = np.round((np.where(finite[:, None], points, 0) - 0.5) * 2**eighths).astype(int)
    for one, other in limbs:
        if finite[one] and finite[other]:
            ends = (tuple(map(int, place[one])), tuple(map(int, place[other])))
            cv2.line(result, *ends, colour, max(1, radius // 2), cv2.LINE_AA, eighths)
    for point in place[finite]:
        cv2.circle(result, tuple(map(int, point)), radius * 2**eighths, colour, -1, cv2.LINE_AA, eighths)
    return result


def contact_sheet(
    images: Sequence[UInt8[np.ndarray, "_ _ 3"]], *, columns: int = 8, cell: tuple[int, int] = (256, 256), gap: int = 2
) -> UInt8[np.ndarray, "height width 3"]:
    """All pictures in rows, each shrunk or grown to fit its cell (width, height) without changing its proportions."""
    columns = max(1, min(columns, len(images)))
    rows = max(1, -(-len(images) // columns))
    wide, high = cell
    sheet = np.full((rows * (high + gap) + gap, columns * (wide + gap) + gap, 3), PAPER, dtype=np.uint8)
    for place, image in enumerate(images):
        row, column = divmod(place, columns)
        scale = min(wide / image.shape[1], high / image.shape[0])
        size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        top = gap + row * (high + gap) + (high - size[1]) // 2
        left = gap + column * (wide + gap) + (wide - size[0]) // 2
        sheet[top : top + size[1], left : left + size[0]] = small
    return sheet


def check_picture_path(path: Path) -> None:
    """Say before the work that nothing could be written there in the end: ``ValueError`` for another ending."""
    if path.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise ValueError(f"{path} cannot be written: it should end in .png or .jpg")


def save_picture(path: Path, picture: UInt8[np.ndarray, "height width 3"]) -> None:
    """RGB to a JPEG or PNG file, by its suffix; ``OSError`` when it cannot be written."""
    if not cv2.imwrite(str(path), picture[..., ::-1]):
        raise OSError(f"could not write {path}")


def _draw(
    bodies: Sequence[Float[np.ndarray, "vertex 3"]],
    faces: Integer[np.ndarray, "face 3"],
    *,
    focal: float,
    center: tuple[float, float],
    width: int,
    height: int,
    colours: Sequence[Colour],
    backend: str,
) -> Float[np.ndarray, "height width 4"]:
    """All bodies through one z-buffer of twice the size, so that the nearer hides the farther."""
    first = np.cumsum([0, *(len(body) for body in bodies[:-1])])
    everyone = np.concatenate([body.astype(np.float32) for body in bodies])
    all_faces = np.concatenate([faces + start for start in first])
    paint = np.concatenate(
        [
            np.tile(np.array(colours[person % len(colours)], dtype=np.float32), (len(body), 1))
            for person, body in enumerate(bodies)
        ]
    )
    fragments = rasterize(
        everyone,
        all_faces,
        focal=2 * focal,
        center=(2 * center[0], 2 * center[1]),
        width=2 * width,
        height=2 * height,
        backend=backend,
    )
    return halve(shade(fragments, all_faces, vertex_normals(everyone, all_faces), paint))


def _window(
    bodies: Sequence[Float[np.ndarray, "vertex 3"]],
    *,
    focal: float,
    center: tuple[float, float],
    width: int,
    height: int,
) -> tuple[int, int, int, int] | None:
    """The part of the frame that bodies can touch (left, top, right, bottom); None where they touch nothing."""
    ahead = [body[body[:, 2] > NEAR] for body in bodies]
    ahead = [body for body in ahead if len(body)]
    if not ahead:
        return None
    pixels = project_to_screen(np.concatenate(ahead), focal=focal, center=center)[:, :2]
    low, high = extent(pixels)
    left, top = (int(value) for value in np.clip(np.floor(low), 0, (width, height)))
    right, bottom = (int(value) for value in np.clip(np.ceil(high), 0, (width, height)))
    return (left, top, right, bottom) if right > left and bottom > top else None
