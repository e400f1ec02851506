"""CPU minutes of the paper's Table 1, end to end: cxrlens against Keras, by the settings of a study.

    python benchmarks/table1.py [--study studies/paper.toml] [--images 193 96] [--some 32] [--repeats 3]

Every row of the study with a result in the paper, with random images and weights, on both sides in turn. Nobody waits
for the whole, so the cost of each part is measured and multiplied by how often it occurs:

- Keras: the median step × the steps, and a batch of the validation × its batches × the epochs.
- cxrlens: the whole training is begun (`Fit` with all epochs and steps, so that it chooses its way as in a full run) on
  `--some` images, and stopped after a few steps. Parts: the feature maps that are computed once, scaled to all images;
  the median step × the steps; the validation after every epoch.

A further seed computes no feature maps where they are kept. On neither side: decoding the images, and the figures. On
both, the last and smaller batch of a pass counts as a whole one.
"""

from __future__ import annotations

import argparse
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from peers import ROOT, Enough, Peer, Turns, median, one_thread, row
from record import record
from training_step import fit_of, images, paper_rows, task, title

from cxrlens.data.augment import Augmentation
from cxrlens.study import ModelRow, read_study
from cxrlens.train.inputs import FixedImages
from cxrlens.train.loop import train


@dataclass(frozen=True)
class Cost:
    """CPU seconds of one row.

    Attributes:
        bank: feature maps of training and validation images, computed once.
        steps: all training steps.
        validation: the validation after every epoch.
    """

    bank: float
    steps: float
    validation: float

    @property
    def total(self) -> float:
        """All parts."""
        return self.bank + self.steps + self.validation


@dataclass(frozen=True)
class Sizes:
    """Numbers of images: in training, in validation, and measured; and the side of an image in pixels."""

    train: int
    validation: int
    some: int
    pixels: int


def ours(model: ModelRow, augmentation: Augmentation, sizes: Sizes, turns: Turns) -> Cost:
    """The cost of cxrlens, which trains in turn with the peer of `turns`."""
    fit = fit_of(model, augmentation, sizes.pixels, sizes.some)
    with suppress(Enough):
        train(fit, turns)
    bank = sum(turns.tasks.values())  # the task of the steps ends by `Enough`, so it is not among them
    began = time.process_time()
    validation = FixedImages(fit.model, images(sizes.some, sizes.pixels), fit.device)
    built = time.process_time()
    validation.logits()
    once, each = built - began, time.process_time() - built
    scale = sizes.validation / sizes.some
    return Cost(
        bank * sizes.train / sizes.some + once * scale,
        median(turns.seconds) * _steps(model, sizes),
        each * scale * model.epochs,
    )


def peers_cost(model: ModelRow, augmentation: Augmentation, sizes: Sizes, steps: list[float], repeats: int) -> Cost:
    """The cost of Keras, from its steps so far and from batches of its validation."""
    one = model.model_copy(update={"batch": 16})
    with Peer(task(one, augmentation, sizes.pixels, "forward")) as peer:
        for _ in range(repeats + 1):
            peer.measure()
        batch = median(peer.seconds)
    return Cost(0, median(steps) * _steps(model, sizes), batch * sizes.validation / 16 * model.epochs)


def _steps(model: ModelRow, sizes: Sizes) -> int:
    return model.steps_an_epoch(sizes.train) * model.epochs


def main() -> None:
    """Measures, prints the parts and records the whole."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", type=Path, default=ROOT / "studies" / "paper.toml")
    parser.add_argument("--images", type=int, nargs=2, default=[193, 96], help="of training and validation")
    parser.add_argument("--some", type=int, default=32, help="images that are measured for the bank and validation")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--name", default="table1", help="name of the row in the results")
    asked = parser.parse_args()
    one_thread()
    study, _ = read_study(asked.study)
    sizes = Sizes(*asked.images, asked.some, asked.size)
    own, others, versions = [], [], {}
    for model in paper_rows(study):
        with Peer(task(model, study.augment, sizes.pixels)) as peer:
            turns = Turns(asked.repeats, model.name, peer)
            own.append(ours(model, study.augment, sizes, turns))
            versions = peer.versions
        others.append(peers_cost(model, study.augment, sizes, peer.seconds, asked.repeats))
        cost, other = own[-1], others[-1]
        print(
            f"{title(model)}, {model.name}: {cost.total / 60:.3g} min (bank {cost.bank / 60:.3g}, steps "
            f"{cost.steps / 60:.3g}, validation {cost.validation / 60:.3g}); Keras {other.total / 60:.3g} min (steps "
            f"{other.steps / 60:.3g}, validation {other.validation / 60:.3g}); ratio {other.total / cost.total:.3g}; "
            f"a further seed {(cost.total - cost.bank) / cost.total:.0%}",
            flush=True,
        )
    minutes = [sum(cost.total for cost in costs) / 60 for costs in (own, others)]
    record([row(asked.name, *minutes, "CPU min", versions)])


if __name__ == "__main__":
    main()
