"""`cxrlens evaluate`: a run's networks judged on images from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from cxrlens.pipeline.external import ExternalResult


def evaluate(
    run: Annotated[Path, typer.Argument(help="A finished run's folder.")],
    data: Annotated[Path | None, typer.Option(help="The folder of the other images; the phantom needs none.")] = None,
    study: Annotated[
        Path | None,
        typer.Option(help="A study file whose [data] says how they are listed and labelled; by default the run's own."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The JSON file, predictions beside it; by default external/NAME.json in RUN.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:1.")] = "auto",
    ids_apart: Annotated[
        bool, typer.Option("--ids-apart", help="Equal patient ids here and in the run are different people.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Write over files that this command did not write.")] = False,
) -> None:
    """Judge every network of a run on images that it was not made with: AUC outside, and how far it fell."""
    from rich.console import Console

    from cxrlens.cli.progress import Bars
    from cxrlens.cli.terminal import print_json, say
    from cxrlens.pipeline.interface import Run

    opened = Run.open(run)
    with Bars() as bars:
        try:
            found = opened.evaluate(
                data, study=study, out=out, device=device, progress=bars, ids_apart=ids_apart, force=force
            )
        except KeyboardInterrupt:
            bars.say("\ninterrupted; nothing was written")
            raise typer.Exit(130) from None
    if json:
        print_json(found.to_json(), indent=None)
        return
    console = Console()
    show(found, console)
    if found.file is not None:
        say(console, f"all numbers: {found.file}; predictions: {found.file.with_suffix('.csv')}")


def show(found: ExternalResult, console: Console) -> None:
    """Prints who judged, each model inside and outside, and what that does not show."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from cxrlens.cli.terminal import say
    from cxrlens.pipeline.external import LIMITS
    from cxrlens.report.page.audit import missing_interval_reasons
    from cxrlens.text import interval, number

    settings, first = found.evaluation.settings, found.models[0].outside
    title = f"AUC of {found.study} on {found.name} [{100 * settings.level:g}%]"
    table = Table(title=Text(title), box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False, collapse_padding=True)
    table.add_column("model", overflow="fold", min_width=16)
    for name in ("inside", "outside", "inside −\noutside", "p\n(Holm)", "sens.\nspec."):
        table.add_column(name, justify="right", no_wrap=True)
    for model in found.models:
        outside, change, point = model.outside, model.change, model.outside.threshold
        cells = (
            f"{number(model.inside_auc, 3)}\n{interval(model.inside_low, model.inside_high)}"
            + ("\nrough" if model.inside_rough else ""),
            f"{number(outside.auc, 3)}\n{interval(outside.auc_low, outside.auc_high)}"
            + ("\nrough" if outside.rough else ""),
            f"{change.difference:+.3f}\n{interval(change.low, change.high)}",
            number(change.p_holm, 3),
            f"{number(point.sensitivity)}\n{number(point.specificity)}",
        )
        table.add_row(Text(model.name), *map(Text, cells))
    console.print(table)
    say(
        console,
        f"Outside: {first.positive} positive and {first.negative} negative images of {first.patients} patients; "
        f"{found.images.sentence}.",
    )
    for reason in missing_interval_reasons(found.to_json()):
        say(console, reason)
    for note in found.images.notes:
        say(console, f"warning: {note}")
    say(
        console,
        "Intervals by patients, of whom those outside are others; sensitivity and specificity outside, at each "
        "network's threshold from its training images.",
    )
    say(console, LIMITS)
    say(console, "For research only; never for diagnosis.")
