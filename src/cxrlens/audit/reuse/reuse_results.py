"""A network before and after training, block by block, and two networks with each other."""

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
    """What training changed in one network.

    Attributes:
        blocks: names, in order.
        cka: of the block's features before and after: of all patients, then without each; float [blocks, 1 + patients].
        distances: of the weights, a block each.
        final: features of the trained backbone, a row a patient: float [patients, c].
    """

    blocks: tuple[str, ...]
    cka: np.ndarray
    distances: tuple[Distance, ...]
    final: np.ndarray


@dataclass(frozen=True)
class BlockReuse:
    """What a block kept, mean over the networks of a model (one a seed).

    Attributes:
        block: its name.
        cka: of its features before and after: 1 where nothing changed but rotation and scale.
        low: of the interval over patients (jackknife); it says nothing of other seeds.
        high: likewise.
        weights: relative distance; see `Distance`.
        batchnorm: likewise.
        statistics: likewise.
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
    """Compares a network with what it became.

    Args:
        before: as training found it, on `device`.
        after: trained, likewise.
        images: that neither was trained on, [n, 1, size, size] in [0, 1].
        patients: of each image, [n].
        device: where.

    Raises:
        UserError: fewer than 4 patients.
    """
    blocks = find_blocks(before)
    points = {each.name: each.point for each in blocks}
    old, new = (
        {name: patient_means(seen, patients) for name, seen in block_features(model, points, images, device).items()}
        for model in (before, after)
    )
    values = np.array([delete_one(old[name], new[name]) for name in points])
    return Change(tuple(points), values, tuple(distance(before, after, each) for each in blocks), new[blocks[-1].name])


def summarise(changes: Sequence[Change], level: float = 0.95) -> tuple[BlockReuse, ...]:
    """A row a block: the mean over the networks of one model, on the same images.

    Args:
        changes: one a seed.
        level: of the intervals.
    """
    found = []
    for place, block in enumerate(changes[0].blocks):
        similar = jackknife(np.mean([each.cka[place] for each in changes], axis=0), level)
        values = {"cka": np.array([each.cka[place, 0] for each in changes])} | {
            name: np.array([getattr(each.distances[place], name) for each in changes]) for name in MEASURES[1:]
        }
        spread = {
            name: _possible(over_seeds(of, level), name)
            for name, of in values.items()
            if len(of) > 1 and not np.isnan(of).any()
        }
        moved = {name: float(values[name].mean()) for name in MEASURES[1:]}
        found.append(BlockReuse(block, similar.value, similar.low, similar.high, **moved, over_seeds=spread))
    return tuple(found)


def compare(
    before: Classifier,
    after: Classifier,
    images: Tensor,
    patients: Sequence[str] | np.ndarray,
    device: Device,
    level: float = 0.95,
) -> tuple[BlockReuse, ...]:
    """What each block of one network kept; see `change`."""
    return summarise([change(before, after, images, patients, device)], level)


def final_features(
    model: Classifier, images: Tensor, patients: Sequence[str] | np.ndarray, device: Device
) -> np.ndarray:
    """The backbone's features, a row a patient: float64 [patients, c]; see `change`."""
    return patient_means(block_features(model, {"final": "backbone"}, images, device)["final"], patients)


def between(a: Sequence[np.ndarray], b: Sequence[np.ndarray], level: float = 0.95) -> Cka:
    """Similarity of two models' features of the same patients: the mean over pairs of networks of one seed.

    Args:
        a: final features, [patients, c] a seed.
        b: likewise, of the same seeds in the same order.
        level: of the interval over patients.
    """
    return jackknife(np.mean([delete_one(x, y) for x, y in zip(a, b, strict=True)], axis=0), level)


def all_pairs(a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray]) -> np.ndarray:
    """Debiased CKA of every block of one network with every block of another: [blocks of a, blocks of b].

    Args:
        a: block → features, a row a patient (see `patient_means`).
        b: of the same patients.
    """
    return np.array([[debiased_cka(x, y) for y in b.values()] for x in a.values()])


def _possible(told: OverSeeds, name: str) -> OverSeeds:
    """Student's interval cut off where no value can be."""
    least, most = (-1.0, 1.0) if name == "cka" else (0.0, np.inf)
    return OverSeeds(told.mean, max(told.low, least), min(told.high, most), told.sd, told.seeds)
