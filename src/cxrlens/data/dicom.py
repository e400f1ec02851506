"""DICOM, by pydicom: one frontal radiograph, or the reason why the file is none."""

from __future__ import annotations

import io
import zlib

import numpy as np
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.pixels import apply_color_lut, get_decoder, pixel_array
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from cxrlens.data.cohort import Decoded
from cxrlens.data.raster import GREY_WEIGHTS
from cxrlens.data.unreadable import MAX_BYTES, UnreadableImage, check_header, decoding, heard
from cxrlens.data.voi import to_unit

RADIOGRAPHS = ("CR", "DX", "DR", "RG", "SC", "OT", "")
"""Modalities that may be a chest X-ray; secondary captures and files that do not say are let through."""

NOT_FRONTAL = ("LL", "RL", "LAT", "LATERAL", "LEFT LATERAL", "RIGHT LATERAL", "LLO", "RLO")
"""Lateral and oblique projections; LLD and RLD (patient lying on the side) are frontal."""


def is_dicom(data: bytes) -> bool:
    """Whether the bytes have the mark of a DICOM file."""
    return data[128:132] == b"DICM"


def read_dicom(data: bytes) -> Decoded:
    """Decodes the bytes of a DICOM file.

    Returns:
        Pixels float32 [1, H, W] in [0, 1], bone bright, and the facts `width`, `height`, `mode`, `format`, `bits`.

    Raises:
        UnreadableImage: damaged, several frames, CT or another modality, a lateral view, or its codec is not installed.
    """
    steps: list[str] = []
    with heard(steps), decoding("DICOM"):
        header = _header(data)
        _check(header)
        stored = _stored(header)
        grey, done = _grey(stored, header)
    facts: dict[str, object] = {
        "width": int(header.Columns),
        "height": int(header.Rows),
        "mode": str(header.PhotometricInterpretation),
        "format": "DICOM",
        "bits": int(header.BitsStored),
    }
    return Decoded(np.ascontiguousarray(grey, dtype=np.float32)[None], facts, (*steps, *done))


def _header(data: bytes) -> Dataset:
    if DeflatedExplicitVRLittleEndian.encode() in data[:1024]:
        start = 144 + int.from_bytes(
            data[140:144], "little"
        )  # behind the file header, whose first element is its length
        if len(zlib.decompressobj(-zlib.MAX_WBITS).decompress(data[start:], MAX_BYTES)) == MAX_BYTES:
            raise UnreadableImage(f"a decompression bomb: a deflated DICOM of more than {MAX_BYTES:,} bytes")
    header = dcmread(io.BytesIO(data))
    if not header.file_meta.get("TransferSyntaxUID"):
        raise UnreadableImage("DICOM without a transfer syntax")
    return header


def _check(header: Dataset) -> None:
    """Refuses, before the pixels are decoded, what is not one frontal radiograph."""
    modality = str(header.get("Modality") or "").strip().upper()
    if modality not in RADIOGRAPHS:
        raise UnreadableImage(f"a DICOM of modality {modality}; a radiograph (CR, DX) is needed")
    if "PixelData" not in header:
        raise UnreadableImage("a DICOM that holds no picture")
    frames = int(header.get("NumberOfFrames") or 1)
    if frames > 1:
        raise UnreadableImage(f"a DICOM of {frames} frames; one is needed")
    view = next((said for said in _views(header) if said in NOT_FRONTAL), None)
    if view:
        raise UnreadableImage(f"a lateral or oblique view ({view}); a frontal one is needed")
    high, stored = int(header.get("HighBit", header.BitsStored - 1)), int(header.BitsStored)
    if high != stored - 1:
        raise UnreadableImage(f"a DICOM of {stored} bits below bit {high}; the standard has them at the bottom")
    check_header(int(header.Columns), int(header.Rows))


def _views(header: Dataset) -> list[str]:
    codes = header.get("ViewCodeSequence") or []
    meanings = [code.get("CodeMeaning") for code in codes]
    return [str(said or "").strip().upper() for said in (header.get("ViewPosition"), *meanings)]


def _stored(header: Dataset) -> np.ndarray:
    """Integer [H, W] or [H, W, 3], without the bits that are not the picture's."""
    try:
        return pixel_array(header)  # which cuts off old overlays above the stored bits and keeps the sign
    except Exception as error:
        raise _undecoded(UID(header.file_meta.TransferSyntaxUID), error) from error


def _undecoded(syntax: UID, error: Exception) -> UnreadableImage:
    said = " ".join(str(error).split())[:160]
    if not syntax.is_compressed or syntax == DeflatedExplicitVRLittleEndian:
        return UnreadableImage(f"damaged or truncated DICOM: {said}")
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        return UnreadableImage(f"no codec is known for DICOM compressed as {syntax.name}")
    install = f"DICOM compressed as {syntax.name} needs a codec: pip install cxrlens[dicom]"
    if not decoder.is_available:
        return UnreadableImage(install)
    if decoder.missing_dependencies and "pylibjpeg" not in decoder.available_plugins:
        return UnreadableImage(f"{install} ({said})")  # Pillow's codec is there, but knows 8 bits only
    return UnreadableImage(f"damaged {syntax.name} in a DICOM: {said}")


def _grey(stored: np.ndarray, header: Dataset) -> tuple[np.ndarray, list[str]]:
    kind = str(header.PhotometricInterpretation).strip().upper()
    if kind == "PALETTE COLOR":
        stored = apply_color_lut(stored, header)
    if stored.ndim == 3:
        bits = 8 * stored.dtype.itemsize if kind == "PALETTE COLOR" else int(header.BitsStored)
        return _luma(stored[..., :3], bits), [f"{kind} to grey"]
    if kind not in ("MONOCHROME1", "MONOCHROME2"):
        raise UnreadableImage(f"a DICOM of photometric interpretation {kind}")
    padding = _padding(stored, header)
    grey, steps = to_unit(stored, header, padding)
    if kind == "MONOCHROME1":
        grey = np.float32(1) - grey
        steps.append("MONOCHROME1 inverted")
    if padding.any():
        grey = np.where(padding, np.float32(0), grey)
        steps.append("padding painted black")
    if str(header.get("PresentationIntentType") or "").strip().upper() == "FOR PROCESSING":
        steps.append("warning: a raw detector image (FOR PROCESSING)")
    return grey, steps


def _luma(colour: np.ndarray, bits: int) -> np.ndarray:
    if bits == 8:
        return np.asarray(Image.fromarray(np.ascontiguousarray(colour)).convert("L")) / np.float32(255)
    return (colour.astype(np.float64) / (2**bits - 1)).astype(np.float32) @ GREY_WEIGHTS


def _padding(stored: np.ndarray, header: Dataset) -> np.ndarray:
    value = header.get("PixelPaddingValue")
    if not isinstance(value, int):
        return np.zeros(stored.shape, dtype=bool)
    limit = header.get("PixelPaddingRangeLimit")
    limit = limit if isinstance(limit, int) else value
    return (stored >= min(value, limit)) & (stored <= max(value, limit))
