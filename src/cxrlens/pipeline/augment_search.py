"""Compares augmentations on the benchmark, on folds of the training set or as the paper did; draws their sheet."""

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
from cxrlens.pipeline.fit import labelled_images
from cxrlens.pipeline.prepare import Prepared, prepare, row_size
from cxrlens.progress import SILENT, Progress
from cxrlens.report.augment_sheet import augment_sheet as sheet
from cxrlens.run_folder import RunFolder
from cxrlens.study import ModelRow, Study, read_study
from cxrlens.train.augment_search import Search, search
from cxrlens.train.device import choose_device
from cxrlens.train.inputs import LabelledImages
from cxrlens.train.training_options import TrainingOptions

NONE = "none"
OPTIMISTIC = "optimistic: chosen on the images that also evaluate it"


@dataclass(frozen=True)
class Ranking:
    """Augmentations, the highest mean AUC first.

    Attributes:
        table: one row per combination: combination, augmentation, folds, auc (mean over folds), sd (over folds),
            difference (mean over folds of its AUC minus the AUC of "none"), better (number of folds in which it is
            above "none"), low and high (interval of the difference), p, p_holm (corrected over all combinations) and
            chosen_on. NaN where one fold, or folds without spread, allow no statement.
        sentence: the conclusion.
    """

    table: pd.DataFrame
    sentence: str


def rank_augmentations(trials: pd.DataFrame, optimistic: bool = False, level: float = 0.95) -> Ranking:
    """Compares every combination with "none", fold by fold (Nadeau and Bengio 2003, eq. 9).

    The training images of the folds overlap, so the plain t interval is too narrow. Its variance is corrected to
    `s² · (1 / k + n_validation / n_train)`.

    Args:
        trials: one row per combination and fold, with combination, augmentation, fold, auc, train and validation
            (numbers of images); every combination on the same folds, "none" among them.
        optimistic: whether the validation images of the folds will also evaluate the chosen combination.
        level: confidence level of the interval, between 0 and 1.
    """
    aucs = trials.pivot(index="fold", columns="combination", values="auc")
    assert NONE in aucs and not aucs.isna().to_numpy().any(), "every combination on every fold, none among them"
    words = trials.drop_duplicates("combination").set_index("combination")["augmentation"]
    share = float((trials["validation"] / trials["train"]).mean())
    rows = [_row(name, str(words[name]), aucs[name], aucs[NONE], share, level) for name in words.index]
    table = pd.DataFrame(rows)
    table["p_holm"] = holm(table["p"])
    table["chosen_on"] = f"validation ({OPTIMISTIC})" if optimistic else "inner folds of the training set"
    table = table.sort_values("auc", ascending=False, kind="stable", ignore_index=True)
    return Ranking(table, _sentence(table, level) + (f" ({OPTIMISTIC})" if optimistic else ""))


def _row(name: str, words: str, auc: pd.Series, none: pd.Series, share: float, level: float) -> dict[str, object]:
    difference = (auc - none).to_numpy(dtype=float)
    folds = len(difference)
    mean = float(difference.mean())
    error = float("nan")
    if name != NONE and folds > 1 and (spread := difference.std(ddof=1)) > 0:
        error = float(np.sqrt(spread**2 * (1 / folds + share)))  # eq. 9
    half_width = error * float(student.ppf((1 + level) / 2, max(folds - 1, 1)))
    return {
        "combination": name,
        "augmentation": words,
        "folds": folds,
        "auc": float(auc.mean()),
        "sd": float(auc.std(ddof=1)) if folds > 1 else float("nan"),
        "difference": mean,
        "better": int((difference > 0).sum()),
        "low": mean - half_width,
        "high": mean + half_width,
        "p": float(2 * student.sf(abs(mean) / error, folds - 1)) if error > 0 else float("nan"),
    }


def _sentence(table: pd.DataFrame, level: float) -> str:
    best = table.iloc[0]
    sentence = f"{best['combination']} has the highest mean AUC, {best['auc']:.3f}"
    if best["combination"] != NONE:
        sentence += f", {best['difference']:+.3f} above none"
    if (table["folds"] < 2).all():
        return f"{sentence}; with one fold there is no interval"
    significant = table.loc[table["p_holm"] <= 1 - level + 1e-12, "combination"].tolist()
    return f"{sentence}; " + (
        f"different from none after Holm's correction: {', '.join(significant)}"
        if significant
        else "no combination is significantly different from none after Holm's correction"
    )


BENCHMARK = "benchmark_cnn"
# The paper's benchmark: 5 epochs of 125 steps of 16 images.
PAPER_ROW = ModelRow(name="benchmark", backbone=BENCHMARK, batch=16, epochs=5, steps=125)
TRIALS, RANKING = "augment_trials.csv", "augment_search.csv"


