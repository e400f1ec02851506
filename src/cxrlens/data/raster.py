"""Photographic formats, read with Pillow: each mode has one defined conversion to grey.

Pillow keeps 16 bits a channel for grey alone and drops the low byte of every other kind. Its unpackers pick one byte of
each pair, so reading the same stream twice, once for the high bytes and once for the low ones, gives all 16 bits
without a decoder of our own.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from cxrlens.data.cohort import Decoded
from cxrlens.data.depth import PERCENTILE, clipping_step, reason_against, robust_maximum, smallest_depth, stretch
from cxrlens.data.truncation import check_jpeg_rows, check_png_rows, png_chunks
from cxrlens.data.unreadable import UnreadableImage, check_header, decoding, describe, recorded_warnings

FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP", "JPEG2000", "GIF")  # none that makes Pillow start another program
GREY_WEIGHTS = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601, as in Pillow's own conversion
_ORIENTATION, _BITS_PER_SAMPLE, _PHOTOMETRIC, _PLANAR, _SAMPLE_FORMAT = 0x0112, 258, 262, 284, 339
_BIT_DEPTH, _COLOUR_TYPE = 24, 25  # their places in the header chunk (PNG specification, section 11.2.2)
_GREY_ALPHA = 4
_PNG_END = b"IEND\xaeB`\x82"
_CODESTREAM = b"\xff\x4f\xff\x51"  # SOC and SIZ: a JPEG 2000 states its size and depth behind them (ISO 15444-1, A.5.1)
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
        Pixels float32 [1, H, W] in [0, 1] and the facts `width`, `height`, `mode`, `format` and `bits`. A file of more
        than 8 bits also has `depth`, the bits that it is read as, and `depth_alone`, the bits by its own content.

    Raises:
        UnreadableImage: the file has another format, is damaged or truncated, is too large or too small, or holds
            several pictures.
    """
    steps: list[str] = []
    with recorded_warnings(steps):
        image, orientation = _open(data)
    facts: dict[str, object] = {
        "width": image.width,
        "height": image.height,
        "mode": image.mode,
        "format": image.format,
        "bits": _bits(image, data),
    }
    is_rotated = orientation in _TURNS

    def finish(grey: np.ndarray, conversions: list[str], **more: object) -> Decoded:
        if is_rotated and image.format != "TIFF":  # Pillow rotates a TIFF while loading it
            grey = _TURNS[orientation](grey)
        pixels = np.ascontiguousarray(grey, dtype=np.float32)[None]
        rotation = [f"EXIF rotation {orientation} applied"] if is_rotated else []
        return Decoded(pixels, {**facts, **more}, (*steps, *conversions, *rotation))

    with decoding(str(image.format)):
        image.load()
        _check_rows(image, data)
        deep = _deep(image, data)
        if deep is None:
            return finish(*_grey(image, data))
    return deep.decoded(finish)


def _check_rows(image: Image.Image, data: bytes) -> None:
    if image.format in ("JPEG", "MPO") and image.mode in ("L", "RGB"):
        check_jpeg_rows(np.asarray(image), 8)
    if image.format == "PNG":
        last = image.crop((0, image.height - 1, *image.size))
        bands = last.getextrema()
        empty = not np.any(bands)  # absent rows are 0; otherwise the stream need not be read again
        if empty or image.info.get("interlace"):
            check_png_rows(data)


