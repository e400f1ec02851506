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
    """

    images: int
    batch: int
    seed: int
    fold: int

    def rows(self, step: int) -> np.ndarray:
        """Rows of the images in step number `step`, counted from the start of training."""
        a_pass = -(-self.images // self.batch)
        shuffled = _shuffled(self.images, self.seed, self.fold, step // a_pass)
        start = step % a_pass * self.batch
        return shuffled[start : start + self.batch]

    def parameters(self, step: int, augmentation: Augmentation) -> list[Parameters]:
        """How each image of that step is augmented."""
        draws = generator(AUGMENT, self.seed, self.fold, step)
        return [augmentation.sample(draws) for _ in self.rows(step)]

    def torch_seed(self, step: int) -> int:
        """The seed of whatever the network itself draws in that step, such as dropout."""
        return int(generator(TORCH, self.seed, self.fold, step).integers(2**62))


@lru_cache(maxsize=8)
def _shuffled(images: int, seed: int, fold: int, number: int) -> np.ndarray:
    return generator(ORDER, seed, fold, number).permutation(images)
