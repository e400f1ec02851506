"""`cxrlens run`: runs a study from its file to Table 1."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from cxrlens.pipeline.plan import Plan


def run(
    study: Annotated[Path, typer.Argument(help="The study file, such as studies/paper.toml.")],
    data: Annotated[Path | None, typer.Option(help="The folder of the study's images; the phantom needs none.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="The run's folder; by default runs/NAME, where NAME is the study file's name without .toml."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:1.")] = "auto",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would run, with its time, memory and disk; train nothing.")
    ] = False,
) -> None:
    """Train and compare a study's models. The same command continues an interrupted run."""
    from rich.console import Console

    from cxrlens.cli.progress import Bars
    from cxrlens.cli.terminal import say

    with Bars() as bars, bars.task("starting", 1):  # importing PyTorch for the first time takes a while
        from cxrlens.pipeline import plan, run
        from cxrlens.report.tables import render
        from cxrlens.study import default_out

    folder = out or default_out(study)
    if dry_run:
        with Bars() as bars:
            planned = plan.plan(study, data, device=device, progress=bars)
        _print_plan(planned, folder)
        return
    with Bars() as bars:
        try:
            finished = run.run(study, data, out=folder, device=device, progress=bars)
        except KeyboardInterrupt:
            bars.say(f"\ninterrupted; networks trained so far are in {folder}; the same command continues from there")
            raise typer.Exit(130) from None
    console = Console()
    for part in render({**finished.results, "warnings": []}):  # they were printed before training
        console.print(part)
    if finished.study.audit.with_run and (finished.folder.path / "audit.json").exists():
        summary = finished.folder.read_json("audit.json")["summary"]
        for audited in (summary["cohort"], *summary["models"]):
            say(console, f"Audit, {audited['name']}: {audited['headline']}")
    say(console, f"run folder: {folder}")


def _print_plan(plan: Plan, folder: Path) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from cxrlens.cli.terminal import literal, say
    from cxrlens.text import many
    from cxrlens.train.feature_bank import DISK_LIMIT, features_folder

    console = Console()
    table = Table(
        title=literal(f"What would run ({plan.images} readable images, {plan.device})"),
        box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False, collapse_padding=True,
    )  # fmt: skip
    table.add_column("model", overflow="fold")
    several_sizes = len({row.size for row in plan.models}) > 1  # else the column only takes room from the names
    names = ("steps", "parameters", "trained\nparameters", "time", "memory", "disk")
    for name in (*(("size",) if several_sizes else ()), *names):
        table.add_column(name, justify="right", no_wrap=True)  # the table has to fit 80 columns
    for row in plan.models:
        steps = f"{row.steps:,}" if row.networks == 1 else f"{row.networks} × {row.steps:,}"
        table.add_row(
            literal(row.name), *((str(row.size),) if several_sizes else ()), steps,
            f"{row.parameters:,}", f"{row.trainable_parameters:,}", _time(row.seconds),
            _bytes(row.memory), _bytes(row.disk),
        )  # fmt: skip
    console.print(table)
    for model in plan.skipped:
        say(console, f"left out: {model['name']}: {model['reason']}")
    for sentence in (*plan.without, *plan.warnings):
        say(console, f"warning: {sentence}")
    working = max(row.working_disk for row in plan.models)
    say(
        console,
        f"about {_time(sum(row.seconds for row in plan.models))} of training in all; disk space in {folder}: "
        f"{_bytes(sum(row.disk for row in plan.models))} of weights, and up to {_bytes(working)} more while a model "
        f"trains; memory at most about {_bytes(max(row.memory for row in plan.models))}",
    )
    if features := sum(row.features for row in plan.models):
        say(
            console,
            f"features of frozen backbones in {features_folder()}: up to {_bytes(features)}, computed once for all "
            f"seeds and folds (of all studies, the cache keeps at most {_bytes(DISK_LIMIT)} of features)",
        )
    for row in plan.models:
        if row.views:
            say(
                console,
                f"{row.name}: {many(row.views, 'drawn view')} of each training image, instead of a new augmentation at "
                "every step",
            )


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _bytes(size: float) -> str:
    for unit in ("B", "KB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
