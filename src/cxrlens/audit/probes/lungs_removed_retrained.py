"""Lungs removed before training as well: what can be learned where there are no lungs (Maguolo and Nanni 2020)."""

from __future__ import annotations

from cxrlens.audit.ablation import LEFT
from cxrlens.audit.base import Finding, refused
from cxrlens.audit.case import ModelCase
from cxrlens.audit.estimate import auc_estimate
from cxrlens.audit.filled import filled, mean_grey
from cxrlens.audit.lungs.regions import one_sided
from cxrlens.audit.probes import PROBES, ModelProbe
from cxrlens.audit.probes.lungs_removed import without_lungs

STATISTIC = "AUC after training without the lungs"
LIMITS = (
    "shows that images without lungs can be told apart, by anything in them, the shape of the hole among it; not that "
    "the network trained on whole images does so"
)


@PROBES.register("lungs_removed_retrained")
class LungsRemovedRetrained(ModelProbe):
    """The AUC of this row trained anew, and judged, on images whose lungs are filled with one grey."""

    @property
    def by_choice(self) -> bool:
        """It trains a network."""
        return True

    def findings(self, case: ModelCase) -> list[Finding]:
        """One finding."""
        side = case.training
        reason = without_lungs(case) or ("no training was asked for" if case.again is None else "")
        reason = reason or one_sided(f"in training, {side.lungs.origin}", side.lungs.known, side.labels)
        if reason or case.again is None:
            return [refused(self.name, case.name, STATISTIC, reason, LIMITS)]
        there, rows, grey = side.lungs.rows, case.lungs.rows, mean_grey(side.pixels)
        trained = filled(side.pixels[there], side.lungs.masks[there], grey)
        judged = filled(case.pixels[rows], case.lungs.masks[rows], grey)
        logits = case.again(trained, side.labels[there], judged)
        left = auc_estimate(logits, case.labels, case.patients, case.judging, rows)
        return [Finding(
            self.name, case.name, STATISTIC, left.value, left.low, left.high, "undecided", LIMITS,
            "above 0.5: the classes can be told apart without lungs",
            f"Trained on {len(there)} and judged on {len(rows)} images without lungs, the same row reaches AUC "
            f"{left.value:.3f} [{left.low:.3f}, {left.high:.3f}].",
            p=left.p, bar=LEFT, evidence={"trained": len(there), "images": len(rows), "lungs": case.lungs.origin},
        )]  # fmt: skip
