"""Photographic formats through Pillow: every mode has one defined way to grey."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, UnidentifiedImageError

from cxrlens.data.cohort import Decoded
from cxrlens.data.png16 import bit_depth, grey16, read_png16
from cxrlens.data.unreadable import UnreadableImage, check_header, decoding, describe, heard

FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP", "JPEG2000", "GIF")  # never those that start other programs
_ORIENTATION, _BITS_PER_SAMPLE, _PHOTOMETRIC = 0x0112, 258, 262
_PNG_END = b"IEND\xaeB`\x82"
_SIXTEEN = ("I;16", "I;16L", "I;16B", "I;16N")
_TURNS = {
    2: lambda grey: grey[:, ::-1],
    3: lambda grey: grey[::-1, ::-1],
    4: lambda grey: grey[::-1],
    5: lambda grey: grey.T,
    6: lambda grey: np.rot90(grey, -1),
    7: lambda grey: grey[::-1, ::-1].T,
    8: lambda grey: np.rot90(grey),
}


def read_raster(data: bytes) -> Decoded:
    """Decodes the bytes of a PNG, JPEG, TIFF, BMP, WebP, JPEG 2000 or GIF.

    Returns:
        Pixels float32 [1, H, W] in [0, 1] and the facts `width`, `height`, `mode`, `format`, `bits`.

    Raises:
        UnreadableImage: not one of these, damaged, truncated, too large, too small or more than one picture.
    """
    steps: list[str] = []
    with heard(steps):
        image, turn = _opened(data)
    facts: dict[str, object] = {
        "width": image.width,
        "height": image.height,
        "mode": image.mode,
        "format": image.format,
        "bits": _bits(image, data),
    }
    with decoding(str(image.format)):
        image.load()
        grey, done = _grey(image, data)
    if turn in _TURNS:
        if image.format != "TIFF":  # Pillow turns those while loading
            grey = _TURNS[turn](grey)
        done.append(f"EXIF rotation {turn} applied")
    pixels = np.ascontiguousarray(grey, dtype=np.float32)[None]
    return Decoded(pixels, facts, (*steps, *done))


def _opened(data: bytes) -> tuple[Image.Image, int]:
    with decoding("image"):
        try:
            image = Image.open(io.BytesIO(data), formats=FORMATS)
        except UnidentifiedImageError:
            raise UnreadableImage(describe(data)) from None
        except Image.DecompressionBombError as error:
            raise UnreadableImage(f"a decompression bomb: {error}") from None
        check_header(*image.size)
        frames = getattr(image, "n_frames", 1)
        if frames > 1 and image.format != "MPO":  # that is a photograph with its preview
            raise UnreadableImage(f"{frames} pictures in one file; one is needed")
        if image.format == "PNG" and _PNG_END not in data:
            raise UnreadableImage("truncated PNG: its end is absent")
        return image, image.getexif().get(_ORIENTATION, 1)


def _bits(image: Image.Image, data: bytes) -> int:
    if image.format == "PNG":
        return bit_depth(data)
    if image.format == "TIFF":
        bits = _tag(image, _BITS_PER_SAMPLE, 1)
        return bits[0] if isinstance(bits, tuple) else bits
    return 1 if image.mode == "1" else 16 if image.mode in _SIXTEEN else 32 if image.mode in ("I", "F") else 8


def _tag(image: Image.Image, tag: int, default: int) -> int | tuple[int, ...]:
    tags = getattr(image, "tag_v2", {})
    return tags.get(tag, default)


def _grey(image: Image.Image, data: bytes) -> tuple[np.ndarray, list[str]]:
    """Float32 [H, W] in [0, 1], and what was done."""
    if image.format == "PNG" and bit_depth(data) == 16:
        channels = read_png16(data)
        grey, steps = grey16(channels, image.info.get("transparency"))
        return grey, steps + _unused(int(channels.max()))
    if image.mode in _SIXTEEN:
        values = np.asarray(image).astype(np.uint16)
        grey, steps = grey16(values[..., None])
        if image.format == "TIFF" and _tag(image, _PHOTOMETRIC, 1) == 0:  # Pillow inverts the 8-bit kind alone
            return 1 - grey, [*steps, "white-is-zero inverted", *_unused(int(values.max()))]
        return grey, steps + _unused(int(values.max()))
    if image.mode in ("I", "F"):
        values = np.asarray(image).astype(np.float64)
        low, high = values.min(), values.max()
        span = high - low if high > low else 1.0
        return ((values - low) / span).astype(np.float32), [f"stretched from {low:g} to {high:g}"]
    grey, steps = _grey8(image)
    if image.format == "TIFF" and _bits(image, data) > 8:
        steps.append("colour cut to 8 bits")
    return np.asarray(grey).astype(np.float32) / np.float32(255), steps


def _grey8(image: Image.Image) -> tuple[Image.Image, list[str]]:
    if image.mode in ("1", "L") and "transparency" not in image.info:
        return image.convert("L"), ["1-bit to grey"] if image.mode == "1" else []
    steps = [] if image.mode in ("1", "L", "LA", "La") else [f"{image.mode} to grey"]
    if not image.has_transparency_data:
        return image.convert("RGB").convert("L"), steps
    image = image.convert("RGBA")
    if image.getchannel("A").getextrema() != (255, 255):
        image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image)
        steps.append("alpha over black")
    return image.convert("RGB").convert("L"), steps


def _unused(highest: int) -> list[str]:
    return [f"warning: 16 bits, but no value above {highest}"] if highest < 2**14 else []
