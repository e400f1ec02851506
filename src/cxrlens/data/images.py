"""Reads an image file (`raster.FORMATS`, DICOM) as float32 [1, H, W] in [0, 1], and resizes it to uint8."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from cxrlens.data.cohort import Decoded
from cxrlens.data.depth import PERCENTILE
from cxrlens.data.dicom import is_dicom, read_dicom
from cxrlens.data.raster import read_raster
from cxrlens.data.unreadable import MAX_BYTES, UnreadableImage
from cxrlens.errors import UserError, near_miss

__all__ = ["INTERPOLATIONS", "UnreadableImage", "check_resize", "read_image", "to_uint8"]

INTERPOLATIONS = {
    "nearest": Image.Resampling.NEAREST,
    "area": Image.Resampling.BOX,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}

MAX_SIZE = 2**14  # pixels of a side that an image may be resized to
FEW_LEVELS = 8  # grey levels that a mask has at most
LEAST_CONTRAST = 1 / 8  # share of the grey range that the middle 99.8% of an X-ray's pixels cover at least
SAMPLE = 2**16  # pixels, about, that both checks look at


def read_image(path: Path, depth: int | None = None) -> Decoded:
    """Reads one X-ray. The format is recognised by the file's content, not by its name.

    Colour becomes grey by ITU-R 601 weights, transparency is laid over black, EXIF rotation is applied, and integers
    are divided by the largest number of the bits that they use (see `cxrlens.data.depth`). `steps` lists the
    conversions. An image that is odd but usable (under 64 pixels, one side over three times the other, as few grey
    levels as a mask, hardly any contrast) has a step that begins with "warning:". `facts` describe the file as stored,
    before any rotation.

    Args:
        path: path of the file.
        depth: bits that most of the cohort's deep files use; applies to files of more than 8 bits that do not state
            their own depth.

    Returns:
        Pixels float32 [1, height, width] in [0, 1], higher is brighter.

    Raises:
        UnreadableImage: the file is absent, empty, truncated or not an image; the image is too large or too small,
            constant or not finite; or a DICOM file is not a single frontal radiograph.
    """
    try:
        return _read(path).at_depth(depth)
    except UnreadableImage as error:
        raise error.of(path) from error.__cause__


def _read(path: Path) -> Decoded:
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise UnreadableImage(f"{size:,} bytes; at most {MAX_BYTES:,} are read")
        data = path.read_bytes()
    except OSError as error:
        raise UnreadableImage(error.strerror or type(error).__name__) from error
    except ValueError as error:  # a null byte in the name
        raise UnreadableImage(str(error)) from error
    if not data:
        raise UnreadableImage("empty file")
    decoded = read_dicom(data) if is_dicom(data) else read_raster(data)
    digest = hashlib.sha256(data).hexdigest()

    def checked(decoded: Decoded) -> Decoded:
        return _checked(replace(decoded, facts={**decoded.facts, "bytes": len(data)}, sha256=digest))

    other_depth = decoded.read_as
    read_as = None if other_depth is None else lambda depth: checked(other_depth(depth))
    return replace(checked(decoded), read_as=read_as)


def _checked(decoded: Decoded) -> Decoded:
    pixels = decoded.pixels
    assert pixels.ndim == 3, pixels.shape
    low, high = float(pixels.min()), float(pixels.max())
    if not np.isfinite([low, high]).all():  # NaN and infinity reach the extremes
        raise UnreadableImage("pixels that are NaN or infinite")
    if low == high:
        conversions = f" after {', '.join(decoded.steps)}" if decoded.steps else ""
        raise UnreadableImage(f"every pixel has the same value{conversions}")
    _, height, width = pixels.shape
    warnings = []
    if min(height, width) < 64:
        warnings.append(f"warning: only {width} x {height} pixels")
    if max(height, width) > 3 * min(height, width):
        warnings.append(f"warning: {width} x {height} pixels is no shape of a chest X-ray")
    warnings += _few_levels(pixels) or _flat(pixels)
    return replace(decoded, steps=(*decoded.steps, *warnings))


def _few_levels(pixels: np.ndarray) -> list[str]:
    """A warning where an image looks like a mask: few grey levels, or black and white except for JPEG noise."""
    step = max(1, math.isqrt(pixels.size // SAMPLE))
    sample = np.rint(255 * pixels[0, ::step, ::step]).astype(int)
    counts = np.bincount(np.clip(sample, 0, 255).ravel(), minlength=256)
    dark, bright = counts[:8].sum() / sample.size, counts[-8:].sum() / sample.size
    if min(dark, bright) > 0.01 and dark + bright > 0.97:
        return ["warning: black and white with hardly any grey: a mask rather than an X-ray?"]
    if np.count_nonzero(counts) > FEW_LEVELS:
        return []
    levels = np.unique(pixels).size  # the sample may miss some, and finer levels may share one of 256
    return [f"warning: only {levels} grey levels: a mask rather than an X-ray?"] if levels <= FEW_LEVELS else []


def _flat(pixels: np.ndarray) -> list[str]:
    """A warning where an image is nearly uniform, as one that leaves most of its bits unused is."""
    step = max(1, math.isqrt(pixels.size // SAMPLE))
    low, high = np.percentile(pixels[0, ::step, ::step], (100 - PERCENTILE, PERCENTILE))
    if high - low >= LEAST_CONTRAST:
        return []
    return [f"warning: hardly any contrast: nearly all grey values from {100 * low:.0f}% to {100 * high:.0f}% of white"]


def check_resize(size: int, interpolation: str) -> None:
    """Checks the size and the interpolation of resized images.

    Args:
        size: height and width in pixels.
        interpolation: name of an interpolation in `INTERPOLATIONS`.

    Raises:
        UserError: the size is below 1 or above `MAX_SIZE`, or the interpolation is unknown.
    """
    if not 1 <= size <= MAX_SIZE:
        raise UserError(f"an image size must be at least 1 and at most {MAX_SIZE} pixels; got {size}")
    if interpolation not in INTERPOLATIONS:
        raise UserError(near_miss("interpolation", interpolation, INTERPOLATIONS))


def to_uint8(pixels: np.ndarray, size: int, interpolation: str = "bicubic") -> np.ndarray:
    """Resizes an image to a square with Pillow; the aspect ratio is not kept.

    Pillow widens its filter when it makes an image smaller, so all but "nearest" are anti-aliased. Keras' `load_img`
    calls Pillow and does the same. An image of 8-bit levels gives exactly what Pillow gives for the 8-bit image; any
    other is resized in floating point and rounded once.

    Args:
        pixels: image as float [1, H, W] in [0, 1].
        size: height and width of the result in pixels.
        interpolation: name of an interpolation in `INTERPOLATIONS`.

    Returns:
        uint8 [size, size].

    Raises:
        UserError: the interpolation is unknown, or the size is below 1 or above `MAX_SIZE`.
    """
    check_resize(size, interpolation)
    scaled = pixels[0].astype(np.float32) * np.float32(255)
    levels = np.rint(scaled)
    filtering = INTERPOLATIONS[interpolation]
    if np.abs(scaled - levels).max() < 1e-3:
        return np.array(Image.fromarray(levels.astype(np.uint8)).resize((size, size), filtering))
    resized = np.asarray(Image.fromarray(scaled).resize((size, size), filtering))
    return np.clip(np.rint(resized), 0, 255).astype(np.uint8)
