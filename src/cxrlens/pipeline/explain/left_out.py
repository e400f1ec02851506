"""What of `[explain]` a network cannot have: asked before training; named and passed over where it shows later."""

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


class LeftOut:
    """What figures do without, each named once.

    Attributes:
        told: `what` is missing, of which `model` (None: of all), and the `reason`.
    """

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.told: list[dict[str, str | None]] = []

    def note(self, what: str, model: str | None, why: str) -> None:
        """Keeps it, and says it to whoever watches."""
        one = {"what": what, "model": model, "reason": why}
        if one not in self.told:
            self.told.append(one)
            self.progress.say(f"warning: {left_out_sentence(what, model, why)}")

    @contextmanager
    def guarded(self, what: str, figure: Path | None = None, model: str | None = None) -> Iterator[None]:
        """A block that may fail: then it is noted, and an earlier figure of that name goes, since it is of other maps.

        Args:
            what: of the figures.
            figure: its path without a suffix.
            model: whose part of it.
        """
        try:
            yield
        except Exception as error:
            self.note(what, model, reason(error))
            if figure is not None:
                for suffix in (".png", ".pdf"):
                    figure.with_suffix(suffix).unlink(missing_ok=True)


def impossible(model: Classifier, options: ExplainOptions) -> dict[str, str]:
    """What of the study's figures and gallery a network cannot have → why: tried with as little work as may be.

    Args:
        model: as a row builds it; left as it was found.
        options: the study's `[explain]`.
    """
    found = {}
    if options.gallery or 1 in options.figures:
        for method in options.methods:
            found[f"maps of {METHODS[method].title}"] = method_fault(model, method)
    if 2 in options.figures or "spectrum" in options.figures:
        found["pictures of Figure 2"] = _picture_fault(model, options, False)
    if 3 in options.figures:
        found["pictures of Figure 3"] = _picture_fault(model, options, True)
    return {what: why for what, why in found.items() if why}


def _picture_fault(model: Classifier, options: ExplainOptions, of_units: bool) -> str:
    try:
        objective = Objective.logit()
        if of_units:
            contributions(model, torch.full((1, 1, model.size, model.size), 0.5), default_layer(model))
            objective = Objective.channel(units_layer(model), 0)
        maximize(model, objective, options.maximization(False, 1), seeds=[options.seed])
    except Exception as error:
        return reason(error)
    return ""
