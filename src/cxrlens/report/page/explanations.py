"""Figures 1 to 3 and the pictures in numbers."""

from __future__ import annotations

from cxrlens.report.explain_sentences import left_out_sentence, picture_sentences, picture_table
from cxrlens.report.page.blocks import Block, Section, Words, figure, table
from cxrlens.report.reading import Reading

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


def explanations(reading: Reading) -> Section | None:
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
