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
    from cxrlens.audit.data_check import CheckReport, Integrity
    from cxrlens.audit.probes import PROBES
    from cxrlens.data.cohort import Cohort, Decoded
    from cxrlens.data.duplicates import Pair
    from cxrlens.data.sources import SOURCES, Source
    from cxrlens.data.split import SetCounts, Split
    from cxrlens.data.steps import StepGroup
    from cxrlens.errors import UserError
    from cxrlens.evaluate.auc import AucDifference, AucInterval, auc_difference, auc_interval
    from cxrlens.evaluate.comparisons import Comparison
    from cxrlens.evaluate.records import Evaluation
    from cxrlens.explain.activation_maximization import (
        PRESETS,
        Convergence,
        MaximizationInterrupted,
        MaximizationResult,
        MaximizeOptions,
        Objective,
        assess_convergence,
        maximize,
        reference_activations,
    )
    from cxrlens.explain.attribute import attribute
    from cxrlens.explain.base import Attribution, Display, overlay, shared_scale
    from cxrlens.explain.methods import METHODS
    from cxrlens.explain.model_explanation import ModelExplanation
    from cxrlens.models.backbones import Preprocessing
    from cxrlens.models.classifier import Classifier
    from cxrlens.pipeline.auc_table import AucTable, auc_table
    from cxrlens.pipeline.augment_search import Ranking, SearchOptions, augment_search, augment_sheet
    from cxrlens.pipeline.check import check
    from cxrlens.pipeline.compare_runs import compare_runs
    from cxrlens.pipeline.explain.images import Explanation
    from cxrlens.pipeline.external import ExternalImages, ExternalResult
    from cxrlens.pipeline.external_evaluate import ExternalModel
    from cxrlens.pipeline.interface import Audit, Run
    from cxrlens.pipeline.plan import Plan, PlannedModel, plan
    from cxrlens.pipeline.predict import load_image
    from cxrlens.pipeline.pretrain import Pretrained, pretrain
    from cxrlens.pipeline.run import run
    from cxrlens.pretrain_study import PretrainStudy
    from cxrlens.progress import Progress, Task
    from cxrlens.report.runs_compared import ComparedRun, NotComparable, RunAuc, RunDifference, RunsCompared
    from cxrlens.study import Study

__version__ = "0.1.0"

# Lazy, so that `import cxrlens` and `cxrlens --help` don't wait for PyTorch.
_HOMES = {
    "Attribution": "cxrlens.explain.base",
    "AucDifference": "cxrlens.evaluate.auc",
    "AucInterval": "cxrlens.evaluate.auc",
    "AucTable": "cxrlens.pipeline.auc_table",
    "Audit": "cxrlens.pipeline.interface",
    "CheckReport": "cxrlens.audit.data_check",
    "Classifier": "cxrlens.models.classifier",
    "Cohort": "cxrlens.data.cohort",
    "ComparedRun": "cxrlens.report.runs_compared",
    "Comparison": "cxrlens.evaluate.comparisons",
    "Convergence": "cxrlens.explain.activation_maximization",
    "Decoded": "cxrlens.data.cohort",
    "Display": "cxrlens.explain.base",
    "Evaluation": "cxrlens.evaluate.records",
    "Explanation": "cxrlens.pipeline.explain.images",
    "ExternalImages": "cxrlens.pipeline.external",
    "ExternalModel": "cxrlens.pipeline.external_evaluate",
    "ExternalResult": "cxrlens.pipeline.external",
    "Integrity": "cxrlens.audit.data_check",
    "METHODS": "cxrlens.explain.methods",
    "MaximizationInterrupted": "cxrlens.explain.activation_maximization",
    "MaximizationResult": "cxrlens.explain.activation_maximization",
    "MaximizeOptions": "cxrlens.explain.activation_maximization",
    "ModelExplanation": "cxrlens.explain.model_explanation",
    "NotComparable": "cxrlens.report.runs_compared",
    "Objective": "cxrlens.explain.activation_maximization",
    "PRESETS": "cxrlens.explain.activation_maximization",
    "PROBES": "cxrlens.audit.probes",
    "Pair": "cxrlens.data.duplicates",
    "Plan": "cxrlens.pipeline.plan",
    "PlannedModel": "cxrlens.pipeline.plan",
    "Preprocessing": "cxrlens.models.backbones",
    "PretrainStudy": "cxrlens.pretrain_study",
    "Pretrained": "cxrlens.pipeline.pretrain",
    "Progress": "cxrlens.progress",
    "Ranking": "cxrlens.pipeline.augment_search",
    "Run": "cxrlens.pipeline.interface",
    "RunAuc": "cxrlens.report.runs_compared",
    "RunDifference": "cxrlens.report.runs_compared",
    "RunsCompared": "cxrlens.report.runs_compared",
    "SOURCES": "cxrlens.data.sources",
    "SearchOptions": "cxrlens.pipeline.augment_search",
    "SetCounts": "cxrlens.data.split",
    "Source": "cxrlens.data.sources",
    "Split": "cxrlens.data.split",
    "StepGroup": "cxrlens.data.steps",
    "Study": "cxrlens.study",
    "Task": "cxrlens.progress",
    "UserError": "cxrlens.errors",
    "assess_convergence": "cxrlens.explain.activation_maximization",
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
    "METHODS", "PRESETS", "PROBES", "SOURCES", "Attribution", "AucDifference", "AucInterval", "AucTable", "Audit",
    "CheckReport", "Classifier", "Cohort", "ComparedRun", "Comparison", "Convergence", "Decoded", "Display",
    "Evaluation", "Explanation", "ExternalImages", "ExternalModel", "ExternalResult", "Integrity",
    "MaximizationInterrupted", "MaximizationResult", "MaximizeOptions", "ModelExplanation", "NotComparable",
    "Objective", "Pair", "Plan", "PlannedModel", "Preprocessing", "PretrainStudy", "Pretrained", "Progress", "Ranking",
    "Run", "RunAuc", "RunDifference", "RunsCompared", "SearchOptions", "SetCounts", "Source", "Split", "StepGroup",
    "Study", "Task", "UserError", "assess_convergence", "attribute", "auc_difference", "auc_interval", "auc_table",
    "augment_search", "augment_sheet", "check", "compare_runs", "load_image", "maximize", "overlay", "plan", "pretrain",
    "reference_activations", "run", "shared_scale",
]  # fmt: skip


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"cxrlens: {near_miss('name', name, _HOMES)}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
