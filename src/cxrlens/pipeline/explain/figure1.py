"""Figure 1: a few images, each with its maps by every model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from cxrlens.errors import UserError, near_miss
from cxrlens.explain.attribution_options import ExplainOptions, Picked, pick
from cxrlens.explain.explained import Explained, explained
from cxrlens.explain.methods import METHODS
from cxrlens.pipeline.array_cache import cached_arrays
from cxrlens.pipeline.explain.figure_networks import FigureNetwork
from cxrlens.pipeline.explain.left_out import LeftOut
from cxrlens.pipeline.prepare import Prepared
from cxrlens.progress import Progress
from cxrlens.report import figures
from cxrlens.study import Study


def figure1(
    shown: Sequence[FigureNetwork], options: ExplainOptions, best: str, folder: Path, progress: Progress, out: LeftOut
) -> None:
    """Writes `figure1` and, where the study names more images, `figure1_also`; the arrays in folders of that name.

    Args:
        shown: a network a model.
        options: of the study.
        best: the model whose surest and worst images are taken where the study names none.
        folder: of the figures.
        progress: where work is shown.
        out: is told which model is without what.

    Raises:
        UserError: the study names an image that is not in the cohort or cannot be read.
    """
    prepared = shown[0].prepared
    if options.images:
        chosen = named_images(options.images, prepared)
    else:
        chooser = next(each for each in shown if each.name == best)
        table = chooser.run.predictions
        of_it = (
            table["model"].eq(best) & table["seed"].eq(chooser.task.seed) & table["fold"].eq(chooser.task.split.fold)
        )
        chosen = pick(pd.DataFrame(table[of_it]))
    note = "" if options.images else f"Validation images, chosen by P of {best}."
    with out.guarded("Figure 1", folder / "figure1"):
        _draw(shown, options, chosen, note, folder / "figure1", progress, out)
    if options.also:
        with out.guarded("Figure 1, further images", folder / "figure1_also"):
            also = named_images(options.also, prepared)
            _draw(shown, options, also, "", folder / "figure1_also", progress, out)


def need_images(study: Study, prepared: Prepared) -> None:
    """Asks before training for the images that the study names for Figure 1.

    Raises:
        UserError: one that is not in the cohort or cannot be read.
    """
    if 1 in study.explain.figures:
        named_images((*study.explain.images, *study.explain.also), prepared)


def _draw(
    shown: Sequence[FigureNetwork],
    options: ExplainOptions,
    chosen: list[Picked],
    note: str,
    path: Path,
    progress: Progress,
    out: LeftOut,
) -> None:
    images = [each.image for each in chosen]
    views: list[Explained] = []
    with progress.task("maps", len(shown)) as task:
        for number, each in enumerate(shown):
            failed: list[str] = []

            def make(each: FigureNetwork = each, failed: list[str] = failed) -> dict:
                found = explained(each.name, each.network(), each.pixels(images), options.methods, each.device)
                failed += found.failed
                return found.arrays()

            with out.guarded("Figure 1", model=each.name):
                told = {"network": each.identity, "images": images, "methods": options.methods}
                arrays = cached_arrays(path / each.file, told, make, lambda failed=failed: not failed)
                view = Explained.load(each.name, arrays, options.methods)
                for method, why in view.missing.items():
                    out.note(f"maps of {METHODS[method].title}", each.name, why)
                views += [view] if view.attributions else []
            task.update(number + 1)
    if not views:
        raise UserError("no model has any of its maps")
    figures.save(figures.maps_figure(chosen, views, note, options.display), path.with_suffix(".png"))


def named_images(images: Sequence[str], prepared: Prepared) -> list[Picked]:
    """The images that a study names, each with its label and its side of the split.

    Raises:
        UserError: one that is not in the cohort or cannot be read.
    """
    labels, split = prepared.labels, prepared.splits[0]
    found = []
    for image in images:
        if image not in labels.index:
            raise UserError(f"[explain]: {near_miss('image', image, list(labels.index), most=5)}")
        if image in prepared.cohort.missing:
            raise UserError(f"[explain]: the image {image} cannot be read: {prepared.cohort.missing[image]}")
        side = "training image" if image in split.train else "validation image"
        label = {1.0: "positive", 0.0: "negative"}.get(labels[image])
        found.append(Picked(image, f"{label}, {side}" if label else "label unknown, on neither side"))
    return found
