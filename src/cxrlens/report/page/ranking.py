"""Table 1 with its intervals beside the paper's values, and every pair of models."""

from __future__ import annotations

from cxrlens.report.figures.style import estimate, percent
from cxrlens.report.given import given_sentences
from cxrlens.report.page.blocks import Block, Section, Words, figure, table
from cxrlens.report.reading import Reading
from cxrlens.report.tables import comparison_cells, how_judged, table1_cells


def ranking(reading: Reading) -> Section:
    """Table 1, how it was made, what was not run; the figure of it; the paired differences."""
    results = reading.results
    blocks: list[Block] = [
        table(f"Table 1. AUC of every model, with {percent(results)} intervals by patients.", table1_cells(results)),
        Words([how_judged(results), *given_sentences(results)], "soft"),
    ]
    skipped = [f"Not run: {row['name']}: {row['reason']}" for row in results.get("skipped", [])]
    if skipped:
        blocks.append(Words(skipped, "list"))
    each = "; ".join(f"{m['name']} {estimate(m, digits=2)}" for m in results["models"])
    blocks += figure(
        reading,
        "auc",
        f"Forest plot of the AUCs: {each}.",
        "Table 1 as a picture: AUC with its intervals, beside the paper's where it has one.",
    )
    if results.get("comparisons"):
        caption = (
            "Paired differences: every two models on the same patients. “p (Holm)” counts all pairs; an interval is of "
            "its pair alone."
        )
        blocks.append(table(caption, comparison_cells(results), folded=False))
    return Section("table1", "Table 1: who is better, and how sure", blocks)
