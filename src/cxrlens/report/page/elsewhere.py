"""Images from elsewhere: every model inside and outside, and how far it fell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cxrlens.report.figures.style import estimate, interval, number
from cxrlens.report.page.blocks import Block, Section, Words, table
from cxrlens.report.reading import Reading
from cxrlens.report.tables import Cells


def elsewhere(reading: Reading) -> Section | None:
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
