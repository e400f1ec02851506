"""Small pictures as bytes: PNG files made by hand, with whatever a test asks for, and what Pillow writes."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image

GREY, RGB, GREY_ALPHA, RGBA = 0, 2, 4, 6
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of(width: int, height: int, packed: bytes, bits: int = 8, colour: int = GREY, **more) -> bytes:
    """A PNG of a compressed stream; `extra` chunks go before it, `pieces` is how many it is cut into."""
    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, more.get("interlace", 0))
    step = -(-len(packed) // more.get("pieces", 1)) or 1
    data = b"".join(chunk(b"IDAT", packed[at : at + step]) for at in range(0, len(packed) or 1, step))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + more.get("extra", b"") + data + chunk(b"IEND", b"")


def png(
    values: np.ndarray, bits: int = 8, colour: int = GREY, extra: bytes = b"", rows: int | None = None, pieces: int = 1
) -> bytes:
    """A PNG of [H, W] or [H, W, channels] integers; `rows` of its rows are in the stream, which ends as it should."""
    assert bits in (8, 16)
    height, width = values.shape[:2]
    stored = values.astype(">u2" if bits == 16 else "u1").reshape(height, -1)
    packed = zlib.compress(b"".join(b"\0" + row.tobytes() for row in stored[:rows]))
    return png_of(width, height, packed, bits, colour, extra=extra, pieces=pieces)


def interlaced(pixels: np.ndarray, share: float = 1.0) -> bytes:
    """An interlaced PNG of 8 bits; `share` of its bytes are in the stream."""
    raw = b"".join(b"\0" + row.tobytes() for x, y, dx, dy in PASSES for row in pixels[y::dy, x::dx])
    return png_of(pixels.shape[1], pixels.shape[0], zlib.compress(raw[: int(share * len(raw))]), interlace=1)


def saved(image: Image.Image, kind: str, **options) -> bytes:
    """As Pillow writes it."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
