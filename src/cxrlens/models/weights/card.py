"""A weight card: what a set of weights is, in one record; also as JSON, inside the file of weights made here."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any

from cxrlens.errors import UserError
from cxrlens.models.backbones import Preprocessing

KEY = "cxrlens.card"  # of the metadata of a safetensors file


@dataclass(frozen=True)
class WeightCard:
    """One set of weights.

    Attributes:
        name: as a study writes it.
        architecture: the backbone that it fits, by timm's name.
        title: what was trained on what.
        preprocessing: what the network was trained to be given, as a mean and standard deviation of [0, 1].
        size: side of the images it was trained on, in pixels.
        licence: of the weights.
        source: where they are to be had, for a person.
        input: the range that its publisher states, in words.
        citation: the paper behind it.
        format: name of its layout in `formats.FORMATS`.
        outputs: of the classifier that a published file holds, where it is known; tells look-alikes apart.
        package: module of an installed package that carries the file, if one does.
        file: what the publisher calls it.
        url: of the file, where an address that needs no click is known.
        hub: timm's name for the same weights on its hub, where it has them.
        sha256: of the file, or its beginning, where it is known.
        git_blob: git's SHA-1 of the file, where that is what is known.
        md5: of the published files that hold these weights, where that is what is known.
        also: other names that the publisher gives to files of the same weights.
        tensors_sha256: of the backbone's tensors in timm's layout (`identity.tensors_sha256`), where it is known: one
            identity for all files that hold these weights, which then takes the place of the files' hashes.
        known_output: mean of the feature map of the ramp image (`store.known_input`); shapes prove nothing, outputs do.
        stand_ins: cards that a study gets under this name, in this order, where this file is not there.
    """

    name: str
    architecture: str
    title: str
    preprocessing: Preprocessing
    size: int
    licence: str
    source: str
    input: str = "RGB, ImageNet's mean and standard deviation"
    citation: str = ""
    format: str = "plain"
    outputs: int | None = None
    package: str | None = None
    file: str | None = None
    url: str | None = None
    hub: str | None = None
    sha256: str | None = None
    git_blob: str | None = None
    md5: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    tensors_sha256: str | None = None
    known_output: float | None = None
    stand_ins: tuple[str, ...] = ()

    def to_json(self) -> str:
        """What is known, as `from_json` takes it."""
        return json.dumps(
            {name: value for name, value in asdict(self).items() if value not in (None, "", ())}, indent=1
        )

    @classmethod
    def from_json(cls, text: str, file: str) -> WeightCard:
        """A card from its JSON.

        Args:
            text: as `to_json` gives it.
            file: how to call its file in an error.

        Raises:
            UserError: it is no card.
        """
        try:
            raw: dict[str, Any] = json.loads(text)
            scale = raw["preprocessing"]
            raw["preprocessing"] = Preprocessing(_three(scale["mean"]), _three(scale["std"]))
            if min(raw["preprocessing"].std) <= 0:
                raise ValueError("a standard deviation is above 0")
            for name in ("stand_ins", "md5", "also"):
                if name in raw:
                    raw[name] = tuple(raw[name])
            known = {field.name for field in fields(cls)}
            card = cls(**{name: value for name, value in raw.items() if name in known})
            if not isinstance(card.size, int) or not isinstance(card.architecture, str):
                raise ValueError("size or architecture")
        except (ValueError, TypeError, KeyError) as error:
            raise UserError(f"{file} holds a damaged weight card ({error}): fetch or make the file again") from error
        return card


def _three(values: Any) -> tuple[float, ...]:
    found = tuple(float(value) for value in values)
    if len(found) != 3:
        raise ValueError(f"mean and std have 3 numbers each; got {len(found)}")
    return found
