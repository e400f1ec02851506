"""The batches and their augmentation: functions of seed, fold and step alone, so that a run resumes exactly."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from cxrlens.data.augment import Augmentation, Parameters
from cxrlens.data.seeds import generator

ORDER, AUGMENT, TORCH, VIEW, CHOICE = 1, 2, 3, 4, 5  # the first key of each stream of random numbers


@dataclass(frozen=True)
class Views:
    """Some views of each image, drawn once from a continuous augmentation; every step chooses one of them.

    The views depend on the augmentation and on the name of the image alone, so they are the same in all trainings. A
    larger `count` adds views to those of a smaller one.

    Attributes:
        images: names of the training images.
        augmentation: augmentation that the views are drawn from.
        count: number of views of an image.
    """

    images: tuple[str, ...]
    augmentation: Augmentation
    count: int

    def of(self, row: int) -> tuple[Parameters, ...]:
        """The views of an image, given by its row number."""
        return _drawn_views(self.augmentation, self.images[row], self.count)


@dataclass(frozen=True)
class Order:
    """The endless stream of batches over the training images. Every pass is shuffled; its last batch may be smaller.

    Attributes:
        images: number of training images.
        batch: number of images in a step.
        seed: seed of the training.
        fold: number of the fold.
        join_last: whether a last batch of one image joins the batch before it, for a network that cannot be trained on
            one image alone.
        views: drawn views that the steps choose from; None where every step draws its augmentation anew.
    """

    images: int
    batch: int
    seed: int
    fold: int
    join_last: bool = False
    views: Views | None = None

    def rows(self, step: int) -> np.ndarray:
        """Row numbers of the images in a step; `step` counts from the start of training."""
        steps_per_pass = batches(self.images, self.batch, self.join_last)
        shuffled = _shuffled(self.images, self.seed, self.fold, step // steps_per_pass)
        position = step % steps_per_pass
        takes_rest = self.join_last and position == steps_per_pass - 1
        return shuffled[position * self.batch : None if takes_rest else (position + 1) * self.batch]

    def parameters(self, step: int, augmentation: Augmentation) -> list[Parameters]:
        """Parameters of the augmentation, one for each image of the step."""
        rows = self.rows(step)
        if self.views is not None:
            numbers = generator(CHOICE, self.seed, self.fold, step).integers(self.views.count, size=len(rows))
            return [self.views.of(row)[number] for row, number in zip(rows.tolist(), numbers.tolist(), strict=True)]
        rng = generator(AUGMENT, self.seed, self.fold, step)
        return [augmentation.sample(rng) for _ in rows]

    def torch_seed(self, step: int) -> int:
        """Seed of the random numbers that the network itself draws in a step, such as those of dropout."""
        return int(generator(TORCH, self.seed, self.fold, step).integers(2**62))


def batches(images: int, batch: int, join_last: bool = False) -> int:
    """Number of batches in one pass over the training images.

    >>> batches(17, 16), batches(17, 16, join_last=True), batches(18, 16, join_last=True)
    (2, 1, 2)
    """
    return images // batch if join_last and ends_alone(images, batch) else -(-images // batch)


def ends_alone(images: int, batch: int) -> bool:
    """Whether the last batch of a pass has one image, and comes after larger batches that it could join.

    >>> ends_alone(17, 16), ends_alone(18, 16), ends_alone(17, 1), ends_alone(1, 16)
    (True, False, False, False)
    """
    return batch > 1 and images > batch and images % batch == 1


@lru_cache(maxsize=8)
def _shuffled(images: int, seed: int, fold: int, number: int) -> np.ndarray:
    return generator(ORDER, seed, fold, number).permutation(images)


@lru_cache(maxsize=1 << 14)
def _drawn_views(augmentation: Augmentation, image: str, count: int) -> tuple[Parameters, ...]:
    digest = hashlib.sha256(image.encode("utf-8", "surrogatepass")).digest()
    name = [int.from_bytes(digest[start : start + 4], "big") for start in (0, 4)]
    return tuple(augmentation.sample(generator(VIEW, *name, number)) for number in range(count))
