"""Which images Figure 1 shows where the study names none."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Picked:
    """An image of Figure 1.

    Attributes:
        image: its name in the cohort.
        why: what it is, and why it is here, for the figure.
    """

    image: str
    why: str


def pick(predictions: pd.DataFrame) -> list[Picked]:
    """The positive and the negative image that a network is surest of, and those where it errs most.

    Args:
        predictions: of one network on its validation side: image, label, probability.

    Returns:
        At most four: the surest first. One that would come twice comes once.
    """
    found: dict[str, Picked] = {}
    for label, name in ((1, "positive"), (0, "negative")):
        side = predictions[predictions["label"] == label].sort_values(["probability", "image"])
        if len(side):
            right = side["image"].iloc[-1 if label else 0]
            found[right] = Picked(right, f"{name}, {'highest' if label else 'lowest'} P")
    for label, name in ((1, "positive"), (0, "negative")):
        side = predictions[predictions["label"] == label].sort_values(["probability", "image"])
        if len(side) > 1:
            wrong = side["image"].iloc[0 if label else -1]
            found.setdefault(wrong, Picked(wrong, f"{name}, {'lowest' if label else 'highest'} P"))
    return list(found.values())
