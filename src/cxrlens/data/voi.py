"""From stored DICOM values to [0, 1]: one recorded policy (DICOM PS3.3, C.11.1 modality and C.11.2 values of interest).

1. Rescale slope and intercept, or the modality table. 2. The first VOI table; else the first usable window; else, for 8
bits as stored, the whole of those 8 bits, and for more, the smallest to the largest value present.
"""

from __future__ import annotations

import numpy as np
from pydicom import Dataset
from pydicom.multival import MultiValue
from pydicom.pixels.processing import apply_modality_lut, apply_voi


def to_unit(stored: np.ndarray, header: Dataset, padding: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Grey values in [0, 1], in the sense of the file: MONOCHROME1 is not inverted here.

    Args:
        stored: integer [H, W].
        header: of the file.
        padding: bool [H, W], pixels that are no measurement; they do not count for the range.

    Returns:
        float32 [H, W] in [0, 1] (NaN where the header's numbers make no sense) and the steps.
    """
    values, steps = _modality(stored, header)
    if header.get("VOILUTSequence"):
        table = header.VOILUTSequence[0]
        top = max(2 ** int(table.LUTDescriptor[2]) - 1, 1)
        looked_up = apply_voi(np.rint(values).astype(np.int64), header)
        return (looked_up / max(top, int(looked_up.max()))).astype(np.float32), [*steps, "VOI table applied"]
    window = _window(header)
    if window:
        centre, width, function = window
        unit = windowed(values, centre, width, function)
        return unit.astype(np.float32), [*steps, f"window {width:g} wide at {centre:g} ({function.lower()})"]
    if "WindowWidth" in header:
        steps.append("warning: unusable window ignored")
    if not steps and int(header.BitsStored) == 8 and stored.min() >= 0:
        return stored.astype(np.float32) / np.float32(255), steps
    counted = values[~padding] if not padding.all() else values
    low, high = counted.min(), counted.max()
    unit = np.clip((values - low) / (high - low if high > low else 1.0), 0, 1)
    return unit.astype(np.float32), [*steps, f"no window; stretched from {low:g} to {high:g}"]


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
    slope, intercept = _first(header.get("RescaleSlope")), _first(header.get("RescaleIntercept"))
    slope, intercept = 1.0 if slope is None else slope, 0.0 if intercept is None else intercept
    if (slope, intercept) == (1, 0):
        return stored.astype(np.float64), []
    return stored * slope + intercept, [f"rescaled: slope {slope:g}, intercept {intercept:g}"]


def _window(header: Dataset) -> tuple[float, float, str] | None:
    centre, width = _first(header.get("WindowCenter")), _first(header.get("WindowWidth"))
    function = str(header.get("VOILUTFunction") or "LINEAR").strip().upper()
    least = 1 if function == "LINEAR" else 0  # LINEAR divides by the width less one
    if centre is None or width is None or not np.isfinite([centre, width]).all() or width <= least:
        return None
    return (centre, width, function) if function in ("LINEAR", "LINEAR_EXACT", "SIGMOID") else None


def _first(value: object) -> float | None:
    """Of several windows the first is the one that the maker shows first; None where there is no number."""
    if isinstance(value, MultiValue):
        value = value[0] if len(value) else None
    return None if value is None or str(value).strip() == "" else float(str(value))
