"""What the bytes of a picture say around its pixels: how it is turned to stand upright (EXIF 2.3, tag 0x0112), and its end."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Shaped

AS_STORED, CLOCKWISE = 1, 6  # of the tag's eight values: nothing to do, and a turn by 90 degrees

_TAG = 0x0112
_END = b"\xff\xd9"  # of a JPEG
_QUARTERS = {1: 0, 2: 0, 3: 2, 4: 2, 5: 1, 6: -1, 7: -1, 8: 1}  # turns by 90 degrees against the clock
_MIRRORED = (2, 4, 5, 7)  # left and right change places first


def orientation(data: bytes) -> int:
    """The orientation that a JPEG or PNG says of itself, 1 to 8; 1 where it says nothing, or nothing that makes sense."""
    tiff = _exif(data)
    order = "little" if tiff[:2] == b"II" else "big"

    def number(at: int, size: int) -> int:
        return int.from_bytes(tiff[at : at + size], order)

    if tiff[:2] not in (b"II", b"MM"):
        return AS_STORED
    start = number(4, 4)
    for entry in range(start + 2, start + 2 + 12 * number(start, 2), 12):  # tag, type, count, value: 2, 2, 4 and 4 bytes
        if number(entry, 2) == _TAG:
            said = number(entry + 8, 2)
            return said if said in _QUARTERS else AS_STORED
    return AS_STORED


def swaps_sides(turn: int) -> bool:
    """Whether width and height of the upright picture are height and width of the stored one."""
    return _QUARTERS[turn] % 2 == 1


def upright(
    pixels: Shaped[np.ndarray, "*stored"], turn: int, *, axes: tuple[int, int] = (0, 1)
) -> Shaped[np.ndarray, "*turned"]:
    """A stored picture as it is seen under an orientation of 1 to 8; ``axes`` are those of its height and width."""
    if turn == AS_STORED:
        return pixels
    mirrored = np.flip(pixels, axis=axes[1]) if turn in _MIRRORED else pixels
    return np.ascontiguousarray(np.rot90(mirrored, _QUARTERS[turn], axes))


def _exif(data: bytes) -> bytes:
    """The EXIF block of a JPEG or PNG, which is a small TIFF; nothing where there is none."""
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        at = 8
        while at + 8 <= len(data):  # a chunk: length, name, content, check sum
            length = int.from_bytes(data[at : at + 4], "big")
            if data[at + 4 : at + 8] == b"eXIf":
                return data[at + 8 : at + 8 + length]
            at += 12 + length
    for marker, start, stop in _segments(data):
        if marker == 0xE1 and data[start : start + 6] == b"Exif\x00\x00":
            return data[start + 6 : stop]
    return b""


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, start and stop of what a JPEG has in front of its pixels."""
    at = 2 if data[:2] == b"\xff\xd8" else len(data)
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if data[at + 1] == 0xFF:  # may be repeated as padding
            at += 1
            continue
        yield data[at + 1], at + 4, at + 2 + length
        at += 2 + length


def ends(data: bytes) -> bool:
    """Whether a JPEG has its end, at the end or, as phones put a film or notes behind it, before that.

    Inside of pixels the two bytes of the end do not occur; in front of them they may, as the end of a thumbnail.
    """
    if _END in data[-32:]:
        return True
    pixels = max((stop for _, _, stop in _segments(data)), default=2)
    return data.find(_END, pixels) >= 0
