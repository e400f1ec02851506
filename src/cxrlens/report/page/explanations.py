"""Figures 1 to 3, and the synthetic images of Figure 2 in numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cxrlens.report.page.blocks import Block, Section, Words, figure, table
from cxrlens.report.report_data import ReportData
from cxrlens.report.tables import Cells
from cxrlens.text import interval, number

MEASURES = {"frequency": ("mean frequency [cycles per pixel]", 3), "colour": ("share of colour in the variance", 3)}


def synthetic_image_cells(spectrum: Mapping[str, Any]) -> Cells:
    """One row per model: the mean of each measure over seeds, with its interval."""
    rows = [
        [model["name"]]
        + [
            f"{number(model[key]['mean'], digits)} {interval(model[key]['low'], model[key]['high'], digits)}"
            for key, (_, digits) in MEASURES.items()
        ]
        for model in spectrum["models"]
    ]
    return ["model", *(title for title, _ in MEASURES.values())], rows


def synthetic_image_sentences(spectrum: Mapping[str, Any], alpha: float = 0.05) -> list[str]:
    """What was measured, then one sentence per measure: how many pairs of models differ, and which pair differs most.

    Args:
        spectrum: the `spectrum` of `explain.json`.
        alpha: significance level of the tests, after Holm's correction over all pairs.
    """
    sentences = [
        f"For each model, {spectrum['seeds']} synthetic images that maximise the logit were made (preset "
        f"{spectrum['preset']}, {spectrum['iterations']} iterations, one seed each). The table shows means over these "
        "seeds with Student's interval. The intervals describe images of one trained network, not of retrained "
        "networks. For comparison, white noise has a mean frequency of 0.333 and a share of colour of 0.667."
    ]
    for key, (title, digits) in MEASURES.items():
        pairs = spectrum["differences"][key]
        if not pairs:
            continue
        differ = [pair for pair in pairs if pair["p_holm"] < alpha]
        sentence = (
            f"{title.split(' [')[0].capitalize()}: {len(differ)} of {len(pairs)} pairs of models differ significantly "
            f"(Welch's test with Holm's correction, level {alpha:g})."
        )
        if differ:
            most = max(differ, key=lambda pair: abs(pair["difference"]))
            sentence += (
                f" The largest difference is “{most['a']}” − “{most['b']}”: {most['difference']:+.{digits}f} "
                f"{interval(most['low'], most['high'], digits)}."
            )
        sentences.append(sentence)
    return sentences


def left_out_sentence(what: str, model: str | None, why: str) -> str:
    """What is missing from the figures, for which model, and why.

    >>> left_out_sentence("maps of Grad-CAM", "VGG16", "no such layer")
    "no maps of Grad-CAM for 'VGG16': no such layer"
    >>> left_out_sentence("Figure 2", None, "no memory")
    'no Figure 2: no memory'
    """
    return f"no {what} for '{model}': {why}" if model else f"no {what}: {why}"


FIGURES = {
    "figure1": (
        "X-rays in rows, each with the coloured maps of every model and the P of the model.",
        "Figure 1. Where each model finds evidence for its logit. The images were selected with the model that has the "
        "highest AUC, or are named in the study. A map shows where the evidence is, not whether it is right.",
    ),
    "figure1_also": (
        "Further X-rays that the study names, each with the coloured maps of every model and the P of the model.",
        "Figure 1 for further images that the study names. The title of each image says whether it is in the training "
        "or the validation set.",
    ),
    "figure2": (
        "For every model the synthetic image that maximises its logit, and the logit that the image reaches.",
        "Figure 2. Synthetic images that maximise the logit of each model, made without jitter (a), and with jitter "
        "and without the smoothness penalty TV (total variation), if the preset has one (b). Below each image: its "
        "logit, and the highest logit of any X-ray of the cohort. An image whose logit is lower than that of an X-ray "
        "explains nothing.",
    ),
    "figure3": (
        "For every model the synthetic images that maximise single units, with the X-rays that activate each unit "
        "most.",
        "Figure 3. Synthetic images that maximise the activation of single units. Below each image: its activation / "
        "the highest activation of any X-ray of the cohort, and the X-rays that activate the unit most.",
    ),
    "spectrum": (
        "For every model the mean spatial frequency and the share of colour of its synthetic images, with intervals.",
        "The synthetic images of Figure 2b in numbers: mean spatial frequency and share of colour, over seeds.",
    ),
}


def explanations(report: ReportData) -> Section | None:
    """The figures and numbers that the run has; None if it has none."""
    blocks: list[Block] = []
    for name, (alt, caption) in FIGURES.items():
        blocks += figure(report, name, alt, caption)
    spectrum = (report.explanations or {}).get("spectrum")
    if spectrum:
        blocks.append(
            table(
                "Synthetic images that maximise the logit, in numbers: mean over seeds [interval].",
                synthetic_image_cells(spectrum),
            )
        )
        blocks.append(Words(synthetic_image_sentences(spectrum), "soft"))
    left_out = (report.explanations or {}).get("left_out", [])
    if left_out:
        sentences = [left_out_sentence(part["what"], part["model"], part["reason"]) for part in left_out]
        blocks.insert(0, Words([f"{text[:1].upper()}{text[1:]}." for text in sentences], "warning"))
    return Section("explanations", "Explanations: Figures 1 to 3", blocks) if blocks else None
