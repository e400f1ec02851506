"""Ranks augmentations by AUC and compares each with no augmentation, with the intervals of Table 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cxrlens.errors import UserError
from cxrlens.evaluate.auc import AucInterval, auc, check_level, interval_of
from cxrlens.evaluate.comparisons import Comparison, compare_with
from cxrlens.evaluate.networks import Network, Validation, model_influence, read_predictions, seed_aucs
from cxrlens.evaluate.records import plain
from cxrlens.report.results_text import estimate
from cxrlens.report.tables import RETRAINING, Cells, comparison_cells
from cxrlens.text import interval, many, number

NONE = "none"
OPTIMISTIC = "optimistic: chosen on the images that also evaluate it"
COMPARED = ("low", "high", "p", "p_holm", "train_low", "train_high", "train_p", "train_p_holm")


@dataclass(frozen=True)
class Ranking:
    """Augmentations, the highest AUC first.

    Attributes:
        table: one row per combination, NaN where unknown. combination, augmentation, folds (number of folds with images
            of both classes); auc (mean over folds, weighted by pairs), auc_low and auc_high (interval by patient),
            auc_train_low and auc_train_high (interval over patients and folds; needs 3 folds), sd (of the AUC over
            folds); difference (its AUC minus the AUC of "none"), better (number of folds in which it is above "none"),
            low, high, p, p_holm (of the difference, by patient), train_low, train_high, train_p, train_p_holm (over
            patients and folds); rough (a class has 5 to 9 patients), reason (why there is no interval) and chosen_on.
            Holm's correction is over all comparisons with "none".
        sentence: the conclusion.
        note: the images and patients that the AUCs are from, and what the intervals cover.
        level: confidence level of the intervals, between 0 and 1.
    """

    table: pd.DataFrame
    sentence: str
    note: str
    level: float

    def __repr__(self) -> str:
        title = f"{many(len(self.table), 'augmentation')} by AUC, chosen on {self.table['chosen_on'].iloc[0]}"
        lines = []
        for row in plain(self.table.to_dict("records")):
            text = f"{row['combination']}: AUC {estimate(row)}"
            if row["combination"] != NONE:
                text += f", {row['difference']:+.3f} {interval(row['low'], row['high'])} from none"
            lines.append(text)
        return "\n".join([title, *lines, f"{self.sentence}.", f"{100 * self.level:g}% intervals. {self.note}"])


def rank_augmentations(
    trials: pd.DataFrame, predictions: pd.DataFrame, optimistic: bool = False, level: float = 0.95
) -> Ranking:
    """Ranks combinations by AUC and compares each with "none", on the same images.

    The AUCs, differences and intervals are those of `cxrlens auc` for the same predictions. The interval over patients
    and folds is that of Nadeau and Bengio (2003), since the training images of folds overlap.

    Args:
        trials: one row per combination and fold, with combination and augmentation (in words); "none" is among them.
        predictions: predictions of the validation images, see `evaluate.networks.read_predictions`; `model` is the
            combination.
        optimistic: whether the validation images will also evaluate the chosen combination.
        level: confidence level of the intervals, between 0 and 1.

    Raises:
        UserError: combinations were not predicted on the same images, see `read_predictions`, or no fold holds images
            of both classes.
    """
    check_level(level)
    words = trials.drop_duplicates("combination").set_index("combination")["augmentation"].to_dict()
    assert NONE in words, "every combination is compared with none"
    data = read_predictions(predictions[predictions["model"].isin(list(words))], model_order=list(words))
    if np.isnan([value for networks in data.models.values() for value in seed_aucs(networks, data).values()]).any():
        raise UserError("augmentations cannot be ranked: no fold holds images of both classes")
    influences = {name: model_influence(networks, data) for name, networks in data.models.items()}
    aucs = {name: interval_of(influence, data.labels, level) for name, influence in influences.items()}
    by_fold = {name: _fold_aucs(networks, data) for name, networks in data.models.items()}
    pairs = {pair.a: pair for pair in compare_with(NONE, influences, level)}
    rows = [
        {"combination": name, "augmentation": words[name]}
        | _row(aucs[name], by_fold[name], by_fold[NONE], pairs.get(name))
        for name in data.models
    ]
    table = pd.DataFrame(rows)
    table["chosen_on"] = f"validation ({OPTIMISTIC})" if optimistic else "inner folds of the training set"
    table = table.sort_values("auc", ascending=False, kind="stable", ignore_index=True)
    sentence = _sentence(table, level) + (f" ({OPTIMISTIC})" if optimistic else "")
    return Ranking(table, sentence, _note(table, aucs[NONE], data), level)


def _fold_aucs(networks: Sequence[Network], data: Validation) -> dict[int, float]:
    """Fold → its AUC, of the folds with images of both classes."""
    labels = {net.fold: data.labels[net.rows] for net in networks}
    return {net.fold: auc(labels[net.fold], net.logits) for net in networks if len(set(labels[net.fold].tolist())) == 2}


def _row(
    result: AucInterval, by_fold: Mapping[int, float], none: Mapping[int, float], pair: Comparison | None
) -> dict[str, object]:
    """The numbers of one combination; `pair` is None for "none" itself."""
    folds = len(by_fold)
    return {
        "folds": folds,
        "auc": result.auc,
        "auc_low": result.low,
        "auc_high": result.high,
        "auc_train_low": result.train_low,
        "auc_train_high": result.train_high,
        "sd": float(np.std(list(by_fold.values()), ddof=1)) if folds > 1 else np.nan,
        "difference": pair.difference if pair else 0.0,
        "better": sum(value > none[fold] for fold, value in by_fold.items()),
        **{name: getattr(pair, name) if pair else np.nan for name in COMPARED},
        "rough": result.rough,
        "reason": result.reason,
    }


def _sentence(table: pd.DataFrame, level: float) -> str:
    best, others = table.iloc[0], table[table["combination"] != NONE]
    sentence = f"{best['combination']} has the highest AUC, {best['auc']:.3f}"
    if best["combination"] != NONE:
        sentence += f", {best['difference']:+.3f} above none"
    if others.empty:
        return f"{sentence}; there is nothing to compare it with"
    if best["reason"]:
        return f"{sentence}; no augmentation can be told from none: {best['reason']}"
    over_folds = others["train_p_holm"].notna().any()
    p = others["train_p_holm" if over_folds else "p_holm"]
    different = others.loc[p <= 1 - level + 1e-12, "combination"].tolist()
    correction = f"{'over patients and folds' if over_folds else 'by patient'} after Holm's correction"
    return f"{sentence}; " + (
        f"significantly different from none {correction}: {', '.join(different)}"
        if different
        else f"no augmentation is significantly different from none {correction}"
    )


def _note(table: pd.DataFrame, none: AucInterval, data: Validation) -> str:
    """The images and patients that the AUCs are from, and what the intervals cover."""
    folds = int(table["folds"].max())
    of_folds = f" in {folds} folds; each is predicted by the network that was not trained on it" if folds > 1 else ""
    sentences = [
        f"AUC on {none.positives + none.negatives} images ({none.positives} positive, {none.negatives} negative) of "
        f"{many(none.patients, 'patient')}{of_folds}."
    ]
    if data.unlabelled:
        sentences.append(
            f"{many(data.unlabelled, 'image')} without a label {'are' if data.unlabelled > 1 else 'is'} left out."
        )
    if none.reason:
        return " ".join([*sentences, f"Without interval: {none.reason}."])
    sentences.append("Intervals are computed by patient.")
    if table["auc_train_low"].notna().any():
        sentences.append(f"“{RETRAINING}”: interval over patients and folds together (Nadeau and Bengio 2003).")
    else:
        sentences.append(
            "They describe the networks as trained; an interval that includes retraining needs at least 3 folds."
        )
    if len(table) > 2:
        sentences.append(f"p (Holm) is corrected over the {len(table) - 1} comparisons with none.")
    if none.rough:
        sentences.append("“Rough”: a class has fewer than 10 patients.")
    return " ".join(sentences)


def ranking_cells(ranking: Ranking) -> Cells:
    """The AUC of every combination as text: header and rows."""
    rows = plain(ranking.table.to_dict("records"))
    retrained = any(row["auc_train_low"] is not None for row in rows)
    several = any(row["folds"] > 1 for row in rows)
    header = ["augmentation", f"AUC [{100 * ranking.level:g}%]", *([RETRAINING] if retrained else [])]
    header += ["SD over folds", "folds above none"] if several else []
    cells = []
    for row in rows:
        cells.append([row["combination"], estimate(row)])
        if retrained:
            cells[-1].append(interval(row["auc_train_low"], row["auc_train_high"]))
        if several:
            above = "" if row["combination"] == NONE else f"{row['better']} of {row['folds']}"
            cells[-1] += [number(row["sd"], 3), above]
    return header, cells


def difference_cells(ranking: Ranking) -> Cells:
    """The AUC of every combination minus that of "none" as text: header and rows; no rows without another one."""
    rows = plain(ranking.table[ranking.table["combination"] != NONE].to_dict("records"))
    pairs = [{"a": row["combination"], "b": NONE, **row} for row in rows]
    return comparison_cells({"comparisons": pairs, "evaluation": {"level": ranking.level}})
