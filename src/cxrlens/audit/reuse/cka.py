"""Debiased linear CKA with a jackknife over patients, and the relative distance of weights.

The plug-in estimate of CKA (Kornblith et al. 2019, arXiv:1905.00414) tends to 1 where features outnumber images, even
for unrelated features (Murphy et al. 2024, arXiv:2405.01012). The unbiased estimator of HSIC (Song et al. 2012, eq. 5;
in CKA: Nguyen et al. 2020, arXiv:2010.15327) leaves out each image's similarity to itself. Two images of one patient
are nearly such a pair and would bring the bias back. Features are therefore averaged over each patient's images first,
so that a patient is one independent point. For the same reason the interval is not a bootstrap, whose draws repeat
points, but a delete-one jackknife (Efron and Stein 1981). It is computed on the scale of Fisher's z, since CKA is a
cosine (of U-centred Gram matrices: Székely and Rizzo 2014).

The distance of weights is layer-wise, ‖after - before‖ / ‖before‖ (Neyshabur et al. 2020, arXiv:2008.11687). It is not
a distance of functions: in front of a BatchNorm, the scale of weights has no effect. Read it beside CKA. It is exactly
0 for what was not trained, including statistics.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats
from torch import Tensor

from cxrlens.audit.reuse.blocks import Block, is_norm
from cxrlens.errors import UserError
from cxrlens.models.classifier import Classifier

LEAST = 4  # fewest points: the unbiased HSIC is a mean over groups of four


@dataclass(frozen=True)
class Cka:
    """Similarity of two sets of features: 1 if they are equal up to rotation and scale, about 0 if they are unrelated.

    Attributes:
        value: CKA; NaN where one set of features is the same for every patient.
        low: lower end of the interval over patients; NaN with too few patients.
        high: upper end of the interval over patients; NaN with too few patients.
        patients: number of patients.
    """

    value: float
    low: float
    high: float
    patients: int


def cka(x: np.ndarray, y: np.ndarray, patients: Sequence[str] | np.ndarray, level: float = 0.95) -> Cka:
    """Debiased CKA of two networks' features of the same images, with its interval over patients.

    Args:
        x: features of one network, [n, p].
        y: features of the other network, [n, q].
        patients: patient of each image, [n].
        level: confidence level of the interval, between 0 and 1.

    Raises:
        UserError: the numbers of images differ, or there are fewer than 4 patients.
    """
    return jackknife(delete_one(patient_means(x, patients), patient_means(y, patients)), level)


def patient_means(features: np.ndarray, patients: Sequence[str] | np.ndarray) -> np.ndarray:
    """Features [n, c] averaged over the images of each patient, float64 [patients, c], in the order of their names."""
    names, owner = np.unique(np.asarray(patients, str), return_inverse=True)
    if len(owner) != len(features):
        raise UserError(f"CKA needs a patient for each image; got {len(owner)} for {len(features)} images")
    sums = np.zeros((len(names), features.shape[1]))
    np.add.at(sums, owner, features)
    return sums / np.bincount(owner)[:, None]


def debiased_cka(x: np.ndarray, y: np.ndarray) -> float:
    """Debiased linear CKA of independent points [n, p] and [n, q].

    >>> x = np.random.default_rng(0).normal(size=(6, 3))
    >>> debiased_cka(x, 2 * x)
    1.0

    Raises:
        UserError: the numbers of points differ, or there are fewer than 4.
    """
    return float(delete_one(x, y)[0])


def delete_one(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Debiased CKA of all n points, then without each of them: [1 + n]; see `debiased_cka`."""
    if len(x) != len(y) or len(x) < LEAST:
        raise UserError(
            f"debiased CKA needs at least {LEAST} points (patients), the same in both networks; got {len(x)} and "
            f"{len(y)}"
        )
    a, b = _gram(x), _gram(y)
    covariance, scale = _unbiased_hsic(a, b), _unbiased_hsic(a, a) * _unbiased_hsic(b, b)
    known = scale > 0  # false where one set is constant, and where too few points are left
    size = np.sqrt(scale, where=known, out=np.ones_like(scale))
    return np.divide(covariance, size, where=known, out=np.full_like(covariance, np.nan))


