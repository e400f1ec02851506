"""The report as one page that stands alone: one file = one section; what it shows is inside, and it asks no host.

A new section is a function from a `ReportData` to a `Section` (or None, where the run has nothing to say there) in a
file here, and its place in `SECTIONS`.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from cxrlens import __version__
from cxrlens.report.page.audit import audit, elsewhere, transfer
from cxrlens.report.page.blocks import Section
from cxrlens.report.page.cohort import cohort
from cxrlens.report.page.curves import curves, groups, ranking, training
from cxrlens.report.page.explanations import explanations
from cxrlens.report.page.gallery import gallery
from cxrlens.report.page.methods import methods
from cxrlens.report.page.reproduce import limits, reproduce
from cxrlens.report.page.summary import found
from cxrlens.report.report_data import ReportData

# In the order in which a reader asks.
SECTIONS: tuple[Callable[[ReportData], Section | None], ...] = (
    found,
    cohort,
    ranking,
    curves,
    groups,
    training,
    explanations,
    audit,
    elsewhere,
    transfer,
    gallery,
    methods,
    reproduce,
    limits,
)
# Files of `figures/` that the sections show.
PICTURES = (
    "auc",
    "roc",
    "precision_recall",
    "calibration",
    "training",
    "figure1",
    "figure1_also",
    "figure2",
    "figure3",
    "spectrum",
    "audit",
    "audit_evidence",
    "reuse",
)


def page(reading: ReportData) -> str:
    """The page as HTML.

    Its only script is the gallery's own; a content policy names it by its hash and allows no other, no host, no form.

    Args:
        reading: a run's files, less what may not leave.
    """
    made = [section for make in SECTIONS if (section := make(reading)) is not None]
    static = files("cxrlens.report") / "templates"
    style, script = ((static / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment = Environment(
        loader=PackageLoader("cxrlens.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template("page.html.j2").render(
        version=__version__,
        study=reading.results["study"],
        question=reading.results.get("question", ""),
        sections=made,
        style=Markup(style),
        script=Markup(script),
        digest=digest,
    )
