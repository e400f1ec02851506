"""The figures of the report. Each function returns a matplotlib `Figure`.

The figures of the results take `results.json` or an `Evaluation`; those of the explanations and of the audit take
arrays or plain values.
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
