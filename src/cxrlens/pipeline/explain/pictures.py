"""Figures 2 and 3: the pictures that a model's logit, and the channels of its last layer, like most."""

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
from cxrlens.pipeline.explain.figure_networks import FigureNetwork
from cxrlens.pipeline.explain.left_out import LeftOut
from cxrlens.progress import Progress
from cxrlens.report import figures

EXAMPLES = 2  # images of the cohort below each unit's picture
Arrays = dict[str, np.ndarray]


def figure2(
    shown: Sequence[FigureNetwork], options: ExplainOptions, folder: Path, progress: Progress, out: LeftOut
) -> None:
    """Writes `figure2`: for every model the logit's picture, a without jitter and b with it and without TV."""
    made: dict[str, dict[str, Arrays]] = {}
    for each in shown:
        with out.guarded("Figure 2", model=each.name):
            real, panels = each.cohort_logits(progress), {}
            for panel, still in (("a", True), ("b", False)):
                how = options.maximization(still, options.iterations)
                path = folder / "figure2" / panel / each.file
                panels[panel] = logit_pictures(each, how, [options.seed], path, progress) | {"real": real}
            made[each.name] = panels
    with out.guarded("Figure 2", folder / "figure2"):
        figures.save(figures.logit_pictures_figure(_some(made)), folder / "figure2.png")


def logit_pictures(
    shown: FigureNetwork, how: MaximizeOptions, seeds: Sequence[int], path: Path, progress: Progress
) -> Arrays:
    """The logit's pictures [n, 3, h, w], their `shown` logits [n] and `curve` [n, iterations]."""

    def make() -> Arrays:
        found = maximize(shown.network(), Objective.logit(), how, seeds=seeds, progress=progress)
        return {"pictures": found.pictures, "raw": found.raw, "shown": found.shown, "curve": found.curve}

    told = {"network": shown.identity, "options": how.model_dump(mode="json"), "seeds": list(seeds)}
    return cached_arrays(path, told, make)


def figure3(
    shown: Sequence[FigureNetwork], options: ExplainOptions, folder: Path, progress: Progress, out: LeftOut
) -> None:
    """Writes `figure3`: for every model some channels of the layer before its last, each with the images it likes."""
    how = options.maximization(False, options.unit_iterations)
    made: dict[str, Arrays] = {}
    for each in shown:

        def make(each: FigureNetwork = each) -> Arrays:
            return _units(each, options, how, progress)

        with out.guarded("Figure 3", model=each.name):
            told = {
                "network": each.identity, "options": how.model_dump(mode="json"), "seed": options.seed,
                "units": options.units, "choose": options.choose, "examples": EXAMPLES,
            }  # fmt: skip
            made[each.name] = cached_arrays(folder / "figure3" / each.file, told, make)
    with out.guarded("Figure 3", folder / "figure3"):
        figures.save(figures.unit_pictures_figure(_some(made), options.choose), folder / "figure3.png")


def _some(made: dict[str, Any]) -> dict[str, Any]:
    if not made:
        raise UserError("no model has any of its pictures")
    return made


def _units(shown: FigureNetwork, options: ExplainOptions, how: MaximizeOptions, progress: Progress) -> Arrays:
    model = shown.network()
    layer, cohort = units_layer(model), shown.prepared.cohort.readable["image"].tolist()
    added = contributions(model, shown.pixels(shown.task.split.validation), default_layer(model), progress=progress)
    units = choose_units(added, options.units, options.choose, options.seed)
    objectives = [Objective.channel(layer, unit) for unit in units]
    found = maximize(model, objectives, how, seeds=[options.seed], progress=progress)
    real = reference_activations(model, objectives, shown.pixels(cohort), progress=progress)
    liked = np.argsort(-real, axis=1, kind="stable")[:, :EXAMPLES]
    examples = np.stack([shown.pixels([cohort[place] for place in row])[:, 0].numpy() for row in liked])
    return {
        "layer": np.array(layer),
        "units": np.array(units),
        "effect": added[:, units].mean(0).numpy(),
        "pictures": found.pictures,
        "raw": found.raw,
        "shown": found.shown,
        "curve": found.curve,
        "real": real,
        "liked": np.array([[cohort[place] for place in row] for row in liked]),
        "examples": np.rint(examples * 255).astype(np.uint8),
    }


# Do the models' pictures differ, in numbers: spatial frequency and colour over seeds, every pair of models.

MEASURES = {"frequency": mean_frequency, "colour": colour_variance}


def spectra(
    shown: Sequence[FigureNetwork],
    options: ExplainOptions,
    level: float,
    folder: Path,
    progress: Progress,
    out: LeftOut,
) -> dict[str, Any]:
    """Draws `spectrum` and returns what it shows: each model's means with intervals, and every difference.

    {} where no model has pictures. The pictures are Figure 2b's, of more seeds and fewer iterations.
    """
    how = options.maximization(False, options.spectrum_iterations)
    seeds = range(options.seed, options.seed + options.spectrum_seeds)
    made = {}
    for each in shown:
        with out.guarded("pictures in numbers", model=each.name):
            path = folder / "spectrum" / each.file
            made[each.name] = logit_pictures(each, how, seeds, path, progress)["pictures"]
    if not made:
        return {}
    values = {name: {model: measure(made[model]) for model in made} for name, measure in MEASURES.items()}
    found = {
        "preset": options.preset,
        "iterations": options.spectrum_iterations,
        "seeds": options.spectrum_seeds,
        "models": [
            {"name": model} | {name: asdict(over_seeds(values[name][model], level)) for name in MEASURES}
            for model in made
        ],
        "differences": {name: [asdict(each) for each in seed_differences(values[name], level)] for name in MEASURES},
    }
    with out.guarded("the figure of the pictures in numbers", folder / "spectrum"):
        rings = {model: radial_spectrum(pictures) for model, pictures in made.items()}
        figures.save(figures.spectrum_figure(rings, found), folder / "spectrum.png")
    return found
