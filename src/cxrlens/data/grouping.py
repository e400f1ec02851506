"""Dividing groups (patients) so that a share of the images is reached and both parts have the whole's prevalence."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

OUT_OF_REACH = 1e6  # cost of a side that lacks a class: more than any miss of a target


def group_labels(table: pd.DataFrame, groups: Mapping[str, str] | None) -> tuple[np.ndarray, dict[int, int]]:
    """Every row's group as a number from 0, in order of appearance, and how many groups have images of each class."""
    merged = groups or {}
    names = [merged.get(patient, patient) for patient in table["patient"].tolist()]
    codes = pd.factorize(np.array(names, dtype=object))[0]
    return codes, {label: len(np.unique(codes[table["label"] == label])) for label in (0, 1)}


def grouped_share(group: np.ndarray, label: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Chooses groups that hold `share` of the positives and of the negatives, as nearly as whole groups can.

    Groups are met in random order and taken while that brings both counts nearer; single moves and swaps then mend
    what is left. So which groups are chosen is random, and how many images of each class is not.

    Args:
        group: int [n], each image's group from 0.
        label: float [n], 1 or 0.
        share: in (0, 1).
        rng: of the order.

    Returns:
        bool [n], the chosen images.
    """
    count = np.zeros((group.max() + 1, 2))
    np.add.at(count, (group, label.astype(int)), 1)
    total = count.sum(axis=0)
    target = share * total

    def cost(chosen: np.ndarray) -> np.ndarray:
        """Of counts [..., 2]: missed images, and out of reach where a class is wholly on one side."""
        lacking = (chosen <= 0).sum(axis=-1) + (chosen >= total).sum(axis=-1)
        return np.abs(chosen - target).sum(axis=-1) + OUT_OF_REACH * lacking

    taken = np.zeros(len(count), dtype=bool)
    have = np.zeros(2)
    for one in rng.permutation(len(count)):
        if cost(have + count[one]) < cost(have):
            taken[one] = True
            have = have + count[one]
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
        for one in swap:
            have = have + moves[one]
            taken[one] = ~taken[one]


def _best_swap(
    have: np.ndarray, moves: np.ndarray, taken: np.ndarray, cost: Callable[[np.ndarray], np.ndarray]
) -> tuple[int, int] | None:
    """One group out and one in that lower the cost; a group stands for all that have its counts, so this is quick."""
    _, inside = np.unique(moves[taken], axis=0, return_index=True)
    _, outside = np.unique(moves[~taken], axis=0, return_index=True)
    out, into = np.flatnonzero(taken)[inside], np.flatnonzero(~taken)[outside]
    if not len(out) or not len(into):
        return None
    after = cost(have + moves[out][:, None] + moves[into][None])
    best = np.unravel_index(int(np.argmin(after)), after.shape)
    return (int(out[best[0]]), int(into[best[1]])) if after[best] < cost(have) else None


def grouped_folds(group: np.ndarray, label: np.ndarray, folds: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Each fold's validation images, bool [n]: every image once, no group in two (scikit-learn's StratifiedGroupKFold).

    Args:
        group: int [n].
        label: float [n], 1 or 0.
        folds: at most the number of groups that have images of the rarer class.
        rng: of the order.
    """
    part = _fold_of_each(group, label, folds, int(rng.integers(2**31)))
    return [part == fold for fold in range(folds)]


def patient_folds(patients: np.ndarray, label: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Each image's fold, int [n]: no patient in two.

    Args:
        patients: [n], of anything that sorts.
        label: 1 or 0, [n].
        folds: at most so many; fewer where a class has fewer patients, and fold 0 alone where it has one.
        seed: of the draw.
    """
    most = min((len(np.unique(patients[label == side])) for side in (0, 1)), default=0)
    if min(folds, most) < 2:
        return np.zeros(len(label), dtype=int)
    return _fold_of_each(patients, label, min(folds, most), seed)


def _fold_of_each(group: np.ndarray, label: np.ndarray, folds: int, seed: int) -> np.ndarray:
    draw = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    part = np.zeros(len(label), dtype=int)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # few images of a class: the caller looks at every side
        for fold, (_, held_out) in enumerate(draw.split(label, label.astype(int), group)):
            part[held_out] = fold
    return part
