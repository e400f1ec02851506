"""Counts the steps of reading a cohort's images by kind: warnings and ordinary conversions.

A step is a sentence about one file. Sentences that differ only in their numbers, or in the brackets at their end,
are of one kind.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from cxrlens.data.depth import depth_note, depth_warning

WARNING = "warning: "
MOST_NAMES, MOST_KINDS = 3, 8
# Numbers (except those of bits, such as "16-bit" and "12 bits", which name a kind of file) and DICOM tags.
_NUMBER = re.compile(
    r"\([0-9a-fA-F]{4},\s?[0-9a-fA-F]{4}\)|(?<![\w.])[-+]?\d+(?:[.,]\d+)*(?:e[-+]?\d+)?(?!\w|-bit| bits?\b)"
)
_DETAIL = re.compile(r"\s*\([^()]*\)$")


@dataclass(frozen=True)
class StepGroup:
    """The steps of one kind.

    Attributes:
        kind: sentence of the step; where it differs between images, without brackets and with "…" for its numbers.
        warning: whether the step is a warning.
        images: names of the images with such a step, in file order.
    """

    kind: str
    warning: bool
    images: tuple[str, ...]

    @property
    def names(self) -> str:
        """Names of the first few images, as text."""
        return ", ".join(self.images[:MOST_NAMES]) + ("…" if len(self.images) > MOST_NAMES else "")

    @property
    def sentence(self) -> str:
        """A sentence with the number of images, the kind of the step and the first image."""
        single = len(self.images) == 1
        count = "1 image" if single else f"{len(self.images)} images"
        link = (" has" if single else " have") if self.kind.startswith("only ") else ":"
        return f"{count}{link} {self.kind} ({'' if single else 'first: '}{self.images[0]})"

    def to_json(self) -> dict[str, Any]:
        """The group as plain values for JSON."""
        return {"kind": self.kind, "warning": self.warning, "count": len(self.images), "images": list(self.images)}


def group_steps(images: Iterable[str], steps: Iterable[Sequence[str] | str]) -> tuple[StepGroup, ...]:
    """Groups the steps of images by kind; warnings come first, then the most frequent kinds.

    Args:
        images: names of the images.
        steps: steps of each image, as a list or as one text joined by "; " as in `cohort.csv`; other values mean none.

    >>> steps = ["warning: only 40 x 50 pixels", "warning: only 9 x 9 pixels; RGB to grey", ""]
    >>> groups = group_steps(["a", "b", "c"], steps)
    >>> [(group.kind, group.warning, group.images) for group in groups]
    [('only … x … pixels', True, ('a', 'b')), ('RGB to grey', False, ('b',))]
    """
    texts: dict[tuple[bool, str], dict[str, str]] = {}
    for image, of_image in zip(images, steps, strict=True):
        for step in step_list(of_image):
            warning, text = step.startswith(WARNING), step.removeprefix(WARNING)
            texts.setdefault((warning, _NUMBER.sub(_masked, _DETAIL.sub("", text))), {}).setdefault(image, text)
    groups = [
        StepGroup(next(iter(by_image.values())) if len({*by_image.values()}) == 1 else kind, warning, tuple(by_image))
        for (warning, kind), by_image in texts.items()
    ]
    return tuple(sorted(groups, key=lambda group: (not group.warning, -len(group.images))))


def step_list(steps: Sequence[str] | str) -> list[str]:
    """The steps of one image, from a list or from a cell of `cohort.csv`."""
    if isinstance(steps, str):
        return [step for step in steps.split("; ") if step]
    return [*steps] if isinstance(steps, list | tuple) else []


def image_warnings(steps: Sequence[str] | str) -> list[str]:
    """The warnings among the steps of one image."""
    return [step.removeprefix(WARNING) for step in step_list(steps) if step.startswith(WARNING)]


def reading_sentences(facts: pd.DataFrame) -> list[str]:
    """Warnings on how a cohort's files were read: different depths, and each kind of warning of a reader.

    Args:
        facts: facts of an `ImageCache`.
    """
    groups = [group for group in group_steps(facts["image"], facts["steps"]) if group.warning]
    depth, more = depth_warning(facts), len(groups) - MOST_KINDS
    return [
        *([depth] if depth else []),
        *(group.sentence for group in groups[:MOST_KINDS]),
        *([f"and {more} more kinds of warnings; `cxrlens data check` lists them all"] if more > 0 else []),
    ]


def reading_notes(facts: pd.DataFrame) -> list[str]:
    """Notes on what is assumed of a cohort's files without being odd: the bits that they use.

    Args:
        facts: facts of an `ImageCache`.
    """
    note = depth_note(facts)
    return [note] if note else []


def _masked(match: re.Match[str]) -> str:
    return match[0] if match[0].startswith("(") else "…"
