"""The strip, the animation and the curve of activation maximization."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cxrlens.errors import UserError
from cxrlens.explain.activation_maximization import MaximizationResult, MaximizeOptions, Objective
from cxrlens.report.figures import convergence_figure, formation_figure, save_formation_gif

OBJECTIVES = (Objective.channel("conv_head", 3), Objective.channel("conv_head", 3), Objective.logit())


def made(snapshots: tuple[int, ...] = (0, 2)) -> MaximizationResult:
    """Three pictures of 8 pixels, of two objectives; the snapshot after 2 iterations of the last was never taken."""
    rng = np.random.default_rng(0)
    frames = rng.random((3, len(snapshots), 3, 8, 8)).astype(np.float32)
    if snapshots:
        frames[2, 1] = np.nan
    curve = np.cumsum(rng.random((3, 4)), axis=1)
    options = MaximizeOptions(iterations=4, snapshots=snapshots)
    pictures = rng.random((3, 3, 8, 8)).astype(np.float32)
    activations = np.array([1.25, 2.5, 4.0])
    return MaximizationResult(
        OBJECTIVES, (0, 1, 0), pictures, pictures, curve, -curve, activations, frames, snapshots, options
    )


def texts(figure) -> list[str]:
    figure.draw_without_rendering()
    return [text.get_text() for text in figure.findobj(lambda part: hasattr(part, "get_text")) if text.get_text()]


def test_the_strip_has_every_snapshot_and_the_picture_with_its_activation() -> None:
    figure = formation_figure(made())
    output = " | ".join(texts(figure)).replace("\n", " ")
    assert all(words in output for words in ("start", "| 2 |", "picture", "activation 1.25", "activation 4.00"))
    assert "conv_head 3, seed 1" in output and "logit, seed 0" in output
    images = [axes.get_images()[0].get_array() for axes in figure.axes]
    assert len(images) == 9
    np.testing.assert_array_equal(images[2], np.rint(made().pictures[0].transpose(1, 2, 0) * 255))
    assert not images[7].any()  # never taken: black


def test_the_curves_of_one_objective_share_a_panel_with_what_real_images_reach() -> None:
    figure = convergence_figure(made(), {OBJECTIVES[0]: np.linspace(-1, 1, 101)})
    first, second = figure.axes
    assert first.get_title(loc="left") == "conv_head 3" and second.get_title(loc="left") == "logit"
    lines = {line.get_label(): line.get_ydata() for line in first.get_lines()}
    np.testing.assert_array_equal(lines["seed 1"], made().curve[1])
    assert lines["99th percentile"][0] == pytest.approx(0.98)
    dots = [line.get_ydata()[0] for line in first.get_lines() if line.get_marker() == "o"]
    assert dots == [1.25, 2.5]
    assert len(second.get_lines()) == 2  # its curve and its dot; no real images were given for it


def test_the_animation_ends_at_the_pictures_and_stays_there(tmp_path: Path) -> None:
    save_formation_gif(made(), tmp_path / "forms.gif")
    with Image.open(tmp_path / "forms.gif") as gif:
        assert gif.n_frames == 3 and gif.size == (24, 8)
        assert gif.info["duration"] == 400
        gif.seek(2)
        assert gif.info["duration"] == 2000
        last = np.asarray(gif.convert("RGB"), dtype=float)
    expected = np.hstack([picture.transpose(1, 2, 0) * 255 for picture in made().pictures])
    assert abs(last - expected).mean() < 12  # 256 colours


def test_without_snapshots_it_is_told_how_to_take_them(tmp_path: Path) -> None:
    for draw in (formation_figure, lambda result: save_formation_gif(result, tmp_path / "forms.gif")):
        with pytest.raises(UserError, match=r"needs snapshots; got none: set options\.snapshots"):
            draw(made(snapshots=()))
