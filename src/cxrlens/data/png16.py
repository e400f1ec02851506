"""PNG of 16 bits a channel: Pillow keeps 16 bits for grey alone and drops the low byte of every other kind.

Its unpackers pick one byte of each pair, so reading the same stream twice, once for the high bytes and once for the low
ones, gives all 16 bits without a decoder of our own.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

_BIT_DEPTH, _COLOUR_TYPE = 24, 25  # where the header chunk holds them (PNG specification, section 11.2.2)
_GREY_ALPHA = 4
GREY_WEIGHTS = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601, as in Pillow's own conversion


def bit_depth(data: bytes) -> int:
    """Bits a channel, from the header of a PNG."""
    return data[_BIT_DEPTH]


def read_png16(data: bytes) -> np.ndarray:
    """All channels of a 16-bit PNG.

    Returns:
        uint16 [H, W, channels]: grey, grey and alpha, RGB or RGBA.
    """
    image = Image.open(io.BytesIO(data), formats=["PNG"])
    if len(image.getbands()) == 1:
        return np.asarray(image, dtype=np.uint16)[..., None]
    if data[_COLOUR_TYPE] == _GREY_ALPHA:
        # Four bytes a pixel, as in 8-bit RGBA: read as such they come out whole.
        pairs = _unpacked(data, "RGBA")
        high, low = pairs[..., 0::2], pairs[..., 1::2]
    else:
        # "16L" is meant for little-endian files: of PNG's big-endian pairs it takes the low byte.
        high, low = np.asarray(image), _unpacked(data, f"{image.mode};16L")
    return high.astype(np.uint16) << 8 | low


def _unpacked(data: bytes, raw_mode: str) -> np.ndarray:
    image = Image.open(io.BytesIO(data), formats=["PNG"])
    image.tile = [tile._replace(args=raw_mode) for tile in image.tile]
    return np.asarray(image)


def grey16(channels: np.ndarray, transparent: int | tuple[int, ...] | None = None) -> tuple[np.ndarray, list[str]]:
    """One grey channel, transparency over black.

    Args:
        channels: uint16 [H, W, channels].
        transparent: the one value or colour that the file declares transparent.

    Returns:
        float32 [H, W] in [0, 1] and the steps.
    """
    steps = []
    count = channels.shape[-1]
    colour = channels[..., : 1 if count < 3 else 3]
    values = colour.astype(np.float32) / np.float32(65535)
    grey = values[..., 0]
    if colour.shape[-1] == 3:
        grey = values @ GREY_WEIGHTS
        steps.append("RGB to grey")
    if count in (2, 4):
        grey = grey * (channels[..., -1].astype(np.float32) / np.float32(65535))
        steps.append("alpha over black")
    elif transparent is not None:
        grey = np.where((colour == np.asarray(transparent)).all(axis=-1), np.float32(0), grey)
        steps.append("alpha over black")
    return grey, steps
