"""Takes a weight file that a person has into the weights folder, under the name of the card that it fits."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from cxrlens.errors import UserError
from cxrlens.files import write_atomically
from cxrlens.models.weights.accept import Verified, accept, find_card
from cxrlens.models.weights.card import WeightCard
from cxrlens.models.weights.catalogue import CARDS, own_card
from cxrlens.models.weights.containers import HDF5, read_contents
from cxrlens.models.weights.fetch import stored_name
from cxrlens.models.weights.find import weights_folder
from cxrlens.models.weights.formats import convert, recognise
from cxrlens.models.weights.identity import has_hash, mismatch


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
