"""Every network of a finished run judged on images from elsewhere, none of which it was made with."""

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
from cxrlens.pipeline.prepare import Prepared, decoded, listed
from cxrlens.progress import SILENT, Progress
from cxrlens.run_folder import SCHEMA_VERSION, RunFolder
from cxrlens.study import Study, folder_name, read_study
from cxrlens.train.device import choose_device

# Which images of another set may judge a run: none that it was made with, in any copy, and none of its patients.

OTHER_SET = "other set"  # before the names of its patients

# An image is counted once, under the first that holds.
REASONS = {
    "unreadable": "cannot be read",
    "same_file": "the same file as an image of the run",
    "near_duplicate": "the same exposure as an image of the run",
    "same_patient": "of a patient of the run",
    "unlabelled": "without a label",
}


@dataclass(frozen=True)
class ExternalImages:
    """The images of another set that may judge a run.

    Attributes:
        table: the cohort's rows of these images, in file order.
        listed: how many images the set lists.
        left_out: reason (`REASONS`) → how many of those are left out.
        unasked: reason → how many images the study's options had left out before.
        groups: patient → the patient it counts as, where an image stands under two ids.
        notes: sentences on what could not be looked for.
    """

    table: pd.DataFrame
    listed: int
    left_out: dict[str, int]
    unasked: dict[str, int]
    groups: dict[str, str]
    notes: tuple[str, ...]

    @property
    def classes(self) -> tuple[int, int]:
        """How many of the images are positive, and how many negative."""
        return int((self.table["label"] == 1).sum()), int((self.table["label"] == 0).sum())

    @property
    def sentence(self) -> str:
        """How many there are, and why others are left out."""
        reasons = [f"{count} {REASONS[name]}" for name, count in self.left_out.items() if count]
        left_out = f"; left out: {', '.join(reasons)}" if reasons else ""
        return f"{len(self.table)} of {self.listed} listed images{left_out}"


def outside_images(
    cohort: Cohort,
    cache: ImageCache,
    run_table: pd.DataFrame,
    run_cache: ImageCache | None,
    same_people: bool,
    progress: Progress = SILENT,
) -> ExternalImages:
    """Leaves out what the run knows.

    A patient is the run's by id (where both sets number the same people, and both name that patient: one whom a source
    does not name is nobody else, whatever the files are called), or because an image of theirs is in the run or, under
    another id, is an image of one who is.

    Args:
        cohort: of the other set.
        cache: of its readable images.
        run_table: the run's `cohort.csv`: image, patient, patient_known, sha256 (empty where a file was missing).
        run_cache: the run's own images at the same size; None where they are gone, so that copies are not looked for.
        same_people: whether equal patient ids of the two sets are one person.
        progress: where the work is shown.
    """
    notes = [*cohort.warnings]
    table = cohort.table.assign(patient=_told_apart(cohort.table, run_table, same_people))
    sha256 = dict(zip(cache.facts["image"], cache.facts["sha256"], strict=True))
    with progress.task("looking for duplicates", len(cache.index)) as task:
        known_files = {
            digest: image
            for image, digest in zip(run_table["image"], run_table["sha256"], strict=True)
            if isinstance(digest, str)
        }
        same = [(known_files[digest], image) for image, digest in sha256.items() if digest in known_files]
        study_dir: tuple[tuple[str, str], ...] = ()
        if run_cache is None:
            notes.append(
                "the run's own images are not where they were, so copies of them (cropped, annotated, saved anew) "
                "could not be looked for: only the same files and the same patients are left out"
            )
        else:
            overlap = find_overlap(run_cache, cache, task.update)
            study_dir = overlap.pairs
            if overlap.compared < overlap.shortlisted:
                notes.append(
                    f"{overlap.shortlisted} pairs of an image here and one of the run look alike when small; only the "
                    f"{overlap.compared} likeliest were compared, so a copy may have been missed"
                )
        within = find_duplicates(table, cache, task.update)
    people = pd.concat([run_table["patient"], table["patient"]], ignore_index=True).to_frame()
    pairs = [*_pairs([*same, *study_dir], run_table, table), *within.pairs]
    groups = merge_groups(people, pairs)  # called after the run's patient where there is one
    runs = {groups[patient] for patient in run_table["patient"]}
    reasons = {
        "unreadable": ~table["image"].isin(list(cache.index)),
        "same_file": table["image"].isin([image for _, image in same]),
        "near_duplicate": table["image"].isin([image for _, image in study_dir]),
        "same_patient": table["patient"].map(groups).isin(list(runs)),
        "unlabelled": table["label"].isna(),
    }
    first = np.select(list(reasons.values()), list(reasons), default="")
    counts = {name: int((first == name).sum()) for name in REASONS}
    own = dict(zip(cohort.table["patient"], table["patient"].map(groups), strict=True))
    return ExternalImages(cohort.table[first == ""], len(cohort), counts, dict(cohort.left_out), own, tuple(notes))


