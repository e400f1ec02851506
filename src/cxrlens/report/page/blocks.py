"""The building blocks of a section: paragraphs, tables, figures, notes, and the images that the page embeds.

The template knows these blocks and nothing about a run.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from contourpy import LineType, contour_generator
from PIL import Image
from torch.nn import functional

from cxrlens.explain.base import enlarge, scaled, shared_scale
from cxrlens.report.report_data import ReportData
from cxrlens.report.tables import Cells

SMOOTH, FINE = 56, 112  # side lengths in pixels: of coarse maps after smoothing, and of fine maps
MAP_BUDGET, IMAGE_BUDGET = 12.5e6, 5.1e6  # pixels on one page; they keep it below 15 MB
SIDE, OUTLINE_SIDE = 224, 128
LARGE = 400_000  # bytes; a larger PNG holds photographs, not lines


def picture_side(pixels: np.ndarray) -> int:
    """The side length in pixels at which images [n, size, size] are shown."""
    return int(min(pixels.shape[1], SIDE, (IMAGE_BUDGET / len(pixels)) ** 0.5))


def map_side(maps: int) -> int:
    """The largest side length in pixels that a page can afford for a number of maps.

    >>> map_side(960), map_side(4000)
    (112, 55)
    """
    return int(min(FINE, (MAP_BUDGET / max(1, maps)) ** 0.5))


def jpeg(pixels: np.ndarray, side: int) -> str:
    """An image [h, w] as base64 of a JPEG with a given side length in pixels."""
    image = Image.fromarray(pixels)
    if image.size != (side, side):
        image = image.resize((side, side), Image.Resampling.LANCZOS)
    return _base64(image, format="JPEG", quality=80)


def picture_uri(png: bytes) -> str:
    """A figure as a data URI: the PNG itself, or a JPEG if the PNG is large. `figures/` keeps the full quality."""
    if len(png) <= LARGE:
        return f"data:image/png;base64,{base64.b64encode(png).decode()}"
    with Image.open(io.BytesIO(png)) as opened:
        return f"data:image/jpeg;base64,{_base64(opened.convert('RGB'), format='JPEG', quality=88)}"


def map_images(raw: np.ndarray, display: str, side: int, margin: tuple[int, int] = (0, 0)) -> list[str]:
    """Maps as base64 of 8-bit PNGs. A pixel is the share of the scale that all maps of one model and method share.

    Args:
        raw: signed maps, [n, h, w].
        display: "positive", "magnitude" or "signed"; a value of 0 becomes 0, 0 or 128.
        side: side length of fine maps in pixels; coarse maps are smoothed to at most `SMOOTH` pixels.
        margin: cells (rows, columns) that are missing on each side of the maps.
    """
    maps = torch.from_numpy(np.ascontiguousarray(raw, dtype=np.float32))
    evidence = maps if display == "signed" else maps.abs() if display == "magnitude" else maps.clamp(min=0)
    cells = max(raw.shape[1] + 2 * margin[0], raw.shape[2] + 2 * margin[1])
    if cells <= SMOOTH // 2:
        size = min(SMOOTH, side)
        evidence = enlarge(evidence, (size, size), "bicubic", margin)
    else:
        size = min(cells, side)
        whole = enlarge(evidence, (cells, cells), "bilinear", margin)
        evidence = functional.adaptive_avg_pool2d(whole[:, None], size)[:, 0]
    evidence = evidence if display == "signed" else evidence.clamp(min=0)
    shares = scaled(evidence, shared_scale(evidence)).numpy()
    # An overlay shows fewer than 64 levels of brightness, and 64 levels need half the bytes of 256.
    steps = np.rint(shares * 31) * 4 + 128 if display == "signed" else np.rint(shares * 63) * 4
    return [_base64(Image.fromarray(level), format="PNG", compress_level=6) for level in steps.astype(np.uint8)]


def outline(mask: np.ndarray) -> str:
    """The outline of a mask [h, w] as an SVG path in a square of side `OUTLINE_SIDE`; "" for an empty mask."""
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
    """JSON that is safe inside a script element: no text in it can end the element or begin a comment."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _base64(image: Image.Image, **options: Any) -> str:
    buffer = io.BytesIO()
    image.save(buffer, **options)
    return base64.b64encode(buffer.getvalue()).decode()


LONG = 14  # rows; a longer table starts folded


@dataclass(frozen=True)
class Words:
    """Paragraphs; `look` is "plain", "soft", "warning" or "list"."""

    sentences: Sequence[str]
    look: str = "plain"
    kind: ClassVar[str] = "words"


@dataclass(frozen=True)
class Answers:
    """Rows of a short title, its text, and a look ("main", "doubt" or "")."""

    rows: Sequence[tuple[str, str, str]]
    kind: ClassVar[str] = "answers"


@dataclass(frozen=True)
class Table:
    """A table with its caption. A `folded` table opens on a click."""

    caption: str
    cells: Cells
    folded: bool = False
    kind: ClassVar[str] = "table"

    @property
    def alignments(self) -> list[str]:
        """The style of each column: "number" (aligned right), "text" (aligned left) or "long" text."""
        columns = list(zip(*self.cells[1], strict=True)) or [()] * len(self.cells[0])
        return ["text", *(_alignment(column) for column in columns[1:])]


@dataclass(frozen=True)
class Figure:
    """A picture: its data URI, the text for readers who cannot see it, and the caption."""

    source: str
    alt: str
    caption: str
    kind: ClassVar[str] = "figure"


@dataclass(frozen=True)
class Pair:
    """Figures side by side on a wide screen."""

    figures: Sequence[Figure]
    kind: ClassVar[str] = "pair"


@dataclass(frozen=True)
class Note:
    """One part of the audit's summary, with `name`, `auc`, `symbol`, `headline`, `flags`, `points`, `next`."""

    part: Mapping[str, Any]
    kind: ClassVar[str] = "note"


@dataclass(frozen=True)
class Verbatim:
    """Preformatted text, folded."""

    title: str
    text: str
    kind: ClassVar[str] = "verbatim"


@dataclass(frozen=True)
class Island:
    """The data of the gallery as JSON that is safe inside a page, and the names for its selectors."""

    data: str
    models: Sequence[str]
    methods: Sequence[tuple[str, str]]
    lungs: bool
    kind: ClassVar[str] = "island"


Block = Words | Answers | Table | Figure | Pair | Note | Verbatim | Island


@dataclass(frozen=True)
class Section:
    """One section of the page: its HTML id, title and blocks."""

    id: str
    title: str
    blocks: Sequence[Block]


def _alignment(column: Sequence[str]) -> str:
    if all(cell[:1] in "0123456789+-−–<" for cell in column):  # true for "" as well
        return "number" if any(column) else "text"
    return "long" if max(map(len, column)) > 42 else "text"


def table(caption: str, cells: Cells, folded: bool | None = None) -> Table:
    """A table; by default it is folded if it is long."""
    return Table(caption, cells, len(cells[1]) > LONG if folded is None else folded)


def figure(report: ReportData, name: str, alt: str, caption: str) -> list[Figure]:
    """A list with one figure, or an empty list if the run has no such figure.

    Args:
        report: the run's files.
        name: name of the figure's file in `figures/`, without suffix.
        alt: text for readers who cannot see the figure, with its key numbers.
        caption: text below the figure.
    """
    if name not in report.pictures:
        return []
    return [Figure(picture_uri(report.pictures[name]), alt, caption)]
