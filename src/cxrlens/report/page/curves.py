"""ROC, precision and recall, calibration, and the threshold that was chosen on training images."""

from __future__ import annotations

from cxrlens.report.details import operating_cells
from cxrlens.report.figures.style import number
from cxrlens.report.page.blocks import Block, Pair, Section, figure, table
from cxrlens.report.reading import Reading


def curves(reading: Reading) -> Section:
    """The three figures and the operating points."""
    models = reading.results["models"]

    def each(value: object) -> str:
        return "; ".join(f"{model['name']} {number(value(model))}" for model in models)  # type: ignore[operator]

    pair = [
        *figure(
            reading,
            "roc",
            f"ROC curves, sensitivity against 1 − specificity. AUC: {each(lambda m: m['auc'])}.",
            "ROC curves on the validation images.",
        ),
        *figure(
            reading,
            "precision_recall",
            f"Precision against recall. Average precision: {each(lambda m: m['curves']['average_precision'])}.",
            "Precision and recall. The grey line calls every image positive: precision depends on how many are.",
        ),
    ]
    blocks: list[Block] = [
        Pair(pair),
        *figure(
            reading,
            "calibration",
            f"Observed share of positives against predicted P. Slope (1 is right): "
            f"{each(lambda m: m['calibration']['slope'])}.",
            "Calibration: whether of the images with P 0.8 eight in ten are positive. On the diagonal it is so.",
        ),
        table(
            "At the threshold chosen on training images (Youden), and calibration.", operating_cells(reading.results)
        ),
    ]
    return Section("curves", "Curves and calibration", blocks)
