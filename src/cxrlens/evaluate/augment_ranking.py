"""Ranks augmentations by their mean AUC over folds, each paired with none (Nadeau and Bengio 2003, eq. 9)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import t as student

from cxrlens.evaluate.compare import holm

NONE = "none"
OPTIMISTIC = "optimistic: chosen on the images it is judged on"


@dataclass(frozen=True)
class Ranking:
    """Augmentations, the highest mean AUC first.

    Attributes:
        table: combination, augmentation, folds, auc (mean over folds), sd (over folds), difference (mean of the AUC
            minus that of none on the same fold), better (folds where it is above none), low, high (of the difference),
            p, p_holm (over all combinations), chosen_on. NaN where one fold, or no spread, says nothing.
        sentence: what may be concluded.
    """

    table: pd.DataFrame
    sentence: str


def rank_augmentations(trials: pd.DataFrame, optimistic: bool = False, level: float = 0.95) -> Ranking:
    """Compares every combination with none, fold by fold.

    The folds' training images overlap, so the plain t interval is too narrow: its variance is corrected to
    `s² · (1 / k + n_validation / n_train)`.

    Args:
        trials: one row a combination and fold, with combination, augmentation, fold, auc, train and validation; every
            combination on the same folds, "none" among them.
        optimistic: whether the folds' validation images are those that the choice will be judged on.
        level: of the interval.
    """
    aucs = trials.pivot(index="fold", columns="combination", values="auc")
    assert NONE in aucs and not aucs.isna().to_numpy().any(), "every combination on every fold, none among them"
    words = trials.drop_duplicates("combination").set_index("combination")["augmentation"]
    share = float((trials["validation"] / trials["train"]).mean())
    rows = [_row(name, str(words[name]), aucs[name], aucs[NONE], share, level) for name in words.index]
    table = pd.DataFrame(rows)
    table["p_holm"] = holm(table["p"])
    table["chosen_on"] = f"validation ({OPTIMISTIC})" if optimistic else "inner folds of the training side"
    table = table.sort_values("auc", ascending=False, kind="stable", ignore_index=True)
    return Ranking(table, _sentence(table, level) + (f" ({OPTIMISTIC})" if optimistic else ""))


def _row(name: str, words: str, auc: pd.Series, none: pd.Series, share: float, level: float) -> dict[str, object]:
    difference = (auc - none).to_numpy(dtype=float)
    folds = len(difference)
    mean = float(difference.mean())
    error = float("nan")
    if name != NONE and folds > 1 and (spread := difference.std(ddof=1)) > 0:
        error = float(np.sqrt(spread**2 * (1 / folds + share)))  # eq. 9
    reach = error * float(student.ppf((1 + level) / 2, max(folds - 1, 1)))
    return {
        "combination": name,
        "augmentation": words,
        "folds": folds,
        "auc": float(auc.mean()),
        "sd": float(auc.std(ddof=1)) if folds > 1 else float("nan"),
        "difference": mean,
        "better": int((difference > 0).sum()),
        "low": mean - reach,
        "high": mean + reach,
        "p": float(2 * student.sf(abs(mean) / error, folds - 1)) if error > 0 else float("nan"),
    }


def _sentence(table: pd.DataFrame, level: float) -> str:
    best = table.iloc[0]
    first = f"{best['combination']} has the highest mean AUC, {best['auc']:.3f}"
    if best["combination"] != NONE:
        first += f", {best['difference']:+.3f} over none"
    if (table["folds"] < 2).all():
        return f"{first}; one fold says nothing of chance"
    told = table.loc[table["p_holm"] <= 1 - level + 1e-12, "combination"].tolist()
    return f"{first}; " + (
        f"told from none after Holm's correction: {', '.join(told)}"
        if told
        else "no combination can be told from none after Holm's correction"
    )
