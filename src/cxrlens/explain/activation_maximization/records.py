"""What activation maximization found, and whether a unit was moved at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cxrlens.explain.activation_maximization.am_options import MaximizeOptions
from cxrlens.explain.activation_maximization.objectives import Objective, measuring, value_of
from cxrlens.models.classifier import Classifier
from cxrlens.progress import SILENT, Progress


@dataclass(frozen=True)
class Activation:
    """Pictures, one for each objective and seed, the seeds of one objective beside each other.

    Attributes:
        objectives: what each picture is of, n of them.
        seeds: of each picture.
        pictures: float32 [n, 3, h, w] in [0, 1], as they are shown.
        raw: float32 [n, ...], what was optimised: pixels [n, c, h, w] in their own range, or spectra
            [n, c, h, w // 2 + 1, 2].
        curve: float32 [n, iterations], the objective of what the network saw at each iteration, before its step; NaN
            where an interrupt came first.
        loss: float32 [n, iterations], what was minimised: the regularizers less the objective.
        shown: float32 [n], the objective of `pictures` through the model's own `(x - mean) / std`.
        snapshots: float32 [n, s, 3, h, w] in [0, 1], the picture as it would be shown then.
        snapshot_iterations: after how many iterations each was taken.
        options: how they were made.
    """

    objectives: tuple[Objective, ...]
    seeds: tuple[int, ...]
    pictures: np.ndarray
    raw: np.ndarray
    curve: np.ndarray
    loss: np.ndarray
    shown: np.ndarray
    snapshots: np.ndarray
    snapshot_iterations: tuple[int, ...]
    options: MaximizeOptions

    def titles(self) -> list[str]:
        """A name for each picture, such as "conv_head 17, seed 0"."""
        named = zip(self.objectives, self.seeds, strict=True)
        return [f"{objective.title}, seed {seed}" for objective, seed in named]


@dataclass(frozen=True)
class Convergence:
    """A picture's activation against those of real images.

    Attributes:
        shown: the activation of the picture as shown.
        above: share of the images whose activation is lower.
        percentile_99: of the images' activations.
        most: the highest of them.
        converged: whether the picture is at or above `most`.
    """

    shown: float
    above: float
    percentile_99: float
    most: float
    converged: bool

    def __str__(self) -> str:
        return "converged" if self.converged else "did not converge"


def assess_convergence(shown: float, reference: np.ndarray | Sequence[float]) -> Convergence:
    """Compares a picture with real images: what one of them does better, the picture does not explain.

    Args:
        shown: the picture's activation as shown.
        reference: the same objective on real images, at least one (see `reference_activations`).

    >>> print(assess_convergence(2.0, [1.0, 3.0]), "-", assess_convergence(3.0, [1.0, 3.0]))
    did not converge - converged
    """
    values = np.asarray(reference, dtype=float)
    assert values.size and np.isfinite(values).all(), "activations of at least one image, all finite"
    most = float(values.max())
    percentile = float(np.percentile(values, 99))
    return Convergence(float(shown), float((values < shown).mean()), percentile, most, bool(shown >= most))


# What real images do to the same units: the yardstick for a made picture.


def reference_activations(
    model: Classifier,
    objectives: Sequence[Objective],
    images: Tensor,
    *,
    batch: int = 16,
    progress: Progress = SILENT,
) -> np.ndarray:
    """Every objective on every image.

    Args:
        model: any; it is left as it was found.
        objectives: m of them.
        images: float [n, 1, size, size] in [0, 1].
        batch: images in one pass.
        progress: who watches.

    Returns:
        float32 [m, n].

    Raises:
        UserError: an unknown layer, or a channel that it does not have.
    """
    found = []
    with measuring(model, objectives) as measure, torch.no_grad(), progress.task("real images", len(images)) as task:
        for start in range(0, len(images), batch):
            means = measure(images[start : start + batch].to(model.mean.device))
            found.append(torch.stack([value_of(objective, means) for objective in objectives]).cpu())
            task.update(min(start + batch, len(images)))
    return torch.cat(found, 1).numpy()


# What kind of picture it is, in numbers: how fine (its spatial frequencies) and how colourful.

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
