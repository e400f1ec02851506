"""`cxrlens weights`: lists pretrained weights, says which are on this machine, and gets the others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cxrlens.cli.terminal import echo, print_json

weights = typer.Typer(help="Pretrained weights: list, show, fetch, verify, add a file.", no_args_is_help=True)


@weights.command("list")
def list_weights(as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False) -> None:
    """List every set of weights that has a card. Those marked `here` need no internet connection."""
    from cxrlens.models.weights.cards import CARDS
    from cxrlens.models.weights.find import local_file

    rows = [
        {
            "name": card.name,
            "architecture": card.architecture,
            "source": card.source,
            "licence": card.licence,
            "available": local_file(card) is not None,
        }
        for card in CARDS.values()
    ]
    if as_json:
        print_json(rows, indent=2)
        return
    wide = max(len(str(row["name"])) for row in rows)
    for row in rows:
        mark = "here" if row["available"] else "    "
        echo(f"{mark}  {row['name']:<{wide}}  {row['architecture']:<22}  {row['licence']}")
    echo("`cxrlens weights show NAME` prints more. A study takes any of these names, or 'auto' for the best one here.")


@weights.command()
def show(name: Annotated[str, typer.Argument(help="Name of the weights, see `list`.")]) -> None:
    """Show the source, hash, licence and preprocessing of a set of weights."""
    from cxrlens.models.weights.find import local_file
    from cxrlens.models.weights.store import find_card, has_hash

    card = find_card(name)
    path = local_file(card)
    digest = f"SHA-256 {card.sha256}" if card.sha256 else f"git SHA-1 {card.git_blob}"
    if card.md5:
        digest = f"MD5 {' or '.join(card.md5)}"
    scale = card.preprocessing
    lines = {
        "weights": card.title,
        "architecture": card.architecture,
        "input": f"{card.input}; trained at {card.size} x {card.size}",
        "preprocessing": f"(x - {_numbers(scale.mean)}) / {_numbers(scale.std)} of grey x in [0, 1], three times",
        "licence": card.licence,
        "source": card.source,
        "address": card.url or "none for a direct download",
        "hash": digest if has_hash(card) else "none published: checked by its layout and every tensor",
        "citation": card.citation,
        "replaced by": ", ".join(card.stand_ins) + " if this file is absent" if card.stand_ins else "",
        "file": str(path) if path else "not on this machine",
    }
    for title, text in lines.items():
        if text:
            echo(f"{title + ':':<15}{text}")


@weights.command()
def fetch(
    name: Annotated[str, typer.Argument(help="Name of the weights, see `list`.")],
    url: Annotated[str | None, typer.Option(help="A mirror of the same file.")] = None,
) -> None:
    """Download a set of weights into the weights folder. The same command continues a download."""
    from rich.console import Console
    from rich.progress import DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    from cxrlens.models.weights.fetch import fetch_weights
    from cxrlens.models.weights.store import find_card, verify_weights

    card = find_card(name)
    columns = (TextColumn("{task.description}", markup=False), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(name, total=None)
        try:
            path, downloaded = fetch_weights(card, url, lambda count: bar.advance(task, count))
        except KeyboardInterrupt:
            bar.stop()
            echo("stopped; the same command continues", err=True)
            raise typer.Exit(130) from None
    echo(f"{path}: {'downloaded' if downloaded else 'already there'}")
    _say(name, verify_weights(name))


@weights.command()
def verify(name: Annotated[str, typer.Argument(help="Name of the weights, see `list`.")]) -> None:
    """Check a file on this machine: its hash, every tensor, and its output on a known image."""
    from cxrlens.models.weights.store import verify_weights

    _say(name, verify_weights(name))


@weights.command()
def add(
    file: Annotated[Path, typer.Argument(help="A weight file of any known format.")],
    name: Annotated[str | None, typer.Option("--as", help="Name of the weights, if the file does not say it.")] = None,
) -> None:
    """Recognise a weight file, check that it loads whole, and copy it into the weights folder."""
    from cxrlens.models.weights.fetch import add_weights

    card, verified = add_weights(file, name)
    echo(f"{verified.path}: {card.title}")
    _say(card.name, verified)


def _say(name: str, verified: object) -> None:
    from cxrlens.models.weights.store import Verified

    assert isinstance(verified, Verified)
    echo(f"{name}: {verified.tensors} tensors, complete (layout {verified.format})")
    echo(f"SHA-256 {verified.sha256}: {'as published' if verified.hash_checked else 'no hash is published'}")
    echo(f"output on a known image: {'as on the card' if verified.output_checked else 'none on the card'}")


def _numbers(values: tuple[float, ...]) -> str:
    texts = [f"{value:.6g}" for value in values]
    return texts[0] if len(set(texts)) == 1 else f"({', '.join(texts)})"
