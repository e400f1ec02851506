"""External validation: evaluates every network of a finished run on images that the run was not made with."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cxrlens.data.cache import ImageCache
from cxrlens.data.cohort import Cohort, known_patients
from cxrlens.data.dicom_patients import HeaderOptions
from cxrlens.data.duplicates import Pair, find_duplicates, find_overlap, merge_groups
from cxrlens.data.sources import Source
from cxrlens.data.sources.image_folder import ImageFolder
from cxrlens.data.sources.phantom import Phantom
from cxrlens.data.steps import reading_notes, reading_sentences
from cxrlens.errors import UserError
from cxrlens.evaluate.auc import too_few
from cxrlens.evaluate.records import Evaluation, plain
from cxrlens.outputs import check_output, json_of, table_of
from cxrlens.pipeline.external_evaluate import ExternalModel, evaluate_outside, predict_outside, training_predictions
from cxrlens.pipeline.finished_run import FinishedRun, reopen
from cxrlens.pipeline.prepare import Prepared, decode_images, list_images
from cxrlens.progress import SILENT, Progress
from cxrlens.report.results_text import EXCLUSIONS, exclusions_text
from cxrlens.run_folder import SCHEMA_VERSION, RunFolder
from cxrlens.study import Study, folder_name, read_study
from cxrlens.train.device import choose_device

OTHER_SET = "other set"  # prefix of its patient ids


@dataclass(frozen=True)
class ExternalImages:
    """The images of another set on which a run is evaluated: without copies of its images and without its patients.

    Attributes:
        table: rows of these images in the other set's cohort table, in file order.
        listed: number of images that the other set lists.
        left_out: reason (`EXCLUSIONS`) → number of listed images that are left out.
        left_out_by_study: reason → number of images that the study's options leave out of the list.
        groups: patient of the other set → the patient that it counts as, where patients share an image.
        notes: warnings, and sentences on searches that were not possible.
    """

    table: pd.DataFrame
    listed: int
    left_out: dict[str, int]
    left_out_by_study: dict[str, int]
    groups: dict[str, str]
    notes: tuple[str, ...]

    @property
    def classes(self) -> tuple[int, int]:
        """Number of positive and of negative images."""
        return int((self.table["label"] == 1).sum()), int((self.table["label"] == 0).sum())

    @property
    def sentence(self) -> str:
        """The number of images, and of those that are left out for each reason."""
        reasons = exclusions_text(self.left_out)
        left_out = f"; left out: {reasons}" if reasons else ""
        return f"{len(self.table)} of {self.listed} listed images{left_out}"


def external_images(
    cohort: Cohort,
    cache: ImageCache,
    run_table: pd.DataFrame,
    run_cache: ImageCache | None,
    same_people: bool,
    progress: Progress = SILENT,
) -> ExternalImages:
    """Leaves out the images and patients of a run.

    A patient of the other set is a patient of the run in two cases. Either both have the same id, if both sets number
    the same people and both sources name the patient; a patient whom a source does not name equals no other. Or they
    share an image, directly or through another patient id.

    Args:
        cohort: listed images of the other set.
        cache: its readable images, decoded.
        run_table: `cohort.csv` of the run: image, patient, patient_known, sha256 (empty for a missing file).
        run_cache: the run's own images at the same size; None if they are gone, so that no copies can be searched.
        same_people: whether equal patient ids of the two sets are one person.
        progress: display of the work in progress.
    """
    notes = [*cohort.warnings]
    table = cohort.table.assign(patient=_distinct_patients(cohort.table, run_table, same_people))
    sha256 = dict(zip(cache.facts["image"], cache.facts["sha256"], strict=True))
    with progress.task("looking for duplicates", len(cache.index)) as task:
        known_files = {
            digest: image
            for image, digest in zip(run_table["image"], run_table["sha256"], strict=True)
            if isinstance(digest, str)
        }
        same = [(known_files[digest], image) for image, digest in sha256.items() if digest in known_files]
        copies: tuple[tuple[str, str], ...] = ()
        if run_cache is None:
            notes.append(
                "the run's own images are not in their folder, so copies of them (cropped, annotated, saved again) "
                "could not be searched: only identical files and the run's patients are left out"
            )
        else:
            overlap = find_overlap(run_cache, cache, task.update)
            copies = overlap.pairs
            if overlap.compared < overlap.shortlisted:
                notes.append(
                    f"{overlap.shortlisted} pairs of an image and an image of the run look similar when small; only "
                    f"the {overlap.compared} most similar were compared, so a copy may have been missed"
                )
        duplicates = find_duplicates(table, cache, task.update)
    patients = pd.concat([run_table["patient"], table["patient"]], ignore_index=True).to_frame()
    pairs = [*_pairs([*same, *copies], run_table, table), *duplicates.pairs]
    groups = merge_groups(patients, pairs)  # a group with a patient of the run is named after that patient
    run_groups = {groups[patient] for patient in run_table["patient"]}
    reasons = {
        "unreadable": ~table["image"].isin(list(cache.index)),
        "same_file": table["image"].isin([image for _, image in same]),
        "near_duplicate": table["image"].isin([image for _, image in copies]),
        "same_patient": table["patient"].map(groups).isin(list(run_groups)),
        "unlabelled": table["label"].isna(),
    }
    first = np.select(list(reasons.values()), list(reasons), default="")
    counts = {name: int((first == name).sum()) for name in EXCLUSIONS}
    own_groups = dict(zip(cohort.table["patient"], table["patient"].map(groups), strict=True))
    return ExternalImages(
        cohort.table[first == ""], len(cohort), counts, dict(cohort.left_out), own_groups, tuple(notes)
    )


def share_patient_ids(one: Source, other: Source) -> bool:
    """Whether equal patient ids of two sets are one person: yes for sets of one kind, and for phantoms of one seed.

    Raises:
        UserError: the sets write ids from DICOM headers in different ways, so that a patient of both would be missed.
    """
    if isinstance(one, Phantom) and isinstance(other, Phantom):
        return one.seed == other.seed
    both = isinstance(one, HeaderOptions) and isinstance(other, HeaderOptions)
    if both and (one.patient_ids, one.salt) != (other.patient_ids, other.salt):
        raise UserError(
            "the run and the study of the other images write patient ids in different ways, so a patient of both would "
            "be missed; give the study's [data] the run's patient_ids and salt, or use --ids-apart if no patient is in "
            "both"
        )
    folders = isinstance(one, ImageFolder) and isinstance(other, ImageFolder)  # a folder of DICOM is one too
    return folders or type(one) is type(other)


def _distinct_patients(table: pd.DataFrame, run_table: pd.DataFrame, same_people: bool) -> list[str]:
    """Patient ids of the other set, with a prefix unless they are the same person as the run's patient of that id."""
    run_patients = {*run_table["patient"]}
    same = {*run_table["patient"][known_patients(run_table)]} if same_people else set()
    prefix = f"{OTHER_SET}/"
    while any(patient.startswith(prefix) for patient in run_patients):
        prefix = f"_{prefix}"
    return [
        patient if known and patient in same else f"{prefix}{patient}"
        for patient, known in zip(table["patient"], known_patients(table), strict=True)
    ]


