"""Two images of one exposure: under two patients, with two labels, or in both the training and the validation set."""

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

ONE = "pairs of images of one exposure"
DIRECTION = "0: no such pair; every pair is a fault of the data"
LIMITS = (
    "finds the same file, and the same exposure cropped by a few per cent, annotated or re-windowed; a copy that is "
    "mirrored, rotated or cropped more can be missed"
)


@PROBES.register("duplicates")
class DuplicatePairs(CohortProbe):
    """The number of pairs among the listed images: a count, not a sample, so it has no interval."""

    def results(self, case: CohortCase) -> list[AuditResult]:
        """Three results, or one where there is no pair."""
        all_pairs = case.duplicates.pairs
        if not all_pairs:
            return [
                self._result(case, ONE, (), f"No two of {many(len(case.facts), 'readable image')} show one exposure.")
            ]
        two_ids = [pair for pair in all_pairs if pair.two_ids]
        conflicts = [pair for pair in all_pairs if pair.conflict]
        ids, labels = "two patient ids", "one positive and one negative label"
        return [
            self._result(case, f"{ONE} with {ids}", two_ids, _sentence(case, two_ids, ids)),
            self._result(case, f"{ONE} with {labels}", conflicts, _sentence(case, conflicts, labels)),
            self._across(case),
        ]

    def _across(self, case: CohortCase) -> AuditResult:
        where = "one image in the training set and one in the validation set"
        statistic = f"{ONE} with {where}"
        if not case.splits:
            return refused(self.name, None, statistic, "the study's split cannot be drawn", LIMITS, DIRECTION)
        pairs = [pair for pair in case.duplicates.pairs if any(_across_the_split(pair, split) for split in case.splits)]
        where += " in some fold" if len(case.splits) > 1 else ""
        return self._result(case, statistic, pairs, _sentence(case, pairs, where))

    def _result(self, case: CohortCase, statistic: str, pairs: Sequence[Pair], sentence: str) -> AuditResult:
        not_compared = case.duplicates.shortlisted - case.duplicates.compared
        incomplete = not_compared > 0 and not pairs
        return AuditResult(
            self.name, None, statistic, float(len(pairs)), np.nan, np.nan,
            "flag" if pairs else "undecided" if incomplete else "clear", LIMITS, DIRECTION, sentence,
            reason=f"{many(not_compared, 'pair')} of images that look alike were not compared" if incomplete else "",
            evidence={"pairs": plain(list(pairs)), "all_pairs": len(case.duplicates.pairs)},
        )  # fmt: skip


def _sentence(case: CohortCase, pairs: Sequence[Pair], what: str) -> str:
    count = f"{len(pairs) or 'none'} {'has' if len(pairs) == 1 else 'have'}"
    return f"Of {many(len(case.duplicates.pairs), 'pair')} of images of one exposure, {count} {what}."


def _across_the_split(pair: Pair, split: Split) -> bool:
    first, second = pair.images
    train, validation = split.listed_train, split.listed_validation
    return (first in train and second in validation) or (second in train and first in validation)
