"""First stage: the cohort listed, its images decoded, its sides drawn."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from cxrlens.data.cache import ImageCache, build_cache
from cxrlens.data.cohort import Cohort
from cxrlens.data.duplicates import Duplicates, find_duplicates, search_identity
from cxrlens.data.files import ignored_files
from cxrlens.data.split import Split, check_interval, cohort_summary, make_splits, patients_warning, split_warning
from cxrlens.data.steps import reading_notes, reading_sentences
from cxrlens.errors import UserError, nearest_file
from cxrlens.evaluate.auc import ROUGH, too_few_patients
from cxrlens.models.classifier import build_classifier
from cxrlens.models.weights.find import OutOfReach, trained_size
from cxrlens.pipeline.explain.omissions import explanation_faults
from cxrlens.progress import SILENT, Progress
from cxrlens.report.page.explanations import left_out_sentence
from cxrlens.run_folder import RunFolder
from cxrlens.study import USUAL_SIZE, ImageOptions, ModelRow, Study
from cxrlens.text import first_few, many
from cxrlens.train.loop import training_fault

# The cohort's images as squares of every size that a study's rows ask for, each decoded once.


class Pixels:
    """Images by size; a size that nobody asked for is not decoded."""

    def __init__(self, cohort: Cohort, options: ImageOptions, progress: Progress = SILENT) -> None:
        self._cohort, self._options, self._progress = cohort, options, progress
        self._made: dict[tuple[int, str], ImageCache] = {}

    def at(self, size: int) -> tuple[ImageCache, ImageCache]:
        """The images as they are validated and as they are trained on: one and the same unless the study says not.

        Raises:
            UserError: none can be read, or the cache folder cannot be written.
        """
        usual = self._options.interpolation
        return self._decoded(size, usual), self._decoded(size, self._options.train_interpolation or usual)

    def _decoded(self, size: int, interpolation: str) -> ImageCache:
        if (size, interpolation) not in self._made:
            self._made[size, interpolation] = decoded(self._cohort, size, interpolation, self._progress)
        return self._made[size, interpolation]


def decoded(
    cohort: Cohort, size: int, interpolation: str, progress: Progress = SILENT, depth: int | None = None
) -> ImageCache:
    """The cohort's images as squares, read once and kept; `depth` as in `build_cache`.

    Raises:
        UserError: none can be read, or the cache folder cannot be written.
    """
    with progress.task("reading images", len(cohort)) as task:
        return build_cache(cohort, size, interpolation, progress=task.update, depth=depth)


@dataclass(frozen=True)
class Prepared:
    """What training needs.

    Attributes:
        study: what is asked.
        cohort: every listed image, with what is missing.
        pixels: the images at every size that is asked for.
        splits: one, or one a fold.
        groups: patient → the patient it was merged with, where an image stands under two ids.
        warnings: sentences for the top of the report.
        notes: sentences on what is assumed, and is nothing odd.
    """

    study: Study
    cohort: Cohort
    pixels: Pixels
    splits: tuple[Split, ...]
    groups: dict[str, str]
    warnings: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def cache(self) -> ImageCache:
        """The images at the study's own size, with what is known of their files."""
        return self.pixels.at(self.study.images.reference)[0]

    @property
    def passed_over(self) -> list[str]:
        """Sentences on the files beside the images that are not used."""
        return ignored_files(self.cohort.unlisted, self.cohort.other_files)

    @property
    def labels(self) -> pd.Series:
        """Label by image."""
        return self.cohort.table.set_index("image")["label"]

    @property
    def digest(self) -> str:
        """SHA-256 over the images, see `digest_of`."""
        return digest_of(self.cache)


def digest_of(cache: ImageCache) -> str:
    """SHA-256 over every readable image's name, content and depth (where it is more than 8 bits), in name order."""
    facts = cache.facts.sort_values("image")
    columns = (facts["image"], facts["sha256"], facts["depth"])
    lines = [
        f"{image}\t{sha256}" + ("" if pd.isna(depth) else f"\t{depth}")
        for image, sha256, depth in zip(*columns, strict=True)
    ]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def cohort_duplicates(
    cohort: Cohort, cache: ImageCache, run: RunFolder | None = None, progress: Progress = SILENT
) -> Duplicates:
    """The images that are there twice in a cohort, searched once in the life of a run.

    Args:
        cohort: the listed images.
        cache: the readable ones, decoded.
        run: folder of the run, whose `duplicates.json` holds the result for as long as the images are the same; None
            without a run.
        progress: where the work is shown.
    """

    def search() -> Duplicates:
        with progress.task("looking for duplicates", len(cohort)) as task:
            return find_duplicates(cohort.table, cache, task.update)

    if run is None:
        return search()
    return run.cached(
        "duplicates.json",
        [search_identity(cohort.table, cache)],
        lambda: search().to_json(),
        lambda record: Duplicates.from_json(record, cohort.table),
    )


