"""cxrlens: does transfer learning help on these chest X-rays, and what did the network learn to look at?

The map, in the order that data flows: `study` (one file says everything) → `data` (sources, images, splits,
augmentation) → `models` (backbones, weights, heads) → `train` → `evaluate` → `explain` → `report`; `pipeline` runs them
into a run folder, `cli` is the command line. For research only; never for diagnosis.

    study = cxrlens.Study.load("studies/demo.toml")
    run = cxrlens.run(study, out="runs/demo")
    run.table()
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cxrlens.data.cohort import Cohort
    from cxrlens.data.sources import SOURCES, Source
    from cxrlens.errors import UserError
    from cxrlens.evaluate.auc import auc_difference, auc_interval
    from cxrlens.models.classifier import Classifier
    from cxrlens.pipeline.auc_table import auc_table
    from cxrlens.pipeline.audit.stage import audit_run
    from cxrlens.pipeline.augment_search import augment_search
    from cxrlens.pipeline.augment_sheet import augment_sheet
    from cxrlens.pipeline.check import check
    from cxrlens.pipeline.compare import compare_runs
    from cxrlens.pipeline.explain.images import explain_images
    from cxrlens.pipeline.external import evaluate_external
    from cxrlens.pipeline.finished import Run
    from cxrlens.pipeline.leave import write_report
    from cxrlens.pipeline.plan import plan
    from cxrlens.pipeline.predict import predict
    from cxrlens.pipeline.pretrain import pretrain
    from cxrlens.pipeline.run import run
    from cxrlens.pretrain_study import PretrainStudy
    from cxrlens.study import Study

__version__ = "0.1.0"

# Lazy, so that `import cxrlens` and `cxrlens --help` don't wait for PyTorch.
_HOMES = {
    "Classifier": "cxrlens.models.classifier",
    "Cohort": "cxrlens.data.cohort",
    "PretrainStudy": "cxrlens.pretrain_study",
    "Run": "cxrlens.pipeline.finished",
    "SOURCES": "cxrlens.data.sources",
    "Source": "cxrlens.data.sources",
    "Study": "cxrlens.study",
    "UserError": "cxrlens.errors",
    "auc_difference": "cxrlens.evaluate.auc",
    "auc_interval": "cxrlens.evaluate.auc",
    "auc_table": "cxrlens.pipeline.auc_table",
    "audit_run": "cxrlens.pipeline.audit.stage",
    "augment_search": "cxrlens.pipeline.augment_search",
    "augment_sheet": "cxrlens.pipeline.augment_sheet",
    "check": "cxrlens.pipeline.check",
    "compare_runs": "cxrlens.pipeline.compare",
    "evaluate_external": "cxrlens.pipeline.external",
    "explain_images": "cxrlens.pipeline.explain.images",
    "plan": "cxrlens.pipeline.plan",
    "predict": "cxrlens.pipeline.predict",
    "pretrain": "cxrlens.pipeline.pretrain",
    "run": "cxrlens.pipeline.run",
    "write_report": "cxrlens.pipeline.leave",
}
__all__ = [
    "SOURCES", "Classifier", "Cohort", "PretrainStudy", "Run", "Source", "Study", "UserError", "auc_difference",
    "auc_interval", "auc_table", "audit_run", "augment_search", "augment_sheet", "check", "compare_runs",
    "evaluate_external", "explain_images", "plan", "predict", "pretrain", "run", "write_report",
]  # fmt: skip


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"cxrlens has no '{name}'; it has: {', '.join(sorted(_HOMES))}")
    return getattr(importlib.import_module(_HOMES[name]), name)
