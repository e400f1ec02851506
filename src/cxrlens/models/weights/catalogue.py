"""Every weight card there is: the published, those of the package, and those of files that a user added.

Best first within an architecture, which is the order in which `weights = "auto"` looks: published X-ray weights, those
shipped here, a user's own, photographs last.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import platformdirs
from safetensors import SafetensorError, safe_open

from cxrlens.errors import UserError
from cxrlens.models.weights.card import KEY, WeightCard
from cxrlens.models.weights.cards import NATURAL, XRAY

SHIPPED = Path(__file__).parent / "shipped"


def weights_folder() -> Path:
    """Where weights that a person fetched are looked for: `CXRLENS_WEIGHTS`, or the user's data folder."""
    return Path(os.environ.get("CXRLENS_WEIGHTS") or Path(platformdirs.user_data_dir("cxrlens")) / "weights")


def own_card(file: Path) -> WeightCard | None:
    """The card that a file carries; None where it carries none, or none that can be read."""
    try:
        with safe_open(file, framework="pt") as opened:
            text = (opened.metadata() or {}).get(KEY)
        return WeightCard.from_json(text, file.name) if text is not None else None
    except (OSError, SafetensorError, UserError):
        return None  # whoever names the file is told what is wrong with it


def shipped_sums() -> dict[str, str]:
    """File → SHA-256 of the weights that come with the package: what `sha256sum *.safetensors` wrote."""
    sums = SHIPPED / "SHA256SUMS"
    lines = sums.read_text(encoding="utf-8").splitlines() if sums.exists() else []
    return {file: digest for digest, file in (line.split() for line in lines)}


class Catalogue(Mapping[str, WeightCard]):
    """Cards by name, as they are now: a file added meanwhile is there."""

    def _all(self) -> dict[str, WeightCard]:
        sums = shipped_sums()
        shipped = {
            card.name: replace(
                card, package="cxrlens", file=file.name, source="installed with cxrlens", sha256=sums.get(file.name)
            )
            for file in sorted(SHIPPED.glob("*.safetensors"))
            if (card := own_card(file))
        }
        known = {**XRAY, **shipped, **NATURAL}
        files = sorted(weights_folder().glob("*.safetensors"))
        added = {card.name: card for file in files if (card := own_card(file)) and file.stem == card.name}
        mine = {name: replace(card, source="a file of yours") for name, card in added.items() if name not in known}
        return {**XRAY, **shipped, **mine, **NATURAL}

    def __getitem__(self, name: str) -> WeightCard:
        return self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())


CARDS = Catalogue()
