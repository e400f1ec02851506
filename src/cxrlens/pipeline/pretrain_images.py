"""First stage of a pretraining: the labelled sets listed, decoded and joined, and their patients held out."""

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
from cxrlens.pipeline.prepare import decoded
from cxrlens.pretrain_study import PretrainStudy
from cxrlens.progress import SILENT, Progress
from cxrlens.train.inputs import LabelledImages


@dataclass(frozen=True)
class PretrainData:
    """What a pretraining learns from.

    Attributes:
        table: a row a readable image: `image` (`set/image`), `set`, `patient` (`set/patient`; two ids that share an
            image are one), `side` ("train", "validation", or "probe" of a set that is not learned from), `view`, `sex`,
            `age`, `sha256`, `depth` (see `Decoded`), and a column a finding (1, 0, NaN).
        cache: their pixels.
        findings: the columns that are learned.
        missing: image → why it cannot be read.
    """

    table: pd.DataFrame
    cache: JoinedCache
    findings: tuple[str, ...]
    missing: dict[str, str]

    def side(self, *names: str) -> pd.DataFrame:
        """The rows of some sides."""
        return self.table[self.table["side"].isin(names)].reset_index(drop=True)

    def labelled(self, *names: str) -> LabelledImages:
        """The images of some sides with their labels, float32 [n, findings]."""
        rows = self.side(*names)
        return LabelledImages(self.cache, tuple(rows["image"]), rows[list(self.findings)].to_numpy(np.float32))

    @property
    def digest(self) -> str:
        """SHA-256 over the name, content, depth, side and labels of every image but those that are only probed."""
        learned = self.table[self.table["side"] != "probe"]
        depth = ["depth"] if learned["depth"].notna().any() else []
        told = learned[["image", "sha256", *depth, "side", *self.findings]].sort_values("image")
        return hashlib.sha256(told.to_csv(index=False).encode()).hexdigest()


def gather(study: PretrainStudy, data_dir: Path | None, progress: Progress = SILENT) -> PretrainData:
    """Lists, decodes and divides every set.

    Raises:
        UserError: a set's folder is absent or mostly missing, or a finding has one class only on the training side.
    """
    caches, tables, missing = {}, [], {}
    for each in study.data:
        cohort = each.cohort(data_dir)
        for sentence in (*cohort.warnings, *ignored_files(cohort.unlisted, cohort.other_files)):
            progress.say(f"set '{each.name}': {sentence}")
        cache = decoded(cohort, study.images.size, study.images.interpolation, progress)
        cohort = cohort.with_missing(cache.missing)
        for sentence in reading_notes(cache.facts):
            progress.say(f"set '{each.name}': {sentence}")
        for sentence in reading_sentences(cache.facts):
            progress.say(f"warning: {each.name}: {sentence}")
        if len(cohort.missing) > each.source.most_missing * len(cohort):
            image, why = next(iter(cohort.missing.items()))
            raise UserError(
                f"set '{each.name}': {len(cohort.missing)} of {len(cohort)} listed images cannot be read "
                f"({image}: {why}): complete the folder, or say how large a share may be missing (most_missing)"
            )
        caches[each.name] = cache
        missing |= {f"{each.name}/{image}": why for image, why in cohort.missing.items()}
        tables.append(_table(study, each, cohort, cache, progress))
    table = pd.concat(tables, ignore_index=True)
    data = PretrainData(table, JoinedCache(caches), study.findings, missing)
    validation = data.side("validation")
    if validation.empty:
        raise UserError(
            f"no patient is held out for validation ({table['patient'].nunique()} patients, share "
            f"{study.images.validation:g}): raise [images] validation, or choose another seed"
        )
    for finding in study.findings:
        known = validation[validation[finding].notna()]
        with_it, without = known[known[finding] == 1], known[known[finding] == 0]
        if reason := too_few_patients(with_it["patient"].nunique(), without["patient"].nunique()):
            progress.say(
                f"warning: {finding}: the held-out patients have {len(with_it)} images with it and {len(without)} "
                f"without: its AUC will have no interval: {reason}"
            )
        known = data.side("train")[finding].dropna()
        if known.nunique() < 2:
            raise UserError(
                f"{finding}: the training side needs images with it and without; got {int(known.sum())} with and "
                f"{int((known == 0).sum())} without: leave the finding out or add images"
            )
    return data


def _table(
    study: PretrainStudy, each: FindingSet, cohort: Cohort, cache: ImageCache, progress: Progress
) -> pd.DataFrame:
    labels = each.labels(cohort)
    group = dict(zip(cohort.table["patient"], cohort.table["patient"], strict=True))
    sha256 = dict(zip(cache.facts["image"], cache.facts["sha256"], strict=True))
    if study.images.merge_duplicates:
        with progress.task(f"{each.name}: looking for duplicates", len(cohort)) as task:
            group = find_duplicates(cohort.table, cache, task.update).groups
    patients = [group[patient] for patient in cohort.table["patient"]]
    images = study.images
    held_out = [in_validation(each.name, patient, images.validation, study.seed) for patient in patients]
    table = pd.DataFrame(
        {
            "image": [f"{each.name}/{image}" for image in cohort.table["image"]],
            "set": each.name,
            "patient": [f"{each.name}/{patient}" for patient in patients],
            "side": "probe" if each.probe_only else np.where(held_out, "validation", "train"),
            **{name: cohort.table[name].to_numpy() for name in ("view", "sex", "age")},
            "sha256": [sha256.get(image) for image in cohort.table["image"]],
            "depth": cache.facts.set_index("image")["depth"].reindex(cohort.table["image"]).array,
        }
    )
    for finding in study.probed:
        table[finding] = labels[finding].to_numpy() if finding in labels else np.nan
    return table[cohort.table["image"].isin(list(cache.index)).to_numpy()].reset_index(drop=True)
