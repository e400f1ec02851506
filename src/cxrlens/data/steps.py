"""What was done to read a cohort's images, counted by kind: warnings, and conversions that went as they should.

A reader's step is a sentence about one file. Sentences that differ in their numbers, or in what stands in brackets at
their end, are of one kind.
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
# Numbers but those that say a kind of file, such as "16-bit" and "12 bits", and DICOM tags.
_NUMBER = re.compile(
    r"\([0-9a-fA-F]{4},\s?[0-9a-fA-F]{4}\)|(?<![\w.])[-+]?\d+(?:[.,]\d+)*(?:e[-+]?\d+)?(?!\w|-bit| bits?\b)"
)
_DETAIL = re.compile(r"\s*\([^()]*\)$")


@dataclass(frozen=True)
class StepGroup:
    """One kind of step.

    Attributes:
        kind: the sentence; where it differs between images, without its brackets and with "…" for its numbers.
        warning: whether it tells of something odd.
        images: those that it was done to, in file order.
    """

    kind: str
    warning: bool
    images: tuple[str, ...]

    @property
    def names(self) -> str:
        """The first few images."""
        return ", ".join(self.images[:MOST_NAMES]) + ("…" if len(self.images) > MOST_NAMES else "")

    @property
    def sentence(self) -> str:
        """Count, kind and the first image."""
        one = len(self.images) == 1
        count = "1 image" if one else f"{len(self.images)} images"
        link = (" has" if one else " have") if self.kind.startswith("only ") else ":"
        return f"{count}{link} {self.kind} ({'' if one else 'first: '}{self.images[0]})"

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"kind": self.kind, "warning": self.warning, "count": len(self.images), "images": list(self.images)}


def group_steps(images: Iterable[str], steps: Iterable[Sequence[str] | str]) -> tuple[StepGroup, ...]:
    """Counts the steps of some images by kind: warnings first, then the most frequent first.

    Args:
        images: names.
        steps: of each image, as a list or joined by "; " as in `cohort.csv`; anything else is none.

    >>> steps = ["warning: only 40 x 50 pixels", "warning: only 9 x 9 pixels; RGB to grey", ""]
    >>> groups = group_steps(["a", "b", "c"], steps)
    >>> [(group.kind, group.warning, group.images) for group in groups]
    [('only … x … pixels', True, ('a', 'b')), ('RGB to grey', False, ('b',))]
    """
    texts: dict[tuple[bool, str], dict[str, str]] = {}
    for image, done in zip(images, steps, strict=True):
        for step in step_list(done):
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
    """What is odd in how a cohort's files were read: that their bits do not agree, and every kind of warning.

    Args:
        facts: of an `ImageCache`.
    """
    groups = [group for group in group_steps(facts["image"], facts["steps"]) if group.warning]
    depth, more = depth_warning(facts), len(groups) - MOST_KINDS
    return [
        *([depth] if depth else []),
        *(group.sentence for group in groups[:MOST_KINDS]),
        *([f"and {more} more kinds of warnings; `cxrlens data check` lists them all"] if more > 0 else []),
    ]


def reading_notes(facts: pd.DataFrame) -> list[str]:
    """What is assumed of a cohort's files and is nothing odd: the bits that they use.

    Args:
        facts: of an `ImageCache`.
    """
    note = depth_note(facts)
    return [note] if note else []


def _masked(found: re.Match[str]) -> str:
    return found[0] if found[0].startswith("(") else "…"
