"""Downloads a card's file into the weights folder: resumed, verified, then renamed into place."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import filelock
import httpx2

from cxrlens.data.download import Refused, Stopped, download
from cxrlens.data.reach import check_reach
from cxrlens.errors import UserError
from cxrlens.models.weights.accept import accept
from cxrlens.models.weights.card import WeightCard
from cxrlens.models.weights.find import SUFFIXES, local_file, weights_folder
from cxrlens.models.weights.identity import has_hash, mismatch

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