def numbered_alike(one: Source, other: Source) -> bool:
    """Whether equal patient ids of two sets are one person: sets of one kind, and phantoms only of one seed.

    Raises:
        UserError: ids from DICOM headers are written in two ways, so that no patient of both sets could be known again.
    """
    if isinstance(one, Phantom) and isinstance(other, Phantom):
        return one.seed == other.seed
    both = isinstance(one, HeaderOptions) and isinstance(other, HeaderOptions)
    if both and (one.patient_ids, one.salt) != (other.patient_ids, other.salt):
        raise UserError(
            "the run and the study of the other images write patient ids in two ways, so no patient of both would be "
            "noticed; give the study's [data] the run's patient_ids and salt, or say --ids-apart if nobody is in both"
        )
    folders = isinstance(one, ImageFolder) and isinstance(other, ImageFolder)  # a folder of DICOM is one too
    return folders or type(one) is type(other)


def _told_apart(table: pd.DataFrame, run_table: pd.DataFrame, same_people: bool) -> list[str]:
    """The other set's patients, each under a name that is a patient's of the run only where it is that person."""
    ours = {*run_table["patient"]}
    same = {*run_table["patient"][known_patients(run_table)]} if same_people else set()
    before = f"{OTHER_SET}/"
    while any(patient.startswith(before) for patient in ours):
        before = f"_{before}"
    return [
        patient if known and patient in same else f"{before}{patient}"
        for patient, known in zip(table["patient"], known_patients(table), strict=True)
    ]


def _pairs(images: Iterable[tuple[str, str]], run_table: pd.DataFrame, table: pd.DataFrame) -> list[Pair]:
    ours, theirs = (dict(zip(each["image"], each["patient"], strict=True)) for each in (run_table, table))
    unknown = (np.nan, np.nan)
    return [Pair((one, other), (ours[one], theirs[other]), unknown, False, np.nan) for one, other in images]


PREDICTIONS = ("model", "seed", "fold", "image", "patient", "label", "probability", "logit")
LIMITS = (
    "Other images differ in everything at once (machines, patients, how disease was labelled): a fall does not say "
    "which of it counts, and a network that holds up may use a shortcut that both sets have."
)


