"""Sections with performance: Table 1, curves and calibration, subgroups, and training curves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cxrlens.report.export import operating_cells, rate, subgroup_cells
from cxrlens.report.page.blocks import Block, Pair, Section, Words, figure, table
from cxrlens.report.report_data import ReportData
from cxrlens.report.results_text import estimate, percent
from cxrlens.report.tables import Cells, comparison_cells, table1_cells, table1_note, weight_note_sentences
from cxrlens.text import number


def curves(report: ReportData) -> Section:
    """ROC, precision and recall, calibration, and the rates at the threshold chosen on training images."""
    models = report.results["models"]

    def by_model(value: Callable[[Mapping[str, Any]], float | None]) -> str:
        return "; ".join(f"{model['name']} {number(value(model))}" for model in models)

    pair = [
        *figure(
            report,
            "roc",
            f"ROC curves, sensitivity against 1 − specificity. AUC: {by_model(lambda m: m['auc'])}.",
            "ROC curves on the validation images.",
        ),
        *figure(
            report,
            "precision_recall",
            f"Precision against recall. Average precision: {by_model(lambda m: m['curves']['average_precision'])}.",
            "Precision and recall. The grey line is the precision if every image is called positive. It equals the "
            "share of positives.",
        ),
    ]
    blocks: list[Block] = [
        Pair(pair),
        *figure(
            report,
            "calibration",
            f"Observed share of positives against predicted P. Slope (1 is ideal): "
            f"{by_model(lambda m: m['calibration']['slope'])}.",
            "Calibration: observed share of positives against P, the probability of “positive” that the model "
            "predicts. "
            "On the diagonal, P is a true probability: of the images with P 0.8, eight in ten are positive.",
        ),
        table(
            "Calibration, and sensitivity and specificity [interval by patient] at the threshold with the largest "
            "Youden index on the training images.",
            operating_cells(report.results),
        ),
    ]
    return Section("curves", "Curves and calibration", blocks)


def subgroups(report: ReportData) -> Section | None:
    """AUC by sex, age, view and source with one column per model, then all rates, folded; None without subgroups."""
    results = report.results
    if not any(model["subgroups"] for model in results["models"]):
        return None
    blocks: list[Block] = [
        table(
            f"AUC in subgroups of the validation images [{percent(results)} interval by patient]. “rough”: the "
            "interval is rough, because a class has only 5 to 9 patients. A dash after an AUC: no interval, because a "
            "class has fewer than 5 patients. A dash alone: no AUC, because a class has too few images.",
            auc_by_group(results),
        ),
        Words(
            [
                "There are many groups, and they are small. A difference between two groups is a hypothesis to test on "
                "more images."
            ],
            "soft",
        ),
        table(
            "AUC, sensitivity and specificity in subgroups, at each model's threshold.",
            subgroup_cells(results),
            folded=True,
        ),
    ]
    return Section("subgroups", "Subgroups: sex, age, view and source", blocks)


def auc_by_group(results: Mapping[str, Any]) -> Cells:
    """One row per group, one column per model."""
    models = results["models"]
    rows: dict[tuple[str, str], list[str]] = {}
    for column, model in enumerate(models, start=3):
        for row in model["subgroups"]:
            key = (row["by"], row["group"])
            counts = [f"{row['by']}: {row['group']}", f"{row['images']}", f"{row['positive']} / {row['negative']}"]
            rows.setdefault(key, counts + ["–"] * len(models))[column] = rate(row, "auc")
    return ["group", "images", "positive / negative", *(model["name"] for model in models)], list(rows.values())


def training(report: ReportData) -> Section | None:
    """The training curves; None if there is no such figure."""
    names = ", ".join(model["name"] for model in report.results["models"])
    figures = figure(
        report,
        "training",
        f"Loss by epoch on training and validation images, one panel per model: {names}.",
        "Training curves. A validation loss that rises while the training loss falls is a sign of overfitting. "
        "These curves were not used to select an epoch.",
    )
    return Section("training", "Training", figures) if figures else None


def ranking(report: ReportData) -> Section:
    """Table 1 with its notes, models that were not run, its forest plot, and the paired differences."""
    results = report.results
    blocks: list[Block] = [
        table(
            f"Table 1. AUC of every model, with {percent(results)} confidence intervals by patient.",
            table1_cells(results),
        ),
        Words([table1_note(results), *weight_note_sentences(results)], "soft"),
    ]
    skipped = [f"Not run: {row['name']} ({row['reason']})." for row in results.get("skipped", [])]
    if skipped:
        blocks.append(Words(skipped, "list"))
    aucs = "; ".join(f"{model['name']} {estimate(model, digits=2)}" for model in results["models"])
    blocks += figure(
        report,
        "auc",
        f"Forest plot of the AUCs: {aucs}.",
        "Table 1 as a forest plot: AUC and interval of every model, with the published value if there is one.",
    )
    if results.get("comparisons"):
        caption = (
            "Differences between all pairs of models, on the same patients. “p (Holm)” is corrected for the number of "
            "pairs. The intervals and “p” are not."
        )
        blocks.append(table(caption, comparison_cells(results), folded=False))
    return Section("table1", "Table 1: comparison of the models", blocks)
