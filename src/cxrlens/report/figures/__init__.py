"""The report's figures: each function takes `results.json` (or an `Evaluation`) and returns a matplotlib `Figure`.

Those of the explanations take their arrays instead.
"""

from cxrlens.report.figures.activation import convergence_figure, formation_figure, save_formation_gif
from cxrlens.report.figures.audit import audit_figure
from cxrlens.report.figures.calibration import calibration_figure
from cxrlens.report.figures.curves import precision_recall_figure, roc_figure
from cxrlens.report.figures.evidence import evidence_figure
from cxrlens.report.figures.forest import auc_forest_figure
from cxrlens.report.figures.maps import maps_figure
from cxrlens.report.figures.pictures import logit_pictures_figure, unit_pictures_figure
from cxrlens.report.figures.reuse import reuse_figure
from cxrlens.report.figures.spectrum import spectrum_figure
from cxrlens.report.figures.style import save
from cxrlens.report.figures.training import training_curves_figure

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
