"""The paper's own AUCs (West, Jha and Tsang 2020, Table 1): published without intervals, given here."""

from __future__ import annotations

from cxrlens.evaluate.auc import PublishedAuc, hanley_mcneil

PAPER_POSITIVE, PAPER_NEGATIVE = 79, 17  # images of the paper's validation side


def published_interval(value: float | None, level: float = 0.95) -> PublishedAuc | None:
    """A published AUC with Hanley and McNeil's interval; None where the paper gives no value.

    >>> found = published_interval(0.816)
    >>> round(found.low, 2), round(found.high, 2)
    (0.7, 0.89)
    """
    return None if value is None else hanley_mcneil(value, PAPER_POSITIVE, PAPER_NEGATIVE, level)
