"""First stage of a run: lists the cohort, decodes its images, draws the split, and builds each model once."""

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


class Pixels:
    """The cohort's images as squares of every size that a study uses; each size is decoded once, at its first use."""

    def __init__(self, cohort: Cohort, options: ImageOptions, progress: Progress = SILENT) -> None:
        self._cohort, self._options, self._progress = cohort, options, progress
        self._caches: dict[tuple[int, str], ImageCache] = {}

    def at(self, size: int) -> tuple[ImageCache, ImageCache]:
        """The images for evaluation and the images for training.

        Both are the same cache unless the study sets `train_interpolation`.

        Args:
            size: side of the squares, in pixels.

        Raises:
            UserError: no image can be read, or the cache folder cannot be written.
        """
        usual = self._options.interpolation
        return self._cache(size, usual), self._cache(size, self._options.train_interpolation or usual)

    def _cache(self, size: int, interpolation: str) -> ImageCache:
        if (size, interpolation) not in self._caches:
            self._caches[size, interpolation] = decode_images(self._cohort, size, interpolation, self._progress)
        return self._caches[size, interpolation]


def decode_images(
    cohort: Cohort, size: int, interpolation: str, progress: Progress = SILENT, depth: int | None = None
) -> ImageCache:
    """Decodes the cohort's images to squares, or opens what an earlier call decoded.

    Args:
        cohort: the listed images.
        size: side of the squares, in pixels.
        interpolation: one of `cxrlens.data.images.INTERPOLATIONS`.
        progress: display of the work in progress.
        depth: bits that files of more than 8 bits are read as, see `build_cache`.

    Raises:
        UserError: no image can be read, or the cache folder cannot be written.
    """
    with progress.task("reading images", len(cohort)) as task:
        return build_cache(cohort, size, interpolation, progress=task.update, depth=depth)


@dataclass(frozen=True)
class Prepared:
    """The input of training.

    Attributes:
        study: the study.
        cohort: every listed image, and the reason for each missing one.
        pixels: the images at every size that the study uses.
        splits: one split, or one per fold.
        groups: patient → group, where patients who share an image count as one; empty if the study merges none.
        warnings: sentences for the top of the report.
        notes: sentences on ordinary assumptions about the files.
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
        """The images at the study's own size, with the facts of their files."""
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
        """SHA-256 over the images, see `images_digest`."""
        return images_digest(self.cache)


