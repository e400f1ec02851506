"""Parts of the explanations that fail: detected before training, or recorded later while the rest goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from cxrlens.errors import reason
from cxrlens.explain.activation_maximization import Objective, maximize
from cxrlens.explain.activation_maximization.objectives import contributions
from cxrlens.explain.attribute import method_fault
from cxrlens.explain.attribution_options import ExplainOptions
from cxrlens.explain.layers import default_layer, units_layer
from cxrlens.explain.methods import METHODS
from cxrlens.models.classifier import Classifier
from cxrlens.progress import Progress
from cxrlens.report.page.explanations import left_out_sentence


class Omissions:
    """A record of everything that the figures lack, each entry once.

    Attributes:
        entries: for each omission `what` is missing, of which `model` (None: of all models), and the `reason`.
    """

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.entries: list[dict[str, str | None]] = []

    def add(self, what: str, model: str | None, why: str) -> None:
        """Adds an omission, and reports it as a warning."""
        entry = {"what": what, "model": model, "reason": why}
        if entry not in self.entries:
            self.entries.append(entry)
            self.progress.say(f"warning: {left_out_sentence(what, model, why)}")

    @contextmanager
    def guarded(self, what: str, figure: Path | None = None, model: str | None = None) -> Iterator[None]:
        """A block that may fail. A failure is recorded, and an earlier figure is deleted, since it shows other maps.

        Args:
            what: the part of the figures that the block makes.
            figure: path of the figure without its suffix; None if the block writes none.
            model: name of the model; None if the block is about all models.
        """
        try:
            yield
        except Exception as error:
            self.add(what, model, reason(error))
            if figure is not None:
                for suffix in (".png", ".pdf"):
                    figure.with_suffix(suffix).unlink(missing_ok=True)


def explanation_faults(model: Classifier, options: ExplainOptions) -> dict[str, str]:
    """What of the study's figures and gallery does not work for a network → reason. The test does as little as it can.

    Args:
        model: an untrained network; it is left unchanged.
        options: the study's `[explain]`.
    """
    faults = {}
    if options.gallery or 1 in options.figures:
        for method in options.methods:
            faults[f"maps of {METHODS[method].title}"] = method_fault(model, method)
    if 2 in options.figures or "spectrum" in options.figures:
        faults["pictures of Figure 2"] = _picture_fault(model, options, of_units=False)
    if 3 in options.figures:
        faults["pictures of Figure 3"] = _picture_fault(model, options, of_units=True)
    return {what: why for what, why in faults.items() if why}


def _picture_fault(model: Classifier, options: ExplainOptions, *, of_units: bool) -> str:
    try:
        objective = Objective.logit()
        if of_units:
            contributions(model, torch.full((1, 1, model.size, model.size), 0.5), default_layer(model))
            objective = Objective.channel(units_layer(model), 0)
        maximize(model, objective, options.maximization(1, jitter=True), seeds=[options.seed])
    except Exception as error:
        return reason(error)
    return ""
