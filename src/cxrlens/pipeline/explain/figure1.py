"""Figure 1: a few images, each with its maps by every model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from cxrlens.errors import UserError, near_miss
from cxrlens.explain.explained import Explained, explained
from cxrlens.explain.options import ExplainOptions
from cxrlens.explain.pick import Picked, pick
from cxrlens.pipeline.explain.kept import kept
from cxrlens.pipeline.explain.shown import Shown
from cxrlens.pipeline.prepare import Prepared
from cxrlens.progress import Progress
from cxrlens.report import figures


def figure1(shown: Sequence[Shown], options: ExplainOptions, best: str, folder: Path, progress: Progress) -> None:
    """Writes `figure1` and, where the study names more images, `figure1_also`; the arrays in folders of that name.

    Args:
        shown: a network a model.
        options: of the study.
        best: the model whose surest and worst images are taken where the study names none.
        folder: of the figures.
        progress: where work is shown.

    Raises:
        UserError: the study names an image that is not in the cohort or cannot be read.
    """
    prepared = shown[0].prepared
    if options.images:
        chosen = _named(options.images, prepared)
    else:
        chooser = next(each for each in shown if each.name == best)
        table = chooser.run.predictions
        of_it = table["model"].eq(best) & table["seed"].eq(chooser.job.seed) & table["fold"].eq(chooser.job.split.fold)
        chosen = pick(pd.DataFrame(table[of_it]))
    note = "" if options.images else f"Validation images, chosen by P of {best}."
    _draw(shown, options, chosen, note, folder / "figure1", progress)
    if options.also:
        _draw(shown, options, _named(options.also, prepared), "", folder / "figure1_also", progress)


def _draw(
    shown: Sequence[Shown], options: ExplainOptions, chosen: list[Picked], note: str, path: Path, progress: Progress
) -> None:
    images = [each.image for each in chosen]
    views = []
    with progress.task("maps", len(shown)) as task:
        for number, each in enumerate(shown):

            def make(each: Shown = each) -> dict:
                found = explained(each.name, each.network(), each.pixels(images), options.methods)
                return found.arrays()

            told = {"network": each.identity, "images": images, "methods": options.methods}
            views.append(Explained.load(each.name, kept(path / each.file, told, make), options.methods))
            task.update(number + 1)
    figures.save(figures.maps_figure(chosen, views, note, options.display), path.with_suffix(".png"))


def _named(images: Sequence[str], prepared: Prepared) -> list[Picked]:
    labels, split = prepared.labels, prepared.splits[0]
    found = []
    for image in images:
        if image not in labels.index:
            raise UserError(f"[explain]: {near_miss('image', image, list(labels.index), most=5)}")
        if image in prepared.cohort.missing:
            raise UserError(f"[explain]: the image {image} cannot be read: {prepared.cohort.missing[image]}")
        side = "training image" if image in split.train else "validation image"
        found.append(Picked(image, f"{'positive' if labels[image] else 'negative'}, {side}"))
    return found
