"""The look before training: a study's images listed, decoded, examined and, if wished, drawn on a contact sheet."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from cxrlens.audit.cohort import cohort_findings
from cxrlens.audit.estimate import Judging
from cxrlens.audit.records import plain_finding
from cxrlens.data.check import CheckReport
from cxrlens.data.check import check as check_cohort
from cxrlens.data.sheet import contact_sheet
from cxrlens.errors import UserError
from cxrlens.evaluate.auc import too_few_patients
from cxrlens.files import write_atomically
from cxrlens.outputs import check_output, picture_by, picture_facts
from cxrlens.pipeline.augment_sheet import FORMATS
from cxrlens.pipeline.cohort_case import cohort_case
from cxrlens.pipeline.pixels import decoded
from cxrlens.pipeline.prepare import interval_warning, listed, validation_patients
from cxrlens.progress import SILENT, Progress
from cxrlens.report.published import hanley_mcneil
from cxrlens.study import Study, read_study


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
    found, judging = report.integrity, Judging(study.evaluation.level, study.evaluation.draws, study.evaluation.seed)
    case = cohort_case(cohort, report.splits, cache, found.groups, found.duplicates, judging, progress)
    images = sum(s.validation_positive for s in report.sides), sum(s.validation_negative for s in report.sides)
    told = [
        interval_warning(cohort.table, report.splits, report.merged),
        size_sentence(images, validation_patients(cohort.table, report.splits, report.merged), study.evaluation.level),
    ]
    report = replace(
        report,
        findings=tuple(plain_finding(each) for each in cohort_findings(case, study.audit.options)),
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
