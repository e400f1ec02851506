"""The check before training: lists, decodes and examines a study's images, and draws a contact sheet on request."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from cxrlens.arguments import checked
from cxrlens.audit.base import IntervalOptions, plain_result
from cxrlens.audit.case import CohortCase
from cxrlens.audit.data_check import CheckReport
from cxrlens.audit.data_check import check as check_cohort
from cxrlens.audit.masking import grey_histogram
from cxrlens.audit.network import cohort_results
from cxrlens.data.cache import ImageCache
from cxrlens.data.cohort import Cohort
from cxrlens.data.duplicates import Duplicates
from cxrlens.data.split import Split
from cxrlens.drawing import LiteralFigure
from cxrlens.errors import UserError
from cxrlens.evaluate.auc import too_few_patients
from cxrlens.files import write_atomically
from cxrlens.names import shortened
from cxrlens.outputs import check_output, picture_by, picture_facts
from cxrlens.pipeline.augment_search import FORMATS
from cxrlens.pipeline.prepare import decode_images, interval_warning, list_images, validation_patients
from cxrlens.progress import SILENT, Progress
from cxrlens.report.published import hanley_mcneil
from cxrlens.study import Study, read_study

NAMES = {1.0: "positive", 0.0: "negative"}


def sample_rows(table: pd.DataFrame, count: int, rng: np.random.Generator) -> pd.DataFrame:
    """At most `count` rows in the order of label and view; labels and views take turns, so that rare ones are shown."""
    shuffled = table.iloc[rng.permutation(len(table))]
    views = shuffled["view"].fillna("unknown")
    labels = shuffled["label"].fillna(-1.0)
    turn_of_view = shuffled.groupby([labels, views], sort=False).cumcount()
    by_view = shuffled.assign(_label=labels, _view=views, _turn=turn_of_view).sort_values(
        ["_label", "_turn"], ascending=[False, True], kind="stable"
    )
    turn = by_view.groupby("_label", sort=False).cumcount()
    chosen = by_view.assign(_turn=turn).sort_values("_turn", kind="stable").head(count)
    return chosen.sort_values(["_label", "_view"], ascending=[False, True], kind="stable")[list(table.columns)]


def contact_sheet(cohort: Cohort, cache: ImageCache, rng: np.random.Generator, count: int = 40) -> Figure:
    """Draws a stratified sample of a cohort's readable images, each with its label, view and source.

    Args:
        cohort: the listed images.
        cache: the readable images, decoded.
        rng: random generator of the sample.
        count: number of images at most.
    """
    readable = cohort.table[cohort.table["image"].isin(list(cache.index))]
    rows = sample_rows(readable, count, rng)
    across = min(8, max(1, len(rows)))
    down = math.ceil(len(rows) / across)
    figure = LiteralFigure(figsize=(1.7 * across, 2.15 * down + 0.4), dpi=110, layout="constrained")
    figure.suptitle(f"{cohort.name}: {len(rows)} of {len(readable)} readable images, by label and view", fontsize=10)
    grid = figure.subplots(down, across, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    columns = (rows[name].tolist() for name in ("image", "label", "view", "source"))
    for axes, (image, label, view, source) in zip(grid.flat, zip(*columns, strict=True), strict=False):
        axes.imshow(cache.pixels[cache.index[image]], cmap="gray", vmin=0, vmax=255)
        lines = (NAMES.get(label, "no label"), view or "view unknown", source or "source unknown")
        axes.set_title("\n".join(shortened(line, 28) for line in lines), fontsize=6.5, pad=2, loc="left")
    return figure


def cohort_case(
    cohort: Cohort,
    splits: Sequence[Split],
    cache: ImageCache,
    groups: Mapping[str, str],
    duplicates: Duplicates,
    intervals: IntervalOptions,
    progress: Progress = SILENT,
) -> CohortCase:
    """The input of the audit's probes of a cohort, which need no network.

    Args:
        cohort: the listed images.
        splits: splits of the study; empty where none can be drawn.
        cache: the readable images, decoded.
        groups: patient → group of patients who share an image, also where the split does not merge them.
        duplicates: result of `find_duplicates`.
        intervals: options of the intervals.
        progress: display of the work in progress.
    """
    return CohortCase(
        table=cohort.table,
        facts=cache.facts,
        splits=tuple(splits),
        groups=groups,
        duplicates=duplicates,
        histogram=grey_histogram(cache.pixels),
        intervals=intervals,
        progress=progress,
    )


@checked
def check(
    study: Study | str | Path,
    data: str | Path | None = None,
    *,
    sheet: str | Path | None = None,
    progress: Progress = SILENT,
    force: bool = False,
) -> CheckReport:
    """Checks a study's images: counts, missing and corrupt files, duplicates, patients, leaks, and hints to the label.

    Args:
        study: the study, or its file.
        data: folder of the study's images; None for a source that needs none.
        sheet: file of a contact sheet; its ending decides the format. None draws no sheet.
        progress: display of the work in progress.
        force: overwrite a file that is not a contact sheet; never a file below `data`.

    Raises:
        UserError: the folder is absent or has another layout, no image can be read, or `sheet` has an ending that is
            not in `FORMATS` or names a file that must not be overwritten.
    """
    study, _ = read_study(study)
    picture = Path(sheet) if sheet is not None else None
    if picture is not None and picture.suffix.lower() not in FORMATS:
        raise UserError(f"the sheet needs a file that ends in {', '.join(FORMATS)}; got {picture}")
    if picture is not None:
        below = [Path(data)] if data is not None else []
        check_output(picture, "the sheet", picture_by("data check"), folders=below, force=force)
    cohort = list_images(study, Path(data) if data is not None else None)
    cache = decode_images(cohort, study.images.reference, study.images.interpolation, progress)
    with progress.task("looking for duplicates", len(cohort)) as task:
        report = check_cohort(cohort, study.split, cache, progress=task.update)
    integrity, evaluation = report.integrity, study.evaluation
    intervals = IntervalOptions(evaluation.level, evaluation.draws, evaluation.seed)
    case = cohort_case(cohort, report.splits, cache, integrity.groups, integrity.duplicates, intervals, progress)
    images = sum(s.validation_positive for s in report.sides), sum(s.validation_negative for s in report.sides)
    sentences = [
        interval_warning(cohort.table, report.splits, report.merged),
        size_sentence(images, validation_patients(cohort.table, report.splits, report.merged), evaluation.level),
    ]
    report = replace(
        report,
        findings=tuple(plain_result(result) for result in cohort_results(case, study.audit.options)),
        warnings=(*report.warnings, *(sentence for sentence in sentences if sentence)),
    )
    if picture is not None:
        figure = contact_sheet(cohort, cache, np.random.default_rng(study.split.seed))
        write_atomically(picture, lambda draft: figure.savefig(draft, metadata=picture_facts(picture, "data check")))
    return report


def size_sentence(images: tuple[int, int], patients: tuple[int, int], level: float = 0.95) -> str:
    """The precision of an AUC from so many validation images and patients; "" where it has no interval.

    Args:
        images: number of positive and of negative images.
        patients: number of patients with a positive image and with a negative image.
        level: confidence level of the interval, between 0 and 1.

    >>> size_sentence((49, 54), (49, 54))
    'with 49 positive and 54 negative validation images an AUC of 0.75 is known to about ±0.09'
    >>> size_sentence((49, 54), (18, 19))[58:]
    'of 0.75 is known to about ±0.09, or ±0.16 if all images of a patient are alike'
    >>> size_sentence((40, 40), (40, 4))
    ''
    """
    if too_few_patients(*patients):
        return ""
    estimates = [hanley_mcneil(0.75, *counts, level) for counts in (images, patients)]
    by_image, by_patient = (f"±{(estimate.high - estimate.low) / 2:.2f}" for estimate in estimates)
    sentence = (
        f"with {images[0]} positive and {images[1]} negative validation images an AUC of 0.75 is known to about "
        f"{by_image}"
    )
    return sentence if by_image == by_patient else f"{sentence}, or {by_patient} if all images of a patient are alike"
