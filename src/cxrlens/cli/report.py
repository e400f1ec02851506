"""`cxrlens report`: rewrites the report of a finished run, whole or with parts left out for sharing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    run: Annotated[Path, typer.Argument(help="A finished run's folder.")],
    out: Annotated[
        Path | None,
        typer.Option(
            help="The HTML file; by default RUN/report.html, or RUN/report-shared.html if a part is left out."
        ),
    ] = None,
    no_images: Annotated[
        bool, typer.Option("--no-images", help="Leave out the gallery and figures of X-rays.")
    ] = False,
    no_notes: Annotated[bool, typer.Option("--no-notes", help="Leave out the notes of the images' table.")] = False,
    rename: Annotated[
        bool,
        typer.Option("--rename", help="Number patients and files; this anonymises nothing else."),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Write over files that this command did not write.")] = False,
) -> None:
    """Write a run's report and tables again, from its folder alone. Images, notes and names can be left out."""
    from rich.console import Console

    from cxrlens.cli.progress import Bars
    from cxrlens.cli.terminal import say
    from cxrlens.pipeline.report import write_report  # and not the whole interface, whose imports take longer

    with Bars() as bars:
        path = write_report(
            run, out, images=not no_images, notes=not no_notes, names=not rename, progress=bars, force=force
        )
    console = Console()
    say(console, f"report: {path} ({path.stat().st_size / 1e6:.1f} MB)")
    say(console, f"tables: {run / 'tables'} (CSV, Markdown, LaTeX)")
