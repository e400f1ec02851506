"""Comparisons of a network before and after training, block by block, and of two networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from cxrlens.audit.reuse.blocks import block_features, find_blocks
from cxrlens.audit.reuse.cka import Cka, Distance, debiased_cka, delete_one, distance, jackknife, patient_means
from cxrlens.evaluate.comparisons import OverSeeds, over_seeds
from cxrlens.models.classifier import Classifier
from cxrlens.train.device import Device

MEASURES = ("cka", "weights", "batchnorm", "statistics")


@dataclass(frozen=True, eq=False)
class Change:
    """The change of one network by training.

    Attributes:
        blocks: names of the blocks, in order.
        cka: CKA of each block's features before and after training, of all patients and then without each patient,
            float
            [blocks, 1 + patients].
        distances: distances of the weights of each block.
        final: features of the trained backbone, one row for each patient, float [patients, c].
    """

    blocks: tuple[str, ...]
    cka: np.ndarray
    distances: tuple[Distance, ...]
    final: np.ndarray


@dataclass(frozen=True)
class BlockReuse:
    """The change of a block, mean over the networks of a model (one for each seed).

    Attributes:
        block: name of the block.
        cka: CKA of its features before and after training; 1 where only rotation and scale changed.
        low: lower end of the interval over patients (jackknife); it does not cover other seeds.
        high: upper end of the interval over patients.
        weights: relative distance of the weights, see `Distance`.
        batchnorm: relative distance of the scales and shifts of BatchNorm.
        statistics: relative distance of the running statistics of BatchNorm.
        over_seeds: measure → its mean with Student's interval over seeds; empty with one seed.
    """

    block: str
    cka: float
    low: float
    high: float
    weights: float
    batchnorm: float
    statistics: float
    over_seeds: Mapping[str, OverSeeds]


def change(
    before: Classifier, after: Classifier, images: Tensor, patients: Sequence[str] | np.ndarray, device: Device
) -> Change:
    """Compares a network before and after training.

    Args:
        before: network before training, on `device`.
        after: network after training, on `device`.
        images: images that neither was trained on, [n, 1, size, size] in [0, 1].
        patients: patient of each image, [n].
        device: device of the networks.

    Raises:
        UserError: there are fewer than 4 patients.
    """
    blocks = find_blocks(before)
    points = {block.name: block.point for block in blocks}
    old, new = (
        {
            name: patient_means(features, patients)
            for name, features in block_features(model, points, images, device).items()
        }
        for model in (before, after)
    )
    values = np.array([delete_one(old[name], new[name]) for name in points])
    distances = tuple(distance(before, after, block) for block in blocks)
    return Change(tuple(points), values, distances, new[blocks[-1].name])


def summarise(changes: Sequence[Change], level: float = 0.95) -> tuple[BlockReuse, ...]:
    """One row for each block: the mean over the networks of one model, on the same images.

    Args:
        changes: change of the network of each seed.
        level: confidence level of the intervals, between 0 and 1.
    """
    rows = []
    for index, block in enumerate(changes[0].blocks):
        similarity = jackknife(np.mean([change.cka[index] for change in changes], axis=0), level)
        values = {"cka": np.array([change.cka[index, 0] for change in changes])} | {
            name: np.array([getattr(change.distances[index], name) for change in changes]) for name in MEASURES[1:]
        }
        by_seeds = {
            name: _clipped(over_seeds(of_seeds, level), name)
            for name, of_seeds in values.items()
            if len(of_seeds) > 1 and not np.isnan(of_seeds).any()
        }
        distances = {name: float(values[name].mean()) for name in MEASURES[1:]}
        rows.append(
            BlockReuse(block, similarity.value, similarity.low, similarity.high, **distances, over_seeds=by_seeds)
        )
    return tuple(rows)


def compare(
    before: Classifier,
    after: Classifier,
    images: Tensor,
    patients: Sequence[str] | np.ndarray,
    device: Device,
    level: float = 0.95,
) -> tuple[BlockReuse, ...]:
    """The change of each block of one network by training; see `change` for the arguments."""
    return summarise([change(before, after, images, patients, device)], level)


def final_features(
    model: Classifier, images: Tensor, patients: Sequence[str] | np.ndarray, device: Device
) -> np.ndarray:
    """The backbone's features, one row for each patient, float64 [patients, c]; see `change` for the arguments."""
    return patient_means(block_features(model, {"final": "backbone"}, images, device)["final"], patients)


def between(a: Sequence[np.ndarray], b: Sequence[np.ndarray], level: float = 0.95) -> Cka:
    """Similarity of two models' features of the same patients, mean over the seeds.

    Args:
        a: final features of one model, [patients, c] for each seed.
        b: final features of the other model, for the same seeds in the same order.
        level: confidence level of the interval over patients, between 0 and 1.
    """
    return jackknife(np.mean([delete_one(x, y) for x, y in zip(a, b, strict=True)], axis=0), level)


def all_pairs(a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray]) -> np.ndarray:
    """Debiased CKA of every block of one network with every block of another: [blocks of a, blocks of b].

    Args:
        a: block → features of one network, one row for each patient (see `patient_means`).
        b: block → features of the other network, of the same patients.
    """
    return np.array([[debiased_cka(x, y) for y in b.values()] for x in a.values()])


def _clipped(estimate: OverSeeds, name: str) -> OverSeeds:
    """The estimate with its interval clipped to the range of the measure."""
    lowest, highest = (-1.0, 1.0) if name == "cka" else (0.0, np.inf)
    low, high = max(estimate.low, lowest), min(estimate.high, highest)
    return OverSeeds(estimate.mean, low, high, estimate.sd, estimate.seeds)
