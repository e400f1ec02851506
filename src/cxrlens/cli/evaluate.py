"""`cxrlens evaluate`: external validation of a run's networks, on images that the run was not made with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

if TYPE_CHECKING:
    from rich.console import Console

    from cxrlens.pipeline.external import ExternalResult


def evaluate(
    run: Annotated[Path, typer.Argument(help="A finished run's folder.")],
    data: Annotated[Path | None, typer.Option(help="The folder of the other images; the phantom needs none.")] = None,
    study: Annotated[
        Path | None,
        typer.Option(
            help=escape(
                "A study file whose [data] says how the other images are listed and labelled; by default the "
                "run's own study."
            )
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="The JSON file, predictions beside it; by default RUN/external/NAME.json, where NAME is the name of "
            "the other study or, without one, of the other folder."
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:1.")] = "auto",
    ids_apart: Annotated[
        bool, typer.Option("--ids-apart", help="Equal patient ids in both sets of images are different people.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Write over files that this command did not write.")] = False,
) -> None:
    """Evaluate every network of a run on other images: the AUC there, and its difference from the run's own AUC."""
    from rich.console import Console

    from cxrlens.cli.progress import Bars
    from cxrlens.cli.terminal import print_json, say
    from cxrlens.pipeline.interface import Run

    opened = Run.open(run)
    with Bars() as bars:
        try:
            result = opened.evaluate(
                data, study=study, out=out, device=device, progress=bars, ids_apart=ids_apart, force=force
            )
        except KeyboardInterrupt:
            bars.say("\ninterrupted; nothing was written")
            raise typer.Exit(130) from None
    if json:
        print_json(result.to_json(), indent=None)
        return
    console = Console()
    show(result, console)
    if result.file is not None:
        say(console, f"all numbers: {result.file}; predictions: {result.file.with_suffix('.csv')}")


def show(result: ExternalResult, console: Console) -> None:
    """Prints the AUC of each model on both sets of images, the number of images, and the limits of the comparison."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from cxrlens.cli.terminal import say
    from cxrlens.pipeline.external import LIMITS
    from cxrlens.report.page.audit import missing_interval_reasons
    from cxrlens.text import interval, number, p_value

    settings, first = result.evaluation.settings, result.models[0].outside
    title = f"AUC of {result.study} on {result.name} [{100 * settings.level:g}%]"
    table = Table(title=Text(title), box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False, collapse_padding=True)
    table.add_column("model", overflow="fold", min_width=16)
    for name in ("validation\nset", "external\nimages", "validation −\nexternal", "p\n(Holm)", "sens.\nspec."):
        table.add_column(name, justify="right", no_wrap=True)
    for model in result.models:
        outside, change, point = model.outside, model.change, model.outside.threshold
        cells = (
            f"{number(model.inside_auc, 3)}\n{interval(model.inside_low, model.inside_high)}"
            + ("\nrough" if model.inside_rough else ""),
            f"{number(outside.auc, 3)}\n{interval(outside.auc_low, outside.auc_high)}"
            + ("\nrough" if outside.rough else ""),
            f"{change.difference:+.3f}\n{interval(change.low, change.high)}",
            p_value(change.p_holm),
            f"{number(point.sensitivity)}\n{number(point.specificity)}",
        )
        table.add_row(Text(model.name), *map(Text, cells))
    console.print(table)
    say(
        console,
        f"External images: {first.positive} positive and {first.negative} negative, of {first.patients} patients; "
        f"{result.images.sentence}.",
    )
    for reason in missing_interval_reasons(result.to_json()):
        say(console, reason)
    for note in result.images.notes:
        say(console, f"warning: {note}")
    say(
        console,
        "Validation set: the run's own validation images. External images: the other images, of other patients. "
        "Intervals are by patient. Sensitivity and specificity are those on the external images, at each network's "
        "threshold from its training images.",
    )
    say(console, LIMITS)
    say(console, "For research only; never for diagnosis.")
