"""Compares augmentations on the benchmark: on folds by patient inside the training side, or the paper's way by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cxrlens.data.augment import Augmentation
from cxrlens.data.augment_combinations import combinations, named_combination
from cxrlens.data.split import inner_folds
from cxrlens.evaluate.augment_ranking import NONE, Ranking, rank_augmentations
from cxrlens.models.classifier import ModelOptions
from cxrlens.pipeline.fit import labelled
from cxrlens.pipeline.prepare import Prepared, prepare
from cxrlens.pipeline.rows import row_size
from cxrlens.progress import SILENT, Progress
from cxrlens.run_folder import RunFolder
from cxrlens.study import ModelRow, Study, read_study
from cxrlens.train.augment_search import Search, search
from cxrlens.train.device import choose_device
from cxrlens.train.inputs import LabelledImages
from cxrlens.train.options import TrainingOptions

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
        prepared = prepare(study, data, progress)
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
