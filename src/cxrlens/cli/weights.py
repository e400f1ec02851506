"""`cxrlens weights`: which pretrained weights there are, which can be used here, and how to get the others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cxrlens.cli.terminal import echo, print_json

weights = typer.Typer(help="Pretrained weights: list, look at, fetch, verify, add a file.", no_args_is_help=True)


@weights.command("list")
def list_weights(as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """Every set of weights that has a card; `available` ones can be used now, without a network."""
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
        here = "here" if row["available"] else "    "
        echo(f"{here}  {row['name']:<{wide}}  {row['architecture']:<22}  {row['licence']}")
    echo("`cxrlens weights show NAME` says more; a study takes any of them, or 'auto' for the best that is here.")


@weights.command()
def show(name: Annotated[str, typer.Argument(help="As `list` shows it.")]) -> None:
    """What a set of weights is: source, hash, licence, what its network was trained to be given."""
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
        "given here": f"(x - {_numbers(scale.mean)}) / {_numbers(scale.std)} of grey x in [0, 1], three times",
        "licence": card.licence,
        "source": card.source,
        "address": card.url or "none that needs no click",
        "hash": digest if has_hash(card) else "none published: checked by its layout and every tensor",
        "citation": card.citation,
        "stands in": ", ".join(card.stand_ins) + " where it is not there" if card.stand_ins else "",
        "file": str(path) if path else "not on this machine",
    }
    for title, told in lines.items():
        if told:
            echo(f"{title + ':':<14}{told}")


@weights.command()
def fetch(
    name: Annotated[str, typer.Argument(help="As `list` shows it.")],
    url: Annotated[str | None, typer.Option(help="A mirror of the same file.")] = None,
) -> None:
    """Downloads a set of weights into the weights folder; run it again to continue where it stopped."""
    from rich.console import Console
    from rich.progress import DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    from cxrlens.models.weights.fetch import fetch_weights
    from cxrlens.models.weights.store import find_card, verify_weights

    card = find_card(name)
    columns = (TextColumn("{task.description}", markup=False), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(name, total=None)
        try:
            path, came = fetch_weights(card, url, lambda count: bar.advance(task, count))
        except KeyboardInterrupt:
            bar.stop()
            echo("stopped; the same command continues", err=True)
            raise typer.Exit(130) from None
    echo(f"{path}: {'downloaded' if came else 'already there'}")
    _say(name, verify_weights(name))


@weights.command()
def verify(name: Annotated[str, typer.Argument(help="As `list` shows it.")]) -> None:
    """Checks a file on this machine: its hash, every tensor, and its output on a known image."""
    from cxrlens.models.weights.store import verify_weights

    _say(name, verify_weights(name))


@weights.command()
def add(
    file: Annotated[Path, typer.Argument(help="A weight file of any known format.")],
    name: Annotated[str | None, typer.Option("--as", help="The card it is of, where the file doesn't tell.")] = None,
) -> None:
    """Recognises a weight file, checks that it loads whole, and copies it into the weights folder."""
    from cxrlens.models.weights.fetch import add_weights

    card, verified = add_weights(file, name)
    echo(f"{verified.path}: {card.title}")
    _say(card.name, verified)


def _say(name: str, verified: object) -> None:
    from cxrlens.models.weights.store import Verified

    assert isinstance(verified, Verified)
    echo(f"{name}: {verified.tensors} tensors, all in place (layout {verified.format})")
    echo(f"SHA-256 {verified.sha256}: {'as published' if verified.hash_checked else 'no hash is published'}")
    echo(f"output on a known image: {'as on the card' if verified.output_checked else 'none on the card'}")


def _numbers(values: tuple[float, ...]) -> str:
    shown = [f"{value:.6g}" for value in values]
    return shown[0] if len(set(shown)) == 1 else f"({', '.join(shown)})"
