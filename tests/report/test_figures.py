import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.special import expit

from cxrlens.errors import UserError
from cxrlens.evaluate.evaluate import evaluate
from cxrlens.report import figures

N = 40
OF_RESULTS = (
    figures.roc_figure,
    figures.precision_recall_figure,
    figures.calibration_figure,
    figures.auc_forest_figure,
)


@pytest.fixture(scope="module")
def evaluation():
    generator = np.random.default_rng(0)
    labels = (np.arange(N) % 4 > 0).astype(float)
    images = [str(i) for i in range(N)]
    tables = []
    for name, effect in (("weak", 0.5), ("strong", 2.0), ("perfect", 100.0), ("vit_$x_1$ [a]", 1.0)):
        logit = effect * labels + generator.normal(size=N)
        columns = {"model": name, "seed": 0, "fold": 0, "image": images, "patient": images, "label": labels}
        tables.append(pd.DataFrame({**columns, "logit": logit, "probability": expit(logit)}))
    predictions = pd.concat(tables, ignore_index=True)
    return evaluate(predictions, predictions, pd.DataFrame({"image": images}))


def texts(figure):
    figure.draw_without_rendering()
    return " | ".join(text.get_text() for text in figure.findobj(lambda part: hasattr(part, "get_text")))


@pytest.mark.parametrize("draw", OF_RESULTS, ids=lambda draw: draw.__name__)
def test_every_figure_names_every_model_and_takes_records_or_plain_values(draw, evaluation):
    figure = draw(evaluation)
    for name in ("weak", "strong", "perfect"):
        assert name in texts(figure)
    assert texts(draw(evaluation.to_json())) == texts(figure)
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


@pytest.mark.parametrize("draw", OF_RESULTS, ids=lambda draw: draw.__name__)
def test_no_text_is_cut_off(draw, evaluation):
    figure = draw(evaluation)
    figure.draw_without_rendering()
    whole = figure.get_tightbbox(figure.canvas.get_renderer())
    assert whole.x0 >= -0.02 and whole.y0 >= -0.02
    assert whole.x1 <= figure.get_figwidth() + 0.02 and whole.y1 <= figure.get_figheight() + 0.02


def test_the_roc_legend_holds_the_auc_with_its_interval(evaluation):
    model = evaluation.models[0]
    expected = f"weak   {model.auc:.2f} [{model.auc_low:.2f}, {model.auc_high:.2f}]"
    assert expected in texts(figures.roc_figure(evaluation))


def test_the_forest_has_the_papers_value_also_of_a_model_that_was_not_run(evaluation):
    results = evaluation.to_json()
    results["models"][0] |= {"paper_auc": 0.672, "paper_positive": 79, "paper_negative": 17}
    results["skipped"] = [{"name": "vgg16", "reason": "no weights", "paper_auc": 0.721}]
    figure = figures.auc_forest_figure(results)
    diamonds = [line.get_xdata()[1] for line in figure.axes[0].lines if line.get_marker() == "D"]
    assert diamonds == [0.672, 0.721]
    spans = [np.ptp(line.get_xdata()) for line in figure.axes[0].lines if line.get_marker() == "D"]
    assert spans[0] > 0.2 and spans[1] == 0, "without numbers of images there is no interval"
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert {"the paper, 95% Hanley-McNeil", "the paper, without an interval"} <= {*legend}
    assert "vgg16" in texts(figure) and "not run" in texts(figure)


def test_networks_of_one_model_share_a_panel():
    history = pd.DataFrame({"epoch": [1, 2], "loss": [0.7, 0.5], "auc": [0.6, 0.8], "validation_auc": [0.5, np.nan]})
    names = (
        "benchmark (no augmentation) (seed 0, fold 1)",
        "benchmark (no augmentation) (seed 1, fold 1)",
        "vgg16 (seed 0)",
    )
    figure = figures.training_curves_figure(dict.fromkeys(names, history))
    assert len(figure.axes) == 4  # two models, loss and AUC each
    assert "benchmark (no augmentation)" in texts(figure) and "seed" not in texts(figure)
    with pytest.raises(UserError, match="at least one network"):
        figures.training_curves_figure({})


def test_a_saved_figure_is_a_picture_and_a_page_and_the_same_bytes_again(tmp_path, evaluation):
    for folder in ("one", "two"):
        figures.save(figures.roc_figure(evaluation), tmp_path / folder / "roc.png")
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == ["roc.pdf", "roc.png"]
    for name in ("roc.pdf", "roc.png"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    with Image.open(tmp_path / "one" / "roc.png") as picture:
        assert picture.width == pytest.approx(4.6 * 150, abs=1)
        assert len(picture.convert("L").getcolors(256) or []) > 20


def test_results_without_a_model_are_refused():
    with pytest.raises(UserError, match="at least one model"):
        figures.roc_figure({"models": []})
