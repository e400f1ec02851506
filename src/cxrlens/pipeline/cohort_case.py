"""What the audit's questions to a cohort are asked of, made from the listed and decoded images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cxrlens.audit.case import CohortCase
from cxrlens.audit.estimate import Judging
from cxrlens.audit.histogram import grey_histogram
from cxrlens.data.cache import ImageCache
from cxrlens.data.cohort import Cohort
from cxrlens.data.duplicates import Duplicates
from cxrlens.data.split import Split
from cxrlens.progress import SILENT, Progress


def cohort_case(
    cohort: Cohort,
    splits: Sequence[Split],
    cache: ImageCache,
    groups: Mapping[str, str],
    duplicates: Duplicates,
    judging: Judging,
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
        judging=judging,
        progress=progress,
    )
