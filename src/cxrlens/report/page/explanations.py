"""Figures 1 to 3 and the pictures in numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cxrlens.report.page.blocks import Block, Section, Words, figure, table
from cxrlens.report.report_data import ReportData
from cxrlens.report.tables import Cells
from cxrlens.text import interval, number

# `explain.json` for a reader: the pictures' numbers as a table, and whether the models' differ in a sentence each.

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


FIGURES = {
    "figure1": (
        "A few X-rays in rows, each with every model's maps in colour beside it and the model's P.",
        "Figure 1. Where each model's logit comes from. Images chosen by the model with the highest AUC, or named by "
        "the study. A map says where the evidence is, not whether it is right.",
    ),
    "figure1_also": (
        "Further X-rays that the study names, with every model's maps in colour and its P.",
        "The same of further images that the study names; see above each on which side it is.",
    ),
    "figure2": (
        "For every model the picture that raises its logit most, and the logit that it reaches.",
        "Figure 2. The picture that raises each model's logit most, without jitter (a) and with it (b). Below: its "
        "logit, and the highest of any X-ray of the cohort; a picture below that explains nothing.",
    ),
    "figure3": (
        "For every model the pictures that single units like most, with the X-rays that excite each most.",
        "Figure 3. What single units like most, and the X-rays that excite each most.",
    ),
    "spectrum": (
        "For every model the mean spatial frequency and the share of colour of its pictures, with intervals.",
        "The pictures of Figure 2b in numbers, over seeds: how fine, and how colourful.",
    ),
}


def explanations(reading: ReportData) -> Section | None:
    """The figures that the run has; None where nothing was explained."""
    blocks: list[Block] = []
    for name, (alt, caption) in FIGURES.items():
        blocks += figure(reading, name, alt, caption)
    numbers = (reading.explained or {}).get("spectrum")
    if numbers:
        blocks.append(table("Activation pictures in numbers, mean over seeds [interval].", picture_table(numbers)))
        blocks.append(Words(picture_sentences(numbers), "soft"))
    left_out = (reading.explained or {}).get("left_out", [])
    if left_out:
        said = [left_out_sentence(one["what"], one["model"], one["reason"]) for one in left_out]
        blocks.insert(0, Words([f"{each[:1].upper()}{each[1:]}." for each in said], "warning"))
    return Section("explanations", "Figures 1 to 3: where they look, what they answer to", blocks) if blocks else None