def _pairs(images: Iterable[tuple[str, str]], run_table: pd.DataFrame, table: pd.DataFrame) -> list[Pair]:
    run_patient, patient = (dict(zip(rows["image"], rows["patient"], strict=True)) for rows in (run_table, table))
    unknown = (np.nan, np.nan)
    return [Pair((one, other), (run_patient[one], patient[other]), unknown, False, np.nan) for one, other in images]


PREDICTIONS = ("model", "seed", "fold", "image", "patient", "label", "probability", "logit")
LIMITS = (
    "The two sets of images differ in many ways at once (devices, patients, how disease was labelled). A lower AUC "
    "does not show which difference caused it. A network with the same AUC may use a shortcut that both sets have."
)


@dataclass(frozen=True)
class ExternalResult:
    """Result of the external validation of a run: its models inside (its own images) and outside (the other images).

    Attributes:
        name: name of the other images: that of their study or folder.
        data: origin of the other images: `source`, `study` and `folder` (its last name); None where there is none.
        study: name of the run's study.
        images: the evaluated images, and the number of those left out.
        models: each model inside and outside, in the run's order.
        evaluation: evaluation of the models outside.
        predictions: one row per network and image: model, seed, fold, image, patient, label, probability, logit.
        place: hash of the path of the other images' folder, which distinguishes two folders of one name; "" without a
            folder.
        file: JSON file of the result, with the predictions beside it; None before it is written.
    """

    name: str
    data: dict[str, str | None]
    study: str
    images: ExternalImages
    models: tuple[ExternalModel, ...]
    evaluation: Evaluation
    predictions: pd.DataFrame
    place: str = ""
    file: Path | None = None

    def table(self) -> pd.DataFrame:
        """One row per model: AUC inside (the run's validation images) and outside, and the difference, with intervals.

        `p_holm` tests the difference, corrected for the number of models. Sensitivity and specificity are outside, at
        each network's threshold from its training images. Unknown is NaN.
        """
        return pd.DataFrame(
            {
                "model": model.name,
                "inside": model.inside_auc, "inside_low": model.inside_low, "inside_high": model.inside_high,
                "outside": model.outside.auc, "outside_low": model.outside.auc_low,
                "outside_high": model.outside.auc_high,
                "difference": model.change.difference, "low": model.change.low, "high": model.change.high,
                "p_holm": model.change.p_holm,
                "sensitivity": model.outside.threshold.sensitivity, "specificity": model.outside.threshold.specificity,
            }
            for model in self.models
        )  # fmt: skip

    def __repr__(self) -> str:
        positive, negative = self.images.classes
        lines = [f"{self.study} on {self.name}: {positive} positive and {negative} negative images"]
        for model in self.models:
            inside, outside = model.inside_auc, model.outside.auc
            lines.append(f"  {model.name}: AUC {inside:.3f} inside, {outside:.3f} outside")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """The result as plain values, without the predictions."""
        evaluation, (positive, negative) = self.evaluation.to_json(), self.images.classes
        counts = {"listed": self.images.listed, "evaluated": len(self.images.table)}
        return {
            "schema_version": SCHEMA_VERSION,
            "study": self.study,
            "data": {"name": self.name, **self.data},
            "place": self.place,
            "images": {**counts, "positive": positive, "negative": negative},
            "left_out": self.images.left_out,
            "left_out_by_the_study": self.images.left_out_by_study,
            "notes": list(self.images.notes),
            "models": [_plain_model(model) for model in self.models],
            "comparisons": evaluation["comparisons"],
            "winner": evaluation["winner"],
            "evaluation": evaluation["evaluation"],
            "limits": LIMITS,
            "notice": "For research only; never for diagnosis.",
        }


