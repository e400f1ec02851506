"""`cxrlens pretrain`: a backbone on large labelled sets, to a weight file with its card."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def pretrain(
    study: Annotated[
        Path, typer.Argument(help="The pretraining file, such as studies/pretraining/efficientnet-lite0-cxr.toml.")
    ],
    data: Annotated[Path | None, typer.Option(help="The folder above the sets' own folders.")] = None,
    out: Annotated[Path | None, typer.Option(help="The result's folder; by default runs/NAME.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:1.")] = "auto",
) -> None:
    """Train a backbone on labelled X-rays and write it as weights; the same command goes on where it stopped."""
    from rich.console import Console
    from rich.markdown import Markdown

    from cxrlens.cli.progress import Bars
    from cxrlens.cli.terminal import say
    from cxrlens.pipeline.pretrain import pretrain

    folder = out or Path("runs") / study.stem
    with Bars() as bars:
        try:
            done = pretrain(study, data, out=folder, device=device, progress=bars)
        except KeyboardInterrupt:
            bars.say(f"\ninterrupted; what is trained so far is in {folder}, and the same command goes on from there")
            raise typer.Exit(130) from None
    console = Console()
    console.print(Markdown((folder / "MODEL_CARD.md").read_text(encoding="utf-8")))
    say(console, f"a study takes them as weights = '{done.weights}'")