def images_digest(cache: ImageCache) -> str:
    """SHA-256 over name, content and depth (if it is more than 8 bits) of every readable image, in name order."""
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
    """Duplicate images of a cohort, searched once per run.

    Args:
        cohort: the listed images.
        cache: the readable images, decoded.
        run: folder of the run, whose `duplicates.json` holds the result for as long as the images are the same; None
            without a run.
        progress: display of the work in progress.
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
    """Lists and decodes the images of a study and draws its split.

    Args:
        study: the study.
        data: folder of the study's images; None for a source that needs none.
        progress: display of the work in progress.
        run: folder of the run, which keeps the result of the search for duplicates; None without a run.

    Raises:
        UserError: the folder is absent or has another layout, too few images can be read, or the split cannot be
            drawn.
    """
    cohort = list_images(study, data)
    pixels = Pixels(cohort, study.images, progress)
    cache, _ = pixels.at(study.images.reference)
    cohort = cohort.with_missing(cache.missing)
    if len(cohort.missing) > study.data.most_missing * len(cohort):
        raise UserError(
            f"{len(cohort.missing)} of {len(cohort)} listed images cannot be read ({_first_missing(cohort.missing)}): "
            "complete the folder, or set in the study's [data] what share may be missing (most_missing, now "
            f"{study.data.most_missing:g})"
        )
    groups = cohort_duplicates(cohort, cache, run, progress).groups if study.split.merges else {}
    splits = make_splits(cohort, study.split, groups)
    warnings = (*_warnings(cohort, splits, groups), *reading_sentences(cache.facts))
    return Prepared(study, cohort, pixels, splits, groups, warnings, tuple(reading_notes(cache.facts)))


def check_intervals(prepared: Prepared) -> None:
    """Checks before training that the AUCs can have intervals.

    Raises:
        UserError: a validation set is too small for an interval of an AUC.
    """
    check_interval(prepared.cohort.table, prepared.splits, prepared.groups)


def list_images(study: Study, data: Path | None) -> Cohort:
    """Lists the images of a study's source.

    Raises:
        UserError: the folder is not given, is absent or has another layout.
    """
    check_data_given(study, data)
    return study.data.cohort(data)


def check_data_given(study: Study, data: Path | None) -> None:
    """Checks, before any other work, that the folder of the images is given.

    Raises:
        UserError: the folder is needed and not given, or it is given although not needed and does not exist.
    """
    if study.data.needs_data_dir and data is None:
        raise UserError("this study needs the folder of its images: give it with --data PATH")
    if not study.data.needs_data_dir and data is not None and not data.exists():
        raise UserError(f"there is no folder {data}{nearest_file(data)}; this study needs no folder: leave --data out")


def write_cohort(run: RunFolder, prepared: Prepared) -> None:
    """Writes `cohort.csv` (the listed rows, each with the facts of its file or why it is missing) and `splits.csv`."""
    facts = prepared.cache.facts
    reserved = {*facts.columns, "missing", "side"} - {"image"}  # a source may have columns of these names, too
    table = prepared.cohort.table.drop(columns=["path"])
    table = table.rename(columns={name: f"table_{name}" for name in table if name in reserved})
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


def cohort_counts(prepared: Prepared) -> dict[str, object]:
    """The key `cohort` of `results.json`."""
    return cohort_summary(prepared.cohort, prepared.splits)


def _first_missing(missing: dict[str, str], most: int = 3) -> str:
    return "; ".join(f"{image}: {reason}" for image, reason in list(missing.items())[:most])


def validation_patients(table: pd.DataFrame, splits: Sequence[Split], groups: Mapping[str, str]) -> tuple[int, int]:
    """Number of patients with a positive and with a negative image in the validation sets of all splits.

    Args:
        table: cohort table.
        splits: splits of the study; the validation images of all of them are evaluated together.
        groups: patient → the patient that it counts as.
    """
    validation = table[table["image"].isin([image for split in splits for image in split.validation])]
    patients = [groups.get(patient, patient) for patient in validation["patient"]]
    pairs = {*zip(patients, validation["label"], strict=True)}
    positive, negative = (sum(label == value for _, label in pairs) for value in (1, 0))
    return positive, negative


def interval_warning(
    table: pd.DataFrame, splits: Sequence[Split], groups: Mapping[str, str], work: str = "study"
) -> str:
    """A sentence if the AUCs of a study will have no intervals or rough ones; else "".

    Args:
        table: cohort table.
        splits: splits of the study; the validation images of all of them are evaluated together.
        groups: patient → the patient that it counts as.
        work: what the AUCs are of: "study", or "search" where the folds are those of a search.
    """
    positive, negative = validation_patients(table, splits, groups)
    if not splits or min(positive, negative) >= ROUGH:
        return ""
    if reason := too_few_patients(positive, negative):
        return f"no AUC of this {work} will have an interval: {reason} on the validation side"
    return (
        f"intervals of this {work}'s AUCs will be rough: {positive} patients with positive and {negative} with "
        f"negative images on the validation side, where {ROUGH} of each are wanted"
    )


def _warnings(cohort: Cohort, splits: tuple[Split, ...], groups: dict[str, str]) -> tuple[str, ...]:
    warnings = [
        *cohort.warnings,
        patients_warning(cohort.table),
        *(split_warning(cohort.table, split, groups) for split in splits),
        interval_warning(cohort.table, splits, groups),
    ]
    if cohort.missing:
        names = first_few([*cohort.missing], 3)
        warnings.append(
            f"{len(cohort.missing)} of {len(cohort)} listed images cannot be read and are left out: {names}"
        )
    if groups and (merged := sum(patient != group for patient, group in groups.items())):
        warnings.append(f"{many(merged, 'patient id', 'share')} an image with another id: counted as that patient")
    return tuple(dict.fromkeys(sentence for sentence in warnings if sentence))


@dataclass(frozen=True)
class TrainableRow:
    """A row of the study whose weights are available.

    Attributes:
        row: the row.
        size: side of its images, in pixels.
        left_out: part of the study's figures that its network cannot have → the reason.
    """

    row: ModelRow
    size: int
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def sentences(self) -> list[str]:
        """Sentences on what the figures leave out."""
        return [left_out_sentence(part, self.row.name, reason) for part, reason in self.left_out.items()]


def row_size(row: ModelRow, images: ImageOptions, study_dir: Path | None = None) -> int:
    """Side of a row's images in pixels: the row's own, else the study's.

    Where that is "weights", it is the size that the row's weights were trained at, or 224 if they do not say.

    Raises:
        UserError: the size is "weights" and the weights are "auto" for a backbone without published weights.
        OutOfReach: the size is "weights" and the weights are not available.
    """
    size = images.size if row.size is None else row.size
    return size if size != "weights" else trained_size(row.weights, row.backbone, study_dir) or USUAL_SIZE


def trainable_rows(
    study: Study, study_dir: Path | None, progress: Progress = SILENT
) -> tuple[list[TrainableRow], list[dict[str, str]]]:
    """The rows whose weights are available, and the rows that are skipped, each with its `name` and `reason`.

    Each row is built once, so that a fault shows before hours of training. A row that replaces another (`instead_of`)
    is in neither list if the weights of the other are available.

    Raises:
        UserError: a row cannot be built or cannot take a training step of its batch, or no row has available weights.
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
                rows.append(TrainableRow(row, size, explanation_faults(model, study.explain)))
            except OutOfReach as error:
                progress.say(f"left out: {row.name}: {error}")
                skipped.append({"name": row.name, "reason": error.reason})
            except UserError as error:
                raise UserError(f"model '{row.name}': {error}") from error
    if not rows:
        raise UserError(
            "the weights of no model are available:\n"
            + "\n".join(f"- {row['name']}: {row['reason']}" for row in skipped)
        )
    available = {row.row.name for row in rows}
    return [row for row in rows if row.row.instead_of not in available], skipped