@dataclass(frozen=True)
class ExternalResult:
    """A run's models on other images.

    Attributes:
        name: of the other images: their study's, or their folder's.
        data: where they are from: `source`, `study` and `folder` (its last name); None where there is none.
        study: name of the run's.
        images: those that judge, and why others do not.
        models: each one inside and outside, in the run's order.
        evaluation: all that is said of the models outside.
        predictions: model, seed, fold, image, patient, label, probability, logit.
        place: a hash of where the other images lie, which tells two folders of one name apart; "" where there is none.
        file: the JSON file that the result was written to, the predictions beside it; None before.
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
        """A row a model: AUC inside (on the run's validation images) and outside, and the difference, with intervals.

        `p_holm` is of no difference, corrected for the number of models; sensitivity and specificity are outside, at
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
        """Plain values; the predictions are a table of their own."""
        judged, (positive, negative) = self.evaluation.to_json(), self.images.classes
        counts = {"listed": self.images.listed, "judged": len(self.images.table)}
        return {
            "schema_version": SCHEMA_VERSION,
            "study": self.study,
            "data": {"name": self.name, **self.data},
            "place": self.place,
            "images": {**counts, "positive": positive, "negative": negative},
            "left_out": self.images.left_out,
            "left_out_by_the_study": self.images.unasked,
            "notes": list(self.images.notes),
            "models": [_plain_model(model) for model in self.models],
            "comparisons": judged["comparisons"],
            "winner": judged["winner"],
            "evaluation": judged["evaluation"],
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
    """Judges a run's networks on images from elsewhere.

    Every network looks at every image. What the run was made with is left out and counted: the same files, copies of
    them, other images of its patients.

    Args:
        run: finished.
        data: the folder of the other images; None where their source needs none.
        study: the study, or its file, whose `[data]` says how they are listed and labelled; nothing else of it counts.
            The run's own by default.
        device: "auto", "cpu" or "cuda".
        progress: where work is shown.
        ids_apart: equal patient ids are different people, as where two places number theirs from 1. Otherwise they are
            one person wherever both sets are of one kind of source.

    Raises:
        UserError: the images cannot be listed or read, or fewer than 2 of a class are left. No network is loaded then.
    """
    study = read_study(study)[0] if study is not None else None
    chosen, data_dir = choose_device(device), Path(data) if data is not None else None
    source, options = (study or run.study).data, run.study.images
    same_people = not ids_apart and numbered_alike(run.study.data, source)
    cohort = _other_images(run, data_dir, study)
    cache = decoded(cohort, options.reference, options.interpolation, progress, run.depth)
    reopened = _own_images(run, progress)
    images = outside_images(
        cohort.with_missing(cache.missing), cache, run.cohort, reopened.cache if reopened else None,
        same_people, progress,
    )  # fmt: skip
    images = replace(images, notes=(*images.notes, *reading_notes(cache.facts), *reading_sentences(cache.facts)))
    positive, negative = images.classes
    if min(positive, negative) < 2:
        hint = "; where equal ids are different people, say --ids-apart" if images.left_out["same_patient"] else ""
        raise UserError(f"{too_few(positive, negative)}. To judge this run there are {images.sentence}{hint}")
    training = training_predictions(run)
    predictions = predict_outside(run, cohort, images.table, chosen, progress)
    run_groups = reopened.groups if reopened else {}
    judged, models = evaluate_outside(run, predictions, training, images.table, images.groups, run_groups)
    folder = data_dir.resolve().name if data_dir is not None and source.needs_data_dir else None
    told = {"source": cohort.name, "study": study.name if study else None, "folder": folder}
    name = study.name if study else folder or run.study.name
    place = hashlib.sha256(os.fsencode(data_dir.resolve())).hexdigest()[:16] if folder is not None and data_dir else ""
    return ExternalResult(name, told, run.study.name, images, models, judged, predictions, place)


def check_external(
    run: FinishedRun, out: Path, inputs: Sequence[Path] = (), folders: Sequence[Path] = (), force: bool = False
) -> None:
    """Refuses, before any work, an `out` that `write_external` must not write over.

    Args:
        run: whose own files are safe, too.
        out: the JSON file; the predictions go beside it.
        inputs: files that are read.
        folders: folders whose files are read.
        force: write over files of other origin.

    Raises:
        UserError: it or the table beside it is read, or is there and no earlier result.
    """
    known = [*inputs, *run.folder.own_files()]
    written = json_of("data", "left_out", "left_out_by_the_study", "evaluation")
    check_output(out, "the result", written, known, folders, force)
    check_output(out.with_suffix(".csv"), "the table of predictions", table_of(PREDICTIONS), known, folders, force)


def write_external(
    run: FinishedRun, found: ExternalResult, out: Path | None = None, force: bool = False
) -> ExternalResult:
    """Writes `external/NAME.json` into the run's folder, or `out`, and the predictions beside it as CSV.

    Where NAME is there already of another folder, the name is numbered, "NAME 2", in the file and on the page too.

    Returns:
        The result under the name that it has there, with its `file`.

    Raises:
        UserError: it cannot be written, or see `check_external`.
    """
    if out is not None:
        check_external(run, out, force=force)
    found, path = (found, out) if out is not None else _numbered(found, run.folder.path / "external")
    run.folder.write_table(path.with_suffix(".csv"), found.predictions)
    RunFolder(path.parent).write_json(path.name, found.to_json())
    return replace(found, file=path)


def _numbered(found: ExternalResult, folder: Path) -> tuple[ExternalResult, Path]:
    """The result under a name that no result of another folder has, and its file."""
    for number in itertools.count(1):
        name = found.name if number == 1 else f"{found.name} {number}"
        path = folder / f"{folder_name(name)}.json"
        if not path.exists() or RunFolder(folder).read_json(path.name).get("place", found.place) == found.place:
            return replace(found, name=name), path
    raise AssertionError


def _other_images(run: FinishedRun, data_dir: Path | None, study: Study | None) -> Cohort:
    try:
        return listed(study or run.study, data_dir)
    except UserError as error:
        if study is not None or data_dir is None:
            raise
        hint = "they were read as the run's study says; where they are laid out or labelled otherwise, give a --study"
        raise UserError(f"{error} ({hint})") from error


def _own_images(run: FinishedRun, progress: Progress) -> Prepared | None:
    """The run's own images, where they still are what and where they were."""
    try:
        return reopen(run, None, progress)[0]
    except UserError:
        return None


def _plain_model(model: ExternalModel) -> dict[str, Any]:
    outside = plain(model.outside)
    for key in ("name", "seeds", "folds", "seed_aucs", "auc_seed_sd", "curves"):  # networks stand for these
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
