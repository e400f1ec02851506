"""The bit depth of an image's values: detectors give 10 to 14 bits, files hold 16 or 32.

A depth that the file states (BitsPerSample, sBIT) is used. Otherwise the values decide: the depth is the smallest of
`DEPTHS` that holds their 99.9th percentile. Where most deep files of a cohort agree, their depth is used for the others
too, because a dark image of 12 bits looks like one of 10. An image that fills a smaller depth, such as the same picture
saved in 10 bits, keeps that depth.
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
"""Start of the step that states the depth of a deep file."""
LETTERS = 0.05
"""Largest share of the pixels that burnt-in letters may cover; so few pixels are ignored."""

FULL = 0.85
"""Share of a smaller depth's range that an image must fill to be read at that depth."""


def robust_maximum(values: np.ndarray, top: int) -> int:
    """The 99.9th percentile of the values, without pixels at the highest value that the file can hold.

    Letters are burnt in at that value and may cover more than 0.1% of an image. Where more than `LETTERS` of the
    pixels have that value, they count.

    Args:
        values: integers of any shape.
        top: highest value that the file can hold.

    >>> robust_maximum(np.array([300] * 99 + [65535]), 65535)
    300
    """
    below = values[values < top]
    measured = below if 0 < values.size - below.size <= LETTERS * values.size else values
    return int(np.percentile(measured, PERCENTILE, method="lower"))


def smallest_depth(highest: int) -> int:
    """The smallest of `DEPTHS` that holds a value below 2**16.

    >>> smallest_depth(255), smallest_depth(256), smallest_depth(3749)
    (8, 10, 12)
    """
    return next(depth for depth in DEPTHS if highest < 2**depth)


def reason_against(depth: int, values: np.ndarray, highest: int) -> str | None:
    """Why an image cannot be read as `depth` bits, although the other images are; None where it can.

    Args:
        depth: bits of most of the cohort's deep files.
        values: integer values of this image.
        highest: highest value of this image, from `robust_maximum`.
    """
    above = float((values >= 2**depth).mean())
    if above > LETTERS:
        return f"{_percent(above)} of its pixels lie above {2**depth - 1}"
    own = smallest_depth(highest)
    if own < depth and highest >= FULL * (2**own - 1):  # a dark image of `depth` bits seldom ends just there
        return f"its values fill {own} bits, up to {highest} of {2**own - 1}"
    if highest < 2 ** (depth - 4):  # one step of `DEPTHS` is a dark image, two are a black one
        return f"nearly all of its pixels lie below {2 ** (depth - 4)} of {2**depth - 1}"
    return None


def clipping_step(values: np.ndarray, depth: int) -> list[str]:
    """The step that states the share of values above the range of a depth; empty where there are none."""
    above = float((values >= 2**depth).mean())
    return [f"values above {2**depth - 1} clipped ({_percent(above)} of the pixels)"] if above else []


def robust_range(values: np.ndarray) -> tuple[float, float]:
    """Smallest and largest value of an image without a known scale, outliers ignored.

    A letter at 65535 on an image of 12 bits would leave a dozen grey levels. The extremes are used unless one of them
    is further from the middle 99.8% of the values than that middle is wide. Pixels exactly at an extreme are not part
    of the middle where they are at most `LETTERS` of the image.

    >>> robust_range(np.arange(1000)), robust_range(np.array([*range(1000), 65535]))
    ((0.0, 999.0), (0.0, 998.0))
    """
    low, high = float(values.min()), float(values.max())
    lettered = [extreme for extreme in (low, high) if (values == extreme).mean() <= LETTERS]
    middle = values[~np.isin(values, lettered)] if lettered else values
    if not np.isfinite([low, high]).all() or not middle.size:
        return low, high
    first, last = map(float, np.percentile(middle, (100 - PERCENTILE, PERCENTILE), method="lower"))
    span = last - first
    if span > 0:
        low = first if low < first - span else low
        high = last if high > last + span else high
    return low, high


def stretch(values: np.ndarray, measured: np.ndarray) -> tuple[np.ndarray, float, float, list[str]]:
    """Scales values without a known scale to [0, 1] by `robust_range`.

    Args:
        values: any numbers, [H, W].
        measured: values that decide the range, such as `values` without padding.

    Returns:
        float32 [H, W], the lower and the upper end of the range, and the step that states the share of values outside
        the range (empty where there are none).
    """
    low, high = robust_range(measured)
    with np.errstate(invalid="ignore"):  # infinity, which is refused later
        unit = np.clip((values - low) / (high - low if high > low else 1.0), 0, 1).astype(np.float32)
    outside = float(((measured < low) | (measured > high)).mean())
    return unit, low, high, [f"values outside clipped ({_percent(outside)} of the pixels)"] if outside else []


def agreed_depth(depths: Iterable[Any]) -> int | None:
    """The depth of more than half of the deep files; None where no depth has such a majority.

    Args:
        depths: depth of each file by its own header or values; None or NaN for a file that is not deep.

    >>> agreed_depth([12, 12, 10, None]), agreed_depth([12, 10]), agreed_depth([None])
    (12, None, None)
    """
    counts = Counter(int(depth) for depth in depths if not pd.isna(depth))
    if not counts:
        return None
    depth, files = counts.most_common(1)[0]
    return depth if 2 * files > counts.total() else None


def depth_note(facts: pd.DataFrame) -> str | None:
    """The sentence on the assumed depth of deep files that agree; None where they differ or all have 16 bits.

    Args:
        facts: facts of an `ImageCache`, with `depth`, `bits` and `steps`.

    >>> step = "16-bit file read as 12 bits (largest value 9)"
    >>> depth_note(pd.DataFrame({"depth": [12, 12, None], "bits": [16, 16, 8], "steps": [step, step, ""]}))
    '2 16-bit files hold 12-bit values (judged by their values): 0 is black, 4095 is white'
    """
    deep = facts[facts["depth"].notna()]
    if deep["depth"].nunique() != 1 or not {*deep["depth"]} - {16}:
        return None
    depth, steps = int(deep["depth"].iloc[0]), deep["steps"].map(str)
    by_header = steps.str.contains("its sBIT") | (deep["bits"] == depth)
    evidence = "headers" if by_header.all() else "headers or values" if by_header.any() else "values"
    stored = {*map(int, deep["bits"])}
    files = f"{stored.pop()}-bit file" if len(stored) == 1 else "image file of more than 8 bits"
    single = len(deep) == 1
    files = f"1 {files} holds" if single else f"{len(deep)} {files.replace('file', 'files', 1)} hold"
    ends = "" if steps.str.contains("inverted").any() else f": 0 is black, {2**depth - 1} is white"
    return f"{files} {depth}-bit values (judged by {'its' if single else 'their'} {evidence}){ends}"


def depth_warning(facts: pd.DataFrame) -> str | None:
    """The sentence on deep files that are read at different depths; None where all agree.

    Args:
        facts: facts of an `ImageCache`, with `depth`.

    >>> depth_warning(pd.DataFrame({"depth": [12, 12, 16, None]}))
    '3 image files of more than 8 bits are not read alike: 12 bits (2), 16 bits (1)'
    """
    counts = Counter(int(depth) for depth in facts["depth"].dropna())
    if len(counts) < 2:
        return None
    by_depth = ", ".join(f"{depth} bits ({counts[depth]})" for depth in sorted(counts))
    return f"{counts.total()} image files of more than 8 bits are not read alike: {by_depth}"


def _percent(share: float) -> str:
    percent = 100 * share
    return f"{percent:.0f}%" if percent >= 10 else f"{percent:.2g}%"