def prepare(study: Study, data: Path | None, progress: Progress = SILENT, run: RunFolder | None = None) -> Prepared:
    """Lists, decodes and splits.

    Args:
        study: what is asked.
        data: the folder of the study's source; None for a source that needs none.
        progress: where the work is shown.
        run: folder of the run, which keeps the result of the search for duplicates; None without a run.

    Raises:
        UserError: the folder is absent or not the source's layout, too few images can be read, or the sides cannot be
            drawn.
    """
    cohort = listed(study, data)
    pixels = Pixels(cohort, study.images, progress)
    cache, _ = pixels.at(study.images.reference)
    cohort = cohort.with_missing(cache.missing)
    if len(cohort.missing) > study.data.most_missing * len(cohort):
        raise UserError(
            f"{len(cohort.missing)} of {len(cohort)} listed images cannot be read ({_first(cohort.missing)}): complete "
            f"the folder, or say in the study's [data] how large a share may be missing (most_missing, now "
            f"{study.data.most_missing:g})"
        )
    groups = cohort_duplicates(cohort, cache, run, progress).groups if study.split.merges else {}
    splits = make_splits(cohort, study.split, groups)
    warnings = (*_warnings(cohort, splits, groups), *reading_sentences(cache.facts))
    return Prepared(study, cohort, pixels, splits, groups, warnings, tuple(reading_notes(cache.facts)))


def need_interval(prepared: Prepared) -> None:
    """Asks before training for what the evaluation needs after it.

    Raises:
        UserError: a validation side is too small for an interval of an AUC.
    """
    check_interval(prepared.cohort.table, prepared.splits, prepared.groups)


def listed(study: Study, data: Path | None) -> Cohort:
    """The study's images, as its source lists them.

    Raises:
        UserError: the folder is not given, absent or not the source's layout.
    """
    need_data(study, data)
    return study.data.cohort(data)


def need_data(study: Study, data: Path | None) -> None:
    """Asks for the folder of the images before any other work is done.

    Raises:
        UserError: it is needed and not given, or it is given, though not needed, and absent.
    """
    if study.data.needs_data_dir and data is None:
        raise UserError("this study's images are in a folder of yours: give it with --data PATH")
    if not study.data.needs_data_dir and data is not None and not data.exists():
        raise UserError(f"there is no folder {data}{nearest_file(data)}; this study's images need none: leave it out")


def write_cohort(run: RunFolder, prepared: Prepared) -> None:
    """Writes `cohort.csv` (the listed rows, each with its file's facts or why it is missing) and `splits.csv`."""
    facts = prepared.cache.facts
    taken = {*facts.columns, "missing", "side"} - {"image"}  # the source may have columns of such names, too
    table = prepared.cohort.table.drop(columns=["path"])
    table = table.rename(columns={name: f"table_{name}" for name in table if name in taken})
    table = table.merge(facts, on="image", how="left")
    table["missing"] = table["image"].map(prepared.cohort.missing)
    run.write_table(run.path / "cohort.csv", table)
    rows = [
        (image, split.fold, side)
        for split in prepared.splits
        for side, images in (("train", split.listed_train), ("validation", split.listed_validation))
        for image in images
    ]
    run.write_table(run.path / "splits.csv", pd.DataFrame(rows, columns=["image", "fold", "side"]))


def summary(prepared: Prepared) -> dict[str, object]:
    """The `cohort` of `results.json`."""
    return cohort_summary(prepared.cohort, prepared.splits)


def _first(missing: dict[str, str], most: int = 3) -> str:
    return "; ".join(f"{image}: {reason}" for image, reason in list(missing.items())[:most])


