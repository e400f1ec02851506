"""`explain.json` for a reader: the pictures' numbers as a table, and whether the models' differ in a sentence each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cxrlens.report.figures.style import interval, number
from cxrlens.report.tables import Cells

MEASURES = {"frequency": ("mean frequency [cycles a pixel]", 3), "colour": ("colour's share of variance", 3)}


def picture_table(spectrum: Mapping[str, Any]) -> Cells:
    """A row a model: each measure's mean over seeds with its interval."""
    rows = [
        [model["name"]]
        + [
            f"{number(model[key]['mean'], digits)} {interval(model[key]['low'], model[key]['high'], digits)}"
            for key, (_, digits) in MEASURES.items()
        ]
        for model in spectrum["models"]
    ]
    return ["activation pictures", *(title for title, _ in MEASURES.values())], rows


def picture_sentences(spectrum: Mapping[str, Any], alpha: float = 0.05) -> list[str]:
    """What was measured, and for each measure how many pairs differ after Holm's correction, and the widest of them."""
    found = [
        f"Of each model {spectrum['seeds']} pictures of the logit (preset {spectrum['preset']}, "
        f"{spectrum['iterations']} iterations, a seed each): means over seeds with Student's interval. They are of "
        "this one trained network's pictures, not of networks trained anew. White noise, of which nothing was made, "
        "has a mean frequency of 0.333 and a colour's share of 0.667."
    ]
    for key, (title, digits) in MEASURES.items():
        pairs = spectrum["differences"][key]
        if not pairs:
            continue
        differ = [pair for pair in pairs if pair["p_holm"] < alpha]
        sentence = f"{title.split(' [')[0].capitalize()}: {len(differ)} of {len(pairs)} pairs of models differ"
        if differ:
            most = max(differ, key=lambda pair: abs(pair["difference"]))
            sentence += (
                f", most of all {most['a']} − {most['b']} ({most['difference']:+.{digits}f} "
                f"{interval(most['low'], most['high'], digits)})"
            )
        found.append(f"{sentence} (Welch's test, Holm's correction, {alpha:g}).")
    return found


def left_out_sentence(what: str, model: str | None, why: str) -> str:
    """What figures do without, of which model, and why.

    >>> left_out_sentence("maps of Grad-CAM", "a row", "no such layer")
    "no maps of Grad-CAM of 'a row': no such layer"
    >>> left_out_sentence("Figure 2", None, "no memory")
    'no Figure 2: no memory'
    """
    return f"no {what} of '{model}': {why}" if model else f"no {what}: {why}"
