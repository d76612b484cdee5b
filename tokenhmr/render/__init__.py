"""Mesh to pixels on a CPU, without OpenGL: a z-buffer of our own and the pictures made with it."""

from tokenhmr.render.chart import bar_chart
from tokenhmr.render.picture import check_picture_path, contact_sheet, draw_points, overlay, save_picture, side_view, silhouette
from tokenhmr.render.rasterize import Fragments, rasterize

__all__ = [
    "Fragments", "bar_chart", "check_picture_path", "contact_sheet", "draw_points", "overlay", "rasterize", "save_picture",
    "side_view", "silhouette",
]  # fmt: skip
