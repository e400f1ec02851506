"""`cxrlens auc`: AUCs of any predictions, with intervals by patients."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


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

    from cxrlens.cli.terminal import print_json, say
    from cxrlens.pipeline.auc_table import auc_table
    from cxrlens.report.auc_table import render, sentences

    found = auc_table(predictions, score or (), label, patient, image, model, level)
    if json:
        print_json(found.to_json())
        return
    console = Console()
    for part in render(found.to_json()):
        console.print(part, soft_wrap=False)
    for line in sentences(found.to_json()):
        say(console, line)
