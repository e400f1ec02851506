"""How a row of the ladder is trained; the defaults are the paper's (Keras' Adam, binary cross-entropy)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from cxrlens.config import Config
from cxrlens.train.order import batches


class TrainingOptions(Config):
    """The training half of a study's row.

    Attributes:
        batch: images a step.
        epochs: passes, or rounds of `steps`.
        steps: steps an epoch; "pass" is one pass over the training images.
        augment: whether the study's augmentation is applied.
        class_weights: whether each class weighs alike in the loss, whatever its share.
        learning_rate: Adam's.
        epsilon: Adam's.
        weight_decay: decoupled from the gradient, as AdamW's; 0 is Adam.
        schedule: of the learning rate: "constant", or "one_cycle", which rises to it and falls to nearly 0.
    """

    batch: int = Field(default=16, ge=1)
    epochs: int = Field(default=12, ge=1)
    steps: int | Literal["pass"] = "pass"
    augment: bool = True
    class_weights: bool = False
    learning_rate: float = Field(default=1e-3, gt=0)
    epsilon: float = Field(default=1e-7, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    schedule: Literal["constant", "one_cycle"] = "constant"

    def steps_an_epoch(self, images: int, join_last: bool = False) -> int:
        """Steps an epoch with this many training images; `join_last` as in `Order`."""
        return batches(images, self.batch, join_last) if self.steps == "pass" else self.steps
