"""ROC, precision and recall, calibration, and the threshold that was chosen on training images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cxrlens.report.export import operating_cells, rate, subgroup_cells
from cxrlens.report.page.blocks import Block, Pair, Section, Words, figure, table
from cxrlens.report.report_data import ReportData
from cxrlens.report.results_text import estimate, percent
from cxrlens.report.tables import Cells, comparison_cells, how_judged, table1_cells, weight_note_sentences
from cxrlens.text import number


def curves(reading: ReportData) -> Section:
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


# The same numbers by sex, age, view and source.


def groups(reading: ReportData) -> Section | None:
    """AUC by group, a column a model; then all rates, folded."""
    results = reading.results
    if not any(model["subgroups"] for model in results["models"]):
        return None
    blocks: list[Block] = [
        table(
            "AUC by group of validation images [interval by patients]. “Rough”: a class has 5 to 9 patients. A dash: "
            "fewer, or too few images for an AUC.",
            auc_by_group(results),
        ),
        Words(
            ["Groups are small and many: a difference between two of them is a question to ask of more images."], "soft"
        ),
        table(
            "The same with sensitivity and specificity at each model's threshold.", subgroup_cells(results), folded=True
        ),
    ]
    return Section("groups", "By sex, age, view and source", blocks)


def auc_by_group(results: Mapping[str, Any]) -> Cells:
    """A row a group, a column a model."""
    models = results["models"]
    rows: dict[tuple[str, str], list[str]] = {}
    for place, model in enumerate(models):
        for row in model["subgroups"]:
            key = (row["by"], row["group"])
            counts = [f"{row['by']}: {row['group']}", f"{row['images']}", f"{row['positive']} / {row['negative']}"]
            rows.setdefault(key, counts + ["–"] * len(models))[3 + place] = rate(row, "auc")
    return ["group", "images", "positive / negative", *(model["name"] for model in models)], list(rows.values())


# How training went.


def training(reading: ReportData) -> Section | None:
    """The curves; None where they were not drawn."""
    names = ", ".join(model["name"] for model in reading.results["models"])
    shown = figure(
        reading,
        "training",
        f"Loss by epoch on training and validation images, a panel a model: {names}.",
        "Training curves. Where the validation loss rises while the training loss falls, the model learns its images "
        "by heart; no epoch was chosen by them.",
    )
    return Section("training", "Training", shown) if shown else None


# Table 1 with its intervals beside the paper's values, and every pair of models.


def ranking(reading: ReportData) -> Section:
    """Table 1, how it was made, what was not run; the figure of it; the paired differences."""
    results = reading.results
    blocks: list[Block] = [
        table(f"Table 1. AUC of every model, with {percent(results)} intervals by patients.", table1_cells(results)),
        Words([how_judged(results), *weight_note_sentences(results)], "soft"),
    ]
    skipped = [f"Not run: {row['name']}: {row['reason']}" for row in results.get("skipped", [])]
    if skipped:
        blocks.append(Words(skipped, "list"))
    each = "; ".join(f"{m['name']} {estimate(m, digits=2)}" for m in results["models"])
    blocks += figure(
        reading,
        "auc",
        f"Forest plot of the AUCs: {each}.",
        "Table 1 as a picture: AUC with its intervals, beside the paper's where it has one.",
    )
    if results.get("comparisons"):
        caption = (
            "Paired differences: every two models on the same patients. “p (Holm)” counts all pairs; an interval is of "
            "its pair alone."
        )
        blocks.append(table(caption, comparison_cells(results), folded=False))
    return Section("table1", "Table 1: who is better, and how sure", blocks)
