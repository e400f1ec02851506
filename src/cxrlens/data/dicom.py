"""DICOM, read with pydicom: decodes a frontal radiograph, or states why the file is not one."""

from __future__ import annotations

import io
import zlib

import numpy as np
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.multival import MultiValue
from pydicom.pixels import apply_color_lut
from pydicom.pixels.processing import apply_modality_lut, apply_voi
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, JPEGBaseline8Bit, JPEGExtended12Bit

from cxrlens.data.cohort import Decoded
from cxrlens.data.depth import PERCENTILE, smallest_depth, stretch
from cxrlens.data.dicom_codecs import stored_values
from cxrlens.data.dicom_view import examine_view
from cxrlens.data.raster import GREY_WEIGHTS
from cxrlens.data.truncation import check_jpeg_rows
from cxrlens.data.unreadable import MAX_BYTES, UnreadableImage, check_header, decoding, recorded_warnings

# From stored values to [0, 1] (DICOM PS3.3, C.11.1 modality and C.11.2 values of interest), in two steps:
# 1. Rescale slope and intercept, or the modality table.
# 2. The first VOI table, else the first usable window. Without either, 8-bit values that were not rescaled use the full
#    range of 8 bits, and others the range from the smallest to the largest value, without far outliers such as letters.
# A window is unusable if it is not a number, leaves nearly all pixels black or white, or is far wider than the values.

INSIDE = 0.01
"""Smallest share of pixels that are neither black nor white in a usable window."""
LEAST_SPAN = 1 / 8
"""Smallest share of a window's width that the middle 99.8% of the values cover; 12 bits in a 16-bit window do not."""


