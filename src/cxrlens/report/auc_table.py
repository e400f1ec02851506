"""What `cxrlens auc` says of a table of predictions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import RenderableType

from cxrlens.report.figures.style import estimate, interval
from cxrlens.report.tables import ANEW, Fitted, comparison_cells


def render(told: Mapping[str, Any]) -> list[RenderableType]:
    """Tables of the models and of every two of them."""
    again = any(model["train_low"] is not None for model in told["models"])
    head = ["model", "positive", "negative", "patients", f"AUC [{100 * told['level']:g}%]", *([ANEW] if again else [])]
    rows = []
    for model in told["models"]:
        ends = {"auc": model["auc"], "auc_low": model["low"], "auc_high": model["high"], "rough": model["rough"]}
        counts = [str(model[name]) for name in ("positives", "negatives", "patients")]
        anew = [interval(model["train_low"], model["train_high"])] if again else []
        rows.append([model["name"], *counts, estimate(ends), *anew])
    parts: list[RenderableType] = [Fitted("AUC", head, rows)]
    if told["differences"]:
        results = {"comparisons": told["differences"], "evaluation": {"level": told["level"]}}
        parts.append(Fitted("Every pair of models", *comparison_cells(results)))
    return parts


def sentences(told: Mapping[str, Any]) -> list[str]:
    """What is said below the tables."""
    of = ", ".join(f"{role} '{name}'" for role, name in told["columns"].items())
    said = [f"warning: {note}." for note in told["notes"]]
    said += [f"{model['name']}: {model['reason']}." for model in told["models"] if model["reason"]]
    if any(model["rough"] for model in told["models"]):
        said.append("Rough: a class has fewer than 10 patients.")
    return [*said, f"Intervals by patients. Columns: {of}.", told["notice"]]
