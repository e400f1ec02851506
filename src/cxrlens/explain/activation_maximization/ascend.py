"""The loop: an image that a unit likes most, found by gradient ascent (Erhan et al. 2009; Simonyan et al. 2013)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from cxrlens.data.seeds import generator
from cxrlens.errors import UserError
from cxrlens.explain.activation_maximization.measure import Measure
from cxrlens.explain.activation_maximization.objectives import Objective, values_of
from cxrlens.explain.activation_maximization.options import MaximizeOptions
from cxrlens.explain.activation_maximization.regularizers import lp_norm, total_variation
from cxrlens.explain.activation_maximization.transforms import fitted, wrap_offsets, wrapped
from cxrlens.models.classifier import Classifier

START, WRAP, VIEW = 0, 1, 2  # what a draw is for: each has generators of its own
Row = tuple[Objective, int]


class Found(NamedTuple):
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
) -> Found:
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
    return Found(x.cpu(), pictures.cpu(), curve, loss_curve, shown.cpu(), frames)


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