@dataclass(frozen=True, eq=False)
class _Deep:
    """The integers of an image of more than 8 bits.

    Attributes:
        channels: unsigned integers [H, W, channels]: grey, grey and alpha, RGB or RGBA.
        bits: bits of a stored number.
        declared: depth in bits that the file states; None where it states none.
        note: step that records the stated depth; "" where there is none.
        transparent: value or colour that is transparent; None where there is none.
        inverted: whether 0 is white.
        top: largest number that the file can hold.
        highest: largest value of the image, from `robust_maximum`; None where it is still to be computed.
    """

    channels: np.ndarray
    bits: int = 16
    declared: int | None = None
    note: str = ""
    transparent: int | tuple[int, ...] | None = None
    inverted: bool = False
    top: int = 65535
    highest: int | None = None

    @property
    def colour(self) -> np.ndarray:
        """The channels without alpha."""
        return self.channels[..., : 1 if self.channels.shape[-1] < 3 else 3]

    def decoded(self, finish: Callable[..., Decoded]) -> Decoded:
        """The image scaled by its own depth. `read_as` scales it by another depth, unless the file states its depth."""
        if self.declared is not None:
            return finish(*self._grey(self.declared, self.note), depth=self.declared, depth_alone=self.declared)
        highest = robust_maximum(self.colour, self.top) if self.highest is None else self.highest
        own = min(smallest_depth(highest), self.top.bit_length())

        def read_as(depth: int) -> Decoded:
            if depth == own:
                return decoded
            reason = reason_against(depth, self.colour, highest)
            chosen = own if reason else depth
            if reason:
                explanation = f"not as the {depth} bits of most of the cohort ({reason})"
            else:
                explanation = f"as most of the cohort is (by its own values: {own} bits)"
            note = f"warning: {self.bits}-bit file read as {chosen} bits, {explanation}"
            return finish(*self._grey(chosen, note), depth=chosen, depth_alone=own)

        note = f"{self.bits}-bit file read as {own} bits (largest value {int(self.colour.max())})"
        decoded = finish(*self._grey(own, note if own < 16 else self.note), depth=own, depth_alone=own)
        return replace(decoded, read_as=read_as)

    def _grey(self, depth: int, note: str) -> tuple[np.ndarray, list[str]]:
        """The image as float32 [H, W] in [0, 1] with transparency over black, and the steps."""
        colour, top = self.colour, 2**depth - 1
        values = np.minimum(colour, top).astype(np.float32) / np.float32(top)
        steps = [*([note] if note else []), *clipping_step(colour, depth)]
        grey = values[..., 0]
        if colour.shape[-1] == 3:
            grey = values @ GREY_WEIGHTS
            steps.append("RGB to grey")
        if self.channels.shape[-1] in (2, 4):
            alpha = self.channels[..., -1]
            opaque = top if alpha.max() == top else 65535  # raw values may have come with a raw alpha
            grey = grey * (alpha.astype(np.float32) / np.float32(opaque))
            steps.append("alpha over black")
        elif self.transparent is not None:
            grey = np.where((colour == np.asarray(self.transparent)).all(axis=-1), np.float32(0), grey)
            steps.append("alpha over black")
        if self.inverted:
            grey = np.float32(1) - grey
            steps.append("white-is-zero inverted")
        return grey, steps


def _open(data: bytes) -> tuple[Image.Image, int]:
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
        return data[_BIT_DEPTH]
    if image.format == "TIFF":
        return _tag(image, _BITS_PER_SAMPLE, 1)
    if image.format == "JPEG2000" and (start := data.find(_CODESTREAM)) >= 0:
        return (data[start + 42] & 0x7F) + 1
    return 1 if image.mode == "1" else 16 if image.mode in _SIXTEEN else 32 if image.mode in ("I", "F") else 8


def _tag(image: Image.Image, tag: int, default: int) -> int:
    value = getattr(image, "tag_v2", {}).get(tag, default)
    return value[0] if isinstance(value, tuple) else value


def _white_is_zero(image: Image.Image) -> bool:
    """Whether 0 is white in a TIFF of more than 8 bits; Pillow inverts only those of 8 bits."""
    return image.format == "TIFF" and _tag(image, _PHOTOMETRIC, 1) == 0


def _deep(image: Image.Image, data: bytes) -> _Deep | None:
    """The integers of a file of more than 8 bits; None where it has fewer bits or no known scale."""
    bits = _bits(image, data)
    if image.format == "PNG" and bits == 16:
        return _deep_png(image, data)
    if image.mode in _SIXTEEN:
        values = np.asarray(image).astype(np.uint16)[..., None]
        if bits >= 16:
            return _Deep(values, inverted=_white_is_zero(image))
        if image.format == "JPEG2000":
            values = values >> (16 - bits)  # Pillow shifts them up to 16 bits
        return _Deep(values, bits, declared=bits, inverted=_white_is_zero(image))
    if image.format == "TIFF" and bits == 16 and image.mode in ("RGB", "RGBA"):
        if _tag(image, _PLANAR, 1) == 2:  # Pillow would read 8 bits of each
            raise UnreadableImage("a TIFF of 16 bits with its colours in separate planes; save it as grey or as PNG")
        colour = _tiff_colour(image, data)
        return None if colour is None else _Deep(colour)
    if image.mode in ("I", "F"):
        values, top = _numbers(image, bits)
        if values.min() >= 0 and (image.mode == "I" or _are_whole(values)):
            highest = robust_maximum(values, top)
            if highest < 2**16:
                whole = values.astype(np.uint32)[..., None]
                return _Deep(whole, bits, inverted=_white_is_zero(image), top=top, highest=highest)
    return None


def _deep_png(image: Image.Image, data: bytes) -> _Deep:
    channels, transparent = _png16(image, data), image.info.get("transparency")
    deep = _Deep(channels, transparent=transparent)
    stated = _significant_bits(data, deep.colour.shape[-1])
    if stated is None or stated >= 16:
        return deep
    if robust_maximum(deep.colour, deep.top) >= 2**stated:  # scaled up to 16 bits, as the specification demands
        note = f"{stated} bits by its sBIT, scaled to 16 bits"
        return _Deep(channels, declared=16, note=note, transparent=transparent)
    note = f"16-bit file read as {stated} bits (its sBIT says so)"
    return _Deep(channels, declared=stated, note=note, transparent=transparent)


