"""Turns attenuation into grey values: Beer-Lambert, scatter, quantum noise, detector blur, and the site's processing.

Everything that depends on the whole image (scatter, window, tone) is measured on the attenuation without the finding.
So a finding changes only the pixels where it lies.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from cxrlens.data.phantom.grid import upsample

# The devices: one row per site, with its format, tone curve, noise and lettering.


@dataclass(frozen=True)
class Site:
    """The look of a hospital's images.

    Attributes:
        name: name of the site in tables.
        aspect: height of an image relative to its width.
        low: share of the body's pixels below black, in [0, 1].
        high: share of the body's pixels below white, in [0, 1].
        gamma: gamma of the tone curve; below 1 is brighter.
        toe: weight of an S-shaped tone curve, in [0, 1].
        flatten: share of the large-scale brightness that is removed.
        sharpen: gain of fine detail.
        photons: mean count behind air, for a pixel of a 256-pixel image; fewer photons give more noise.
        veil: grey added to black, as in a photographed film.
        letters: style of the side marker: "plain", "box" or "round".
        text: lines printed in a corner: any of "view", "date", "name".
        border: probability of a visible collimator edge.
    """

    name: str
    aspect: float
    low: float
    high: float
    gamma: float
    toe: float
    flatten: float
    sharpen: float
    photons: float
    veil: float
    letters: str
    text: tuple[str, ...]
    border: float


SITES = (
    Site("North", 1.00, 0.01, 0.995, 1.00, 0.35, 0.25, 0.6, 3e5, 0.00, "plain", ("view",), 0.25),
    Site("Harbour", 0.86, 0.02, 0.985, 0.85, 0.15, 0.40, 0.9, 1.6e5, 0.02, "box", ("view", "date"), 0.45),
    Site("Valley", 1.18, 0.01, 0.999, 1.25, 0.20, 0.10, 0.3, 4e5, 0.00, "round", (), 0.15),
    Site("Mill", 1.00, 0.03, 0.975, 0.80, 0.55, 0.45, 1.1, 2.0e5, 0.00, "plain", ("name", "date"), 0.30),
    Site("Abbey", 0.95, 0.00, 0.999, 1.05, 0.00, 0.05, 0.1, 0.8e5, 0.09, "box", (), 0.60),
    Site("Lake", 1.10, 0.02, 0.99, 0.95, 0.45, 0.35, 0.8, 2.5e5, 0.01, "round", ("view",), 0.20),
)


@dataclass(frozen=True)
class Exposure:
    """The exposure of an image.

    Attributes:
        dose: photons relative to the site's usual number.
        scatter: scattered radiation relative to the primary beam.
        low: shift of the black point, relative to the width of the site's window.
        high: shift of the white point, relative to the width of the site's window.
        gamma: factor on the site's gamma.
    """

    dose: float
    scatter: float
    low: float
    high: float
    gamma: float


def draw_exposure(rng: np.random.Generator, view: str) -> Exposure:
    """Draws the exposure of an image; bedside views have more scatter and vary more.

    Args:
        rng: random generator of the exposure.
        view: "PA", "AP" or "AP Supine".
    """
    bed = view != "PA"
    return Exposure(
        dose=float(np.exp(rng.normal(-0.4 if bed else 0, 0.35))),
        scatter=float(np.clip(rng.normal(0.26 if bed else 0.12, 0.05), 0.02, 0.5)),
        low=float(rng.normal(0, 0.05)),
        high=float(rng.normal(0, 0.06 if bed else 0.04)),
        gamma=float(np.exp(rng.normal(0, 0.14))),
    )


def develop(
    healthy: np.ndarray, ill: np.ndarray, scale: float, site: Site, exposure: Exposure, rng: np.random.Generator
) -> np.ndarray:
    """Turns attenuation into grey values.

    Args:
        healthy: attenuation without the finding in nepers, float32 [height, width].
        ill: attenuation with the finding in nepers, float32 [height, width].
        scale: pixels per cm.
        site: site of the detector.
        exposure: exposure of the image.
        rng: random generator of the noise.

    Returns:
        float32 [height, width], about 0 to 1; bright where little radiation passed.
    """
    beam = np.exp(-healthy)
    scattered = exposure.scatter * _broad(beam, 2.2 * scale) + np.float32(0.004)
    window = -np.log(beam + scattered)
    seen = np.exp(-ill) + scattered

    white = rng.standard_normal((2, *healthy.shape), dtype=np.float32)
    noise = 0.7 * white[0] + 1.5 * ndimage.gaussian_filter(white[1], 0.8)
    count = site.photons * exposure.dose * (6.5 / scale) ** 2
    density = -np.log(seen) + noise / np.sqrt(count * seen)
    density = ndimage.gaussian_filter(density, max(0.35, 0.04 * scale))

    body = window[healthy > 0.6]
    low, high = (float(edge) for edge in np.quantile(body[::7], [site.low, site.high]))
    span = high - low
    low, high = low + exposure.low * span - 0.08 * span, high + exposure.high * span
    base = _broad(np.clip((window - low) / (high - low), -0.2, 1.1), 2.6 * scale)
    grey = (density - low) / (high - low)
    grey = grey - site.flatten * (base - 0.55) * np.clip(grey * 3, 0, 1)
    grey = grey + site.sharpen * (grey - ndimage.gaussian_filter(grey, 0.22 * scale))
    grey = np.clip(grey, 0, None)
    grey = np.where(grey > 0.8, 0.8 + 0.2 * np.tanh((grey - 0.8) / 0.2), grey)  # the shoulder of the film
    bent = grey * grey * (3 - 2 * grey)
    grey = (1 - site.toe) * grey + site.toe * bent
    grey = np.power(np.maximum(grey, 0), site.gamma * exposure.gamma)
    return (site.veil + (1 - site.veil) * grey).astype(np.float32)


def _broad(field: np.ndarray, sigma: float) -> np.ndarray:
    """A wide Gaussian blur, computed at an eighth of the resolution."""
    height, width = field.shape
    rows, columns = -(-height // 8), -(-width // 8)
    padded = np.pad(field, ((0, rows * 8 - height), (0, columns * 8 - width)), mode="edge")
    small = padded.reshape(rows, 8, columns, 8).mean((1, 3), dtype=np.float32)
    small = ndimage.gaussian_filter(small, sigma / 8, mode="nearest")
    return upsample(np.pad(small, 1, mode="edge"), (height, width))
