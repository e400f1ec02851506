"""How many bits the values of a deep image use: detectors give 10 to 14, files hold 16 or 32.

A file that says how many (BitsPerSample, sBIT) is believed. Otherwise its values decide: the smallest of `DEPTHS` that
holds their 99.9th percentile. Where most deep files of a cohort agree, the cohort decides for the others as well, for a
dark image of 12 bits looks like one of 10. An image that fills a smaller depth, as the same picture saved in 10 bits
does, keeps it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

DEPTHS = (8, 10, 12, 14, 16)
PERCENTILE = 99.9
DEPTH_STEP = re.compile(r"\d+-bit file read as \d+ bits")
"""How the step of a deep file begins that says its bits."""
LETTERS = 0.05
"""Share of the pixels that burnt-in letters may cover; what is left out of so many decides nothing."""


FULL = 0.85
"""Share of a smaller depth's range that an image fills, from which it is taken for one of that depth."""


def usual_highest(values: np.ndarray, top: int) -> int:
    """The 99.9th percentile of integers, without pixels at the highest value that the file can hold.

    Letters are burnt in at that value, and may cover more than 0.1% of an image. Where more than `LETTERS` of the
    pixels have it, they count.

    >>> usual_highest(np.array([300] * 99 + [65535]), 65535)
    300
    """
    below = values[values < top]
    counted = below if 0 < values.size - below.size <= LETTERS * values.size else values
    return int(np.percentile(counted, PERCENTILE, method="lower"))


def own_depth(highest: int) -> int:
    """The smallest of `DEPTHS` that holds a value of at most 16 bits.

    >>> own_depth(255), own_depth(256), own_depth(3749)
    (8, 10, 12)
    """
    return next(depth for depth in DEPTHS if highest < 2**depth)


def why_not(depth: int, values: np.ndarray, highest: int) -> str | None:
    """Why an image cannot be one of `depth` bits, whatever the others are; None where it may be.

    Args:
        depth: of the other images.
        values: of this one.
        highest: by `usual_highest`.
    """
    above = float((values >= 2**depth).mean())
    if above > LETTERS:
        return f"{_percent(above)} of its pixels lie above {2**depth - 1}"
    own = own_depth(highest)
    if own < depth and highest >= FULL * (2**own - 1):  # a dark image of `depth` bits seldom ends just there
        return f"its values fill {own} bits, up to {highest} of {2**own - 1}"
    if highest < 2 ** (depth - 4):  # one step of `DEPTHS` is a dark image, two are a black one
        return f"nearly all of its pixels lie below {2 ** (depth - 4)} of {2**depth - 1}"
    return None


def clipped(values: np.ndarray, depth: int) -> list[str]:
    """The step that says how many values lie above a depth; none where none do."""
    above = float((values >= 2**depth).mean())
    return [f"values above {2**depth - 1} clipped ({_percent(above)} of the pixels)"] if above else []


def usual_range(values: np.ndarray) -> tuple[float, float]:
    """Smallest and largest value of an image without a known scale, without outliers that are far from all others.

    A letter at 65535 on an image of 12 bits would leave a dozen grey levels. The extremes decide unless one of them
    lies further from the middle 99.8% than those are wide. Pixels that have an extreme value exactly do not count as
    the middle, where they are at most `LETTERS` of the image.

    >>> usual_range(np.arange(1000)), usual_range(np.array([*range(1000), 65535]))
    ((0.0, 999.0), (0.0, 998.0))
    """
    low, high = float(values.min()), float(values.max())
    lettered = [extreme for extreme in (low, high) if (values == extreme).mean() <= LETTERS]
    middle = values[~np.isin(values, lettered)] if lettered else values
    if not np.isfinite([low, high]).all() or not middle.size:
        return low, high
    first, last = (float(each) for each in np.percentile(middle, (100 - PERCENTILE, PERCENTILE), method="lower"))
    span = last - first
    if span > 0:
        low = first if low < first - span else low
        high = last if high > last + span else high
    return low, high


def stretched(values: np.ndarray, counted: np.ndarray) -> tuple[np.ndarray, float, float, list[str]]:
    """Values on no known scale brought to [0, 1] by `usual_range`.

    Args:
        values: any numbers [H, W].
        counted: those that decide the range.

    Returns:
        float32 [H, W], the range's two ends, and the step that says how many values lie outside, if any does.
    """
    low, high = usual_range(counted)
    with np.errstate(invalid="ignore"):  # infinity, which is refused later
        unit = np.clip((values - low) / (high - low if high > low else 1.0), 0, 1).astype(np.float32)
    outside = float(((counted < low) | (counted > high)).mean())
    return unit, low, high, [f"values outside clipped ({_percent(outside)} of the pixels)"] if outside else []


def agreed_depth(depths: Iterable[Any]) -> int | None:
    """The depth of more than half of the deep files; None where there are none or no depth has so many.

    Args:
        depths: what each file alone says; None or NaN for a file that is not deep.

    >>> agreed_depth([12, 12, 10, None]), agreed_depth([12, 10]), agreed_depth([None])
    (12, None, None)
    """
    counts = Counter(int(depth) for depth in depths if not pd.isna(depth))
    if not counts:
        return None
    depth, files = counts.most_common(1)[0]
    return depth if 2 * files > counts.total() else None


def depth_note(facts: pd.DataFrame) -> str | None:
    """What is assumed of a cohort's deep files where they agree; None where they do not, or all are read as 16 bits.

    Args:
        facts: of an `ImageCache`: `depth`, `bits` and `steps`.

    >>> step = "16-bit file read as 12 bits (largest value 9)"
    >>> depth_note(pd.DataFrame({"depth": [12, 12, None], "bits": [16, 16, 8], "steps": [step, step, ""]}))
    '2 16-bit files hold 12-bit values (judged by their values): 0 is black, 4095 is white'
    """
    deep = facts[facts["depth"].notna()]
    if deep["depth"].nunique() != 1 or not {*deep["depth"]} - {16}:
        return None
    depth, steps = int(deep["depth"].iloc[0]), deep["steps"].map(str)
    by_header = steps.str.contains("its sBIT") | (deep["bits"] == depth)
    judged = "headers" if by_header.all() else "headers or values" if by_header.any() else "values"
    stored = {*map(int, deep["bits"])}
    files = f"{stored.pop()}-bit file" if len(stored) == 1 else "image file of more than 8 bits"
    one = len(deep) == 1
    files = f"1 {files} holds" if one else f"{len(deep)} {files.replace('file', 'files', 1)} hold"
    ends = "" if steps.str.contains("inverted").any() else f": 0 is black, {2**depth - 1} is white"
    return f"{files} {depth}-bit values (judged by {'its' if one else 'their'} {judged}){ends}"


def depth_warning(facts: pd.DataFrame) -> str | None:
    """That a cohort's deep files do not agree in their bits; None where they do.

    Args:
        facts: of an `ImageCache`.

    >>> depth_warning(pd.DataFrame({"depth": [12, 12, 16, None]}))
    '3 image files of more than 8 bits are not read alike: 12 bits (2), 16 bits (1)'
    """
    counts = Counter(int(depth) for depth in facts["depth"].dropna())
    if len(counts) < 2:
        return None
    each = ", ".join(f"{depth} bits ({counts[depth]})" for depth in sorted(counts))
    return f"{counts.total()} image files of more than 8 bits are not read alike: {each}"


def _percent(share: float) -> str:
    percent = 100 * share
    return f"{percent:.0f}%" if percent >= 10 else f"{percent:.2g}%"
