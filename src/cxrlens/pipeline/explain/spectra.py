"""Do the models' pictures differ, in numbers: spatial frequency and colour over seeds, every pair of models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cxrlens.evaluate.over_seeds import over_seeds, seed_differences
from cxrlens.explain.options import ExplainOptions
from cxrlens.explain.spectrum import colour_variance, mean_frequency, radial_spectrum
from cxrlens.pipeline.explain.left_out import LeftOut
from cxrlens.pipeline.explain.pictures import logit_pictures
from cxrlens.pipeline.explain.shown import Shown
from cxrlens.progress import Progress
from cxrlens.report import figures

MEASURES = {"frequency": mean_frequency, "colour": colour_variance}


def spectra(
    shown: Sequence[Shown], options: ExplainOptions, level: float, folder: Path, progress: Progress, out: LeftOut
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
