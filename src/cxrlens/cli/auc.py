"""`cxrlens auc`: AUCs of any table of predictions, with intervals by patient."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console


def auc(
    predictions: Annotated[Path, typer.Argument(help="A CSV file: a run's predictions.csv, or one of your own.")],
    score: Annotated[list[str] | None, typer.Option(help="Column of a model's scores; repeatable.")] = None,
    label: Annotated[str | None, typer.Option(help="Column of labels, 1 or 0.")] = None,
    patient: Annotated[str | None, typer.Option(help="Column of patient ids.")] = None,
    image: Annotated[str | None, typer.Option(help="Column of image names.")] = None,
    model: Annotated[str | None, typer.Option(help="Column of model names.")] = None,
    level: Annotated[float, typer.Option(help="Confidence level of the intervals, between 0 and 1.")] = 0.95,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Print the AUC of every model in a table and the difference of every pair, with intervals by patient."""
    from rich.console import Console

    from cxrlens.cli.terminal import print_json
    from cxrlens.pipeline.auc_table import auc_table

    results = auc_table(
        predictions, score or (), label=label, patient=patient, image=image, model=model, level=level
    ).to_json()
    if json:
        print_json(results)
    else:
        show(results, Console())


def show(results: Mapping[str, Any], console: Console) -> None:
    """Prints the AUC of every model, the difference of every pair, and how the table was read."""
    from cxrlens.cli.terminal import say
    from cxrlens.report.results_text import estimate
    from cxrlens.report.tables import RETRAINING, Fitted, comparison_cells
    from cxrlens.text import interval

    retrained = any(model["train_low"] is not None for model in results["models"])
    auc_title = f"AUC [{100 * results['level']:g}%]"
    head = ["model", "positive", "negative", "patients", auc_title, *([RETRAINING] if retrained else [])]
    rows = []
    for model in results["models"]:
        auc = {"auc": model["auc"], "auc_low": model["low"], "auc_high": model["high"], "rough": model["rough"]}
        counts = [str(model[name]) for name in ("positives", "negatives", "patients")]
        of_retrained = [interval(model["train_low"], model["train_high"])] if retrained else []
        rows.append([model["name"], *counts, estimate(auc), *of_retrained])
    console.print(Fitted("AUC", head, rows), soft_wrap=False)
    if results["differences"]:
        comparisons = {"comparisons": results["differences"], "evaluation": {"level": results["level"]}}
        console.print(Fitted("Every pair of models", *comparison_cells(comparisons)), soft_wrap=False)
    for note in results["notes"]:
        say(console, f"warning: {note}.")
    for choice in results["choices"]:
        say(console, f"note: {choice}.")
    for model in results["models"]:
        if model["reason"]:
            say(console, f"{model['name']}: {model['reason']}.")
    if any(model["rough"] for model in results["models"]):
        say(console, "Rough: a class has fewer than 10 patients.")
    columns = ", ".join(f"{role} '{name}'" for role, name in results["columns"].items())
    say(console, f"Intervals are by patient. Columns: {columns}.")
    say(console, results["notice"])
