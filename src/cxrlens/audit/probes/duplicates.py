"""One exposure that is there twice: under two patients, under two labels, or on both sides of the split."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cxrlens.audit.base import AuditResult, refused
from cxrlens.audit.case import CohortCase
from cxrlens.audit.probes import PROBES, CohortProbe
from cxrlens.data.duplicates import Pair
from cxrlens.data.split import Split
from cxrlens.evaluate.records import plain
from cxrlens.text import many

ONE = "pairs of images that are one exposure"
DIRECTION = "0: none; each pair is one too many"
LIMITS = (
    "finds the same file, and the same exposure cropped by a few per cent, annotated or re-windowed; a copy that is "
    "mirrored, turned or cropped more can be missed"
)


@PROBES.register("duplicates")
class DuplicatePairs(CohortProbe):
    """Counts of the pairs that the search before training found; no sample."""

    def findings(self, case: CohortCase) -> list[AuditResult]:
        """Three findings, or one where no image is there twice."""
        pairs = case.duplicates.pairs
        if not pairs:
            return [self._found(case, ONE, (), f"None of {many(len(case.facts), 'readable image')} is there twice.")]
        two_ids = [pair for pair in pairs if pair.two_ids]
        conflicts = [pair for pair in pairs if pair.conflict]
        ids, labels = "under two patient ids", "labelled positive here and negative there"
        return [
            self._found(case, f"{ONE}, {ids}", two_ids, _sentence(case, two_ids, ids)),
            self._found(case, f"{ONE}, {labels}", conflicts, _sentence(case, conflicts, labels)),
            self._across(case),
        ]

    def _across(self, case: CohortCase) -> AuditResult:
        statistic = f"{ONE}, on both sides of the split"
        if not case.splits:
            return refused(self.name, None, statistic, "the study's split cannot be drawn", LIMITS, DIRECTION)
        chosen = [pair for pair in case.duplicates.pairs if any(_apart(pair, split) for split in case.splits)]
        where = "on both sides of the split" + (", in some fold" if len(case.splits) > 1 else "")
        return self._found(case, statistic, chosen, _sentence(case, chosen, where))

    def _found(self, case: CohortCase, statistic: str, chosen: Sequence[Pair], sentence: str) -> AuditResult:
        missed = case.duplicates.shortlisted - case.duplicates.compared
        unsure = missed > 0 and not chosen
        return AuditResult(
            self.name, None, statistic, float(len(chosen)), np.nan, np.nan,
            "flag" if chosen else "undecided" if unsure else "clear", LIMITS, DIRECTION, sentence,
            reason=f"{many(missed, 'pair')} of images that look alike were not compared" if unsure else "",
            evidence={"pairs": plain(list(chosen)), "all_pairs": len(case.duplicates.pairs)},
        )  # fmt: skip


def _sentence(case: CohortCase, chosen: Sequence[Pair], where: str) -> str:
    count = f"{len(chosen) or 'none'} {'is' if len(chosen) == 1 else 'are'}"
    return f"Of {many(len(case.duplicates.pairs), 'pair')} of images that are one exposure, {count} {where}."


def _apart(pair: Pair, split: Split) -> bool:
    one, other = pair.images
    train, validation = split.listed_train, split.listed_validation
    return (one in train and other in validation) or (other in train and one in validation)
