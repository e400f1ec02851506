"""Which images a step sees, and how augmented: a function of seed and step alone, so that a run resumes exactly."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from cxrlens.data.augment import Augmentation, Parameters
from cxrlens.data.seeds import generator

ORDER, AUGMENT, TORCH = 1, 2, 3  # the first key of each stream of random numbers


@dataclass(frozen=True)
class Order:
    """The endless stream of batches over `images` training images: every pass shuffled, its last batch short.

    Attributes:
        images: how many there are.
        batch: images a step.
        seed: of the run.
        fold: of the run.
        join_last: whether a last batch of one image joins the batch before it, for a network that cannot be trained on
            one image alone.
    """

    images: int
    batch: int
    seed: int
    fold: int
    join_last: bool = False

    def rows(self, step: int) -> np.ndarray:
        """Rows of the images in step number `step`, counted from the start of training."""
        a_pass = batches(self.images, self.batch, self.join_last)
        shuffled = _shuffled(self.images, self.seed, self.fold, step // a_pass)
        place = step % a_pass
        last = self.join_last and place == a_pass - 1
        return shuffled[place * self.batch : None if last else (place + 1) * self.batch]

    def parameters(self, step: int, augmentation: Augmentation) -> list[Parameters]:
        """How each image of that step is augmented."""
        draws = generator(AUGMENT, self.seed, self.fold, step)
        return [augmentation.sample(draws) for _ in self.rows(step)]

    def torch_seed(self, step: int) -> int:
        """The seed of whatever the network itself draws in that step, such as dropout."""
        return int(generator(TORCH, self.seed, self.fold, step).integers(2**62))


def batches(images: int, batch: int, join_last: bool = False) -> int:
    """How many batches one pass over the training images has.

    >>> batches(17, 16), batches(17, 16, join_last=True), batches(18, 16, join_last=True)
    (2, 1, 2)
    """
    return images // batch if join_last and ends_alone(images, batch) else -(-images // batch)


def ends_alone(images: int, batch: int) -> bool:
    """Whether the last batch of a pass is one image, behind larger batches that it could join.

    >>> ends_alone(17, 16), ends_alone(18, 16), ends_alone(17, 1), ends_alone(1, 16)
    (True, False, False, False)
    """
    return batch > 1 and images > batch and images % batch == 1


@lru_cache(maxsize=8)
def _shuffled(images: int, seed: int, fold: int, number: int) -> np.ndarray:
    return generator(ORDER, seed, fold, number).permutation(images)
