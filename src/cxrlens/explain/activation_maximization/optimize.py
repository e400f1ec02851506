"""The one way to ask for activation pictures: objectives × seeds, in batches, with progress and Ctrl-C."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from cxrlens.errors import UserError
from cxrlens.explain.activation_maximization.ascend import Found, Row, ascend
from cxrlens.explain.activation_maximization.measure import measuring
from cxrlens.explain.activation_maximization.objectives import Objective
from cxrlens.explain.activation_maximization.options import MaximizeOptions
from cxrlens.explain.activation_maximization.presets import MODERN
from cxrlens.explain.activation_maximization.records import Activation
from cxrlens.models.classifier import Classifier
from cxrlens.progress import SILENT, Progress
from cxrlens.train.interrupt import deferred_interrupt
from cxrlens.train.memory import keep_freed_memory


class MaximizationInterrupted(KeyboardInterrupt):
    """Ctrl-C in the middle; `activation` holds the pictures as far as they came."""

    def __init__(self, activation: Activation) -> None:
        super().__init__("activation maximization was interrupted")
        self.activation = activation


def maximize(
    model: Classifier,
    objectives: Objective | Sequence[Objective],
    options: MaximizeOptions = MODERN,
    *,
    seeds: Sequence[int] = (0,),
    progress: Progress = SILENT,
) -> Activation:
    """Makes a picture for every objective and seed, in batches, on the device that the model is on.

    A picture depends on its own seed only: the start and every later draw are functions of (seed, iteration). The
    same call gives the same bits on the CPU with the same thread count. Alone or in another batch a picture has the
    same draws, but convolutions round otherwise, and the ascent may enlarge that.

    Args:
        model: any; it is left as it was found.
        objectives: one, or several.
        options: a preset (see `PRESETS`), or one's own.
        seeds: whole numbers in [0, 2**32), each once.
        progress: who watches.

    Raises:
        UserError: nothing to do, an unknown layer, a channel it does not have, or values that are no longer finite.
        MaximizationInterrupted: Ctrl-C; a second one acts at once.
    """
    wanted = [objectives] if isinstance(objectives, Objective) else list(objectives)
    if not wanted or not seeds:
        raise UserError(f"needed at least one objective and one seed; got {len(wanted)} and {len(seeds)}")
    if len(set(seeds)) < len(seeds) or not all(0 <= seed < 2**32 for seed in seeds):
        raise UserError(f"seeds are different whole numbers in [0, 2**32); got {list(seeds)}")
    keep_freed_memory()
    rows = [(objective, seed) for objective in wanted for seed in seeds]
    batches = [rows[start : start + options.batch] for start in range(0, len(rows), options.batch)]
    found: list[Found] = []
    title = f"maximizing {wanted[0].title}" + (f" and {len(rows) - 1} more" if len(rows) > 1 else "")
    with (
        measuring(model, wanted) as measure,
        deferred_interrupt() as asked,
        progress.task(title, options.iterations * len(batches)) as task,
    ):
        for number, batch in enumerate(batches):

            def tell(done: int, value: float, number: int = number) -> bool:
                task.update(number * options.iterations + done, objective=f"{value:.3g}")
                return not asked()

            found.append(ascend(model, measure, batch, options, tell))
            if asked():
                raise MaximizationInterrupted(_record(rows, found, options))
    return _record(rows, found, options)


def _record(rows: Sequence[Row], found: Sequence[Found], options: MaximizeOptions) -> Activation:
    joined = Found(*(torch.cat(parts) for parts in zip(*found, strict=True)))
    done = rows[: len(joined.shown)]
    return Activation(
        objectives=tuple(objective for objective, _ in done),
        seeds=tuple(seed for _, seed in done),
        pictures=joined.pictures.numpy(),
        raw=joined.raw.numpy(),
        curve=joined.curve.numpy(),
        loss=joined.loss.numpy(),
        shown=joined.shown.numpy(),
        snapshots=joined.snapshots.numpy(),
        snapshot_iterations=options.snapshots,
        options=options,
    )
