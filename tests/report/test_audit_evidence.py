"""What was flagged, to look at: images before and after, under their own numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cxrlens.errors import UserError
from cxrlens.report.figures import evidence_figure

LONG = "DenseNet121, CheXNet's weights, the last two blocks trained"


def finding(probe: str, images: int = 2, model: str = LONG, logit: float = 1.0) -> dict[str, Any]:
    shown = [{"image": f"{row}.png", "label": row % 2, "before": logit, "after": -logit} for row in range(images)]
    return {
        "probe": probe, "model": model, "statistic": f"AUC of {probe}", "value": 0.7, "evidence": {"look_at": shown},
    }  # fmt: skip


def arrays(probe: str, images: int = 2) -> dict[str, np.ndarray]:
    before = np.full((images, 8, 8), 100, np.uint8)
    return {f"{probe} before": before, f"{probe} after": before + 50}


def test_an_image_and_what_became_of_it_stand_in_one_column_with_p_of_each() -> None:
    figure = evidence_figure([finding("corners")], {LONG: arrays("corners")})
    figure.canvas.draw()
    shown = [axes for axes in figure.axes if axes.images]
    assert [axes.images[0].get_array().mean() for axes in shown] == [100, 100, 150, 150]
    assert [axes.get_title() for axes in shown] == ["negative, P 0.73", "positive, P 0.73", *["altered, P 0.27"] * 2]


def test_a_sure_network_is_no_trouble() -> None:
    evidence_figure([finding("corners", logit=-900.0)], {LONG: arrays("corners")}).canvas.draw()


def test_findings_without_images_are_left_out_and_none_with_any_is_refused() -> None:
    both = [finding("corners"), finding("text"), finding("corners", model="other")]
    figure = evidence_figure(both, {LONG: arrays("corners")})
    assert sum(bool(axes.images) for axes in figure.axes) == 4
    with pytest.raises(UserError, match="needs at least one audit result with images"):
        evidence_figure([finding("text")], {LONG: arrays("corners")})


def test_corners_come_first() -> None:
    seen = {LONG: arrays("corners") | arrays("border_only")}
    figure = evidence_figure([finding("border_only"), finding("corners")], seen)
    assert ["corners" in part.get_suptitle() for part in figure.subfigs] == [True, False]


def test_no_model_is_left_out_for_anothers_next_finding() -> None:
    probes, models = ["corners", "text", "border_only", "lungs_removed", "source_probe"], ["one", "two"]
    arrays_of = {name: value for probe in probes for name, value in arrays(probe).items()}
    output = [*(finding(probe, model="one") for probe in probes), finding("source_probe", model="two")]
    figure = evidence_figure(output, dict.fromkeys(models, arrays_of))
    shown = [part.get_suptitle().split(":")[0] for part in figure.subfigs]
    assert shown == ["one", "two", "one", "one"]


def test_many_flags_are_cut_where_a_page_ends() -> None:
    probes = [f"p{number}" for number in range(9)]
    seen = {LONG: {name: value for probe in probes for name, value in arrays(probe).items()}}
    figure = evidence_figure([finding(probe) for probe in probes], seen)
    assert sum(bool(axes.images) for axes in figure.axes) == 4 * 4
