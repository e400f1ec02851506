"""Figures 1 to 3 and the spectrum: who is named, what is marked, and that nothing is cut off."""

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from cxrlens.errors import UserError
from cxrlens.explain.activation_maximization.records import radial_spectrum
from cxrlens.explain.attribution_options import FigureImage
from cxrlens.explain.base import Attribution
from cxrlens.explain.model_explanation import ModelExplanation
from cxrlens.report import figures
from cxrlens.report.figures.style import COLOURS
from support.figure_contents import inside, texts

LONG = "EfficientNet-Lite0, X-rays, all layers (not in the paper)"


def view(name: str, maps: torch.Tensor, size: int = 32) -> ModelExplanation:
    images = torch.rand(len(maps), 1, size, size, generator=torch.Generator().manual_seed(0))
    whole = tuple([0] * len(maps))
    cam = Attribution(maps, "grad_cam", "head.0", whole, (size, size), "positive")
    saliency = Attribution(images[:, 0] - 0.5, "saliency", None, whole, (size, size), "magnitude")
    return ModelExplanation(name, images, np.linspace(0.1, 0.9, len(maps)), (cam, saliency))


def test_figure_1_names_models_methods_images_and_probabilities() -> None:
    chosen = [
        FigureImage("a very long name of an image file.png", "positive, highest P"),
        FigureImage("b.png", "negative"),
    ]
    models = [view("benchmark", torch.rand(2, 4, 4)), view(LONG, torch.rand(2, 5, 5), 48)]
    figure = figures.maps_figure(chosen, models, "Chosen by P of benchmark.")
    text = texts(figure).replace("\n", " ")
    for word in ("benchmark", "EfficientNet-", "Grad-CAM", "Saliency", "P 0.10", "P 0.90", "b.png", "Chosen by P"):
        assert word in text, word
    assert inside(figure)


def test_figure_1_leaves_an_image_without_evidence_bare_on_the_models_own_scale() -> None:
    maps = torch.stack([torch.full((4, 4), -1.0), torch.full((4, 4), 2.0)])
    figure = figures.maps_figure([FigureImage("a", "x"), FigureImage("b", "y")], [view("m", maps)])
    shown = {axes.get_title(): axes.images[0].get_array() for axes in figure.axes if axes.images and axes.get_title()}
    bare, covered = shown["m\nP 0.10"], shown["P 0.90"]
    assert np.ptp(bare, axis=2).max() < 1e-6 and np.ptp(covered, axis=2).min() > 0.3


def test_figure_1_of_nothing_is_refused() -> None:
    with pytest.raises(UserError, match="at least one image and one model"):
        figures.maps_figure([], [])


def pictures(count: int, shown: float) -> dict[str, np.ndarray]:
    draws = np.random.default_rng(0)
    return {
        "pictures": draws.random((count, 3, 16, 16)),
        "shown": np.full(count, shown),
        "real": np.tile(np.linspace(-1, 1, 9), (count, 1)) if count > 1 else np.linspace(-1, 1, 9),
    }


def marks(figure: Figure) -> list[str]:
    return [to_hex(axes.xaxis.label.get_color()).upper() for axes in _panels(figure) if axes.get_xlabel()]


def _panels(figure: Figure) -> list:
    return [axes for axes in figure.axes if axes.images]


def test_figure_2_marks_what_stays_below_the_cohort() -> None:
    made = {"a": pictures(1, 2.0), "b": pictures(1, 0.5)}
    figure = figures.logit_pictures_figure({LONG: made, "other": made})
    assert marks(figure).count(COLOURS[1]) == 2 and "logit 0.5; X-rays ≤ 1\ndid not converge" in texts(figure)
    assert inside(figure)


def test_figure_3_shows_each_unit_with_its_images_and_marks_it() -> None:
    def block(count: int, shown: float) -> dict[str, np.ndarray]:
        examples = np.zeros((count, 2, 16, 16), np.uint8)
        return {
            **pictures(count, shown),
            "layer": np.array("head.0"),
            "units": np.arange(count) + 7,
            "examples": examples,
        }

    figure = figures.unit_pictures_figure({LONG: block(4, 2.0), "other": block(2, 0.0)}, "effect")
    text = texts(figure)
    assert all(str(unit) in text for unit in (7, 8, 9, 10)) and "those that change the logit most" in text
    assert marks(figure).count(COLOURS[1]) == 2
    assert len(_panels(figure)) == 4 * 3 + 2 * 3 and inside(figure)


def test_figure_3_says_that_a_unit_is_never_on() -> None:
    dead = pictures(2, 0.0) | {"real": np.zeros((2, 9)), "layer": np.array("head.0"), "units": np.arange(2)}
    figure = figures.unit_pictures_figure({"m": dead | {"examples": np.zeros((2, 2, 16, 16), np.uint8)}}, "seed")
    assert texts(figure).count("never on") == 2 and marks(figure).count(COLOURS[1]) == 2


def test_the_spectrum_names_every_model() -> None:
    rings = {name: radial_spectrum(np.random.default_rng(0).random((3, 3, 32, 32))) for name in (LONG, "other")}
    output = {key: {"mean": 0.2, "low": 0.1, "high": 0.3} for key in ("frequency", "colour")}
    figure = figures.spectrum_figure(rings, {"seeds": 3, "models": [{"name": name, **output} for name in rings]})
    assert "other" in texts(figure) and "3 seeds" in texts(figure) and inside(figure)
