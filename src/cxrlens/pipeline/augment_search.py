"""Compares augmentations on the benchmark: on folds by patient inside the training side, or the paper's way by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from scipy.stats import t as student

from cxrlens.data.augment import SIX, Augmentation, combinations, named_combination
from cxrlens.data.seeds import generator
from cxrlens.data.split import inner_folds
from cxrlens.errors import UserError
from cxrlens.evaluate.comparisons import holm
from cxrlens.files import write_atomically
from cxrlens.models.classifier import ModelOptions
from cxrlens.outputs import check_output, picture_by, picture_facts
from cxrlens.pipeline.fit import labelled
from cxrlens.pipeline.prepare import Prepared, prepare, row_size
from cxrlens.progress import SILENT, Progress
from cxrlens.report.augment_sheet import augment_sheet as sheet
from cxrlens.run_folder import RunFolder
from cxrlens.study import ModelRow, Study, read_study
from cxrlens.train.augment_search import Search, search
from cxrlens.train.device import choose_device
from cxrlens.train.inputs import LabelledImages
from cxrlens.train.training_options import TrainingOptions

# Ranks augmentations by their mean AUC over folds, each paired with none (Nadeau and Bengio 2003, eq. 9).

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


BENCHMARK = "benchmark_cnn"
# The paper's benchmark: 5 epochs of 125 steps of 16 images.
PAPER_ROW = ModelRow(name="benchmark", backbone=BENCHMARK, batch=16, epochs=5, steps=125)
TRIALS, RANKING = "augment_trials.csv", "augment_search.csv"


@dataclass(frozen=True)
class SearchOptions:
    """How augmentations are compared.

    Attributes:
        names: such as "rotation" or "rotation+zoom"; all that `combinations` knows where none is given. "none" always
            takes part, since the others are compared with it.
        choose_on: "inner" folds of the training side, or the "validation" side, which flatters the chosen one.
        folds: inner folds.
        epochs: of each training; the study's benchmark row says where none is given.
        steps: an epoch, likewise.
        size: side of the images, in pixels; the benchmark row's where none is given.
        seed: of the folds, the weights and the draws.
    """

    names: Sequence[str] = ()
    choose_on: Literal["inner", "validation"] = "inner"
    folds: int = 5
    epochs: int | None = None
    steps: int | None = None
    size: int | None = None
    seed: int = 0


def augment_search(
    study: Study | str | Path,
    data: str | Path | None = None,
    *,
    out: str | Path,
    options: SearchOptions | None = None,
    device: str = "auto",
    progress: Progress = SILENT,
) -> Ranking:
    """Trains the benchmark with every combination on every fold and ranks them.

    Args:
        study: a study, or its file; its images, split, `[augment]` and benchmark row are used.
        data: the folder of the study's images; None for a source that needs none.
        out: folder of `augment_trials.csv` (one line a finished training, never done twice) and `augment_search.csv`
            (the ranking).
        options: what is compared, and how.
        device: "auto", "cpu" or "cuda".
        progress: where to show it.

    Raises:
        UserError: an unknown combination, too few patients for the folds, or `out` holds a search of other options.
        KeyboardInterrupt: Ctrl-C; the same call goes on behind the last finished training.
    """
    study, _ = read_study(study)
    data, out = Path(data) if data is not None else None, Path(out)
    options = options or SearchOptions()
    compared = _compared(study.augment, options.names)
    row = _benchmark(study, options)
    size = row_size(row, study.images) if options.size is None else options.size
    chosen = choose_device(device)
    folder = RunFolder(out)
    with folder.locked("augmentation search"):
        prepared = prepare(study, data, progress, folder)
        for sentence in _warnings(prepared, options):
            progress.say(f"warning: {sentence}")
        plan = Search(
            combinations=compared,
            folds=_folds(prepared, size, options),
            model=ModelOptions.model_validate(row.model_dump(include=set(ModelOptions.model_fields))),
            training=TrainingOptions.model_validate(row.model_dump(include=set(TrainingOptions.model_fields))),
            size=size,
            seed=options.seed,
            device=chosen,
        )
        trials = search(plan, out / TRIALS, progress)
        ranking = rank_augmentations(trials, optimistic=options.choose_on == "validation")
        folder.write_table(out / RANKING, ranking.table)
    return ranking


def _compared(study: Augmentation, names: Sequence[str]) -> dict[str, Augmentation]:
    known = combinations(study)
    return {name: named_combination(name, known) for name in dict.fromkeys((NONE, *(names or known)))}


def _benchmark(study: Study, options: SearchOptions) -> ModelRow:
    """The study's own benchmark row, one that is augmented where there are two, else the paper's."""
    rows = sorted((row for row in study.models if row.backbone == BENCHMARK), key=lambda row: not row.augment)
    asked = {"epochs": options.epochs, "steps": options.steps}
    changed = {name: value for name, value in asked.items() if value is not None}
    return (rows or [PAPER_ROW])[0].model_copy(update={"name": "benchmark", "augment": True, **changed})


def _folds(prepared: Prepared, size: int, options: SearchOptions) -> list[tuple[LabelledImages, LabelledImages]]:
    outer = prepared.splits[0]
    inner = options.choose_on == "inner"
    table = prepared.cohort.table
    splits = inner_folds(table, outer.train, options.folds, options.seed, prepared.groups) if inner else (outer,)
    validated_on, trained_on = prepared.pixels.at(size)
    return [
        (labelled(prepared, trained_on, each.train), labelled(prepared, validated_on, each.validation))
        for each in splits
    ]


def _warnings(prepared: Prepared, options: SearchOptions) -> list[str]:
    found = list(prepared.warnings)
    if options.choose_on == "validation":
        found.append("choosing on the validation side flatters the augmentation that is chosen")
    if len(prepared.splits) > 1:
        found.append(
            "the study's split has folds: the search sees the training side of fold 0, so its choice is fair to fold 0 "
            "alone (the other folds validate on images that it has seen)"
        )
    return found


# The contact sheet of a study's augmentations, on images of its training side.

FORMATS = (".png", ".pdf", ".svg")


def augment_sheet(
    study: Study | str | Path,
    data: str | Path | None = None,
    *,
    out: str | Path,
    images: int = 4,
    seed: int = 0,
    progress: Progress = SILENT,
    force: bool = False,
) -> tuple[str, ...]:
    """Writes the sheet: the original, each of the six, all six, and the study's own `[augment]` where it has one.

    Args:
        study: a study, or its file; its training side is drawn from, of both classes in turn.
        data: the folder of the study's images; None for a source that needs none.
        out: the picture; its ending says the format.
        images: how many.
        seed: of the images and the draws.
        progress: where reading the images is shown.
        force: write over a file that is no such sheet; never over one below `data`.

    Returns:
        The names of the images that were drawn.

    Raises:
        UserError: another ending than `FORMATS`, `out` names what must not be written over, or see `prepare`.
    """
    study, _ = read_study(study)
    data, out = Path(data) if data is not None else None, Path(out)
    if out.suffix.lower() not in FORMATS:
        raise UserError(f"the sheet needs a file that ends in {', '.join(FORMATS)}; got {out}")
    check_output(out, "the sheet", picture_by("augment-sheet"), folders=[data] if data is not None else [], force=force)
    prepared = prepare(study, data, progress)
    names = _chosen(prepared.splits[0].train, prepared.labels.to_dict(), images, seed)
    _, trained_on = prepared.pixels.at(study.images.reference)
    pixels = trained_on.batch(names).astype(np.float32) / 255
    known = combinations()
    columns = {**SIX, "all six": known["all_six"]}
    if not study.augment.is_identity:
        columns["this study"] = study.augment
    figure = sheet(list(pixels), names, columns, seed)
    write_atomically(out, lambda draft: figure.savefig(draft, dpi=150, metadata=picture_facts(out, "augment-sheet")))
    return names


def _chosen(train: tuple[str, ...], label: dict[str, float], images: int, seed: int) -> tuple[str, ...]:
    """Positive and negative in turn."""
    shuffled = generator(seed).permutation(np.array(train, dtype=object)).tolist()
    sides = [[name for name in shuffled if label[name] == wanted] for wanted in (1, 0)]
    turns = sorted((turn, side) for side, some in enumerate(sides) for turn in range(len(some)))
    return tuple(sides[side][turn] for turn, side in turns[:images])
