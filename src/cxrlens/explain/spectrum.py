"""What kind of picture it is, in numbers: how fine (its spatial frequencies) and how colourful."""

from __future__ import annotations

import numpy as np

RINGS = 20
EVEN = 1e-6  # standard deviation below which a picture is flat: a rounding


def radial_spectrum(pictures: np.ndarray, rings: int = RINGS) -> tuple[np.ndarray, np.ndarray]:
    """Share of the grey picture's power in each ring of spatial frequency.

    Args:
        pictures: float [n, 3, h, h] in [0, 1].
        rings: of equal width, from 0 to 0.5 cycles a pixel; the corners beyond are left out.

    Returns:
        The rings' middles in cycles a pixel [rings], and shares [n, rings] that sum to 1 (zeros of a flat picture).
    """
    grey = pictures.astype(np.float64).mean(1)
    grey = grey - grey.mean((1, 2), keepdims=True)
    side = grey.shape[-1]
    grey[grey.std((1, 2)) < EVEN] = 0
    rim = np.hanning(side)[:, None] * np.hanning(side)  # a picture's two rims don't meet
    power = np.abs(np.fft.fft2(grey * rim)) ** 2
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side))
    ring = np.floor(frequency / 0.5 * rings).astype(int)
    ring[0, 0] = rings  # the mean is no frequency
    summed = np.stack([power[:, ring == each].sum(1) for each in range(rings)], 1)
    total = summed.sum(1, keepdims=True)
    shares = np.divide(summed, total, out=np.zeros_like(summed), where=total > 0)
    return (np.arange(rings) + 0.5) / rings / 2, shares


def mean_frequency(pictures: np.ndarray) -> np.ndarray:
    """Centre of the spectrum in cycles a pixel, [n]: 0.02 is a wave 50 pixels long, 0.5 the finest there is."""
    middles, shares = radial_spectrum(pictures)
    return shares @ middles


def colour_variance(pictures: np.ndarray) -> np.ndarray:
    """Share of the pixels' variance that is not grey, [n] in [0, 1]; 0 of a grey picture or an even tint.

    >>> bars = np.zeros((1, 3, 2, 2))
    >>> bars[:, :, 0] = 1.0
    >>> red = bars * np.array([1.0, 0.0, 0.0])[:, None, None]
    >>> colour_variance(np.concatenate([bars, red])).round(3).tolist()
    [0.0, 0.667]
    """
    values = pictures.astype(np.float64)
    whole = values.var((2, 3)).mean(1)
    grey = values.mean(1).var((1, 2))
    return np.divide(whole - grey, whole, out=np.zeros_like(whole), where=whole > EVEN**2).clip(0, 1)
