"""The same numbers by sex, age, view and source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cxrlens.report.details import rate, subgroup_cells
from cxrlens.report.page.blocks import Block, Section, Words, table
from cxrlens.report.reading import Reading
from cxrlens.report.tables import Cells


def groups(reading: Reading) -> Section | None:
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
