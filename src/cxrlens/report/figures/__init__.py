"""The report's figures: each function takes `results.json` (or an `Evaluation`) and returns a matplotlib `Figure`.

Those of the explanations take their arrays instead.
"""

from cxrlens.report.figures.audit import audit_figure, evidence_figure
from cxrlens.report.figures.curves import (
    auc_forest_figure,
    calibration_figure,
    precision_recall_figure,
    roc_figure,
    training_curves_figure,
)
from cxrlens.report.figures.maps import maps_figure
from cxrlens.report.figures.pictures import (
    convergence_figure,
    formation_figure,
    logit_pictures_figure,
    save_formation_gif,
    spectrum_figure,
    unit_pictures_figure,
)
from cxrlens.report.figures.reuse import reuse_figure
from cxrlens.report.figures.style import save

__all__ = [
    "auc_forest_figure",
    "audit_figure",
    "calibration_figure",
    "convergence_figure",
    "evidence_figure",
    "formation_figure",
    "logit_pictures_figure",
    "maps_figure",
    "precision_recall_figure",
    "reuse_figure",
    "roc_figure",
    "save",
    "save_formation_gif",
    "spectrum_figure",
    "training_curves_figure",
    "unit_pictures_figure",
]
