"""The figure of what was reused: who is named, what is exact, and that nothing is cut off."""

from __future__ import annotations

from itertools import combinations

import pytest
from matplotlib.figure import Figure

from cxrlens.errors import UserError
from cxrlens.report import figures
from cxrlens.report.figures.reuse import HOLLOW
from support.figure_contents import inside, texts

LONG = "EfficientNet-Lite0, X-rays, all layers (not in the paper)"


def block(name: str, cka: float | None, moved: float | None, seeds: int) -> dict:
    spread = {"mean": cka, "low": -0.2, "high": 1.0, "sd": 0.1, "seeds": seeds}
    return {
        "block": name, "cka": cka, "low": cka and cka - 0.1, "high": cka, "weights": moved, "batchnorm": moved,
        "statistics": None, "over_seeds": {"cka": spread} if seeds > 1 else {},
    }  # fmt: skip


def model(name: str, cka: float | None = 0.8, moved: float | None = 0.02, seeds: int = 1, **output) -> dict:
    blocks = [block(each, cka, moved, seeds) for each in ("features.conv0", "features.denseblock1", "features.norm5")]
    return {"name": name, "seeds": seeds, "random": False, "frozen": False, "blocks": blocks, "note": "", **output}


def found(*models: dict) -> dict:
    pairs = [
        {"a": a["name"], "b": b["name"], "cka": 0.31, "low": -0.12, "high": 0.55} for a, b in combinations(models, 2)
    ]
    return {"level": 0.9, "models": list(models), "between": pairs}


def test_five_models_of_long_names_fit_and_are_named() -> None:
    models = [model(f"{number} {LONG}", seeds=3) for number in range(5)]
    figure = figures.reuse_figure(found(*models))
    output = texts(figure).replace("\n", " ")
    for word in (
        "A  0 EfficientNet",
        "E  4 EfficientNet",
        "denseblock1",
        "0.31 -0.12 to 0.55",
        "90% over seeds",
        "90% over p",
    ):
        assert word in output, word
    assert inside(figure)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_fewer_models_fit_too(count: int) -> None:
    figure = figures.reuse_figure(found(*(model(f"{number} {LONG}") for number in range(count))))
    assert inside(figure) and "over seeds" not in texts(figure)
    assert ("CKA between trained models" in texts(figure)) == (count > 1)


def hollow(figure: Figure) -> int:
    return sum(
        line.get_markerfacecolor() == HOLLOW
        for axes in figure.axes
        for line in axes.lines
        if line.get_marker() != "None"
    )


def test_what_did_not_move_is_hollow_and_said_in_words() -> None:
    still = figures.reuse_figure(found(model("frozen", 1.0, 0.0, frozen=True)))
    assert "exactly 1" in texts(still) and "exactly 0" in texts(still) and hollow(still) == 3 * 3
    moved = figures.reuse_figure(found(model("nearly", 0.999999, 1e-9, frozen=True)))
    assert "exactly 1" not in texts(moved) and "exactly 0" not in texts(moved) and hollow(moved) == 0


def test_a_model_without_a_start_says_so_and_keeps_its_letter() -> None:
    lost = model("lost", blocks=[], note="Not compared with its start, which cannot be made again: no weights.")
    figure = figures.reuse_figure(found(model("first"), lost, model("third", random=True)))
    output = texts(figure).replace("\n", " ")
    assert (
        "B  lost" in output and "cannot be made again" in output and "C  third (started from random weights)" in output
    )


def test_unknown_values_are_left_out_and_every_model_may_be_unknown() -> None:
    assert inside(figures.reuse_figure(found(model("dead", None, None), model("other"))))
    assert inside(figures.reuse_figure(found(model("lost", blocks=[], note="Not compared."))))


def test_no_model_is_refused() -> None:
    with pytest.raises(UserError, match="at least one model"):
        figures.reuse_figure({"models": [], "between": []})
