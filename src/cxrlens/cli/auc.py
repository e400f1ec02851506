"""`cxrlens auc`: AUCs of any predictions, with intervals by patients."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console


def auc(
    predictions: Annotated[Path, typer.Argument(help="A CSV file: a run's predictions.csv, or one of your own.")],
    score: Annotated[list[str] | None, typer.Option(help="Column of a model's scores; one option a model.")] = None,
    label: Annotated[str | None, typer.Option(help="Column of labels, 1 or 0.")] = None,
    patient: Annotated[str | None, typer.Option(help="Column that says whose an image is.")] = None,
    image: Annotated[str | None, typer.Option(help="Column that names the image.")] = None,
    model: Annotated[str | None, typer.Option(help="Column that names the model.")] = None,
    level: Annotated[float, typer.Option(help="Of the intervals, between 0 and 1.")] = 0.95,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Print the AUC of every model in a table, and every difference, with intervals by patients."""
    from rich.console import Console

    from cxrlens.cli.terminal import print_json
    from cxrlens.pipeline.auc_table import auc_table

    found = auc_table(
        predictions, score or (), label=label, patient=patient, image=image, model=model, level=level
    ).to_json()
    if json:
        print_json(found)
    else:
        show(found, Console())


def show(found: Mapping[str, Any], console: Console) -> None:
    """Prints the models, every two of them, and how the table was read."""
    from cxrlens.cli.terminal import say
    from cxrlens.report.results_text import estimate
    from cxrlens.report.tables import RETRAINING, Fitted, comparison_cells
    from cxrlens.text import interval

    again = any(model["train_low"] is not None for model in found["models"])
    head = [
        "model",
        "positive",
        "negative",
        "patients",
        f"AUC [{100 * found['level']:g}%]",
        *([RETRAINING] if again else []),
    ]
    rows = []
    for model in found["models"]:
        ends = {"auc": model["auc"], "auc_low": model["low"], "auc_high": model["high"], "rough": model["rough"]}
        counts = [str(model[name]) for name in ("positives", "negatives", "patients")]
        anew = [interval(model["train_low"], model["train_high"])] if again else []
        rows.append([model["name"], *counts, estimate(ends), *anew])
    console.print(Fitted("AUC", head, rows), soft_wrap=False)
    if found["differences"]:
        results = {"comparisons": found["differences"], "evaluation": {"level": found["level"]}}
        console.print(Fitted("Every pair of models", *comparison_cells(results)), soft_wrap=False)
    for note in found["notes"]:
        say(console, f"warning: {note}.")
    for model in found["models"]:
        if model["reason"]:
            say(console, f"{model['name']}: {model['reason']}.")
    if any(model["rough"] for model in found["models"]):
        say(console, "Rough: a class has fewer than 10 patients.")
    columns = ", ".join(f"{role} '{name}'" for role, name in found["columns"].items())
    say(console, f"Intervals by patients. Columns: {columns}.")
    say(console, found["notice"])
