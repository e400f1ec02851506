"""The report as one self-contained HTML page, which loads nothing from any host.

A section is a function from a `ReportData` to a `Section`, or to None if the run has nothing to show there. To add one,
write the function in a file of this package and give it a place in `SECTIONS`.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from cxrlens import __version__
from cxrlens.report.page.audit import audit, external, transfer
from cxrlens.report.page.blocks import Section
from cxrlens.report.page.cohort import cohort
from cxrlens.report.page.curves import curves, ranking, subgroups, training
from cxrlens.report.page.explanations import explanations
from cxrlens.report.page.gallery import gallery
from cxrlens.report.page.methods import methods
from cxrlens.report.page.reproduce import limits, reproduce
from cxrlens.report.page.summary import summary
from cxrlens.report.report_data import ReportData

# From the answer to the details.
SECTIONS: tuple[Callable[[ReportData], Section | None], ...] = (
    summary,
    cohort,
    ranking,
    curves,
    subgroups,
    training,
    explanations,
    audit,
    external,
    transfer,
    gallery,
    methods,
    reproduce,
    limits,
)
# Names of the files in `figures/` that the sections show.
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


def page(report: ReportData) -> str:
    """The page as HTML.

    The gallery's script is the only one. The page's content security policy allows it by its hash, and forbids other
    scripts, hosts and forms.

    Args:
        report: the run's files, without the parts that must not be shared.
    """
    sections = [section for build in SECTIONS if (section := build(report)) is not None]
    static = files("cxrlens.report") / "templates"
    style, script = ((static / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment = Environment(
        loader=PackageLoader("cxrlens.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template("page.html.j2").render(
        version=__version__,
        study=report.results["study"],
        question=report.results.get("question", ""),
        sections=sections,
        style=Markup(style),
        script=Markup(script),
        digest=digest,
    )