def to_unit(stored: np.ndarray, header: Dataset, padding: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Scales stored values to [0, 1]; MONOCHROME1 is not inverted here.

    Args:
        stored: stored values, integer [H, W].
        header: header of the file.
        padding: bool [H, W], True for padding; these pixels do not count for the range.

    Returns:
        float32 [H, W] in [0, 1] and the steps.

    Raises:
        UnreadableImage: the rescale slope or intercept is not a usable number.
    """
    values, steps = _modality(stored, header)
    measured = values[~padding] if not padding.all() else values
    if header.get("VOILUTSequence"):
        top, table_step = _table_top(header)
        looked_up = apply_voi(np.rint(values).astype(np.int64), header)
        return (looked_up / max(top, int(looked_up.max()))).astype(np.float32), [*steps, table_step]
    function = str(header.get("VOILUTFunction") or "LINEAR").strip().upper()
    for window in _windows(header):
        reason = _window_problem(measured, *window, function)
        if reason:
            steps.append(f"warning: unusable window ignored ({reason}: centre '{window[0]}', width '{window[1]}')")
            continue
        centre, width = float(window[0]), float(window[1])
        unit = apply_window(values, centre, width, function)
        return unit.astype(np.float32), [*steps, f"window {width:g} wide at {centre:g} ({function.lower()})"]
    as_stored = all(step.startswith("warning:") for step in steps)
    if as_stored and int(header.BitsStored) == 8 and stored.min() >= 0:
        return stored.astype(np.float32) / np.float32(255), steps
    unit, low, high, outside = stretch(values, measured)
    return unit, [
        *steps,
        f"DICOM without a display window, darkest value shown black, brightest white ({low:g} to {high:g})",
        *outside,
    ]


def _table_top(header: Dataset) -> tuple[int, str]:
    """The value of white in the first VOI table, by the bits that its entries use, and the step."""
    entries, first, bits = (int(number) for number in header.VOILUTSequence[0].LUTDescriptor)
    entries = entries or 2**16
    highest = int(apply_voi(np.arange(first, first + entries, dtype=np.int64), header).max())
    used_bits = smallest_depth(highest) if highest < 2**16 else bits
    if used_bits < bits:
        return 2**used_bits - 1, f"warning: VOI table applied whose values use {used_bits} of {bits} bits"
    return max(2**bits - 1, 1), "VOI table applied"


def apply_window(values: np.ndarray, centre: float, width: float, function: str = "LINEAR") -> np.ndarray:
    """Applies one of the three VOI functions of C.11.2.1.2 and C.11.2.1.3; the result lies between 0 and 1.

    Args:
        values: modality values of any shape.
        centre: window centre.
        width: window width.
        function: "LINEAR", "LINEAR_EXACT" or "SIGMOID".

    >>> apply_window(np.array([0.0, 49.5, 99.0]), 50, 100).tolist()
    [0.0, 0.5, 1.0]
    """
    values = values.astype(np.float64)  # unsigned integers would wrap
    if function == "SIGMOID":
        return 1 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -500, 500)))
    if function == "LINEAR_EXACT":
        return np.clip((values - centre) / width + 0.5, 0, 1)
    return np.clip((values - (centre - 0.5)) / (width - 1) + 0.5, 0, 1)


def _modality(stored: np.ndarray, header: Dataset) -> tuple[np.ndarray, list[str]]:
    if header.get("ModalityLUTSequence"):
        return apply_modality_lut(stored, header).astype(np.float64), ["modality table applied"]
    slope, empty_slope = _rescale(header, "RescaleSlope", 1.0)
    intercept, empty_intercept = _rescale(header, "RescaleIntercept", 0.0)
    if slope == 0:
        raise UnreadableImage(f"RescaleSlope is '{header.RescaleSlope}': every pixel would have the same value")
    empty = [*empty_slope, *empty_intercept]
    if (slope, intercept) == (1, 0):
        return stored.astype(np.float64), empty
    return stored * slope + intercept, [*empty, f"rescaled: slope {slope:g}, intercept {intercept:g}"]


def _rescale(header: Dataset, name: str, default: float) -> tuple[float, list[str]]:
    """The rescale slope or intercept, or its default where the header has none, and the step that records this."""
    texts = _texts(header.get(name))
    if name in header and not any(texts):
        return default, [f"warning: empty {name} taken as {default:g}"]
    if name not in header:
        return default, []
    number = _number(texts[0])
    if number is None:
        raise UnreadableImage(f"{name} is '{texts[0]}', which is no number to rescale by")
    return number, []


def _windows(header: Dataset) -> list[tuple[str, str]]:
    """Centre and width of every window as texts of the header; the first is the manufacturer's default."""
    if "WindowCenter" not in header and "WindowWidth" not in header:
        return []
    centres, widths = _texts(header.get("WindowCenter")), _texts(header.get("WindowWidth"))
    pairs = max(len(centres), len(widths))
    centres, widths = ([*texts, *[""] * (pairs - len(texts))] for texts in (centres, widths))
    return list(zip(centres, widths, strict=True))


def _window_problem(measured: np.ndarray, centre: str, width: str, function: str) -> str | None:
    """Why a window cannot be used; None where it can be."""
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        return f"VOI function {function}"
    middle, wide = _number(centre), _number(width)
    if middle is None or wide is None:
        return "no numbers"
    if wide <= (1 if function == "LINEAR" else 0):  # LINEAR divides by the width less one
        return "too narrow"
    unit = apply_window(measured, middle, wide, function)
    inside = float(((unit > 0.5 / 255) & (unit < 1 - 0.5 / 255)).mean())
    if inside < INSIDE:
        return "nearly all values outside"
    first, last = np.percentile(measured, (100 - PERCENTILE, PERCENTILE))
    return "far wider than the values" if last - first < LEAST_SPAN * wide else None


def _texts(value: object) -> list[str]:
    """The values of an element as texts; one empty text where it has none."""
    values = value if isinstance(value, MultiValue) else [value]
    return ["" if item is None else str(item).strip() for item in values] or [""]


def _number(text: str) -> float | None:
    """A text as a finite number; None where it is not one, such as '2047,5', which pydicom leaves as text."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if np.isfinite(number) else None


RADIOGRAPHS = ("CR", "DX", "DR", "RG", "SC", "OT", "")
"""Modalities that may be a chest X-ray; secondary captures and files without a modality are accepted."""

RADIOGRAPH_CLASSES = ("Computed Radiography", "Digital X-Ray Image", "Secondary Capture")
"""Accepted beginnings of the SOP class name, for files without a modality."""


def is_dicom(data: bytes) -> bool:
    """Whether the bytes begin as a DICOM file does."""
    return data[128:132] == b"DICM"


def read_dicom(data: bytes) -> Decoded:
    """Decodes the bytes of a DICOM file.

    Returns:
        Pixels float32 [1, H, W] in [0, 1], bone bright, and the facts `width`, `height`, `mode`, `format`, `bits`.

    Raises:
        UnreadableImage: the file is damaged, has several frames, is of another modality, shows a lateral view or
            another body part, or its codec is not installed.
    """
    steps: list[str] = []
    with recorded_warnings(steps), decoding("DICOM"):
        header = read_header(data)
        if (kind := header.get("PhotometricInterpretation")) is not None:
            header.PhotometricInterpretation = str(kind).strip().upper()  # the only form that the decoder accepts
        view_warnings = _check(header)
        stored = stored_values(header)
        if header.file_meta.TransferSyntaxUID in (JPEGBaseline8Bit, JPEGExtended12Bit):
            check_jpeg_rows(stored, int(header.BitsStored))
        grey, conversions = _grey(stored, header)
    facts: dict[str, object] = {
        "width": int(header.Columns),
        "height": int(header.Rows),
        "mode": str(header.PhotometricInterpretation),
        "format": "DICOM",
        "bits": int(header.BitsStored),
    }
    return Decoded(np.ascontiguousarray(grey, dtype=np.float32)[None], facts, (*steps, *view_warnings, *conversions))


def read_header(data: bytes) -> Dataset:
    """Reads the whole data set of a file.

    Raises:
        UnreadableImage: a deflated file is too large when unpacked, or the file has no transfer syntax.
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
    """Raises `UnreadableImage` unless the modality, or the SOP class without one, may be that of a radiograph."""
    modality = str(header.get("Modality") or "").strip().upper()
    if modality not in RADIOGRAPHS:
        raise UnreadableImage(f"a DICOM of modality {modality}; a radiograph (CR, DX) is needed")
    kind = UID(str(header.get("SOPClassUID") or "")).name
    if not modality and kind.endswith("Storage") and not kind.startswith(RADIOGRAPH_CLASSES):
        raise UnreadableImage(f"a DICOM without a modality, of the class {kind}; a radiograph (CR, DX) is needed")


def _check(header: Dataset) -> list[str]:
    """Refuses a file that is not a single frontal chest radiograph; returns warnings on what is unclear."""
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
