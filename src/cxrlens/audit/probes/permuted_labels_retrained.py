"""The whole pipeline on shuffled labels: an AUC that is not about 0.5 comes from the pipeline."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from cxrlens.audit.base import Bar, Finding, refused
from cxrlens.audit.case import ModelCase
from cxrlens.audit.estimate import auc_estimate
from cxrlens.audit.probes import PROBES, ModelProbe
from cxrlens.audit.words import ends

STATISTIC = "AUC after training on shuffled labels"
NULL = Bar(0.5, 0.1, "shuffled labels, trained anew")
LIMITS = "one draw of labels, so chance alone moves it as far as its interval says"


@PROBES.register("permuted_labels_retrained")
class PermutedLabelsRetrained(ModelProbe):
    """The AUC of this row trained anew on labels shuffled among patients, against labels shuffled alike."""

    by_choice: ClassVar[bool] = True

    def findings(self, case: ModelCase) -> list[Finding]:
        """One finding."""
        side, rng = case.training, np.random.default_rng(case.judging.seed)
        if case.again is None:
            return [refused(self.name, case.name, STATISTIC, "no training was asked for", LIMITS)]
        names = np.unique(np.concatenate([side.patients, case.patients]).astype(str))
        label = rng.permutation(np.arange(len(names)) < round(side.labels.mean() * len(names)))
        of = dict(zip(names, label, strict=True))
        trained, judged = (np.array([of[str(who)] for who in each]) for each in (side.patients, case.patients))
        if min(len(np.unique(trained)), len(np.unique(judged))) < 2:
            reason = "the shuffled labels leave a side with one class"
            return [refused(self.name, case.name, STATISTIC, reason, LIMITS)]
        logits = case.again(side.pixels, trained, case.pixels)
        found = auc_estimate(logits, judged, case.patients, case.judging)
        return [Finding(
            self.name, case.name, STATISTIC, found.value, found.low, found.high, "undecided", LIMITS,
            "0.5: the pipeline learns nothing from labels that mean nothing",
            f"Trained on labels shuffled among patients, the same row reaches AUC {found.value:.3f} "
            f"{ends(found)}.",
            p=found.p, reason=found.reason, bar=NULL, evidence={"images": len(judged), "positive": int(judged.sum())},
        )]  # fmt: skip
