"""`cxrlens augment-search` and `cxrlens augment-sheet`: which augmentation helps the benchmark, and how each looks."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from cxrlens.pipeline.augment_ranking import Ranking


class ChooseOn(StrEnum):
    """Images on which the combinations are compared."""

    inner = "inner"
    validation = "validation"


def augment_search(
    study: Annotated[Path, typer.Argument(help="The study file, such as studies/paper.toml.")],
    data: Annotated[Path | None, typer.Option(help="The folder of the study's images; the phantom needs none.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the results; by default runs/NAME-augment-search, where NAME is the study file's name "
            "without .toml."
        ),
    ] = None,
    combination: Annotated[
        list[str] | None,
        typer.Option(
            help="An augmentation, such as rotation or rotation+zoom. Repeat the option for more. By default each of "
            "horizontal_flip, width_shift, zoom, brightness, channel_shift and rotation alone; paper (horizontal_flip "
            "and brightness); all_six; and study (the study's own), if it is none of these."
        ),
    ] = None,
    choose_on: Annotated[
        ChooseOn,
        typer.Option(
            help="inner: on folds of the training set. validation: on the validation set, as in the paper, which "
            "makes the result too optimistic."
        ),
    ] = ChooseOn.inner,
    folds: Annotated[int, typer.Option(min=2, help="Number of inner folds, split by patient.")] = 5,
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs of each training; by default the study's.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps in each epoch; by default the study's.")] = None,
    size: Annotated[
        int | None, typer.Option(min=32, help="Side of the images in pixels; by default the study's.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of folds, initial weights and augmentations.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:1.")] = "auto",
) -> None:
    """Compare augmentations by AUC, with intervals by patient. The same command continues an interrupted search."""
    from rich.console import Console

    from cxrlens.cli.progress import Bars
    from cxrlens.cli.terminal import say
    from cxrlens.pipeline import augment_search as stage

    folder = out or Path("runs") / f"{study.stem}-augment-search"
    options = stage.SearchOptions(
        names=tuple(combination or ()),
        choose_on=choose_on.value,
        folds=folds,
        epochs=epochs,
        steps=steps,
        size=size,
        seed=seed,
    )
    with Bars() as bars:
        try:
            ranking = stage.augment_search(study, data, out=folder, options=options, device=device, progress=bars)
        except KeyboardInterrupt:
            bars.say(f"\ninterrupted; finished trainings are in {folder}, and the same command continues from there")
            raise typer.Exit(130) from None
    console = Console()
    _show(ranking, console)
    say(console, f"written: {folder / stage.RANKING}")


def _show(ranking: Ranking, console: Console) -> None:
    """Prints the AUC of every combination, its difference from "none", what the intervals cover, and the conclusion."""
    from cxrlens.cli.terminal import say
    from cxrlens.pipeline.augment_ranking import difference_cells, ranking_cells
    from cxrlens.report.tables import Fitted

    title = f"Augmentations by the benchmark's AUC\nchosen on: {ranking.table['chosen_on'].iloc[0]}"
    console.print(Fitted(title, *ranking_cells(ranking)), soft_wrap=False)
    if len(ranking.table) > 1:
        console.print(Fitted("Each augmentation minus none", *difference_cells(ranking)), soft_wrap=False)
    say(console, ranking.note)
    say(console, f"{ranking.sentence}.")


def augment_sheet(
    study: Annotated[Path, typer.Argument(help="The study file, such as studies/paper.toml.")],
    data: Annotated[Path | None, typer.Option(help="The folder of the study's images; the phantom needs none.")] = None,
    out: Annotated[Path, typer.Option(help="The picture: .png, .pdf or .svg.")] = Path("augmentations.png"),
    images: Annotated[int, typer.Option(min=1, max=20, help="Number of images, drawn from the training set.")] = 4,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the chosen images and of the augmentations.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Write over files that this command did not write.")] = False,
) -> None:
    """Draw training images: unchanged, with each of the six augmentations, with all six, and with the study's own."""
    from rich.console import Console

    from cxrlens.cli.progress import Bars
    from cxrlens.cli.terminal import say
    from cxrlens.pipeline.augment_search import augment_sheet as draw

    with Bars() as bars:
        names = draw(study, data, out=out, images=images, seed=seed, progress=bars, force=force)
    say(Console(), f"{out}: {', '.join(names)}")
