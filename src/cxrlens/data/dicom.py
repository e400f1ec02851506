"""DICOM, by pydicom: one frontal radiograph, or the reason why the file is none."""

from __future__ import annotations

import io
import zlib

import numpy as np
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.pixels import apply_color_lut
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, JPEGBaseline8Bit, JPEGExtended12Bit

from cxrlens.data.cohort import Decoded
from cxrlens.data.dicom_codecs import stored_values
from cxrlens.data.dicom_view import examine_view
from cxrlens.data.raster import GREY_WEIGHTS
from cxrlens.data.unreadable import MAX_BYTES, UnreadableImage, check_header, decoding, heard
from cxrlens.data.voi import to_unit
from cxrlens.data.whole import check_jpeg_rows

RADIOGRAPHS = ("CR", "DX", "DR", "RG", "SC", "OT", "")
"""Modalities that may be a chest X-ray; secondary captures and files that do not say are let through."""

RADIOGRAPH_CLASSES = ("Computed Radiography", "Digital X-Ray Image", "Secondary Capture")
"""What the name of an image's SOP class begins with, where the modality is not stated."""


def is_dicom(data: bytes) -> bool:
    """Whether the bytes have the mark of a DICOM file."""
    return data[128:132] == b"DICM"


def read_dicom(data: bytes) -> Decoded:
    """Decodes the bytes of a DICOM file.

    Returns:
        Pixels float32 [1, H, W] in [0, 1], bone bright, and the facts `width`, `height`, `mode`, `format`, `bits`.

    Raises:
        UnreadableImage: damaged, several frames, CT or another modality, a side view, another body part, or its codec
            is not installed.
    """
    steps: list[str] = []
    with heard(steps), decoding("DICOM"):
        header = read_header(data)
        if (kind := header.get("PhotometricInterpretation")) is not None:
            header.PhotometricInterpretation = str(kind).strip().upper()  # the decoder takes no other way to write it
        unclear = _check(header)
        stored = stored_values(header)
        if header.file_meta.TransferSyntaxUID in (JPEGBaseline8Bit, JPEGExtended12Bit):
            check_jpeg_rows(stored, int(header.BitsStored))
        grey, done = _grey(stored, header)
    facts: dict[str, object] = {
        "width": int(header.Columns),
        "height": int(header.Rows),
        "mode": str(header.PhotometricInterpretation),
        "format": "DICOM",
        "bits": int(header.BitsStored),
    }
    return Decoded(np.ascontiguousarray(grey, dtype=np.float32)[None], facts, (*steps, *unclear, *done))


def read_header(data: bytes) -> Dataset:
    """The whole data set of a file.

    Raises:
        UnreadableImage: a deflated file that unfolds without end, or one without a transfer syntax.
    """
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


def refuse_modality(header: Dataset) -> None:
    """Raises `UnreadableImage` unless the modality (or, without one, the SOP class) may be a radiograph's."""
    modality = str(header.get("Modality") or "").strip().upper()
    if modality not in RADIOGRAPHS:
        raise UnreadableImage(f"a DICOM of modality {modality}; a radiograph (CR, DX) is needed")
    kind = UID(str(header.get("SOPClassUID") or "")).name
    if not modality and kind.endswith("Storage") and not kind.startswith(RADIOGRAPH_CLASSES):
        raise UnreadableImage(f"a DICOM without a modality, of the class {kind}; a radiograph (CR, DX) is needed")


def _check(header: Dataset) -> list[str]:
    """Refuses, before the pixels are decoded, what is not one frontal chest radiograph; says what is unclear."""
    refuse_modality(header)
    if "PixelData" not in header:
        raise UnreadableImage("a DICOM that holds no picture")
    frames = int(header.get("NumberOfFrames") or 1)
    if frames > 1:
        raise UnreadableImage(f"a DICOM of {frames} frames; one is needed")
    view = examine_view(header)
    if view.refused:
        raise UnreadableImage(view.refused)
    high, stored = int(header.get("HighBit", header.BitsStored - 1)), int(header.BitsStored)
    if high != stored - 1:
        raise UnreadableImage(f"a DICOM of {stored} bits below bit {high}; the standard has them at the bottom")
    check_header(int(header.Columns), int(header.Rows))
    return [f"warning: {phrase}" for phrase in view.warnings]


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
