"""Figure 1 of a run: a few images, each with its maps by every model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from cxrlens.errors import UserError, near_miss
from cxrlens.explain.attribution_options import ExplainOptions, FigureImage, choose_images
from cxrlens.explain.methods import METHODS
from cxrlens.explain.model_explanation import ModelExplanation, explain_model
from cxrlens.pipeline.array_cache import cached_arrays
from cxrlens.pipeline.explain.figure_networks import FigureNetwork
from cxrlens.pipeline.explain.omissions import Omissions
from cxrlens.pipeline.prepare import Prepared
from cxrlens.progress import Progress
from cxrlens.report import figures
from cxrlens.study import Study


def figure1(
    networks: Sequence[FigureNetwork],
    options: ExplainOptions,
    best: str,
    folder: Path,
    progress: Progress,
    omissions: Omissions,
) -> None:
    """Writes `figure1` and, if the study names further images, `figure1_also`; the arrays go into folders of that name.

    Args:
        networks: one network of each model.
        options: the study's `[explain]`.
        best: name of the model whose predictions choose the images if the study names none.
        folder: folder of the figures.
        progress: receiver of the progress.
        omissions: record of what the figures lack.

    Raises:
        UserError: the study names an image that is not in the cohort or cannot be read.
    """
    prepared = networks[0].prepared
    if options.images:
        chosen = named_images(options.images, prepared)
    else:
        network = next(network for network in networks if network.name == best)
        table, task = network.run.predictions, network.task
        rows = table["model"].eq(best) & table["seed"].eq(task.seed) & table["fold"].eq(task.split.fold)
        chosen = choose_images(pd.DataFrame(table[rows]))
    note = "" if options.images else f"Validation images, chosen by P of {best}."
    with omissions.guarded("Figure 1", folder / "figure1"):
        _draw(networks, options, chosen, note, folder / "figure1", progress, omissions)
    if options.also:
        with omissions.guarded("Figure 1, further images", folder / "figure1_also"):
            also = named_images(options.also, prepared)
            _draw(networks, options, also, "", folder / "figure1_also", progress, omissions)


def check_named_images(study: Study, prepared: Prepared) -> None:
    """Checks, before training, that the images that the study names for Figure 1 are in the cohort and readable.

    Raises:
        UserError: an image is not in the cohort or cannot be read.
    """
    if 1 in study.explain.figures:
        named_images((*study.explain.images, *study.explain.also), prepared)


def _draw(
    networks: Sequence[FigureNetwork],
    options: ExplainOptions,
    chosen: list[FigureImage],
    note: str,
    path: Path,
    progress: Progress,
    omissions: Omissions,
) -> None:
    images = [chosen_image.image for chosen_image in chosen]
    explanations: list[ModelExplanation] = []
    with progress.task("maps", len(networks)) as task:
        for number, network in enumerate(networks):
            failed: list[str] = []

            def make(network: FigureNetwork = network, failed: list[str] = failed) -> dict:
                explanation = explain_model(
                    network.name, network.network(), network.pixels(images), options.methods, network.device
                )
                failed += explanation.failed
                return explanation.arrays()

            with omissions.guarded("Figure 1", model=network.name):
                made_from = {"network": network.identity, "images": images, "methods": options.methods}
                arrays = cached_arrays(path / network.file, made_from, make, lambda failed=failed: not failed)
                explanation = ModelExplanation.load(network.name, arrays, options.methods)
                for method, why in explanation.missing.items():
                    omissions.add(f"maps of {METHODS[method].title}", network.name, why)
                explanations += [explanation] if explanation.attributions else []
            task.update(number + 1)
    if not explanations:
        raise UserError("no model has maps by any of the methods")
    figures.save(figures.maps_figure(chosen, explanations, note, options.display), path.with_suffix(".png"))


def named_images(images: Sequence[str], prepared: Prepared) -> list[FigureImage]:
    """The images that a study names, each with its label and its set (training or validation).

    Raises:
        UserError: an image is not in the cohort or cannot be read.
    """
    labels, split = prepared.labels, prepared.splits[0]
    chosen = []
    for image in images:
        if image not in labels.index:
            raise UserError(f"[explain]: {near_miss('image', image, list(labels.index), most=5)}")
        if image in prepared.cohort.missing:
            raise UserError(f"[explain]: the image {image} cannot be read: {prepared.cohort.missing[image]}")
        set_name = "training image" if image in split.train else "validation image"
        label = {1.0: "positive", 0.0: "negative"}.get(labels[image])
        chosen.append(FigureImage(image, f"{label}, {set_name}" if label else "label unknown, in neither set"))
    return chosen
