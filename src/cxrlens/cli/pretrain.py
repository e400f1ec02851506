"""`cxrlens pretrain`: trains a backbone on large labelled sets and writes a weight file with its card."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def pretrain(
    study: Annotated[
        Path, typer.Argument(help="The pretraining file, such as studies/pretraining/efficientnet-lite0-cxr.toml.")
    ],
    data: Annotated[Path | None, typer.Option(help="The folder that holds the folders of the data sets.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="The folder of the results; by default runs/NAME, where NAME is the pretraining file's name without "
            ".toml."
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:1.")] = "auto",
) -> None:
    """Train a backbone on labelled X-rays and write its weights. The same command continues an interrupted training."""
    from rich.console import Console
    from rich.markdown import Markdown

    from cxrlens.cli.progress import Bars
    from cxrlens.cli.terminal import say
    from cxrlens.pipeline.pretrain import pretrain

    folder = out or Path("runs") / study.stem
    with Bars() as bars:
        try:
            result = pretrain(study, data, out=folder, device=device, progress=bars)
        except KeyboardInterrupt:
            bars.say(f"\ninterrupted; the training so far is in {folder}, and the same command continues from there")
            raise typer.Exit(130) from None
    console = Console()
    console.print(Markdown((folder / "MODEL_CARD.md").read_text(encoding="utf-8")))
    say(console, f"use them in a study with weights = '{result.weights}'")
