"""Activation maximization by gradient ascent (Erhan et al. 2009; Simonyan et al. 2013), in batches.

`maximize` is the entrance: objectives × seeds, with progress and Ctrl-C. `ascend` is the loop over one batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from cxrlens.arguments import checked
from cxrlens.data.seeds import generator
from cxrlens.errors import UserError
from cxrlens.explain.activation_maximization.maximize_options import MODERN, MaximizeOptions
from cxrlens.explain.activation_maximization.objectives import Measure, Objective, measuring, values_of
from cxrlens.explain.activation_maximization.parametrizations import Parametrization
from cxrlens.explain.activation_maximization.records import MaximizationResult
from cxrlens.explain.activation_maximization.transforms import fitted, lp_norm, total_variation, wrap_offsets, wrapped
from cxrlens.models.classifier import Classifier
from cxrlens.progress import SILENT, Progress
from cxrlens.train.checkpoint import deferred_interrupt
from cxrlens.train.device import keep_freed_memory

START, WRAP, VIEW = 0, 1, 2  # the purpose of a random draw; each purpose has its own generators
Row = tuple[Objective, int]


class BatchResult(NamedTuple):
    """The arrays of one batch; `MaximizationResult` describes them."""

    raw: Tensor
    pictures: Tensor
    curve: Tensor
    loss: Tensor
    activations: Tensor
    snapshots: Tensor


def ascend(
    model: Classifier,
    measure: Measure,
    rows: Sequence[Row],
    options: MaximizeOptions,
    proceed: Callable[[int, float], bool],
) -> BatchResult:
    """Optimises one batch: every iteration shifts the pixels (wrap), transforms the input, measures, and steps.

    Args:
        model: the network, in evaluation mode.
        measure: function that measures the layers of all objectives (see `measuring`).
        rows: an objective and a seed for each picture.
        options: the options of the optimisation.
        proceed: function of the number of finished iterations and the mean objective; False stops the loop.

    Raises:
        UserError: a loss is not finite.
    """
    parametrization = options.parametrization
    objectives = [objective for objective, _ in rows]
    starts = [parametrization.start(model.size, generator(seed, START)) for _, seed in rows]
    x = torch.stack(starts).to(model.mean.device)
    curve = torch.full((len(rows), options.iterations), torch.nan)
    loss_curve = curve.clone()
    best_x, best_loss = x, torch.full((len(rows),), torch.inf, device=x.device)
    state = None
    snapshots = {0: _displayed(parametrization, x)} if 0 in options.snapshots else {}
    for iteration in range(options.iterations):
        if options.wrap:
            x = wrapped(x, [wrap_offsets(options.wrap, model.size, generator(s, WRAP, iteration)) for _, s in rows])
        x = x.detach().requires_grad_()
        image = parametrization.image(x)
        inputs = _transformed(parametrization.network_input(image), rows, options, iteration, model.size)
        values = values_of(objectives, measure(inputs))
        loss = -values
        if options.lp:
            loss = loss + options.lp * lp_norm(image)
        if options.tv:
            loss = loss + options.tv * total_variation(image)
        (gradient,) = torch.autograd.grad(loss.sum(), x)
        current, loss = x.detach(), loss.detach()
        _check_finite(loss, rows, iteration)
        x, state = options.optimizer.step(current, gradient, state)
        if options.keep != "last":
            better = (loss < best_loss).view(-1, *[1] * (x.ndim - 1))
            best_x = torch.where(better, x if options.keep == "after best" else current, best_x)
            best_loss = torch.minimum(loss, best_loss)
        curve[:, iteration], loss_curve[:, iteration] = values.detach().cpu(), loss.cpu()
        if iteration + 1 in options.snapshots:
            snapshots[iteration + 1] = _displayed(parametrization, x)
        if not proceed(iteration + 1, float(values.detach().mean())):
            break
    with torch.no_grad():
        x = x if options.keep == "last" else best_x
        pictures = parametrization.display(parametrization.image(x))
        activations = values_of(objectives, measure(pictures))
    blank = torch.full_like(pictures, torch.nan).cpu()
    taken = [snapshots.get(number, blank) for number in options.snapshots]
    frames = torch.stack(taken, 1) if taken else blank[:, None][:, :0]
    return BatchResult(x.cpu(), pictures.cpu(), curve, loss_curve, activations.cpu(), frames)


def _displayed(parametrization: Parametrization, x: Tensor) -> Tensor:
    return parametrization.display(parametrization.image(x)).cpu()


def _transformed(images: Tensor, rows: Sequence[Row], options: MaximizeOptions, iteration: int, size: int) -> Tensor:
    """The network's input: every picture with its own draws of the transforms, cropped or padded to `size`."""
    rngs = [generator(seed, VIEW, iteration) for _, seed in rows]
    for transform in options.transforms:
        images = transform.apply(images, [transform.draw(rng) for rng in rngs])
    return fitted(images, size)


