"""First stage of a pretraining: lists, decodes and joins the labelled data sets, and holds out patients."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cxrlens.data.cache import ImageCache
from cxrlens.data.cohort import Cohort
from cxrlens.data.duplicates import find_duplicates
from cxrlens.data.files import ignored_files
from cxrlens.data.finding_sets import FindingSet, JoinedCache, in_validation
from cxrlens.data.steps import reading_notes, reading_sentences
from cxrlens.errors import UserError
from cxrlens.evaluate.auc import too_few_patients
from cxrlens.pipeline.prepare import decode_images
from cxrlens.pretrain_study import PretrainStudy
from cxrlens.progress import SILENT, Progress
from cxrlens.train.inputs import LabelledImages


@dataclass(frozen=True)
class PretrainData:
    """The images of a pretraining.

    Attributes:
        table: one row per readable image: `image` (`set/image`), `set`, `patient` (`set/patient`; two ids that share an
            image are one), `side` ("train", "validation", or "probe" for a data set that is only probed), `view`,
            `sex`, `age`, `sha256`, `depth` (see `Decoded`), and one column per finding (1, 0, NaN).
        cache: decoded images.
        findings: columns of the findings that are trained on.
        missing: image → the reason why it cannot be read.
    """

    table: pd.DataFrame
    cache: JoinedCache
    findings: tuple[str, ...]
    missing: dict[str, str]

    def subset(self, *names: str) -> pd.DataFrame:
        """The rows whose `side` is one of the names."""
        return self.table[self.table["side"].isin(names)].reset_index(drop=True)

    def labelled(self, *names: str) -> LabelledImages:
        """The images whose `side` is one of the names, with their labels, float32 [n, findings]."""
        rows = self.subset(*names)
        return LabelledImages(self.cache, tuple(rows["image"]), rows[list(self.findings)].to_numpy(np.float32))

    @property
    def digest(self) -> str:
        """SHA-256 over name, content, depth, side and labels of every image that is not only probed."""
        trained_on = self.table[self.table["side"] != "probe"]
        depth = ["depth"] if trained_on["depth"].notna().any() else []
        columns = trained_on[["image", "sha256", *depth, "side", *self.findings]].sort_values("image")
        return hashlib.sha256(columns.to_csv(index=False).encode()).hexdigest()


def gather(study: PretrainStudy, data_dir: Path | None, progress: Progress = SILENT) -> PretrainData:
    """Lists, decodes and divides every data set.

    Raises:
        UserError: the folder of a set is absent, too many of its images are missing, or the training images of a
            finding have only one class.
    """
    caches, tables, missing = {}, [], {}
    for data_set in study.data:
        cohort = data_set.cohort(data_dir)
        for sentence in (*cohort.warnings, *ignored_files(cohort.unlisted, cohort.other_files)):
            progress.say(f"set '{data_set.name}': {sentence}")
        cache = decode_images(cohort, study.images.size, study.images.interpolation, progress)
        cohort = cohort.with_missing(cache.missing)
        for sentence in reading_notes(cache.facts):
            progress.say(f"set '{data_set.name}': {sentence}")
        for sentence in reading_sentences(cache.facts):
            progress.say(f"warning: set '{data_set.name}': {sentence}")
        if len(cohort.missing) > data_set.source.most_missing * len(cohort):
            image, why = next(iter(cohort.missing.items()))
            raise UserError(
                f"set '{data_set.name}': {len(cohort.missing)} of {len(cohort)} listed images cannot be read "
                f"({image}: {why}): complete the folder, or set what share may be missing (most_missing)"
            )
        caches[data_set.name] = cache
        missing |= {f"{data_set.name}/{image}": why for image, why in cohort.missing.items()}
        tables.append(_table(study, data_set, cohort, cache, progress))
    table = pd.concat(tables, ignore_index=True)
    data = PretrainData(table, JoinedCache(caches), study.findings, missing)
    validation = data.subset("validation")
    if validation.empty:
        raise UserError(
            f"no patient is held out for validation ({table['patient'].nunique()} patients, share "
            f"{study.images.validation:g}): raise [images] validation, or choose another seed"
        )
    for finding in study.findings:
        positive, negative = validation[validation[finding] == 1], validation[validation[finding] == 0]
        if reason := too_few_patients(positive["patient"].nunique(), negative["patient"].nunique()):
            progress.say(
                f"warning: {finding}: the held-out patients have {len(positive)} images with it and {len(negative)} "
                f"without it. Its AUC will have no interval: {reason}"
            )
        labels = data.subset("train")[finding].dropna()
        if labels.nunique() < 2:
            raise UserError(
                f"{finding}: the training set needs images with it and without it; got {int(labels.sum())} with and "
                f"{int((labels == 0).sum())} without: leave the finding out or add images"
            )
    return data


def _table(
    study: PretrainStudy, data_set: FindingSet, cohort: Cohort, cache: ImageCache, progress: Progress
) -> pd.DataFrame:
    labels = data_set.labels(cohort)
    group = dict(zip(cohort.table["patient"], cohort.table["patient"], strict=True))
    sha256 = dict(zip(cache.facts["image"], cache.facts["sha256"], strict=True))
    if study.images.merge_duplicates:
        with progress.task(f"{data_set.name}: looking for duplicates", len(cohort)) as task:
            group = find_duplicates(cohort.table, cache, task.update).groups
    patients = [group[patient] for patient in cohort.table["patient"]]
    images = study.images
    held_out = [in_validation(data_set.name, patient, images.validation, study.seed) for patient in patients]
    table = pd.DataFrame(
        {
            "image": [f"{data_set.name}/{image}" for image in cohort.table["image"]],
            "set": data_set.name,
            "patient": [f"{data_set.name}/{patient}" for patient in patients],
            "side": "probe" if data_set.probe_only else np.where(held_out, "validation", "train"),
            **{name: cohort.table[name].to_numpy() for name in ("view", "sex", "age")},
            "sha256": [sha256.get(image) for image in cohort.table["image"]],
            "depth": cache.facts.set_index("image")["depth"].reindex(cohort.table["image"]).array,
        }
    )
    for finding in study.probed:
        table[finding] = labels[finding].to_numpy() if finding in labels else np.nan
    return table[cohort.table["image"].isin(list(cache.index)).to_numpy()].reset_index(drop=True)
