"""Figures draw names sign by sign: no mathematics, no hidden label, no box instead of a sign."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from cxrlens.data.augment import Augmentation
from cxrlens.drawing import LiteralFigure, labelled
from cxrlens.report import figures
from cxrlens.report.augment_sheet import augment_sheet
from cxrlens.report.export import table_files
from cxrlens.report.tables import markdown_text, to_markdown
from support.handmade_run import predictions, results

NAMES = [
    "$", "$$", "a $x$ b", r"$\frac{1}$ \ ^", "_hidden", "<b>&amp;</b>", "[/red] [bold]x", "肺 😀 שלום", "tab\tbell\x07",
    "x" * 300, "=SUM(A1)", "a|b", "%d {0} {x}", "\\", "#~%",
]  # fmt: skip


def odd(name: str) -> dict:
    made = results(predictions().replace({"model": {"strong": name}}))
    made["winner"] = {"sentence": f"{name} has the highest AUC"}
    return made


def texts(figure: LiteralFigure, path: Path) -> str:
    figures.save(figure, path)  # a sign that is in no font would be a warning, which is an error here
    output = {text.get_text() for text in figure.findobj(Text)}
    output |= {label.get_text() for axes in figure.axes for label in (*axes.get_xticklabels(), *axes.get_yticklabels())}
    return " ".join(" ".join(output).split())


@pytest.mark.parametrize("name", NAMES)
def test_a_figure_shows_a_models_name_as_it_is(name: str, tmp_path: Path) -> None:
    made = odd(name)
    history = pd.DataFrame({"epoch": [1, 2], "loss": [1.0, 0.5], "auc": [0.5, 0.6]})
    drawn = {
        "roc": figures.roc_figure(made),
        "pr": figures.precision_recall_figure(made),
        "auc": figures.auc_forest_figure(made),
        "calibration": figures.calibration_figure(made),
        "training": figures.training_curves_figure({f"{name} (seed 0)": history}),
    }
    if not name.isascii() or not name.isprintable() or len(name) > 100:
        expected = {"tab\tbell\x07": "bell\\x07", "x" * 300: "x…x"}.get(name, "שלום" if "שלום" in name else "x…x")
    else:
        expected = name
    for title, figure in drawn.items():
        output = texts(figure, tmp_path / title)
        assert expected in output.replace("xx… xx", "x…x").replace("x …", "x…") or expected == "x…x", (title, output)


def test_a_model_called_like_a_seed_keeps_its_panel(tmp_path: Path) -> None:
    history = pd.DataFrame({"epoch": [1], "loss": [1.0], "auc": [0.5]})
    titles = [f"net, seed {number} of mine (seed 0, fold {fold})" for number in (1, 2) for fold in (0, 1)]
    figure = figures.training_curves_figure(dict.fromkeys(titles, history))
    assert len(figure.axes) == 4, "two models, loss over AUC"


def test_a_sign_without_a_font_is_its_escape_and_two_names_stay_apart(tmp_path: Path) -> None:
    figure = LiteralFigure()
    axes = figure.subplots()
    axes.plot([0, 1], label=labelled("_\ue123"))
    axes.set_yticks([0, 1], ["\ue123", "\ue124"])
    axes.legend()
    output = texts(figure, tmp_path / "a")
    assert "_\\ue123" in output and "\\ue124" in output


def test_the_sheet_of_augmentations_takes_any_name(tmp_path: Path) -> None:
    image = np.linspace(0, 1, 64 * 64, dtype=np.float32).reshape(64, 64)
    sheet = augment_sheet([image, image], ["$$.png", "_^{.png"], {"$x$": Augmentation(horizontal_flip=True)}, 0)
    sheet.savefig(tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 1000


@pytest.mark.parametrize("name", NAMES)
def test_markdown_shows_a_models_name_and_keeps_its_columns(name: str) -> None:
    made = odd(name)
    table = table_files(made)["table1.md"].splitlines()
    bars = {line.replace("\\\\", "").replace("\\|", "").count("|") for line in table}
    assert len(bars) == 1 and len(table) == 5, table
    text = to_markdown(made)
    assert "<b>" not in text and "\x07" not in text


def test_markdown_text_leaves_ordinary_signs_alone() -> None:
    for output in ("CheXNet, all layers", "0.816 [0.70, 0.89]", "lungs_removed", "+0.1 ± 2%", "a − b"):
        assert markdown_text(output) == output
    assert markdown_text("[a](http://x)") == r"[a]\(http://x)"
