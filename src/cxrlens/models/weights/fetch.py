"""Downloads a card's file into the weights folder: resumed, verified, then renamed into place."""

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
from cxrlens.errors import UserError
from cxrlens.files import write_atomically
from cxrlens.models.weights.cards import CARDS, WeightCard, own_card
from cxrlens.models.weights.containers import HDF5, read_contents
from cxrlens.models.weights.find import SUFFIXES, local_file, weights_folder
from cxrlens.models.weights.formats import convert, recognise
from cxrlens.models.weights.store import Verified, accept, find_card, has_hash, mismatch

MOST = 2**30  # bytes; VGG16's file is half of it


def stored_name(card: WeightCard, like: str) -> str:
    """What a card's file is called in the weights folder: its name, with the suffix that `like` has."""
    return card.name + next((suffix for suffix in SUFFIXES if like.lower().endswith(suffix)), ".pth")


def fetch_weights(
    card: WeightCard, url: str | None = None, received: Callable[[int], None] | None = None, pause: float = 0.5
) -> tuple[Path, bool]:
    """Brings a card's file into the weights folder; the same call again continues a download that was cut off.

    Args:
        card: which weights.
        url: a mirror of the file.
        received: told the number of bytes of every chunk.
        pause: seconds before the first retry.

    Returns:
        Where the file is, and whether it came now (False where it was there already).

    Raises:
        UserError: no address is known, the host is out of reach (told within 5 seconds), the server does not give the
            published file, the folder cannot be written, or another fetch of these weights is at work.
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
        raise UserError(f"another fetch of '{card.name}' is at work in {target.parent}; wait for it") from error
    except OSError as error:
        raise UserError(
            f"cannot write {target}: {error.strerror or error}; free some space and run the same command, it "
            "continues, or choose another folder with CXRLENS_WEIGHTS"
        ) from error
    return target, True


def _download(card: WeightCard, address: str, target: Path, received: Callable[[int], None], pause: float) -> None:
    by_hand = f"or bring {card.file or 'the file'} from a machine that has it: `cxrlens weights add FILE`"
    check_reach(address, f"check the connection, name a mirror of the file with --url URL, {by_hand}")

    def is_right(path: Path) -> bool:
        if has_hash(card):
            return mismatch(card, path) is None
        try:  # no hash is published: the layout and every tensor must be right
            accept(path, card)
        except UserError:
            return False
        return True

    with httpx2.Client(timeout=httpx2.Timeout(15, connect=5), follow_redirects=True) as client:
        try:
            download(client, address, target, is_right, threading.Event(), received, pause, MOST)
        except (Refused, Stopped) as error:
            raise UserError(f"{card.name}: {error} ({address}); {by_hand[3:]}") from error
        except httpx2.ConnectError as error:
            raise UserError(f"{card.name}: no connection to {address}: {error}; {by_hand[3:]}") from error


# Takes a weight file that a person has into the weights folder, under the name of the card that it fits.


def add_weights(file: Path, name: str | None = None) -> tuple[WeightCard, Verified]:
    """Recognises a file, checks that it loads whole, and copies it into the weights folder.

    Args:
        file: left as it is.
        name: the card that it is of, where the file alone does not tell.

    Returns:
        The card, and what was checked of the copy.

    Raises:
        UserError: no weight file, of no card or of several, or not loading whole; nothing is stored then.
    """
    if not file.is_file():
        raise UserError(f"no file {file}")
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
            raise UserError(f"{target} is there already; move it away to store another file of '{card.name}'")
        write_atomically(target, lambda draft: shutil.copyfile(file, draft))
    return card, replace(verified, path=target)


def recognise_card(file: Path) -> WeightCard:
    """The one card that a file can be of: the one it carries, or by its hash, its publisher's name, its layout.

    Raises:
        UserError: not a weight file, or of no card or of several.
    """
    if card := own_card(file):
        return CARDS.get(card.name, card)
    for card in CARDS.values():
        if has_hash(card) and mismatch(card, file) is None:
            return card
    contents = read_contents(file)
    layout, architecture = recognise(contents), convert(contents).architecture
    same = [card for card in CARDS.values() if card.format == layout and card.architecture == architecture]
    if len(same) != 1:
        same = [card for card in same if card.file == file.name] or same
    if len(same) == 1:
        return same[0]
    told = f"may be {' or '.join(card.name for card in same)}" if same else f"has the layout '{layout}' of no card"
    raise UserError(
        f"{file.name} {told}: say which with --as NAME (known: {', '.join(CARDS)}), "
        "or name the file by its path in the study"
    )
