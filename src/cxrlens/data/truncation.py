"""Whether a file holds all rows of its image: decoders fill what is absent with grey or black and say nothing.

A JPEG that was cut and got a new end mark decodes to its first rows and mid-grey below: libjpeg leaves blocks without
data at zero, which is the middle of the range. A PNG whose compressed stream ends early leaves its last rows at 0.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np

from cxrlens.data.unreadable import UnreadableImage

LEAST_ROWS = 8  # a row of blocks of the JPEG standard
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a PNG's colour types (PNG specification, section 11.2.2)
# Adam7: first column and row, and the steps between them, of each pass (section 8.2).
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_PIECE = 2**20  # bytes at a time, so that a bomb takes no memory


def check_jpeg_rows(values: np.ndarray, bits: int) -> None:
    """Refuses a decoded JPEG whose last rows are all exactly the value that libjpeg gives blocks without data.

    Args:
        values: as decoded, before anything was done to them, [H, W] or [H, W, channels].
        bits: of a value.

    Raises:
        UnreadableImage: 8 or more rows at the bottom hold no data.
    """
    empty = (values == 2 ** (bits - 1)).reshape(len(values), -1).all(axis=1)
    rows = int(empty[::-1].argmin())  # 0 where all are grey: an even image is refused for what it is
    if rows >= LEAST_ROWS:
        raise UnreadableImage(f"truncated JPEG: the last {rows} of {len(values)} rows hold no data (all mid-grey)")


def png_chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """The chunks of a PNG, each as its kind and what it holds, to the end or to where the file is cut."""
    place, view = 8, memoryview(data)
    while place + 8 <= len(data):
        length, kind = int.from_bytes(data[place : place + 4], "big"), data[place + 4 : place + 8]
        yield kind, view[place + 8 : place + 8 + length]
        if kind == b"IEND":
            return
        place += 12 + length


def check_png_rows(data: bytes) -> None:
    """Refuses a PNG whose compressed stream ends before its last row.

    Raises:
        UnreadableImage: with the share of the bytes that are there.
    """
    width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    depth, colour, interlaced = data[24], data[25], data[28]
    needed = 0
    for left, top, across, down in _PASSES if interlaced else ((0, 0, 1, 1),):
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        if columns > 0 and rows > 0:
            needed += rows * (1 + (columns * depth * _CHANNELS[colour] + 7) // 8)
    held = _unpacked(data, needed)
    if held < needed:
        raise UnreadableImage(f"truncated PNG: it holds {held / needed:.0%} of its pixels")


def _unpacked(data: bytes, needed: int) -> int:
    """Bytes that the image data unpack to, counted up to `needed`."""
    stream, held = zlib.decompressobj(), 0
    for kind, body in png_chunks(data):
        packed: bytes | memoryview = body if kind == b"IDAT" else b""
        while packed and held < needed:
            held += len(stream.decompress(packed, _PIECE))
            packed = stream.unconsumed_tail
        if held >= needed or stream.eof:
            break
    return held if held >= needed else held + len(stream.flush())  # what is left may be a bomb
