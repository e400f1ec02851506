"""Letters and devices on the image: letters of the site, the planted marker, and electrodes, lines and tubes."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from cxrlens.data.phantom.body import Body, Facts
from cxrlens.data.phantom.exposure import SITES
from cxrlens.data.phantom.grid import Grid
from cxrlens.data.phantom.skeleton import curve, splat

PLANTED = "PORTABLE"


@lru_cache(maxsize=256)
def glyphs(text: str, pixels: int, style: str = "plain") -> np.ndarray:
    """Renders a text.

    Args:
        text: text to render.
        pixels: height of the letters in pixels, about.
        style: "plain", "box" or "round".

    Returns:
        Grey values as float32 [h, w] in [0, 1]; -1 where the stamp is transparent.
    """
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
    """Prints a stamp into an image in place.

    Args:
        pixels: image, [height, width].
        stamp: rendered text, from `glyphs`.
        row: row of the upper left corner, moved into the image if needed.
        column: column of the upper left corner, moved into the image if needed.
        ink: brightness of the letters, in [0, 1].

    Returns:
        bool [height, width], True for changed pixels.
    """
    before = pixels.copy()
    row, column = (
        max(0, min(row, pixels.shape[0] - stamp.shape[0])),
        max(0, min(column, pixels.shape[1] - stamp.shape[1])),
    )
    stamp = stamp[: pixels.shape[0], : pixels.shape[1]]
    region = pixels[row : row + stamp.shape[0], column : column + stamp.shape[1]]
    region[...] = np.where(stamp < 0, region, (1 - stamp) * region + stamp * ink)
    return pixels != before


def letter(pixels: np.ndarray, facts: Facts, patient: int, rng: np.random.Generator) -> np.ndarray:
    """Prints the letters of the site, in place: side marker, and perhaps view, date or name. The label has no effect.

    Args:
        pixels: image, [height, width].
        facts: facts of the image.
        patient: number of the patient.
        rng: random generator of the letters.

    Returns:
        bool [height, width], True for changed pixels.
    """
    site, (height, width) = SITES[facts.site], pixels.shape
    small, edge = max(5, round(width / 38)), round(0.03 * width)
    side = "L" if rng.random() < 0.75 else "R"
    stamp = glyphs(side, max(6, round(width / rng.uniform(17, 24))), site.letters)
    if rng.random() < 0.35:
        stamp = np.rot90(stamp, int(rng.integers(1, 4)))
    column = width - edge - stamp.shape[1] - int(rng.integers(0, width // 14)) if side == "L" else edge
    row = edge + int(rng.integers(round(0.09 * height), round(0.2 * height)))
    changed = put(pixels, stamp, row, column, float(rng.uniform(0.8, 1.0)))
    lines = {"view": facts.view.upper() if facts.view != "PA" else "", "date": facts.date, "name": f"PT {patient:04d}"}
    bottom = rng.random() < 0.5
    for number, text in enumerate(filter(None, (lines[kind] for kind in site.text))):
        stamp = glyphs(text, small)
        row = height - edge - (number + 1) * 2 * small if bottom else edge // 2 + number * 2 * small
        changed |= put(pixels, stamp, row, width - edge - stamp.shape[1], 0.92)
    return changed


def plant(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Prints the planted marker in the upper left corner of an image, in place.

    Args:
        pixels: image, [height, width].
        rng: random generator of the position.

    Returns:
        bool [height, width], True for changed pixels.
    """
    height, width = pixels.shape
    stamp = glyphs(PLANTED, max(5, round(width / 30)))
    row = round(0.02 * height) + int(rng.integers(0, max(1, height // 40)))
    return put(pixels, stamp, row, round(0.02 * width) + int(rng.integers(0, max(1, width // 40))))


# Devices on or in a patient in bed: electrodes with wires, a tube, a line. They do not depend on the label.


def devices(grid: Grid, body: Body, view: str, rng: np.random.Generator) -> np.ndarray | None:
    """Attenuation by devices, float32 [height, width] in nepers; None where there are none.

    Args:
        grid: image plane.
        body: build of the patient.
        view: "PA", "AP" or "AP Supine"; devices are most frequent in supine views.
        rng: random generator of the devices.
    """
    share = {"PA": 0.04, "AP": 0.55, "AP Supine": 0.8}[view]
    leads, line, tube = rng.random(3) < (share, 0.35 * share, 0.3 * share)
    lines: list[tuple[np.ndarray, float, float]] = []
    discs: list[tuple[float, float]] = []
    if leads:
        for x, y in ((-10, 2.5), (10, 2.0), (rng.choice([-11, 11]), 18.5))[: rng.integers(2, 4)]:
            x, y = x + rng.normal(0, 1.2), y + rng.normal(0, 1.2)
            discs.append((x, y))
            knots = [
                (x, y),
                *((x * s + rng.normal(0, 2), y + d + rng.normal(0, 1.5)) for s, d in ((0.9, 5), (0.75, 12), (0.9, 40))),
            ]
            lines.append((curve([(a, b, 9.0) for a, b in knots], 900), 0.10, 0.32))
    if line:
        side = rng.choice([-1, 1])
        knots = [(side * 13, 1.5), (side * 8, 0.5), (side * 3, 2.5), (-1.8, 5.5), (-2.2, 11 + rng.normal(0, 1))]
        lines.append((curve([(a, b, 2.0) for a, b in knots], 900), 0.13, 0.16))
    if tube:
        tip = 5.5 + rng.normal(0, 1)
        for offset, opaque in ((-0.38, 0.06), (0.38, 0.06), (0.25, 0.20)):
            knots = [(offset + rng.normal(0, 0.1), -14), (offset, -5), (offset - 0.2, 0), (offset - 0.3, tip)]
            lines.append((curve([(a, b, 1.0) for a, b in knots], 900), 0.07, opaque))
    if not lines:
        return None
    points, masses = [], []
    for path, radius, opaque in lines:
        length = np.linalg.norm(np.gradient(path, axis=0), axis=1)
        for offset in (-0.6, 0.0, 0.6):
            points.append(path + np.array([offset * radius, offset * radius, 0]))
            masses.append(length * opaque * 2 * radius / 3)
    total = splat(grid, np.concatenate(points), np.concatenate(masses))
    for x, y in discs:
        away = np.sqrt((grid.x - x) ** 2 + (grid.y - y) ** 2)
        total += 0.18 * (away < 0.9) + 0.6 * (away < 0.38)
    return ndimage.gaussian_filter(total, 0.05 * grid.scale).astype(np.float32)
