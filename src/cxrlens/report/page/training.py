"""How training went."""

from __future__ import annotations

from cxrlens.report.page.blocks import Section, figure
from cxrlens.report.reading import Reading


def training(reading: Reading) -> Section | None:
    """The curves; None where they were not drawn."""
    names = ", ".join(model["name"] for model in reading.results["models"])
    shown = figure(
        reading,
        "training",
        f"Loss by epoch on training and validation images, a panel a model: {names}.",
        "Training curves. Where the validation loss rises while the training loss falls, the model learns its images "
        "by heart; no epoch was chosen by them.",
    )
    return Section("training", "Training", shown) if shown else None
