"""`cxrlens data fetch NAME --out PATH`: a public data set, verified file by file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cxrlens.cli.terminal import echo
from cxrlens.names import many


def fetch(
    name: Annotated[str, typer.Argument(help="The data set: covid-chestxray.")],
    out: Annotated[Path, typer.Option(help="The folder to fetch into; run again to continue.")],
    base_url: Annotated[
        str | None, typer.Option(help="A mirror with the same files at the same relative paths.")
    ] = None,
    connections: Annotated[int, typer.Option(min=1, max=16, help="Downloads at a time.")] = 4,
) -> None:
    """Downloads a public data set at the paper's commit; resumes, and verifies every file."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from cxrlens.data import fetch as fetching
    from cxrlens.data.published import published

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TextColumn("files"))
    with Progress(*columns, TextColumn("{task.fields[size]}"), console=console, transient=True) as bar:
        task = bar.add_task(name, total=None, size="")

        def progress(settled: int, total: int, received: int) -> None:
            bar.update(task, completed=settled, total=total, size=f"{received / 2**20:.1f} MiB")

        try:
            report = fetching.fetch(name, out, base_url, progress, connections)
        except KeyboardInterrupt:
            bar.stop()
            echo("stopped; the same command continues", err=True)
            raise typer.Exit(130) from None
    echo(f"{out}: {many(len(report.downloaded), 'file')} downloaded, {len(report.already)} already there, all verified")
    echo(published(name).note)
    if not report.complete:
        for path, reason in [*report.failed.items()][:20]:
            echo(f"  {path}: {reason}", err=True)
        more = f" ({len(report.failed) - 20} not shown)" if len(report.failed) > 20 else ""
        echo(f"{many(len(report.failed), 'missing file')}{more}; the same command tries again", err=True)
        raise typer.Exit(1)
    echo(f"next: cxrlens data check studies/paper.toml --data {out}")
