"""Images, maps and outlines as a page can hold them: JPEG, 8-bit PNG, a path; and JSON that data cannot leave."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import numpy as np
import torch
from contourpy import LineType, contour_generator
from PIL import Image
from torch.nn import functional

from cxrlens.explain.display import enlarge, scaled, shared_scale

SMOOTH, FINE = 56, 112  # sides of coarse maps, made smooth, and of fine ones, in pixels
MAP_BUDGET, IMAGE_BUDGET = 12.5e6, 5.1e6  # pixels on one page, which keep it below 15 MB
SIDE, OUTLINE_SIDE = 224, 128
LARGE = 400_000  # bytes of a PNG, above which it holds photographs and not lines


def picture_side(pixels: np.ndarray) -> int:
    """At which size images [n, size, size] are shown."""
    return int(min(pixels.shape[1], SIDE, (IMAGE_BUDGET / len(pixels)) ** 0.5))


def map_side(maps: int) -> int:
    """The largest side of so many maps.

    >>> map_side(960), map_side(4000)
    (112, 55)
    """
    return int(min(FINE, (MAP_BUDGET / max(1, maps)) ** 0.5))


def jpeg(pixels: np.ndarray, side: int) -> str:
    """Base64 of an image [h, w] at a size."""
    image = Image.fromarray(pixels)
    if image.size != (side, side):
        image = image.resize((side, side), Image.Resampling.LANCZOS)
    return _base64(image, format="JPEG", quality=80)


def picture_uri(png: bytes) -> str:
    """A figure as a data URI: its PNG as it is, or a JPEG where that is large; `figures/` keeps it in full."""
    if len(png) <= LARGE:
        return f"data:image/png;base64,{base64.b64encode(png).decode()}"
    with Image.open(io.BytesIO(png)) as opened:
        return f"data:image/jpeg;base64,{_base64(opened.convert('RGB'), format='JPEG', quality=88)}"


def map_images(raw: np.ndarray, shown: str, side: int, margin: tuple[int, int] = (0, 0)) -> list[str]:
    """Base64 of a PNG for each map: shares of the scale that all maps of a model and method have in common.

    Args:
        raw: signed maps, [n, h, w].
        shown: "positive", "magnitude" or "signed"; of these 0 is 0, 0 and 128.
        side: of the fine maps; coarse ones are made smooth, at most at `SMOOTH`.
        margin: cells (rows, columns) that the maps lack on each side.
    """
    maps = torch.from_numpy(np.ascontiguousarray(raw, dtype=np.float32))
    evidence = maps if shown == "signed" else maps.abs() if shown == "magnitude" else maps.clamp(min=0)
    cells = max(raw.shape[1] + 2 * margin[0], raw.shape[2] + 2 * margin[1])
    if cells <= SMOOTH // 2:
        size = min(SMOOTH, side)
        evidence = enlarge(evidence, (size, size), "bicubic", margin)
    else:
        size = min(cells, side)
        whole = enlarge(evidence, (cells, cells), "bilinear", margin)
        evidence = functional.adaptive_avg_pool2d(whole[:, None], size)[:, 0]
    evidence = evidence if shown == "signed" else evidence.clamp(min=0)
    shares = scaled(evidence, shared_scale(evidence)).numpy()
    # 64 steps of brightness are more than an overlay shows, and half the bytes of 256.
    steps = np.rint(shares * 31) * 4 + 128 if shown == "signed" else np.rint(shares * 63) * 4
    return [_base64(Image.fromarray(each), format="PNG", compress_level=6) for each in steps.astype(np.uint8)]


def outline(mask: np.ndarray) -> str:
    """The edge of a mask [h, w] as an SVG path in a square of `OUTLINE_SIDE`; "" where there is none."""
    if not mask.any():
        return ""
    image = Image.fromarray(np.pad(mask, 1).astype(np.uint8) * 255).resize((OUTLINE_SIDE, OUTLINE_SIDE))
    lines = contour_generator(z=np.pad(np.asarray(image, dtype=float), 1), line_type=LineType.Separate).lines(127.5)
    paths = []
    for line in lines:
        points = np.rint(np.asarray(line) - 1).clip(0, OUTLINE_SIDE).astype(int)
        points = points[np.r_[True, (np.diff(points, axis=0) != 0).any(1)]]
        if len(points) > 3:
            paths.append("M" + "L".join(f"{x} {y}" for x, y in points[:-1]) + "Z")
    return "".join(paths)


def as_island(data: Any) -> str:
    """JSON for inside a script element: no text in it can end the element or begin a comment."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _base64(image: Image.Image, **options: Any) -> str:
    buffer = io.BytesIO()
    image.save(buffer, **options)
    return base64.b64encode(buffer.getvalue()).decode()