def evaluate_external(
    run: FinishedRun,
    data: str | Path | None = None,
    *,
    study: Study | str | Path | None = None,
    device: str = "auto",
    progress: Progress = SILENT,
    ids_apart: bool = False,
) -> ExternalResult:
    """Evaluates a run's networks on other images.

    Every network predicts every image. Images of the run are left out and counted: identical files, copies, and other
    images of its patients.

    Args:
        run: the finished run.
        data: folder of the other images; None if their source needs none.
        study: study, or its file, whose `[data]` lists and labels the other images; nothing else of it is used. By
            default the run's own.
        device: "auto", "cpu" or "cuda".
        progress: display of the work in progress.
        ids_apart: whether equal patient ids are different people, for example if two hospitals number their patients
            from 1. Otherwise they are one person if both sets have the same kind of source.

    Raises:
        UserError: the images cannot be listed or read, or fewer than 2 of a class are left. No network is loaded then.
    """
    study = read_study(study)[0] if study is not None else None
    chosen, data_dir = choose_device(device), Path(data) if data is not None else None
    source, options = (study or run.study).data, run.study.images
    same_people = not ids_apart and share_patient_ids(run.study.data, source)
    cohort = _other_images(run, data_dir, study)
    cache = decode_images(cohort, options.reference, options.interpolation, progress, run.depth)
    reopened = _own_images(run, progress)
    images = external_images(
        cohort.with_missing(cache.missing), cache, run.cohort, reopened.cache if reopened else None,
        same_people, progress,
    )  # fmt: skip
    images = replace(images, notes=(*images.notes, *reading_notes(cache.facts), *reading_sentences(cache.facts)))
    positive, negative = images.classes
    if min(positive, negative) < 2:
        hint = "; if equal patient ids are different people, use --ids-apart" if images.left_out["same_patient"] else ""
        raise UserError(f"{too_few(positive, negative)}. Images for this evaluation: {images.sentence}{hint}")
    training = training_predictions(run)
    predictions = predict_outside(run, cohort, images.table, chosen, progress)
    run_groups = reopened.groups if reopened else {}
    evaluation, models = evaluate_outside(run, predictions, training, images.table, images.groups, run_groups)
    folder = data_dir.resolve().name if data_dir is not None and source.needs_data_dir else None
    origin = {"source": cohort.name, "study": study.name if study else None, "folder": folder}
    name = study.name if study else folder or run.study.name
    place = hashlib.sha256(os.fsencode(data_dir.resolve())).hexdigest()[:16] if folder is not None and data_dir else ""
    return ExternalResult(name, origin, run.study.name, images, models, evaluation, predictions, place)


