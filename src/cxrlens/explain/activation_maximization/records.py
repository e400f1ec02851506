"""Results of activation maximization: the pictures, their convergence, and their spectra and colours in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cxrlens.arguments import checked
from cxrlens.errors import UserError
from cxrlens.explain.activation_maximization.maximize_options import MaximizeOptions
from cxrlens.explain.activation_maximization.objectives import Objective, measuring, value_of
from cxrlens.explain.base import check_images, fitting
from cxrlens.models.classifier import Classifier
from cxrlens.progress import SILENT, Progress


@dataclass(frozen=True)
class MaximizationResult:
    """The n pictures of `maximize`: one for each objective and seed; the seeds of one objective are neighbours.

    Attributes:
        objectives: the objective of each picture, n of them.
        seeds: the seed of each picture, n of them.
        pictures: float32 [n, 3, h, w] in [0, 1], the pictures as displayed.
        raw: float32 [n, ...], what was optimised: pixels [n, c, h, w] in their own range, or spectra
            [n, c, h, w // 2 + 1, 2].
        curve: float32 [n, iterations], the objective of the network's input at each iteration, before the step; NaN for
            iterations after an interrupt.
        loss: float32 [n, iterations], what was minimised: the regularizers minus the objective.
        activations: float32 [n], the objective of `pictures`, given to the model's own `(x - mean) / std`.
        snapshots: float32 [n, s, 3, h, w] in [0, 1], earlier stages of the pictures, as displayed.
        snapshot_iterations: number of iterations before each of the s snapshots.
        options: the options of the optimisation.
    """

    objectives: tuple[Objective, ...]
    seeds: tuple[int, ...]
    pictures: np.ndarray
    raw: np.ndarray
    curve: np.ndarray
    loss: np.ndarray
    activations: np.ndarray
    snapshots: np.ndarray
    snapshot_iterations: tuple[int, ...]
    options: MaximizeOptions

    def titles(self) -> list[str]:
        """A name for each picture, such as "conv_head 17, seed 0"."""
        rows = zip(self.objectives, self.seeds, strict=True)
        return [f"{objective.title}, seed {seed}" for objective, seed in rows]


@dataclass(frozen=True)
class Convergence:
    """A picture's activation compared with the activations of real images.

    Attributes:
        activation: activation of the displayed picture.
        share_below: share of the real images whose activation is lower, in [0, 1].
        percentile_99: 99th percentile of the real images' activations.
        highest: highest activation of any real image.
        converged: whether the picture's activation is at least `highest`.
    """

    activation: float
    share_below: float
    percentile_99: float
    highest: float
    converged: bool

    def __str__(self) -> str:
        return "converged" if self.converged else "did not converge"


@checked
def assess_convergence(activation: float, reference: np.ndarray | Sequence[float]) -> Convergence:
    """Compares a picture with real images: a picture that one of them exceeds does not explain the unit.

    Args:
        activation: activation of the displayed picture.
        reference: activations of at least one real image for the same objective (see `reference_activations`).

    Raises:
        UserError: there is no reference, or a number is not finite.

    >>> print(assess_convergence(2.0, [1.0, 3.0]), "-", assess_convergence(3.0, [1.0, 3.0]))
    did not converge - converged
    """
    values = np.asarray(reference, dtype=float)
    if not values.size or not np.isfinite(values).all():
        raise UserError(
            f"reference must hold the activations of at least one image, all finite; got {values.size} of which "
            f"{int(np.isfinite(values).sum())} are finite"
        )
    if not np.isfinite(activation):
        raise UserError(f"activation must be finite; got {activation}")
    highest = float(values.max())
    return Convergence(
        activation=float(activation),
        share_below=float((values < activation).mean()),
        percentile_99=float(np.percentile(values, 99)),
        highest=highest,
        converged=bool(activation >= highest),
    )


# The activations of real images, with which those of synthetic pictures are compared.


@checked
def reference_activations(
    model: Classifier,
    objectives: Objective | Sequence[Objective],
    images: Tensor,
    *,
    batch: int = 16,
    progress: Progress = SILENT,
) -> np.ndarray:
    """The value of every objective on every real image.

    Args:
        model: the network; it is left unchanged.
        objectives: one objective, or several, m of them.
        images: float [n, 1, size, size] in [0, 1].
        batch: number of images in one forward pass.
        progress: receiver of the progress.

    Returns:
        float32 [m, n].

    Raises:
        UserError: there is no objective, a layer is unknown or does not have the channel, the images do not fit, or
            `batch` is below 1.
    """
    objectives = [objectives] if isinstance(objectives, Objective) else list(objectives)
    if not objectives:
        raise UserError("reference_activations needs at least one objective; got none")
    if batch < 1:
        raise UserError(f"batch must be at least 1; got {batch}")
    check_images(images)
    parts = []
    with (
        measuring(model, objectives) as measure,
        torch.no_grad(),
        fitting(model, images),
        progress.task("real images", len(images)) as task,
    ):
        for start in range(0, len(images), batch):
            means = measure(images[start : start + batch].to(model.mean.device))
            parts.append(torch.stack([value_of(objective, means) for objective in objectives]).cpu())
            task.update(min(start + batch, len(images)))
    return torch.cat(parts, 1).numpy()


# The pictures in numbers: spatial frequency and colour.

RINGS = 20
FLAT = 1e-6  # standard deviation below which a picture counts as flat: rounding errors


def radial_spectrum(pictures: np.ndarray, rings: int = RINGS) -> tuple[np.ndarray, np.ndarray]:
    """The share of the grey picture's power in each ring of spatial frequency.

    Args:
        pictures: float [n, 3, h, h] in [0, 1].
        rings: number of rings of equal width from 0 to 0.5 cycles a pixel. Frequencies above 0.5, in the corners of the
            spectrum, are left out.

    Returns:
        The centre of each ring in cycles a pixel [rings], and shares [n, rings] that sum to 1 (zeros if flat).
    """
    grey = pictures.astype(np.float64).mean(1)
    grey = grey - grey.mean((1, 2), keepdims=True)
    side = grey.shape[-1]
    grey[grey.std((1, 2)) < FLAT] = 0
    window = np.hanning(side)[:, None] * np.hanning(side)  # no step where opposite edges meet
    power = np.abs(np.fft.fft2(grey * window)) ** 2
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side))
    ring = np.floor(frequency / 0.5 * rings).astype(int)
    ring[0, 0] = rings  # the mean is no frequency
    summed = np.stack([power[:, ring == number].sum(1) for number in range(rings)], 1)
    total = summed.sum(1, keepdims=True)
    shares = np.divide(summed, total, out=np.zeros_like(summed), where=total > 0)
    return (np.arange(rings) + 0.5) / rings / 2, shares


def mean_frequency(pictures: np.ndarray) -> np.ndarray:
    """The mean frequency of each spectrum in cycles a pixel, [n]: 0.02 is a wave of 50 pixels, 0.5 the finest wave."""
    centres, shares = radial_spectrum(pictures)
    return shares @ centres


def colour_variance(pictures: np.ndarray) -> np.ndarray:
    """The share of the pixels' variance that is not grey, [n] in [0, 1]; 0 for a grey picture or an even tint.

    >>> bars = np.zeros((1, 3, 2, 2))
    >>> bars[:, :, 0] = 1.0
    >>> red = bars * np.array([1.0, 0.0, 0.0])[:, None, None]
    >>> colour_variance(np.concatenate([bars, red])).round(3).tolist()
    [0.0, 0.667]
    """
    values = pictures.astype(np.float64)
    total = values.var((2, 3)).mean(1)
    grey = values.mean(1).var((1, 2))
    return np.divide(total - grey, total, out=np.zeros_like(total), where=total > FLAT**2).clip(0, 1)