def _significant_bits(data: bytes, channels: int) -> int | None:
    """Significant bits of grey or of the deepest colour, from the chunk sBIT (PNG specification, section 11.3.2.7)."""
    for kind, body in png_chunks(data):
        if kind == b"sBIT":
            stated = body[:channels]
            return max(stated) or None if stated else None
        if kind == b"IDAT":
            break
    return None


def _png16(image: Image.Image, data: bytes) -> np.ndarray:
    """All channels of a 16-bit PNG, uint16 [H, W, channels]."""
    if len(image.getbands()) == 1:
        return np.asarray(image, dtype=np.uint16)[..., None]
    if data[_COLOUR_TYPE] == _GREY_ALPHA:
        # Four bytes a pixel, as in 8-bit RGBA: read as RGBA they arrive unchanged.
        pairs = _unpacked(data, lambda _: "RGBA")
        high, low = pairs[..., 0::2], pairs[..., 1::2]
    else:
        # "16L" is meant for little-endian files: it takes the low byte of PNG's big-endian pairs.
        high, low = np.asarray(image), _unpacked(data, lambda _: f"{image.mode};16L")
    return high.astype(np.uint16) << 8 | low


def _tiff_colour(image: Image.Image, data: bytes) -> np.ndarray | None:
    """All channels of a 16-bit TIFF, uint16 [H, W, channels]; None where Pillow changes the bytes."""
    raw = [tile.args[0] if isinstance(tile.args, tuple) else "" for tile in _reopened(data).tile]
    if not all(mode.startswith(image.mode) or mode.startswith("RGBX") for mode in raw) or ";16" not in raw[0]:
        return None
    native = "L" if sys.byteorder == "little" else "B"

    def low_byte(args: tuple) -> tuple:
        order = args[0][-1].replace("N", native)
        return (args[0][:-1] + ("B" if order == "L" else "L"), *args[1:])

    high, low = np.asarray(image), _unpacked(data, low_byte)
    return high.astype(np.uint16) << 8 | low


def _reopened(data: bytes) -> ImageFile:
    return Image.open(io.BytesIO(data), formats=["PNG", "TIFF"])


def _unpacked(data: bytes, args: Callable) -> np.ndarray:
    """The image as another unpacker reads it; `args` maps a tile's arguments to those of that unpacker."""
    image = _reopened(data)
    image.tile = [tile._replace(args=args(tile.args)) for tile in image.tile]
    return np.asarray(image)


def _numbers(image: Image.Image, bits: int) -> tuple[np.ndarray, int]:
    """The numbers [H, W] of an image of mode I or F, and the largest integer that the file can hold."""
    values, signed = np.asarray(image), _tag(image, _SAMPLE_FORMAT, 1) == 2
    if image.mode == "F":
        return values.astype(np.float64), 2**16 - 1
    if not signed and image.format == "TIFF" and bits == 32:
        values = values.view(np.uint32)  # Pillow reads them as signed
    return values.astype(np.int64), 2 ** (bits - signed) - 1


def _are_whole(values: np.ndarray) -> bool:
    """Whether floats are a detector's integers: more than a few grey levels, at most 16 bits."""
    return 2**8 <= values.max() < 2**16 and bool((values == np.rint(values)).all())


def _grey(image: Image.Image, data: bytes) -> tuple[np.ndarray, list[str]]:
    """The image as float32 [H, W] in [0, 1], and the steps."""
    if image.mode in ("I", "F"):
        grey, steps = _unscaled(image, _bits(image, data))
        return (1 - grey, [*steps, "white-is-zero inverted"]) if _white_is_zero(image) else (grey, steps)
    grey, steps = _grey8(image)
    if image.format in ("TIFF", "JPEG2000") and _bits(image, data) > 8:
        steps.append("warning: colour of 16 bits cut to its upper 8")
    return np.asarray(grey).astype(np.float32) / np.float32(255), steps


def _unscaled(image: Image.Image, bits: int) -> tuple[np.ndarray, list[str]]:
    """Scales numbers of unknown scale: by the full range where they fill it, else from the smallest to the largest."""
    values, top = _numbers(image, bits)
    top = 1 if image.mode == "F" else top
    if values.min() >= 0 and top / 4 < np.percentile(values, PERCENTILE) and values.max() <= top:
        return (values / top).astype(np.float32), [f"values taken as from 0 to {top}"]
    unit, low, high, outside = stretch(values, values)
    return unit, [f"values on no known scale, darkest shown black, brightest white ({low:g} to {high:g})", *outside]


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
