"""The one way to ask for activation pictures: objectives × seeds, in batches, with progress and Ctrl-C."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from cxrlens.data.seeds import generator
from cxrlens.errors import UserError
from cxrlens.explain.activation_maximization.am_options import MODERN, MaximizeOptions
from cxrlens.explain.activation_maximization.objectives import Measure, Objective, measuring, values_of
from cxrlens.explain.activation_maximization.records import Activation
from cxrlens.explain.activation_maximization.transforms import fitted, lp_norm, total_variation, wrap_offsets, wrapped
from cxrlens.models.classifier import Classifier
from cxrlens.progress import SILENT, Progress
from cxrlens.train.checkpoint import deferred_interrupt
from cxrlens.train.device import keep_freed_memory

# The loop: an image that a unit likes most, found by gradient ascent (Erhan et al. 2009; Simonyan et al. 2013).

START, WRAP, VIEW = 0, 1, 2  # what a draw is for: each has generators of its own
Row = tuple[Objective, int]


class MaximizationResult(NamedTuple):
    """One batch's pictures, as `Activation` has them."""

    raw: Tensor
    pictures: Tensor
    curve: Tensor
    loss: Tensor
    shown: Tensor
    snapshots: Tensor


def ascend(
    model: Classifier,
    measure: Measure,
    rows: Sequence[Row],
    options: MaximizeOptions,
    go_on: Callable[[int, float], bool],
) -> MaximizationResult:
    """One batch: every iteration moves (wrap), looks (transforms), measures, steps.

    Args:
        model: in evaluation mode.
        measure: of the layers that the rows ask.
        rows: an objective and a seed for each picture.
        options: how.
        go_on: told the iteration and the mean objective after each; False ends it.

    Raises:
        UserError: a loss that is not finite.
    """
    form = options.parametrization
    wanted = [objective for objective, _ in rows]
    x = torch.stack([form.start(model.size, generator(seed, START)) for _, seed in rows]).to(model.mean.device)
    curve = torch.full((len(rows), options.iterations), torch.nan)
    loss_curve = curve.clone()
    best_x, best_loss = x, torch.full((len(rows),), torch.inf, device=x.device)
    state = None
    snapshots = {0: form.shown(form.image(x)).cpu()} if 0 in options.snapshots else {}
    for iteration in range(options.iterations):
        if options.wrap:
            x = wrapped(x, [wrap_offsets(options.wrap, model.size, generator(s, WRAP, iteration)) for _, s in rows])
        x = x.detach().requires_grad_()
        image = form.image(x)
        values = values_of(wanted, measure(_view(form.given(image), rows, options, iteration, model.size)))
        loss = -values
        if options.lp:
            loss = loss + options.lp * lp_norm(image)
        if options.tv:
            loss = loss + options.tv * total_variation(image)
        (gradient,) = torch.autograd.grad(loss.sum(), x)
        here, loss = x.detach(), loss.detach()
        _check_finite(loss, rows, iteration)
        x, state = options.optimizer.step(here, gradient, state)
        if options.keep != "last":
            better = (loss < best_loss).view(-1, *[1] * (x.ndim - 1))
            best_x = torch.where(better, x if options.keep == "after best" else here, best_x)
            best_loss = torch.minimum(loss, best_loss)
        curve[:, iteration], loss_curve[:, iteration] = values.detach().cpu(), loss.cpu()
        if iteration + 1 in options.snapshots:
            snapshots[iteration + 1] = form.shown(form.image(x)).cpu()
        if not go_on(iteration + 1, float(values.detach().mean())):
            break
    with torch.no_grad():
        x = x if options.keep == "last" else best_x
        pictures = form.shown(form.image(x))
        shown = values_of(wanted, measure(pictures))
    blank = torch.full_like(pictures, torch.nan).cpu()
    taken = [snapshots.get(number, blank) for number in options.snapshots]
    frames = torch.stack(taken, 1) if taken else blank[:, None][:, :0]
    return MaximizationResult(x.cpu(), pictures.cpu(), curve, loss_curve, shown.cpu(), frames)


def _view(given: Tensor, rows: Sequence[Row], options: MaximizeOptions, iteration: int, size: int) -> Tensor:
    """What the network gets: every picture through its own draws of the transforms, as large as the network wants."""
    rngs = [generator(seed, VIEW, iteration) for _, seed in rows]
    for transform in options.transforms:
        given = transform.apply(given, [transform.draw(rng) for rng in rngs])
    return fitted(given, size)


def _check_finite(loss: Tensor, rows: Sequence[Row], iteration: int) -> None:
    lost = ~loss.isfinite()
    if lost.any():
        title = rows[int(lost.nonzero()[0])][0].title
        raise UserError(
            f"{title}: the loss is not finite at iteration {iteration}; look for weights that are not, "
            "or take smaller steps (a lower rate)"
        )


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
    found: list[MaximizationResult] = []
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


def _record(rows: Sequence[Row], found: Sequence[MaximizationResult], options: MaximizeOptions) -> Activation:
    joined = MaximizationResult(*(torch.cat(parts) for parts in zip(*found, strict=True)))
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
