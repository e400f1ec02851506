"""Letters on the film: the harmless ones a site always prints, and the planted one that may betray the label."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from cxrlens.data.phantom.facts import Facts
from cxrlens.data.phantom.sites import SITES

PLANTED = "PORTABLE"


@lru_cache(maxsize=256)
def glyphs(text: str, pixels: int, style: str = "plain") -> np.ndarray:
    """The text as float32 [h, w] in [0, 1], letters about `pixels` high; -1 marks what the stamp leaves untouched."""
    font = ImageFont.load_default(size=max(6.0, 1.35 * pixels))
    left, top, right, bottom = (int(v) for v in font.getbbox(text))
    pad = max(1, pixels // 3) if style != "plain" else 1
    width, height = right - left + 2 * pad, bottom - top + 2 * pad
    if style == "round":
        width = height = max(width, height)
    canvas = Image.new("L", (width, height), 255 if style == "box" else 0)
    draw = ImageDraw.Draw(canvas)
    if style == "round":
        draw.ellipse((0, 0, width - 1, height - 1), outline=230)
    x, y = (width - (right - left)) / 2 - left, (height - (bottom - top)) / 2 - top
    draw.text((x, y), text, fill=0 if style == "box" else 255, font=font)
    stamp = np.asarray(canvas, np.float32) / 255
    if style != "box":
        stamp = np.where(stamp < 0.12, np.float32(-1), stamp)
    stamp.setflags(write=False)
    return stamp


def put(pixels: np.ndarray, stamp: np.ndarray, row: int, column: int, ink: float = 1.0) -> np.ndarray:
    """Writes a stamp into `pixels` [height, width] in place; returns where it differs now (bool)."""
    before = pixels.copy()
    row, column = (
        max(0, min(row, pixels.shape[0] - stamp.shape[0])),
        max(0, min(column, pixels.shape[1] - stamp.shape[1])),
    )
    stamp = stamp[: pixels.shape[0], : pixels.shape[1]]
    place = pixels[row : row + stamp.shape[0], column : column + stamp.shape[1]]
    place[...] = np.where(stamp < 0, place, (1 - stamp) * place + stamp * ink)
    return pixels != before


def letter(pixels: np.ndarray, facts: Facts, patient: int, rng: np.random.Generator) -> np.ndarray:
    """Prints what the site prints whatever the label: side, and perhaps view, date or a name. Returns where (bool)."""
    site, (height, width) = SITES[facts.site], pixels.shape
    small, edge = max(5, round(width / 38)), round(0.03 * width)
    side = "L" if rng.random() < 0.75 else "R"
    stamp = glyphs(side, max(6, round(width / rng.uniform(17, 24))), site.letters)
    if rng.random() < 0.35:
        stamp = np.rot90(stamp, int(rng.integers(1, 4)))
    column = width - edge - stamp.shape[1] - int(rng.integers(0, width // 14)) if side == "L" else edge
    row = edge + int(rng.integers(round(0.09 * height), round(0.2 * height)))
    where = put(pixels, stamp, row, column, float(rng.uniform(0.8, 1.0)))
    lines = {"view": facts.view.upper() if facts.view != "PA" else "", "date": facts.date, "name": f"PT {patient:04d}"}
    bottom = rng.random() < 0.5
    for number, text in enumerate(filter(None, (lines[kind] for kind in site.text))):
        stamp = glyphs(text, small)
        row = height - edge - (number + 1) * 2 * small if bottom else edge // 2 + number * 2 * small
        where |= put(pixels, stamp, row, width - edge - stamp.shape[1], 0.92)
    return where


def plant(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Prints the planted marker in the upper corner at the image's left, in place. Returns where (bool)."""
    height, width = pixels.shape
    stamp = glyphs(PLANTED, max(5, round(width / 30)))
    row = round(0.02 * height) + int(rng.integers(0, max(1, height // 40)))
    return put(pixels, stamp, row, round(0.02 * width) + int(rng.integers(0, max(1, width // 40))))
