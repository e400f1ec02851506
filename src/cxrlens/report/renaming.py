"""Patients and images under other names, in tables, in plain values and within sentences."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import pandas as pd

STARTS = re.compile(r"(?<![^\W_])\S")  # a sign without a letter or digit before it


@dataclass(frozen=True)
class Names:
    """New names for old.

    A name is replaced wherever it stands as one: in columns and under keys of images or of patients. Within sentences
    it is replaced where it can be told from a word: not a plain lower-case word, not a number of fewer than 5 digits
    ("2" is a patient of the covid-chestxray collection), not two letters ("PA" is a view). An image's name is also
    known without its folder and without its suffix.

    Attributes:
        images: old → new.
        patients: old → new; a patient who is called after an image, as where none is known, is still so.
        within: every old name that can be told within a sentence → new.
        lengths: of those, longest first.
    """

    images: Mapping[str, str]
    patients: Mapping[str, str]
    within: Mapping[str, str]
    lengths: tuple[int, ...]

    @classmethod
    def of(cls, images: Sequence[str], patients: Sequence[str]) -> Names:
        """Numbers both in their order.

        >>> names = Names.of(["a-7.png", "3"], ["P 1", "2"])
        >>> names.text("P 1 (a-7.png) is 1 of 2"), names.plain({"image": "3", "patients": ["2"], "p": "3 of 2"})
        ('patient 1 (image 1) is 1 of 2', {'image': 'image 2', 'patients': ['patient 2'], 'p': '3 of 2'})
        """
        new_images = {name: f"image {number}" for number, name in enumerate(images, start=1)}
        new_patients = {
            name: new_images.get(name, f"patient {number}") for number, name in enumerate(patients, start=1)
        }
        within: dict[str, str] = {}
        for name, new in new_images.items():
            path = PurePosixPath(name.replace("\\", "/"))
            for each in (path.name, path.stem):
                if re.search(r"[.\d]", each):
                    within.setdefault(each, new)
        within |= new_patients | new_images
        within = {name: new for name, new in within.items() if _can_be_told(name)}
        return cls(new_images, new_patients, within, tuple(sorted({len(name) for name in within}, reverse=True)))

    def text(self, text: str) -> str:
        """A sentence, a model's name or a whole file."""
        said, done = [], 0
        for found in STARTS.finditer(text):
            start = found.start()
            if start < done:
                continue
            for end in (start + length for length in self.lengths):  # thousands of names have few lengths
                if text[start:end] in self.within and not text[end : end + 1].isalnum():
                    said += [text[done:start], self.within[text[start:end]]]
                    done = end
                    break
        return "".join([*said, text[done:]])

    def plain(self, value: Any, key: str = "") -> Any:
        """Plain values of JSON: what stands under a key with "image" or "patient" in it is a name."""
        if isinstance(value, Mapping):
            return {self.text(name): self.plain(each, name) for name, each in value.items()}
        if isinstance(value, list | tuple):
            return [self.plain(each, key) for each in value]
        if not isinstance(value, str):
            return value
        for what, names in (("image", self.images), ("patient", self.patients)):
            if what in key and value in names:
                return names[value]
        return self.text(value)

    def table(self, table: pd.DataFrame) -> pd.DataFrame:
        """A table: its columns `image` and `patient` are names, the others text."""
        texts = [str(name) for name in table if not pd.api.types.is_numeric_dtype(table[name])]
        return table.assign(**{name: [self.plain(cell, name) for cell in table[name]] for name in texts})


def _can_be_told(name: str) -> bool:
    if name.isdigit():
        return len(name) >= 5
    return len(name) >= (2 if re.search(r"\d", name) else 3) and not re.fullmatch("[a-z_]+", name)
