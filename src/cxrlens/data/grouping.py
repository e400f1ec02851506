"""Divides groups (patients) so that a share of the images is reached and both parts have the same prevalence."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

MISSING_CLASS = 1e6  # cost of a set that lacks a class: more than any distance from the target


def group_labels(table: pd.DataFrame, groups: Mapping[str, str] | None) -> tuple[np.ndarray, dict[int, int]]:
    """Numbers the groups, and counts the groups with images of each class.

    Args:
        table: cohort table.
        groups: patient → group; a patient who is not listed is a group of its own.

    Returns:
        The group of each row as a number from 0, int [n], in order of appearance; class (0, 1) → number of groups.
    """
    merged = groups or {}
    names = [merged.get(patient, patient) for patient in table["patient"].tolist()]
    codes = pd.factorize(np.array(names, dtype=object))[0]
    return codes, {label: len(np.unique(codes[table["label"] == label])) for label in (0, 1)}


def grouped_share(group: np.ndarray, label: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Chooses groups that hold about `share` of the positive and of the negative images.

    Groups are visited in random order and taken if they bring both counts nearer to the target. Single moves and swaps
    then reduce the remaining difference. The choice of groups is random; the number of images of each class is not.

    Args:
        group: group of each image, numbered from 0, int [n].
        label: label of each image, 1 or 0, float [n].
        share: share of the images to choose, in (0, 1).
        rng: random generator for the order of the groups.

    Returns:
        bool [n], True for the chosen images.
    """
    count = np.zeros((group.max() + 1, 2))
    np.add.at(count, (group, label.astype(int)), 1)
    total = count.sum(axis=0)
    target = share * total

    def cost(chosen: np.ndarray) -> np.ndarray:
        """The cost of counts [..., 2]: distance from the target, and a penalty for each class that a set lacks."""
        lacking = (chosen <= 0).sum(axis=-1) + (chosen >= total).sum(axis=-1)
        return np.abs(chosen - target).sum(axis=-1) + MISSING_CLASS * lacking

    taken = np.zeros(len(count), dtype=bool)
    have = np.zeros(2)
    for number in rng.permutation(len(count)):
        if cost(have + count[number]) < cost(have):
            taken[number] = True
            have = have + count[number]
    while True:
        moves = np.where(taken[:, None], -count, count)
        move = int(np.argmin(cost(have + moves)))
        if cost(have + moves[move]) < cost(have):
            taken[move] = ~taken[move]
            have = have + moves[move]
            continue
        swap = _best_swap(have, moves, taken, cost)
        if swap is None:
            return taken[group]
        for number in swap:
            have = have + moves[number]
            taken[number] = ~taken[number]


def _best_swap(
    have: np.ndarray, moves: np.ndarray, taken: np.ndarray, cost: Callable[[np.ndarray], np.ndarray]
) -> tuple[int, int] | None:
    """The group to remove and the group to add that lower the cost most; groups of equal counts are tried once."""
    _, inside = np.unique(moves[taken], axis=0, return_index=True)
    _, outside = np.unique(moves[~taken], axis=0, return_index=True)
    out, into = np.flatnonzero(taken)[inside], np.flatnonzero(~taken)[outside]
    if not len(out) or not len(into):
        return None
    after = cost(have + moves[out][:, None] + moves[into][None])
    best = np.unravel_index(int(np.argmin(after)), after.shape)
    return (int(out[best[0]]), int(into[best[1]])) if after[best] < cost(have) else None


def grouped_folds(group: np.ndarray, label: np.ndarray, folds: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Draws folds that no group shares, with scikit-learn's StratifiedGroupKFold.

    Args:
        group: group of each image, int [n].
        label: label of each image, 1 or 0, float [n].
        folds: number of folds, at most the number of groups with images of the rarer class.
        rng: random generator for the order of the groups.

    Returns:
        The validation images of each fold, bool [n]; each image is in one of them.
    """
    fold_of = _fold_numbers(group, label, folds, int(rng.integers(2**31)))
    return [fold_of == fold for fold in range(folds)]


def patient_folds(patients: np.ndarray, label: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """The fold of each image, int [n]; all images of a patient are in one fold.

    Args:
        patients: patient of each image, [n], of any sortable type.
        label: label of each image, 1 or 0, [n].
        folds: largest number of folds; fewer are drawn where a class has fewer patients, and only fold 0 where it has
            one patient.
        seed: seed of the draw.
    """
    most = min((len(np.unique(patients[label == sign])) for sign in (0, 1)), default=0)
    if min(folds, most) < 2:
        return np.zeros(len(label), dtype=int)
    return _fold_numbers(patients, label, min(folds, most), seed)


def _fold_numbers(group: np.ndarray, label: np.ndarray, folds: int, seed: int) -> np.ndarray:
    draw = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    fold_of = np.zeros(len(label), dtype=int)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # few images of a class: the caller checks each fold
        for fold, (_, held_out) in enumerate(draw.split(label, label.astype(int), group)):
            fold_of[held_out] = fold
    return fold_of
