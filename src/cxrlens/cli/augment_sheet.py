"""`cxrlens augment-sheet`: a contact sheet of what each augmentation makes of a study's images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def augment_sheet(
    study: Annotated[Path, typer.Argument(help="The study file, such as studies/paper.toml.")],
    data: Annotated[Path | None, typer.Option(help="The folder of the study's images; the phantom needs none.")] = None,
    out: Annotated[Path, typer.Option(help="The picture: .png, .pdf or .svg.")] = Path("augmentations.png"),
    images: Annotated[int, typer.Option(min=1, max=20, help="How many images, from all over the training side.")] = 4,
    seed: Annotated[int, typer.Option(min=0, help="Of the images and the draws.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Write over files that this command did not write.")] = False,
) -> None:
    """Draw training images as they are, with each of the six augmentations, with all six, and as the study has it."""
    from rich.console import Console

    from cxrlens.cli.progress import Bars
    from cxrlens.cli.terminal import say
    from cxrlens.pipeline.augment_sheet import augment_sheet as draw

    with Bars() as bars:
        names = draw(study, data, out=out, images=images, seed=seed, progress=bars, force=force)
    say(Console(), f"{out}: {', '.join(names)}")
