"""The look before training: a study's images listed, decoded, examined and, if wished, drawn on a contact sheet."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

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
from cxrlens.pipeline.prepare import decoded, interval_warning, listed, validation_patients
from cxrlens.progress import SILENT, Progress
from cxrlens.report.published import hanley_mcneil
from cxrlens.study import Study, read_study

# A contact sheet of a cohort: a few images of every label and view, each with what the table says of it.

NAMES = {1.0: "positive", 0.0: "negative"}


def sample_rows(table: pd.DataFrame, count: int, rng: np.random.Generator) -> pd.DataFrame:
    """At most `count` rows, label by label and view by view in turn, so that rare ones are seen; in that order."""
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
    """A stratified sample of a cohort's readable images.

    Args:
        cohort: whose table names label, view and source.
        cache: of its images.
        rng: of the sample.
        count: images to show.
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
        said = (NAMES.get(label, "no label"), view or "view unknown", source or "source unknown")
        axes.set_title("\n".join(shortened(text, 28) for text in said), fontsize=6.5, pad=2, loc="left")
    return figure


# What the audit's questions to a cohort are asked of, made from the listed and decoded images.


def cohort_case(
    cohort: Cohort,
    splits: Sequence[Split],
    cache: ImageCache,
    groups: Mapping[str, str],
    duplicates: Duplicates,
    judging: IntervalOptions,
    progress: Progress = SILENT,
) -> CohortCase:
    """A cohort before training.

    Args:
        cohort: the listed images.
        splits: the study's; empty where none can be drawn.
        cache: of its readable images.
        groups: patient → the patient it counts as, from `integrity.merge_groups` whatever the split makes of it.
        duplicates: by `find_duplicates`.
        judging: how intervals are made.
        progress: where the work is shown.
    """
    return CohortCase(
        table=cohort.table,
        facts=cache.facts,
        splits=tuple(splits),
        groups=groups,
        duplicates=duplicates,
        histogram=grey_histogram(cache.pixels),
        intervals=judging,
        progress=progress,
    )


def check(
    study: Study | str | Path,
    data: str | Path | None = None,
    *,
    sheet: str | Path | None = None,
    progress: Progress = SILENT,
    force: bool = False,
) -> CheckReport:
    """Counts, missing and corrupt files, duplicates, patients and leaks of a study's images, and what tells the label.

    Args:
        study: whose images, and whose split; or its file.
        data: the folder of the study's source; None for a source that needs none.
        sheet: where to draw a contact sheet; its ending says the format.
        progress: where the work is shown.
        force: draw the sheet over a file that is no such sheet; never over one below `data`.

    Raises:
        UserError: the folder is absent or not the source's layout, no image can be read, or the sheet's ending is not
            one of `FORMATS` or it must not be written over.
    """
    study, _ = read_study(study)
    picture = Path(sheet) if sheet is not None else None
    if picture is not None and picture.suffix.lower() not in FORMATS:
        raise UserError(f"the sheet needs a file that ends in {', '.join(FORMATS)}; got {picture}")
    if picture is not None:
        below = [Path(data)] if data is not None else []
        check_output(picture, "the sheet", picture_by("data check"), folders=below, force=force)
    cohort = listed(study, Path(data) if data is not None else None)
    cache = decoded(cohort, study.images.reference, study.images.interpolation, progress)
    with progress.task("looking for duplicates", len(cohort)) as task:
        report = check_cohort(cohort, study.split, cache, progress=task.update)
    found, judging = (
        report.integrity,
        IntervalOptions(study.evaluation.level, study.evaluation.draws, study.evaluation.seed),
    )
    case = cohort_case(cohort, report.splits, cache, found.groups, found.duplicates, judging, progress)
    images = sum(s.validation_positive for s in report.sides), sum(s.validation_negative for s in report.sides)
    told = [
        interval_warning(cohort.table, report.splits, report.merged),
        size_sentence(images, validation_patients(cohort.table, report.splits, report.merged), study.evaluation.level),
    ]
    report = replace(
        report,
        findings=tuple(plain_result(each) for each in cohort_results(case, study.audit.options)),
        warnings=(*report.warnings, *(sentence for sentence in told if sentence)),
    )
    if picture is not None:
        figure = contact_sheet(cohort, cache, np.random.default_rng(study.split.seed))
        write_atomically(picture, lambda draft: figure.savefig(draft, metadata=picture_facts(picture, "data check")))
    return report


def size_sentence(images: tuple[int, int], patients: tuple[int, int], level: float = 0.95) -> str:
    """How well an AUC can be known from so many validation images and patients; "" where it has no interval.

    Args:
        images: positive and negative.
        patients: with a positive image, and with a negative one.
        level: of the interval.

    >>> size_sentence((49, 54), (49, 54))
    'with 49 positive and 54 negative validation images an AUC of 0.75 is known to about ±0.09'
    >>> size_sentence((49, 54), (18, 19))[58:]
    'of 0.75 is known to about ±0.09, or ±0.16 if all images of a patient are alike'
    >>> size_sentence((40, 40), (40, 4))
    ''
    """
    if too_few_patients(*patients):
        return ""
    found = [hanley_mcneil(0.75, *counts, level) for counts in (images, patients)]
    apart, alike = (f"±{(one.high - one.low) / 2:.2f}" for one in found)
    known = (
        f"with {images[0]} positive and {images[1]} negative validation images an AUC of 0.75 is known to about {apart}"
    )
    return known if apart == alike else f"{known}, or {alike} if all images of a patient are alike"