def validation_patients(table: pd.DataFrame, splits: Sequence[Split], groups: Mapping[str, str]) -> tuple[int, int]:
    """Patients with a positive and with a negative image on the validation sides of all splits, see below."""
    judged = table[table["image"].isin([image for split in splits for image in split.validation])]
    who = [(groups.get(name, name), label) for name, label in zip(judged["patient"], judged["label"], strict=True)]
    positive, negative = (len({patient for patient, label in who if label == sign}) for sign in (1, 0))
    return positive, negative


def interval_warning(table: pd.DataFrame, splits: Sequence[Split], groups: Mapping[str, str]) -> str:
    """What is known before training of the intervals of its AUCs: that there will be none, or rough ones; else "".

    Args:
        table: the cohort's.
        splits: the study's; the validation images of all of them judge a model together.
        groups: patient → the patient it counts as.
    """
    positive, negative = validation_patients(table, splits, groups)
    if not splits or min(positive, negative) >= ROUGH:
        return ""
    if reason := too_few_patients(positive, negative):
        return f"no AUC of this study will have an interval: {reason} on the validation side"
    return (
        f"intervals of this study's AUCs will be rough: {positive} patients with positive and {negative} with negative "
        f"images on the validation side, where {ROUGH} of each are wanted"
    )


def _warnings(cohort: Cohort, splits: tuple[Split, ...], groups: dict[str, str]) -> tuple[str, ...]:
    found = [
        *cohort.warnings,
        patients_warning(cohort.table),
        *(split_warning(cohort.table, split, groups) for split in splits),
        interval_warning(cohort.table, splits, groups),
    ]
    if cohort.missing:
        some = first_few([*cohort.missing], 3)
        found.append(f"{len(cohort.missing)} of {len(cohort)} listed images cannot be read and are left out: {some}")
    if groups and (merged := sum(patient != group for patient, group in groups.items())):
        found.append(f"{many(merged, 'patient id', 'share')} an image with another id: counted as that patient")
    return tuple(dict.fromkeys(sentence for sentence in found if sentence))


# The rows of a study that can be trained here, each with the size of its images.


@dataclass(frozen=True)
class Trainable:
    """A row whose weights are in reach.

    Attributes:
        row: of the study.
        size: side of its images, in pixels.
        without: what of the study's figures its network cannot have → why.
    """

    row: ModelRow
    size: int
    without: Mapping[str, str] = field(default_factory=dict)

    @property
    def sentences(self) -> list[str]:
        """What the figures will do without."""
        return [left_out_sentence(what, self.row.name, why) for what, why in self.without.items()]


def row_size(row: ModelRow, images: ImageOptions, study_dir: Path | None = None) -> int:
    """Side of a row's images in pixels: its own, else the study's; of "weights", what theirs says, else 224.

    Raises:
        UserError: "weights" for a row of weights "auto" that nobody publishes, or (OutOfReach) that are not in reach.
    """
    asked = images.size if row.size is None else row.size
    return asked if asked != "weights" else trained_size(row.weights, row.backbone, study_dir) or USUAL_SIZE


def trainable_rows(
    study: Study, study_dir: Path | None, progress: Progress = SILENT
) -> tuple[list[Trainable], list[dict[str, str]]]:
    """The rows whose weights are in reach, each built once so that a fault shows before hours of training; the others.

    A row that stands in for another is in neither where that one is in reach.

    Raises:
        UserError: a row that can't be built or can't take a training step of its batch, or none whose weights are in
            reach.
    """
    rows, skipped = [], []
    with progress.task("building models", len(study.models)) as task:
        for number, row in enumerate(study.models):
            task.update(number)
            try:
                size = row_size(row, study.images, study_dir)
                model = build_classifier(row, size, study.seeds[0], study_dir)
                if fault := training_fault(model, min(2, row.batch)):
                    raise UserError(fault)
                rows.append(Trainable(row, size, explanation_faults(model, study.explain)))
            except OutOfReach as error:
                progress.say(f"left out: {row.name}: {error}")
                skipped.append({"name": row.name, "reason": error.reason})
            except UserError as error:
                raise UserError(f"model '{row.name}': {error}") from error
    if not rows:
        raise UserError(
            "no model's weights are in reach:\n" + "\n".join(f"- {e['name']}: {e['reason']}" for e in skipped)
        )
    here = {each.row.name for each in rows}
    return [each for each in rows if each.row.instead_of not in here], skipped
