"""The audit's findings with their verdicts: what may stand in for the lungs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cxrlens.report.audit_words import cohort_cells
from cxrlens.report.page.blocks import Block, Note, Section, Words, figure, table
from cxrlens.report.page.summary import audited_summary, findings
from cxrlens.report.report_data import ReportData
from cxrlens.report.results_text import estimate
from cxrlens.report.tables import Cells
from cxrlens.text import interval, number

TITLE = "The audit: what may stand in for the lungs"


def audit(reading: ReportData) -> Section:
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


# What transfer changed: how much of its start each layer kept.


def transfer(reading: ReportData) -> Section | None:
    """The audit's comparison of the trained networks with their starts; None without an audit."""
    if reading.audited is None or audited_summary(reading.audited) is None:
        return None
    told = reading.audited.get("reuse") or {}
    blocks: list[Block] = []
    blocks += figure(
        reading,
        "reuse",
        "For every model, layer by layer: likeness of its features to those it started with, and how far its weights "
        "moved.",
        "What each layer kept of its start: likeness of its features (CKA, 1 is unchanged) and how far its weights "
        "moved; and how alike the trained networks' features are.",
    )
    if told.get("between"):
        rows = [[f"{p['a']} and {p['b']}", number(p["cka"]), interval(p["low"], p["high"])] for p in told["between"]]
        cells = ["trained networks", "CKA", "interval"], rows
        blocks.append(table("How alike the features of two trained networks are (CKA; 1 is the same).", cells))
    notes = [f"{model['name']}: {model['note']}" for model in told.get("models", []) if model.get("note")]
    if notes:
        blocks.append(Words(notes, "soft"))
    return Section("transfer", "What transfer changed", blocks) if blocks else None


# Images from elsewhere: every model inside and outside, and how far it fell.


def elsewhere(reading: ReportData) -> Section | None:
    """A table a set of other images; None where the run was judged on none."""
    if not reading.elsewhere:
        return None
    blocks: list[Block] = []
    for told in reading.elsewhere:
        caption = f"AUC inside, and on {told['data']['name']}: {_who(told)}."
        blocks.append(table(caption, external_cells(told), folded=False))
        if reasons := without_interval(told):
            blocks.append(Words(reasons, "soft"))
        if told["notes"]:
            blocks.append(Words(told["notes"], "warning"))
    blocks.append(Words([reading.elsewhere[0]["limits"]], "soft"))
    return Section("elsewhere", "On images from elsewhere", blocks)


def external_cells(told: Mapping[str, Any]) -> Cells:
    """A row a model: AUC inside, outside and their difference; rates outside, at the threshold of its training."""
    rows = []
    for model in told["models"]:
        inside, outside, change = model["inside"], model["outside"], model["difference"]
        at = outside["threshold"]
        rows.append(
            [
                model["name"],
                estimate(inside),
                estimate(outside),
                f"{number(change['difference'], 3)} {interval(change['low'], change['high'])}",
                number(change["p_holm"], 3),
                f"{number(at['sensitivity'])} / {number(at['specificity'])}",
            ]
        )
    return ["model", "inside", "outside", "inside − outside", "p (Holm)", "sensitivity / specificity outside"], rows


def without_interval(told: Mapping[str, Any]) -> list[str]:
    """Why intervals are dashes: a sentence a reason."""
    where = {"inside": "Inside", "outside": "Outside", "difference": "Differences"}
    found = {side: {model[side].get("reason") for model in told["models"]} - {"", None} for side in where}
    found["difference"] -= found["inside"] | found["outside"]
    return [f"{word}: {reason}." for side, word in where.items() for reason in sorted(found[side])]


def _who(told: Mapping[str, Any]) -> str:
    images, left = told["images"], {why: count for why, count in told["left_out"].items() if count}
    who = f"{images['judged']} of {images['listed']} images judge, {images['positive']} of them positive"
    reasons = ", ".join(f"{why.replace('_', ' ')} {count}" for why, count in left.items())
    return who + (f"; left out: {reasons}" if left else "")
