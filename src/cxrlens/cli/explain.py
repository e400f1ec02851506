"""`cxrlens explain`: attribution maps of any image by a run's networks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def explain(
    run: Annotated[Path, typer.Argument(help="A finished run's folder.")],
    images: Annotated[list[Path], typer.Argument(help="Images (PNG, JPEG, TIFF, BMP, WebP, JPEG 2000, GIF, DICOM).")],
    out: Annotated[Path | None, typer.Option(help="The figure's file; by default RUN/figures/explained.png.")] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(help="An attribution method; repeatable; by default the study's."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:1.")] = "auto",
    force: Annotated[bool, typer.Option("--force", help="Write over files that this command did not write.")] = False,
) -> None:
    """Draw attribution maps of new images by every model of a run: PNG, PDF and raw arrays. Never for diagnosis."""
    from rich.console import Console

    from cxrlens.cli.progress import Bars
    from cxrlens.cli.terminal import say
    from cxrlens.pipeline.interface import Run

    with Bars() as bars:
        path = Run.open(run).explain(images, out=out, methods=method, device=device, progress=bars, force=force).figure
    say(Console(), f"figure: {path} (and .pdf; raw maps in {path.with_suffix('')})")
