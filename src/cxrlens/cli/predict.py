"""`cxrlens predict`: probabilities of new, unlabelled images by a run's networks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from cxrlens.pipeline.interface import Run


def predict(
    run: Annotated[Path, typer.Argument(help="A finished run's folder.")],
    images: Annotated[
        list[Path],
        typer.Argument(help="Images, or folders of images (PNG, JPEG, TIFF, BMP, WebP, JPEG 2000, GIF, DICOM)."),
    ],
    out: Annotated[Path | None, typer.Option(help="Also write the table to this CSV file.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:1.")] = "auto",
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 if an image cannot be read.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Write over files that this command did not write.")] = False,
) -> None:
    """Print probabilities of new images by every model of a run. For research only; never for diagnosis."""
    from rich.console import Console
    from rich.table import Table

    from cxrlens.cli.progress import Bars
    from cxrlens.cli.terminal import literal, say
    from cxrlens.outputs import check_output, table_of
    from cxrlens.pipeline import predict as stage
    from cxrlens.pipeline.interface import Run
    from cxrlens.text import near_one_note, probability

    opened = Run.open(run)
    if out is not None:
        earlier = table_of(
            ["image", *stage.columns([model["name"] for model in opened.results["models"]]).values(), "problem"]
        )
        files, folders = (path for path in images if not path.is_dir()), (path for path in images if path.is_dir())
        check_output(out, "the table", earlier, [*files, *opened.folder.own_files()], folders, force)
    with Bars() as bars:
        table = opened.predict(images, device=device, progress=bars)
    if out is not None:
        opened.folder.write_table(out, table)
    console = Console()
    probabilities = Table(title="P(positive)", title_justify="left")
    models = [name for name in table.columns if name not in stage.OWN_COLUMNS]
    probabilities.add_column("image", overflow="fold")
    for name in models:
        probabilities.add_column(literal(name), justify="right", overflow="fold")
    for _, row in table.iterrows():
        if row["problem"] is None or row["problem"] != row["problem"]:
            probabilities.add_row(literal(row["image"]), *(probability(row[name]) for name in models))
    console.print(probabilities)
    thresholds = [model["threshold"]["value"] for model in opened.results["models"]]
    near_one = near_one_note([*thresholds, *table[models].to_numpy().ravel()])
    for line in (_threshold_note(opened), near_one, stage.run_images_note(table)):
        if line:
            say(console, line)
    console.print("For research only; never for diagnosis.")
    for _, row in table[table["problem"].notna()].iterrows():
        say(console, f"not read: {row['image']}: {row['problem']}")
    for _, row in table[table["warnings"].notna()].iterrows():
        say(console, f"warning: {row['image']}: {row['warnings']}")
    if strict and table["problem"].notna().any():
        raise typer.Exit(1)


def _threshold_note(run: Run) -> str:
    """A sentence on the threshold of each model, and that P is uncalibrated."""
    from cxrlens.text import probability

    models = run.results["models"]
    thresholds = [
        (model["name"], probability(value), model["seeds"] * model.get("folds", 1))
        for model in models
        if (value := model["threshold"]["value"]) is not None
    ]
    uncalibrated = "P is uncalibrated: it is not the probability of the finding."
    if not thresholds:
        return uncalibrated
    values = ", ".join(value + (f" ({name})" if len(models) > 1 else "") for name, value, _ in thresholds)
    several = max(networks for *_, networks in thresholds) > 1
    origin = "chosen on training images" + (", the mean over a model's networks" if several else "")
    return f"{uncalibrated} An image counts as positive if P is at least {values} ({origin})."
