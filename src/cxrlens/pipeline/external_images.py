"""Which images of another set may judge a run: none that it was made with, in any copy, and none of its patients."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cxrlens.data.cache import ImageCache
from cxrlens.data.cohort import Cohort, known_patients
from cxrlens.data.dicom_patients import HeaderOptions
from cxrlens.data.duplicates import Pair, find_duplicates, merge_groups
from cxrlens.data.overlap import find_overlap
from cxrlens.data.sources import Source
from cxrlens.data.sources.image_folder import ImageFolder
from cxrlens.data.sources.phantom import Phantom
from cxrlens.errors import UserError
from cxrlens.progress import SILENT, Progress

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
class Outside:
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
) -> Outside:
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
        near: tuple[tuple[str, str], ...] = ()
        if run_cache is None:
            notes.append(
                "the run's own images are not where they were, so copies of them (cropped, annotated, saved anew) "
                "could not be looked for: only the same files and the same patients are left out"
            )
        else:
            overlap = find_overlap(run_cache, cache, task.update)
            near = overlap.pairs
            if overlap.compared < overlap.shortlisted:
                notes.append(
                    f"{overlap.shortlisted} pairs of an image here and one of the run look alike when small; only the "
                    f"{overlap.compared} likeliest were compared, so a copy may have been missed"
                )
        within = find_duplicates(table, cache.pixels, cache.index, sha256, task.update)
    people = pd.concat([run_table["patient"], table["patient"]], ignore_index=True).to_frame()
    pairs = [*_pairs([*same, *near], run_table, table), *within.pairs]
    groups = merge_groups(people, pairs)  # called after the run's patient where there is one
    runs = {groups[patient] for patient in run_table["patient"]}
    reasons = {
        "unreadable": ~table["image"].isin(list(cache.index)),
        "same_file": table["image"].isin([image for _, image in same]),
        "near_duplicate": table["image"].isin([image for _, image in near]),
        "same_patient": table["patient"].map(groups).isin(list(runs)),
        "unlabelled": table["label"].isna(),
    }
    first = np.select(list(reasons.values()), list(reasons), default="")
    counts = {name: int((first == name).sum()) for name in REASONS}
    own = dict(zip(cohort.table["patient"], table["patient"].map(groups), strict=True))
    return Outside(cohort.table[first == ""], len(cohort), counts, dict(cohort.left_out), own, tuple(notes))


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
