"""The images of Figure 1."""

import pandas as pd

from cxrlens.explain.attribution_options import FigureImage, choose_images


def table(*rows: tuple[str, int, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["image", "label", "probability"])


def test_the_surest_right_and_the_worst_wrong_image_of_each_label_come_in_that_order() -> None:
    result = choose_images(
        table(("a", 1, 0.9), ("b", 1, 0.2), ("c", 1, 0.5), ("d", 0, 0.8), ("e", 0, 0.1), ("f", 0, 0.4))
    )
    assert result == [
        FigureImage("a", "positive, highest P"),
        FigureImage("e", "negative, lowest P"),
        FigureImage("b", "positive, lowest P"),
        FigureImage("d", "negative, highest P"),
    ]


def test_an_only_image_of_a_label_comes_once() -> None:
    assert [each.image for each in choose_images(table(("a", 1, 0.9), ("b", 0, 0.2), ("c", 0, 0.7)))] == ["a", "b", "c"]
    assert [each.image for each in choose_images(table(("a", 1, 0.9)))] == ["a"]


def test_equal_probabilities_are_ordered_by_name() -> None:
    rows = [("b", 1, 0.5), ("a", 1, 0.5), ("c", 1, 0.5)]
    assert choose_images(table(*rows)) == choose_images(table(*reversed(rows)))
