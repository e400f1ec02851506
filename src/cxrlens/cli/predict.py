"""`cxrlens predict`: the run's networks look at new, unlabelled images."""

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
    out: Annotated[Path | None, typer.Option(help="Write the table here as CSV.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:1.")] = "auto",
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 where an image could not be read.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Write over files that this command did not write.")] = False,
) -> None:
    """Probabilities of new images by every model of a run (research only: never for diagnosis)."""
    from rich.console import Console
    from rich.table import Table

    from cxrlens.cli.progress import Bars
    from cxrlens.cli.terminal import literal, say
    from cxrlens.outputs import check_output, table_of
    from cxrlens.pipeline import predict as stage
    from cxrlens.pipeline.interface import Run
    from cxrlens.text import probability

    opened = Run.open(run)
    if out is not None:
        columns = table_of(
            ["image", *stage.columns([model["name"] for model in opened.results["models"]]).values(), "problem"]
        )
        files, folders = (path for path in images if not path.is_dir()), (path for path in images if path.is_dir())
        check_output(out, "the table", columns, [*files, *opened.folder.own_files()], folders, force)
    with Bars() as bars:
        table = opened.predict(images, device=device, progress=bars)
    if out is not None:
        opened.folder.write_table(out, table)
    console = Console()
    shown = Table(title="P(positive)", title_justify="left")
    models = [name for name in table.columns if name not in stage.OWN_COLUMNS]
    shown.add_column("image", overflow="fold")
    for name in models:
        shown.add_column(literal(name), justify="right", overflow="fold")
    for _, row in table.iterrows():
        if row["problem"] is None or row["problem"] != row["problem"]:
            shown.add_row(literal(row["image"]), *(probability(row[name]) for name in models))
    console.print(shown)
    for line in (_from_where(opened), stage.seen_before(table)):
        if line:
            say(console, line)
    console.print("For research only; never for diagnosis.")
    for _, row in table[table["problem"].notna()].iterrows():
        say(console, f"not read: {row['image']}: {row['problem']}")
    for _, row in table[table["warnings"].notna()].iterrows():
        say(console, f"warning: {row['image']}: {row['warnings']}")
    if strict and table["problem"].notna().any():
        raise typer.Exit(1)


def _from_where(run: Run) -> str:
    """From what P on each model calls an image positive, and that P is no risk."""
    from cxrlens.text import probability

    models = run.results["models"]
    told = [(model["name"], model["threshold"]["value"], model["seeds"] * model.get("folds", 1)) for model in models]
    known = [(name, probability(value), networks) for name, value, networks in told if value is not None]
    if not known:
        return "P is uncalibrated: it is not how likely the finding is."
    which = ", ".join(value + (f" ({name})" if len(models) > 1 else "") for name, value, _ in known)
    several = max(networks for *_, networks in known) > 1
    how = "chosen on training images" + (", the mean over a model's networks" if several else "")
    return f"P is uncalibrated: it is not how likely the finding is. Positive from {which}; {how}."
