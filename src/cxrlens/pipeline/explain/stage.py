"""The figures that a study names, and `explain.json`: their numbers, and what they lack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from cxrlens.errors import UserError
from cxrlens.evaluate.comparisons import over_seeds, seed_differences
from cxrlens.explain.activation_maximization import MaximizeOptions, Objective, maximize, reference_activations
from cxrlens.explain.activation_maximization.objectives import choose_units, contributions
from cxrlens.explain.activation_maximization.records import colour_variance, mean_frequency, radial_spectrum
from cxrlens.explain.attribution_options import ExplainOptions
from cxrlens.explain.layers import default_layer, units_layer
from cxrlens.pipeline.array_cache import cached_arrays
from cxrlens.pipeline.explain.figure1 import figure1
from cxrlens.pipeline.explain.figure_networks import FigureNetwork, first_networks
from cxrlens.pipeline.explain.omissions import Omissions
from cxrlens.pipeline.finished_run import FinishedRun
from cxrlens.pipeline.fit import TrainingTask
from cxrlens.pipeline.prepare import Prepared
from cxrlens.progress import Progress
from cxrlens.report import figures
from cxrlens.run_folder import SCHEMA_VERSION
from cxrlens.train.device import Device


def explain_run(
    run: FinishedRun, tasks: Sequence[TrainingTask], prepared: Prepared, device: Device, progress: Progress
) -> None:
    """Writes the figures and `explain.json` into the run's folder. Existing arrays are not computed again.

    If a figure, or a model's part of one, fails, all others are still made. The failure is recorded in `explain.json`
    and on the page, and reported as a warning.

    Args:
        run: the run, whose networks are trained and evaluated.
        tasks: the finished training tasks of the run.
        prepared: cohort, splits and cached images of the run.
        device: device on which the networks run.
        progress: receiver of the progress.
    """
    options, level = prepared.study.explain, prepared.study.evaluation.level
    networks, folder = first_networks(run, tasks, prepared, device), run.folder.path / "figures"
    best = max(run.results["models"], key=lambda model: model["auc"])["name"]
    record: dict[str, Any] = {"schema_version": SCHEMA_VERSION, "figures": list(options.figures), "best": best}
    omissions = Omissions(progress)
    if 1 in options.figures:
        figure1(networks, options, best, folder, progress, omissions)
    if 2 in options.figures:
        figure2(networks, options, folder, progress, omissions)
    if 3 in options.figures:
        figure3(networks, options, folder, progress, omissions)
    if "spectrum" in options.figures:
        numbers = spectra(networks, options, level, folder, progress, omissions)
        if numbers:
            record["spectrum"] = numbers
    record["left_out"] = omissions.entries
    run.folder.write_json("explain.json", record)


# Figures 2 and 3 and the spectra: pictures that maximise a model's logit, or channels of its last layer.


EXAMPLES = 2  # number of images of the cohort below each unit's picture
Arrays = dict[str, np.ndarray]


def figure2(
    networks: Sequence[FigureNetwork], options: ExplainOptions, folder: Path, progress: Progress, omissions: Omissions
) -> None:
    """Writes `figure2`: the logit's picture for every model, in panel a without jitter, in b with jitter and no TV.

    Args:
        networks: one network of each model.
        options: the study's `[explain]`.
        folder: folder of the figures.
        progress: receiver of the progress.
        omissions: record of what the figure lacks.
    """
    arrays: dict[str, dict[str, Arrays]] = {}
    for network in networks:
        with omissions.guarded("Figure 2", model=network.name):
            real, panels = network.cohort_logits(progress), {}
            for panel, jitter in (("a", False), ("b", True)):
                maximization = options.maximization(options.iterations, jitter=jitter)
                path = folder / "figure2" / panel / network.file
                panels[panel] = logit_pictures(network, maximization, [options.seed], path, progress) | {"real": real}
            arrays[network.name] = panels
    with omissions.guarded("Figure 2", folder / "figure2"):
        figures.save(figures.logit_pictures_figure(_not_empty(arrays)), folder / "figure2.png")


def logit_pictures(
    network: FigureNetwork, options: MaximizeOptions, seeds: Sequence[int], path: Path, progress: Progress
) -> Arrays:
    """Pictures that maximise a network's logit, one for each seed.

    Args:
        network: the network.
        options: options of activation maximization.
        seeds: seeds of the pictures, n of them.
        path: file of the arrays.
        progress: receiver of the progress.

    Returns:
        `pictures` [n, 3, h, w], `raw`, their logits `shown` [n] and the `curve` [n, iterations]
        (see `MaximizationResult`).
    """

    def make() -> Arrays:
        result = maximize(network.network(), Objective.logit(), options, seeds=seeds, progress=progress)
        return {"pictures": result.pictures, "raw": result.raw, "shown": result.activations, "curve": result.curve}

    made_from = {"network": network.identity, "options": options.model_dump(mode="json"), "seeds": list(seeds)}
    return cached_arrays(path, made_from, make)


def figure3(
    networks: Sequence[FigureNetwork], options: ExplainOptions, folder: Path, progress: Progress, omissions: Omissions
) -> None:
    """Writes `figure3`: channels of the layer before the last, each with the images that activate it most.

    Args:
        networks: one network of each model.
        options: the study's `[explain]`.
        folder: folder of the figures.
        progress: receiver of the progress.
        omissions: record of what the figure lacks.
    """
    maximization = options.maximization(options.unit_iterations, jitter=True)
    arrays: dict[str, Arrays] = {}
    for network in networks:

        def make(network: FigureNetwork = network) -> Arrays:
            return _unit_pictures(network, options, maximization, progress)

        with omissions.guarded("Figure 3", model=network.name):
            made_from = {
                "network": network.identity, "options": maximization.model_dump(mode="json"), "seed": options.seed,
                "units": options.units, "choose": options.choose, "examples": EXAMPLES,
            }  # fmt: skip
            arrays[network.name] = cached_arrays(folder / "figure3" / network.file, made_from, make)
    with omissions.guarded("Figure 3", folder / "figure3"):
        figures.save(figures.unit_pictures_figure(_not_empty(arrays), options.choose), folder / "figure3.png")


def _not_empty(arrays: dict[str, Any]) -> dict[str, Any]:
    if not arrays:
        raise UserError("no model has any pictures")
    return arrays


def _unit_pictures(
    network: FigureNetwork, options: ExplainOptions, maximization: MaximizeOptions, progress: Progress
) -> Arrays:
    model = network.network()
    layer, cohort = units_layer(model), network.prepared.cohort.readable["image"].tolist()
    validation = network.pixels(network.task.split.validation)
    effects = contributions(model, validation, default_layer(model), progress=progress)
    units = choose_units(effects, options.units, options.choose, options.seed)
    objectives = [Objective.channel(layer, unit) for unit in units]
    result = maximize(model, objectives, maximization, seeds=[options.seed], progress=progress)
    real = reference_activations(model, objectives, network.pixels(cohort), progress=progress)
    highest = np.argsort(-real, axis=1, kind="stable")[:, :EXAMPLES]
    names = [[cohort[row] for row in rows] for rows in highest]
    examples = np.stack([network.pixels(images)[:, 0].numpy() for images in names])
    return {
        "layer": np.array(layer),
        "units": np.array(units),
        "effect": effects[:, units].mean(0).numpy(),
        "pictures": result.pictures,
        "raw": result.raw,
        "shown": result.activations,
        "curve": result.curve,
        "real": real,
        "liked": np.array(names),
        "examples": np.rint(examples * 255).astype(np.uint8),
    }


# The pictures in numbers: spatial frequency and colour over seeds, and their differences for every pair of models.

MEASURES = {"frequency": mean_frequency, "colour": colour_variance}


def spectra(
    networks: Sequence[FigureNetwork],
    options: ExplainOptions,
    level: float,
    folder: Path,
    progress: Progress,
    omissions: Omissions,
) -> dict[str, Any]:
    """Draws `spectrum` and returns its numbers: each model's means with intervals, and all differences.

    The pictures are made as in Figure 2b, with more seeds and fewer iterations.

    Args:
        networks: one network of each model.
        options: the study's `[explain]`.
        level: confidence level of the intervals, between 0 and 1.
        folder: folder of the figures.
        progress: receiver of the progress.
        omissions: record of what the figure lacks.

    Returns:
        `spectrum` of `explain.json`; {} if no model has pictures.
    """
    maximization = options.maximization(options.spectrum_iterations, jitter=True)
    seeds = range(options.seed, options.seed + options.spectrum_seeds)
    pictures = {}
    for network in networks:
        with omissions.guarded("pictures in numbers", model=network.name):
            path = folder / "spectrum" / network.file
            pictures[network.name] = logit_pictures(network, maximization, seeds, path, progress)["pictures"]
    if not pictures:
        return {}
    values = {
        name: {model: measure(of_model) for model, of_model in pictures.items()} for name, measure in MEASURES.items()
    }
    numbers = {
        "preset": options.preset,
        "iterations": options.spectrum_iterations,
        "seeds": options.spectrum_seeds,
        "models": [
            {"name": model} | {name: asdict(over_seeds(values[name][model], level)) for name in MEASURES}
            for model in pictures
        ],
        "differences": {name: [asdict(pair) for pair in seed_differences(values[name], level)] for name in MEASURES},
    }
    with omissions.guarded("the figure of the pictures in numbers", folder / "spectrum"):
        rings = {model: radial_spectrum(of_model) for model, of_model in pictures.items()}
        figures.save(figures.spectrum_figure(rings, numbers), folder / "spectrum.png")
    return numbers
