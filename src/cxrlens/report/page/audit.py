"""The audit's findings with their verdicts: what may stand in for the lungs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cxrlens.report.audit_words import cohort_cells
from cxrlens.report.figures.style import interval, number
from cxrlens.report.page.audited import audited_summary, findings
from cxrlens.report.page.blocks import Block, Note, Section, Words, figure, table
from cxrlens.report.reading import Reading
from cxrlens.report.tables import Cells

TITLE = "The audit: what may stand in for the lungs"


def audit(reading: Reading) -> Section:
    """The audit in words, as a figure and in full; or that there is none, and how to get one."""
    told = audited_summary(reading.audited)
    if told is None or reading.audited is None:
        made = (
            "was made by another version of cxrlens, and is not shown"
            if reading.audited is not None
            else "has not been made"
        )
        sentence = (
            f"The audit of this run {made}: `cxrlens audit RUN` makes one. Until then shortcuts are not excluded."
        )
        return Section("audit", TITLE, [Words([sentence], "warning")])
    every = findings(reading.audited)
    flags = [
        each["statistic"] + " of " + each["model"] for each in every if each["model"] and each["verdict"] == "flag"
    ]
    alt = f"Every question to every model. Flagged: {'; '.join(flags) or 'none'}."
    blocks: list[Block] = [Words([told["notice"]], "soft")]
    blocks += [Note({"auc": "", **part}) for part in (told["cohort"], *told["models"])]
    blocks += figure(
        reading,
        "audit",
        alt,
        "Every question to every model. ▲ flagged: more than chance, all questions of its kind counted. ○ a shortcut "
        "worth minding is excluded. ? undecided, or not measured.",
    )
    blocks += figure(
        reading,
        "audit_evidence",
        "Pairs of X-rays, whole and with a part filled in, with P of both.",
        "What was flagged, to look at: images as they are and, below, as the probe showed them, with P of both. Where "
        "a part was filled, those that moved most; where a part alone is left, the surest that are still right.",
    )
    blocks.append(table("Before any training: what the images and their table tell.", cohort_cells(every)))
    blocks.append(table("Every finding of a model, with what it does not show.", model_cells(every), folded=True))
    return Section("audit", TITLE, blocks)


def model_cells(every: Sequence[dict[str, Any]]) -> Cells:
    """A row a finding of a model."""
    rows = []
    for each in every:
        if each["model"] is None:
            continue
        ends = interval(each["low"], each["high"]).replace("–", "")
        value = "not measured" if each["value"] is None else f"{number(each['value'])} {ends}".strip()
        rows.append([each["statistic"], each["model"], value, each["verdict"], each["limits"]])
    return ["question", "model", "value [95%]", "verdict", "what it does not show"], rows
