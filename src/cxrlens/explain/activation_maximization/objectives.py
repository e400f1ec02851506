"""What is maximised: the logit, a channel of a layer, several at once, or one against another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from pydantic import Field, model_validator
from torch import Tensor

from cxrlens.config import Config
from cxrlens.errors import UserError

LOGIT = "logit"


class Unit(Config):
    """One channel of one layer, averaged over its map.

    Attributes:
        layer: "logit", or the name of a module (see `measuring`).
        channel: which of its channels, from 0; the logit has one.
        weight: what the mean is multiplied by; negative to have less of it.
    """

    layer: str = Field(default=LOGIT, min_length=1)
    channel: int = Field(default=0, ge=0)
    weight: float = Field(default=1.0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _the_logit_is_one(self) -> Unit:
        if self.layer == LOGIT and self.channel:
            raise ValueError("there is one logit, channel 0")
        return self

    @property
    def title(self) -> str:
        """For a person, such as "conv_head 17"."""
        return LOGIT if self.layer == LOGIT else f"{self.layer} {self.channel}"


class Objective(Config):
    """A weighted sum of units.

    >>> (Objective.channel("conv_head", 17) - 0.5 * Objective.logit()).title
    'conv_head 17 - 0.5 logit'
    """

    units: tuple[Unit, ...] = Field(min_length=1)

    @classmethod
    def logit(cls) -> Objective:
        """The network's output, before the sigmoid."""
        return cls(units=(Unit(),))

    @classmethod
    def channel(cls, layer: str, channel: int) -> Objective:
        """The mean over the map of one channel of a layer."""
        return cls(units=(Unit(layer=layer, channel=channel),))

    def __add__(self, other: Objective) -> Objective:
        return Objective(units=(*self.units, *other.units))

    def __sub__(self, other: Objective) -> Objective:
        return self + -1.0 * other

    def __rmul__(self, factor: float) -> Objective:
        return Objective(units=tuple(each.model_copy(update={"weight": factor * each.weight}) for each in self.units))

    @property
    def layers(self) -> frozenset[str]:
        """The layers that it asks."""
        return frozenset(unit.layer for unit in self.units)

    @property
    def title(self) -> str:
        """For a person."""
        words: list[str] = []
        for unit in self.units:
            size = "" if abs(unit.weight) == 1 else f"{abs(unit.weight):g} "
            sign = "- " if unit.weight < 0 else "+ " if words else ""
            words.append(f"{sign}{size}{unit.title}")
        return " ".join(words)


def value_of(objective: Objective, means: Mapping[str, Tensor]) -> Tensor:
    """One objective on every image of a batch.

    Args:
        objective: any.
        means: of each layer that it asks, its channels' means [b, c].

    Returns:
        [b].

    Raises:
        UserError: a layer did not run, or has no such channel.
    """
    for unit in objective.units:
        if unit.layer not in means:
            raise UserError(f"layer '{unit.layer}' never runs in this network's forward pass; name another")
        if unit.channel >= means[unit.layer].shape[1]:
            most = means[unit.layer].shape[1] - 1
            raise UserError(f"layer '{unit.layer}' has channels 0 to {most}; got {unit.channel}")
    parts = [unit.weight * means[unit.layer][:, unit.channel] for unit in objective.units]
    return torch.stack(parts).sum(0)


def values_of(rows: Sequence[Objective], means: Mapping[str, Tensor]) -> Tensor:
    """[b]: of each image its own objective, one a row."""
    return torch.stack([value_of(objective, means)[row] for row, objective in enumerate(rows)])