def _check_finite(loss: Tensor, rows: Sequence[Row], iteration: int) -> None:
    not_finite = ~loss.isfinite()
    if not_finite.any():
        title = rows[int(not_finite.nonzero()[0])][0].title
        raise UserError(
            f"{title}: the loss is not finite at iteration {iteration}; check that the weights are finite, "
            "or lower the optimizer's rate"
        )


class MaximizationInterrupted(KeyboardInterrupt):
    """Ctrl-C during the optimisation; `result` holds the pictures as far as they were optimised."""

    def __init__(self, result: MaximizationResult) -> None:
        super().__init__("activation maximization was interrupted")
        self.result = result


@checked
def maximize(
    model: Classifier,
    objectives: Objective | Sequence[Objective],
    options: MaximizeOptions = MODERN,
    *,
    seeds: Sequence[int] = (0,),
    progress: Progress = SILENT,
) -> MaximizationResult:
    """Optimises a picture for every objective and seed, in batches, on the model's device.

    A picture's random draws depend on its own seed alone: the start and every later draw are functions of (seed,
    iteration). The same call gives the same bits on the CPU with the same thread count. Alone or in another batch, a
    picture has the same draws, but convolutions round differently, and the ascent can enlarge the difference.

    Args:
        model: the network; it is left unchanged.
        objectives: one objective, or several.
        options: a preset (see `PRESETS`), or your own options.
        seeds: different whole numbers in [0, 2**32).
        progress: receiver of the progress.

    Raises:
        UserError: there is no objective or seed, a layer is unknown or does not have the channel, or a loss is not
            finite.
        MaximizationInterrupted: Ctrl-C. The current iteration is finished first; a second Ctrl-C stops at once.
    """
    objectives = [objectives] if isinstance(objectives, Objective) else list(objectives)
    if not objectives or not seeds:
        raise UserError(f"maximize needs at least one objective and one seed; got {len(objectives)} and {len(seeds)}")
    if len(set(seeds)) < len(seeds) or not all(0 <= seed < 2**32 for seed in seeds):
        raise UserError(f"seeds must be different whole numbers in [0, 2**32); got {list(seeds)}")
    keep_freed_memory()
    rows = [(objective, seed) for objective in objectives for seed in seeds]
    batches = [rows[start : start + options.batch] for start in range(0, len(rows), options.batch)]
    results: list[BatchResult] = []
    title = f"maximizing {objectives[0].title}" + (f" and {len(rows) - 1} more" if len(rows) > 1 else "")
    with (
        measuring(model, objectives) as measure,
        deferred_interrupt() as interrupted,
        progress.task(title, options.iterations * len(batches)) as task,
    ):
        for number, batch in enumerate(batches):

            def proceed(iterations: int, value: float, number: int = number) -> bool:
                task.update(number * options.iterations + iterations, objective=f"{value:.3g}")
                return not interrupted()

            results.append(ascend(model, measure, batch, options, proceed))
            if interrupted():
                raise MaximizationInterrupted(_joined(rows, results, options))
    return _joined(rows, results, options)


def _joined(rows: Sequence[Row], results: Sequence[BatchResult], options: MaximizeOptions) -> MaximizationResult:
    joined = BatchResult(*(torch.cat(parts) for parts in zip(*results, strict=True)))
    finished = rows[: len(joined.activations)]
    return MaximizationResult(
        objectives=tuple(objective for objective, _ in finished),
        seeds=tuple(seed for _, seed in finished),
        pictures=joined.pictures.numpy(),
        raw=joined.raw.numpy(),
        curve=joined.curve.numpy(),
        loss=joined.loss.numpy(),
        activations=joined.activations.numpy(),
        snapshots=joined.snapshots.numpy(),
        snapshot_iterations=options.snapshots,
        options=options,
    )
