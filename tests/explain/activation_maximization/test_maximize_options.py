"""Presets to the constant, and tables that a study file may hold."""

from __future__ import annotations

import tomllib

import numpy as np
import pytest

from cxrlens.config import parse
from cxrlens.errors import UserError
from cxrlens.explain.activation_maximization import PRESETS, MaximizeOptions, assess_convergence


def test_keras_vis_has_the_paper_s_constants() -> None:
    options = PRESETS["keras-vis"].model_dump()
    assert options == {
        "parametrization": {"kind": "pixels", "mean": 127.5, "deviation": 12.75, "divided_by": 1.0, "colour": "rgb"},
        "transforms": (),
        "wrap": 0.0,
        "tv": 10.0,
        "lp": 10.0,
        "optimizer": {"kind": "rmsprop", "decay": 0.95, "epsilon": 1e-7},
        "iterations": 2048,
        "keep": "after best",
        "snapshots": (),
        "batch": 8,
    }
    scaled = PRESETS["keras-vis-scaled"].model_dump()
    assert scaled.pop("parametrization") == {**options.pop("parametrization"), "divided_by": 255.0}
    assert scaled == options


def test_modern_is_the_default_and_has_lucid_s_constants_but_for_a_start_with_contrast() -> None:
    assert PRESETS["modern"] == MaximizeOptions()
    kinds = [tuple(each.model_dump().values()) for each in MaximizeOptions().transforms]
    assert kinds == [("pad", 12), ("jitter", 8), ("scale", 0.9, 1.1), ("rotate", 10.0), ("jitter", 4)]
    optimizer, form = MaximizeOptions().optimizer.model_dump(), MaximizeOptions().parametrization.model_dump()
    assert (optimizer["kind"], optimizer["rate"]) == ("adam", 0.05)
    assert form == {"kind": "fourier", "deviation": 0.1, "decay": 1.0, "colour": "decorrelated"}


@pytest.mark.parametrize("name", list(PRESETS))
def test_every_preset_is_valid_and_comes_back_from_a_file(name: str) -> None:
    dumped = PRESETS[name].model_dump(mode="json")
    assert parse(MaximizeOptions, dumped, "[maximize]") == PRESETS[name]


def test_a_study_file_may_hold_one() -> None:
    text = """
        parametrization = { kind = "fourier", colour = "grey" }
        optimizer = { kind = "adam", rate = 0.02 }
        transforms = [{ kind = "jitter", pixels = 4 }]
    """
    options = parse(MaximizeOptions, tomllib.loads(text), "[maximize]")
    assert options.parametrization.colour == "grey" and options.transforms[0].model_dump()["pixels"] == 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"iteratons": 3}, "did you mean 'iterations'"),
        ({"wrap": 0.05}, "wrap moves pixels"),
        ({"snapshots": (600,)}, "snapshots must lie between 0 and 512 iterations"),
        ({"parametrization": {"kind": "pixels"}}, "transforms fill with the mid-grey"),
        ({"optimizer": {"kind": "sgd"}}, "optimizer"),
    ],
)
def test_what_does_not_fit_together_is_told(changes: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse(MaximizeOptions, changes, "[maximize]")


def test_an_unknown_preset_is_answered_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"unknown preset 'kerasvis'; did you mean 'keras-vis'\?"):
        PRESETS["kerasvis"]


def test_a_picture_converged_where_no_real_image_does_more() -> None:
    reference = np.arange(200.0)
    verdict = assess_convergence(198.5, reference)
    assert (verdict.share_below, verdict.highest, verdict.converged) == (0.995, 199.0, False)
    assert verdict.percentile_99 == pytest.approx(197.01) and str(verdict) == "did not converge"
    assert assess_convergence(199.0, reference).converged and str(assess_convergence(250.0, reference)) == "converged"
