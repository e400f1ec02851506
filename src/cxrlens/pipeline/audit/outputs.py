"""What the audit leaves in the run's folder: `audit.json`, the page in words, its figures, and the report anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cxrlens.files import write_text
from cxrlens.pipeline.finished import Run
from cxrlens.pipeline.page import write_report
from cxrlens.report.figures import audit_figure, evidence_figure, save

Seen = Mapping[str, Mapping[str, np.ndarray]]


def write_outputs(run: Run, told: dict[str, Any], seen: Seen) -> None:
    """Writes them.

    Args:
        run: audited.
        told: what `audit.json` holds.
        seen: model → the images that its findings point at.
    """
    folder = run.folder.path
    run.folder.write_json("audit.json", told)
    write_text(folder / "audit.md", told["summary"]["markdown"])
    of_models = [each for each in told["findings"] if each["model"] is not None]
    save(audit_figure(of_models), folder / "figures" / "audit.png")
    _evidence(run, of_models, seen)
    write_report(run.folder)


def _evidence(run: Run, findings: Sequence[dict[str, Any]], seen: Seen) -> None:
    """Draws what was flagged, on the images where it shows most; an earlier figure goes where nothing is any more."""
    flagged = [
        each for each in findings if each["verdict"] == "flag" and f"{each['probe']} after" in seen[each["model"]]
    ]
    path = run.folder.path / "figures" / "audit_evidence.png"
    if flagged:
        save(evidence_figure(flagged, seen), path)
    else:
        for suffix in (".png", ".pdf"):
            path.with_suffix(suffix).unlink(missing_ok=True)
