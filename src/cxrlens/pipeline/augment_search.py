"""Compares augmentations on the benchmark, on folds of the training set or as the paper did; draws their sheet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from cxrlens.arguments import checked
from cxrlens.config import Config
from cxrlens.data.augment import SIX, Augmentation, combinations, named_combination
from cxrlens.data.images import MAX_SIZE
from cxrlens.data.seeds import generator
from cxrlens.data.split import Split, inner_folds
from cxrlens.errors import UserError
from cxrlens.files import write_atomically
from cxrlens.models.classifier import ModelOptions
from cxrlens.outputs import check_output, picture_by, picture_facts
from cxrlens.pipeline.augment_ranking import NONE, Ranking, rank_augmentations
from cxrlens.pipeline.fit import labelled_images
from cxrlens.pipeline.prepare import Prepared, interval_warning, prepare, row_size
from cxrlens.progress import SILENT, Progress
from cxrlens.report.augment_sheet import augment_sheet as sheet
from cxrlens.run_folder import RunFolder
from cxrlens.study import ModelRow, Study, read_study
from cxrlens.train.augment_search import Search, search
from cxrlens.train.device import choose_device
from cxrlens.train.inputs import LabelledImages
from cxrlens.train.training_options import TrainingOptions

BENCHMARK = "benchmark_cnn"
# The paper's benchmark: 5 epochs of 125 steps of 16 images.
PAPER_ROW = ModelRow(name="benchmark", backbone=BENCHMARK, batch=16, epochs=5, steps=125)
RANKING = "augment_search.csv"


class SearchOptions(Config):
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

    names: tuple[str, ...] = ()
    choose_on: Literal["inner", "validation"] = "inner"
    folds: int = Field(default=5, ge=2)
    epochs: int | None = Field(default=None, ge=1)
    steps: int | None = Field(default=None, ge=1)
    size: int | None = Field(default=None, ge=1, le=MAX_SIZE)
    seed: int = Field(default=0, ge=0)


@checked
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
        out: folder of `augment_trials.csv` (one line per finished training, which is not repeated),
            `augment_predictions.csv` (what each trained network predicts of its fold's validation images, a table for
            `cxrlens auc`) and `augment_search.csv` (the ranking).
        options: the combinations and how they are compared.
        device: "auto", "cpu" or "cuda".
        progress: display of the work in progress.

    Raises:
        UserError: an unknown combination, too few patients for the folds, or `out` holds a search of other options or
            one without its predictions.
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
        splits = _splits(prepared, options)
        for sentence in _warnings(prepared, splits, options):
            progress.say(f"warning: {sentence}")
        table = prepared.cohort.table
        plan = Search(
            combinations=augmentations,
            folds=_folds(prepared, splits, size),
            patients=dict(zip(table["image"], table["patient"].replace(prepared.groups), strict=True)),
            model=ModelOptions.model_validate(row.model_dump(include=set(ModelOptions.model_fields))),
            training=TrainingOptions.model_validate(row.model_dump(include=set(TrainingOptions.model_fields))),
            size=size,
            seed=options.seed,
            device=chosen,
        )
        trials, predictions = search(plan, out, progress)
        ranking = rank_augmentations(
            trials, predictions, optimistic=options.choose_on == "validation", level=study.evaluation.level
        )
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


def _splits(prepared: Prepared, options: SearchOptions) -> tuple[Split, ...]:
    """The folds within the training set, or the study's own split."""
    outer = prepared.splits[0]
    if options.choose_on == "validation":
        return (outer,)
    return inner_folds(prepared.cohort.table, outer.train, options.folds, options.seed, prepared.groups)


def _folds(prepared: Prepared, splits: Sequence[Split], size: int) -> list[tuple[LabelledImages, LabelledImages]]:
    evaluation_cache, training_cache = prepared.pixels.at(size)
    return [
        (
            labelled_images(prepared, training_cache, split.train),
            labelled_images(prepared, evaluation_cache, split.validation),
        )
        for split in splits
    ]


def _warnings(prepared: Prepared, splits: Sequence[Split], options: SearchOptions) -> list[str]:
    table, groups = prepared.cohort.table, prepared.groups
    of_study = interval_warning(table, prepared.splits, groups)  # the search evaluates other images
    warnings = [sentence for sentence in prepared.warnings if sentence != of_study]
    if of_search := interval_warning(table, splits, groups, "search"):
        warnings.append(of_search)
    if options.choose_on == "validation":
        warnings.append("the augmentation is chosen on the validation set: its AUC there is optimistic")
    if len(prepared.splits) > 1:
        warnings.append(
            "the study's split has folds, and the search uses the training set of fold 0: its choice is unbiased for "
            "fold 0 only, since the validation sets of the other folds are part of that training set"
        )
    return warnings


FORMATS = (".png", ".pdf", ".svg")


@checked
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