@dataclass(frozen=True)
class SearchOptions:
    """Options of the comparison of augmentations.

    Attributes:
        names: combinations such as "rotation" or "rotation+zoom"; by default all that `combinations` knows. "none" is
            always included, since the others are compared with it.
        choose_on: "inner" for folds of the training set, or "validation" for the validation set, whose AUC is then
            optimistic for the chosen combination.
        folds: number of inner folds.
        epochs: epochs of each training; by default those of the study's benchmark row.
        steps: steps in each epoch; by default those of the study's benchmark row.
        size: side of the images in pixels; by default that of the study's benchmark row.
        seed: seed of the folds, the initial weights and the augmentations.
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
        data: folder of the study's images; None for a source that needs none.
        out: folder of `augment_trials.csv` (one line per finished training, which is not repeated) and
            `augment_search.csv` (the ranking).
        options: the combinations and how they are compared.
        device: "auto", "cpu" or "cuda".
        progress: display of the work in progress.

    Raises:
        UserError: an unknown combination, too few patients for the folds, or `out` holds a search of other options.
        KeyboardInterrupt: Ctrl-C; the same call continues after the last finished training.
    """
    study, _ = read_study(study)
    data, out = Path(data) if data is not None else None, Path(out)
    options = options or SearchOptions()
    augmentations = _named_combinations(study.augment, options.names)
    row = _benchmark(study, options)
    size = row_size(row, study.images) if options.size is None else options.size
    chosen = choose_device(device)
    folder = RunFolder(out)
    with folder.locked("augmentation search"):
        prepared = prepare(study, data, progress, folder)
        for sentence in _warnings(prepared, options):
            progress.say(f"warning: {sentence}")
        plan = Search(
            combinations=augmentations,
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


def _named_combinations(study: Augmentation, names: Sequence[str]) -> dict[str, Augmentation]:
    known = combinations(study)
    return {name: named_combination(name, known) for name in dict.fromkeys((NONE, *(names or known)))}


def _benchmark(study: Study, options: SearchOptions) -> ModelRow:
    """The study's own benchmark row, preferably one that is augmented; else the paper's."""
    rows = sorted((row for row in study.models if row.backbone == BENCHMARK), key=lambda row: not row.augment)
    changes = {"epochs": options.epochs, "steps": options.steps}
    changes = {name: value for name, value in changes.items() if value is not None}
    return (rows or [PAPER_ROW])[0].model_copy(update={"name": "benchmark", "augment": True, **changes})


def _folds(prepared: Prepared, size: int, options: SearchOptions) -> list[tuple[LabelledImages, LabelledImages]]:
    outer = prepared.splits[0]
    inner = options.choose_on == "inner"
    table = prepared.cohort.table
    splits = inner_folds(table, outer.train, options.folds, options.seed, prepared.groups) if inner else (outer,)
    evaluation_cache, training_cache = prepared.pixels.at(size)
    return [
        (
            labelled_images(prepared, training_cache, split.train),
            labelled_images(prepared, evaluation_cache, split.validation),
        )
        for split in splits
    ]


def _warnings(prepared: Prepared, options: SearchOptions) -> list[str]:
    warnings = list(prepared.warnings)
    if options.choose_on == "validation":
        warnings.append("the augmentation is chosen on the validation set: its AUC there is optimistic")
    if len(prepared.splits) > 1:
        warnings.append(
            "the study's split has folds, and the search uses the training set of fold 0: its choice is unbiased for "
            "fold 0 only, since the validation sets of the other folds are part of that training set"
        )
    return warnings


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
    """Draws training images: the original, each of the six augmentations, all six, and the study's own if it has any.

    Args:
        study: a study, or its file; the images come from its training set, from both classes in turn.
        data: folder of the study's images; None for a source that needs none.
        out: file of the sheet; its ending decides the format.
        images: number of images.
        seed: seed of the chosen images and of the augmentations.
        progress: display of the work in progress.
        force: overwrite a file that is not such a sheet; never a file below `data`.

    Returns:
        The names of the drawn images.

    Raises:
        UserError: `out` has an ending that is not in `FORMATS` or must not be overwritten, or see `prepare`.
    """
    study, _ = read_study(study)
    data, out = Path(data) if data is not None else None, Path(out)
    if out.suffix.lower() not in FORMATS:
        raise UserError(f"the sheet needs a file that ends in {', '.join(FORMATS)}; got {out}")
    check_output(out, "the sheet", picture_by("augment-sheet"), folders=[data] if data is not None else [], force=force)
    prepared = prepare(study, data, progress)
    names = _chosen(prepared.splits[0].train, prepared.labels.to_dict(), images, seed)
    _, training_cache = prepared.pixels.at(study.images.reference)
    pixels = training_cache.batch(names).astype(np.float32) / 255
    known = combinations()
    columns = {**SIX, "all six": known["all_six"]}
    if not study.augment.is_identity:
        columns["this study"] = study.augment
    figure = sheet(list(pixels), names, columns, seed)
    write_atomically(out, lambda draft: figure.savefig(draft, dpi=150, metadata=picture_facts(out, "augment-sheet")))
    return names


def _chosen(train: tuple[str, ...], label: dict[str, float], images: int, seed: int) -> tuple[str, ...]:
    """A random sample of training images, positive and negative in turn."""
    shuffled = generator(seed).permutation(np.array(train, dtype=object)).tolist()
    classes = [[name for name in shuffled if label[name] == value] for value in (1, 0)]
    turns = sorted((turn, number) for number, names in enumerate(classes) for turn in range(len(names)))
    return tuple(classes[number][turn] for turn, number in turns[:images])
