"""A contact sheet of a cohort: a few images of every label and view, each with what the table says of it."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from cxrlens.data.cache import ImageCache
from cxrlens.data.cohort import Cohort
from cxrlens.drawing import LiteralFigure
from cxrlens.names import shortened

NAMES = {1.0: "positive", 0.0: "negative"}


def sample_rows(table: pd.DataFrame, count: int, rng: np.random.Generator) -> pd.DataFrame:
    """At most `count` rows, label by label and view by view in turn, so that rare ones are seen; in that order."""
    shuffled = table.iloc[rng.permutation(len(table))]
    views = shuffled["view"].fillna("unknown")
    labels = shuffled["label"].fillna(-1.0)
    turn_of_view = shuffled.groupby([labels, views], sort=False).cumcount()
    by_view = shuffled.assign(_label=labels, _view=views, _turn=turn_of_view).sort_values(
        ["_label", "_turn"], ascending=[False, True], kind="stable"
    )
    turn = by_view.groupby("_label", sort=False).cumcount()
    chosen = by_view.assign(_turn=turn).sort_values("_turn", kind="stable").head(count)
    return chosen.sort_values(["_label", "_view"], ascending=[False, True], kind="stable")[list(table.columns)]


def contact_sheet(cohort: Cohort, cache: ImageCache, rng: np.random.Generator, count: int = 40) -> Figure:
    """A stratified sample of a cohort's readable images.

    Args:
        cohort: whose table names label, view and source.
        cache: of its images.
        rng: of the sample.
        count: images to show.
    """
    readable = cohort.table[cohort.table["image"].isin(list(cache.index))]
    rows = sample_rows(readable, count, rng)
    across = min(8, max(1, len(rows)))
    down = math.ceil(len(rows) / across)
    figure = LiteralFigure(figsize=(1.7 * across, 2.15 * down + 0.4), dpi=110, layout="constrained")
    figure.suptitle(f"{cohort.name}: {len(rows)} of {len(readable)} readable images, by label and view", fontsize=10)
    grid = figure.subplots(down, across, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    columns = (rows[name].tolist() for name in ("image", "label", "view", "source"))
    for axes, (image, label, view, source) in zip(grid.flat, zip(*columns, strict=True), strict=False):
        axes.imshow(cache.pixels[cache.index[image]], cmap="gray", vmin=0, vmax=255)
        said = (NAMES.get(label, "no label"), view or "view unknown", source or "source unknown")
        axes.set_title("\n".join(shortened(text, 28) for text in said), fontsize=6.5, pad=2, loc="left")
    return figure
