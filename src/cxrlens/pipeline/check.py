"""The look before training: a study's images listed, decoded, examined and, if wished, drawn on a contact sheet."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cxrlens.data.check import CheckReport
from cxrlens.data.check import check as check_cohort
from cxrlens.data.sheet import contact_sheet
from cxrlens.errors import UserError
from cxrlens.files import write_atomically
from cxrlens.pipeline.augment_sheet import FORMATS
from cxrlens.pipeline.pixels import decoded
from cxrlens.pipeline.prepare import listed
from cxrlens.progress import SILENT, Progress
from cxrlens.study import Study


def check(
    study: Study, data: str | Path | None = None, sheet: str | Path | None = None, progress: Progress = SILENT
) -> CheckReport:
    """Counts, missing and corrupt files, duplicates, patients and leaks of a study's images.

    Args:
        study: whose images, and whose split.
        data: the folder of the study's source; None for a source that needs none.
        sheet: where to draw a contact sheet; its ending says the format.
        progress: where the work is shown.

    Raises:
        UserError: the folder is absent or not the source's layout, no image can be read, or the sheet's ending is not
            one of `FORMATS`.
    """
    picture = Path(sheet) if sheet is not None else None
    if picture is not None and picture.suffix.lower() not in FORMATS:
        raise UserError(f"the sheet needs a file that ends in {', '.join(FORMATS)}; got {picture}")
    cohort = listed(study, Path(data) if data is not None else None)
    cache = decoded(cohort, study.images.reference, study.images.interpolation, progress)
    with progress.task("looking for duplicates", len(cohort)) as task:
        report = check_cohort(cohort, study.split, cache, progress=task.update)
    if picture is not None:
        figure = contact_sheet(cohort, cache, np.random.default_rng(study.split.seed))
        write_atomically(picture, lambda draft: figure.savefig(draft))
    return report
