"""What the audit flagged, to look at: images before and after a part was taken out, with the network's P of both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import expit

from cxrlens.errors import UserError
from cxrlens.names import shortened
from cxrlens.report.figures.audit import place
from cxrlens.report.figures.style import COLOURS, NORMAL, SMALL, new_figure

MOST = 4  # findings, two rows each


def evidence_figure(findings: Sequence[dict[str, Any]], seen: Mapping[str, Mapping[str, np.ndarray]]) -> Figure:
    """Two rows a finding: the images as they are, and as the probe altered them; P of both above.

    Args:
        findings: flagged, of `audit.json`, with `look_at` in their evidence.
        seen: model → "PROBE before" and "PROBE after", uint8 [k, size, size].

    Raises:
        UserError: none of the findings has its images.
    """
    there = [each for each in findings if f"{each['probe']} after" in seen.get(each["model"], {})]
    rows = _first_of_each(sorted(there, key=place))[:MOST]
    if not rows:
        raise UserError("the evidence's figure needs findings with images; got none")
    columns = max(len(each["evidence"]["look_at"]) for each in rows)
    figure = new_figure(0.6 + 1.75 * columns, 4.2 * len(rows))
    parts = figure.subfigures(len(rows), 1, squeeze=False)[:, 0]
    for part, finding in zip(parts, rows, strict=True):
        arrays, told = seen[finding["model"]], finding["evidence"]["look_at"]
        title = f"{shortened(finding['model'], 60)}: {finding['statistic']}, {finding['value']:.2f}"
        part.suptitle(title, fontsize=NORMAL, x=0.01, ha="left")
        axes = part.subplots(2, columns, squeeze=False)
        for each in axes.flat:
            each.set_axis_off()
        for column, image in enumerate(told):
            sign = "positive" if image["label"] else "negative"
            _draw(axes[0, column], arrays[f"{finding['probe']} before"][column], f"{sign}, P {_p(image['before'])}")
            _draw(axes[1, column], arrays[f"{finding['probe']} after"][column], f"altered, P {_p(image['after'])}")
    return figure


def _first_of_each(findings: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first finding of every model, then the second of every model...: none is left out for another's third."""
    nth: Counter[str] = Counter()
    turns = []
    for each in findings:
        turns.append(nth[each["model"]])
        nth[each["model"]] += 1
    return [each for _, each in sorted(zip(turns, findings, strict=True), key=lambda pair: pair[0])]


def _draw(axes: Axes, image: np.ndarray, title: str) -> None:
    axes.imshow(image, cmap="gray", vmin=0, vmax=255)
    axes.set_title(title, fontsize=SMALL, color=COLOURS[1] if title.startswith("altered") else "black", pad=2)


def _p(logit: float) -> str:
    return f"{expit(logit):.2f}"
