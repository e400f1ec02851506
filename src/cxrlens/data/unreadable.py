"""What all image readers share: an error with a short reason, size limits, and the recording of decoder warnings."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cxrlens.errors import UserError

MAX_PIXELS = 64_000_000
"""Four times the pixels of the largest chest detectors; a header with a larger size is a mistake or an attack."""

MAX_BYTES = 512 * 2**20  # of an image file

_warnings = threading.Lock()  # warnings.catch_warnings changes state of the whole process


class UnreadableImage(UserError):
    """A file that cannot be used as a chest X-ray.

    Attributes:
        reason: why the file cannot be used, in one line without the file's name.
        name: name of the file; "" while it is unknown.
    """

    def __init__(self, reason: str, name: str = "") -> None:
        super().__init__(f"{name}: {reason}" if name else reason)
        self.reason = reason
        self.name = name

    def of(self, path: Path) -> UnreadableImage:
        """The same error with the name of `path`."""
        return UnreadableImage(self.reason, path.name)


@contextmanager
def decoding(what: str) -> Iterator[None]:
    """Turns any exception of a decoder into `UnreadableImage`; use it around decoders only.

    Args:
        what: the format, for the message, such as "PNG".
    """
    try:
        yield
    except (UnreadableImage, MemoryError):
        raise
    except Exception as error:
        message = " ".join(str(error).split())[:160]
        raise UnreadableImage(f"damaged or truncated {what}: {message or type(error).__name__}") from error


@contextmanager
def recorded_warnings(steps: list[str]) -> Iterator[None]:
    """Records a decoder's warnings as steps instead of printing them. Only one thread at a time enters.

    Args:
        steps: list that the warnings are appended to.
    """
    with _warnings, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        finally:
            messages = (" ".join(str(warning.message).split())[:160] for warning in caught)
            steps.extend(dict.fromkeys(f"warning: {line}" for line in messages))


def check_header(width: int, height: int) -> None:
    """Refuses an image size that no X-ray has, before anything is decoded.

    Args:
        width: columns of pixels that the header states.
        height: rows of pixels that the header states.

    Raises:
        UnreadableImage: a side is shorter than 16 pixels, or the image has more than `MAX_PIXELS` pixels.
    """
    if min(width, height) < 16:
        raise UnreadableImage(f"{width} x {height} pixels; a side needs at least 16")
    if width * height > MAX_PIXELS:
        raise UnreadableImage(f"the header says {width} x {height} pixels; at most {MAX_PIXELS:,} are decoded")


_KINDS = (
    (b"\x89PNG", "a PNG with a damaged header"),
    (b"\xff\xd8\xff", "a JPEG with a damaged header"),
    (b"<!doctype html", "an HTML page, not an image"),
    (b"<html", "an HTML page, not an image"),
    (b"<?xml", "XML, not an image"),
    (b"\xff\x0a", "a JPEG XL, which is not read; save it as PNG"),
    (b"\x93numpy", "a NumPy array, not an image"),
    (b"ii+\x00", "a BigTIFF, which is not read; save it as PNG"),
    (b"mm\x00+", "a BigTIFF, which is not read; save it as PNG"),
    (b"<svg", "SVG, not a photograph of pixels"),
    (b"%pdf", "a PDF, not an image"),
    (b"pk\x03\x04", "a ZIP archive, not an image"),
    (b"\x1f\x8b", "a gzip archive, not an image"),
    (b"version https://git-lfs", "a Git LFS pointer; fetch the image itself with `git lfs pull`"),
    (b"II*\x00", "a TIFF of a kind that is not read: its bits, byte order or colours; save it as PNG"),
    (b"MM\x00*", "a TIFF of a kind that is not read: its bits, byte order or colours; save it as PNG"),
    (b"\x08\x00", "DICOM without its file header, so without a transfer syntax"),
    (b"\x00\x08", "DICOM without its file header, so without a transfer syntax"),
)


def _jpeg_kind(data: bytes) -> str | None:
    """The kind of a JPEG that is not a common one of 8 bits; None where the frame header names no such kind."""
    position = 2
    while position + 5 <= len(data) and data[position] == 0xFF:
        marker, bits = data[position + 1], data[position + 4]
        if marker == 0xF7:
            return "a JPEG-LS"
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # ITU-T T.81, table B.1
            if marker in (0xC3, 0xC7, 0xCB, 0xCF):
                return "a lossless JPEG"
            return f"a JPEG of {bits} bits" if bits != 8 else None
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return None


def describe(data: bytes) -> str:
    """What the bytes of a file seem to be that no reader can decode.

    >>> describe(b"<!DOCTYPE html><p>404")
    'an HTML page, not an image'
    """
    if data[:3] == b"\xff\xd8\xff" and (kind := _jpeg_kind(data)):
        return f"{kind}, which is not read outside of DICOM; save it as PNG of 8 or 16 bits"
    start = data[:512].lstrip(b" \t\r\n\xef\xbb\xbf").lower()
    return next((kind for prefix, kind in _KINDS if start.startswith(prefix.lower())), "no image format that is known")
