"""`cxrlens data phantom`: writes the built-in phantom as PNG files, masks and a table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cxrlens.cli.terminal import echo


def phantom(
    out: Annotated[Path, typer.Option("--out", help="Folder to write: images/, masks/, cohort.csv.")],
    patients: Annotated[int, typer.Option(help="Number of patients.")] = 120,
    size: Annotated[int, typer.Option(help="Pixels of the longer side.")] = 256,
    prevalence: Annotated[float, typer.Option(help="Probability that a patient is positive.")] = 0.5,
    strength: Annotated[float, typer.Option(help="Density of the findings; 0 draws both classes alike.")] = 1.0,
    negative_findings: Annotated[float, typer.Option(help="Share of the negatives with another finding.")] = 0.5,
    marker_positive: Annotated[float, typer.Option(help="Probability of the planted marker on a positive.")] = 0.0,
    marker_negative: Annotated[float, typer.Option(help="Probability of the planted marker on a negative.")] = 0.0,
    sites: Annotated[int, typer.Option(help="Number of devices, 1 to 6.")] = 4,
    seed: Annotated[int, typer.Option(help="Another seed is another population.")] = 0,
) -> None:
    """Writes synthetic chest X-rays with the masks of their lungs, findings and planted markers."""
    from rich.progress import track

    from cxrlens.config import parse
    from cxrlens.data.sources.phantom import Phantom

    options = {
        "patients": patients,
        "size": size,
        "prevalence": prevalence,
        "strength": strength,
        "negative_findings": negative_findings,
        "marker_positive": marker_positive,
        "marker_negative": marker_negative,
        "sites": sites,
        "seed": seed,
    }
    source = parse(Phantom, options, "cxrlens data phantom")
    total = len(source.cohort())
    for _ in track(source.export(out), description="drawing", total=total):
        pass
    echo(f"{total} images of {patients} patients in {out / 'images'}; masks and cohort.csv beside them")
