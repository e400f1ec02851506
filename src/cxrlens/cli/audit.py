"""`cxrlens audit`: tests whether the networks of a run use something other than the lungs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def audit(
    run: Annotated[Path, typer.Argument(help="A finished run's folder.")],
    data: Annotated[
        Path | None,
        typer.Option(help="The folder of the run's images; by default where it was when the run was made."),
    ] = None,
    also: Annotated[
        list[str] | None, typer.Option(help="A further test, which trains networks, such as lungs_removed_retrained.")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Evaluate maps on every validation image.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:1.")] = "auto",
) -> None:
    """Test a run's networks for shortcuts. Writes audit.json, audit.md, figures and the report."""
    from rich.console import Console

    from cxrlens.cli.progress import Bars
    from cxrlens.cli.terminal import say
    from cxrlens.pipeline.interface import Run

    with Bars() as bars:
        try:
            record = Run.open(run).audit(data, also=also or (), full=full, device=device, progress=bars).record
        except KeyboardInterrupt:
            bars.say("\ninterrupted; results of finished networks are kept, and the same command continues")
            raise typer.Exit(130) from None
    console = Console()
    show(record["summary"], console)
    say(console, f"\nall results: {run / 'audit.json'}; summary: {run / 'audit.md'} and {run / 'report.html'}")
    say(console, f"\n{record['summary']['notice']}")


def show(summary: dict[str, Any], console: Any) -> None:
    """Prints the summary of the images and of each model; a headline with a flag is yellow."""
    from cxrlens.cli.terminal import say

    for part in (summary["cohort"], *summary["models"]):
        auc = f" ({part['auc']})" if part["auc"] else ""
        say(console, f"\n{part['name']}{auc}", "bold")
        say(console, part["headline"], "yellow" if part["flags"] else "")
        for point in part["points"]:
            say(console, f"  • {point}")
        for step in part["next"]:
            say(console, f"  → {step}")
