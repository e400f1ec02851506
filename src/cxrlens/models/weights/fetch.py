"""Brings weight files into the weights folder: downloads a card's file, or copies a file that the user has."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import filelock
import httpx2

from cxrlens.data.download import Refused, Stopped, check_reach, download
from cxrlens.errors import UserError, nearest_file
from cxrlens.files import write_atomically
from cxrlens.models.weights.cards import CARDS, WeightCard, own_card
from cxrlens.models.weights.containers import HDF5, read_contents
from cxrlens.models.weights.find import SUFFIXES, local_file, weights_folder
from cxrlens.models.weights.formats import convert, recognise
from cxrlens.models.weights.store import Verified, accept, find_card, has_hash, mismatch

MAX_BYTES = 2**30  # of a file; VGG16 has half of that


def stored_name(card: WeightCard, like: str) -> str:
    """Name of a card's file in the weights folder: the card's name with the suffix of the file name `like`."""
    return card.name + next((suffix for suffix in SUFFIXES if like.lower().endswith(suffix)), ".pth")


def fetch_weights(
    card: WeightCard, url: str | None = None, received: Callable[[int], None] | None = None, pause: float = 0.5
) -> tuple[Path, bool]:
    """Downloads a card's file into the weights folder and verifies it; a new call resumes an interrupted download.

    Args:
        card: card of the weights.
        url: address of a mirror of the file; without it, the card's own address.
        received: function that gets the number of bytes of every chunk.
        pause: seconds before the first retry.

    Returns:
        The path of the file, and whether it was downloaded now (False if it was there already).

    Raises:
        UserError: no address is known, the host cannot be reached (reported within 5 seconds), the server does not give
            the published file, the folder cannot be written, or another process fetches these weights.
    """
    if present := local_file(card):
        return present, False
    address = url or card.url
    if address is None:
        raise UserError(f"no address is known for the weights '{card.name}': {card.source}")
    target = weights_folder() / stored_name(card, urlsplit(address).path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(target.with_name(f".{target.name}.lock"), timeout=0):
            _download(card, address, target, received or (lambda _: None), pause)
    except filelock.Timeout as error:
        raise UserError(f"another process is fetching '{card.name}' into {target.parent}; wait for it") from error
    except OSError as error:
        raise UserError(
            f"cannot write {target}: {error.strerror or error}; free some space and run the same command to "
            "continue, or choose another folder with CXRLENS_WEIGHTS"
        ) from error
    return target, True


def _download(card: WeightCard, address: str, target: Path, received: Callable[[int], None], pause: float) -> None:
    by_hand = f"or bring {card.file or 'the file'} from a machine that has it: `cxrlens weights add FILE`"
    check_reach(address, f"check the connection, name a mirror of the file with --url URL, {by_hand}")

    def is_right(path: Path) -> bool:
        if has_hash(card):
            return mismatch(card, path) is None
        try:  # no hash is published, so the layout and every tensor are checked
            accept(path, card)
        except UserError:
            return False
        return True

    with httpx2.Client(timeout=httpx2.Timeout(15, connect=5), follow_redirects=True) as client:
        try:
            download(client, address, target, is_right, threading.Event(), received, pause, MAX_BYTES)
        except (Refused, Stopped) as error:
            raise UserError(f"{card.name}: {error} ({address}); {by_hand[3:]}") from error
        except httpx2.ConnectError as error:
            raise UserError(f"{card.name}: cannot connect to {address}: {error}; {by_hand[3:]}") from error


def add_weights(file: Path, name: str | None = None) -> tuple[WeightCard, Verified]:
    """Recognises a weight file, checks that it loads completely, and copies it into the weights folder.

    Args:
        file: path of the file.
        name: name of its card, where the file alone does not tell.

    Returns:
        The card, and the results of the checks.

    Raises:
        UserError: the file is absent, is not a weight file, fits no card or several, or does not load completely;
            nothing is copied then.
    """
    if not file.is_file():
        raise UserError(f"there is no file {file}{nearest_file(file)}")
    card = find_card(name) if name else recognise_card(file)
    verified = accept(file, card)
    with file.open("rb") as opened:
        start = opened.read(10)
    if start.startswith(HDF5):
        like = ".h5"
    elif file.suffix == ".keras":
        like = ".keras"
    else:
        like = ".safetensors" if start[8:10] == b'{"' else ".pth"
    target = weights_folder() / stored_name(card, like)
    if target.resolve() != file.resolve():
        if target.exists():
            raise UserError(f"{target} exists already; move it away to store another file of '{card.name}'")
        write_atomically(target, lambda draft: shutil.copyfile(file, draft))
    return card, replace(verified, path=target)


def recognise_card(file: Path) -> WeightCard:
    """Finds the card of a file: the card inside it, or a card with its hash, its layout or its publisher's file name.

    Raises:
        UserError: the file is not a weight file, or it fits no card or several.
    """
    if card := own_card(file):
        return CARDS.get(card.name, card)
    for card in CARDS.values():
        if has_hash(card) and mismatch(card, file) is None:
            return card
    contents = read_contents(file)
    layout, architecture = recognise(contents), convert(contents).architecture
    cards = [card for card in CARDS.values() if card.format == layout and card.architecture == architecture]
    if len(cards) != 1:
        cards = [card for card in cards if card.file == file.name] or cards
    if len(cards) == 1:
        return cards[0]
    several = f"may be {' or '.join(card.name for card in cards)}"
    fault = several if cards else f"has the layout '{layout}', which fits no card"
    raise UserError(
        f"{file.name} {fault}: name its card with --as NAME (known: {', '.join(CARDS)}), "
        "or give the path of the file as weights in the study"
    )
