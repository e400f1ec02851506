"""What transfer changed: how much of its start each layer kept."""

from __future__ import annotations

from cxrlens.report.figures.style import interval, number
from cxrlens.report.page.audited import audited_summary
from cxrlens.report.page.blocks import Block, Section, Words, figure, table
from cxrlens.report.reading import Reading


def transfer(reading: Reading) -> Section | None:
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
