"""What a section is made of: paragraphs, tables, figures, notes. The template knows these and nothing of a run."""

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

# Images, maps and outlines as a page can hold them: JPEG, 8-bit PNG, a path; and JSON that data cannot leave.

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


LONG = 14  # rows, above which a table starts folded


@dataclass(frozen=True)
class Words:
    """Paragraphs; `look` is "plain", "soft", "warning" or "list"."""

    sentences: Sequence[str]
    look: str = "plain"
    kind: ClassVar[str] = "words"


@dataclass(frozen=True)
class Answers:
    """Short titles with a sentence each, and a look: "main", "doubt" or "": the first thing that is read."""

    rows: Sequence[tuple[str, str, str]]
    kind: ClassVar[str] = "answers"


@dataclass(frozen=True)
class Table:
    """A table with its caption; one that is `folded` opens on a click."""

    caption: str
    cells: Cells
    folded: bool = False
    kind: ClassVar[str] = "table"

    @property
    def looks(self) -> list[str]:
        """For each column "number", "text", or "long" text; numbers stand right, text left."""
        columns = list(zip(*self.cells[1], strict=True)) or [()] * len(self.cells[0])
        return ["text", *(_look(column) for column in columns[1:])]


@dataclass(frozen=True)
class Figure:
    """A picture: its data URI, what a reader who can't see it is told, and what is written below."""

    source: str
    alt: str
    caption: str
    kind: ClassVar[str] = "figure"


@dataclass(frozen=True)
class Pair:
    """Figures beside each other, where there is room."""

    figures: Sequence[Figure]
    kind: ClassVar[str] = "pair"


@dataclass(frozen=True)
class Note:
    """One of the audit's parts: `name`, `auc`, `headline`, `flags`, `points`, `next`."""

    told: Mapping[str, Any]
    kind: ClassVar[str] = "note"


@dataclass(frozen=True)
class Verbatim:
    """Text as it is, folded."""

    title: str
    text: str
    kind: ClassVar[str] = "verbatim"


@dataclass(frozen=True)
class Island:
    """The gallery's data as JSON that is safe inside a page, and the names for its selectors."""

    data: str
    models: Sequence[str]
    methods: Sequence[tuple[str, str]]
    lungs: bool
    kind: ClassVar[str] = "island"


Block = Words | Answers | Table | Figure | Pair | Note | Verbatim | Island


@dataclass(frozen=True)
class Section:
    """One section of the page."""

    id: str
    title: str
    blocks: Sequence[Block]


def _look(column: Sequence[str]) -> str:
    if all(cell[:1] in "0123456789+-−–<" for cell in column):  # "" is, too
        return "number" if any(column) else "text"
    return "long" if max(map(len, column)) > 42 else "text"


def table(caption: str, cells: Cells, folded: bool | None = None) -> Table:
    """A table, folded where it is long unless said otherwise."""
    return Table(caption, cells, len(cells[1]) > LONG if folded is None else folded)


def figure(reading: ReportData, name: str, alt: str, caption: str) -> list[Figure]:
    """The figure of a name, or nothing where the run has none.

    Args:
        reading: the run's files.
        name: of the figure's file.
        alt: what it shows, with its numbers where it has few.
        caption: what is written below.
    """
    if name not in reading.pictures:
        return []
    return [Figure(picture_uri(reading.pictures[name]), alt, caption)]