def check_external(
    run: FinishedRun, out: Path, inputs: Sequence[Path] = (), folders: Sequence[Path] = (), force: bool = False
) -> None:
    """Refuses, before any work, an `out` that `write_external` must not overwrite.

    Args:
        run: the run; its own files are protected, too.
        out: the JSON file; the predictions go beside it.
        inputs: files that are read.
        folders: folders whose files are read.
        force: overwrite files of other origin.

    Raises:
        UserError: the file or the table beside it is an input, or exists and is not an earlier result.
    """
    protected = [*inputs, *run.folder.own_files()]
    earlier = json_of("data", "left_out", "left_out_by_the_study", "evaluation")
    check_output(out, "the result", earlier, protected, folders, force)
    check_output(out.with_suffix(".csv"), "the table of predictions", table_of(PREDICTIONS), protected, folders, force)


def write_external(
    run: FinishedRun, result: ExternalResult, out: Path | None = None, force: bool = False
) -> ExternalResult:
    """Writes `external/NAME.json` into the run's folder, or `out`, and the predictions beside it as CSV.

    If NAME exists already for another folder, the name gets a number ("NAME 2") in the file and in the report.

    Args:
        run: the run.
        result: result of `evaluate_external`.
        out: the JSON file; None for the run's folder.
        force: overwrite files of other origin.

    Returns:
        The result under its final name, with its `file`.

    Raises:
        UserError: it cannot be written, or see `check_external`.
    """
    if out is not None:
        check_external(run, out, force=force)
    result, path = (result, out) if out is not None else _with_own_name(result, run.folder.path / "external")
    run.folder.write_table(path.with_suffix(".csv"), result.predictions)
    RunFolder(path.parent).write_json(path.name, result.to_json())
    return replace(result, file=path)


def _with_own_name(result: ExternalResult, folder: Path) -> tuple[ExternalResult, Path]:
    """The result under a name that no result of another folder has, and its file."""
    for number in itertools.count(1):
        name = result.name if number == 1 else f"{result.name} {number}"
        path = folder / f"{folder_name(name)}.json"
        if not path.exists() or RunFolder(folder).read_json(path.name).get("place", result.place) == result.place:
            return replace(result, name=name), path
    raise AssertionError


def _other_images(run: FinishedRun, data_dir: Path | None, study: Study | None) -> Cohort:
    source = (study or run.study).data
    if data_dir is not None and data_dir.exists() and not source.needs_data_dir:
        raise UserError(
            f"the study's images are made by its source and not read from {data_dir}; describe the images of that "
            "folder in the [data] of another study, and give that study with --study"
        )
    try:
        return list_images(study or run.study, data_dir)
    except UserError as error:
        if study is not None or data_dir is None:
            raise
        hint = "the run's own study lists these images; if their layout or labels differ, give a study with --study"
        raise UserError(f"{error} ({hint})") from error


def _own_images(run: FinishedRun, progress: Progress) -> Prepared | None:
    """The run's own images; None if they have changed or are not in their folder."""
    try:
        return reopen(run, None, progress)[0]
    except UserError:
        return None


def _plain_model(model: ExternalModel) -> dict[str, Any]:
    outside = plain(model.outside)
    for key in ("name", "seeds", "folds", "seed_aucs", "auc_seed_sd", "curves"):  # `networks` replaces these
        del outside[key]
    change = plain(model.change)
    return {
        "name": model.name,
        "inside": {
            "auc": model.inside_auc, "auc_low": model.inside_low, "auc_high": model.inside_high,
            "rough": model.inside_rough, "reason": model.inside_reason,
        },
        "outside": {**outside, "networks": plain(model.networks)},
        "difference": {key: change[key] for key in ("difference", "low", "high", "p", "p_holm", "reason")},
    }  # fmt: skip
