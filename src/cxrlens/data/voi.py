"""From stored DICOM values to [0, 1]: one recorded policy (DICOM PS3.3, C.11.1 modality and C.11.2 values of interest).

1. Rescale slope and intercept, or the modality table. 2. The first VOI table; else the first usable window; else, for 8
bits as stored, the whole of those 8 bits, and for more, the smallest to the largest value present (but for letters far
from all others). A window is unusable where it is no number, leaves nearly every pixel black or white, or is far wider
than the values.
"""

from __future__ import annotations

import numpy as np
from pydicom import Dataset
from pydicom.multival import MultiValue
from pydicom.pixels.processing import apply_modality_lut, apply_voi

from cxrlens.data.depth import PERCENTILE, own_depth, stretched
from cxrlens.data.unreadable import UnreadableImage

INSIDE = 0.01
"""Share of the pixels that must be neither black nor white in a usable window."""
LEAST_SPAN = 1 / 8
"""Of a window's width that the middle 99.8% of the values must cover: 12 bits under a window of 16 are nearly black."""


def to_unit(stored: np.ndarray, header: Dataset, padding: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Grey values in [0, 1], in the sense of the file: MONOCHROME1 is not inverted here.

    Args:
        stored: integer [H, W].
        header: of the file.
        padding: bool [H, W], pixels that are no measurement; they do not count for the range.

    Returns:
        float32 [H, W] in [0, 1] and the steps.

    Raises:
        UnreadableImage: the slope or the intercept is no number that values could be rescaled by.
    """
    values, steps = _modality(stored, header)
    counted = values[~padding] if not padding.all() else values
    if header.get("VOILUTSequence"):
        top, used = _table_top(header)
        looked_up = apply_voi(np.rint(values).astype(np.int64), header)
        return (looked_up / max(top, int(looked_up.max()))).astype(np.float32), [*steps, used]
    function = str(header.get("VOILUTFunction") or "LINEAR").strip().upper()
    for said in _windows(header):
        reason = _no_window(counted, *said, function)
        if reason:
            steps.append(f"warning: unusable window ignored ({reason}: centre '{said[0]}', width '{said[1]}')")
            continue
        centre, width = float(said[0]), float(said[1])
        unit = windowed(values, centre, width, function)
        return unit.astype(np.float32), [*steps, f"window {width:g} wide at {centre:g} ({function.lower()})"]
    as_stored = all(step.startswith("warning:") for step in steps)
    if as_stored and int(header.BitsStored) == 8 and stored.min() >= 0:
        return stored.astype(np.float32) / np.float32(255), steps
    unit, low, high, outside = stretched(values, counted)
    return unit, [
        *steps,
        f"DICOM without a display window, darkest value shown black, brightest white ({low:g} to {high:g})",
        *outside,
    ]


def _table_top(header: Dataset) -> tuple[int, str]:
    """White in the first VOI table, and the step: the bits that its entries use decide, not those that it states."""
    entries, first, bits = (int(number) for number in header.VOILUTSequence[0].LUTDescriptor)
    entries = entries or 2**16
    highest = int(apply_voi(np.arange(first, first + entries, dtype=np.int64), header).max())
    used = own_depth(highest) if highest < 2**16 else bits
    if used < bits:
        return 2**used - 1, f"warning: VOI table applied whose values use {used} of {bits} bits"
    return max(2**bits - 1, 1), "VOI table applied"


def windowed(values: np.ndarray, centre: float, width: float, function: str = "LINEAR") -> np.ndarray:
    """The three VOI functions of C.11.2.1.2 and C.11.2.1.3, with output from 0 to 1.

    >>> windowed(np.array([0.0, 49.5, 99.0]), 50, 100).tolist()
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


def _rescale(header: Dataset, name: str, usual: float) -> tuple[float, list[str]]:
    """A number to rescale by, or what is usual where there is none, and the step that says so."""
    said = _texts(header.get(name))
    if name in header and not any(said):
        return usual, [f"warning: empty {name} taken as {usual:g}"]
    if name not in header:
        return usual, []
    number = _number(said[0])
    if number is None:
        raise UnreadableImage(f"{name} is '{said[0]}', which is no number to rescale by")
    return number, []


def _windows(header: Dataset) -> list[tuple[str, str]]:
    """Centre and width of every window as the header writes them; the first is the one that the maker shows first."""
    if "WindowCenter" not in header and "WindowWidth" not in header:
        return []
    centres, widths = _texts(header.get("WindowCenter")), _texts(header.get("WindowWidth"))
    pairs = max(len(centres), len(widths))
    centres, widths = ([*texts, *[""] * (pairs - len(texts))] for texts in (centres, widths))
    return list(zip(centres, widths, strict=True))


def _no_window(counted: np.ndarray, centre: str, width: str, function: str) -> str | None:
    """Why a window cannot be used; None where it can."""
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        return f"VOI function {function}"
    middle, wide = _number(centre), _number(width)
    if middle is None or wide is None:
        return "no numbers"
    if wide <= (1 if function == "LINEAR" else 0):  # LINEAR divides by the width less one
        return "too narrow"
    unit = windowed(counted, middle, wide, function)
    inside = float(((unit > 0.5 / 255) & (unit < 1 - 0.5 / 255)).mean())
    if inside < INSIDE:
        return "nearly all values outside"
    first, last = np.percentile(counted, (100 - PERCENTILE, PERCENTILE))
    return "far wider than the values" if last - first < LEAST_SPAN * wide else None


def _texts(value: object) -> list[str]:
    """The values of an element, one or several, as text."""
    values = value if isinstance(value, MultiValue) else [value]
    return ["" if each is None else str(each).strip() for each in values] or [""]


def _number(text: str) -> float | None:
    """A finite number, or None: pydicom leaves as text what is none, such as '2047,5'."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if np.isfinite(number) else None