def jackknife(values: np.ndarray, level: float = 0.95) -> Cka:
    """The estimate with Student's interval from the spread of its delete-one values.

    Args:
        values: CKA of all points and then without each point, [1 + n]; for a mean over networks, the mean of their
            values.
        level: confidence level of the interval, between 0 and 1.
    """
    value, left_out, n = float(values[0]), values[1:], len(values) - 1
    if np.isnan(values).any():
        return Cka(value, np.nan, np.nan, n)
    if not np.ptp(values):  # such as a network compared with itself
        return Cka(value, value, value, n)
    z = np.arctanh(np.clip(left_out, -1 + 1e-12, 1 - 1e-12))
    error = ((n - 1) / n * ((z - z.mean()) ** 2).sum()) ** 0.5
    reach = float(stats.t.ppf((1 + level) / 2, n - 1)) * error
    center = np.arctanh(np.clip(value, -1 + 1e-12, 1 - 1e-12))
    return Cka(value, float(np.tanh(center - reach)), float(np.tanh(center + reach)), n)


def _gram(x: np.ndarray) -> np.ndarray:
    """Gram matrix of centred points with a diagonal of 0 and a norm of 1; zeros where all points are equal."""
    if not np.ptp(x, axis=0).any():
        return np.zeros((len(x), len(x)))
    centred = x - x.mean(0, dtype=float)
    gram = centred @ centred.T
    np.fill_diagonal(gram, 0)
    return gram / np.linalg.norm(gram)


def _unbiased_hsic(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Song et al. 2012, eq. 5, of all n points, then without each of them: [1 + n]; NaN for fewer than 4 points."""
    product, n = a * b, len(a)
    points = np.array([n] + [n - 1] * n)
    trace = np.concatenate([[product.sum()], product.sum() - 2 * product.sum(1)])
    included = np.column_stack([np.ones(n), 1 - np.eye(n)])
    rows = [included * np.column_stack([gram.sum(1), gram.sum(1)[:, None] - gram]) for gram in (a, b)]
    sums = rows[0].sum(0) * rows[1].sum(0) / ((points - 1) * (points - 2))
    cross = 2 * (rows[0] * rows[1]).sum(0) / (points - 2)
    return np.divide(trace + sums - cross, points * (points - 3), where=points >= LEAST, out=np.full(n + 1, np.nan))


@dataclass(frozen=True)
class Distance:
    """Relative distances of a block; NaN where it has no such tensors, or they were all 0 before training.

    Attributes:
        weights: distance of the weights and biases of convolutions, linear layers and all other learned parameters.
        batchnorm: distance of the scales and shifts of BatchNorm (or LayerNorm).
        statistics: distance of BatchNorm's running means and variances, which change without a gradient.
    """

    weights: float
    batchnorm: float
    statistics: float


def distance(before: Classifier, after: Classifier, block: Block) -> Distance:
    """The relative distances of one block between two networks of one architecture."""
    squares = {"weights": [0.0, 0.0], "batchnorm": [0.0, 0.0], "statistics": [0.0, 0.0]}
    for kind, old, new in _pairs(before, after, block):
        old, new = old.detach().double().cpu(), new.detach().double().cpu()
        squares[kind][0] += float((new - old).square().sum())
        squares[kind][1] += float(old.square().sum())
    return Distance(
        **{kind: (change / size) ** 0.5 if size else float("nan") for kind, (change, size) in squares.items()}
    )


def _pairs(before: Classifier, after: Classifier, block: Block) -> Iterator[tuple[str, Tensor, Tensor]]:
    """(kind, tensor before, tensor after) of all that training can change; counters and constants are left out."""
    for name in block.owners:
        old, new = before.get_submodule(name), after.get_submodule(name)
        kind = "batchnorm" if is_norm(old) else "weights"
        trained = dict(new.named_parameters(recurse=False))
        for key, tensor in old.named_parameters(recurse=False):
            yield kind, tensor, trained[key]
        trained = dict(new.named_buffers(recurse=False))
        for key, tensor in old.named_buffers(recurse=False):
            if key.startswith("running_"):
                yield "statistics", tensor, trained[key]
