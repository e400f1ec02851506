"""cxrlens: does transfer learning help on these chest X-rays, and what did the network learn to look at?

The packages in the order in which data flows: `study` (the study file) → `data` (sources, images, splits, augmentation)
→ `models` (backbones, weights, heads) → `train` → `evaluate` → `explain` → `audit` → `report`. `pipeline` runs them and
fills a run folder; `cli` is the command line. For research only; never for diagnosis.

    import cxrlens as cx

    run = cx.run("studies/demo.toml")  # trains and compares; `cx.Run.open` opens a finished run
    run.table()
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from cxrlens.errors import near_miss

if TYPE_CHECKING:
    from cxrlens.audit.probes import PROBES
    from cxrlens.data.cohort import Cohort
    from cxrlens.data.sources import SOURCES, Source
    from cxrlens.errors import UserError
    from cxrlens.evaluate.auc import AucDifference, AucInterval, auc_difference, auc_interval
    from cxrlens.explain.activation_maximization import PRESETS, Objective, maximize, reference_activations
    from cxrlens.explain.attribute import attribute
    from cxrlens.explain.base import Attribution, overlay, shared_scale
    from cxrlens.explain.methods import METHODS
    from cxrlens.models.classifier import Classifier
    from cxrlens.pipeline.auc_table import auc_table
    from cxrlens.pipeline.augment_search import SearchOptions, augment_search, augment_sheet
    from cxrlens.pipeline.check import check
    from cxrlens.pipeline.compare_runs import compare_runs
    from cxrlens.pipeline.explain.images import Explanation
    from cxrlens.pipeline.external import ExternalResult
    from cxrlens.pipeline.interface import Audit, Run
    from cxrlens.pipeline.plan import plan
    from cxrlens.pipeline.predict import load_image
    from cxrlens.pipeline.pretrain import pretrain
    from cxrlens.pipeline.run import run
    from cxrlens.pretrain_study import PretrainStudy
    from cxrlens.progress import Progress
    from cxrlens.study import Study

__version__ = "0.1.0"

# Lazy, so that `import cxrlens` and `cxrlens --help` don't wait for PyTorch.
_HOMES = {
    "Attribution": "cxrlens.explain.base",
    "AucDifference": "cxrlens.evaluate.auc",
    "AucInterval": "cxrlens.evaluate.auc",
    "Audit": "cxrlens.pipeline.interface",
    "Classifier": "cxrlens.models.classifier",
    "Cohort": "cxrlens.data.cohort",
    "Explanation": "cxrlens.pipeline.explain.images",
    "ExternalResult": "cxrlens.pipeline.external",
    "METHODS": "cxrlens.explain.methods",
    "Objective": "cxrlens.explain.activation_maximization",
    "PRESETS": "cxrlens.explain.activation_maximization",
    "PROBES": "cxrlens.audit.probes",
    "PretrainStudy": "cxrlens.pretrain_study",
    "Progress": "cxrlens.progress",
    "Run": "cxrlens.pipeline.interface",
    "SOURCES": "cxrlens.data.sources",
    "SearchOptions": "cxrlens.pipeline.augment_search",
    "Source": "cxrlens.data.sources",
    "Study": "cxrlens.study",
    "UserError": "cxrlens.errors",
    "attribute": "cxrlens.explain.attribute",
    "auc_difference": "cxrlens.evaluate.auc",
    "auc_interval": "cxrlens.evaluate.auc",
    "auc_table": "cxrlens.pipeline.auc_table",
    "augment_search": "cxrlens.pipeline.augment_search",
    "augment_sheet": "cxrlens.pipeline.augment_search",
    "check": "cxrlens.pipeline.check",
    "compare_runs": "cxrlens.pipeline.compare_runs",
    "load_image": "cxrlens.pipeline.predict",
    "maximize": "cxrlens.explain.activation_maximization",
    "overlay": "cxrlens.explain.base",
    "plan": "cxrlens.pipeline.plan",
    "pretrain": "cxrlens.pipeline.pretrain",
    "reference_activations": "cxrlens.explain.activation_maximization",
    "run": "cxrlens.pipeline.run",
    "shared_scale": "cxrlens.explain.base",
}
__all__ = [
    "METHODS", "PRESETS", "PROBES", "SOURCES", "Attribution", "AucDifference", "AucInterval", "Audit", "Classifier",
    "Cohort", "Explanation", "ExternalResult", "Objective", "PretrainStudy", "Progress", "Run", "SearchOptions",
    "Source", "Study", "UserError", "attribute", "auc_difference", "auc_interval", "auc_table", "augment_search",
    "augment_sheet", "check", "compare_runs", "load_image", "maximize", "overlay", "plan", "pretrain",
    "reference_activations", "run", "shared_scale",
]  # fmt: skip


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"cxrlens: {near_miss('name', name, _HOMES)}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
