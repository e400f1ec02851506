"""Checks that a file holds all rows of its image: decoders silently fill absent rows with grey or black.

A JPEG that was cut off and given a new end mark decodes to its first rows and mid-grey below: libjpeg leaves blocks
without data at zero, which is the middle of the range. The last rows of a PNG whose compressed stream ends early
are 0.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np

from cxrlens.data.unreadable import UnreadableImage

LEAST_ROWS = 8  # the height of a block in the JPEG standard
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a PNG's colour types (PNG specification, section 11.2.2)
# Adam7: first column and row, and the steps between them, of each pass (section 8.2).
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_PIECE = 2**20  # bytes at a time, so that a bomb takes no memory


def check_jpeg_rows(values: np.ndarray, bits: int) -> None:
    """Refuses a decoded JPEG whose last rows are all exactly the value that libjpeg gives blocks without data.

    Args:
        values: decoded values before any conversion, [H, W] or [H, W, channels].
        bits: bits of a value.

    Raises:
        UnreadableImage: the last 8 or more rows hold no data.
    """
    empty = (values == 2 ** (bits - 1)).reshape(len(values), -1).all(axis=1)
    rows = int(empty[::-1].argmin())  # 0 where all rows are grey: a constant image is refused elsewhere
    if rows >= LEAST_ROWS:
        raise UnreadableImage(f"truncated JPEG: the last {rows} of {len(values)} rows hold no data (all mid-grey)")


def png_chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Yields the kind and the content of each chunk of a PNG, to its end or to where the file is cut off."""
    position, view = 8, memoryview(data)
    while position + 8 <= len(data):
        length, kind = int.from_bytes(data[position : position + 4], "big"), data[position + 4 : position + 8]
        yield kind, view[position + 8 : position + 8 + length]
        if kind == b"IEND":
            return
        position += 12 + length


def check_png_rows(data: bytes) -> None:
    """Refuses a PNG whose compressed stream ends before its last row.

    Raises:
        UnreadableImage: bytes are missing; the message states the share that the file holds.
    """
    width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    depth, colour, interlaced = data[24], data[25], data[28]
    needed = 0
    for left, top, across, down in _PASSES if interlaced else ((0, 0, 1, 1),):
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        if columns > 0 and rows > 0:
            needed += rows * (1 + (columns * depth * _CHANNELS[colour] + 7) // 8)
    held = _unpacked_size(data, needed)
    if held < needed:
        raise UnreadableImage(f"truncated PNG: it holds {held / needed:.0%} of its pixels")


def _unpacked_size(data: bytes, needed: int) -> int:
    """Number of bytes in the unpacked image data, counted up to `needed`."""
    stream, held = zlib.decompressobj(), 0
    for kind, body in png_chunks(data):
        packed: bytes | memoryview = body if kind == b"IDAT" else b""
        while packed and held < needed:
            held += len(stream.decompress(packed, _PIECE))
            packed = stream.unconsumed_tail
        if held >= needed or stream.eof:
            break
    return held if held >= needed else held + len(stream.flush())  # the rest may be a decompression bomb
